//! One run of the demo, from a start or a restart to its end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use keda_stream_scaler::lag::Moment;
use keda_stream_scaler::trigger::Trigger;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::autoscaler::Autoscaler;
use super::broker::Broker;
use super::clock::Clock;
use super::course::Course;
use super::history::{self, History};
use super::keda::Keda;
use super::periods::{Periods, RECORDS_A_SECOND};
use super::pods::Pods;
use super::producer::Producer;
use super::scaler::{Listeners, Scaler};
use super::score::{Score, Second, to_float};
use super::trouble::{Trouble, Troubles};
use super::verdict::{self, Verdict};
use super::world::{self, Metric, World};
use super::{GROUPS, TOPIC};

/// The interval between measurements.
const MEASURE: Duration = Duration::from_secs(1);
/// The interval at which troubles begin and end.
const BEAT: Duration = Duration::from_millis(100);
/// All consumers join within this time at the start.
const JOINED_WITHIN: Duration = Duration::from_secs(30);
/// The verdict changes at most this often, so that it can be read.
const VERDICT: Duration = Duration::from_secs(5);
/// After the process was woken, its clients need this time to recover.
const RECOVERY: Duration = Duration::from_secs(5);
/// After a broker was paused, late records arrive within this time.
const EXCUSED: Duration = Duration::from_secs(5);
/// The age from which records are deleted.
const OLD: Duration = Duration::from_secs(1);
/// A trouble explains a verdict for this long after its end.
const EXPLAINS: Duration = Duration::from_secs(60);

/// What a run is started with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) speed: u8,
    pub(super) lag_threshold: Option<u32>,
    /// The scale-down window of both HPAs, in a cluster.
    pub(super) down_window: Duration,
}

/// A run of the demo.
pub(super) struct Session {
    pub(super) options: Options,
    pub(super) periods: Periods,
    pub(super) course: Course,
    pub(super) clock: Arc<Clock>,
    pub(super) troubles: Arc<Troubles>,
    /// KEDA's side and the side of keda-stream-scaler.
    pub(super) worlds: [World; 2],
    /// The lag threshold of KEDA's side.
    pub(super) threshold: u32,
    /// The metadata of keda-stream-scaler's trigger.
    pub(super) metadata: BTreeMap<&'static str, String>,
    pub(super) grpc: SocketAddr,
    pub(super) http: SocketAddr,
    history: Duration,
    trigger: Trigger,
    broker: Broker,
    scaler: Scaler,
    producer: Producer,
    score: Mutex<Score>,
    verdict: Mutex<(Duration, Verdict)>,
}

impl Session {
    /// Simulates the hour before, starts everything, and waits until all consumers have their partitions.
    pub(super) async fn start(options: Options, listeners: &Listeners) -> anyhow::Result<Self> {
        let Options { speed, lag_threshold, down_window } = options;
        let (periods, course, clock) = (Periods::of(speed, down_window), Course::new(speed), Clock::stopped());
        let broker = Broker::start(clock.clone()).await.context("starting the embedded broker")?;
        let servers = broker.bootstrap_servers();
        let metadata = world::metadata(&servers, GROUPS[1], periods);
        let trigger = world::trigger(&metadata)?;
        let simulated = trigger.clone();
        let history =
            tokio::task::spawn_blocking(move || history::simulate(&simulated, lag_threshold, periods, course));
        let History { ends, lasted, threshold, by_lag, by_law, sample } = history.await??;
        broker.create_topic(TOPIC, &ends);
        for group in GROUPS {
            broker.commit_all(group, TOPIC);
        }
        let scaler = Scaler::start(listeners, &clock, lasted)?;
        scaler.resume(GROUPS[1], &trigger, sample)?;
        let troubles = Arc::new(Troubles::default());
        let world = |group, autoscaler: Autoscaler| {
            World::new(group, periods, Pods::new(&servers, group, periods, clock.clone(), troubles.clone()), autoscaler)
        };
        let worlds = [world(GROUPS[0], by_lag.autoscaler), world(GROUPS[1], by_law.autoscaler)];
        for (world, replicas) in worlds.iter().zip([by_lag.replicas, by_law.replicas]) {
            world.begin(replicas)?;
        }
        joined(&broker, &worlds).await?;
        let producer = Producer::start(&servers, course, clock.clone(), troubles.clone())?;
        clock.begin();
        let score = Score::new(periods.promise, RECORDS_A_SECOND);
        let verdict = judged(&score);
        let (grpc, http) = (scaler.grpc, scaler.http);
        Ok(Self {
            options,
            periods,
            course,
            clock,
            troubles,
            worlds,
            threshold,
            metadata,
            grpc,
            http,
            history: lasted,
            trigger,
            broker,
            scaler,
            producer,
            score: Mutex::new(score),
            verdict: Mutex::new((Duration::ZERO, verdict)),
        })
    }

