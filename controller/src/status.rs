//! The status of an object, which is written only when it differs from the previous one.

use std::time::Duration;

use super::kinesis_stream::{ActionEntry, Condition, KinesisStream, KinesisStreamStatus, SELECTOR_KEY};
use crate::lag::streams::{Change, Timestamp};

/// The maximum number of changes in the status.
const MOST_ACTIONS: usize = 20;
/// The maximum time between a call and a change of the stream that is attributed to it.
const SAME_CHANGE: Duration = Duration::from_secs(300);

/// A new condition, before it is compared with the previous one.
pub(super) struct NewCondition {
    pub(super) kind: &'static str,
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl NewCondition {
    pub(super) fn new(
        kind: &'static str,
        status: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, status, reason, message: message.into() }
    }
}

impl KinesisStreamStatus {
    /// Creates the new status of an object from its previous one.
    pub(super) fn of(object: &KinesisStream) -> Self {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        Self {
            observed_generation: object.metadata.generation,
            selector: Some(format!("{SELECTOR_KEY}={name}")),
            ..object.status.clone().unwrap_or_default()
        }
    }

    /// Sets a condition; its time is that of the last change of its status. If only numbers in the message change, such as an age,
    /// the object is not written; if the time until which it waits changes, it is.
    pub(super) fn set(&mut self, said: NewCondition, now: Timestamp) {
        let NewCondition { kind, status, reason, message } = said;
        let before = self.conditions.iter().position(|known| known.kind == kind);
        let since = before.and_then(|index| self.conditions.get(index)).filter(|known| known.status == status);
        let timed = matches!(reason, "Budget" | "Resting" | "ChangedElsewhere");
        let message = since
            .filter(|known| {
                known.reason == reason && !timed && without_digits(&known.message) == without_digits(&message)
            })
            .map_or(message, |known| known.message.clone());
        let condition = Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            last_transition_time: since.map_or_else(|| now.to_string(), |known| known.last_transition_time.clone()),
        };
        match before.and_then(|index| self.conditions.get_mut(index)) {
            Some(known) => *known = condition,
            None => self.conditions.push(condition),
        }
    }

    /// Adds an entry at the front. A call that fails again replaces the previous entry.
    pub(super) fn add(&mut self, entry: ActionEntry) {
        let again = |known: &ActionEntry| {
            entry.outcome != "called"
                && (&known.outcome, known.from, known.to) == (&entry.outcome, entry.from, entry.to)
        };
        if self.actions.first().is_some_and(again) {
            self.actions.remove(0);
        }
        self.actions.insert(0, entry);
        self.actions.truncate(MOST_ACTIONS);
    }

    /// Adds changes of the stream that others made.
    pub(super) fn add_seen(&mut self, shown: &[Change]) {
        for change in shown {
            let known = self.actions.iter().filter_map(|entry| Timestamp::parse(&entry.time));
            let apart = |at: Timestamp| at.since(change.at).max(change.at.since(at));
            if known.into_iter().any(|at| apart(at) < SAME_CHANGE) {
                continue;
            }
            let entry = ActionEntry {
                time: change.at.to_string(),
                from: change.from,
                to: change.to,
                why: String::new(),
                by: "elsewhere".to_owned(),
                outcome: "seen".to_owned(),
            };
            self.actions.push(entry);
        }
        self.actions.sort_by(|one, other| Timestamp::parse(&other.time).cmp(&Timestamp::parse(&one.time)));
        self.actions.truncate(MOST_ACTIONS);
    }

    /// Returns the changes for which this controller made a call.
    pub(super) fn made(&self) -> Vec<Change> {
        let called = self.actions.iter().rev().filter(|entry| entry.outcome == "called");
        let change = |entry: &ActionEntry| {
            let at = Timestamp::parse(&entry.time)?;
            Some(Change { at, done: at, from: entry.from, to: entry.to })
        };
        called.filter_map(change).collect()
    }

    /// Returns when AWS last rejected a call because of its limit.
    pub(super) fn refused(&self) -> Option<Timestamp> {
        let refused = self.actions.iter().find(|entry| entry.outcome == "refused");
        refused.and_then(|entry| Timestamp::parse(&entry.time))
    }

    /// Returns the reason of a condition.
    pub(super) fn reason(&self, kind: &str) -> Option<&str> {
        let condition = self.conditions.iter().find(|condition| condition.kind == kind);
        condition.map(|condition| condition.reason.as_str())
    }
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|sign| !sign.is_ascii_digit()).collect()
}
