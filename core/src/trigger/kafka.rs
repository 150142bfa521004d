//! `source: kafka` and `source: apache-kafka`: the parameters of KEDA's two Kafka triggers.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::addresses;
use super::dialect::KafkaDialect;
use super::metadata::{Metadata, Words, shown};
use super::name::{DEFAULT_LAG_THRESHOLD, positive};
use super::partitions::PartitionSelection;
use super::security::{RequestedSecurity, request};
use super::syntax::duration_text;
use super::{Activation, Compat, LagPolicy};

/// A consumer group whose lag is read, and its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KafkaSource {
    /// The cluster and the identity used for it.
    pub cluster: ClusterRef,
    /// The name of the group.
    pub group: Arc<str>,
    /// The type of the group; `None` is the type that the cluster reports.
    pub group_type: Option<GroupType>,
    /// The topics of the group that are read.
    pub topics: TopicSelection,
    /// The partitions of these topics that are read.
    pub partitions: PartitionSelection,
    /// The end of the log up to which records count.
    pub isolation: IsolationLevel,
    /// What a topic that does not exist means.
    pub absent_topics: AbsentTopics,
    /// Set for `scaleOn: catchUp`: the members are read too, and the partitions are tracked over time by these rules.
    pub consumers: Option<ResetRules>,
}

/// What a partition without a valid commit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResetRules {
    /// Where consumers start without a valid commit.
    pub offset_reset: OffsetReset,
    /// What a partition without a valid commit counts.
    pub without_commit: WithoutCommit,
}

/// A cluster, and the identity that connects to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterRef {
    /// The connection that has address and credentials.
    pub connection: Option<Arc<str>>,
    /// The brokers to contact first, sorted; never empty without a connection.
    pub bootstrap_servers: Vec<Arc<str>>,
    /// Which of KEDA's triggers wrote the metadata.
    pub dialect: KafkaDialect,
    /// The TLS and login settings of the metadata.
    pub security: RequestedSecurity,
}

/// The type of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GroupType {
    /// Each partition belongs to one member, by the classic or the consumer protocol (KIP-848).
    Consumer,
    /// Every member receives records of every partition, and acknowledges them one by one (KIP-932).
    Share,
}

/// The topics of a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicSelection {
    /// The named topics; sorted, never empty.
    Named(Arc<[Arc<str>]>),
    /// The topics for which the group has committed offsets or an assignment.
    OfGroup {
        /// What to do while there are no such topics.
        without_commits: WithoutCommits,
    },
}

/// What a group without commits and members means where no topic is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WithoutCommits {
    /// An error, because its topics are unknown.
    Fail,
    /// Every topic of the cluster, as KEDA counts.
    EveryTopicOfCluster,
}

/// What a topic that does not exist means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AbsentTopics {
    /// An error: the reading fails.
    Fail,
    /// The topic has no lag, as KEDA's apache-kafka counts.
    CountAsEmpty,
}

/// The end of the log up to which records count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IsolationLevel {
    /// Up to the high watermark, as KEDA.
    ReadUncommitted,
    /// Up to the last stable offset: open transactions do not count.
    ReadCommitted,
}

/// Where consumers start without a valid commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OffsetReset {
    /// At the end of the log, for new records only.
    Latest,
    /// At the start of the log.
    Earliest,
}

/// What a partition without a valid commit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WithoutCommit {
    /// 1 for `latest`, the whole log for `earliest`.
    CountsByResetPolicy,
    /// The partition counts nothing.
    CountsZero,
}

/// What a partition without progress of its commit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PersistentLag {
    /// The partition counts as any other.
    Counts,
    /// The partition counts for activation only.
    Excluded {
        /// The time without progress after which a partition is excluded.
        stall_window: Duration,
    },
}

/// The limit of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cap {
    /// No limit: idle consumers are allowed.
    None,
    /// As many replicas as there are partitions.
    Partitions,
    /// As many replicas as there are partitions with lag.
    PartitionsWithLag,
    /// Numbers of replicas that divide the partitions.
    EvenDistribution,
    /// Numbers of replicas that divide the partitions, up to the number of partitions with lag; `apache-kafka` only.
    EvenDistributionOverPartitionsWithLag,
}

const OFFSET_RESETS: Words<OffsetReset> = &[("latest", OffsetReset::Latest), ("earliest", OffsetReset::Earliest)];
const ISOLATION_LEVELS: Words<IsolationLevel> =
    &[("readUncommitted", IsolationLevel::ReadUncommitted), ("readCommitted", IsolationLevel::ReadCommitted)];

const GROUP_TYPES: Words<Option<GroupType>> =
    &[("auto", None), ("consumer", Some(GroupType::Consumer)), ("share", Some(GroupType::Share))];

const DEFAULT_STALL_WINDOW: Duration = Duration::from_secs(120);
const SHORTEST_STALL_WINDOW: Duration = Duration::from_secs(10);
const LONGEST_STALL_WINDOW: Duration = Duration::from_secs(86_400);

