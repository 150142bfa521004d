//! The rate of AWS calls: well below AWS's limits, and lower after AWS has throttled a call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::clients::CALL_TIMEOUT;
use super::failure::{Failure, FailureKind};
use crate::lag::FORGET_AFTER;
use crate::telemetry::{UpstreamApi, UpstreamMetrics, UpstreamOutcome};

/// The first pause after AWS throttles a call; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// The time between reads of a Kinesis shard: network jitter may bring calls that are sent 1 s apart into the same second at AWS.
const READS_APART: Duration = Duration::from_millis(1050);
/// The time between reads of a DynamoDB shard: Lambda reads one four times per second, and a probe does so only for its few pages.
const STREAMS_READS_APART: Duration = Duration::from_millis(250);
/// Above this number of scopes the unused ones are removed.
const MANY_SCOPES: usize = 10_000;
const SWEPT_EVERY: Duration = Duration::from_secs(60);

/// The scope of one AWS limit: an API, and the stream, shard or table where the limit is not per account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The API that is limited.
    pub api: UpstreamApi,
    /// The stream, shard or table; empty for a limit per account.
    pub of: String,
}

/// The call rates of all scopes of one account and region.
#[derive(Debug, Default)]
pub struct Budget(Mutex<Lanes>);

#[derive(Debug, Default)]
struct Lanes {
    by_scope: HashMap<Scope, Arc<Lane>>,
    /// When unused scopes were last removed.
    swept: Option<Instant>,
}

/// The rate of one scope, whose calls are made one after another.
#[derive(Debug)]
struct Lane {
    /// When the next call may be made. Callers queue on this lock; a caller that gives up does not consume a turn.
    next: tokio::sync::Mutex<Instant>,
    rest: Mutex<Rest>,
}

/// The pause of a scope after AWS throttled it.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// The length of the last pause; `None` after a call succeeded.
    pause: Option<Duration>,
    until: Instant,
    /// When the scope was used last.
    used: Instant,
}

impl Scope {
    /// The scope of a limit per account.
    pub fn account(api: UpstreamApi) -> Self {
        Self { api, of: String::new() }
    }

    /// The scope of a limit per stream, shard or table.
    pub fn of(api: UpstreamApi, of: impl Into<String>) -> Self {
        Self { api, of: of.into() }
    }

    /// Returns the minimum time between two calls: an eighth of the account limit for `DescribeStreamSummary` (20 per second), two fifths
    /// of the limit for `DescribeStream` of a DynamoDB stream (10 per second; each page of a list is one call), and slightly over 1 s
    /// between reads of a Kinesis shard.
    const fn spacing(&self) -> Duration {
        match self.api {
            // two calls that a busy machine sends at once still stay below the limit
            UpstreamApi::KinesisDescribeStreamSummary
            // the account limit of each is 5 per second
            | UpstreamApi::KinesisListTagsForStream
            | UpstreamApi::KinesisAddTagsToStream
            | UpstreamApi::KinesisRemoveTagsFromStream => Duration::from_millis(400),
            UpstreamApi::StreamsDescribeStream => Duration::from_millis(250),
            // the account limit of DescribeLimits is 1 per second
            UpstreamApi::KinesisGetRecords
            | UpstreamApi::KinesisGetShardIterator
            | UpstreamApi::KinesisDescribeLimits => READS_APART,
            UpstreamApi::StreamsGetRecords | UpstreamApi::StreamsGetShardIterator => STREAMS_READS_APART,
            _ => Duration::from_millis(50),
        }
    }
}

impl Budget {
    fn lane(&self, scope: &Scope) -> Arc<Lane> {
        let mut lanes = self.0.lock();
        let now = Instant::now();
        if lanes.by_scope.len() > MANY_SCOPES && lanes.swept.is_none_or(|swept| now.duration_since(swept) > SWEPT_EVERY)
        {
            lanes.swept = Some(now);
            lanes.by_scope.retain(|_, lane| now.duration_since(lane.rest().used) < FORGET_AFTER);
        }
        let lane = lanes.by_scope.entry(scope.clone()).or_insert_with(|| {
            let rest = Rest { pause: None, until: now, used: now };
            Arc::new(Lane { next: tokio::sync::Mutex::new(now), rest: Mutex::new(rest) })
        });
        lane.change(|rest| rest.used = now);
        lane.clone()
    }

