//! A producer of a given rate, and consumers of a given speed that are started and stopped like replicas.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::driver::{Driver, WITHIN};

/// How often the producer sends what is due.
const BEAT: Duration = Duration::from_millis(100);

/// Sends records round robin, so many a second, until it is dropped.
pub struct Producing {
    rate: Arc<AtomicU32>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Consumers of one group.
pub struct Workers {
    driver: Driver,
    group: String,
    topic: String,
    each: Duration,
    running: Vec<Worker>,
}

struct Worker {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Producing {
    pub fn start(driver: &Driver, topic: &str, partitions: i32, a_second: u32) -> Self {
        let producer: BaseProducer = driver.client(&[]);
        let (rate, end) = (Arc::new(AtomicU32::new(a_second)), Arc::new(AtomicBool::new(false)));
        let (topic, rate_now, ended) = (topic.to_owned(), rate.clone(), end.clone());
        let thread = spawn(move || {
            let (mut owed, mut turn) = (0.0, 0);
            while !ended.load(Ordering::Relaxed) {
                sleep(BEAT);
                owed += f64::from(rate_now.load(Ordering::Relaxed)) * BEAT.as_secs_f64();
                while owed >= 1.0 {
                    owed -= 1.0;
                    turn = (turn + 1) % partitions;
                    let record: BaseRecord<'_, str, str> = BaseRecord::to(&topic).partition(turn).payload("a record");
                    producer.send(record).map_err(|(error, _)| error).unwrap();
                }
                producer.poll(Duration::ZERO);
            }
            producer.flush(WITHIN).unwrap();
        });
        Self { rate, end, thread: Some(thread) }
    }

    /// From now on so many a second.
    pub fn rate(&self, a_second: u32) {
        self.rate.store(a_second, Ordering::Relaxed);
    }
}

impl Drop for Producing {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Workers {
    /// None yet; each will take so long for a record.
    pub fn new(driver: &Driver, group: &str, topic: &str, each: Duration) -> Self {
        Self { driver: driver.clone(), group: group.into(), topic: topic.into(), each, running: Vec::new() }
    }

    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// Starts or stops as many as it takes; the youngest go first.
    pub fn scale(&mut self, count: usize) {
        while self.running.len() < count {
            self.running.push(self.start());
        }
        self.running.truncate(count);
    }

    fn start(&self) -> Worker {
        let consumer: BaseConsumer = self.driver.client(&[
            ("group.id", &self.group),
            ("auto.offset.reset", "earliest"),
            ("auto.commit.interval.ms", "1000"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "500"),
            ("fetch.wait.max.ms", "50"),
        ]);
        consumer.subscribe(&[&self.topic]).unwrap();
        let (end, each) = (Arc::new(AtomicBool::new(false)), self.each);
        let ended = end.clone();
        let thread = spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if let Some(Ok(_)) = consumer.poll(Duration::from_millis(100)) {
                    sleep(each);
                }
            }
        });
        Worker { end, thread: Some(thread) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}
