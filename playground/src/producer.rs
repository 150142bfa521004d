//! The producer that sends the course's records to the broker.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};

use super::TOPIC;
use super::clock::Clock;
use super::course::Course;
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
    servers: String,
    course: Course,
    clock: Arc<Clock>,
    troubles: Arc<Troubles>,
    ended: Receiver<()>,
}

impl Producer {
    pub(super) fn start(
        servers: &str,
        course: Course,
        clock: Arc<Clock>,
        troubles: Arc<Troubles>,
    ) -> anyhow::Result<Self> {
        let client = client(servers)?;
        let (end, ended) = channel();
        let task = Task { servers: servers.to_owned(), course, clock, troubles, ended };
        let thread = thread::Builder::new().name("producer".into()).spawn(move || task.run(client))?;
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

impl Task {
    fn run(&self, mut client: BaseProducer) {
        let (mut owed, mut sent, mut before) = (0.0, 0_u64, self.clock.elapsed());
        let (mut poisoned, mut moved_at, mut waiting) = (None, before, 0);
        while self.ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            let now = self.clock.elapsed();
            owed += self.course.rate(now) * self.troubles.arrivals(now) * now.saturating_sub(before).as_secs_f64();
            before = now;
            let is_hot = self.troubles.is_on(Trouble::Hot, now);
            while owed >= 1.0 {
                owed -= 1.0;
                sent += 1;
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
                && let Ok(fresh) = self::client(&self.servers)
            {
                client.purge(PurgeConfig::default().queue().inflight());
                (client, moved_at) = (fresh, now);
            }
        }
        // what is still in the queue belongs to a broker that is about to stop
        client.purge(PurgeConfig::default().queue().inflight());
    }
}
