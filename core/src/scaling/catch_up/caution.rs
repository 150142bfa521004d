//! Decides when a scale-down is worth its cost.
//!
//! Scaling down and up again costs two rebalances, in which the consumers make no progress. A scale-down waits until the consumers that it
//! removes would have paid for that; the HPA's own window counts towards the wait.

use std::collections::VecDeque;

use crate::lag::Moment;
use crate::lag::flow::count;

/// A scale-down waits for this many times the cost of scaling down and up again.
const PAYBACK: f64 = 2.0;
/// The longest wait in seconds, however little a scale-down would save; doubled by each mistake.
const LONGEST: f64 = 600.0;
/// The maximum number of mistakes that double the wait.
const MISTAKES: u32 = 3;
/// A scale-up this many reactions after a scale-down shows that the scale-down was a mistake.
const MISTAKE_WITHIN: f64 = 10.0;
/// After this many reactions without too few consumers, mistakes are reset.
const FORGIVEN_AFTER: f64 = 120.0;
/// The maximum number of remembered changes of the recommendation: older ones are merged.
const REMEMBERED: usize = 64;

/// The past recommendations, and which scale-downs were mistakes.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Caution {
    /// Runs of the same recommendation: start, end and number of consumers.
    runs: VecDeque<Run>,
    mistakes: u32,
    too_few_at: Option<Moment>,
    /// The scale-down that was last counted as a mistake.
    mistaken: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    since: Moment,
    until: Moment,
    consumers: usize,
}

/// Whether to scale down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Scale down to this many consumers.
    Down(usize),
    /// Do not scale down for this number of seconds.
    Hold { seconds: f64 },
}

impl Caution {
    /// Records that a consumer is overloaded; the count last decreased at `fewer_at`, and a reaction takes `reaction` seconds.
    pub(super) fn too_few(&mut self, fewer_at: Option<Moment>, reaction: f64, now: Moment) {
        let within = |at: Moment, reactions: f64| now.since(at).as_secs_f64() < reactions * reaction;
        let mistake = fewer_at.filter(|at| Some(*at) != self.mistaken && within(*at, MISTAKE_WITHIN));
        if mistake.is_some() {
            self.mistakes = (self.mistakes + 1).min(MISTAKES);
            self.mistaken = mistake;
        } else if self.too_few_at.is_some_and(|at| !within(at, FORGIVEN_AFTER)) {
            self.mistakes = 0;
        }
        self.too_few_at = Some(now);
    }

    /// The factor by which mistakes prolong the wait of a scale-down.
    pub(super) fn doubled(&self) -> f64 {
        f64::from(2_u32.pow(self.mistakes))
    }

    /// Remembers the recommendation of a reading.
    pub(super) fn remember(&mut self, consumers: usize, now: Moment) {
        match self.runs.back_mut() {
            Some(last) if last.consumers == consumers => last.until = now,
            _ => self.runs.push_back(Run { since: now, until: now, consumers }),
        }
        if self.runs.len() > REMEMBERED
            && let (Some(first), Some(second)) = (self.runs.pop_front(), self.runs.front_mut())
        {
            *second = Run { since: first.since, consumers: first.consumers.max(second.consumers), ..*second };
        }
    }

    /// Drops all recommendations so far.
    pub(super) fn forget(&mut self) {
        self.runs.clear();
    }

    /// Decides whether to scale down from `consumers` to `wanted`, where a rebalance takes `pause` seconds and the HPA itself
    /// waits `window` seconds.
    pub(super) fn down(&mut self, wanted: usize, consumers: usize, pause: f64, window: f64, now: Moment) -> Verdict {
        self.remember(wanted, now);
        let saved = count(consumers - wanted);
        let wait = (PAYBACK * 2.0 * pause * count(consumers) / saved).min(LONGEST) * self.doubled() - window;
        let since = |at: Moment| now.since(at).as_secs_f64();
        let Some(known) = self.runs.front() else { return Verdict::Down(wanted) };
        if since(known.since) < wait {
            return Verdict::Hold { seconds: wait - since(known.since) };
        }
        let recent = self.runs.iter().filter(|run| since(run.until) <= wait.max(0.0));
        let most = recent.map(|run| run.consumers).max().unwrap_or(wanted).min(consumers);
        if most < consumers || wanted == consumers {
            return Verdict::Down(most);
        }
        let last = self.runs.iter().rev().find(|run| run.consumers >= consumers);
        Verdict::Hold { seconds: last.map_or(0.0, |run| wait - since(run.until)) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn of_more_changes_than_are_kept_the_highest_still_counts() {
        let at = |seconds: usize| Moment::after_epoch(Duration::from_secs(u64::try_from(seconds).expect("few")));
        let mut caution = Caution::default();
        for second in 0..3 * REMEMBERED {
            caution.remember(if second == 10 { 9 } else { 3 + second % 2 }, at(second));
        }
        assert!(caution.runs.len() <= REMEMBERED);
        // a wait of two times two pauses of 40 s times 9 / 7, which extends beyond the oldest remembered run
        assert!(matches!(caution.down(2, 9, 40.0, 0.0, at(3 * REMEMBERED + 20)), Verdict::Hold { .. }));
        assert_eq!(caution.down(2, 9, 10.0, 0.0, at(3 * REMEMBERED + 20)), Verdict::Down(4));
    }
}
