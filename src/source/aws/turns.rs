//! Whose position of a shard is probed next: the answer that is the least exact.
//!
//! One probe serves every application that it can serve, so the number of probes grows with the shards and not with the applications.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::service::Address;
use crate::lag::streams::{Need, Position, ShardId, Timestamp};

/// An application whose position was not probed for this long gets a probe of its own.
const STARVED_AFTER: Duration = Duration::from_secs(60);
/// What applications got is remembered this long.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);
/// First probes of new applications are paid back by later turns, this many at most.
const MOST_DEBT: i32 = 8;

/// One application on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ApplicationId(pub(super) u64);

/// What one application wants to know of a shard.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) position: Position,
    pub(super) need: Need,
    /// The difference between the highest and the lowest possible age.
    pub(super) width: Duration,
    /// The application's turns of this shard are this far apart.
    pub(super) interval: Duration,
    /// When the round began that it is made in.
    pub(super) round: Instant,
}

/// The requests for one shard, and what they may still cost.
#[derive(Debug, Default)]
pub(super) struct Turns {
    requests: HashMap<ApplicationId, Request>,
    served: HashMap<ApplicationId, Instant>,
    /// When a position was last probed behind which nothing had been found before.
    quiet_at: Option<Instant>,
    bounded: Option<Balance>,
}

/// Probes of positions whose age is already bounded: so many in each turn.
#[derive(Clone, Copy, Debug)]
struct Balance {
    /// When the turn began, and the round that began it.
    at: Instant,
    round: Instant,
    left: i32,
}

/// How many bounded positions of a shard are probed in one turn. Times inside the sequence numbers of Kinesis bound ages well, and
/// its turns are a round apart; those of DynamoDB Streams are half a minute apart and hold no time.
pub(super) const fn per_turn(address: &Address) -> i32 {
    match address {
        Address::Kinesis(_) => 1,
        Address::DynamoDb(_) => 4,
    }
}

impl Turns {
    /// Replaces what `application` wants to know. The first request of a round may begin another turn.
    pub(super) fn request(&mut self, application: ApplicationId, request: Request, now: Instant, per_turn: i32) {
        if let Some(balance) = self.bounded.as_mut().filter(|balance| balance.is_over(&request)) {
            let left = (balance.left + per_turn).min(per_turn);
            *balance = Balance { at: now, round: request.round, left };
        }
        self.requests.insert(application, request);
    }

    /// What `application` wanted to know is of no interest any more.
    pub(super) fn withdraw(&mut self, application: ApplicationId) {
        self.requests.remove(&application);
    }

    /// The next position to probe, if any may be probed now.
    pub(super) fn next(&self, shard: &ShardId, now: Instant) -> Option<(ApplicationId, Request)> {
        let of = |need: &[Need]| self.requests.iter().filter(|(_, request)| need.contains(&request.need)).collect();
        let chosen = self.lowest(shard, of(&[Need::Unknown, Need::First]));
        let quiet = || {
            let due = |request: &Request| self.quiet_at.is_none_or(|at| now.duration_since(at) >= request.interval);
            let due: Vec<_> = of(&[Need::Quiet]).into_iter().filter(|(_, request)| due(request)).collect();
            self.lowest(shard, due)
        };
        let bounded = || {
            let all: Vec<(&ApplicationId, &Request)> = of(&[Need::Bounded]);
            let may = all.into_iter().filter(|(id, request)| self.may_probe(**id, request, now));
            may.max_by_key(|(id, request)| (request.width.as_millis() * self.waited(**id, now).as_millis(), **id))
        };
        let (id, request) = chosen.or_else(quiet).or_else(bounded)?;
        Some((*id, request.clone()))
    }

    /// A probe from the lowest position may serve the others too.
    fn lowest<'a>(
        &self,
        shard: &ShardId,
        requests: Vec<(&'a ApplicationId, &'a Request)>,
    ) -> Option<(&'a ApplicationId, &'a Request)> {
        let before = |one: &Request, other: &Request| {
            one.position != other.position
                && one.position.is_at_or_before(&other.position, shard, Timestamp::from_unix_ms(u64::MAX))
        };
        requests.into_iter().reduce(|lowest, other| {
            let same = lowest.1.position == other.1.position;
            if before(other.1, lowest.1) || (same && other.0 < lowest.0) { other } else { lowest }
        })
    }

    fn may_probe(&self, id: ApplicationId, request: &Request, now: Instant) -> bool {
        let Some(balance) = self.bounded else { return true };
        let was_served = self.served.get(&id).is_some_and(|at| *at >= balance.at);
        (balance.left > 0 && !was_served) || self.waited(id, now) >= STARVED_AFTER.max(request.interval)
    }

    fn waited(&self, id: ApplicationId, now: Instant) -> Duration {
        self.served.get(&id).map_or(STARVED_AFTER, |at| now.duration_since(*at))
    }

    /// The probe that `application` requested has succeeded: it takes a turn, and every request that `answered` holds for is served.
    pub(super) fn succeeded(
        &mut self,
        (application, request): (ApplicationId, &Request),
        now: Instant,
        per_turn: i32,
        answered: impl Fn(&Position) -> bool,
    ) {
        match request.need {
            Need::Quiet => self.quiet_at = Some(now),
            Need::Bounded | Need::First | Need::Unknown => {
                let turn = Balance { at: now, round: request.round, left: per_turn };
                let balance = self.bounded.get_or_insert(turn);
                balance.left = (balance.left - 1).max(-MOST_DEBT);
            }
        }
        self.requests.remove(&application);
        self.served.retain(|_, at| now.duration_since(*at) < FORGOTTEN_AFTER);
        self.served.insert(application, now);
        let served = &mut self.served;
        self.requests.retain(|id, waiting| {
            let answered = answered(&waiting.position);
            if answered {
                served.insert(*id, now);
            }
            !answered
        });
    }

    /// The probe that `application` requested has failed: it took no turn, and is not tried again in this round.
    pub(super) fn failed(&mut self, application: ApplicationId) {
        self.requests.remove(&application);
    }
}

impl Balance {
    /// Whether a request of this round begins another turn. Rounds begin a little early or late, and half of an interval is not waited
    /// for because of that.
    fn is_over(self, request: &Request) -> bool {
        request.round > self.round && request.round.duration_since(self.round) >= request.interval * 9 / 10
    }
}