/// Reads the group to observe from the metadata.
pub(super) fn source(metadata: &Metadata<'_>, dialect: KafkaDialect, compat: Compat) -> Option<KafkaSource> {
    let security = request(metadata, dialect);
    if dialect == KafkaDialect::Kafka {
        unused_but_checked(metadata);
    }
    let connection: Option<Arc<str>> = metadata.text("connection").map(Arc::from);
    let bootstrap_servers = distinct(metadata.list("bootstrapServers"));
    addresses::check_brokers(metadata);
    if connection.is_none() {
        if bootstrap_servers.is_empty() {
            metadata.problem("bootstrapServers", "is required, unless a connection is named");
        }
        if security.needs_secrets() {
            let message = "needs credentials, which only a connection has; name one with the key connection";
            metadata.problem("sasl", message);
        }
    }
    let group = metadata.required("consumerGroup");
    let group_type = group_type(metadata, compat);
    let isolation = metadata.word("isolationLevel", ISOLATION_LEVELS).unwrap_or(IsolationLevel::ReadUncommitted);
    let as_built_in = compat == Compat::Strict;
    let absent_topics = match dialect {
        KafkaDialect::ApacheKafka if as_built_in => AbsentTopics::CountAsEmpty,
        _ => AbsentTopics::Fail,
    };
    let cluster = ClusterRef { connection, bootstrap_servers, dialect, security };
    let topics = topics(metadata, dialect, as_built_in);
    let partitions = PartitionSelection::parse(metadata, dialect, compat);
    Some(KafkaSource {
        cluster,
        group: group?.into(),
        group_type,
        topics,
        partitions,
        isolation,
        absent_topics,
        consumers: None,
    })
}

/// Reads `groupType`. The built-in triggers support consumer groups only.
fn group_type(metadata: &Metadata<'_>, compat: Compat) -> Option<GroupType> {
    let requested = metadata.word("groupType", GROUP_TYPES).flatten();
    if compat == Compat::Fixed {
        return requested;
    }
    if requested == Some(GroupType::Share) {
        metadata.problem("groupType", "share is unknown to KEDA: remove compat: strict");
    }
    Some(GroupType::Consumer)
}

fn topics(metadata: &Metadata<'_>, dialect: KafkaDialect, as_built_in: bool) -> TopicSelection {
    let names = match dialect {
        KafkaDialect::Kafka => distinct(metadata.text("topic").into_iter()),
        KafkaDialect::ApacheKafka => distinct(metadata.list("topic")),
    };
    for name in names.iter().filter(|name| !is_topic_name(name)) {
        // only source kafka reads a list as one name
        let hint = if name.contains(',') { "; a list of topics is for source apache-kafka" } else { "" };
        metadata
            .problem("topic", format!("{} is no name of a topic: 1 to 249 of a-z A-Z 0-9 . _ -{hint}", shown(name)));
    }
    if names.is_empty() {
        if metadata.text("topic").is_some() {
            metadata.problem("topic", "names no topic");
        }
        let without_commits = if as_built_in { WithoutCommits::EveryTopicOfCluster } else { WithoutCommits::Fail };
        return TopicSelection::OfGroup { without_commits };
    }
    TopicSelection::Named(names.into())
}

/// Sorted, so that triggers with the same names in another order share a reading.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Arc<str>> {
    let mut names: Vec<_> = names.map(Arc::from).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Kafka's rule for names of topics.
fn is_topic_name(name: &str) -> bool {
    let legal = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    legal && (1..=249).contains(&name.len()) && name != "." && name != ".."
}

/// Reads what a partition without a valid commit counts.
pub(super) fn reset_rules(metadata: &Metadata<'_>) -> ResetRules {
    let without_commit = if metadata.flag("scaleToZeroOnInvalidOffset") {
        WithoutCommit::CountsZero
    } else {
        WithoutCommit::CountsByResetPolicy
    };
    ResetRules {
        offset_reset: metadata.word("offsetResetPolicy", OFFSET_RESETS).unwrap_or(OffsetReset::Latest),
        without_commit,
    }
}

/// `activationLagThreshold`
pub(super) fn activation_threshold(metadata: &Metadata<'_>) -> Option<u64> {
    u64::try_from(metadata.number("activationLagThreshold", 0, 0)).ok()
}

/// `activationLagThreshold` with `scaleOn: catchUp`, which calculates with floats: they represent every whole number up to 2⁵³.
pub(super) fn catch_up_activation(metadata: &Metadata<'_>) -> Option<Activation> {
    const MOST: u64 = 1 << 53;
    let threshold = activation_threshold(metadata)?;
    if threshold > MOST {
        let text = shown(&threshold.to_string());
        let message = format!("{text} must be a whole number from 0 to {MOST} with scaleOn catchUp");
        metadata.problem("activationLagThreshold", message);
    }
    Some(Activation::Lag(threshold))
}

