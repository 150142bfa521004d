//! The pods of a workload: each is a consumer of limited speed, on a thread of its own. On Kafka it is a real client; on Kinesis it is a
//! worker that follows the rules of KCL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use keda_stream_scaler::scaling::hpa::Replicas;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message as _, Offset};
use tokio::time::Instant;

use super::TOPIC;
use super::clock::Clock;
use super::kinesis::{Stream, name};
use super::periods::Periods;
use super::producer::POISON;
use super::source::Connection;
use super::trouble::{Trouble, Troubles};

/// The interval at which a consumer checks whether it should stop.
const BEAT: Duration = Duration::from_millis(50);

/// The pods of one group, and the threads that are about to stop.
pub(super) struct Pods {
    connection: Connection,
    group: &'static str,
    periods: Periods,
    clock: Arc<Clock>,
    troubles: Arc<Troubles>,
    started: u64,
    running: Vec<Pod>,
    threads: Vec<JoinHandle<()>>,
}

struct Pod {
    client_id: String,
    /// Dropping this sender stops the consumer.
    _end: Sender<()>,
    shared: Arc<Shared>,
    /// The microseconds of work that were reported before.
    reported: u64,
}

/// What a consumer reports.
#[derive(Default)]
struct Shared {
    ready: AtomicBool,
    /// The microseconds spent on records.
    worked: AtomicU64,
}

/// The state of one pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PodState {
    /// The client id of its consumer.
    pub(super) client_id: String,
    pub(super) ready: bool,
    /// The time spent on records since the last report.
    pub(super) worked: Duration,
}

impl Pods {
    pub(super) fn new(
        connection: Connection,
        group: &'static str,
        periods: Periods,
        clock: Arc<Clock>,
        troubles: Arc<Troubles>,
    ) -> Self {
        let (running, threads) = (Vec::new(), Vec::new());
        Self { connection, group, periods, clock, troubles, started: 0, running, threads }
    }

    /// Returns the pods as an HPA counts them.
    pub(super) fn replicas(&self) -> Replicas {
        let count = |pods: usize| u32::try_from(pods).unwrap_or(u32::MAX);
        let all = count(self.running.len());
        let ready = self.running.iter().filter(|pod| pod.shared.ready.load(Ordering::Relaxed)).count();
        Replicas { spec: all, status: all, ready: count(ready) }
    }

    /// Returns the state of each pod, oldest first, and begins the next report.
    pub(super) fn report(&mut self) -> Vec<PodState> {
        let report = |pod: &mut Pod| {
            let worked = pod.shared.worked.load(Ordering::Relaxed);
            let since = Duration::from_micros(worked - std::mem::replace(&mut pod.reported, worked));
            let ready = pod.shared.ready.load(Ordering::Relaxed);
            PodState { client_id: pod.client_id.clone(), ready, worked: since }
        };
        self.running.iter_mut().map(report).collect()
    }

    /// Starts or stops pods to reach this number; the newest stop first. New pods need `delay` to start.
    pub(super) fn scale(&mut self, replicas: u32, delay: Duration) -> anyhow::Result<()> {
        let wanted = usize::try_from(replicas)?;
        self.running.truncate(wanted);
        self.threads.retain(|thread| !thread.is_finished());
        while self.running.len() < wanted {
            self.started += 1;
            let client_id = name(self.group, self.started);
            let (end, ended) = channel();
            let shared = Arc::new(Shared::default());
            let consumer = Consumer {
                client: match &self.connection {
                    Connection::Kafka(servers) => Client::Kafka(Box::new(self.config(servers, &client_id))),
                    Connection::Kinesis(stream) => Client::Kinesis(stream.clone(), self.group, self.started),
                },
                clock: self.clock.clone(),
                troubles: self.troubles.clone(),
                ended,
                shared: shared.clone(),
            };
            let thread = thread::Builder::new().name(self.group.into()).spawn(move || consumer.run(delay))?;
            self.running.push(Pod { client_id, _end: end, shared, reported: 0 });
            self.threads.push(thread);
        }
        Ok(())
    }

    /// Stops all pods, and waits until they have left their group.
    pub(super) fn end(&mut self) {
        self.running.clear();
        for thread in self.threads.drain(..) {
            // a thread that panicked has reported it on stderr
            drop(thread.join());
        }
    }

