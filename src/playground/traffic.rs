//! A producer whose rate changes, and consumers that process at a limited rate and commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tokio::time::Instant;

use super::broker::{Broker, GROUP, TOPIC};

/// What one consumer handles.
pub(super) const RECORDS_A_SECOND: u64 = 40;

/// Records a second, each for this long, over and over: quiet, a rush that three consumers cannot follow, quiet.
const RATES: [u64; 4] = [40, 400, 200, 20];
const EACH: Duration = Duration::from_secs(8);

/// How often the producer sends what is due.
const BEAT: Duration = Duration::from_millis(50);

/// The producer and the consumers, until they are stopped.
pub(super) struct Traffic {
    counts: Arc<Counts>,
    threads: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Counts {
    produced: AtomicU64,
    consumed: AtomicU64,
    end: AtomicBool,
}

impl Traffic {
    pub(super) fn start(broker: &Broker, consumers: usize) -> anyhow::Result<Self> {
        let counts = Arc::new(Counts::default());
        let servers = broker.bootstrap_servers();
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &servers).set("partitioner", "consistent_random").create()?;
        let shared = counts.clone();
        let mut threads = vec![thread::spawn(move || produce(&producer, &shared))];
        for _ in 0..consumers {
            let consumer: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", &servers)
                .set("group.id", GROUP)
                .set("auto.offset.reset", "earliest")
                .set("auto.commit.interval.ms", "500")
                .set("session.timeout.ms", "6000")
                // a consumer takes no more than it can handle soon
                .set("queued.min.messages", "50")
                .create()?;
            consumer.subscribe(&[TOPIC])?;
            let shared = counts.clone();
            threads.push(thread::spawn(move || consume(&consumer, &shared)));
        }
        Ok(Self { counts, threads: std::sync::Mutex::new(threads) })
    }

    pub(super) fn produced(&self) -> u64 {
        self.counts.produced.load(Ordering::Relaxed)
    }

    pub(super) fn consumed(&self) -> u64 {
        self.counts.consumed.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.counts.end.store(true, Ordering::Relaxed);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        for thread in threads {
            // a thread that panicked has said so on stderr
            drop(thread.join());
        }
    }
}

fn produce(producer: &BaseProducer, counts: &Counts) {
    let begun = Instant::now();
    let mut owed = 0.0;
    let mut before = begun;
    while !counts.end.load(Ordering::Relaxed) {
        let phase = usize::try_from(begun.elapsed().as_secs() / EACH.as_secs()).unwrap_or_default();
        let rate = u32::try_from(RATES.into_iter().cycle().nth(phase % RATES.len()).unwrap_or_default());
        let now = Instant::now();
        owed += f64::from(rate.unwrap_or_default()) * (now - before).as_secs_f64();
        before = now;
        while owed >= 1.0 {
            owed -= 1.0;
            let number = counts.produced.load(Ordering::Relaxed).to_string();
            if producer.send(BaseRecord::to(TOPIC).key(&number).payload("an order")).is_ok() {
                counts.produced.fetch_add(1, Ordering::Relaxed);
            }
        }
        producer.poll(BEAT);
    }
    // what is still in the queue belongs to a broker that is about to end
    producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
}

fn consume(consumer: &BaseConsumer, counts: &Counts) {
    let pause = Duration::from_secs(1) / u32::try_from(RECORDS_A_SECOND).unwrap_or(1);
    while !counts.end.load(Ordering::Relaxed) {
        if let Some(Ok(_)) = consumer.poll(Duration::from_millis(100)) {
            thread::sleep(pause);
            counts.consumed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
