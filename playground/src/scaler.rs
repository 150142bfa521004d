//! The scaler itself: the product's own sampler, gRPC server and status page, on the demo's clock.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use keda_stream_scaler::admin::{self, Readiness};
use keda_stream_scaler::app::{COMMIT, VERSION};
use keda_stream_scaler::keda::{self, CallerLimits};
use keda_stream_scaler::lag::{Moment, Observe, Report, SourceError, SourceErrorKind};
use keda_stream_scaler::limits::Limits;
use keda_stream_scaler::sampler::{Quotas, Sampler, ScaledObjectKey};
use keda_stream_scaler::scaling::{Decision, Sample};
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::Metrics;
use keda_stream_scaler::tenancy::Connections;
use keda_stream_scaler::trigger::{SourceRef, Trigger};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::NAMESPACE;
use super::clock::Clock;

/// How long a reading waits for a paused demo to go on.
const WAIT: Duration = Duration::from_secs(1);
const BEAT: Duration = Duration::from_millis(50);
const DRAIN: Duration = Duration::from_secs(1);

/// The listeners of the scaler, which outlast a restart of the demo.
pub(super) struct Listeners {
    pub(super) grpc: StdListener,
    pub(super) http: StdListener,
}

/// A running scaler.
pub(super) struct Scaler {
    pub(super) grpc: SocketAddr,
    pub(super) http: SocketAddr,
    sampler: Sampler<Pausable>,
    end: CancellationToken,
    tasks: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Listeners {
    pub(super) fn bind(grpc: SocketAddr, http: SocketAddr) -> anyhow::Result<Self> {
        let bind = |address: SocketAddr| {
            let listener = StdListener::bind(address).with_context(|| format!("listening on {address}"))?;
            listener.set_nonblocking(true)?;
            anyhow::Ok(listener)
        };
        Ok(Self { grpc: bind(grpc)?, http: bind(http)? })
    }
}

impl Scaler {
    /// Starts the scaler; its moments are `history` later than the demo's clock.
    pub(super) fn start(listeners: &Listeners, clock: &Arc<Clock>, history: Duration) -> anyhow::Result<Self> {
        let (grpc, http) = (listeners.grpc.local_addr()?, listeners.http.local_addr()?);
        let metrics = Arc::new(Metrics::new(VERSION, COMMIT));
        let limits = Limits::default();
        let sources = Sources::new(Connections::unrestricted(), metrics.upstream.clone());
        let observer = Pausable { sources, clock: clock.clone() };
        let dates = clock.clone();
        let moments = Arc::new(move || Moment::after_epoch(history + dates.elapsed()));
        let quotas = Quotas::new(&limits, &metrics.limits);
        let sampler = Sampler::on_clock(moments, quotas, observer, metrics.sampler.clone(), None);
        metrics.add(admin::LiveSeries::new(sampler.clone(), false));
        let end = CancellationToken::new();
        let listen = |listener: &StdListener| anyhow::Ok(TcpListener::from_std(listener.try_clone()?)?);
        let (pages, calls) = (listen(&listeners.http)?, listen(&listeners.grpc)?);
        let (shown, counted, readiness) = (sampler.clone(), metrics.clone(), Readiness::new(end.clone()));
        let status = admin::serve(pages, shown, counted, limits.http_connections, readiness, None);
        let ended = end.clone();
        let status = tokio::spawn(async move {
            tokio::select! { served = status => served, () = ended.cancelled() => Ok(()) }
        });
        let (asked, rpc, drain) = (sampler.clone(), metrics.rpc.clone(), end.clone());
        let ages = keda::Limits { max_connection_age: Duration::from_mins(5) };
        let callers = CallerLimits { limits, metrics: metrics.limits.clone() };
        let calls = keda::Incoming::from(calls);
        let served = tokio::spawn(async move { Ok(keda::serve(calls, asked, rpc, ages, &callers, drain).await?) });
        Ok(Self { grpc, http, sampler, end, tasks: vec![status, served] })
    }

    /// Lets the readings of a trigger go on after this sample.
    pub(super) fn resume(&self, name: &str, trigger: &Trigger, sample: Sample) -> anyhow::Result<()> {
        Ok(self.sampler.resume(ScaledObjectKey::new(NAMESPACE, name), trigger, sample)?)
    }

    /// Returns the present decision for a trigger.
    pub(super) fn decision(&self, trigger: &Trigger) -> Option<Decision> {
        let views = self.sampler.view_of(|source| *source == trigger.source);
        let view = views.first()?;
        view.judge(view.callers.shown.first()?).decision().cloned()
    }

    /// Waits until a server fails.
    pub(super) fn has_failed(&self) -> bool {
        self.tasks.iter().any(JoinHandle::is_finished)
    }

    /// Stops the servers.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.end.cancel();
        for mut task in self.tasks {
            match timeout(DRAIN, &mut task).await {
                Ok(ended) => ended.context("a server of the scaler panicked")??,
                // an open connection keeps a server from ending
                Err(_) => task.abort(),
            }
        }
        Ok(())
    }
}

/// Reads sources while the demo runs.
struct Pausable {
    sources: Sources,
    clock: Arc<Clock>,
}

impl Observe for Pausable {
    type Backend = <Sources as Observe>::Backend;

    fn admit(&self, namespace: &str, source: &SourceRef) -> Result<Self::Backend, SourceError> {
        self.sources.admit(namespace, source)
    }

    async fn observe(&self, backend: &Self::Backend, due: Vec<Arc<SourceRef>>, report: Report) {
        let resumed = async {
            while !self.clock.is_running() {
                sleep(BEAT).await;
            }
        };
        if timeout(WAIT, resumed).await.is_ok() {
            return self.sources.observe(backend, due, report).await;
        }
        for source in due {
            let error = SourceError::new(SourceErrorKind::TimedOut, "the demo is paused");
            report(&source, Err(error.remedy("press Resume on the page of the demo")));
        }
    }

    fn is_current(&self, backend: &Self::Backend) -> bool {
        self.sources.is_current(backend)
    }

    fn forget(&self, backend: &Self::Backend) {
        self.sources.forget(backend);
    }
}
