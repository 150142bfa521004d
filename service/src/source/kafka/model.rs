//! Brokers, topics, groups and their progress: the types that the protocol and the transport share.

use std::collections::HashMap;
use std::sync::Arc;

use crate::lag::{Offset, PartitionId, TopicId};
use crate::trigger::GroupType;

/// The name of a topic; shared, because a round repeats it for every partition.
pub type TopicName = Arc<str>;
/// The id of a consumer group.
pub type GroupId = Arc<str>;

/// Values by name. A round looks each name up about twenty times, so the hash is a fast one; its seed differs per process.
pub(super) type ByName<V> = HashMap<Arc<str>, V, foldhash::fast::RandomState>;

/// One partition of a named topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The name of the topic.
    pub topic: TopicName,
    /// The partition's number in the topic.
    pub partition: PartitionId,
}

/// Values by key, in the order of the keys; each key has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered<K, V>(Vec<(K, V)>);

/// Values of the partitions of one topic.
pub type ByPartition<V> = Ordered<PartitionId, V>;

/// Values of partitions by topic.
pub type ByTopic<V> = Ordered<TopicName, ByPartition<V>>;

/// A key by which values are ordered.
pub trait Key: Ord {
    /// Returns the key's index if no key before it is missing; `None` where that is not known.
    fn usual_position(&self) -> Option<usize>;
}

impl Key for PartitionId {
    fn usual_position(&self) -> Option<usize> {
        usize::try_from(self.0).ok()
    }
}

impl Key for TopicName {
    fn usual_position(&self) -> Option<usize> {
        None
    }
}

impl<K: Key, V> Ordered<K, V> {
    /// Returns all keys with their values, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[(K, V)] {
        &self.0
    }

    /// Returns the value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.position(key).map(|position| &self.0[position].1)
    }

    /// Returns a mutable reference to the value of a key.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.position(key).map(|position| &mut self.0[position].1)
    }

    /// Adds a value. Appending a key after all others is the fastest.
    pub fn insert(&mut self, key: K, value: V) {
        if self.0.last().is_none_or(|(last, _)| *last < key) {
            return self.0.push((key, value));
        }
        match self.0.binary_search_by(|(at, _)| at.cmp(&key)) {
            Ok(position) => self.0[position].1 = value,
            Err(position) => self.0.insert(position, (key, value)),
        }
    }

    /// Maps the values of these keys, which are in order; keys without a value get `None`.
    pub(crate) fn each_of<'a, W>(
        self,
        keys: impl Iterator<Item = &'a K> + Clone,
        mut each: impl FnMut(Option<V>) -> W,
    ) -> Ordered<K, W>
    where
        K: Clone + 'a,
    {
        if self.0.iter().map(|(key, _)| key).eq(keys.clone()) {
            return Ordered(self.0.into_iter().map(|(key, value)| (key, each(Some(value)))).collect());
        }
        let mut values = self.0.into_iter().peekable();
        let value = |key: &K| {
            while values.next_if(|(at, _)| at < key).is_some() {}
            let value = values.next_if(|(at, _)| at == key).map(|(_, value)| value);
            (key.clone(), each(value))
        };
        Ordered(keys.map(value).collect())
    }

    fn order(&mut self) {
        if self.0.is_sorted_by(|(one, _), (other, _)| one < other) {
            return;
        }
        self.0.sort_by(|(one, _), (other, _)| one.cmp(other));
        // the later one of two values counts
        self.0.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
    }

    fn position(&self, key: &K) -> Option<usize> {
        let usual = key.usual_position().filter(|&position| self.0.get(position).is_some_and(|(at, _)| at == key));
        usual.or_else(|| self.0.binary_search_by(|(at, _)| at.cmp(key)).ok())
    }
}

impl<K, V> Default for Ordered<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Key, V> Extend<(K, V)> for Ordered<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, values: I) {
        if self.0.is_empty() {
            self.0 = values.into_iter().collect();
        } else {
            self.0.extend(values);
        }
        self.order();
    }
}

impl<K: Key, V> FromIterator<(K, V)> for Ordered<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(values: I) -> Self {
        let mut all = Self(values.into_iter().collect());
        all.order();
        all
    }
}

impl<K, V> IntoIterator for Ordered<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The number of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BrokerId(pub i32);

/// A broker as the cluster's metadata names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// The broker's number in the cluster.
    pub id: BrokerId,
    /// The host that it advertises to clients.
    pub host: String,
    /// The port that it advertises to clients.
    pub port: u16,
}

/// The number of leaders that a partition has had. A recreated topic begins again at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaderEpoch(pub u32);

impl LeaderEpoch {
    /// Converts the wire value; Kafka writes -1 where the epoch is not known.
    pub(crate) fn from_wire(wire: i32) -> Option<Self> {
        u32::try_from(wire).ok().map(Self)
    }
}

/// The broker that leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The number of the broker.
    pub broker: BrokerId,
    /// The leader epoch; brokers before 2.1 do not report it.
    pub epoch: Option<LeaderEpoch>,
}

