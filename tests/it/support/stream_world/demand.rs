//! Days of writes to one stream, in shards: 1 is what one shard accepts.

use keda_stream_scaler::lag::Minute;
use keda_stream_scaler::resize::rehearsal::Put;

use super::super::world::Random;

const DAY: usize = 1440;
/// Records per minute that fill a shard.
const RECORDS: f64 = 60_000.0;
/// Two days to get used to, and two that count.
pub const MINUTES: usize = 4 * DAY;
/// The fullest shard gets this much more than the mean.
const SKEW: f64 = 1.15;
/// Seconds scatter by this much around their minute.
const SCATTER: f64 = 0.12;
/// A hot key alone gets this many shards.
const HOT: f64 = 1.6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// 3 at night, 20 in the afternoon.
    Diurnal,
    /// 2, and ten times that for 25 minutes, once.
    Spike,
    /// 4, and 16 for nine hours, once.
    Step,
    /// 2 to 30 in four days.
    Growing,
    /// 6, with bursts of two to six minutes.
    Noisy,
    /// 1.5, and 24 for an hour each night.
    Batch,
    Idle,
    /// 4, and one key that alone gets more than a shard accepts.
    HotKey,
}

impl Course {
    pub const ALL: [Self; 8] =
        [Self::Diurnal, Self::Spike, Self::Step, Self::Growing, Self::Noisy, Self::Batch, Self::Idle, Self::HotKey];

    /// The mean of a minute.
    fn mean(self, minute: usize) -> f64 {
        let third_day = minute.checked_sub(2 * DAY);
        let within = |from: usize, to: usize| third_day.is_some_and(|minute| (from..to).contains(&minute));
        match self {
            Self::Diurnal => 3.0 + 17.0 * bell(minute, 14.0, 3.2),
            Self::Spike => {
                if within(13 * 60, 13 * 60 + 25) {
                    20.0
                } else {
                    2.0
                }
            }
            Self::Step => {
                if within(10 * 60, 19 * 60) {
                    16.0
                } else {
                    4.0
                }
            }
            Self::Growing => (2.0 + 28.0 * float(minute) / float(MINUTES)) * (0.7 + 0.3 * bell(minute, 14.0, 4.0)),
            Self::Noisy => 6.0,
            Self::Batch => {
                if (120..180).contains(&(minute % DAY)) {
                    24.0
                } else {
                    1.5
                }
            }
            Self::Idle => 0.02,
            Self::HotKey => 4.0,
        }
    }
}

/// The seconds of each minute, and what they are in the mean.
pub struct Demand {
    pub course: Course,
    minutes: Vec<([f64; 60], f64)>,
}

impl Demand {
    pub fn new(course: Course, seed: u64) -> Self {
        let mut random = Random::new(seed * 31 + place(course));
        let noisy = course == Course::Noisy;
        let (mut drift, mut burst) = (0.0, 0);
        let minutes = (0..MINUTES).map(|minute| {
            drift = 0.95 * drift + random.normal() * if noisy { 0.03 } else { 0.012 };
            if noisy && burst == 0 && random.below(90) == 0 {
                burst = 2 + random.below(5);
            }
            let mean = course.mean(minute) * f64::exp(drift) * if burst > 0 { 2.2 } else { 1.0 };
            burst = burst.saturating_sub(1);
            let seconds = std::array::from_fn(|_| mean * f64::exp(SCATTER * random.normal()));
            (seconds, seconds.iter().sum::<f64>() / 60.0)
        });
        Self { course, minutes: minutes.collect() }
    }

    /// Twice as many shards as the first minute fills.
    pub fn first(&self) -> u32 {
        let twice = 2.0 * self.minutes[0].1;
        (1..=1000).find(|shards| f64::from(*shards) >= twice).unwrap()
    }

    /// A minute's records on that many shards.
    pub fn put(&self, minute: usize, shards: f64) -> Put {
        let (seconds, mean) = &self.minutes[minute];
        let room = shards / SKEW;
        let over = seconds.iter().filter(|second| **second > room);
        let throttled = f64::from(u32::try_from(over.clone().count()).unwrap()) / 60.0;
        let rejected = over.map(|second| second - room).sum::<f64>() / 60.0;
        // one key gets no more than what its shard has to spare
        let hot = if self.course == Course::HotKey { HOT } else { 0.0 };
        let cut = (hot - (1.0 - mean / shards).max(0.0)).max(0.0);
        let accepted = mean + hot - rejected - cut;
        let minute = Minute { bytes: 0.0, records: RECORDS * accepted, throttled: RECORDS * (rejected + cut) };
        Put { minute, throttled: if cut > 0.0 { 1.0 } else { throttled } }
    }
}

fn bell(minute: usize, centre: f64, width: f64) -> f64 {
    let distance = (float(minute % DAY) / 60.0 - centre).abs();
    f64::exp(-(distance.min(24.0 - distance) / width).powi(2) / 2.0)
}

fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}

fn place(course: Course) -> u64 {
    u64::try_from(Course::ALL.iter().position(|one| *one == course).unwrap()).unwrap()
}
