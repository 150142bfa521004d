//! The metrics of one `ScaledObject`: of its source, and of the values that KEDA gets for its trigger.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::Gauge;
use super::labels::{ObjectLabels, TriggerLabels};
use crate::admin::page;
use crate::lag::flow::{Flow, count};
use crate::lag::streams::{Backlog, Survey};
use crate::lag::{Behind, Facts, GroupLag, Observation, SourceErrorKind};
use crate::sampler::{CallerView, ErrorCounts, Judged, Point, TargetView};
use crate::scaling::Sample;
use crate::trigger::{Policy, SourceRef};

const BYTES_A_KILOBYTE: f64 = 1000.0;

/// The state of a source for one of its callers. A value that the reading does not contain is `None`.
#[derive(Clone, Debug)]
pub(super) struct SourceFacts {
    pub(super) labels: ObjectLabels,
    pub(super) description: String,
    pub(super) failing: Option<SourceErrorKind>,
    pub(super) errors: ErrorCounts,
    age: Option<f64>,
    /// The last good reading of the source.
    sample: Option<Arc<Sample>>,
    unmoved_for: Option<f64>,
    /// The arrival and consumption rates per second.
    rates: Option<Rates>,
}

#[derive(Clone, Copy, Debug)]
enum Rates {
    Records { arrive: f64, consumed: f64 },
    Bytes { arrive: f64, consumed: f64 },
}

/// The result that KEDA gets for a trigger.
#[derive(Clone, Debug)]
pub(super) struct TriggerFacts {
    pub(super) labels: TriggerLabels,
    /// The kind of error that KEDA gets for it.
    pub(super) failing: Option<SourceErrorKind>,
    value: Option<f64>,
    target: Option<f64>,
    active: Option<bool>,
    wanted: Option<f64>,
    useful: Option<f64>,
    staleness: Option<f64>,
}

pub(super) const SOURCE_GAUGES: [Gauge<SourceFacts>; 17] = [
    Gauge { name: "sample_age_seconds", help: "Since the last good reading began", of: |of| of.age },
    Gauge {
        name: "lag_records",
        help: "Records that the group has not read, over the partitions with a valid commit",
        of: |of| of.lag()?.records_behind().map(number),
    },
    Gauge {
        name: "lost_records",
        help: "Records that retention deleted before the group read them",
        of: |of| of.lag().map(|lag| number(lag.lost())),
    },
    Gauge {
        name: "partitions_without_commit",
        help: "Partitions of which the group has no valid commit",
        of: |of| of.lag().map(|lag| number(lag.without_commit())),
    },
    Gauge {
        name: "oldest_unread_age_seconds",
        help: "Since the oldest unread record arrived, at most",
        of: |of| if let Behind::Age { oldest, .. } = of.facts()?.behind { Some(oldest.as_secs_f64()) } else { None },
    },
    Gauge {
        name: "retention_seconds",
        help: "After this time the stream deletes a record",
        of: |of| match of.facts()?.behind {
            Behind::Age { retention, .. } => retention.map(|retention| retention.as_secs_f64()),
            Behind::Records(_) | Behind::Shards { .. } | Behind::Writes { .. } => None,
        },
    },
    Gauge {
        name: "open_shards",
        help: "Shards that records are written to",
        of: |of| match of.facts()?.behind {
            Behind::Shards { open, .. } => Some(number(open)),
            Behind::Writes { open, .. } => Some(open.into()),
            Behind::Records(_) | Behind::Age { .. } => None,
        },
    },
    Gauge {
        name: "filled_shards",
        help: "Shards that the writes of the last minutes fill",
        of: |of| if let Behind::Writes { filled, .. } = of.facts()?.behind { Some(filled) } else { None },
    },
    Gauge {
        name: "capacity_shards",
        help: "Shards that can be filled before the widest range of hash keys is full",
        of: |of| if let Behind::Writes { capacity, .. } = of.facts()?.behind { Some(capacity) } else { None },
    },
    Gauge {
        name: "throttled_ratio",
        help: "Share of the records that were throttled within five minutes",
        of: |of| if let Behind::Writes { throttled, .. } = of.facts()?.behind { Some(throttled) } else { None },
    },
    Gauge {
        name: "partitions",
        help: "Partitions, or shards that are not finished",
        of: |of| places(of.sample.as_ref()?),
    },
    Gauge {
        name: "consumers",
        help: "Members of the group, or owners of leases, where they are read",
        of: |of| of.facts()?.consumers.map(count),
    },
    Gauge {
        name: "position_unchanged_seconds",
        help: "Since any commit or checkpoint moved, as far as it was seen",
        of: |of| of.unmoved_for,
    },
    Gauge {
        name: "arriving_records_per_second",
        help: "Records that arrive, averaged over half a minute",
        of: |of| if let Some(Rates::Records { arrive, .. }) = of.rates { Some(arrive) } else { None },
    },
    Gauge {
        name: "consumed_records_per_second",
        help: "Records that are consumed, averaged over half a minute",
        of: |of| if let Some(Rates::Records { consumed, .. }) = of.rates { Some(consumed) } else { None },
    },
    Gauge {
        name: "arriving_bytes_per_second",
        help: "Bytes that arrive, averaged over half a minute",
        of: |of| if let Some(Rates::Bytes { arrive, .. }) = of.rates { Some(arrive) } else { None },
    },
    Gauge {
        name: "consumed_bytes_per_second",
        help: "Bytes that are consumed, averaged over half a minute",
        of: |of| if let Some(Rates::Bytes { consumed, .. }) = of.rates { Some(consumed) } else { None },
    },
];

