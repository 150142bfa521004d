//! The partitions: what arrived, what is read and what is committed.

use keda_stream_scaler::lag::flow::count;

use super::random::Random;
use super::scenario::Scenario;

/// How old the oldest record of a backlog is that was there at the beginning.
const OLD: f64 = 600.0;
/// Sums of parts are not exact.
const SAME: f64 = 1e-6;

/// A partition from the beginning to now.
pub struct Partition {
    share: f64,
    /// The logarithm of the noise, in deviations.
    drift: f64,
    /// What was there at the beginning.
    backlog: f64,
    /// What has arrived since, at the end of each second.
    arrived: Vec<f64>,
    read: Position,
    committed: Position,
    /// It commits when the seconds leave this remainder.
    commits_at: usize,
}

/// How far somebody is.
#[derive(Clone, Copy, Default)]
struct Position {
    offset: f64,
    /// The first second by the end of which more has arrived.
    second: usize,
}

impl Partition {
    pub fn new(scenario: &Scenario, share: f64, random: &mut Random) -> Self {
        let backlog = scenario.backlog * share;
        Self {
            share,
            drift: random.normal(),
            backlog,
            arrived: Vec::with_capacity(scenario.seconds()),
            read: Position::default(),
            committed: Position::default(),
            commits_at: random.below(scenario.commit),
        }
    }

    /// Another second of arrivals: about as many as the rate says, whole records.
    pub fn arrive(&mut self, scenario: &Scenario, second: usize, random: &mut Random) {
        let (noise, stays) = (scenario.noise, (-1.0 / scenario.noise.lasts).exp());
        self.drift = stays * self.drift + (1.0 - stays * stays).sqrt() * random.normal();
        let factor = (noise.deviation * (self.drift - noise.deviation / 2.0)).exp();
        let mean = scenario.rate[second] * self.share * factor;
        let records = (mean + mean.sqrt() * random.normal()).round().max(0.0);
        self.arrived.push(self.arrived.last().unwrap_or(&0.0) + records);
    }

    pub fn end(&self) -> f64 {
        self.backlog + self.arrived.last().unwrap_or(&0.0)
    }

    pub const fn read(&self) -> f64 {
        self.read.offset
    }

    pub const fn committed(&self) -> f64 {
        self.committed.offset
    }

    pub fn unread(&self) -> f64 {
        self.end() - self.read.offset
    }

    pub fn advance(&mut self, records: f64) {
        self.read.offset += records;
    }

    pub const fn commit(&mut self) {
        self.committed.offset = self.read.offset;
    }

    pub const fn commits_at(&self, second: usize, every: usize) -> bool {
        second % every == self.commits_at
    }

    /// Moves what tells ages; once a second.
    pub fn settle(&mut self) {
        self.read.settle(&self.arrived, self.backlog);
        self.committed.settle(&self.arrived, self.backlog);
    }

    /// How many seconds ago the oldest record arrived that is not read; 0 where there is none.
    pub fn age(&self) -> f64 {
        self.age_from(self.read)
    }

    /// The same of the oldest record that is not committed.
    pub fn checkpoint_age(&self) -> f64 {
        self.age_from(self.committed)
    }

    fn age_from(&self, position: Position) -> f64 {
        let now = self.arrived.len() - 1;
        if position.offset >= self.end() - SAME {
            return 0.0;
        }
        if position.offset < self.backlog - SAME {
            return count(now) + OLD * (1.0 - position.offset / self.backlog);
        }
        count(now.saturating_sub(position.second))
    }
}

impl Position {
    fn settle(&mut self, arrived: &[f64], backlog: f64) {
        let beyond = self.offset - backlog + SAME;
        while arrived.get(self.second).is_some_and(|arrived| *arrived <= beyond) {
            self.second += 1;
        }
    }
}
