//! What the broker knows about a group: exact, from its log and the commits.

use std::collections::BTreeMap;
use std::time::Duration;

use keda_stream_scaler::source::kafka::protocol::{Encoding, Reader};

use super::group::Group;
use super::{Broker, NODES};

/// The backlog of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) records: u64,
    /// The time since the oldest of these records arrived.
    pub(crate) age: Duration,
}

/// One partition, as a group has read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) unread: Unread,
    /// The offset of the next record to read.
    pub(crate) position: i64,
    /// The client id of the member that owns the partition.
    pub(crate) owner: Option<String>,
}

impl Broker {
    /// Returns the partitions of a topic, as `group` has read them.
    pub(crate) fn partitions(&self, group: &str, topic: &str) -> Vec<Partition> {
        let (topics, groups, now) = (self.cluster.topics(), self.cluster.groups(), self.cluster.now());
        let (Some(found), group) = (topics.get(topic), groups.get(group)) else { return Vec::new() };
        let owners = group.map(|group| owners(group, topic)).unwrap_or_default();
        let partition = |(partition, log): (i32, &super::Log)| {
            let position =
                group.and_then(|group| group.committed(topic, partition)).unwrap_or_default().max(log.start());
            let records = u64::try_from(log.end() - position).unwrap_or_default();
            let age = log.appended(position).map_or(Duration::ZERO, |came| now.saturating_duration_since(came));
            Partition { unread: Unread { records, age }, position, owner: owners.get(&partition).cloned() }
        };
        (0..).zip(&found.partitions).map(partition).collect()
    }

    /// Returns the exact backlog of a group: from its committed offsets, and from the start of the log where it has none.
    pub(crate) fn unread(&self, group: &str, topic: &str) -> Unread {
        self.partitions(group, topic).iter().fold(Unread::default(), |all, partition| Unread {
            records: all.records + partition.unread.records,
            age: all.age.max(partition.unread.age),
        })
    }

    /// Returns the lag as KEDA's Kafka trigger reads it, or `None` while a broker does not answer.
    pub(crate) fn lag(&self, group: &str, topic: &str) -> Option<u64> {
        let paused = NODES.into_iter().any(|node| self.cluster.is_paused(node));
        (!paused).then(|| self.unread(group, topic).records)
    }

    /// Returns the number of members that own partitions, once no rebalance is in progress.
    pub(crate) fn members(&self, group: &str) -> Option<usize> {
        let groups = self.cluster.groups();
        let group = groups.get(group)?;
        (group.state() == "Stable").then(|| group.members().count())
    }

    /// Commits the end of the log for a group that has read everything.
    pub(crate) fn commit_all(&self, group: &str, topic: &str) {
        let (topics, mut groups) = (self.cluster.topics(), self.cluster.groups());
        let group = groups.entry(group.to_owned()).or_default();
        for (partition, log) in (0..).zip(topics.get(topic).into_iter().flat_map(|topic| &topic.partitions)) {
            group.commit(topic, partition, log.end());
        }
    }

    /// Deletes the records that all these groups have read, as a stream processor does with its own topics.
    pub(crate) fn trim(&self, topic: &str, groups: &[&str]) {
        let (mut topics, all) = (self.cluster.topics(), self.cluster.groups());
        let Some(found) = topics.get_mut(topic) else { return };
        for (partition, log) in (0..).zip(&mut found.partitions) {
            let committed = |group: &&str| all.get(*group).and_then(|group| group.committed(topic, partition));
            if let Some(read) = groups.iter().map(|group| committed(group).unwrap_or_default()).min() {
                log.trim(read);
            }
        }
    }

    /// Deletes the records older than `age`, as retention does; returns how many unread ones each group lost.
    pub(crate) fn delete_older<const N: usize>(&self, topic: &str, age: Duration, groups: [&str; N]) -> [u64; N] {
        let before = groups.map(|group| self.unread(group, topic).records);
        let oldest = self.cluster.now().checked_sub(age);
        if let (Some(found), Some(oldest)) = (self.cluster.topics().get_mut(topic), oldest) {
            found.partitions.iter_mut().for_each(|log| log.expire(oldest));
        }
        let mut lost = groups.map(|group| self.unread(group, topic).records);
        lost.iter_mut().zip(before).for_each(|(after, before)| *after = before.saturating_sub(*after));
        lost
    }
}

/// Returns the client id of each partition's owner.
fn owners(group: &Group, topic: &str) -> BTreeMap<i32, String> {
    let mut owners = BTreeMap::new();
    for (_, member) in group.members() {
        for partition in assigned(&member.assignment, topic).unwrap_or_default() {
            owners.insert(partition, member.client_id.clone());
        }
    }
    owners
}

/// Parses an assignment of the consumer protocol.
fn assigned(bytes: &[u8], topic: &str) -> Option<Vec<i32>> {
    let mut reader = Reader::new(bytes, Encoding::Plain);
    let _version = reader.i16().ok()?;
    let topics = reader.list(|reader| Ok((reader.text()?.to_owned(), reader.list(Reader::i32)?))).ok()?;
    topics.into_iter().find(|(name, _)| name == topic).map(|(_, partitions)| partitions)
}
