//! `source: aws-kinesis-stream` and `source: aws-dynamodb-streams`: KEDA's parameters, and those of `scaleOn: age`.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::aws_access::AwsAccess;
use super::aws_names::{self, KinesisStream, last_name};
use super::checkpoint_store::CheckpointStore;
use super::dialect::AwsDialect;
use super::metadata::{Metadata, Words, shown};
use super::name::{DEFAULT_AGE_SECONDS, DEFAULT_SHARD_COUNT, positive};
use super::{AgePolicy, Compat, ShardCountPolicy};

/// A stream, and the identity that reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamSource {
    /// The name or ARN of the stream.
    pub stream: StreamName,
    /// Region, endpoint and identity.
    pub access: AwsAccess,
}

/// A stream within an account and a region.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StreamName {
    /// A Kinesis data stream.
    Kinesis(KinesisStream),
    /// The stream of a DynamoDB table; identified by the table's name or ARN, because the stream may be replaced.
    DynamoDb(Arc<str>),
}

/// An application on a stream, whose backlog is observed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApplicationSource {
    /// The stream that it reads.
    pub stream: StreamSource,
    /// Where it writes its progress.
    pub store: CheckpointStore,
    /// Where the application starts without a checkpoint.
    pub initial_position: InitialPosition,
    /// The sources that ages may be derived from.
    pub age_from: AgeFrom,
    /// The minimum interval between two probes of a shard.
    pub probe_interval: Duration,
    /// The maximum of DynamoDB read units per second for reading the checkpoint table: 1 to 10,000.
    pub lease_table_read_units: NonZeroU32,
}

/// `initialPosition`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InitialPosition {
    /// At the oldest record.
    TrimHorizon,
    /// At the newest record when the consumer starts.
    Latest,
    /// At this time, in milliseconds since 1970.
    AtTimestamp(u64),
}

/// `ageFrom`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AgeFrom {
    /// From the time inside the checkpoint while that affects no decision; else from the first unread record.
    Auto(AgesOf),
    /// Always from the first unread record.
    Probe,
    /// Only from the time inside the checkpoint, so that no permission to read records is needed.
    SequenceNumber,
}

/// The ages that must be exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AgesOf {
    /// Only the greatest age must be exact.
    Oldest {
        /// Only ages above this must be exact.
        exact_above: Duration,
    },
    /// The age of each shard: it shows the capacity of its consumer.
    Each,
}

/// The values of `ageFrom`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AgeFromWord {
    Auto,
    Probe,
    SequenceNumber,
}

/// The values of `initialPosition`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PositionWord {
    TrimHorizon,
    Latest,
    AtTimestamp,
}

const AGE_FROM: Words<AgeFromWord> =
    &[("auto", AgeFromWord::Auto), ("probe", AgeFromWord::Probe), ("sequenceNumber", AgeFromWord::SequenceNumber)];
const POSITIONS: Words<PositionWord> = &[
    ("TRIM_HORIZON", PositionWord::TrimHorizon),
    ("LATEST", PositionWord::Latest),
    ("AT_TIMESTAMP", PositionWord::AtTimestamp),
];

const DEFAULT_AGE: Duration = Duration::from_secs(DEFAULT_AGE_SECONDS.unsigned_abs());
const SHORTEST_AGE: Duration = Duration::from_secs(1);
/// The longest retention of a Kinesis stream.
const LONGEST_AGE: Duration = Duration::from_secs(365 * 86_400);

const SHORTEST_PROBE: Duration = Duration::from_secs(1);
const LONGEST_PROBE: Duration = Duration::from_secs(600);
/// A DynamoDB stream's shard allows two readers, and its consumer is one of them.
const DYNAMODB_PROBE: Duration = Duration::from_secs(30);

/// At this budget a table of 100 leases is read every 10 s.
const DEFAULT_READ_UNITS: i64 = 5;
/// DynamoDB allows a table at most 40,000 units per second by default, most of which the application uses.
const MOST_READ_UNITS: u32 = 10_000;

/// Reads the stream to observe from the metadata.
pub(super) fn stream(metadata: &Metadata<'_>, dialect: AwsDialect) -> Option<StreamSource> {
    let (stream, access) = match dialect {
        AwsDialect::Kinesis => {
            let (stream, region) = KinesisStream::read(metadata);
            (stream.map(StreamName::Kinesis), AwsAccess::read(metadata, region))
        }
        AwsDialect::DynamoDb => {
            let access = AwsAccess::read(metadata, None);
            metadata.required("tableName");
            let region = access.as_ref().and_then(|access| access.region.as_deref());
            let table = aws_names::table(metadata, "tableName", region);
            (table.map(|table| StreamName::DynamoDb(table.into())), access)
        }
    };
    Some(StreamSource { stream: stream?, access: access? })
}

/// `scaleOn: shardCount`
pub(super) fn shard_count_policy(metadata: &Metadata<'_>, compat: Compat) -> Option<ShardCountPolicy> {
    // KEDA accepts a target of 0 or less, which the HPA then rejects: a problem now is better than no scaling later
    let threshold: Option<NonZeroU64> = positive(metadata.number("shardCount", DEFAULT_SHARD_COUNT, 1));
    let activation_threshold = metadata.integer("activationShardCount", 0);
    Some(ShardCountPolicy { threshold: threshold?, activation_threshold, compat })
}

