//! Group requests that librdkafka has not answered, and when a client that collects them must be replaced.
//!
//! A request whose coordinator is unknown may hang for an hour; thousands of them starve the others. So a group has two at
//! most, a sick client is asked for a few groups only, and it is replaced before long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::transport::GroupId;

/// A second request for a group may be what wakes the first; a third would only add to the pile.
const PER_GROUP: usize = 2;

/// An unanswered request counts as stuck from this age on.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// From so many unanswered requests on only a few groups are asked, to see whether the client has recovered.
const SICK: usize = 200;
const CANARIES: usize = 3;

/// A client that is this old is replaced, whatever its state.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// The unanswered group requests of one client.
#[derive(Clone, Debug, Default)]
pub(super) struct Outstanding {
    open: Arc<Mutex<HashMap<u64, (GroupId, Instant)>>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Open {
    of: Outstanding,
    key: u64,
}

/// Which groups may be asked now.
#[derive(Debug)]
pub(super) struct Admission {
    unanswered: HashMap<GroupId, usize>,
    left: usize,
}

/// When a client must be replaced: not more often than the pause, which doubles while it does not help.
#[derive(Debug)]
pub(super) struct Recycling {
    made_at: Instant,
    pause: Duration,
}

// === impl Outstanding ===

impl Outstanding {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, (GroupId, Instant)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request for `group`; `key` is the caller's and used once.
    pub(super) fn begin(&self, key: u64, group: GroupId) -> Open {
        self.open().insert(key, (group, Instant::now()));
        Open { of: self.clone(), key }
    }

    /// Which groups may be asked now.
    pub(super) fn admission(&self) -> Admission {
        let open = self.open();
        let mut unanswered: HashMap<GroupId, usize> = HashMap::new();
        for (group, _) in open.values() {
            *unanswered.entry(group.clone()).or_default() += 1;
        }
        Admission { unanswered, left: if open.len() >= SICK { CANARIES } else { usize::MAX } }
    }

    /// Requests that have been unanswered for too long.
    pub(super) fn stuck(&self, now: Instant) -> usize {
        self.open().values().filter(|(_, begun)| now.duration_since(*begun) >= STUCK_AFTER).count()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.of.open().remove(&self.key);
    }
}

impl Admission {
    /// Whether this group may be asked.
    pub(super) fn admit(&mut self, group: &GroupId) -> bool {
        let unanswered = self.unanswered.get(group).copied().unwrap_or_default();
        if unanswered >= PER_GROUP || self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }
}

// === impl Recycling ===

impl Recycling {
    pub(super) const fn new(now: Instant) -> Self {
        Self { made_at: now, pause: FIRST_PAUSE }
    }

    /// Whether to replace the client now; says yes once, for the caller does it.
    pub(super) fn due(&mut self, stuck: usize, now: Instant) -> bool {
        let age = now.duration_since(self.made_at);
        let due = age >= LONGEST_LIFE || (stuck > 0 && age >= self.pause);
        if due {
            let helped = age >= self.pause * 4;
            self.pause = if helped { FIRST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
            self.made_at = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[tokio::test(start_paused = true)]
    async fn a_group_has_two_unanswered_requests_at_most() {
        let outstanding = Outstanding::default();
        let group: GroupId = "a".into();
        let _first = outstanding.begin(1, group.clone());
        assert!(outstanding.admission().admit(&group));
        let second = outstanding.begin(2, group.clone());
        assert!(!outstanding.admission().admit(&group));
        assert!(outstanding.admission().admit(&"b".into()));
        drop(second);
        assert!(outstanding.admission().admit(&group));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sick_client_is_asked_for_three_groups_only() {
        let outstanding = Outstanding::default();
        let open: Vec<_> = (0..SICK as u64).map(|key| outstanding.begin(key, format!("g{key}").into())).collect();
        let mut admission = outstanding.admission();
        let admitted = (0..300).filter(|fresh| admission.admit(&format!("fresh{fresh}").into())).count();
        assert_eq!(admitted, CANARIES);
        drop(open);
        assert_eq!(outstanding.admission().left, usize::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_stuck_after_five_seconds() {
        let outstanding = Outstanding::default();
        let _open = outstanding.begin(1, "a".into());
        assert_eq!(outstanding.stuck(Instant::now()), 0);
        tokio::time::advance(STUCK_AFTER).await;
        assert_eq!(outstanding.stuck(Instant::now()), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_client_is_replaced_less_and_less_often() {
        let mut recycling = Recycling::new(Instant::now());
        let mut replaced = Vec::new();
        let begun = Instant::now();
        for _ in 0..600 {
            tokio::time::advance(S(1)).await;
            if recycling.due(1, Instant::now()) {
                replaced.push(begun.elapsed().as_secs());
            }
        }
        assert_eq!(replaced, [15, 45, 105, 225, 345, 465, 585]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_healthy_client_is_replaced_once_a_day() {
        let mut recycling = Recycling::new(Instant::now());
        tokio::time::advance(LONGEST_LIFE - S(1)).await;
        assert!(!recycling.due(0, Instant::now()));
        tokio::time::advance(S(1)).await;
        assert!(recycling.due(0, Instant::now()));
        assert!(!recycling.due(0, Instant::now()));
    }
}
