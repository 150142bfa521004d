//! What coordinators say of the groups of a round: what each committed, and who is in those that are followed.
//!
//! Both are asked for at once, and each group goes on as soon as its own answers have come: a group that says one of them late,
//! or never, holds up nobody else.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::job::{Job, failed};
use super::transport::{ClusterTransport, CommittedRows, GroupAsk, GroupId, GroupState, PartitionsAsk, RowError, Rows};
use crate::lag::Report;

const DEADLINE: Duration = Duration::from_secs(3);

/// Groups that answer within this time of the first go on together; later ones follow in a wave of their own.
const WAVE: Duration = Duration::from_millis(250);

/// Jobs that wait for their groups.
pub(super) type Waiting = HashMap<GroupId, Vec<Job>>;

/// The answers about the groups of a round, while they come.
pub(super) struct GroupRows {
    waiting: Waiting,
    committed: Rows<GroupId, CommittedRows>,
    members: Rows<GroupId, GroupState>,
}

/// One answer about a group.
enum Row {
    Committed(Result<CommittedRows, RowError>),
    Members(Result<GroupState, RowError>),
}

impl GroupRows {
    pub(super) fn ask<T: ClusterTransport>(transport: &T, waiting: Waiting) -> Self {
        let asks = waiting.iter().map(|(group, jobs)| {
            let partitions: HashSet<_> = jobs.iter().flat_map(Job::partitions).collect();
            GroupAsk { group: group.clone(), partitions: PartitionsAsk::Named(partitions.into_iter().collect()) }
        });
        let committed = transport.committed(asks.collect(), DEADLINE);
        let followed = waiting.iter().filter(|(_, jobs)| jobs.iter().any(Job::lacks_members));
        let followed: Vec<_> = followed.map(|(group, _)| group.clone()).collect();
        let nobody = followed.is_empty();
        let members = if nobody { mpsc::unbounded_channel().1 } else { transport.groups(followed, DEADLINE) };
        Self { waiting, committed, members }
    }

    /// The next jobs that know all of their groups that they need, or nothing when no job is left. What failed is reported.
    pub(super) async fn next_wave(&mut self, report: &Report) -> Option<Vec<Job>> {
        let mut wave = Vec::new();
        let mut until = None;
        while !self.waiting.is_empty() {
            let row = match until {
                None => self.next().await,
                Some(until) => match timeout_at(until, self.next()).await {
                    Ok(row) => row,
                    Err(_) => return Some(wave),
                },
            };
            match row {
                Some((group, row)) => wave.append(&mut self.take(&group, row, report)),
                None => self.give_up(report),
            }
            until = until.or_else(|| (!wave.is_empty()).then(|| Instant::now() + WAVE));
        }
        (!wave.is_empty()).then_some(wave)
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
            Row::Committed(Ok(rows)) => jobs.iter_mut().for_each(|job| job.commit(&rows)),
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
