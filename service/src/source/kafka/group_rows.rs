//! The coordinators' answers about the groups of a round: the progress of each, its members where they are needed, and its type
//! until that is certain.
//!
//! Everything is requested at once, and each group continues as soon as its own answers have arrived.

use std::collections::BTreeSet;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc::{self, UnboundedSender};

use super::group_types::Knowledge;
use super::model::ByName;
use super::pending_reading::{PendingReading, failed};
use super::topics::Topics;
use super::transport::{
    ClusterTransport, GroupAsk, GroupId, GroupState, PartitionsAsk, Progress, ProgressRows, RowError, TopicPartitions,
};
use crate::lag::{Report, SourceError, SourceErrorKind};
use crate::trigger::GroupType;

const DEADLINE: Duration = Duration::from_secs(3);

/// The answers about groups of one known or assumed type, as they arrive.
pub(super) struct GroupRows<'a, T> {
    topics: &'a Topics<T>,
    report: &'a Report,
    ready: UnboundedSender<PendingReading>,
    group_type: GroupType,
    waiting: ByName<Group>,
    /// Groups that turned out to be of the other type.
    others: FuturesUnordered<BoxFuture<'a, ()>>,
}

/// A group that waits for answers.
struct Group {
    jobs: Vec<PendingReading>,
    /// Whether its type was certain before.
    certain: bool,
    progress: Option<Result<Arc<ProgressRows>, RowError>>,
    state: Option<Result<GroupState, RowError>>,
}

/// One answer about a group.
enum Row {
    Progress(Result<ProgressRows, RowError>),
    State(Result<GroupState, RowError>),
}

/// Reads the groups of these jobs, and passes each job on as soon as its group is read; failed jobs are reported.
pub(super) async fn read<T: ClusterTransport>(
    topics: &Topics<T>,
    jobs: Vec<PendingReading>,
    report: &Report,
    ready: UnboundedSender<PendingReading>,
) {
    let rows = |group_type| GroupRows::new(topics, group_type, report, ready.clone());
    let [mut consumers, mut shares] = [GroupType::Consumer, GroupType::Share].map(rows);
    drop(ready);
    for job in jobs {
        let (group_type, certain) = match topics.group_types.of(&job.group, job.requested_type) {
            Knowledge::Certain(group_type) => (group_type, true),
            Knowledge::Assumed(group_type) => (group_type, false),
        };
        match group_type {
            GroupType::Consumer => consumers.add(job, certain),
            GroupType::Share => shares.add(job, certain),
        }
    }
    tokio::join!(consumers.run(), shares.run());
}

impl<'a, T: ClusterTransport> GroupRows<'a, T> {
    fn new(
        topics: &'a Topics<T>,
        group_type: GroupType,
        report: &'a Report,
        ready: UnboundedSender<PendingReading>,
    ) -> Self {
        Self { topics, report, ready, group_type, waiting: ByName::default(), others: FuturesUnordered::new() }
    }

    fn add(&mut self, job: PendingReading, certain: bool) {
        match self.waiting.entry(job.group.clone()) {
            Entry::Vacant(new) => drop(new.insert(Group { jobs: vec![job], certain, progress: None, state: None })),
            Entry::Occupied(mut known) => {
                let group = known.get_mut();
                group.certain &= certain;
                group.jobs.push(job);
            }
        }
    }

    async fn run(mut self) {
        let asks = self.waiting.iter().map(|(group, Group { jobs, .. })| {
            let partitions = PartitionsAsk::Named(selected(jobs));
            GroupAsk { group: group.clone(), partitions }
        });
        let asks: Vec<_> = asks.collect();
        if asks.is_empty() {
            return;
        }
        let described = self.waiting.iter().filter(|(_, group)| group.needs_state());
        let described: Vec<_> = described.map(|(id, _)| id.clone()).collect();
        let mut progress = self.topics.transport.progress(self.group_type, asks, DEADLINE);
        let mut states = if described.is_empty() {
            mpsc::unbounded_channel().1
        } else {
            self.topics.transport.groups(described, DEADLINE)
        };
        while !self.waiting.is_empty() || !self.others.is_empty() {
            let (group, row) = tokio::select! {
                Some((group, row)) = progress.recv() => (group, Row::Progress(row)),
                Some((group, row)) = states.recv() => (group, Row::State(row)),
                Some(()) = self.others.next() => continue,
                else => break,
            };
            self.take(&group, row);
        }
        // a transport returns a row for each group; a missing row is its bug, and still an error of the reading
        for (_, group) in std::mem::take(&mut self.waiting) {
            self.fail(&group.jobs, "offsets", &RowError::Overdue("no answer".into()));
        }
    }

