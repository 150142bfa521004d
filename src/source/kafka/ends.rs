//! The ends of the logs for a wave of jobs: every leader is asked at once, and a new leader as soon as the cluster names one.
//!
//! A leader that dies or falls silent gets successors within seconds, by the cluster's own clock. So the wait for an answer is
//! also a watch on the metadata: whoever is overdue is looked up again, and its successor asked at once.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt as _, StreamMap};

use super::job::{Ends, Job, JobTopic};
use super::topics::{Refused, Topics};
use super::transport::{
    BrokerId, ClusterTransport, Leader, LeaderEpoch, LogPosition, OffsetAndEpoch, RowError, TopicPartition,
};
use crate::lag::Report;

const DEADLINE: Duration = Duration::from_secs(2);

/// A healthy leader answers in milliseconds; after this time it is looked up again, and then as often.
const LOOK_UP_EVERY: Duration = Duration::from_millis(300);

/// Where all have answered, but not all of them well, leaders are looked up so soon.
const LOOK_UP_SOON: Duration = Duration::from_millis(100);

type Key = (TopicPartition, LogPosition);

/// A row, or the end of an answer.
type Answer = Option<(Key, Result<OffsetAndEpoch, RowError>)>;

pub(super) struct EndsReading<'a, T> {
    topics: &'a Topics<T>,
    open: Vec<Job>,
    ends: Ends,
    /// Who was asked last for each row.
    asked: HashMap<Key, Leader>,
    /// Rows that have not come yet.
    awaited: HashSet<Key>,
    answers: StreamMap<usize, Pin<Box<dyn Stream<Item = Answer> + Send>>>,
    /// Requests so far; each has its number, for an old leader may still be answering when a new one is asked.
    requests: usize,
    until: Instant,
}

impl<'a, T: ClusterTransport> EndsReading<'a, T> {
    pub(super) fn new(topics: &'a Topics<T>, open: Vec<Job>) -> Self {
        let until = Instant::now() + DEADLINE;
        let known = open.iter().flat_map(|job| &job.topics).flat_map(|JobTopic { selected, .. }| {
            selected.partitions.iter().filter_map(|&partition| {
                let key = TopicPartition { topic: selected.name.clone(), partition };
                let start = topics.log_starts.get(&key, selected.id)?;
                Some(((key, LogPosition::Start), Ok(start)))
            })
        });
        let ends: Ends = known.collect();
        Self {
            topics,
            open,
            ends,
            asked: HashMap::new(),
            awaited: HashSet::new(),
            answers: StreamMap::new(),
            requests: 0,
            until,
        }
    }

    /// Reads, and reports each job exactly once.
    pub(super) async fn run(mut self, report: &Report) {
        let mut looked_up = Instant::now();
        let _: bool = self.ask(&Refused::new());
        self.report_complete(report);
        while !self.open.is_empty() && Instant::now() < self.until {
            let pause = if self.awaited.is_empty() { LOOK_UP_SOON } else { LOOK_UP_EVERY };
            tokio::select! {
                Some((_, answer)) = self.answers.next() => match answer {
                    Some((key, row)) => self.take(key, row),
                    None => self.report_complete(report),
                },
                () = sleep_until(looked_up + pause) => {
                    looked_up = Instant::now();
                    if !self.look_up().await && self.awaited.is_empty() {
                        break;
                    }
                }
            }
        }
        for job in &self.open {
            report(&job.source, job.finish(&self.ends));
        }
    }

    fn take(&mut self, key: Key, row: Result<OffsetAndEpoch, RowError>) {
        self.awaited.remove(&key);
        if row.is_err() {
            self.topics.topology().doubt(&key.0.topic);
        }
        if let Ok(offset) = &row {
            self.compare(&key, *offset);
        }
        // an answer of the new leader is not undone by a late error of the old one
        if row.is_ok() || !matches!(self.ends.get(&key), Some(Ok(_))) {
            self.ends.insert(key, row);
        }
    }

    /// Keeps a start, and reads one again that was kept and lies behind the end: the log has become another one.
    fn compare(&mut self, (partition, position): &Key, offset: OffsetAndEpoch) {
        if *position == LogPosition::Start {
            let topic = self.topics.topology().id(&partition.topic);
            self.topics.log_starts.insert(partition.clone(), topic, offset);
            return;
        }
        let start = (partition.clone(), LogPosition::Start);
        let kept = !self.asked.contains_key(&start);
        if kept && matches!(self.ends.get(&start), Some(Ok(start)) if start.offset > offset.offset) {
            self.topics.log_starts.remove(partition);
            self.ends.remove(&start);
        }
    }

    fn report_complete(&mut self, report: &Report) {
        let ends = &self.ends;
        self.open.retain(|job| {
            let complete = job.complete(ends);
            if complete {
                report(&job.source, job.finish(ends));
            }
            !complete
        });
    }

    /// Looks up the leaders of what is still lacking, and asks; tells whether there was anybody to ask.
    async fn look_up(&mut self) -> bool {
        let lacking: HashSet<_> = self.lacking().map(|(partition, _)| partition.topic).collect();
        for topic in &lacking {
            self.topics.topology().doubt(topic);
        }
        let refused = self.topics.refresh(lacking.iter()).await;
        self.ask(&refused)
    }

    fn lacking(&self) -> impl Iterator<Item = Key> {
        let keys = self.open.iter().flat_map(|job| {
            job.partitions().flat_map(|partition| job.positions().map(|position| (partition.clone(), position)))
        });
        keys.filter(|key| !matches!(self.ends.get(key), Some(Ok(_))))
    }

    /// Asks for what is lacking: a leader that was not asked for it last, or one that said it was moving. Tells whether there
    /// was anybody to ask.
    fn ask(&mut self, refused: &Refused) -> bool {
        let mut asks: HashMap<(BrokerId, LogPosition), HashMap<TopicPartition, Option<LeaderEpoch>>> = HashMap::new();
        let lacking: Vec<_> = self.lacking().collect();
        let now = Instant::now();
        for key in lacking {
            let (partition, position) = &key;
            let Some(leader) = self.topics.topology().leader(&partition.topic, partition.partition) else {
                let no_leader = || RowError::Leaderless("the cluster names no leader of the partition".into());
                let error = refused.get(&partition.topic).cloned().unwrap_or_else(no_leader);
                self.take(key, Err(error));
                continue;
            };
            let moving = matches!(self.ends.get(&key), Some(Err(RowError::Moving(_)))) && !self.awaited.contains(&key);
            if moving || self.asked.get(&key) != Some(&leader) {
                self.awaited.insert(key.clone());
                asks.entry((leader.broker, *position)).or_default().insert(partition.clone(), leader.epoch);
                self.asked.insert(key, leader);
            }
        }
        let anybody = !asks.is_empty();
        let left = self.until.saturating_duration_since(now);
        for ((leader, at), partitions) in asks {
            let rows = self.topics.transport.offsets(leader, partitions.into_iter().collect(), at, left);
            let rows = UnboundedReceiverStream::new(rows).map(move |(partition, row)| Some(((partition, at), row)));
            self.answers.insert(self.requests, Box::pin(rows.chain(tokio_stream::once(None))));
            self.requests += 1;
        }
        anybody
    }
}