    /// Waits for a turn, until `until` at most.
    ///
    /// # Errors
    /// Fails when the scope pauses after throttling, or has no turn by `until`.
    pub async fn turn(&self, scope: &Scope, until: Instant) -> Result<(), Failure> {
        let used_up = || Failure::new(FailureKind::Throttled, "the scaler's own budget of calls is used up");
        let lane = self.lane(scope);
        lane.check()?;
        let mut next = timeout_at(until, lane.next.lock()).await.map_err(|_| used_up())?;
        if *next > until {
            return Err(used_up());
        }
        sleep_until(*next).await;
        lane.check()?;
        *next = Instant::now() + scope.spacing();
        Ok(())
    }

    /// Records the end of a call: a throttled call pauses the scope, a successful one ends the pause.
    pub fn ended(&self, scope: &Scope, failure: Option<&Failure>) {
        let throttled = failure.is_some_and(|failure| failure.kind == FailureKind::Throttled);
        let now = Instant::now();
        self.lane(scope).change(|rest| {
            if throttled && rest.until <= now {
                let pause = rest.pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
                rest.pause = Some(pause);
                rest.until = now + pause;
            } else if failure.is_none() {
                rest.pause = None;
            }
        });
    }
}

impl Lane {
    fn rest(&self) -> Rest {
        *self.rest.lock()
    }

    fn change(&self, change: impl FnOnce(&mut Rest)) {
        change(&mut self.rest.lock());
    }

    fn check(&self) -> Result<(), Failure> {
        let left = self.rest().until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let text = format!("AWS throttled this call; it is paused for {} s more", left.as_secs() + 1);
        Err(Failure::new(FailureKind::Throttled, text))
    }
}

/// Waits for a turn for at most `turn_timeout`, then makes the call with its own deadline; the recorded duration excludes the wait.
/// Fails when there is no turn in time, or the call fails or takes longer than its deadline.
pub(crate) async fn call_in_turn<T>(
    budget: &Budget,
    scope: &Scope,
    turn_timeout: Duration,
    call: impl Future<Output = Result<T, Failure>>,
    metrics: &UpstreamMetrics,
) -> Result<T, Failure> {
    budget.turn(scope, Instant::now() + turn_timeout).await?;
    let counted = metrics.begin(scope.api);
    let result = match timeout(CALL_TIMEOUT, call).await {
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

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_shard_is_read_once_a_second_for_everyone_together() {
        let (budget, begun) = (Budget::default(), Instant::now());
        let turns = (0..4).map(|_| async { budget.turn(&scope(), begun + HOUR).await });
        for turn in futures_util::future::join_all(turns).await {
            turn.expect("a turn");
        }
        assert_eq!(begun.elapsed(), READS_APART * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_comes_too_late_is_refused_at_once() {
        let (budget, begun) = (Budget::default(), Instant::now());
        let until = begun + Duration::from_millis(500);
        budget.turn(&scope(), until).await.expect("the first");
        let refused = budget.turn(&scope(), until).await.expect_err("the second");
        assert_eq!((refused.kind, begun.elapsed()), (FailureKind::Throttled, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_give_up_waiting_take_no_turn_from_the_others() {
        let (budget, begun) = (Arc::new(Budget::default()), Instant::now());
        budget.turn(&scope(), begun + HOUR).await.expect("the first");
        for _ in 0..5 {
            let waiting = budget.clone();
            let waits = tokio::spawn(async move { waiting.turn(&scope(), begun + HOUR).await });
            tokio::task::yield_now().await;
            waits.abort();
        }
        budget.turn(&scope(), begun + HOUR).await.expect("the next turn");
        assert_eq!(begun.elapsed(), READS_APART);
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_makes_ever_longer_pauses_until_a_call_succeeds() {
        let (budget, throttled) = (Budget::default(), Failure::new(FailureKind::Throttled, "slow down"));
        let until = Instant::now() + Duration::from_secs(3600);
        for seconds in [2, 4, 8] {
            budget.turn(&scope(), until).await.expect("a turn");
            budget.ended(&scope(), Some(&throttled));
            assert!(budget.turn(&scope(), until).await.is_err());
            tokio::time::advance(Duration::from_secs(seconds - 1)).await;
            assert!(budget.turn(&scope(), until).await.is_err(), "{seconds} s");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        budget.turn(&scope(), until).await.expect("a turn");
        budget.ended(&scope(), None);
        budget.turn(&scope(), until).await.expect("a turn");
        budget.ended(&scope(), Some(&throttled));
        tokio::time::advance(FIRST_PAUSE).await;
        budget.turn(&scope(), until).await.expect("the first pause again");
    }
}