    fn config(&self, servers: &str, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", servers)
            .set("client.id", client_id)
            .set("group.id", self.group)
            .set("auto.offset.reset", "earliest")
            // a record counts as read once it was processed
            .set("enable.auto.offset.store", "false")
            .set("auto.commit.interval.ms", self.periods.commit.as_millis().to_string())
            // the defaults are 45 s and 3 s
            .set("session.timeout.ms", "9000")
            .set("heartbeat.interval.ms", "600")
            // a paused demo may rest for hours
            .set("max.poll.interval.ms", "86400000")
            .set("fetch.wait.max.ms", "250")
            // a small fetch, so that a consumer handles a partition's records soon and no other partition waits
            .set("fetch.message.max.bytes", "256")
            .set("queued.min.messages", "10")
            .set("fetch.queue.backoff.ms", "100");
        config
    }
}

/// The client of a consumer.
enum Client {
    /// The settings of a Kafka client.
    Kafka(Box<ClientConfig>),
    /// The stream, the application, and the number of the worker.
    Kinesis(Arc<Stream>, &'static str, u64),
}

/// One consumer, on its thread.
struct Consumer {
    client: Client,
    clock: Arc<Clock>,
    troubles: Arc<Troubles>,
    ended: Receiver<()>,
    shared: Arc<Shared>,
}

/// A record that blocks its partition.
type Blocked = Option<(i32, i64)>;

impl Consumer {
    fn run(&self, delay: Duration) {
        // the delay stands for pulling and starting a container, and connecting
        let ready_at = self.clock.elapsed() + delay;
        while self.clock.elapsed() < ready_at {
            if self.ends_within(BEAT.min(delay)) {
                return;
            }
        }
        match &self.client {
            Client::Kafka(config) => {
                if let Ok(consumer) = config.create::<BaseConsumer>()
                    && consumer.subscribe(&[TOPIC]).is_ok()
                {
                    self.shared.ready.store(true, Ordering::Relaxed);
                    self.consume(&consumer);
                }
            }
            Client::Kinesis(stream, application, worker) => {
                stream.join(application, *worker);
                self.shared.ready.store(true, Ordering::Relaxed);
                self.read_shards(stream, application, *worker);
                stream.leave(application, *worker);
            }
        }
    }

    /// Works on the records of the shards whose leases the worker owns.
    fn read_shards(&self, stream: &Stream, application: &str, worker: u64) {
        let mut turn = 0;
        loop {
            let next = if self.clock.is_paused() { None } else { stream.next(application, worker, &mut turn) };
            let Some(record) = next else {
                if self.ends_within(BEAT) {
                    return;
                }
                continue;
            };
            if self.works() {
                return;
            }
            stream.processed(application, worker, record);
        }
    }

    fn consume(&self, consumer: &BaseConsumer) {
        let mut blocked = None;
        loop {
            if self.clock.is_paused() {
                if self.ends_within(BEAT) {
                    return;
                }
                continue;
            }
            let ends = match consumer.poll(BEAT) {
                Some(Ok(message)) => self.process(consumer, &message, &mut blocked),
                _ => self.ends_within(Duration::ZERO),
            };
            if ends {
                return;
            }
        }
    }

    /// Works on a record, and stores its offset; returns whether the consumer should stop.
    fn process(&self, consumer: &BaseConsumer, message: &BorrowedMessage<'_>, blocked: &mut Blocked) -> bool {
        let now = self.clock.elapsed();
        let place = (message.partition(), message.offset());
        let poison = self.troubles.is_on(Trouble::Poison, now);
        if !poison {
            *blocked = None;
        } else if message.payload() == Some(POISON) {
            *blocked = Some(place);
        }
        let behind = blocked.filter(|(partition, offset)| *partition == place.0 && *offset <= place.1);
        if behind.is_some_and(|first| first != place) {
            // a record that was fetched before the partition went back to the one that blocks it
            return self.ends_within(Duration::ZERO);
        }
        if self.works() {
            return true;
        }
        // a partition that was taken away meanwhile refuses both, and its next owner reads the record again
        let _ = match behind {
            Some((partition, offset)) => consumer.seek(TOPIC, partition, Offset::Offset(offset), Duration::ZERO),
            None => consumer.store_offset_from_message(message),
        };
        false
    }

    /// Spends the time of one record; returns whether the consumer should stop.
    fn works(&self) -> bool {
        let begun = Instant::now();
        if self.ends_within(self.troubles.work(self.clock.elapsed())) {
            return true;
        }
        let worked = u64::try_from(begun.elapsed().as_micros()).unwrap_or_default();
        self.shared.worked.fetch_add(worked, Ordering::Relaxed);
        false
    }

    /// Waits this long, or until the consumer should stop.
    fn ends_within(&self, time: Duration) -> bool {
        self.ended.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }
}
