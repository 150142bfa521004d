//! The decision in one sentence: how many replicas, and why; then what happens otherwise or next.

use std::time::Duration;

use super::causes::sentence;
use super::summary::number;
use crate::page::Clock;
use crate::page::text::{float, short, time, whole};
use crate::scaling::catch_up::{Because, CatchUpStep, Rule, Unit};
use crate::scaling::write_utilization::WriteStep;
use crate::scaling::{CapReason, Decision, Step};
use crate::trigger::Policy;

/// A decision in sentences.
pub(super) struct Answer {
    /// The number of replicas and the reason.
    pub(super) what: String,
    /// What happens with the present count, and what happens next.
    pub(super) then: Vec<String>,
}

/// The steps of the catch-up law that the sentences need.
#[derive(Default)]
struct Law {
    rule: Option<Rule>,
    consumers: Option<u64>,
    held: Option<(usize, f64)>,
    arrivals: Option<(Unit, f64, f64, Because)>,
    capacity: Option<f64>,
    /// The consumers that cover the arrivals, those that also keep the promise, and the utilization.
    need: Option<[f64; 3]>,
    /// The reaction time, the age now, the age when more consumers help, and the promise.
    forecast: Option<[f64; 4]>,
    busiest: Option<(String, f64)>,
}

impl Answer {
    pub(super) fn of(policy: &Policy, decision: &Decision, clock: Clock) -> Self {
        match policy {
            Policy::CatchUp(policy) => Law::of(decision).answer(decision, policy.consumers_per_replica.get(), clock),
            Policy::Lag(policy) => lag(decision, policy.threshold.get()),
            Policy::Age(_) => age(decision),
            Policy::ShardCount(policy) => shards(decision, policy.threshold.get()),
            Policy::WriteUtilization(_) => writes(decision),
        }
    }
}

fn replicas(count: u64) -> String {
    format!("{} replica{}", number(count), if count == 1 { "" } else { "s" })
}

fn lag(decision: &Decision, threshold: u64) -> Answer {
    let counted = decision.steps.iter().find_map(|step| match step {
        Step::Activation { lag, threshold } => Some((*lag, *threshold)),
        _ => None,
    });
    let (lag, activation) = counted.unwrap_or((0, 0));
    let lag = number(u64::try_from(lag).unwrap_or(0));
    let wanted = decision.replicas();
    let capped = decision.steps.iter().find_map(|step| match step {
        Step::Capped { replicas, by, .. } => Some((*replicas, *by)),
        _ => None,
    });
    let what = match capped {
        _ if !decision.active => {
            format!("0 replicas: lag {lag} is not above the activation threshold {}", number(activation))
        }
        Some((most, CapReason::Partitions)) => {
            format!("{}, one for each of {} partitions: lag {lag} would need more", replicas(wanted), number(most))
        }
        Some((most, CapReason::PartitionsWithLag)) => {
            format!("{}: only {} partitions have lag", replicas(wanted), number(most))
        }
        None => format!("{}: lag {lag} ÷ lagThreshold {}", replicas(wanted), number(threshold)),
    };
    let noted = decision.steps.iter().filter(|step| match step {
        Step::PersistentLagExcluded { .. } => true,
        Step::Lag { by_reset_policy, .. } => *by_reset_policy > 0,
        _ => false,
    });
    let then = noted.map(|step| sentence(&step.to_string())).collect();
    Answer { what, then }
}

fn age(decision: &Decision) -> Answer {
    let (age, target) = (decision.value.get(), decision.target.get());
    let (age_text, target_text) = (time(age), time(target));
    let what = match age {
        _ if !decision.active => {
            format!("0 replicas: the oldest record is {age_text} old, below the activation threshold")
        }
        _ if target > 0.0 => {
            let times = short(age / target);
            format!("Replicas × {times}: the oldest record is {age_text} old, the target is {target_text}")
        }
        _ => format!("The oldest record is {age_text} old"),
    };
    let near = decision.steps.iter().filter(|step| matches!(step, Step::NearRetention { .. }));
    Answer { what, then: near.map(|step| sentence(&step.to_string())).collect() }
}

fn shards(decision: &Decision, threshold: u64) -> Answer {
    let shards = whole(decision.value.get());
    let what =
        format!("{}: {shards} open shards, {} for each replica", replicas(decision.replicas()), number(threshold));
    Answer { what, then: Vec::new() }
}

fn writes(decision: &Decision) -> Answer {
    let wanted = decision.steps.iter().find_map(|step| match step {
        Step::Writes(WriteStep::Wanted { shards, rule }) => Some(format!("{shards} shards: {rule}")),
        _ => None,
    });
    let load = decision.steps.iter().find(|step| matches!(step, Step::Writes(WriteStep::Load { .. })));
    let then = load.map(|step| sentence(&step.to_string()));
    Answer { what: wanted.unwrap_or_default(), then: then.into_iter().collect() }
}

// === impl Law ===

