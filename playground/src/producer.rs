//! The producer that sends the course's records to the source.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};

use super::TOPIC;
use super::clock::Clock;
use super::course::Course;
use super::kinesis::Stream;
use super::scene::Scene;
use super::source::Connection;
use super::trouble::{HOT_ONE_IN, TROUBLED_PARTITION, Trouble, Troubles};

/// The payload of a record that no consumer can process.
pub(super) const POISON: &[u8] = b"poison";
/// The interval at which the producer sends the records that are due.
const BEAT: Duration = Duration::from_millis(50);
/// A client that has delivered nothing for this long, although it should have, is replaced.
const STUCK: Duration = Duration::from_secs(5);

/// A producer that sends records until it is dropped.
pub(super) struct Producer {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread needs.
struct Task {
    course: Course,
    clock: Arc<Clock>,
    troubles: Arc<Troubles>,
    ended: Receiver<()>,
}

impl Producer {
    pub(super) fn start(
        connection: Connection,
        course: Course,
        clock: Arc<Clock>,
        troubles: Arc<Troubles>,
    ) -> anyhow::Result<Self> {
        let (end, ended) = channel();
        let task = Task { course, clock, troubles, ended };
        let thread = thread::Builder::new().name("producer".into());
        let thread = match connection {
            Connection::Kafka(servers) => {
                let client = client(&servers)?;
                thread.spawn(move || task.send(client, &servers))?
            }
            Connection::Kinesis(stream) => thread.spawn(move || task.put(&stream))?,
        };
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // a thread that panicked has reported it on stderr
            drop(thread.join());
        }
    }
}

fn client(servers: &str) -> anyhow::Result<BaseProducer> {
    Ok(ClientConfig::new().set("bootstrap.servers", servers).set("linger.ms", "50").create()?)
}

/// The records that were sent so far.
struct Sent {
    records: u64,
    owed: f64,
    until: Duration,
}

impl Task {
    fn begin(&self) -> Sent {
        Sent { records: 0, owed: 0.0, until: self.clock.elapsed() }
    }

    /// Returns the numbers of the records that are due now.
    fn due(&self, sent: &mut Sent, now: Duration) -> Range<u64> {
        let rate = self.course.rate(now) * self.troubles.arrivals(now);
        sent.owed += rate * now.saturating_sub(sent.until).as_secs_f64();
        sent.until = now;
        let begin = sent.records;
        while sent.owed >= 1.0 {
            sent.owed -= 1.0;
            sent.records += 1;
        }
        begin..sent.records
    }

    /// Puts records into a stream, where a hash of their keys chooses the shard.
    fn put(&self, stream: &Stream) {
        let mut sent = self.begin();
        while self.ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            let now = self.clock.elapsed();
            let is_hot = self.troubles.is_on(Trouble::Hot, now);
            for number in self.due(&mut sent, now) {
                let hot = is_hot && number.is_multiple_of(HOT_ONE_IN);
                stream.put(if hot { TROUBLED_PARTITION.unsigned_abs() as usize } else { place(number) });
            }
        }
    }

    /// Sends records to a topic, where the client's partitioner chooses the partition.
    fn send(&self, mut client: BaseProducer, servers: &str) {
        let mut sent = self.begin();
        let (mut poisoned, mut moved_at, mut waiting) = (None, sent.until, 0);
        while self.ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            let now = self.clock.elapsed();
            let is_hot = self.troubles.is_on(Trouble::Hot, now);
            for sent in self.due(&mut sent, now) {
                // the key spreads records over the partitions
                let key = sent.to_string();
                let record = BaseRecord::to(TOPIC).key(&key).payload(&b"an order"[..]);
                let hot = is_hot && sent.is_multiple_of(HOT_ONE_IN);
                let record = if hot { record.partition(TROUBLED_PARTITION) } else { record };
                // records that a full queue refuses are missing in the log, and the page shows that
                drop(client.send(record));
            }
            let poison = self.troubles.since(Trouble::Poison, now);
            if poison.is_some() && poison != poisoned {
                let record = BaseRecord::<[u8], [u8]>::to(TOPIC).payload(POISON).partition(TROUBLED_PARTITION);
                drop(client.send(record));
                poisoned = poison;
            }
            client.poll(Duration::ZERO);
            // records in the queue that do not become fewer show a client that is stuck
            let queued = client.in_flight_count();
            if queued == 0 || queued < waiting || self.troubles.is_on(Trouble::Pause, now) {
                moved_at = now;
            }
            waiting = queued;
            if now.saturating_sub(moved_at) > STUCK
                && let Ok(fresh) = self::client(servers)
            {
                client.purge(PurgeConfig::default().queue().inflight());
                (client, moved_at) = (fresh, now);
            }
        }
        // what is still in the queue belongs to a broker that is about to stop
        client.purge(PurgeConfig::default().queue().inflight());
    }
}

/// Returns the shard of a record.
fn place(number: u64) -> usize {
    let mut hasher = DefaultHasher::new();
    number.hash(&mut hasher);
    usize::try_from(hasher.finish() >> 33).unwrap_or_default() % Scene::Kinesis.places()
}
