//! What coordinators report about the groups of a round: what each committed, and the members of those that are followed.
//!
//! Both are requested at once, and each group goes on as soon as its own answers have come.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedSender};

use super::job::{Job, failed};
use super::topics::Topics;
use super::transport::{
    ClusterTransport, CommittedRows, GroupAsk, GroupId, GroupState, PartitionsAsk, RowError, Rows, TopicName,
    TopicPartitions,
};
use crate::lag::Report;

const DEADLINE: Duration = Duration::from_secs(3);

/// Jobs that wait for their groups.
pub(super) type Waiting = HashMap<GroupId, Vec<Job>>;

/// The answers about the groups of a round, while they come.
pub(super) struct GroupRows<'a, T> {
    topics: &'a Topics<T>,
    waiting: Waiting,
    committed: Rows<GroupId, CommittedRows>,
    members: Rows<GroupId, GroupState>,
}

/// One answer about a group.
enum Row {
    Committed(Result<CommittedRows, RowError>),
    Members(Result<GroupState, RowError>),
}

impl<'a, T: ClusterTransport> GroupRows<'a, T> {
    pub(super) fn ask(topics: &'a Topics<T>, waiting: Waiting) -> Self {
        let asks = waiting.iter().map(|(group, jobs)| {
            let partitions = PartitionsAsk::Named(selected(jobs).into_values().collect());
            GroupAsk { group: group.clone(), partitions }
        });
        let committed = topics.transport.committed(asks.collect(), DEADLINE);
        let followed = waiting.iter().filter(|(_, jobs)| jobs.iter().any(Job::lacks_members));
        let followed: Vec<_> = followed.map(|(group, _)| group.clone()).collect();
        let members =
            if followed.is_empty() { mpsc::unbounded_channel().1 } else { topics.transport.groups(followed, DEADLINE) };
        Self { topics, waiting, committed, members }
    }

    /// Passes on each job as soon as its group has answered, and reports those that failed.
    pub(super) async fn run(mut self, report: &Report, ready: UnboundedSender<Job>) {
        while !self.waiting.is_empty() {
            let Some((group, row)) = self.next().await else { return self.give_up(report) };
            for job in self.take(&group, row, report) {
                // the other end reads for as long as jobs come
                let _ = ready.send(job);
            }
        }
    }

    async fn next(&mut self) -> Option<(GroupId, Row)> {
        tokio::select! {
            Some((group, row)) = self.committed.recv() => Some((group, Row::Committed(row))),
            Some((group, row)) = self.members.recv() => Some((group, Row::Members(row))),
            else => None,
        }
    }

    /// Gives a row to the jobs that wait for it; those that wait for nothing more are returned.
    fn take(&mut self, group: &GroupId, row: Row, report: &Report) -> Vec<Job> {
        let Some(mut jobs) = self.waiting.remove(group) else { return Vec::new() };
        match row {
            Row::Committed(Ok(rows)) => {
                for (partition, row) in &rows {
                    if matches!(row, Err(RowError::Moving(_))) {
                        // its id is another one by now
                        self.topics.topology().doubt(&partition.topic);
                    }
                }
                for job in &mut jobs {
                    job.commit(&rows);
                }
            }
            Row::Committed(Err(error)) => no_commits(&std::mem::take(&mut jobs), &error, report),
            Row::Members(Ok(state)) => {
                jobs.iter_mut().filter(|job| job.lacks_members()).for_each(|job| job.join(&state));
            }
            Row::Members(Err(error)) => {
                let without: Vec<_> = jobs.extract_if(.., |job| job.lacks_members()).collect();
                no_members(&without, &error, report);
            }
        }
        let (ready, lacking): (Vec<_>, Vec<_>) = jobs.into_iter().partition(Job::knows_its_group);
        if !lacking.is_empty() {
            self.waiting.insert(group.clone(), lacking);
        }
        ready
    }

    /// Nothing more comes: a transport owes a row for each group, so this is its fault, and an error all the same.
    fn give_up(&mut self, report: &Report) {
        let error = RowError::Overdue("no answer".into());
        for (_, jobs) in self.waiting.drain() {
            let (without_members, without_commits): (Vec<_>, _) = jobs.into_iter().partition(Job::lacks_members);
            no_members(&without_members, &error, report);
            no_commits(&without_commits, &error, report);
        }
    }
}

/// What the jobs of one group select, each partition once.
fn selected(jobs: &[Job]) -> BTreeMap<TopicName, TopicPartitions> {
    let mut topics = BTreeMap::<_, TopicPartitions>::new();
    for topic in jobs.iter().flat_map(|job| &job.topics).map(|topic| &topic.selected) {
        match topics.get_mut(&topic.name) {
            None => drop(topics.insert(topic.name.clone(), topic.clone())),
            Some(known) if known.partitions == topic.partitions => {}
            Some(known) => {
                known.partitions.extend(&topic.partitions);
                known.partitions.sort_unstable();
                known.partitions.dedup();
            }
        }
    }
    topics
}

fn no_commits(jobs: &[Job], error: &RowError, report: &Report) {
    for job in jobs {
        let attempt = format!("could not read what group {} committed for {}", job.group, job.source);
        report(&job.source, Err(failed(attempt, error)));
    }
}

fn no_members(jobs: &[Job], error: &RowError, report: &Report) {
    for job in jobs {
        let attempt = format!("could not read the members that group {} has for {}", job.group, job.source);
        report(&job.source, Err(failed(attempt, error)));
    }
}