    /// Runs until something fails.
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        tokio::select! {
            failed = self.scale_by_lag() => failed,
            failed = self.scale_by_law() => failed,
            failed = self.measure() => failed,
            () = self.trouble() => Ok(()),
        }
    }

    /// KEDA's Kafka trigger and its HPA: the lag is read at each sync.
    async fn scale_by_lag(&self) -> anyhow::Result<()> {
        let [world, _] = &self.worlds;
        let mut syncs = self.syncs();
        loop {
            syncs.tick().await;
            if !self.clock.is_paused() {
                let lag = self.broker.lag(world.group, TOPIC);
                let metric = Metric::Lag { lag, threshold: self.threshold };
                world.sync(&metric, self.moment(), self.clock.elapsed())?;
            }
        }
    }

    /// KEDA, which calls the scaler, and its HPA.
    async fn scale_by_law(&self) -> anyhow::Result<()> {
        let [_, world] = &self.worlds;
        let mut keda = Keda::new(self.grpc, world.group, &self.metadata)?;
        let mut syncs = self.syncs();
        loop {
            syncs.tick().await;
            if !self.clock.is_paused() {
                let value = keda.value().await;
                let value = value.map_err(|status| format!("{:?}: {}", status.code(), status.message()));
                let decision = self.scaler.decision(&self.trigger).map(Box::new);
                world.sync(&Metric::Law { value, decision }, self.moment(), self.clock.elapsed())?;
            }
        }
    }

    fn syncs(&self) -> tokio::time::Interval {
        let mut syncs = interval(self.periods.sync);
        syncs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        syncs
    }

    fn moment(&self) -> Moment {
        Moment::after_epoch(self.history + self.clock.elapsed())
    }

    /// Measures both sides, once per second.
    async fn measure(&self) -> anyhow::Result<()> {
        let mut seconds = interval(MEASURE);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut before, mut produced) = (self.clock.elapsed(), self.broker.produced(TOPIC));
        loop {
            seconds.tick().await;
            ensure!(!self.scaler.has_failed(), "a server of the scaler has ended");
            let at = self.clock.elapsed();
            let lasted = at.saturating_sub(before);
            if lasted < MEASURE / 2 {
                continue;
            }
            let all = self.broker.produced(TOPIC);
            self.add(at, lasted, all - produced);
            (before, produced) = (at, all);
            self.broker.trim(TOPIC, &GROUPS);
        }
    }

    fn add(&self, at: Duration, lasted: Duration, arrived: u64) {
        let excused =
            self.troubles.all().iter().any(|made| {
                made.trouble == Trouble::Pause && at.saturating_sub(made.at) < made.trouble.lasts() + EXCUSED
            });
        let woken = self.clock.asleep().1.is_some_and(|woke| at.saturating_sub(woke) < RECOVERY);
        let work = self.troubles.work(at).as_secs_f64();
        let sides = self.worlds.each_ref().map(|world| world.measure(&self.broker, at, lasted));
        let second = Second {
            at,
            lasted,
            arrived,
            planned: self.course.planned(at, lasted) * self.troubles.arrivals(at),
            excused,
            woken,
            needed: to_float(arrived) / lasted.as_secs_f64() * work,
            night: self.course.is_night(at),
            sides,
        };
        let mut score = self.score.lock().unwrap_or_else(PoisonError::into_inner);
        score.add(second);
        for (totals, world) in score.totals.iter_mut().zip(&self.worlds) {
            totals.scale_events = world.shown().scale_events;
        }
        let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        if at.saturating_sub(verdict.0) >= VERDICT {
            *verdict = (at, judged(&score));
        }
    }

    /// Lets a broker answer again when its pause is over.
    async fn trouble(&self) {
        loop {
            self.broker.pause(self.troubles.is_on(Trouble::Pause, self.clock.elapsed()));
            sleep(BEAT).await;
        }
    }

    /// Makes trouble for both sides.
    pub(super) fn make(&self, trouble: Trouble) {
        let lost = match trouble {
            Trouble::Delete => self.broker.delete_older(TOPIC, OLD, GROUPS),
            _ => [0, 0],
        };
        self.troubles.make(trouble, self.clock.elapsed(), lost);
        let mut score = self.score.lock().unwrap_or_else(PoisonError::into_inner);
        score.totals.iter_mut().zip(lost).for_each(|(totals, lost)| totals.lost += lost);
    }

    pub(super) fn score(&self) -> Score {
        self.score.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the present verdict, and why it is not a good one where that is known.
    pub(super) fn verdict(&self) -> (Verdict, Option<String>) {
        let verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
        let cause = matches!(verdict.state, verdict::State::Worse | verdict::State::Mixed).then(|| self.cause());
        (verdict, cause.flatten())
    }

    /// Returns the trouble that may explain the verdict.
    fn cause(&self) -> Option<String> {
        let now = self.clock.elapsed();
        let made = self.troubles.all();
        let last = made.iter().rev().find(|made| now < made.at + made.trouble.lasts() + EXPLAINS)?;
        let ago = now.saturating_sub(last.at).as_secs();
        Some(format!("{} {ago} s ago. {}", last.trouble.title(), last.trouble.effect()))
    }

    /// Stops everything; consumers leave their groups while the broker still runs.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        let Self { worlds, broker, scaler, producer, .. } = self;
        tokio::task::spawn_blocking(move || {
            drop(producer);
            worlds.iter().for_each(World::end);
        })
        .await?;
        scaler.end().await?;
        drop(broker);
        Ok(())
    }
}

/// Waits until every consumer has its partitions.
async fn joined(broker: &Broker, worlds: &[World; 2]) -> anyhow::Result<()> {
    let all = |world: &World| {
        let members = broker.members(world.group).unwrap_or_default();
        u32::try_from(members).is_ok_and(|members| members == world.replicas().spec)
    };
    let waited = async {
        while !worlds.iter().all(all) {
            sleep(BEAT).await;
        }
    };
    tokio::time::timeout(JOINED_WITHIN, waited).await.context("the consumers have not joined their groups")
}

fn judged(score: &Score) -> Verdict {
    verdict::judge(score.numbers(1), score.numbers(0), score.busy)
}
