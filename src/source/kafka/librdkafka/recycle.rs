//! Which groups may be asked now, and when a client has to be replaced.
//!
//! A request whose coordinator was sick when it was made can stay unanswered inside librdkafka for its whole hour, while a new
//! request for the same group is answered at once. Too many of them starve the client. So: few outstanding for each group; a
//! group that did not answer is a suspect, and only a few suspects are asked in a round until one of them answers; a client that
//! is full of unanswered requests is replaced, with growing pauses.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::lag::FORGET_AFTER;
use crate::source::kafka::transport::GroupId;

/// A request that is unanswered for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// Stuck requests that a client may hold; at 5 000 it serves nobody (measured).
const MAX_STUCK: usize = 200;
/// One stuck request for so many asked groups is too many.
const GROUPS_PER_STUCK: usize = 10;
const MAX_OUTSTANDING: u32 = 2;
/// Suspects that are asked in a round.
const CANARIES: usize = 3;
/// A suspect whose requests are all unanswered is asked again after this.
const CANARY_PAUSE: Duration = Duration::from_secs(15);
/// `NOT_COORDINATOR` so often in a row: librdkafka keeps the old coordinator in its cache.
const MAX_MOVED: u8 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LAST_PAUSE: Duration = Duration::from_mins(2);
/// Insurance against slow growth.
const MAX_AGE: Duration = Duration::from_hours(24);

/// Why a client has to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Stuck,
    MovedCoordinator,
    Age,
}

/// The state of one client's requests to coordinators.
#[derive(Debug)]
pub(super) struct Health {
    born: Instant,
    next: u64,
    /// In the order in which they were made.
    open: BTreeMap<u64, Open>,
    groups: HashMap<GroupId, Group>,
    asked: usize,
    recycled: Option<Recycled>,
}

#[derive(Debug)]
struct Open {
    group: GroupId,
    since: Instant,
    /// A later request was answered: this one is librdkafka's leftover and says nothing about the group.
    superseded: bool,
}

#[derive(Debug)]
struct Group {
    outstanding: u32,
    newest: Instant,
    suspect: bool,
    moved: u8,
}

#[derive(Debug)]
struct Recycled {
    at: Instant,
    pause: Duration,
}

impl Health {
    pub(super) fn new(now: Instant) -> Self {
        Self { born: now, next: 0, open: BTreeMap::new(), groups: HashMap::new(), asked: 0, recycled: None }
    }

    /// Begins a round over `asked` groups; returns the suspects that are asked in it all the same.
    pub(super) fn round(&mut self, asked: &[GroupId], now: Instant) -> HashSet<GroupId> {
        self.asked = asked.len();
        for open in self.open.values().take_while(|open| now - open.since >= STUCK_AFTER) {
            if let Some(group) = self.groups.get_mut(&open.group).filter(|_| !open.superseded) {
                group.suspect = true;
            }
        }
        self.groups.retain(|_, group| now - group.newest < FORGET_AFTER);
        let mut suspects: Vec<_> = asked
            .iter()
            .filter_map(|id| self.groups.get_key_value(id))
            .filter(|(_, group)| group.suspect)
            .filter(|(_, group)| group.outstanding < MAX_OUTSTANDING || now - group.newest >= CANARY_PAUSE)
            .collect();
        suspects.sort_by_key(|(_, group)| group.newest);
        suspects.into_iter().take(CANARIES).map(|(id, _)| id.clone()).collect()
    }

    /// The number of a request that may be made now, if it may.
    pub(super) fn open(&mut self, id: &GroupId, canary: bool, now: Instant) -> Option<u64> {
        let group =
            self.groups.entry(id.clone()).or_insert(Group { outstanding: 0, newest: now, suspect: false, moved: 0 });
        if !canary && (group.suspect || group.outstanding >= MAX_OUTSTANDING) {
            return None;
        }
        group.outstanding += 1;
        group.newest = now;
        self.next += 1;
        self.open.insert(self.next, Open { group: id.clone(), since: now, superseded: false });
        Some(self.next)
    }

    /// A request was answered, whatever with; those of an earlier client are unknown here and change nothing.
    pub(super) fn close(&mut self, request: u64) {
        let Some(closed) = self.open.remove(&request) else { return };
        let Some(group) = self.groups.get_mut(&closed.group) else { return };
        group.outstanding = group.outstanding.saturating_sub(1);
        if group.suspect {
            // Coordinators answer again: let all come.
            for group in self.groups.values_mut() {
                group.suspect = false;
                group.outstanding = 0;
            }
            self.open.values_mut().for_each(|open| open.superseded = true);
        }
    }

    /// Notes whether the coordinator of `id` said that it is none.
    pub(super) fn moved(&mut self, id: &GroupId, moved: bool) {
        if let Some(group) = self.groups.get_mut(id) {
            group.moved = if moved { group.moved.saturating_add(1) } else { 0 };
        }
    }

    /// Whether and why the client has to be replaced now.
    pub(super) fn due(&self, now: Instant) -> Option<Reason> {
        if self.recycled.as_ref().is_some_and(|last| now - last.at < last.pause) {
            return None;
        }
        let stuck = self.open.values().take_while(|open| now - open.since >= STUCK_AFTER).count();
        if stuck >= MAX_STUCK || stuck > 0 && stuck * GROUPS_PER_STUCK >= self.asked.max(self.groups.len()) {
            return Some(Reason::Stuck);
        }
        if self.groups.values().any(|group| group.moved >= MAX_MOVED) {
            return Some(Reason::MovedCoordinator);
        }
        (now - self.born >= MAX_AGE).then_some(Reason::Age)
    }

    /// The client was replaced: its requests are gone, its suspects are not.
    pub(super) fn recycled(&mut self, now: Instant) {
        let pause = match &self.recycled {
            Some(last) if now - last.at < 2 * LAST_PAUSE => (2 * last.pause).min(LAST_PAUSE),
            _ => FIRST_PAUSE,
        };
        self.recycled = Some(Recycled { at: now, pause });
        self.born = now;
        self.open.clear();
        for group in self.groups.values_mut() {
            group.outstanding = 0;
            group.moved = 0;
        }
    }

    /// Unanswered requests.
    pub(super) fn outstanding(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests;
