//! The source of a scene: what the demo's clients connect to, and what it knows exactly about both sides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use keda_stream_scaler::trigger::Trigger;

use super::TOPIC;
use super::broker::{Broker, Partition};
use super::clock::Clock;
use super::kinesis::{Kinesis, Stream};
use super::periods::Periods;
use super::scene::Scene;
use super::trouble::{Trouble, Troubles};

/// The age from which records are deleted.
const OLD: Duration = Duration::from_secs(1);

/// The running source; dropping it closes all connections.
pub(super) enum Source {
    Kafka(Broker),
    Kinesis(Kinesis),
}

/// How a pod or the producer reaches the source.
#[derive(Clone)]
pub(super) enum Connection {
    /// The addresses of the brokers.
    Kafka(String),
    /// The stream itself, in memory.
    Kinesis(Arc<Stream>),
}

impl Source {
    pub(super) async fn start(scene: Scene, clock: Arc<Clock>) -> anyhow::Result<Self> {
        Ok(match scene {
            Scene::Kafka => Self::Kafka(Broker::start(clock).await.context("starting the embedded broker")?),
            Scene::Kinesis => Self::Kinesis(Kinesis::start(clock).await.context("starting the embedded stream")?),
        })
    }

    pub(super) fn connection(&self) -> Connection {
        match self {
            Self::Kafka(broker) => Connection::Kafka(broker.bootstrap_servers()),
            Self::Kinesis(kinesis) => Connection::Kinesis(kinesis.stream.clone()),
        }
    }

    /// Creates the topic or stream; both sides have read everything before these positions.
    pub(super) fn create(&self, begin: &[u64], groups: [&'static str; 2], periods: &Periods) -> anyhow::Result<()> {
        match self {
            Self::Kafka(broker) => {
                let begin: Vec<_> = begin.iter().map(|at| i64::try_from(*at)).collect::<Result<_, _>>()?;
                broker.create_topic(TOPIC, &begin);
                for group in groups {
                    broker.commit_all(group, TOPIC);
                }
            }
            Self::Kinesis(kinesis) => kinesis.stream.create(begin, groups, periods),
        }
        Ok(())
    }

    /// Returns the partitions or shards as a side has read them.
    pub(super) fn partitions(&self, group: &str) -> Vec<Partition> {
        match self {
            Self::Kafka(broker) => broker.partitions(group, TOPIC),
            Self::Kinesis(kinesis) => kinesis.stream.partitions(group),
        }
    }

    /// Returns the number of all records that ever arrived.
    pub(super) fn produced(&self) -> u64 {
        match self {
            Self::Kafka(broker) => broker.produced(TOPIC),
            Self::Kinesis(kinesis) => kinesis.stream.produced(),
        }
    }

    /// Returns the value of KEDA's trigger; `None` where it cannot be read.
    pub(super) fn value(&self, group: &str) -> Option<u64> {
        match self {
            Self::Kafka(broker) => broker.lag(group, TOPIC),
            Self::Kinesis(kinesis) => Some(kinesis.stream.open_shards()),
        }
    }

    /// Whether this many consumers of a side have joined and share its partitions or shards.
    pub(super) fn has_joined(&self, group: &str, consumers: u32) -> bool {
        let joined = match self {
            Self::Kafka(broker) => broker.members(group).unwrap_or_default(),
            Self::Kinesis(kinesis) => kinesis.stream.assign(group),
        };
        u32::try_from(joined).is_ok_and(|joined| joined == consumers)
    }

    /// Deletes records that both sides have read.
    pub(super) fn trim(&self, groups: [&str; 2]) {
        match self {
            Self::Kafka(broker) => broker.trim(TOPIC, &groups),
            Self::Kinesis(kinesis) => kinesis.stream.trim(),
        }
    }

    /// Begins and ends the troubles of the source itself.
    pub(super) fn disturb(&self, troubles: &Troubles, now: Duration) {
        match self {
            Self::Kafka(broker) => broker.pause(troubles.is_on(Trouble::Pause, now)),
            Self::Kinesis(kinesis) => kinesis.stream.throttle(troubles.is_on(Trouble::Throttle, now)),
        }
    }

    /// Deletes old records, and returns how many unread ones each side lost.
    pub(super) fn delete_old(&self, groups: [&str; 2]) -> [u64; 2] {
        match self {
            Self::Kafka(broker) => broker.delete_older(TOPIC, OLD, groups),
            Self::Kinesis(_) => [0, 0],
        }
    }
}

impl Connection {
    /// Returns the metadata of the trigger of keda-stream-scaler's side.
    pub(super) fn metadata(&self, group: &str, periods: &Periods) -> BTreeMap<&'static str, String> {
        match self {
            Self::Kafka(servers) => metadata(Scene::Kafka, servers, group, periods),
            Self::Kinesis(stream) => metadata(Scene::Kinesis, &format!("http://{}", stream.address), group, periods),
        }
    }
}

/// Returns the metadata of a trigger on a source at this address.
pub(super) fn metadata(scene: Scene, address: &str, group: &str, periods: &Periods) -> BTreeMap<&'static str, String> {
    let seconds = |time: Duration| format!("{}s", time.as_secs_f64());
    let text = str::to_owned;
    let source = match scene {
        Scene::Kafka => vec![
            ("source", text("kafka")),
            ("bootstrapServers", text(address)),
            ("consumerGroup", text(group)),
            ("topic", text(TOPIC)),
            ("offsetResetPolicy", text("earliest")),
        ],
        Scene::Kinesis => vec![
            ("source", text("aws-kinesis-stream")),
            ("streamName", text(TOPIC)),
            ("applicationName", text(group)),
            ("awsRegion", text("us-east-1")),
            ("awsEndpoint", text(address)),
            // the stand-in checks no signature
            ("awsAccessKeyID", text("demo")),
            ("awsSecretAccessKey", text("demo")),
        ],
    };
    let policy = [
        ("pollInterval", seconds(periods.poll)),
        ("scaleOn", text("catchUp")),
        ("maxAge", seconds(periods.promise)),
        ("scaleDownStabilizationWindow", seconds(periods.down_window)),
    ];
    source.into_iter().chain(policy).collect()
}

/// Parses the trigger of this metadata.
pub(super) fn trigger(metadata: &BTreeMap<&'static str, String>) -> anyhow::Result<Trigger> {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    Trigger::parse(&metadata).map_err(|problems| anyhow::anyhow!("{problems:?}"))
}
