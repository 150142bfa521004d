//! The topics that a group reads, for triggers that name none.
//!
//! The broker omits a topic that the principal may not see from a group's committed offsets without an error, so that list alone is
//! not sufficient: the members' assignments count too, and a topic that was seen before counts until its own committed offsets
//! are gone, or the topic is.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::cluster::SourceTopics;
use super::pending_reading::failed;
use super::transport::{
    ClusterTransport, GroupAsk, GroupId, GroupState, PartitionsAsk, Progress, ProgressRows, RowError, TopicName,
    TopicPartitions, TopicsAsk,
};
use crate::lag::{FORGET_AFTER, Report, SourceError, SourceErrorKind};
use crate::trigger::{GroupType, SourceRef, TopicSelection, WithoutCommits};

/// The maximum time until new topics of a group are noticed.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(3);

type TopicNames = BTreeSet<TopicName>;

/// The last known topics of groups.
#[derive(Debug, Default)]
pub(super) struct GroupTopics {
    seen: Mutex<HashMap<GroupId, Seen>>,
}

#[derive(Debug)]
struct Seen {
    topics: TopicNames,
    read_at: Instant,
}

/// The topics to which a group has committed, if it is a consumer group, and its state.
type Answer = (Result<TopicNames, RowError>, Result<GroupState, RowError>);

/// The answers about a group that have arrived.
#[derive(Default)]
struct Answers {
    committed: Option<Result<TopicNames, RowError>>,
    state: Option<Result<GroupState, RowError>>,
}

/// The search for the topics of the groups of one round.
struct Search<'a, T> {
    transport: &'a T,
    known: &'a GroupTopics,
    report: &'a Report,
    found: UnboundedSender<SourceTopics>,
    /// Every topic of the cluster, once it is needed.
    cluster: OnceCell<Result<TopicNames, RowError>>,
}

impl GroupTopics {
    /// Finds the topics of these sources; each continues as soon as its own group has an answer.
    pub(super) async fn find<T: ClusterTransport>(
        &self,
        transport: &T,
        sources: Vec<Arc<SourceRef>>,
        report: &Report,
        found: UnboundedSender<SourceTopics>,
    ) {
        let mut waiting: HashMap<GroupId, Vec<Arc<SourceRef>>> = HashMap::new();
        for source in sources {
            let SourceRef::Kafka(kafka) = source.as_ref() else { continue };
            waiting.entry(kafka.group.clone()).or_default().push(source.clone());
        }
        let search = Search { transport, known: self, report, found, cluster: OnceCell::new() };
        let mut going_on = FuturesUnordered::new();
        for (group, topics) in self.fresh(waiting.keys()) {
            let sources = waiting.remove(&group).unwrap_or_default();
            going_on.push(Either::Left(search.pass_on(sources, Ok(topics))));
        }
        let groups: Vec<_> = waiting.keys().cloned().collect();
        let all = |group: &GroupId| GroupAsk { group: group.clone(), partitions: PartitionsAsk::AllCommitted };
        let mut committed = transport.progress(GroupType::Consumer, groups.iter().map(all).collect(), DEADLINE);
        let mut members = transport.groups(groups, DEADLINE);
        let mut answers: HashMap<GroupId, Answers> = HashMap::new();
        loop {
            let group = tokio::select! {
                Some((group, rows)) = committed.recv() => {
                    answers.entry(group.clone()).or_default().committed = Some(rows.map(topics_of));
                    group
                }
                Some((group, state)) = members.recv() => {
                    answers.entry(group.clone()).or_default().state = Some(state);
                    group
                }
                Some(()) = going_on.next() => continue,
                else => break,
            };
            if let Some(answer) = answers.get_mut(&group).and_then(Answers::take)
                && let Some(sources) = waiting.remove(&group)
            {
                going_on.push(Either::Right(search.settle(group, sources, answer)));
            }
        }
        for sources in waiting.into_values() {
            search.pass_on(sources, Err(RowError::Overdue("no answer".into()))).await;
        }
    }

    /// Forgets groups that no source has read within [`FORGET_AFTER`].
    pub(super) fn prune(&self, now: Instant) {
        self.seen.lock().retain(|_, seen| now.duration_since(seen.read_at) < FORGET_AFTER);
    }

    /// Returns the groups whose topics need no new read yet, with these topics.
    fn fresh<'a>(&self, groups: impl Iterator<Item = &'a GroupId>) -> Vec<(GroupId, TopicNames)> {
        let seen = self.seen.lock();
        let fresh = groups.filter_map(|group| {
            let seen = seen.get(group)?;
            let good = !seen.topics.is_empty() && seen.read_at.elapsed() < READ_AGAIN_AFTER;
            good.then(|| (group.clone(), seen.topics.clone()))
        });
        fresh.collect()
    }

    /// Handles a topic that the cluster refused: a deleted topic is removed from every group, a denied one stays an error.
    pub(super) fn refused(&self, topic: &TopicName, error: &RowError) {
        if matches!(error, RowError::Gone(_)) {
            for seen in self.seen.lock().values_mut() {
                seen.topics.remove(topic);
            }
        }
    }
}