/// An offset, and the leader epoch that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetAndEpoch {
    /// The offset of a record.
    pub offset: Offset,
    /// For a committed offset the epoch of the last consumed record, for a log end the leader's epoch; not every client and
    /// broker reports it.
    pub epoch: Option<LeaderEpoch>,
}

/// A topic as the cluster's metadata describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The topic's id; brokers before 2.8 report none.
    pub id: Option<TopicId>,
    /// Each partition with its leader, if it has one now.
    pub partitions: ByPartition<Option<Leader>>,
}

impl Topic {
    /// Returns the partition numbers, in order.
    #[must_use]
    pub fn numbers(&self) -> Arc<[PartitionId]> {
        self.partitions.as_slice().iter().map(|&(partition, _)| partition).collect()
    }

    /// Returns the leader of a partition, if it has one now.
    #[must_use]
    pub fn leader(&self, partition: PartitionId) -> Option<Leader> {
        self.partitions.get(&partition).copied().flatten()
    }
}

/// A request for the committed offsets of a group.
#[derive(Clone, Debug)]
pub struct GroupAsk {
    /// The id of the group.
    pub group: GroupId,
    /// The partitions whose offsets are requested.
    pub partitions: PartitionsAsk,
}

/// The partitions of a [`GroupAsk`].
#[derive(Clone, Debug)]
pub enum PartitionsAsk {
    /// These partitions; the answer has a row for each.
    Named(Vec<TopicPartitions>),
    /// All partitions that the group has committed and the principal may see.
    AllCommitted,
}

impl PartitionsAsk {
    /// Returns the partitions, where they are named.
    #[must_use]
    pub fn named(&self) -> Option<&[TopicPartitions]> {
        match self {
            Self::Named(topics) => Some(topics),
            Self::AllCommitted => None,
        }
    }
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    /// The topic's name.
    pub name: TopicName,
    /// The topic's id; with it, commits for a deleted topic of the same name do not count.
    pub id: Option<TopicId>,
    /// The partition numbers, in order.
    pub partitions: Arc<[PartitionId]>,
}

/// The progress of a group in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The group has no committed offset, or has not read the partition.
    None,
    /// The committed offset of a consumer group.
    Committed(OffsetAndEpoch),
    /// The number of records that a share group has not acknowledged.
    Unacknowledged(u64),
}

/// A group as its coordinator describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// The type of the group; `None` where the group does not exist.
    pub group_type: Option<GroupType>,
    /// The state that the coordinator reports, such as `Stable`, `Empty` or `Dead`.
    pub state: String,
    /// The members and their assignments.
    pub members: Vec<GroupMember>,
}

impl GroupState {
    /// Whether partitions are being assigned, so that their owners are unknown.
    pub(crate) fn rebalancing(&self) -> bool {
        let unassigned = self.members.iter().all(|member| member.assignment.is_empty());
        !self.members.is_empty() && unassigned && self.state != "Stable"
    }
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The member id that the coordinator assigns, a new one each time the member joins.
    pub id: String,
    /// The client id that the application set.
    pub client_id: String,
    /// The partitions that are assigned to the member.
    pub assignment: Vec<TopicPartition>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: &[(u32, char)]) -> ByPartition<char> {
        of.iter().map(|&(partition, value)| (PartitionId(partition), value)).collect()
    }

    #[test]
    fn values_are_ordered_by_partition_and_the_last_one_of_a_partition_counts() {
        let mut of = values(&[(7, 'a'), (2, 'b'), (7, 'c'), (0, 'd')]);
        assert_eq!(of, values(&[(0, 'd'), (2, 'b'), (7, 'c')]));
        of.extend([(PartitionId(2), 'e'), (PartitionId(1), 'f')]);
        for (partition, value) in [(9, 'g'), (3, 'h'), (2, 'i')] {
            of.insert(PartitionId(partition), value);
        }
        assert_eq!(of, values(&[(0, 'd'), (1, 'f'), (2, 'i'), (3, 'h'), (7, 'c'), (9, 'g')]));
    }

    #[test]
    fn a_value_is_found_whether_partitions_are_left_out_or_not() {
        for of in
            [values(&[(0, 'a'), (1, 'b'), (2, 'c')]), values(&[(2, 'c'), (9, 'd')]), values(&[(0, 'a'), (2, 'c')])]
        {
            assert_eq!(of.get(&PartitionId(2)), Some(&'c'), "{of:?}");
            assert_eq!(of.get(&PartitionId(5)), None, "{of:?}");
        }
    }

    #[test]
    fn each_partition_gets_its_own_value_or_none() {
        let came = values(&[(0, 'a'), (3, 'b'), (4, 'c')]);
        let wanted = [1, 3, 4, 6].map(PartitionId);
        let each: Vec<_> = came.each_of(wanted.iter(), |value| value).into_iter().collect();
        assert_eq!(each, wanted.into_iter().zip([None, Some('b'), Some('c'), None]).collect::<Vec<_>>());
    }
}
