//! The process of a pod: a Kafka consumer that processes a fixed number of records per second, one after the other.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::driver::Driver;

/// How far a consumer may be ahead of its own pace: it does not make up for longer pauses.
const BURST: Duration = Duration::from_millis(100);

/// The command of this consumer, which appends a line `PARTITION OFFSET` to `processed` per record.
pub fn command(bootstrap_servers: &str, topic: &str, rate: f64, processed: &Path) -> [String; 6] {
    let (program, processed) =
        (std::env::current_exe().unwrap().display().to_string(), processed.display().to_string());
    [&*program, "consumer", bootstrap_servers, topic, &rate.to_string(), &processed].map(str::to_owned)
}

/// From the start of a process to its first request, as of an application that loads its libraries.
const START: Duration = Duration::from_secs(4);

/// Consumes `topic` as a member of the group of the same name until SIGTERM, then leaves the group.
pub async fn run(bootstrap_servers: &str, topic: &str, rate: &str, processed: &str) {
    tokio::time::sleep(START).await;
    let each = Duration::from_secs_f64(1.0 / rate.parse::<f64>().unwrap());
    let consumer: BaseConsumer = Driver::new(bootstrap_servers).client(&[
        ("group.id", topic),
        ("auto.offset.reset", "earliest"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("auto.commit.interval.ms", "1000"),
        // a record is stored for the next commit once it is processed
        ("enable.auto.offset.store", "false"),
        ("session.timeout.ms", "10000"),
    ]);
    consumer.subscribe(&[topic]).unwrap();
    let mut processed = File::options().append(true).open(processed).unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let seen = ended.clone();
    let worker = thread::spawn(move || {
        let mut free = Instant::now();
        while !seen.load(Ordering::Relaxed) {
            let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) else { continue };
            free = free.max(Instant::now().checked_sub(BURST).unwrap()) + each;
            thread::sleep(free.saturating_duration_since(Instant::now()));
            // in one write: the consumers of a group share the file
            processed.write_all(format!("{} {}\n", record.partition(), record.offset()).as_bytes()).unwrap();
            // fails for a partition that was revoked meanwhile: its next owner processes the record again
            drop(consumer.store_offset_from_message(&record));
        }
    });
    signal(SignalKind::terminate()).unwrap().recv().await;
    ended.store(true, Ordering::Relaxed);
    worker.join().unwrap();
}
