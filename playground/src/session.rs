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
use super::clock::Clock;
use super::course::Course;
use super::history::{self, History};
use super::keda::Keda;
use super::periods::{Periods, RECORDS_A_SECOND};
use super::pods::Pods;
use super::producer::Producer;
use super::scaler::{Listeners, Scaler};
use super::scene::Scene;
use super::score::{Score, Second, to_float};
use super::source::{self, Source};
use super::trouble::{Trouble, Troubles};
use super::verdict::{self, Verdict};
use super::world::{Metric, World};

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
/// A trouble explains a verdict for this long after its end.
const EXPLAINS: Duration = Duration::from_secs(60);

/// What a run is started with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) scene: Scene,
    pub(super) speed: u8,
    pub(super) lag_threshold: Option<u32>,
    pub(super) shard_count: Option<u32>,
    /// The scale-down window of both HPAs, in a cluster.
    pub(super) down_window: Duration,
}

impl Options {
    /// The target of KEDA's side, if a person chose it.
    pub(super) const fn target(&self) -> Option<u32> {
        match self.scene {
            Scene::Kafka => self.lag_threshold,
            Scene::Kinesis => self.shard_count,
        }
    }
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
    /// The lag threshold or shard count of KEDA's side.
    pub(super) target: u32,
    /// The metadata of keda-stream-scaler's trigger.
    pub(super) metadata: BTreeMap<&'static str, String>,
    pub(super) grpc: SocketAddr,
    pub(super) http: SocketAddr,
    history: Duration,
    trigger: Trigger,
    source: Source,
    scaler: Scaler,
    producer: Producer,
    score: Mutex<Score>,
    verdict: Mutex<(Duration, Verdict)>,
}

impl Session {
    /// Simulates the hour before, starts everything, and waits until all consumers have their partitions.
    pub(super) async fn start(options: Options, listeners: &Listeners) -> anyhow::Result<Self> {
        let Options { scene, speed, down_window, .. } = options;
        let (periods, course, clock) = (Periods::of(speed, down_window), Course::new(speed), Clock::stopped());
        let (source, groups) = (Source::start(scene, clock.clone()).await?, scene.groups());
        let connection = source.connection();
        let metadata = connection.metadata(groups[1], &periods);
        let trigger = source::trigger(&metadata)?;
        let (simulated, target) = (trigger.clone(), options.target());
        let history =
            tokio::task::spawn_blocking(move || history::simulate(scene, &simulated, target, periods, course));
        let History { ends, lasted, target, by_rule, by_law, sample } = history.await??;
        source.create(&ends, groups, &periods)?;
        let scaler = Scaler::start(listeners, &clock, lasted)?;
        scaler.resume(groups[1], &trigger, sample)?;
        let troubles = Arc::new(Troubles::default());
        let world = |group, autoscaler: Autoscaler| {
            let pods = Pods::new(connection.clone(), group, periods, clock.clone(), troubles.clone());
            World::new(scene, group, periods, pods, autoscaler)
        };
        let worlds = [world(groups[0], by_rule.autoscaler), world(groups[1], by_law.autoscaler)];
        for (world, replicas) in worlds.iter().zip([by_rule.replicas, by_law.replicas]) {
            world.begin(replicas)?;
        }
        joined(&source, &worlds).await?;
        let producer = Producer::start(connection, course, clock.clone(), troubles.clone())?;
        clock.begin();
        let score = Score::new(periods.promise, RECORDS_A_SECOND);
        let verdict = judged(&score, scene);
        let (grpc, http) = (scaler.grpc, scaler.http);
        Ok(Self {
            options,
            periods,
            course,
            clock,
            troubles,
            worlds,
            target,
            metadata,
            grpc,
            http,
            history: lasted,
            trigger,
            source,
            scaler,
            producer,
            score: Mutex::new(score),
            verdict: Mutex::new((Duration::ZERO, verdict)),
        })
    }

    /// Runs until something fails.
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        tokio::select! {
            failed = self.scale_by_rule() => failed,
            failed = self.scale_by_law() => failed,
            failed = self.measure() => failed,
            () = self.trouble() => Ok(()),
        }
    }

    /// KEDA's own trigger and its HPA: the value is read at each sync.
    async fn scale_by_rule(&self) -> anyhow::Result<()> {
        let [world, _] = &self.worlds;
        let mut syncs = self.syncs();
        loop {
            syncs.tick().await;
            if !self.clock.is_paused() {
                let metric = Metric::Rule { value: self.source.value(world.group), target: self.target };
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
        let (mut before, mut produced) = (self.clock.elapsed(), self.source.produced());
        loop {
            seconds.tick().await;
            ensure!(!self.scaler.has_failed(), "a server of the scaler has ended");
            let at = self.clock.elapsed();
            let lasted = at.saturating_sub(before);
            if lasted < MEASURE / 2 {
                continue;
            }
            let all = self.source.produced();
            self.add(at, lasted, all - produced);
            (before, produced) = (at, all);
            self.source.trim(self.options.scene.groups());
        }
    }

    fn add(&self, at: Duration, lasted: Duration, arrived: u64) {
        let excused =
            self.troubles.all().iter().any(|made| {
                made.trouble == Trouble::Pause && at.saturating_sub(made.at) < made.trouble.lasts() + EXCUSED
            });
        let woken = self.clock.asleep().1.is_some_and(|woke| at.saturating_sub(woke) < RECOVERY);
        let work = self.troubles.work(at).as_secs_f64();
        let sides = self.worlds.each_ref().map(|world| world.measure(&self.source, at, lasted));
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
            *verdict = (at, judged(&score, self.options.scene));
        }
    }

    /// Begins and ends the troubles of the source.
    async fn trouble(&self) {
        loop {
            self.source.disturb(&self.troubles, self.clock.elapsed());
            sleep(BEAT).await;
        }
    }

    /// Makes trouble for both sides.
    pub(super) fn make(&self, trouble: Trouble) {
        if !self.options.scene.troubles().contains(&trouble) {
            return;
        }
        let lost = match trouble {
            Trouble::Delete => self.source.delete_old(self.options.scene.groups()),
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
        let scene = self.options.scene;
        Some(format!("{} {ago} s ago. {}", last.trouble.title(scene), last.trouble.effect(scene)))
    }

    /// Stops everything; consumers leave their groups while the source still runs.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        let Self { worlds, source, scaler, producer, .. } = self;
        tokio::task::spawn_blocking(move || {
            drop(producer);
            worlds.iter().for_each(World::end);
        })
        .await?;
        scaler.end().await?;
        drop(source);
        Ok(())
    }
}

/// Waits until every consumer has its partitions or shards.
async fn joined(source: &Source, worlds: &[World; 2]) -> anyhow::Result<()> {
    let waited = async {
        while !worlds.iter().all(|world| source.has_joined(world.group, world.replicas().spec)) {
            sleep(BEAT).await;
        }
    };
    tokio::time::timeout(JOINED_WITHIN, waited).await.context("the consumers have not joined their groups")
}

/// Judges the score; `scene` has the name of KEDA's rule.
pub(super) fn judged(score: &Score, scene: Scene) -> Verdict {
    verdict::judge(score.numbers(1), score.numbers(0), score.busy, scene.rule())
}
