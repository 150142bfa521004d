//! The replicas of a workload: each is a real consumer of limited speed, on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use keda_stream_scaler::scaling::hpa::Replicas;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::TOPIC;
use super::periods::{Periods, WORK};

/// The interval at which a consumer checks whether it should stop.
const BEAT: Duration = Duration::from_millis(50);

/// The replicas of one group, and the threads that are about to stop.
pub(super) struct Pods {
    servers: String,
    group: &'static str,
    periods: Periods,
    running: Vec<Pod>,
    threads: Vec<JoinHandle<()>>,
}

struct Pod {
    /// Dropping this sender stops the consumer.
    _end: Sender<()>,
    ready: Arc<AtomicBool>,
}

impl Pods {
    pub(super) fn new(servers: &str, group: &'static str, periods: Periods) -> Self {
        Self { servers: servers.to_owned(), group, periods, running: Vec::new(), threads: Vec::new() }
    }

    /// Returns the replicas as an HPA counts them.
    pub(super) fn replicas(&self) -> Replicas {
        let count = |pods: usize| u32::try_from(pods).unwrap_or(u32::MAX);
        let all = count(self.running.len());
        let ready = self.running.iter().filter(|pod| pod.ready.load(Ordering::Relaxed)).count();
        Replicas { spec: all, status: all, ready: count(ready) }
    }

    /// Starts or stops replicas to reach this number; the newest stop first.
    pub(super) fn scale(&mut self, replicas: u32) -> anyhow::Result<()> {
        let wanted = usize::try_from(replicas)?;
        self.running.truncate(wanted);
        self.threads.retain(|thread| !thread.is_finished());
        while self.running.len() < wanted {
            let (end, ended) = channel();
            let ready = Arc::new(AtomicBool::new(false));
            let (config, delay, tell) = (self.config(), self.periods.pod_start, ready.clone());
            let thread = thread::Builder::new().name(self.group.into()).spawn(move || {
                // the delay stands for pulling and starting a container, and connecting
                if ended.recv_timeout(delay) == Err(RecvTimeoutError::Timeout)
                    && let Ok(consumer) = config.create::<BaseConsumer>()
                    && consumer.subscribe(&[TOPIC]).is_ok()
                {
                    tell.store(true, Ordering::Relaxed);
                    consume(&consumer, &ended);
                }
            })?;
            self.running.push(Pod { _end: end, ready });
            self.threads.push(thread);
        }
        Ok(())
    }

    /// Stops all replicas, and waits until they have left their group.
    pub(super) fn end(&mut self) {
        self.running.clear();
        for thread in self.threads.drain(..) {
            // a thread that panicked has reported it on stderr
            drop(thread.join());
        }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.servers)
            .set("client.id", self.group)
            .set("group.id", self.group)
            .set("auto.offset.reset", "earliest")
            .set("auto.commit.interval.ms", self.periods.commit.as_millis().to_string())
            // the defaults are 45 s and 3 s
            .set("session.timeout.ms", "9000")
            .set("heartbeat.interval.ms", "600")
            .set("fetch.wait.max.ms", "250")
            // a small fetch, so that a consumer handles a partition's records soon and no other partition waits
            .set("fetch.message.max.bytes", "1024")
            .set("queued.min.messages", "10")
            .set("fetch.queue.backoff.ms", "100");
        config
    }
}

fn consume(consumer: &BaseConsumer, ended: &Receiver<()>) {
    loop {
        let work = if let Some(Ok(_)) = consumer.poll(BEAT) { WORK } else { Duration::ZERO };
        if ended.recv_timeout(work) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}