/// `scaleOn: age`
pub(super) fn age_policy(metadata: &Metadata<'_>) -> AgePolicy {
    let threshold = metadata.duration("ageThreshold", DEFAULT_AGE, SHORTEST_AGE, LONGEST_AGE);
    if threshold.subsec_nanos() != 0 {
        metadata.problem("ageThreshold", "must be whole seconds");
    }
    AgePolicy { threshold, activation_threshold: activation_threshold(metadata) }
}

/// `activationAgeThreshold`
pub(super) fn activation_threshold(metadata: &Metadata<'_>) -> Duration {
    metadata.duration("activationAgeThreshold", Duration::ZERO, Duration::ZERO, LONGEST_AGE)
}

/// Reads the application to observe, for `scaleOn: age` and `catchUp`.
pub(super) fn application(metadata: &Metadata<'_>, dialect: AwsDialect, ages: AgesOf) -> Option<ApplicationSource> {
    let stream = stream(metadata, dialect);
    let store = CheckpointStore::read(metadata, stream.as_ref());
    let initial_position = initial_position(metadata);
    let (age_from, default_probe) = match dialect {
        AwsDialect::Kinesis => (metadata.word("ageFrom", AGE_FROM), SHORTEST_PROBE),
        AwsDialect::DynamoDb => {
            let word = metadata.word("ageFrom", AGE_FROM);
            if word == Some(AgeFromWord::SequenceNumber) {
                metadata.problem("ageFrom", "sequenceNumber is for Kinesis: numbers of DynamoDB Streams hold no time");
            }
            (word, DYNAMODB_PROBE)
        }
    };
    if age_from == Some(AgeFromWord::SequenceNumber) && ages == AgesOf::Each {
        let message = "sequenceNumber gives upper bounds only, which do not show what a consumer can process";
        metadata.problem("ageFrom", message);
    }
    let age_from = match age_from.unwrap_or(AgeFromWord::Auto) {
        AgeFromWord::Auto => AgeFrom::Auto(ages),
        AgeFromWord::Probe => AgeFrom::Probe,
        AgeFromWord::SequenceNumber => AgeFrom::SequenceNumber,
    };
    let probe_interval = metadata.duration("probeInterval", default_probe, SHORTEST_PROBE, LONGEST_PROBE);
    let lease_table_read_units = lease_table_read_units(metadata);
    Some(ApplicationSource {
        stream: stream?,
        store: store?,
        initial_position,
        age_from,
        probe_interval,
        lease_table_read_units: lease_table_read_units?,
    })
}

/// `leaseTableReadUnits`
fn lease_table_read_units(metadata: &Metadata<'_>) -> Option<NonZeroU32> {
    let units = metadata.number("leaseTableReadUnits", DEFAULT_READ_UNITS, 1);
    let units = u32::try_from(units).ok().filter(|units| *units <= MOST_READ_UNITS).and_then(NonZeroU32::new);
    if units.is_none() {
        metadata.problem("leaseTableReadUnits", format!("must be a whole number from 1 to {MOST_READ_UNITS}"));
    }
    units
}

fn initial_position(metadata: &Metadata<'_>) -> InitialPosition {
    let word = metadata.word("initialPosition", POSITIONS).unwrap_or(PositionWord::TrimHorizon);
    let time = metadata.text("initialTimestamp");
    match (word, time) {
        (PositionWord::AtTimestamp, None) => {
            metadata.problem("initialTimestamp", "is required for initialPosition AT_TIMESTAMP");
            InitialPosition::TrimHorizon
        }
        (PositionWord::AtTimestamp, Some(text)) => timestamp(text).map_or_else(
            || {
                let message = format!("{} must be a time such as 2026-01-31T12:00:00Z, from 1970 on", shown(text));
                metadata.problem("initialTimestamp", message);
                InitialPosition::TrimHorizon
            },
            InitialPosition::AtTimestamp,
        ),
        (PositionWord::TrimHorizon | PositionWord::Latest, Some(_)) => {
            metadata.problem("initialTimestamp", "is for initialPosition AT_TIMESTAMP only");
            InitialPosition::TrimHorizon
        }
        (PositionWord::TrimHorizon, None) => InitialPosition::TrimHorizon,
        (PositionWord::Latest, None) => InitialPosition::Latest,
    }
}

/// Parses an RFC 3339 time to milliseconds since 1970.
fn timestamp(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

impl AgePolicy {
    /// The age below which no age affects a decision.
    pub(super) fn exact_above(&self) -> Duration {
        match self.activation_threshold {
            Duration::ZERO => self.threshold,
            activation => activation.min(self.threshold),
        }
    }
}

impl StreamName {
    /// The name of the stream or the table, without its account.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Kinesis(stream) => stream.name(),
            Self::DynamoDb(table) => last_name(table),
        }
    }

    /// The name or the ARN, as given in the metadata.
    #[must_use]
    pub fn as_given(&self) -> &str {
        match self {
            Self::Kinesis(stream) => stream.as_given(),
            Self::DynamoDb(table) => table,
        }
    }
}

impl fmt::Display for StreamSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stream {
            StreamName::Kinesis(name) => write!(f, "stream {name}, "),
            StreamName::DynamoDb(name) => write!(f, "stream of table {name}, "),
        }?;
        self.access.fmt(f)
    }
}

impl fmt::Display for ApplicationSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checkpoints in {}, {}", self.store.table, self.stream)
    }
}