impl Law {
    fn of(decision: &Decision) -> Self {
        let mut law = Self::default();
        let steps =
            decision.steps.iter().filter_map(|step| if let Step::CatchUp(step) = step { Some(step) } else { None });
        for step in steps {
            match step {
                CatchUpStep::Flow { consumers, .. } | CatchUpStep::Ages { consumers, .. } => {
                    law.consumers = u64::try_from(*consumers).ok();
                }
                CatchUpStep::Wanted { rule, .. } => law.rule = Some(*rule),
                CatchUpStep::Held { enough, seconds } => law.held = Some((*enough, seconds.get())),
                CatchUpStep::Arrivals { unit, per_second, because, level } => {
                    law.arrivals = Some((*unit, per_second.get(), level.get(), *because));
                }
                CatchUpStep::Capacity { per_second, .. } => law.capacity = Some(per_second.get()),
                CatchUpStep::Forecast { reaction_seconds, oldest_seconds, age_seconds, max_age_seconds } => {
                    law.forecast =
                        Some([reaction_seconds, oldest_seconds, age_seconds, max_age_seconds].map(|one| one.get()));
                }
                CatchUpStep::Need { arrivals, objective, utilization } => {
                    law.need = Some([arrivals, objective, utilization].map(|one| one.get()));
                }
                CatchUpStep::Hottest { place, share } => law.busiest = Some((place.clone(), share.get())),
                _ => {}
            }
        }
        law
    }

    fn answer(&self, decision: &Decision, in_one: u32, clock: Clock) -> Answer {
        let wanted = decision.replicas();
        let running = self.consumers.map(|consumers| consumers.div_ceil(u64::from(in_one)));
        let reason = self.reason();
        let what = match (self.held, running) {
            (Some((enough, seconds)), _) => {
                let until = clock.ahead(Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0)));
                format!("Holding {} until {until} UTC: {enough} would be enough", replicas(wanted))
            }
            (None, Some(running)) if running != wanted => {
                format!("{} instead of {}: {reason}", replicas(wanted), number(running))
            }
            _ => format!("{}: {reason}", replicas(wanted)),
        };
        let then = [self.work(running, in_one), self.outlook(wanted, running, clock)];
        Answer { what, then: then.into_iter().flatten().collect() }
    }

    fn reason(&self) -> String {
        match self.rule {
            Some(Rule::TooFew) => self.shortage().unwrap_or_else(|| Rule::TooFew.to_string()),
            Some(Rule::HotPartition) => match &self.busiest {
                Some((place, share)) => {
                    format!("{place} needs {:.0} % of one consumer, and more consumers do not help it", share * 100.0)
                }
                None => Rule::HotPartition.to_string(),
            },
            Some(rule) => rule.to_string(),
            None => "no rule has decided".to_owned(),
        }
    }

    /// Why the running consumers are too few.
    fn shortage(&self) -> Option<String> {
        let (unit, per_second, level, because) = self.arrivals.filter(|(unit, ..)| *unit != Unit::Demand)?;
        if because == Because::Growing {
            let (level, then) = (short(level), short(per_second));
            return Some(format!("arrivals rise, from {level} now to {then} {unit}/s when more replicas can help"));
        }
        let [arrivals, objective, utilization] = self.need?;
        if arrivals > float(self.consumers?) {
            let percent = utilization * 100.0;
            return Some(format!(
                "{} {unit}/s need {} consumers at {percent:.0} % utilization",
                short(per_second),
                short(arrivals)
            ));
        }
        (objective > float(self.consumers?))
            .then(|| format!("{} consumers are needed to keep the promise", short(objective)))
    }

    /// What arrives, and what the running replicas can process.
    fn work(&self, running: Option<u64>, in_one: u32) -> Option<String> {
        let (unit, _, level, _) = self.arrivals.filter(|(unit, ..)| *unit != Unit::Demand)?;
        let arrive = format!("Arrivals are {} {unit}/s", short(level));
        Some(match (self.capacity, running.filter(|running| *running > 0)) {
            (Some(capacity), Some(running)) => {
                let able = capacity * float(running) * f64::from(in_one);
                format!("{arrive}; {} can process {} {unit}/s.", replicas(running), short(able))
            }
            (Some(capacity), None) => format!("{arrive}; one consumer can process {} {unit}/s.", short(capacity)),
            (None, _) => format!("{arrive}; the capacity of a consumer is not measured yet."),
        })
    }

    /// The age of the oldest record when more replicas can help.
    fn outlook(&self, wanted: u64, running: Option<u64>, clock: Clock) -> Option<String> {
        let [reaction, oldest, age, promise] = self.forecast?;
        let (oldest, age_text) = (time(oldest), time(age));
        let (at, promised) = (clock.ahead(Duration::from_secs_f64(reaction.clamp(0.0, 86_400.0))), time(promise));
        let more = running.is_some_and(|running| wanted > running);
        let help = if more { format!("More replicas help from {at} UTC; by then") } else { format!("At {at} UTC") };
        let verdict = if age > promise {
            format!("over the promise of {promised}")
        } else {
            format!("within the promise of {promised}")
        };
        Some(format!("{help} the oldest record, {oldest} old now, is {age_text} old: {verdict}."))
    }
}
