//! One world: a `ScaledObject`, its HPA, and the workload that it scales.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keda_stream_scaler::lag::Moment;
use keda_stream_scaler::scaling::hpa::{HorizontalPodAutoscaler, Pace, Replicas, Rules, Target, Tolerance};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::broker::{Broker, Unread};
use super::keda::{Keda, Metric};
use super::periods::{Periods, RECORDS_A_SECOND};
use super::pods::Pods;
use super::tally::{Point, Tally};
use super::{MOST_REPLICAS, TOPIC};

/// The number of replicas with which each world starts.
const FIRST_REPLICAS: u32 = 2;

/// The difference of a world from the other one.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The name of the world, its group and its `ScaledObject`.
    pub(super) name: &'static str,
    /// The name for people.
    pub(super) title: &'static str,
    pub(super) metadata: BTreeMap<&'static str, String>,
    /// The metadata that only this world has.
    pub(super) own: Vec<(&'static str, String)>,
}

/// A world and its current state.
pub(super) struct World {
    pub(super) plan: Plan,
    periods: Periods,
    pods: Mutex<Pods>,
    state: Mutex<State>,
}

/// The state that is shown to people.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) tally: Tally,
    /// The last metric that KEDA got, or the error.
    pub(super) metric: Option<Result<Metric, String>>,
}

impl World {
    pub(super) fn new(plan: Plan, servers: &str, periods: Periods) -> anyhow::Result<Self> {
        let mut pods = Pods::new(servers, plan.name, periods);
        pods.scale(FIRST_REPLICAS)?;
        Ok(Self { plan, periods, pods: Mutex::new(pods), state: Mutex::default() })
    }

    pub(super) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs KEDA and the HPA forever.
    pub(super) async fn scale(&self, scaler: SocketAddr) -> anyhow::Result<()> {
        let mut keda = Keda::new(scaler, self.plan.name, &self.plan.metadata)?;
        let mut hpa = None;
        let begun = Instant::now();
        let mut syncs = interval(self.periods.sync);
        syncs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            syncs.tick().await;
            let asked = keda.ask().await;
            let metric = asked.as_ref().ok().copied();
            let now = Moment::after_epoch(begun.elapsed());
            // the first answer contains the target
            if let (None, Some(Metric { target, .. })) = (&hpa, metric) {
                hpa = Some(HorizontalPodAutoscaler::new(self.rules(target)));
            }
            if let Some(hpa) = &mut hpa {
                let mut pods = self.pods();
                let replicas = pods.replicas();
                let wanted = hpa.sync(now, metric.map(|metric| metric.value), replicas);
                pods.scale(wanted)?;
                self.tell(|state| state.tally.scale_events += u32::from(wanted != replicas.spec));
            }
            let told = asked.map_err(|status| format!("{:?}: {}", status.code(), status.message()));
            self.tell(|state| state.metric = Some(told));
        }
    }

    fn rules(&self, target: f64) -> Rules {
        Rules {
            target: Target::AverageValue(target),
            min_replicas: 1,
            max_replicas: MOST_REPLICAS,
            tolerance: Tolerance::default(),
            pace: Pace::Plain { down_window: self.periods.down_window },
        }
    }

    /// Adds the exact state, from the broker, for the time that has `lasted`.
    pub(super) fn count(&self, broker: &Broker, at: Duration, lasted: Duration) {
        let Unread { records: behind, age } = broker.unread(self.plan.name, TOPIC, Instant::now());
        let Replicas { spec: replicas, ready, .. } = self.pods().replicas();
        let point = Point { at, arrived: broker.produced(TOPIC), behind, age, replicas, ready };
        self.tell(|state| state.tally.count(lasted, self.periods.objective, point));
    }

    /// Stops all consumers, and waits for their threads.
    pub(super) fn end(&self) {
        self.pods().end();
    }

    fn pods(&self) -> MutexGuard<'_, Pods> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Returns the plans of both worlds on one topic, so that each gets the same records.
pub(super) fn plans(servers: &str, lag_threshold: u32, periods: Periods) -> [Plan; 2] {
    let seconds = |time: Duration| format!("{}s", time.as_secs_f64());
    let base = |name: &'static str| {
        BTreeMap::from([
            ("source", "kafka".to_owned()),
            ("bootstrapServers", servers.to_owned()),
            ("consumerGroup", name.to_owned()),
            ("topic", TOPIC.to_owned()),
            ("offsetResetPolicy", "earliest".to_owned()),
            ("pollInterval", seconds(periods.poll)),
        ])
    };
    let with = |name, title, own: &[(&'static str, String)]| {
        let mut metadata = base(name);
        metadata.extend(own.iter().cloned());
        Plan { name, title, metadata, own: own.to_vec() }
    };
    let by_lag = [("scaleOn", "lag".to_owned()), ("lagThreshold", lag_threshold.to_string())];
    let by_catch_up = [
        ("scaleOn", "catchUp".to_owned()),
        ("maxAge", seconds(periods.objective)),
        // the lag threshold is tuned to this value, so that neither world has to measure it
        ("capacityPerConsumer", RECORDS_A_SECOND.to_string()),
        ("scaleDownStabilizationWindow", seconds(periods.down_window)),
    ];
    [with("by-lag", "KEDA's lag threshold", &by_lag), with("by-catch-up", "Catch-up", &by_catch_up)]
}