pub(super) const TRIGGER_GAUGES: [Gauge<TriggerFacts>; 6] = [
    Gauge { name: "metric_value", help: "The value that KEDA gets", of: |of| of.value },
    Gauge { name: "metric_target", help: "The target of that value", of: |of| of.target },
    Gauge {
        name: "active",
        help: "Whether the workload is to run at all",
        of: |of| of.active.map(|active| if active { 1.0 } else { 0.0 }),
    },
    Gauge { name: "wanted_replicas", help: "Replicas that follow from value and target", of: |of| of.wanted },
    Gauge { name: "useful_replicas", help: "More replicas than this would stand idle", of: |of| of.useful },
    Gauge {
        name: "staleness_ratio",
        help: "The age of the last good reading by maxStaleness; from 1 on KEDA gets an error",
        of: |of| of.staleness,
    },
];

// === impl SourceFacts ===

impl SourceFacts {
    pub(super) fn of(view: &TargetView, caller: &CallerView) -> Self {
        Self {
            labels: ObjectLabels {
                namespace: caller.namespace.clone(),
                scaled_object: caller.name.clone(),
                source: view.source.kind(),
                target: page::id(&view.source).into(),
            },
            description: view.source.to_string(),
            failing: view.state.failure().map(|(error, _)| error.kind()),
            errors: view.errors,
            age: view.state.sample().map(|(_, age)| age.as_secs_f64()),
            sample: view.state.sample().map(|(sample, _)| sample.clone()),
            unmoved_for: view.unmoved_for.map(|time| time.as_secs_f64()),
            rates: Rates::of(view),
        }
    }

    fn facts(&self) -> Option<&Facts> {
        self.sample.as_ref().map(|sample| &sample.facts)
    }

    fn lag(&self) -> Option<&GroupLag> {
        if let Behind::Records(lag) = &self.facts()?.behind { Some(lag) } else { None }
    }

    pub(super) fn is_of(&self, caller: &CallerView) -> bool {
        self.labels.namespace == caller.namespace && self.labels.scaled_object == caller.name
    }
}

impl Rates {
    fn of(view: &TargetView) -> Option<Self> {
        let Point { arrivals, consumption, .. } = view.chart.points().last()?;
        let (arrive, consumed) = (f64::from(*arrivals), f64::from(*consumption));
        let sample = view.state.sample().map(|(sample, _)| sample);
        match (&*view.source, sample.and_then(|sample| sample.flow.as_ref())) {
            _ if arrive.is_nan() || consumed.is_nan() => None,
            (SourceRef::Kafka(_), _) => Some(Self::Records { arrive, consumed }),
            (_, Some(Flow::Throughput(_))) => {
                Some(Self::Bytes { arrive: arrive * BYTES_A_KILOBYTE, consumed: consumed * BYTES_A_KILOBYTE })
            }
            _ => None,
        }
    }
}

fn places(sample: &Sample) -> Option<f64> {
    match (&sample.facts.behind, &sample.observation) {
        (Behind::Records(lag), _) => Some(count(lag.partitions())),
        (_, Observation::Application(application)) => Some(count(unfinished(&application.survey))),
        _ => None,
    }
}

fn unfinished(survey: &Survey) -> usize {
    let work = |backlog: &Backlog| !matches!(backlog, Backlog::Finished | Backlog::NoSuchShard);
    survey.shards.iter().filter(|report| work(&report.backlog)).count()
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, as every number in Prometheus")]
pub(super) const fn number(count: u64) -> f64 {
    count as f64
}

// === impl TriggerFacts ===

impl TriggerFacts {
    pub(super) fn of(view: &TargetView, caller: &CallerView, source: &SourceFacts) -> Self {
        let judged = view.judge(caller);
        let decision = if let Judged::Valued(decision) = &judged { Some(decision) } else { None };
        // the value of an age policy is a factor, not a number of replicas
        let counts = !caller.policy.is_for_the_whole_workload();
        Self {
            labels: TriggerLabels {
                object: source.labels.clone(),
                metric: caller.metric.to_string(),
                trigger: id(&caller.policy),
            },
            failing: if let Judged::Failed { error, .. } = &judged { Some(error.kind()) } else { None },
            value: decision.map(|decision| decision.value.get()),
            target: decision.map(|decision| decision.target.get()),
            active: decision.map(|decision| decision.active),
            wanted: decision.filter(|_| counts).map(|decision| number(decision.replicas())),
            useful: decision.and_then(|decision| decision.useful_replicas().map(number)),
            staleness: source.age.map(|age| age / caller.max_staleness.as_secs_f64()),
        }
    }
}

/// Returns an identifier that is the same in every scaler of this build while the trigger is the same.
fn id(policy: &Policy) -> String {
    let mut hasher = DefaultHasher::new();
    policy.hash(&mut hasher);
    format!("{:08x}", hasher.finish() >> 32)
}
