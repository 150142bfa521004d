//! Which topics a group reads, for triggers that name none.
//!
//! A topic that the principal may not see is left out of a group's committed offsets without an error, so that list alone is
//! not trusted: what members were given counts too, and a topic that was seen once stays until the cluster says it is gone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::job::failed;
use super::transport::{ClusterTransport, GroupAsk, GroupId, PartitionsAsk, RowError, TopicName, TopicsAsk};
use crate::lag::{FORGET_AFTER, SourceError, SourceErrorKind};
use crate::trigger::{SourceRef, TopicSelection, WithoutCommits};

/// New topics of a group are seen after this long at the latest.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(3);

/// The topics of groups, as last seen.
#[derive(Debug, Default)]
pub(super) struct GroupTopics {
    seen: Mutex<HashMap<GroupId, Seen>>,
}

#[derive(Debug)]
struct Seen {
    topics: BTreeSet<TopicName>,
    read_at: Instant,
}

/// The topics of the groups of one round.
#[derive(Default)]
pub(super) struct Found {
    groups: HashMap<GroupId, Result<BTreeSet<TopicName>, RowError>>,
    cluster: Option<Result<BTreeSet<TopicName>, RowError>>,
}

impl GroupTopics {
    fn seen(&self) -> MutexGuard<'_, HashMap<GroupId, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the topics of those sources that name none.
    pub(super) async fn read<T: ClusterTransport>(&self, transport: &T, due: &[Arc<SourceRef>]) -> Found {
        let mut found = Found::default();
        let mut whole_cluster = false;
        let mut unread = HashSet::new();
        for source in due {
            let SourceRef::Kafka(kafka) = source.as_ref() else { continue };
            let TopicSelection::OfGroup { without_commits } = kafka.topics else { continue };
            whole_cluster |= without_commits == WithoutCommits::EveryTopicOfCluster;
            match self.seen().get(&kafka.group) {
                Some(seen) if !seen.topics.is_empty() && seen.read_at.elapsed() < READ_AGAIN_AFTER => {
                    found.groups.insert(kafka.group.clone(), Ok(seen.topics.clone()));
                }
                _ => drop(unread.insert(kafka.group.clone())),
            }
        }
        if !unread.is_empty() {
            self.ask(transport, unread.into_iter().collect(), &mut found).await;
        }
        if whole_cluster && found.groups.values().any(|topics| topics.as_ref().is_ok_and(BTreeSet::is_empty)) {
            let rows = transport.topics(TopicsAsk::All, DEADLINE).await;
            found.cluster = Some(rows.map(|rows| rows.into_iter().map(|(name, _)| name).collect()));
        }
        found
    }

    async fn ask<T: ClusterTransport>(&self, transport: &T, groups: Vec<GroupId>, found: &mut Found) {
        let asks =
            groups.iter().map(|group| GroupAsk { group: group.clone(), partitions: PartitionsAsk::AllCommitted });
        let mut committed = transport.committed(asks.collect(), DEADLINE);
        let mut members = transport.groups(groups.clone(), DEADLINE);
        while let Some((group, rows)) = committed.recv().await {
            let topics = rows.map(|rows| rows.into_iter().map(|(partition, _)| partition.topic).collect());
            found.groups.insert(group, topics);
        }
        while let Some((group, state)) = members.recv().await {
            let Some(Ok(topics)) = found.groups.get_mut(&group) else { continue };
            match state {
                Ok(state) => {
                    let assigned = state.members.into_iter().flat_map(|member| member.assignment);
                    topics.extend(assigned.map(|partition| partition.topic));
                }
                // brokers that cannot describe groups still tell their commits
                Err(RowError::Broker(_) | RowError::Gone(_)) => {}
                Err(error) => drop(found.groups.insert(group, Err(error))),
            }
        }
        let mut seen = self.seen();
        seen.retain(|_, seen| seen.read_at.elapsed() < FORGET_AFTER);
        for group in groups {
            let unanswered = || Err(RowError::Overdue("no answer".into()));
            let Ok(topics) = found.groups.entry(group.clone()).or_insert_with(unanswered) else { continue };
            let read_at = Instant::now();
            let seen = seen.entry(group).or_insert_with(|| Seen { topics: BTreeSet::new(), read_at });
            seen.read_at = read_at;
            seen.topics.append(&mut topics.clone());
            topics.clone_from(&seen.topics);
        }
    }

    /// The cluster refused a topic: one that is gone is no topic of any group any more, one that is denied stays an error.
    pub(super) fn refused(&self, topic: &TopicName, error: &RowError) {
        if matches!(error, RowError::Gone(_)) {
            for seen in self.seen().values_mut() {
                seen.topics.remove(topic);
            }
        }
    }
}

impl Found {
    /// The topics of a group.
    pub(super) fn topics(
        &self,
        group: &GroupId,
        without_commits: WithoutCommits,
        source: &SourceRef,
    ) -> Result<BTreeSet<TopicName>, SourceError> {
        let refused = |error: &RowError| failed(format!("could not read the topics of {source}"), error);
        let topics = match self.groups.get(group) {
            Some(topics) => topics.as_ref().map_err(refused)?,
            None => return Err(refused(&RowError::Overdue("no answer".into()))),
        };
        match (topics.is_empty(), without_commits, &self.cluster) {
            (false, ..) => Ok(topics.clone()),
            (true, WithoutCommits::EveryTopicOfCluster, Some(all)) => all.clone().map_err(|error| refused(&error)),
            (true, ..) => {
                let attempt = format!("the topics of {source} are unknown: it has no committed offset and no member");
                Err(SourceError::new(SourceErrorKind::Missing, attempt).remedy("name them with topic"))
            }
        }
    }
}
