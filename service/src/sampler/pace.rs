//! The intervals that callers need, and the time of the next reading.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::callers::{Callers, WatchId};
use super::permits::TargetPermits;
use crate::lag::{FORGET_AFTER, SourceErrorKind};
use crate::scaling::catch_up::MOST_POLICIES;
use crate::trigger::CatchUpPolicy;

/// The pause before the first retry of a failed reading, so that a moved leader is found within one second.
const FIRST_RETRY: Duration = Duration::from_millis(300);

/// How long a failing target is retried quickly; after that it is read at its regular pace again.
const QUICK_RETRIES_FOR: Duration = Duration::from_secs(20);

/// The interests of all callers of one target.
#[derive(Debug, Default)]
pub(super) struct Interests {
    /// The last time each interval was requested: an interval without requests expires. There is seldom more than one, and every call
    /// iterates over them.
    asked: Vec<(Duration, Instant)>,
    watches: HashMap<WatchId, Duration>,
    /// The callers, by `ScaledObject`.
    pub(super) callers: Callers,
    /// The permits of the callers' namespaces.
    pub(super) permits: TargetPermits,
    /// The last time each catch-up policy was requested.
    followed: Vec<(CatchUpPolicy, Instant)>,
    /// The shortest interval, as last calculated: every call needs it.
    shortest: Option<Duration>,
}

impl Interests {
    /// Notes a request for this interval, in whole seconds, so that there are no more intervals than seconds in the longest.
    pub(super) fn ask(&mut self, interval: Duration, now: Instant) {
        let interval = Duration::from_secs(interval.as_secs().max(1));
        if let Some((_, asked)) = self.asked.iter_mut().find(|(known, _)| *known == interval) {
            *asked = now;
        } else {
            self.asked.push((interval, now));
            self.shorten(interval);
        }
    }

    pub(super) fn watch(&mut self, id: WatchId, interval: Duration) {
        self.watches.insert(id, interval);
        self.shorten(interval);
    }

    fn shorten(&mut self, interval: Duration) {
        self.shortest = Some(self.shortest.map_or(interval, |shortest| shortest.min(interval)));
    }

    /// Returns the shortest requested interval, as last calculated, including requests since then.
    pub(super) const fn shortest(&self) -> Option<Duration> {
        self.shortest
    }

    /// Keeps the catch-up law running for this policy. Beyond the limit the newest policy is dropped: a caller with many policies
    /// cannot displace another caller's state.
    pub(super) fn follow(&mut self, policy: &CatchUpPolicy, now: Instant) {
        if let Some((_, asked)) = self.followed.iter_mut().find(|(known, _)| known == policy) {
            *asked = now;
            return;
        }
        if self.followed.len() < MOST_POLICIES {
            self.followed.push((policy.clone(), now));
        }
    }

    /// Returns the policies for which the law keeps running. A watch keeps all of them, because it calls only once.
    pub(super) fn policies(&mut self, now: Instant) -> Vec<CatchUpPolicy> {
        let watched = !self.watches.is_empty();
        self.followed.retain(|(_, asked)| watched || now.duration_since(*asked) < FORGET_AFTER);
        self.followed.iter().map(|(policy, _)| policy.clone()).collect()
    }

    pub(super) fn unwatch(&mut self, id: WatchId) {
        self.watches.remove(&id);
        self.callers.unwatch(id);
    }

    /// Returns the shortest interval that any caller still needs; `None` if there is no caller.
    pub(super) fn interval(&mut self, now: Instant) -> Option<Duration> {
        self.asked.retain(|(_, asked)| now.duration_since(*asked) < FORGET_AFTER);
        self.shortest = self.asked.iter().map(|(interval, _)| interval).chain(self.watches.values()).min().copied();
        self.shortest
    }
}

/// Returns the pause before a quick retry of a target with this interval, whose readings have failed for `failing_for`, last with an
/// error of this kind; `None` if the next reading is at its regular time.
pub(super) fn quick_retry(kind: SourceErrorKind, failing_for: Duration, interval: Duration) -> Option<Duration> {
    let passing = match kind {
        SourceErrorKind::TimedOut | SourceErrorKind::Unreachable | SourceErrorKind::Broken => true,
        SourceErrorKind::Missing | SourceErrorKind::Denied | SourceErrorKind::Throttled => false,
    };
    (passing && failing_for < QUICK_RETRIES_FOR).then(|| FIRST_RETRY.min(interval))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::{Policy, Trigger};

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[tokio::test(start_paused = true)]
    async fn the_shortest_interval_holds_until_nobody_asks_for_it() {
        let mut interests = Interests::default();
        assert_eq!(interests.interval(Instant::now()), None);
        interests.ask(S(2), Instant::now());
        tokio::time::advance(S(300)).await;
        interests.ask(S(10), Instant::now());
        assert_eq!(interests.interval(Instant::now()), Some(S(2)));
        tokio::time::advance(S(300)).await;
        assert_eq!(interests.interval(Instant::now()), Some(S(10)));
        tokio::time::advance(S(300)).await;
        assert_eq!(interests.interval(Instant::now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_by_many_policies_takes_nobodys_memory() {
        let policy = |minutes: usize| {
            let time = format!("{minutes}m");
            let metadata = [
                ("source", "kafka"),
                ("bootstrapServers", "b:9092"),
                ("consumerGroup", "g"),
                ("topic", "t"),
                ("scaleOn", "catchUp"),
                ("maxAge", &time),
            ];
            let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            let Ok(Policy::CatchUp(policy)) = Trigger::parse(&metadata).map(|trigger| trigger.policy) else {
                panic!("a good trigger")
            };
            policy
        };
        let mut interests = Interests::default();
        for minutes in 1..=2 * MOST_POLICIES {
            interests.follow(&policy(minutes), Instant::now());
            tokio::time::advance(S(1)).await;
        }
        let followed = interests.policies(Instant::now());
        assert_eq!(followed.len(), MOST_POLICIES);
        assert!(followed.contains(&policy(1)) && !followed.contains(&policy(2 * MOST_POLICIES)));
        tokio::time::advance(FORGET_AFTER).await;
        assert!(interests.policies(Instant::now()).is_empty(), "there is room again");
    }

    #[tokio::test(start_paused = true)]
    async fn every_poll_interval_of_a_second_is_one() {
        let mut interests = Interests::default();
        for milliseconds in 2000..3000 {
            interests.ask(Duration::from_millis(milliseconds), Instant::now());
        }
        assert_eq!((interests.asked.len(), interests.interval(Instant::now())), (1, Some(S(2))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_holds_its_target_until_it_ends() {
        let mut interests = Interests::default();
        interests.watch(WatchId(1), S(1));
        tokio::time::advance(FORGET_AFTER * 2).await;
        assert_eq!(interests.interval(Instant::now()), Some(S(1)));
        interests.unwatch(WatchId(1));
        assert_eq!(interests.interval(Instant::now()), None);
    }

    #[test]
    fn passing_troubles_are_tried_again_soon_and_lasting_ones_at_the_ordinary_pace() {
        let soon = quick_retry(SourceErrorKind::Unreachable, S(1), S(10));
        assert_eq!(soon, Some(Duration::from_millis(300)));
        assert_eq!(quick_retry(SourceErrorKind::Unreachable, S(21), S(10)), None);
        for kind in [SourceErrorKind::Denied, SourceErrorKind::Missing, SourceErrorKind::Throttled] {
            assert_eq!(quick_retry(kind, S(0), S(10)), None, "{kind:?}");
        }
    }
}