impl Answers {
    /// Returns both answers once they have arrived.
    fn take(&mut self) -> Option<Answer> {
        if self.committed.is_none() || self.state.is_none() {
            return None;
        }
        Some((self.committed.take()?, self.state.take()?))
    }
}

fn topics_of(rows: ProgressRows) -> TopicNames {
    rows.into_iter().map(|(topic, _)| topic).collect()
}

impl<T: ClusterTransport> Search<'_, T> {
    /// Stores the topics of a group, and passes its sources on.
    async fn settle(&self, group: GroupId, sources: Vec<Arc<SourceRef>>, answer: Answer) {
        let topics = self.topics(&group, answer).await;
        if let Ok(topics) = &topics {
            self.known.seen.lock().insert(group, Seen { topics: topics.clone(), read_at: Instant::now() });
        }
        self.pass_on(sources, topics).await;
    }

    /// Returns the topics of a group: those that it has read, and those that its members are assigned.
    async fn topics(&self, group: &GroupId, (committed, state): Answer) -> Result<TopicNames, RowError> {
        let (group_type, assigned) = match state {
            Ok(state) => {
                let assigned = state.members.into_iter().flat_map(|member| member.assignment);
                (state.group_type, assigned.map(|partition| partition.topic).collect())
            }
            // brokers that cannot describe groups still report their commits
            Err(RowError::Broker(_) | RowError::Unsupported(_) | RowError::Gone(_)) => (None, TopicNames::new()),
            Err(error) => return Err(error),
        };
        let group_type = group_type.unwrap_or(GroupType::Consumer);
        let read = match group_type {
            GroupType::Consumer => committed?,
            GroupType::Share => topics_of(self.progress(group_type, group, PartitionsAsk::AllCommitted).await?),
        };
        self.with_hidden(group_type, group, &read | &assigned).await
    }

    async fn progress(
        &self,
        of: GroupType,
        group: &GroupId,
        partitions: PartitionsAsk,
    ) -> Result<ProgressRows, RowError> {
        let ask = GroupAsk { group: group.clone(), partitions };
        let rows = self.transport.progress(of, vec![ask], DEADLINE).recv().await;
        rows.map_or_else(|| Err(RowError::Overdue("no answer".into())), |(_, rows)| rows)
    }

    /// Adds the topics that were seen before and are missing now, unless the group has no committed offset for them any more.
    async fn with_hidden(
        &self,
        group_type: GroupType,
        group: &GroupId,
        mut topics: TopicNames,
    ) -> Result<TopicNames, RowError> {
        let before = self.known.seen.lock().get(group).map(|seen| seen.topics.clone()).unwrap_or_default();
        let missing: Vec<_> = before.difference(&topics).cloned().collect();
        if missing.is_empty() {
            return Ok(topics);
        }
        let mut asked = Vec::new();
        for (name, row) in self.transport.topics(TopicsAsk::Named(missing), DEADLINE).await? {
            match row {
                Ok(topic) => {
                    asked.push(TopicPartitions { name, id: topic.id, partitions: topic.numbers() });
                }
                Err(RowError::Gone(_)) => {}
                // the readings of the topic report its error
                Err(_) => drop(topics.insert(name)),
            }
        }
        if asked.is_empty() {
            return Ok(topics);
        }
        let rows = self.progress(group_type, group, PartitionsAsk::Named(asked)).await?;
        let still = rows.into_iter().filter(|(_, of)| of.as_slice().iter().any(|(_, row)| *row != Ok(Progress::None)));
        topics.extend(still.map(|(topic, _)| topic));
        Ok(topics)
    }

    async fn pass_on(&self, sources: Vec<Arc<SourceRef>>, topics: Result<TopicNames, RowError>) {
        for source in sources {
            match self.topics_for(&source, &topics).await {
                // the receiver reads for as long as sources arrive
                Ok(topics) => drop(self.found.send((source, topics.into_iter().collect()))),
                Err(error) => (self.report)(&source, Err(error)),
            }
        }
    }

    async fn topics_for(
        &self,
        source: &SourceRef,
        topics: &Result<TopicNames, RowError>,
    ) -> Result<TopicNames, SourceError> {
        let refused = |error: &RowError| failed(format!("could not read the topics of {source}"), error);
        let topics = topics.as_ref().map_err(refused)?;
        if !topics.is_empty() {
            return Ok(topics.clone());
        }
        let every = TopicSelection::OfGroup { without_commits: WithoutCommits::EveryTopicOfCluster };
        match source {
            SourceRef::Kafka(kafka) if kafka.topics == every => {
                self.every_topic().await.map_err(|error| refused(&error))
            }
            _ => {
                let attempt = format!("the topics of {source} are unknown: it has no committed offset and no member");
                Err(SourceError::new(SourceErrorKind::Missing, attempt).remedy("name them with topic"))
            }
        }
    }

    async fn every_topic(&self) -> Result<TopicNames, RowError> {
        let read = || async {
            let rows = self.transport.topics(TopicsAsk::All, DEADLINE).await?;
            Ok(rows.into_iter().map(|(name, _)| name).collect())
        };
        self.cluster.get_or_init(read).await.clone()
    }
}
