//! How often AWS is called: below its limits by far, and less after it has complained.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::failure::{Failure, FailureKind};
use crate::lag::FORGET_AFTER;
use crate::telemetry::{UpstreamApi, UpstreamMetrics, UpstreamOutcome};

/// The first pause after a complaint; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// Nobody waits longer than this for a turn.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// Calls that are a second apart here may arrive in the same second there.
const READS_APART: Duration = Duration::from_millis(1050);

/// What a limit of AWS is about: an API, and the stream, shard or table where the limit is not the account's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) api: UpstreamApi,
    /// Empty for the account.
    pub(super) of: String,
}

/// The turns of every scope of one account and region.
#[derive(Debug, Default)]
pub(super) struct Budget(Mutex<HashMap<Scope, Turns>>);

#[derive(Clone, Copy, Debug)]
struct Turns {
    next: Instant,
    /// The last pause after a complaint, until a call succeeds.
    pause: Option<Duration>,
    paused_until: Instant,
}

impl Scope {
    pub(super) fn account(api: UpstreamApi) -> Self {
        Self { api, of: String::new() }
    }

    pub(super) fn of(api: UpstreamApi, of: impl Into<String>) -> Self {
        Self { api, of: of.into() }
    }

    /// The least time between two calls: less than a fifth of an account's limit (`DescribeStreamSummary` 20, `DescribeStream` of a
    /// DynamoDB stream 10 a second), and a little more than a second between reads of a shard.
    const fn spacing(&self) -> Duration {
        match self.api {
            // two that a busy machine lets go at once are still below it
            UpstreamApi::KinesisDescribeStreamSummary => Duration::from_millis(400),
            UpstreamApi::StreamsDescribeStream => Duration::from_millis(600),
            UpstreamApi::DynamoDbDescribeTable => Duration::from_millis(100),
            UpstreamApi::KinesisGetRecords
            | UpstreamApi::KinesisGetShardIterator
            | UpstreamApi::StreamsGetRecords
            | UpstreamApi::StreamsGetShardIterator => READS_APART,
            _ => Duration::from_millis(50),
        }
    }
}

impl Budget {
    fn turns(&self) -> MutexGuard<'_, HashMap<Scope, Turns>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self, scope: &Scope, until: Instant) -> Result<(), Failure> {
        let at = self.reserve(scope, until.min(Instant::now() + LONGEST_WAIT))?;
        sleep_until(at).await;
        Ok(())
    }

    fn reserve(&self, scope: &Scope, until: Instant) -> Result<Instant, Failure> {
        let now = Instant::now();
        let mut all = self.turns();
        if all.len() > 10_000 {
            all.retain(|_, turns| now.duration_since(turns.next) < FORGET_AFTER);
        }
        let turns = all.entry(scope.clone()).or_insert(Turns { next: now, pause: None, paused_until: now });
        if turns.paused_until > now {
            let left = turns.paused_until - now;
            let text = format!("held back for {} s more after AWS asked for fewer calls", left.as_secs() + 1);
            return Err(Failure::new(FailureKind::Throttled, text));
        }
        let at = turns.next.max(now);
        if at > until {
            return Err(Failure::new(FailureKind::Throttled, "the scaler's own budget of calls is used up"));
        }
        turns.next = at + scope.spacing();
        Ok(at)
    }

    /// A call has ended: after a complaint there is a pause, after a success there is none any more.
    pub(super) fn ended(&self, scope: &Scope, failure: Option<&Failure>) {
        let throttled = failure.is_some_and(|failure| failure.kind == FailureKind::Throttled);
        let mut all = self.turns();
        let Some(turns) = all.get_mut(scope) else { return };
        let now = Instant::now();
        if throttled && turns.paused_until <= now {
            let pause = turns.pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
            turns.pause = Some(pause);
            turns.paused_until = now + pause;
        } else if failure.is_none() {
            turns.pause = None;
        }
    }
}

/// A call with its turn and its deadline, counted without the wait for its turn.
pub(super) async fn spend<T>(
    budget: &Budget,
    scope: &Scope,
    until: Instant,
    call: impl Future<Output = Result<T, Failure>>,
    metrics: &UpstreamMetrics,
) -> Result<T, Failure> {
    budget.turn(scope, until).await?;
    let counted = metrics.begin(scope.api);
    let result = match timeout_at(until, call).await {
        Ok(result) => result,
        Err(_) => Err(Failure::new(FailureKind::TimedOut, "no answer in time")),
    };
    let failure = result.as_ref().err();
    budget.ended(scope, failure);
    counted.ended(failure.map_or(UpstreamOutcome::Ok, Failure::outcome));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope::of(UpstreamApi::KinesisGetRecords, "orders/0")
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_is_read_once_a_second_whoever_asks() {
        let (budget, begun) = (Budget::default(), Instant::now());
        for _ in 0..4 {
            budget.turn(&scope(), begun + Duration::from_secs(60)).await.expect("a turn");
        }
        assert_eq!(begun.elapsed(), READS_APART * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_too_long_is_told_at_once() {
        let (budget, begun) = (Budget::default(), Instant::now());
        let until = begun + Duration::from_millis(500);
        budget.turn(&scope(), until).await.expect("the first");
        let refused = budget.turn(&scope(), until).await.expect_err("the second");
        assert_eq!((refused.kind, begun.elapsed()), (FailureKind::Throttled, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn complaints_make_ever_longer_pauses_until_a_call_succeeds() {
        let (budget, complaint) = (Budget::default(), Failure::new(FailureKind::Throttled, "slow down"));
        let until = Instant::now() + Duration::from_secs(3600);
        for seconds in [2, 4, 8] {
            budget.turn(&scope(), until).await.expect("a turn");
            budget.ended(&scope(), Some(&complaint));
            assert!(budget.turn(&scope(), until).await.is_err());
            tokio::time::advance(Duration::from_secs(seconds - 1)).await;
            assert!(budget.turn(&scope(), until).await.is_err(), "{seconds} s");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        budget.turn(&scope(), until).await.expect("a turn");
        budget.ended(&scope(), None);
        budget.turn(&scope(), until).await.expect("a turn");
        budget.ended(&scope(), Some(&complaint));
        tokio::time::advance(FIRST_PAUSE).await;
        budget.turn(&scope(), until).await.expect("the first pause again");
    }
}
