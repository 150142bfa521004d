//! The ends of the logs for a wave of jobs: every leader is asked at once, and a new leader as soon as the cluster names one.
//!
//! A leader that dies or falls silent gets successors within seconds, by the cluster's own clock. So the wait for an answer is
//! also a watch on the metadata: whoever is overdue is looked up again, and its successor asked at once.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::stream::{BoxStream, SelectAll};
use tokio::time::{Instant, sleep_until};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::job::{Job, JobTopic};
use super::log_ends::{End, Ends, PartitionEnds};
use super::topics::{Refused, Topics};
use super::transport::{
    BrokerId, ClusterTransport, LeaderEpoch, LedPartitions, LogPosition, OffsetRows, RowError, TopicPartitions,
};
use crate::lag::{PartitionId, Report};

const DEADLINE: Duration = Duration::from_secs(2);

/// A healthy leader answers in milliseconds; after this time it is looked up again, and then as often.
const LOOK_UP_EVERY: Duration = Duration::from_millis(300);

/// Where all have answered, but not all of them well, leaders are looked up so soon.
const LOOK_UP_SOON: Duration = Duration::from_millis(100);

pub(super) struct EndsReading<'a, T> {
    topics: &'a Topics<T>,
    open: Vec<Job>,
    ends: Ends,
    /// How many of them are still to come.
    awaited: usize,
    /// One for each request; an old leader may still be answering when its successor is asked.
    answers: SelectAll<BoxStream<'static, (LogPosition, OffsetRows)>>,
    until: Instant,
}

/// What is requested of each broker about a topic.
type Asks = Vec<((BrokerId, LogPosition), Vec<(PartitionId, Option<LeaderEpoch>)>)>;

impl<'a, T: ClusterTransport> EndsReading<'a, T> {
    pub(super) fn new(topics: &'a Topics<T>, open: Vec<Job>) -> Self {
        let now = Instant::now();
        let mut ends = Ends::new();
        for JobTopic { selected, .. } in open.iter().flat_map(|job| &job.topics) {
            add(topics, &mut ends, selected, now);
        }
        Self { topics, open, ends, awaited: 0, answers: SelectAll::new(), until: now + DEADLINE }
    }

    /// Reads, and reports each job exactly once.
    pub(super) async fn run(mut self, report: &Report) {
        let mut looked_up = Instant::now();
        let _: bool = self.ask(&Refused::new());
        self.report_complete(report);
        while !self.open.is_empty() && Instant::now() < self.until {
            let pause = if self.awaited > 0 { LOOK_UP_EVERY } else { LOOK_UP_SOON };
            tokio::select! {
                Some((position, rows)) = self.answers.next() => {
                    self.take(position, rows);
                    self.report_complete(report);
                }
                () = sleep_until(looked_up + pause) => {
                    looked_up = Instant::now();
                    if !self.look_up().await && self.awaited == 0 {
                        break;
                    }
                }
            }
        }
        for job in &self.open {
            report(&job.source, job.finish(&self.ends));
        }
    }

    fn take(&mut self, position: LogPosition, rows: OffsetRows) {
        let now = Instant::now();
        for (topic, rows) in rows {
            let Some(ends) = self.ends.get_mut(&topic) else { continue };
            if position == LogPosition::Start {
                let id = self.topics.topology().last(&topic).and_then(|topic| topic.id);
                self.topics.log_starts.insert(&topic, id, &rows, now);
            }
            for (partition, row) in rows {
                let Some(ends) = ends.get_mut(partition) else { continue };
                match &row {
                    Err(_) => self.topics.topology().doubt(&topic),
                    Ok(end) if position != LogPosition::Start && ends.contradicts(*end) => {
                        self.topics.log_starts.remove(&topic, partition);
                        *ends.at_mut(LogPosition::Start) = End::default();
                    }
                    Ok(_) => {}
                }
                ends.at_mut(position).take(row, &mut self.awaited);
            }
        }
    }

    fn report_complete(&mut self, report: &Report) {
        let ends = &self.ends;
        self.open.retain(|job| {
            let complete = job.lacking(ends).next().is_none();
            if complete {
                report(&job.source, job.finish(ends));
            }
            !complete
        });
    }

    /// Looks up the leaders of what is still missing, and requests it; returns whether there was a leader to ask.
    async fn look_up(&mut self) -> bool {
        let lacking: Vec<_> = self.open.iter().flat_map(|job| job.lacking(&self.ends)).cloned().collect();
        for topic in &lacking {
            self.topics.topology().doubt(topic);
        }
        let refused = self.topics.refresh(lacking.iter()).await;
        self.ask(&refused)
    }

    /// Requests what is missing; returns whether there was a leader to ask.
    fn ask(&mut self, refused: &Refused) -> bool {
        let mut asks: HashMap<(BrokerId, LogPosition), LedPartitions> = HashMap::new();
        for job in &self.open {
            for JobTopic { selected, .. } in &job.topics {
                for (of, partitions) in
                    asks_of(self.topics, (&mut self.ends, &mut self.awaited), job, selected, refused)
                {
                    asks.entry(of).or_default().push((selected.name.clone(), partitions.into_iter().collect()));
                }
            }
        }
        let requested = !asks.is_empty();
        let left = self.until.saturating_duration_since(Instant::now());
        for ((leader, at), partitions) in asks {
            let rows = UnboundedReceiverStream::new(self.topics.transport.offsets(leader, partitions, at, left));
            self.answers.push(Box::pin(rows.map(move |rows| (at, rows))));
        }
        requested
    }
}

/// Adds the partitions that are not there yet, with the starts of their logs that are known.
fn add<T: ClusterTransport>(topics: &Topics<T>, ends: &mut Ends, selected: &TopicPartitions, now: Instant) {
    let ends = ends.entry(selected.name.clone()).or_default();
    if selected.partitions.iter().all(|partition| ends.get(*partition).is_some()) {
        return;
    }
    let starts = topics.log_starts.of(&selected.name, selected.id, now);
    let known = std::mem::take(ends);
    let new = starts.each_of(selected.partitions.iter().copied(), PartitionEnds::of);
    ends.extend(new.into_iter().chain(known));
}

/// The requests for what a job lacks of a topic. A partition without a leader is an error.
fn asks_of<T: ClusterTransport>(
    topics: &Topics<T>,
    (ends, awaited): (&mut Ends, &mut usize),
    job: &Job,
    selected: &TopicPartitions,
    refused: &Refused,
) -> Asks {
    let mut asks = Asks::new();
    let Some(ends) = ends.get_mut(&selected.name) else { return asks };
    let mut topology = topics.topology();
    let leaders = topology.last(&selected.name);
    let mut leaderless = false;
    for &partition in &selected.partitions {
        let Some(ends) = ends.get_mut(partition) else { continue };
        for position in job.positions() {
            let end = ends.at_mut(position);
            if end.is_good() {
                continue;
            }
            let Some(leader) = leaders.and_then(|topic| topic.leader(partition)) else {
                let no_leader = || RowError::Leaderless("the cluster names no leader of the partition".into());
                end.take(Err(refused.get(&selected.name).cloned().unwrap_or_else(no_leader)), awaited);
                leaderless = true;
                continue;
            };
            if end.ask(leader, awaited) {
                let of = (leader.broker, position);
                match asks.iter_mut().find(|(known, _)| *known == of) {
                    Some((_, partitions)) => partitions.push((partition, leader.epoch)),
                    None => asks.push((of, vec![(partition, leader.epoch)])),
                }
            }
        }
    }
    if leaderless {
        topology.doubt(&selected.name);
    }
    asks
}
