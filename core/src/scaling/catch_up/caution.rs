//! When it is worth to go down.
//!
//! Going down and up again costs two rebalances, in which the consumers stand still. A scale-down waits until the consumers that it saves
//! would have paid for that; the HPA's own window counts towards the wait.

use std::collections::VecDeque;

use crate::lag::Moment;
use crate::lag::flow::count;

/// A scale-down waits for this many times the cost of going down and up again.
const PAYBACK: f64 = 2.0;
/// The longest wait in seconds, however little a scale-down would save; doubled by each mistake.
const LONGEST: f64 = 600.0;
/// Each mistake doubles the wait, up to this many times.
const MISTAKES: u32 = 3;
/// A scale-up this many reactions after a scale-down shows that the scale-down was a mistake.
const MISTAKE_WITHIN: f64 = 10.0;
/// After this many reactions without too few consumers, mistakes are forgotten.
const FORGIVEN_AFTER: f64 = 120.0;
/// Changes of the recommendation that are remembered: older ones are joined.
const REMEMBERED: usize = 64;

/// What was recommended, and which scale-downs were mistakes.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Caution {
    /// Runs of the same recommendation: from when, until when, how many consumers.
    runs: VecDeque<Run>,
    mistakes: u32,
    too_few_at: Option<Moment>,
    /// The scale-down that was counted as a mistake last.
    mistaken: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    since: Moment,
    until: Moment,
    consumers: usize,
}

/// Whether it is worth to go down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// To this many consumers.
    Down(usize),
    /// Not for this number of seconds.
    Hold { seconds: f64 },
}

impl Caution {
    /// Some consumer has more to do than it can; there were fewer than before at `fewer_at`, and a reaction takes `reaction` seconds.
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

    /// How much longer a scale-down waits because of mistakes.
    pub(super) fn doubled(&self) -> f64 {
        f64::from(2_u32.pow(self.mistakes))
    }

    /// Remembers what is recommended at a reading.
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

    /// Nothing that was recommended so far counts.
    pub(super) fn forget(&mut self) {
        self.runs.clear();
    }

    /// Whether `wanted` of `now` consumers are gone down to, where a rebalance takes `pause` seconds and the HPA waits `window` seconds by
    /// itself.
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
        // a wait of two times two pauses of 40 s times 9 / 7, which reaches back to before the oldest that is kept
        assert!(matches!(caution.down(2, 9, 40.0, 0.0, at(3 * REMEMBERED + 20)), Verdict::Hold { .. }));
        assert_eq!(caution.down(2, 9, 10.0, 0.0, at(3 * REMEMBERED + 20)), Verdict::Down(4));
    }
}
