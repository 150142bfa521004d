//! The arrivals: a repeating course of steps and a spike, and the producer that sends it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};
use tokio::time::Instant;

use super::TOPIC;

/// The course, as seconds of a cluster with records per second: quiet, a step up, half way down, a spike, quiet.
const COURSE: [(u64, u32); 5] = [(100, 60), (450, 240), (150, 120), (30, 480), (120, 60)];

/// The interval at which the producer sends the records that are due.
const BEAT: Duration = Duration::from_millis(50);

/// The arrival rate over time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    speed: u8,
}

impl Course {
    pub(super) const fn new(speed: u8) -> Self {
        Self { speed }
    }

    /// Returns the period after which the course repeats.
    pub(super) fn cycle(self) -> Duration {
        COURSE.iter().map(|(seconds, _)| Duration::from_secs(*seconds)).sum::<Duration>() / u32::from(self.speed)
    }

    /// Returns the arrival rate in records per second.
    pub(super) fn rate(self, since_begin: Duration) -> u32 {
        let mut left =
            (since_begin * u32::from(self.speed)).as_secs() % (self.cycle() * u32::from(self.speed)).as_secs();
        for (seconds, rate) in COURSE {
            match left.checked_sub(seconds) {
                Some(rest) => left = rest,
                None => return rate,
            }
        }
        0
    }
}

/// A producer that sends records until it is dropped.
pub(super) struct Arrivals {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Arrivals {
    pub(super) fn start(servers: &str, course: Course) -> anyhow::Result<Self> {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", servers).set("linger.ms", "50").create()?;
        let (end, ended) = channel();
        let thread =
            thread::Builder::new().name("producer".into()).spawn(move || produce(&producer, course, &ended))?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        drop(self.end.take());
        // a thread that panicked has reported it on stderr
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn produce(producer: &BaseProducer, course: Course, ended: &Receiver<()>) {
    let begun = Instant::now();
    let (mut owed, mut sent, mut before) = (0.0, 0_u64, begun);
    while ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
        let now = Instant::now();
        owed += f64::from(course.rate(now - begun)) * (now - before).as_secs_f64();
        before = now;
        while owed >= 1.0 {
            owed -= 1.0;
            sent += 1;
            // the key spreads records over the partitions; a full queue means that the broker is gone
            drop(producer.send(BaseRecord::to(TOPIC).key(&sent.to_string()).payload("an order")));
        }
        producer.poll(Duration::ZERO);
    }
    // what is still in the queue belongs to a broker that is about to stop
    producer.purge(PurgeConfig::default().queue().inflight());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_each_other_and_begin_anew() {
        let course = Course::new(5);
        assert_eq!(course.cycle(), Duration::from_secs(170));
        let rates =
            [0, 19, 20, 109, 110, 139, 140, 145, 146, 169, 170, 190].map(|at| course.rate(Duration::from_secs(at)));
        assert_eq!(rates, [60, 60, 240, 240, 120, 120, 480, 480, 60, 60, 60, 240]);
        assert_eq!(Course::new(1).rate(Duration::from_secs(100)), 240);
    }
}
