//! The push streams of triggers of type `external-push`.
//!
//! KEDA acts on `true` only, and each one costs it a status write; so: the first value at once, `true` on change, and again
//! every minute while active, so that a cool-down does not run out. A stream ends with OK on drain and when it is old:
//! after an OK KEDA's back-off starts afresh, after an error it grows.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::proto::{GetMetricSpecResponse, IsActiveResponse, ScaledObjectRef};
use super::{StreamOf, asker, judge, status};
use crate::lag::Observe;
use crate::limits::{Permit, Quota, QuotaExceeded};
use crate::sampler::{Sampler, Watch, WatchState};
use crate::telemetry::Call;
use crate::trigger::{SourceRef, Trigger};

/// An idle Kafka source is read this often, so that the first record wakes its consumers: one round reads all groups of a cluster with
/// two requests to each broker.
const IDLE_KAFKA: Duration = Duration::from_millis(500);

/// The same for streams of AWS, whose calls are limited per shard.
const IDLE_AWS: Duration = Duration::from_millis(1500);

/// While active, `true` is repeated this often; KEDA's default cool-down is five times as long.
const REPEAT_ACTIVE: Duration = Duration::from_secs(60);

/// When a stream ends.
pub(super) struct StreamLimits {
    /// Ends every stream.
    pub(super) drain: CancellationToken,
    /// Ends one that is as old as this, a fifth earlier for some: they must not all come back at once.
    pub(super) lifetime: Duration,
    /// How many there may be, in all and of one namespace.
    pub(super) open: Arc<Quota>,
}

impl StreamLimits {
    /// Room for one more stream of this namespace.
    pub(super) fn admit(&self, namespace: &str) -> Result<Permit, Status> {
        self.open.acquire(namespace).map_err(|full| {
            let whose = full.owner.as_ref().map(|owner| format!("namespace {owner}"));
            status::full(&QuotaExceeded { owner: whose, ..full })
        })
    }

    fn end(&self) -> impl Future<Output = ()> + Send + 'static {
        let random = std::hash::RandomState::new().hash_one(());
        let early = u32::try_from(random % 200).unwrap_or(0);
        let lifetime = self.lifetime - self.lifetime * early / 1000;
        let drain = self.drain.clone();
        async move {
            tokio::select! {
                () = drain.cancelled() => {}
                () = sleep(lifetime) => {}
            }
        }
    }
}

/// What the activity of a trigger is pushed from.
pub(super) struct Watched<O: Observe> {
    trigger: Trigger,
    watch: Watch<O>,
    pass: Permit,
}

/// Sends the current specs, which depend on nothing but the metadata, and keeps the stream open.
pub(super) fn specs(
    current: GetMetricSpecResponse,
    pass: Permit,
    terms: &StreamLimits,
    call: Call,
) -> StreamOf<GetMetricSpecResponse> {
    stream(terms, pass, call, move |to| async move {
        if to.send(Ok(current)).await.is_err() {
            return Code::Cancelled;
        }
        std::future::pending().await
    })
}

/// Watches the trigger's source.
pub(super) fn watch<O: Observe>(
    sampler: &Sampler<O>,
    about: &ScaledObjectRef,
    terms: &StreamLimits,
) -> Result<Watched<O>, Status> {
    let trigger = Trigger::parse(&about.scaler_metadata).map_err(|error| status::bad_metadata(&error))?;
    let pass = terms.admit(&about.namespace)?;
    let watch = sampler.watch(asker(about), &trigger, idle_interval(&trigger));
    Ok(Watched { trigger, watch: watch.map_err(|error| status::no_reading(&error))?, pass })
}

/// Sends the activity of the trigger's source.
pub(super) fn activity<O: Observe>(
    watched: Watched<O>,
    terms: &StreamLimits,
    call: Call,
) -> StreamOf<IsActiveResponse> {
    let Watched { trigger, watch, pass } = watched;
    stream(terms, pass, call, move |to| push_activity(trigger, watch, to))
}

/// Runs `send` until it ends, which tells with which code, its reader is gone, or the terms end it; then the stream ends with OK.
fn stream<T, F>(
    terms: &StreamLimits,
    pass: Permit,
    call: Call,
    send: impl FnOnce(mpsc::Sender<Result<T, Status>>) -> F,
) -> StreamOf<T>
where
    T: Send + 'static,
    F: Future<Output = Code> + Send + 'static,
{
    let (to, from) = mpsc::channel(1);
    let end = terms.end();
    let gone = to.clone();
    let send = send(to);
    tokio::spawn(async move {
        let _pass = pass;
        let code = tokio::select! {
            () = end => Code::Ok,
            () = gone.closed() => Code::Cancelled,
            code = send => code,
        };
        call.ended(status::names(code));
    });
    Box::pin(ReceiverStream::new(from))
}

/// While nothing is known nothing is sent: an unknown is never pushed as idle. One who may not ask any more is told so.
async fn push_activity<O: Observe>(
    trigger: Trigger,
    mut watch: Watch<O>,
    to: mpsc::Sender<Result<IsActiveResponse, Status>>,
) -> Code {
    let mut last: Option<bool> = None;
    let mut repeat_at = Instant::now();
    // a ticker moves its deadline on by itself, also where nothing is known and so nothing is sent
    let mut repeats = interval(REPEAT_ACTIVE);
    repeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        match watch.standing() {
            WatchState::Valid => {}
            WatchState::BackendChanged => return Code::Ok,
            WatchState::Revoked(error) => {
                let refused = status::no_reading(&error);
                let code = refused.code();
                // the reader may have gone
                let _ = to.send(Err(refused)).await;
                return code;
            }
        }
        let decision = watch.now().and_then(|answer| answer.and_then(|answer| judge(&trigger, &answer)).ok());
        if let Some(decision) = decision {
            let active = decision.active;
            if last != Some(active) {
                watch.pace(if active { trigger.pace.poll_interval } else { idle_interval(&trigger) });
            }
            let due = if active { last != Some(true) || Instant::now() >= repeat_at } else { last.is_none() };
            if due {
                if to.send(Ok(IsActiveResponse { result: active })).await.is_err() {
                    return Code::Cancelled;
                }
                repeat_at = Instant::now() + REPEAT_ACTIVE;
                repeats.reset_at(repeat_at);
            }
            last = Some(active);
        }
        tokio::select! {
            () = watch.changed() => {}
            _ = repeats.tick(), if last == Some(true) => {}
        }
    }
}

fn idle_interval(trigger: &Trigger) -> Duration {
    let idle = match trigger.source {
        SourceRef::Kafka(_) => IDLE_KAFKA,
        SourceRef::Shards(_) | SourceRef::Application(_) | SourceRef::Writes(_) => IDLE_AWS,
    };
    idle.min(trigger.pace.poll_interval)
}
