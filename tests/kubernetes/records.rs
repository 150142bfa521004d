//! When each record was produced, and which records each group has processed.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tokio::time::Instant;

use crate::driver::{Driver, WITHIN};

pub const PARTITIONS: usize = 12;

/// Sends the same records to several topics, round robin over their partitions, until it is dropped.
pub struct Producer {
    rate: Arc<AtomicU32>,
    ended: Arc<AtomicBool>,
    /// When the record of this number was produced: number `n` is in partition `n % PARTITIONS` at offset `n / PARTITIONS`.
    produced: Arc<Mutex<Vec<Instant>>>,
    thread: Option<JoinHandle<()>>,
}

/// The records that a group has processed, from the lines that its consumers write.
pub struct Processed {
    pub file: PathBuf,
    reader: File,
    rest: String,
    /// The offset after the last processed record of each partition.
    next: [usize; PARTITIONS],
}

impl Producer {
    pub fn start(driver: &Driver, topics: &[String], rate: u32) -> Self {
        let producer: BaseProducer = driver.client(&[("enable.idempotence", "true"), ("linger.ms", "10")]);
        let (rate, ended) = (Arc::new(AtomicU32::new(rate)), Arc::new(AtomicBool::new(false)));
        let produced = Arc::new(Mutex::new(Vec::new()));
        let (now, end, times, topics) = (rate.clone(), ended.clone(), produced.clone(), topics.to_vec());
        let thread = thread::spawn(move || {
            let (mut due, mut last) = (0.0, Instant::now());
            while !end.load(Ordering::Relaxed) {
                producer.poll(Duration::from_millis(20));
                due += last.elapsed().as_secs_f64() * f64::from(now.load(Ordering::Relaxed));
                last = Instant::now();
                while due >= 1.0 {
                    due -= 1.0;
                    let mut times = times.lock().unwrap();
                    let partition = i32::try_from(times.len() % PARTITIONS).unwrap();
                    for topic in &topics {
                        let record: BaseRecord<'_, str, str> =
                            BaseRecord::to(topic).partition(partition).payload("a record");
                        producer.send(record).map_err(|(error, _)| error).unwrap();
                    }
                    times.push(last);
                }
            }
            producer.flush(WITHIN).unwrap();
        });
        Self { rate, ended, produced, thread: Some(thread) }
    }

    /// Changes the rate, in records per second.
    pub fn set_rate(&self, rate: u32) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// The age of the oldest record that is not processed, in seconds, and how many are not.
    pub fn behind(&self, processed: &mut Processed) -> (f64, u32) {
        processed.read();
        let produced = self.produced.lock().unwrap();
        let oldest = processed.next.iter().enumerate().map(|(partition, next)| next * PARTITIONS + partition).min();
        let age = oldest.and_then(|oldest| produced.get(oldest)).map_or(0.0, |at| at.elapsed().as_secs_f64());
        let backlog = produced.len().saturating_sub(processed.next.iter().sum());
        (age, u32::try_from(backlog).unwrap())
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        drop(self.thread.take().unwrap().join());
    }
}

impl Processed {
    pub fn new(file: &Path) -> Self {
        fs::write(file, "").unwrap();
        Self { file: file.to_owned(), reader: File::open(file).unwrap(), rest: String::new(), next: [0; PARTITIONS] }
    }

    fn read(&mut self) {
        self.reader.read_to_string(&mut self.rest).unwrap();
        let complete = self.rest.rfind('\n').map_or(0, |end| end + 1);
        for line in self.rest.drain(..complete).as_str().lines() {
            let (partition, offset) = line.split_once(' ').unwrap();
            let next = &mut self.next[partition.parse::<usize>().unwrap()];
            *next = (*next).max(offset.parse::<usize>().unwrap() + 1);
        }
    }
}
