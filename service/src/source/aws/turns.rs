//! Selects which position of a shard is probed next: that of the least exact answer.
//!
//! One probe serves every application that it can, so the number of probes grows with the shards and not with the applications.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::service::Address;
use crate::lag::streams::{Need, Position, ShardId, ShardState, Timestamp};

/// An application whose position was not probed for this time gets a probe of its own.
const STARVED_AFTER: Duration = Duration::from_mins(5);
/// How long the probes of applications are remembered.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);
/// The maximum number of turns that first probes of new applications use up in advance.
const MOST_DEBT: i32 = 8;

/// The id of one source that is observed on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ReaderId(pub(super) u64);

/// The probe that one application needs of a shard.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) position: Position,
    /// Whether the shard is listed as open.
    pub(super) state: ShardState,
    pub(super) need: Need,
    /// The difference between the highest and the lowest possible age.
    pub(super) width: Duration,
    /// The time between two turns of the application on this shard.
    pub(super) interval: Duration,
    /// When the round began in which the request was made.
    pub(super) round: Instant,
}

/// The requests for one shard, and the probes that are left for them.
#[derive(Debug, Default)]
pub(super) struct Turns {
    requests: HashMap<ReaderId, Request>,
    served: HashMap<ReaderId, Instant>,
    bounded: Option<Balance>,
}

/// The number of probes in each turn for positions whose age is already bounded.
#[derive(Clone, Copy, Debug)]
struct Balance {
    /// When the turn began, and the round that began it.
    at: Instant,
    round: Instant,
    left: i32,
}

/// Returns the number of bounded positions of a shard that are probed in one turn. The times in the sequence numbers of Kinesis bound ages
/// well, and its turns are a round apart; those of DynamoDB Streams are half a minute apart and hold no time.
pub(super) const fn per_turn(address: &Address) -> i32 {
    match address {
        Address::Kinesis(_) => 1,
        Address::DynamoDb(_) => 4,
    }
}

impl Turns {
    /// Replaces the request of `reader`. The first request of a round may begin another turn.
    pub(super) fn request(&mut self, reader: ReaderId, request: Request, now: Instant, per_turn: i32) {
        let left = match self.bounded {
            None => Some(per_turn),
            Some(balance) if balance.is_over(&request) => Some((balance.left + per_turn).min(per_turn)),
            Some(_) => None,
        };
        if let Some(left) = left {
            self.bounded = Some(Balance { at: now, round: request.round, left });
        }
        self.requests.insert(reader, request);
    }

    /// Removes the request of `reader`.
    pub(super) fn withdraw(&mut self, reader: ReaderId) {
        self.requests.remove(&reader);
    }

    /// Returns the next position to probe, if any may be probed now.
    pub(super) fn next(&self, shard: &ShardId, now: Instant) -> Option<(ReaderId, Request)> {
        let of = |need: &[Need]| self.requests.iter().filter(|(_, request)| need.contains(&request.need)).collect();
        let chosen = Self::lowest(shard, of(&[Need::Unknown, Need::First]));
        // these need no turn: each is requested once its last probe is an interval old, and one probe serves those behind it
        let quiet = || Self::lowest(shard, of(&[Need::Quiet]));
        let bounded = || {
            let all: Vec<(&ReaderId, &Request)> = of(&[Need::Bounded]);
            let may = all.into_iter().filter(|(id, request)| self.may_probe(**id, request, now));
            may.max_by_key(|(id, request)| (self.urgency(**id, request, now), **id))
        };
        let (id, request) = chosen.or_else(quiet).or_else(bounded)?;
        Some((*id, request.clone()))
    }

    /// Returns the request with the lowest position, whose probe may serve the others too.
    fn lowest<'a>(shard: &ShardId, requests: Vec<(&'a ReaderId, &'a Request)>) -> Option<(&'a ReaderId, &'a Request)> {
        let before = |one: &Request, other: &Request| {
            one.position != other.position
                && one.position.is_at_or_before(&other.position, shard, Timestamp::from_unix_ms(u64::MAX))
        };
        requests.into_iter().reduce(|lowest, other| {
            let same = lowest.1.position == other.1.position;
            if before(other.1, lowest.1) || (same && other.0 < lowest.0) { other } else { lowest }
        })
    }

    fn may_probe(&self, id: ReaderId, request: &Request, now: Instant) -> bool {
        let served = self.served.get(&id);
        let in_turn = self.bounded.is_some_and(|balance| balance.left > 0 && served.is_none_or(|at| *at < balance.at));
        in_turn || served.is_some_and(|at| now.duration_since(*at) >= STARVED_AFTER.max(request.interval))
    }

    /// Returns the urgency: it grows with the width of the bound and with the wait; a position that was never probed comes first.
    fn urgency(&self, id: ReaderId, request: &Request, now: Instant) -> u128 {
        let waited = self.served.get(&id).map(|at| now.duration_since(*at));
        waited.map_or(u128::MAX, |waited| request.width.as_millis().saturating_mul(waited.as_millis()))
    }

    /// Records that the probe for `reader` succeeded: it uses a turn, and every request that `answered` matches is served.
    pub(super) fn succeeded(
        &mut self,
        (reader, request): (ReaderId, &Request),
        now: Instant,
        answered: impl Fn(&Position) -> bool,
    ) {
        if let Some(balance) = self.bounded.as_mut().filter(|_| request.need != Need::Quiet) {
            balance.left = (balance.left - 1).max(-MOST_DEBT);
        }
        // the reader may have moved on meanwhile and requested another position
        if self.requests.get(&reader).is_some_and(|waiting| waiting.position == request.position) {
            self.requests.remove(&reader);
        }
        self.served.retain(|_, at| now.duration_since(*at) < FORGOTTEN_AFTER);
        self.served.insert(reader, now);
        let served = &mut self.served;
        self.requests.retain(|id, waiting| {
            let answered = answered(&waiting.position);
            if answered {
                served.insert(*id, now);
            }
            !answered
        });
    }

    /// Whether `reader` waits for an answer.
    pub(super) fn requested(&self, reader: ReaderId) -> bool {
        self.requests.contains_key(&reader)
    }

    /// Removes all requests and returns their readers.
    pub(super) fn withdraw_all(&mut self) -> impl Iterator<Item = ReaderId> + use<> {
        std::mem::take(&mut self.requests).into_keys()
    }
}

