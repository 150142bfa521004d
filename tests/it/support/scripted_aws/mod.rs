//! Kinesis, DynamoDB, DynamoDB Streams and CloudWatch on a free port of this machine, which answer as a test tells them to.
//!
//! Times are milliseconds since 1970. An operation is named as AWS names it (`GetRecords`), or with its service before
//! it where two have the same (`Kinesis.GetRecords`, `DynamoDBStreams.GetRecords`).

mod call;
mod cbor;
mod clock;
mod cloudwatch;
mod dynamodb;
mod errors;
mod expression;
mod item_size;
mod kinesis;
mod kinesis_api;
mod kinesis_json;
mod log;
mod resharding;
mod script;
mod sequence;
mod shard;
mod streams;
mod streams_api;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use tokio::net::TcpListener;

pub use self::call::Signer;
pub use self::clock::http_date;
pub use self::script::Behaviour;
pub use self::sequence::KinesisNumber;

use self::call::{Call, Service};
use self::cloudwatch::Metrics;
use self::dynamodb::Table;
use self::errors::Refusal;
use self::kinesis::Stream;
use self::log::Log;
use self::script::Script;
use self::streams::ChangeStream;

/// The account that every answer speaks of.
pub const ACCOUNT: &str = "123456789012";

/// The region of every ARN in the answers, whichever region a request was signed for.
pub const REGION: &str = "us-east-1";

/// What an operation answers.
type Answer = Result<Value, Refusal>;

/// A running server; it ends with its test's runtime. Clones are the same server.
#[derive(Clone)]
pub struct ScriptedAws {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
}

impl ScriptedAws {
    /// Starts a server that has no streams and no tables.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let aws = Self { address: listener.local_addr().unwrap(), world: Arc::default() };
        tokio::spawn(wire::serve(listener, aws.clone()));
        aws
    }

    /// What to set as the endpoint of all four services.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The time of this server.
    pub fn now(&self) -> u64 {
        self.world().now()
    }

    /// Sets the clock of this server wrong by so many seconds: the `Date` of answers and the age of iterators.
    pub fn skew_clock(&self, seconds: i64) {
        self.world().skew_seconds = seconds;
    }

    /// Iterators expire at this age, instead of at the 5 minutes of Kinesis and the 15 of DynamoDB Streams.
    pub fn expire_iterators_after(&self, age_ms: u64) {
        self.world().iterator_life_ms = Some(age_ms);
    }

    /// An answer of `operation` holds so many entries at most: items of Scan and Query, shards, records.
    pub fn set_page_size(&self, operation: &str, entries: usize) {
        self.world().page_sizes.insert(operation.to_owned(), entries);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

/// All that the server knows.
#[derive(Default)]
struct World {
    skew_seconds: i64,
    iterator_life_ms: Option<u64>,
    page_sizes: HashMap<String, usize>,
    streams: BTreeMap<String, Stream>,
    tables: BTreeMap<String, Table>,
    /// The streams of tables, by ARN.
    changes: BTreeMap<String, ChangeStream>,
    /// How many sequence numbers DynamoDB Streams have given out.
    changes_numbered: u64,
    shard_limit: Option<usize>,
    /// By stream.
    metrics: HashMap<String, Metrics>,
    script: Script,
    log: Log,
}

impl World {
    fn now(&self) -> u64 {
        clock::now().saturating_add_signed(self.skew_seconds * 1000)
    }

    fn answer(&mut self, call: &Call) -> Answer {
        match call.service {
            Service::CloudWatch => self.cloudwatch(call),
            Service::Kinesis => self.kinesis_control(call).unwrap_or_else(|| self.kinesis(call)),
            Service::DynamoDb => self.dynamodb(call),
            Service::Streams => self.streams(call),
        }
    }

    /// How many entries this answer may hold: the least of what AWS, the test and the request allow.
    fn page_size(&self, call: &Call, most: usize, asked_by: &str) -> usize {
        let asked = call.input[asked_by].as_u64().and_then(|limit| usize::try_from(limit).ok());
        let set = self.page_sizes.iter().find(|(operation, _)| call.is(operation, None)).map(|(_, entries)| *entries);
        most.min(asked.unwrap_or(most)).min(set.unwrap_or(most))
    }
}