/// Reads the lag policy; the lag is read every `poll_interval`.
pub(super) fn lag_policy(
    metadata: &Metadata<'_>,
    dialect: KafkaDialect,
    compat: Compat,
    poll_interval: Duration,
) -> Option<LagPolicy> {
    let threshold: Option<NonZeroU64> = positive(metadata.number("lagThreshold", DEFAULT_LAG_THRESHOLD, 1));
    let activation_threshold = activation_threshold(metadata);
    let ResetRules { offset_reset, without_commit } = reset_rules(metadata);
    let stall_window = stall_window(metadata, poll_interval);
    let persistent_lag = if metadata.flag("excludePersistentLag") {
        PersistentLag::Excluded { stall_window }
    } else {
        PersistentLag::Counts
    };
    Some(LagPolicy {
        threshold: threshold?,
        activation_threshold: activation_threshold?,
        offset_reset,
        without_commit,
        cap: cap(metadata, dialect),
        persistent_lag,
        compat,
    })
}

/// Reads `stallWindow`. Several readings must show a stall, so a window contains at least two of them.
fn stall_window(metadata: &Metadata<'_>, poll_interval: Duration) -> Duration {
    let shortest = poll_interval * 2;
    let default = DEFAULT_STALL_WINDOW.max(shortest);
    let window = metadata.duration("stallWindow", default, SHORTEST_STALL_WINDOW, LONGEST_STALL_WINDOW);
    if window < shortest {
        let (shortest, longest) = (duration_text(shortest), duration_text(LONGEST_STALL_WINDOW));
        let range = format!("must be two poll intervals at least, from {shortest} to {longest}");
        metadata.problem("stallWindow", format!("{range}; raise it, or lower pollInterval"));
    }
    window
}

fn cap(metadata: &Metadata<'_>, dialect: KafkaDialect) -> Cap {
    let idle = metadata.flag("allowIdleConsumers");
    let with_lag = metadata.flag("limitToPartitionsWithLag");
    let even = metadata.flag("ensureEvenDistributionOfPartitions");
    let no_topic = metadata.text("topic").is_none();
    if metadata.text("groupType") == Some("share") {
        let keys = [("limitToPartitionsWithLag", with_lag), ("ensureEvenDistributionOfPartitions", even)];
        for (key, _) in keys.into_iter().filter(|(_, set)| *set) {
            metadata.problem(key, "has no meaning for a share group: every consumer reads every partition");
        }
    }
    if with_lag && idle {
        metadata.problem("limitToPartitionsWithLag", "cannot be set together with allowIdleConsumers");
    }
    if with_lag && no_topic {
        metadata.problem("limitToPartitionsWithLag", "needs a topic");
    }
    if even && dialect == KafkaDialect::Kafka {
        if no_topic {
            metadata.problem("ensureEvenDistributionOfPartitions", "needs a topic");
        }
        if with_lag {
            let message = "cannot be set together with limitToPartitionsWithLag";
            metadata.problem("ensureEvenDistributionOfPartitions", message);
        }
    }
    match (even, with_lag, idle) {
        (true, true, _) => Cap::EvenDistributionOverPartitionsWithLag,
        (true, false, _) => Cap::EvenDistribution,
        (false, true, _) => Cap::PartitionsWithLag,
        (false, false, false) => Cap::Partitions,
        (false, false, true) => Cap::None,
    }
}

/// Checks `version` and `fullMetadata`: KEDA rejects invalid values; valid ones have no effect here.
fn unused_but_checked(metadata: &Metadata<'_>) {
    if let Some(version) = metadata.text("version").filter(|version| !is_kafka_version(version)) {
        metadata.problem("version", format!("{} must be a version such as 2.8.0 or 0.11.0.2", shown(version)));
    }
    let full = metadata.text("fullMetadata").is_none() || metadata.flag("fullMetadata");
    if !full && metadata.text("topic").is_none() {
        metadata.problem("fullMetadata", "needs a topic where it is false");
    }
}

/// sarama's `ParseKafkaVersion`: `0.x.y.z`, or `x.y.z` with another first digit. The numbers have 64 bits.
fn is_kafka_version(version: &str) -> bool {
    let numbers: Vec<_> = version.split('.').collect();
    let digits = |number: &&str| number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse::<u64>().is_ok();
    let wanted = match numbers.first() {
        Some(&"0") => 4,
        Some(first) if !first.starts_with('0') => 3,
        _ => return false,
    };
    numbers.len() == wanted && numbers.iter().all(digits)
}

impl fmt::Display for KafkaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}, ", self.group)?;
        match &self.topics {
            TopicSelection::Named(topics) => write!(f, "topic {}, ", topics.join(",")),
            TopicSelection::OfGroup { .. } => write!(f, "all its topics, "),
        }?;
        self.cluster.fmt(f)
    }
}

impl fmt::Display for ClusterRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.connection {
            Some(connection) => write!(f, "connection {connection}"),
            None => write!(f, "at {}", self.bootstrap_servers.join(",")),
        }
    }
}