    /// Adds an answer about a group; jobs that wait for nothing more are passed on.
    fn take(&mut self, id: &GroupId, row: Row) {
        let Some(mut group) = self.waiting.remove(id) else { return };
        match row {
            Row::Progress(row) => group.progress = Some(row.map(Arc::new)),
            Row::State(row) => group.state = Some(row),
        }
        match self.type_of(&group) {
            Some(Ok(found)) if found != self.group_type => return self.hand_over(id, group.jobs, found),
            Some(Ok(_)) => {}
            _ if group.certain => {}
            Some(Err(error)) => return self.fail(&group.jobs, "type", &error),
            None => return drop(self.waiting.insert(id.clone(), group)),
        }
        match group.progress.as_ref() {
            None => {}
            Some(Err(error)) => return self.fail(&group.jobs, "offsets", error),
            Some(Ok(rows)) => {
                self.learn(id, &group, rows);
                if let Some(Ok(state)) = &group.state {
                    group.jobs.iter_mut().filter(|job| job.lacks_members()).for_each(|job| job.join(state));
                }
                for mut job in group.jobs.extract_if(.., |job| !job.lacks_members()) {
                    job.come_so_far(self.group_type, rows.clone());
                    // the receiver reads for as long as jobs arrive
                    let _ = self.ready.send(job);
                }
                if let Some(Err(error)) = &group.state {
                    return self.fail(&group.jobs, "members", error);
                }
            }
        }
        if !group.jobs.is_empty() {
            self.waiting.insert(id.clone(), group);
        }
    }

    /// Returns the type of a group as soon as its answers show it.
    fn type_of(&self, group: &Group) -> Option<Result<GroupType, RowError>> {
        if group.progress.as_ref().is_some_and(|rows| rows.as_ref().is_ok_and(|rows| any(rows))) {
            return Some(Ok(self.group_type));
        }
        match group.state.as_ref()? {
            Ok(GroupState { group_type: Some(found), .. }) => Some(Ok(*found)),
            // a broker that cannot describe groups has no share groups either
            Ok(_) | Err(RowError::Unsupported(_) | RowError::Broker(_)) => Some(Ok(self.group_type)),
            // the group's progress may still show its type
            Err(error) => group.progress.is_some().then(|| Err(error.clone())),
        }
    }

    fn learn(&self, id: &GroupId, group: &Group, rows: &ProgressRows) {
        if any(rows) {
            self.topics.group_types.settle(id, self.group_type);
        } else if group.certain {
            self.topics.group_types.unsettle(id);
        } else {
            self.topics.group_types.reported(id, self.group_type);
        }
        for (topic, of) in rows.as_slice() {
            if of.as_slice().iter().any(|(_, row)| matches!(row, Err(RowError::Moving(_)))) {
                // the topic has a new id by now
                self.topics.topology.lock().doubt(topic);
            }
        }
    }

    /// Hands the group over to the other type; triggers that name a type get an error.
    fn hand_over(&mut self, id: &GroupId, jobs: Vec<PendingReading>, found: GroupType) {
        self.topics.group_types.reported(id, found);
        let (mistaken, other): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.requested_type.is_some());
        for job in mistaken {
            let attempt = format!("could not read the offsets of {}", job.source);
            let is = match found {
                GroupType::Consumer => "it is a consumer group",
                GroupType::Share => "it is a share group",
            };
            let error = SourceError::new(SourceErrorKind::Missing, attempt).because(is);
            (self.report)(&job.source, Err(error.remedy("correct groupType, or leave it out")));
        }
        let mut rows = GroupRows::new(self.topics, found, self.report, self.ready.clone());
        for job in other {
            rows.add(job, true);
        }
        self.others.push(rows.run().boxed());
    }

    fn fail(&self, jobs: &[PendingReading], what: &str, error: &RowError) {
        for job in jobs {
            let attempt = format!("could not read the {what} of {}", job.source);
            (self.report)(&job.source, Err(failed(attempt, error)));
        }
    }
}

impl Group {
    fn needs_state(&self) -> bool {
        !self.certain || self.jobs.iter().any(PendingReading::lacks_members)
    }
}

/// Whether the group has read anything.
fn any(rows: &ProgressRows) -> bool {
    let mut rows = rows.as_slice().iter().flat_map(|(_, of)| of.as_slice());
    rows.any(|(_, row)| matches!(row, Ok(Progress::Committed(_) | Progress::Unacknowledged(_))))
}

/// Returns the partitions that the jobs of one group select, each once.
fn selected(jobs: &[PendingReading]) -> Vec<TopicPartitions> {
    let mut topics: Vec<_> = jobs.iter().flat_map(|job| &job.topics).map(|topic| topic.selected.clone()).collect();
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    topics.dedup_by(|other, one| {
        let same = other.name == one.name;
        if same && other.partitions != one.partitions {
            let both: BTreeSet<_> = one.partitions.iter().chain(&*other.partitions).copied().collect();
            one.partitions = both.into_iter().collect();
        }
        same
    });
    topics
}