impl Balance {
    /// Whether a request of this round begins another turn.
    fn is_over(self, request: &Request) -> bool {
        request.round > self.round && request.round.duration_since(self.round) >= request.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::streams::SequenceNumber;

    const SECOND: Duration = Duration::from_secs(1);
    const WIDE: Duration = Duration::from_secs(1000);
    const LATE: Timestamp = Timestamp::from_unix_ms(u64::MAX);

    fn at(number: u32) -> Position {
        Position::After(SequenceNumber::parse(&number.to_string()).expect("digits"))
    }

    /// A Kinesis shard with a round every ten seconds.
    struct Rounds {
        turns: Turns,
        shard: ShardId,
        round: Instant,
    }

    impl Rounds {
        fn new() -> Self {
            let shard = ShardId::new("shardId-000000000000");
            Self { turns: Turns::default(), shard, round: Instant::now() }
        }

        /// Returns the applications that are probed in the next round, in which these are requested; a quiet probe serves those
        /// that follow it, and no other serves more than one.
        fn next(&mut self, requests: &[(u64, u32, Need, Duration)]) -> Vec<u64> {
            self.round += SECOND * 10;
            for (id, position, need, width) in requests {
                let request = Request {
                    position: at(*position),
                    state: ShardState::Open,
                    need: *need,
                    width: *width,
                    interval: SECOND,
                    round: self.round,
                };
                self.turns.request(ReaderId(*id), request, self.round, 1);
            }
            let mut probed = Vec::new();
            while let Some((id, request)) = self.turns.next(&self.shard, self.round) {
                // a tip behind one position is one behind those that follow
                let served = |position: &Position| {
                    request.need == Need::Quiet && request.position.is_at_or_before(position, &self.shard, LATE)
                };
                self.turns.succeeded((id, &request), self.round, served);
                probed.push(id.0);
            }
            for (id, ..) in requests {
                self.turns.withdraw(ReaderId(*id));
            }
            probed
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_ages_are_all_probed_and_the_lowest_position_comes_first() {
        let probed = Rounds::new().next(&[
            (1, 30, Need::Unknown, WIDE),
            (2, 10, Need::Unknown, WIDE),
            (3, 20, Need::First, WIDE),
        ]);
        assert_eq!(probed, [2, 3, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_bounded_ages_one_is_probed_in_a_round_and_each_gets_its_turn() {
        let mut rounds = Rounds::new();
        let requests = [1, 2, 3].map(|id| (id, u32::try_from(id).expect("small"), Need::Bounded, WIDE));
        let probed: Vec<_> = (0..6).map(|_| rounds.next(&requests)).collect();
        assert!(probed.iter().all(|probed| probed.len() == 1), "{probed:?}");
        let mut first: Vec<_> = probed[..3].concat();
        first.sort_unstable();
        assert_eq!(first, [1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_widest_bound_is_probed_most_often_and_a_narrower_one_does_not_starve() {
        let mut rounds = Rounds::new();
        let requests = [(1, 1, Need::Bounded, WIDE), (2, 2, Need::Bounded, WIDE / 4)];
        let probed: Vec<_> = (0..20).flat_map(|_| rounds.next(&requests)).collect();
        let narrow = probed.iter().filter(|id| **id == 2).count();
        assert!((3..=6).contains(&narrow), "{probed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_probes_of_new_applications_are_paid_back() {
        let mut rounds = Rounds::new();
        let new = [1, 2, 3].map(|id| (id, u32::try_from(id).expect("small"), Need::First, WIDE));
        assert_eq!(rounds.next(&new).len(), 3);
        let moving = new.map(|(id, position, _, width)| (id, position + 100, Need::Bounded, width));
        let probes: Vec<_> = (0..6).map(|_| rounds.next(&moving).len()).collect();
        assert_eq!(probes, [0, 0, 1, 1, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn twenty_applications_that_lag_cost_what_one_costs() {
        let mut rounds = Rounds::new();
        let requests: Vec<_> =
            (1..=20).map(|id| (id, u32::try_from(id).expect("small"), Need::Bounded, WIDE)).collect();
        let probes: usize = (0..18).map(|_| rounds.next(&requests).len()).sum();
        assert_eq!(probes, 18, "one in each round");
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_applications_have_a_probe_beside_those_that_lag() {
        let mut rounds = Rounds::new();
        let requests = [(1, 1, Need::Bounded, WIDE), (2, 9, Need::Quiet, SECOND), (3, 8, Need::Quiet, SECOND)];
        for _ in 0..3 {
            assert_eq!(rounds.next(&requests), [3, 1]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_application_is_probed_although_another_was_just_before() {
        let mut rounds = Rounds::new();
        for (id, position) in [(2, 9), (1, 1)] {
            // both are read in rounds of their own, and their intervals are longer than the time between these
            let request = Request {
                position: at(position),
                state: ShardState::Open,
                need: Need::Quiet,
                width: SECOND,
                interval: SECOND * 30,
                round: rounds.round,
            };
            rounds.turns.request(ReaderId(id), request, rounds.round, 1);
            assert_eq!(rounds.next(&[]), [id]);
        }
    }
}
