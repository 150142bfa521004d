//! A stand-in for Kinesis and DynamoDB inside the process: one stream in memory, and a lease table for each application.
//!
//! It answers the requests that the scaler sends, over HTTP, and nothing else. The demo's own producer and workers use the same stream and
//! the same tables directly. It knows the exact arrival time of each record, and every checkpoint.

mod answers;
mod leases;
mod log;
mod number;
mod server;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub(crate) use self::answers::id;
pub(crate) use self::leases::{Lease, Leases};
use self::log::Log;
use super::broker::{Partition, Unread};
use super::clock::Clock;
use super::periods::Periods;

/// Records are kept for at least this long, also if both applications have processed them.
const KEPT: Duration = Duration::from_secs(60);
/// The stream was created this long before the start.
const AGE: Duration = Duration::from_hours(24);

/// The stand-in; dropping this value stops its server.
pub(crate) struct Kinesis {
    pub(crate) stream: Arc<Stream>,
    serving: AbortHandle,
}

/// The stream and the lease tables.
pub(crate) struct Stream {
    pub(crate) address: SocketAddr,
    /// Dates records and renewals.
    clock: Arc<Clock>,
    /// The start of the clock in milliseconds since 1970.
    epoch_ms: AtomicU64,
    /// Whether reads of records are throttled.
    throttled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shards: Vec<Log>,
    /// The lease tables by the application's name.
    tables: Vec<(&'static str, Leases)>,
}

impl Kinesis {
    /// Starts the stand-in on a free port of this machine, on the current runtime.
    ///
    /// # Errors
    /// Fails if no port is available.
    pub(crate) async fn start(clock: Arc<Clock>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (throttled, state, epoch_ms) = (AtomicBool::default(), Mutex::default(), AtomicU64::new(unix_ms()));
        let stream = Arc::new(Stream { address, clock, epoch_ms, throttled, state });
        let serving = tokio::spawn(server::serve(listener, stream.clone())).abort_handle();
        Ok(Self { stream, serving })
    }
}

impl Drop for Kinesis {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Stream {
    /// Creates the shards, whose counters begin at these numbers, and a table for each application, which has processed all before.
    pub(crate) fn create(&self, begin: &[u64], applications: [&'static str; 2], periods: &Periods) {
        let now = self.clock.elapsed();
        self.epoch_ms.store(unix_ms().saturating_sub(milliseconds(now)), Ordering::Relaxed);
        let mut state = self.state();
        state.shards = begin.iter().map(|at| Log::beginning_at(*at, now)).collect();
        state.tables = applications.map(|application| (application, Leases::new(begin, periods))).to_vec();
    }

    /// Throttles the reads of records, or no longer.
    pub(crate) fn throttle(&self, throttled: bool) {
        self.throttled.store(throttled, Ordering::Relaxed);
    }

    /// Adds a record to a shard.
    pub(crate) fn put(&self, shard: usize) {
        let now = self.clock.elapsed();
        if let Some(log) = self.state().shards.get_mut(shard) {
            log.put(now);
        }
    }

    /// Returns the number of all records that ever arrived.
    pub(crate) fn produced(&self) -> u64 {
        self.state().shards.iter().map(Log::end).sum()
    }

    /// Returns the number of open shards, as KEDA's trigger reads it.
    pub(crate) fn open_shards(&self) -> u64 {
        u64::try_from(self.state().shards.len()).unwrap_or_default()
    }

    /// Deletes old records that both applications have processed.
    pub(crate) fn trim(&self) {
        let State { shards, tables } = &mut *self.state();
        let Some(old) = self.clock.elapsed().checked_sub(KEPT) else { return };
        for (shard, log) in shards.iter_mut().enumerate() {
            let checkpoints = tables.iter().filter_map(|(_, leases)| Some(leases.all().get(shard)?.checkpoint));
            log.trim(checkpoints.min().unwrap_or_default(), old);
        }
    }

    /// Returns the shards as an application has checkpointed them.
    pub(crate) fn partitions(&self, application: &str) -> Vec<Partition> {
        let now = self.clock.elapsed();
        let partition = |(lease, log): (&Lease, &Log)| Partition {
            unread: Unread {
                records: log.end() - lease.checkpoint,
                age: log.arrived(lease.checkpoint).map_or(Duration::ZERO, |arrived| now.saturating_sub(arrived)),
            },
            position: i64::try_from(lease.checkpoint).unwrap_or(i64::MAX),
            owner: lease.owner.map(|worker| name(application, worker)),
        };
        let partitions = |leases: &mut Leases, shards: &[Log]| leases.all().iter().zip(shards).map(partition).collect();
        self.with(application, partitions).unwrap_or_default()
    }

    // === workers ===

    /// Adds a worker to an application.
    pub(crate) fn join(&self, application: &str, worker: u64) {
        self.with(application, |leases, _| leases.join(worker));
    }

    /// Stops a worker of an application.
    pub(crate) fn leave(&self, application: &str, worker: u64) {
        let now = self.clock.elapsed();
        self.with(application, |leases, _| leases.leave(worker, now));
    }

    /// Returns the number of workers, and assigns all shards to them now.
    pub(crate) fn assign(&self, application: &str) -> usize {
        let now = self.clock.elapsed();
        self.with(application, |leases, _| {
            leases.assign(now);
            leases.workers()
        })
        .unwrap_or_default()
    }

    /// Returns the next record of a worker; `None` where nothing is unread, or reads are throttled.
    pub(crate) fn next(&self, application: &str, worker: u64, turn: &mut usize) -> Option<(usize, u64)> {
        if self.throttled.load(Ordering::Relaxed) {
            return None;
        }
        self.with(application, |leases, shards| leases.next(worker, turn, |shard| shards[shard].end()))?
    }

    /// Records that a worker has processed a record.
    pub(crate) fn processed(&self, application: &str, worker: u64, record: (usize, u64)) {
        self.with(application, |leases, _| leases.processed(worker, record));
    }

    fn with<T>(&self, application: &str, act: impl FnOnce(&mut Leases, &[Log]) -> T) -> Option<T> {
        let now = self.clock.elapsed();
        let State { shards, tables } = &mut *self.state();
        let (_, leases) = tables.iter_mut().find(|(name, _)| *name == application)?;
        leases.advance(now);
        Some(act(leases, shards))
    }

    /// Returns a time of the clock in milliseconds since 1970.
    fn unix_ms(&self, at: Duration) -> u64 {
        self.epoch_ms.load(Ordering::Relaxed) + milliseconds(at)
    }

    fn created_ms(&self) -> u64 {
        self.unix_ms(Duration::ZERO).saturating_sub(milliseconds(AGE))
    }

    /// Returns the sequence number of a record that is in the log, or is the last one that is not.
    fn sequence_number(&self, shard: usize, log: &Log, counter: u64) -> String {
        let arrived = log.arrived(counter).unwrap_or_else(|| log.before());
        number::sequence_number(shard, self.created_ms() / 1000, counter, self.unix_ms(arrived) / 1000)
    }

    // no code panics while it holds this lock
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the name of a worker: that of its pod.
pub(crate) fn name(application: &str, worker: u64) -> String {
    format!("{application}-{worker}")
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "the stand-in is the outside world, which has a clock of its own")]
fn unix_ms() -> u64 {
    milliseconds(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use keda_stream_scaler::lag::Observation;
    use keda_stream_scaler::sampler::Sampler;
    use keda_stream_scaler::source::Sources;
    use keda_stream_scaler::telemetry::Metrics;
    use keda_stream_scaler::tenancy::Connections;
    use tokio::time::Instant;

    use super::*;
    use crate::scene::Scene;
    use crate::source::{metadata, trigger};

    const WITHIN: Duration = Duration::from_secs(30);
    const APPLICATIONS: [&str; 2] = ["others", "readers"];

    async fn started() -> Kinesis {
        let kinesis = Kinesis::start(Clock::running()).await.unwrap();
        kinesis.stream.create(&[5, 0, 5], APPLICATIONS, &Periods::of(5, Duration::from_secs(15)));
        kinesis
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_scaler_reads_the_leases_and_an_age_that_is_not_below_the_true_one() {
        let kinesis = started().await;
        let stream = &kinesis.stream;
        stream.join("readers", 1);
        assert_eq!((stream.assign("readers"), stream.assign("others")), (1, 0));
        stream.put(1);
        let put = Instant::now();
        let address = format!("http://{}", stream.address);
        let periods = Periods::of(5, Duration::from_secs(15));
        let trigger = trigger(&metadata(Scene::Kinesis, &address, "readers", &periods)).unwrap();
        let metrics = Metrics::new("0", "none");
        let sources = Sources::new(Connections::unrestricted(), metrics.upstream.clone());
        let asked = put.elapsed();
        let answer = Sampler::new(sources, metrics.sampler).ask("shop", &trigger, WITHIN).await.unwrap();
        let Observation::Application(application) = &answer.sample.observation else { panic!("no application") };
        let survey = &application.survey;
        let leases: Vec<_> = survey.shards.iter().filter_map(|report| report.lease.as_ref()).collect();
        assert!(leases.len() == 3 && leases.iter().all(|lease| lease.owner.as_deref() == Some("readers-1")));
        assert!(leases.iter().all(|lease| lease.throughput_kbps.is_some()), "KCL 3: {leases:?}");
        assert!(survey.age() >= asked, "{survey:?}");
        let unread: Vec<_> = stream.partitions("readers").iter().map(|shard| shard.unread.records).collect();
        assert_eq!(unread, [0, 1, 0]);
    }

    #[tokio::test]
    async fn a_worker_reads_what_arrives_unless_reads_are_throttled() {
        let kinesis = started().await;
        let stream = &kinesis.stream;
        stream.join("readers", 7);
        stream.assign("readers");
        stream.put(2);
        stream.throttle(true);
        assert_eq!(stream.next("readers", 7, &mut 0), None);
        stream.throttle(false);
        assert_eq!(stream.next("readers", 7, &mut 0), Some((2, 5)));
        stream.processed("readers", 7, (2, 5));
        assert_eq!(stream.next("readers", 7, &mut 0), None);
        stream.leave("readers", 7);
        let shard = &stream.partitions("readers")[2];
        assert_eq!((shard.position, shard.unread.records), (6, 0), "it writes a checkpoint when it stops");
        assert_eq!((stream.produced(), stream.open_shards()), (11, 3));
    }
}
