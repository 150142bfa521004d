//! The log end offsets for a wave of jobs: every leader is queried concurrently, and a new leader as soon as the cluster names one.
//!
//! The cluster replaces a leader that fails or becomes silent within seconds, by its own clock. So the wait for an answer also polls the
//! metadata: the leader of an overdue partition is looked up again, and its successor is queried at once.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{BoxStream, SelectAll};
use tokio::time::{Instant, sleep_until};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::log_ends::{Ends, SeenLog, TopicEnds};
use super::pending_reading::{JobTopic, PendingReading};
use super::topics::{Refused, Topics};
use super::transport::{
    BrokerId, ByPartition, ClusterTransport, LedPartitions, LogPosition, OffsetRows, RowError, Topic, TopicPartitions,
};
use crate::lag::Report;

const DEADLINE: Duration = Duration::from_secs(2);

/// The interval at which leaders of overdue partitions are looked up: a healthy leader answers in milliseconds.
const LOOK_UP_EVERY: Duration = Duration::from_millis(300);

/// The delay before leaders are looked up where all have answered, some with an error.
const LOOK_UP_SOON: Duration = Duration::from_millis(100);

pub(super) struct EndsReading<'a, T> {
    topics: &'a Topics<T>,
    open: Vec<PendingReading>,
    ends: Ends,
    /// One stream per request; an old leader may still be answering when its successor is queried.
    answers: SelectAll<BoxStream<'static, (LogPosition, OffsetRows)>>,
    until: Instant,
}

/// The requests to each broker.
type Asks = BTreeMap<(BrokerId, LogPosition), LedPartitions>;

impl<'a, T: ClusterTransport> EndsReading<'a, T> {
    pub(super) fn new(topics: &'a Topics<T>, open: Vec<PendingReading>) -> Self {
        let now = Instant::now();
        let mut ends = Ends::default();
        ends.reserve(open.len());
        let starts = topics.log_starts.lock();
        for JobTopic { selected, .. } in open.iter().flat_map(|job| &job.topics) {
            ends.entry(selected.name.clone()).or_default().add(&selected.partitions, starts.fresh(selected, now));
        }
        drop(starts);
        Self { topics, open, ends, answers: SelectAll::new(), until: now + DEADLINE }
    }

    /// Reads the offsets, and reports each job exactly once.
    pub(super) async fn run(mut self, report: &Report) {
        let mut looked_up = Instant::now();
        let _: bool = self.ask(&Refused::new());
        self.report_complete(report);
        while !self.open.is_empty() && Instant::now() < self.until {
            let pause = if self.are_awaited() { LOOK_UP_EVERY } else { LOOK_UP_SOON };
            tokio::select! {
                Some((position, rows)) = self.answers.next() => {
                    self.take(position, rows);
                    self.report_complete(report);
                }
                () = sleep_until(looked_up + pause) => {
                    looked_up = Instant::now();
                    if !self.look_up().await && !self.are_awaited() {
                        break;
                    }
                }
            }
        }
        for job in &self.open {
            report(&job.source, job.finish(&self.ends));
        }
    }

    /// Whether an answer is outstanding.
    fn are_awaited(&self) -> bool {
        self.ends.values().any(TopicEnds::are_awaited)
    }

    fn take(&mut self, position: LogPosition, rows: OffsetRows) {
        let now = Instant::now();
        for (topic, rows) in rows {
            let Some(ends) = self.ends.get_mut(&topic) else { continue };
            if position == LogPosition::Start {
                let id = self.topics.topology.lock().last(&topic).and_then(|topic| topic.id);
                self.topics.log_starts.lock().insert(&topic, id, &rows, now);
            }
            for (partition, row) in rows {
                if row.is_err() {
                    self.topics.topology.lock().doubt(&topic);
                }
                if ends.take(partition, position, row) == SeenLog::Another {
                    self.topics.log_starts.lock().remove(&topic, partition);
                }
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

    /// Looks up the leaders of the missing partitions and queries them; returns whether there was a leader to query.
    async fn look_up(&mut self) -> bool {
        let lacking: Vec<_> = self.open.iter().flat_map(|job| job.lacking(&self.ends)).cloned().collect();
        for topic in &lacking {
            self.topics.topology.lock().doubt(topic);
        }
        let refused = self.topics.refresh(lacking.iter()).await;
        self.ask(&refused)
    }

    /// Queries the leaders of missing partitions; returns whether there was one. A partition without a leader is an error.
    fn ask(&mut self, refused: &Refused) -> bool {
        let mut asks = Asks::new();
        let mut topology = self.topics.topology.lock();
        for job in &self.open {
            for JobTopic { selected, .. } in &job.topics {
                let Some(ends) = self.ends.get_mut(&selected.name) else { continue };
                if !ask_about(selected, job.positions(), topology.last(&selected.name), ends, refused, &mut asks) {
                    topology.doubt(&selected.name);
                }
            }
        }
        drop(topology);
        let requested = !asks.is_empty();
        let left = self.until.saturating_duration_since(Instant::now());
        for ((leader, at), partitions) in asks {
            let rows = UnboundedReceiverStream::new(self.topics.transport.offsets(leader, partitions, at, left));
            self.answers.push(Box::pin(rows.map(move |rows| (at, rows))));
        }
        requested
    }
}

/// Adds the requests for the partitions of a topic that a job lacks; returns whether all have a leader.
fn ask_about(
    selected: &TopicPartitions,
    positions: [LogPosition; 2],
    leaders: Option<&Topic>,
    ends: &mut TopicEnds,
    refused: &Refused,
    asks: &mut Asks,
) -> bool {
    let mut all_led = true;
    for &partition in &*selected.partitions {
        let leader = leaders.and_then(|topic| topic.leader(partition));
        for at in positions {
            if ends.are_good(partition, &[at]) {
                continue;
            }
            let Some(leader) = leader else {
                let no_leader = || RowError::Leaderless("the cluster names no leader of the partition".into());
                let _: SeenLog =
                    ends.take(partition, at, Err(refused.get(&selected.name).cloned().unwrap_or_else(no_leader)));
                all_led = false;
                continue;
            };
            if !ends.ask(partition, at, leader) {
                continue;
            }
            let of_leader = asks.entry((leader.broker, at)).or_default();
            if of_leader.last().is_none_or(|(topic, _)| *topic != selected.name) {
                of_leader.push((selected.name.clone(), ByPartition::default()));
            }
            if let Some((_, partitions)) = of_leader.last_mut() {
                partitions.insert(partition, leader.epoch);
            }
        }
    }
    all_led
}
