//! The metadata of one trigger, typed; or everything that is wrong with it, at once.
//!
//! Pure: no I/O, no clock. [`SourceRef`] is what to observe, and the key by which readings are shared; [`Policy`] is how to
//! judge it, and never part of that key. The rules of KEDA's triggers are test data in `cases/`.

mod kafka;
pub mod keys;
mod metadata;
mod name;
mod partitions;
mod problem;
mod secret;
mod security;
mod syntax;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

pub use self::kafka::{
    AbsentTopics, Cap, ClusterRef, IsolationLevel, KafkaDialect, KafkaSource, OffsetReset, PersistentLag,
    TopicSelection, WithoutCommit, WithoutCommits,
};
use self::metadata::{Metadata, Secrets, Words};
pub use self::name::{MetricName, metric_name, metric_target};
pub use self::partitions::PartitionSelection;
pub use self::problem::{Problem, TriggerError};
pub use self::secret::Secret;
pub use self::security::{
    AwsCredentials, CertificateVerification, ClientIdentity, Credentials, KafkaSecurity, RequestedSecurity, Sasl, Tls,
    check_connection, resolve,
};
pub use self::syntax::parse_duration;

/// One parsed trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// What to observe.
    pub source: SourceRef,
    /// How to judge it.
    pub policy: Policy,
    /// How often to look and how long an answer lasts.
    pub pace: Pace,
}

/// What to observe: only what changes the reading, so that triggers on one stream share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SourceRef {
    /// A Kafka consumer group.
    Kafka(KafkaSource),
}

/// How to judge a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// By records behind.
    Lag(LagPolicy),
}

/// `scaleOn: lag`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LagPolicy {
    /// The target: records behind that one replica may have.
    pub threshold: NonZeroU64,
    /// The workload is active above this lag.
    pub activation_threshold: u64,
    /// Where consumers begin without a valid commit.
    pub offset_reset: OffsetReset,
    /// What a partition without a valid commit counts.
    pub without_commit: WithoutCommit,
    /// Which partitions count.
    pub partitions: PartitionSelection,
    /// What bounds the value.
    pub cap: Cap,
    /// What a partition whose commit stands still counts.
    pub persistent_lag: PersistentLag,
    /// The built-in's number, or the right one.
    pub compat: Compat,
}

/// `compat`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compat {
    /// The right number.
    Fixed,
    /// The number of KEDA v2.21, defects included.
    Strict,
}

/// How often to look and how long an answer lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// `pollInterval`: 2 s to 10 min.
    pub poll_interval: Duration,
    /// `maxStaleness`: up to 1 h, no shorter than twice the poll interval.
    pub max_staleness: Duration,
}

const SOURCES: Words<KafkaDialect> = &[("kafka", KafkaDialect::Kafka), ("apache-kafka", KafkaDialect::ApacheKafka)];
const COMPATS: Words<Compat> = &[("fixed", Compat::Fixed), ("strict", Compat::Strict)];
const SCALE_ON: Words<()> = &[("lag", ())];

const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(10);
const SHORTEST_POLL_INTERVAL: Duration = Duration::from_secs(2);
const LONGEST_POLL_INTERVAL: Duration = Duration::from_secs(600);
const DEFAULT_MAX_STALENESS: Duration = Duration::from_secs(60);
const LONGEST_MAX_STALENESS: Duration = Duration::from_secs(3600);

// === impl Trigger ===

impl Trigger {
    /// Reads a trigger from its metadata.
    ///
    /// # Errors
    /// Every problem of the metadata at once.
    pub fn parse(map: &HashMap<String, String>) -> Result<Self, TriggerError> {
        let metadata = Metadata::new(map);
        let trigger = Self::read(&metadata);
        metadata.finish(trigger, Secrets::Refused)
    }

    fn read(metadata: &Metadata<'_>) -> Option<Self> {
        metadata.required("source");
        let dialect = metadata.word("source", SOURCES);
        metadata.word("scaleOn", SCALE_ON);
        let compat = metadata.word("compat", COMPATS).unwrap_or(Compat::Fixed);
        let pace = Pace::read(metadata);
        // without a source the other keys are read as KEDA's first Kafka trigger reads them: most problems are the same
        let read_as = dialect.unwrap_or(KafkaDialect::Kafka);
        let source = kafka::source(metadata, read_as, compat);
        let policy = kafka::lag_policy(metadata, read_as, compat);
        dialect?;
        Some(Self { source: SourceRef::Kafka(source?), policy: Policy::Lag(policy?), pace })
    }
}

impl Pace {
    fn read(metadata: &Metadata<'_>) -> Self {
        let poll_interval =
            metadata.duration("pollInterval", DEFAULT_POLL_INTERVAL, SHORTEST_POLL_INTERVAL, LONGEST_POLL_INTERVAL);
        // an answer is up to one interval old while all is well, and a little older while the next reading is under way
        let shortest = poll_interval * 2;
        let default = DEFAULT_MAX_STALENESS.max(shortest);
        let max_staleness = metadata.duration("maxStaleness", default, shortest, LONGEST_MAX_STALENESS);
        Self { poll_interval, max_staleness }
    }
}

impl fmt::Display for SourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Kafka(source) = self;
        source.fmt(f)
    }
}
