//! The push streams of triggers of type `external-push`.
//!
//! KEDA acts on `true` only, and each one costs it a status write. A stream therefore sends the first value at once, `true` on
//! change, and `true` again every minute while active, so that a cool-down does not run out. A stream ends with OK on drain and at
//! its maximum age: after an OK KEDA resets its back-off, after an error the back-off grows.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::proto::{GetMetricSpecResponse, IsActiveResponse, ScaledObjectRef};
use super::{StreamOf, caller, judge, status};
use crate::lag::Observe;
use crate::limits::{Permit, Quota, QuotaExceeded};
use crate::sampler::{Sampler, Watch, WatchState};
use crate::telemetry::Call;
use crate::trigger::{SourceRef, Trigger};

/// The interval for an idle Kafka source, so that the first record wakes its consumers: one round reads all groups of a cluster with
/// two requests per broker.
const IDLE_KAFKA: Duration = Duration::from_millis(500);

/// The interval for an idle stream of AWS, whose calls are limited per shard.
const IDLE_AWS: Duration = Duration::from_millis(1500);

/// The interval at which `true` is repeated while active; KEDA's default cool-down is five times as long.
const REPEAT_ACTIVE: Duration = Duration::from_secs(60);

/// The limits of push streams: when they end, and how many may be open.
pub(super) struct StreamLimits {
    /// Ends every stream when cancelled.
    pub(super) drain: CancellationToken,
    /// The maximum age of a stream, up to a fifth less for some, so that callers do not all reconnect at once.
    pub(super) lifetime: Duration,
    /// The number of open streams allowed, in total and per namespace.
    pub(super) open: Arc<Quota>,
}

impl StreamLimits {
    /// Acquires a permit for one more stream of this namespace.
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

/// The trigger whose activity is pushed, and the watch on its source.
pub(super) struct Watched<O: Observe> {
    trigger: Trigger,
    watch: Watch<O>,
    pass: Permit,
}

/// Sends the current specs, which depend only on the metadata, and keeps the stream open.
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
    trigger: Trigger,
    terms: &StreamLimits,
) -> Result<Watched<O>, Status> {
    let pass = terms.admit(&about.namespace)?;
    let watch = sampler.watch(caller(about), &trigger, idle_interval(&trigger));
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

/// Runs `send` until it returns a code, its reader is gone, or the limits end it; in the last case the stream ends with OK.
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

/// Pushes the activity. Without a reading nothing is sent: an unknown state is never pushed as idle. A caller whose access is revoked
/// gets an error.
async fn push_activity<O: Observe>(
    trigger: Trigger,
    mut watch: Watch<O>,
    to: mpsc::Sender<Result<IsActiveResponse, Status>>,
) -> Code {
    let mut last: Option<bool> = None;
    let mut repeat_at = Instant::now();
    // the ticker advances its deadline by itself, also while there is no reading and so nothing is sent
    let mut repeats = interval(REPEAT_ACTIVE);
    repeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        match watch.standing() {
            WatchState::Valid => {}
            WatchState::BackendChanged => return Code::Ok,
            WatchState::Revoked(error) => {
                let refused = status::no_reading(&error);
                let code = refused.code();
                // the reader may have disconnected
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
