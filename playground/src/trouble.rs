//! The troubles that a person can make; both groups have the same.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::periods::WORK;
use super::scene::Scene;

/// The partition or shard that gets the hot records and the poison record.
pub(super) const TROUBLED_PARTITION: i32 = 7;
/// The share of all records that a hot partition gets: one in this many.
pub(super) const HOT_ONE_IN: u64 = 3;
/// How much the arrivals rise in a spike.
const SPIKE: f64 = 1.5;
/// How much longer slow consumers take.
const SLOWER: u32 = 2;

/// A trouble for both groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// More records arrive than planned.
    Spike,
    /// Consumers take longer for a record.
    Slow,
    /// One partition or shard gets a large share of the records.
    Hot,
    /// A broker does not answer.
    Pause,
    /// A stream refuses to return records.
    Throttle,
    /// A record that no consumer can process.
    Poison,
    /// Retention deletes old records.
    Delete,
}

impl Trouble {
    /// Returns the trouble of this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Scene::ALL.iter().flat_map(|scene| scene.troubles()).find(|trouble| trouble.name() == name).copied()
    }

    /// The name in forms and in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::Slow => "slow",
            Self::Hot => "hot",
            Self::Pause => "broker",
            Self::Throttle => "throttle",
            Self::Poison => "poison",
            Self::Delete => "delete",
        }
    }

    /// The text on the button.
    pub(super) const fn title(self, scene: Scene) -> &'static str {
        match self {
            Self::Spike => "Spike ×1.5",
            Self::Slow => "Slow consumers",
            Self::Hot => match scene {
                Scene::Kafka => "Hot partition",
                Scene::Kinesis => "Hot shard",
            },
            Self::Pause => "Pause a broker",
            Self::Throttle => "Throttle reads",
            Self::Poison => "Poison record",
            Self::Delete => "Delete old records",
        }
    }

    /// What happens, in one sentence.
    pub(super) fn effect(self, scene: Scene) -> String {
        let seconds = self.lasts().as_secs();
        match self {
            Self::Spike => format!("Arrivals rise by half for {seconds} s."),
            Self::Slow => format!("Every consumer works at half speed for {seconds} s."),
            Self::Hot => {
                let place = if scene == Scene::Kafka { "Partition" } else { "Shard" };
                format!("{place} {TROUBLED_PARTITION} gets a third of all records for {seconds} s.")
            }
            Self::Pause => format!("One of three brokers does not answer for {seconds} s."),
            Self::Throttle => {
                format!(
                    "GetRecords exceeds the stream's read limit for {seconds} s, for both applications and the scaler."
                )
            }
            Self::Poison => {
                format!("One record blocks partition {TROUBLED_PARTITION} for {seconds} s. More pods cannot help.")
            }
            Self::Delete => "Retention deletes the records that are older than 1 s.".to_owned(),
        }
    }

    /// How long the trouble lasts.
    pub(super) const fn lasts(self) -> Duration {
        Duration::from_secs(match self {
            Self::Spike | Self::Poison => 20,
            Self::Slow | Self::Hot => 30,
            Self::Pause | Self::Throttle => 10,
            Self::Delete => 0,
        })
    }
}

/// A trouble that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) trouble: Trouble,
    pub(super) at: Duration,
    /// How many unread records each group lost.
    pub(super) lost: [u64; 2],
}

/// The troubles so far; all times are those of the demo's clock.
#[derive(Default)]
pub(super) struct Troubles {
    made: Mutex<Vec<Made>>,
}

impl Troubles {
    /// Begins a trouble, or begins it again.
    pub(super) fn make(&self, trouble: Trouble, at: Duration, lost: [u64; 2]) {
        self.made().push(Made { trouble, at, lost });
    }

    /// Returns all troubles so far.
    pub(super) fn all(&self) -> Vec<Made> {
        self.made().clone()
    }

    /// Returns when the trouble was last made, if it still lasts.
    pub(super) fn since(&self, trouble: Trouble, now: Duration) -> Option<Duration> {
        let made = self.made();
        let last = made.iter().rev().find(|made| made.trouble == trouble)?.at;
        (now < last + trouble.lasts()).then_some(last)
    }

    pub(super) fn is_on(&self, trouble: Trouble, now: Duration) -> bool {
        self.since(trouble, now).is_some()
    }

    /// Returns the trouble that was made last, with the time that is left of it.
    pub(super) fn last(&self, now: Duration) -> Option<(Made, Duration)> {
        let made = self.made();
        let last = made.last()?;
        Some((last.clone(), (last.at + last.trouble.lasts()).saturating_sub(now)))
    }

    /// The factor on the planned arrivals.
    pub(super) fn arrivals(&self, now: Duration) -> f64 {
        if self.is_on(Trouble::Spike, now) { SPIKE } else { 1.0 }
    }

    /// The time that a consumer needs for one record.
    pub(super) fn work(&self, now: Duration) -> Duration {
        if self.is_on(Trouble::Slow, now) { WORK * SLOWER } else { WORK }
    }

    fn made(&self) -> MutexGuard<'_, Vec<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_has_its_effect_until_it_ends_and_can_be_made_again() {
        let (troubles, second) = (Troubles::default(), Duration::from_secs(1));
        assert!((troubles.arrivals(second) - 1.0).abs() < 1e-9 && troubles.work(second) == WORK);
        troubles.make(Trouble::Spike, second, [0, 0]);
        troubles.make(Trouble::Slow, second, [0, 0]);
        assert!((troubles.arrivals(second * 20) - 1.5).abs() < 1e-9);
        assert_eq!(troubles.work(second * 20), WORK * 2);
        assert!((troubles.arrivals(second * 21) - 1.0).abs() < 1e-9, "a spike of 20 s");
        assert_eq!(troubles.work(second * 31), WORK, "slow for 30 s");
        troubles.make(Trouble::Spike, second * 40, [0, 0]);
        assert_eq!(troubles.since(Trouble::Spike, second * 45), Some(second * 40));
    }

    #[test]
    fn every_trouble_has_its_own_name() {
        for trouble in Scene::ALL.iter().flat_map(|scene| scene.troubles()) {
            assert_eq!(Trouble::of(trouble.name()), Some(*trouble));
        }
        assert_eq!(Trouble::of("earthquake"), None);
    }
}
