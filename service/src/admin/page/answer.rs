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
    forecast: Option<Forecast>,
    busiest: Option<(String, f64)>,
}

/// What happens until more consumers help, in seconds.
#[derive(Clone, Copy)]
struct Forecast {
    reaction: f64,
    /// The age of the oldest record, now and then; `None` where it is unknown.
    ages: Option<(f64, f64)>,
    promise: f64,
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
                    let ages = oldest_seconds.as_ref().zip(age_seconds.as_ref());
                    law.forecast = Some(Forecast {
                        reaction: reaction_seconds.get(),
                        ages: ages.map(|(now, then)| (now.get(), then.get())),
                        promise: max_age_seconds.get(),
                    });
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
        let Forecast { reaction, ages, promise } = self.forecast?;
        let Some((oldest, age)) = ages else {
            return Some("The age of the oldest record is unknown until more records arrive.".to_owned());
        };
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::scaling::Quantity;
    use crate::scaling::catch_up::CapacityFrom;
    use crate::trigger::Trigger;

    fn policy(more: &[(&str, &str)]) -> Policy {
        let base = [("source", "kafka"), ("bootstrapServers", "b:9092"), ("consumerGroup", "g"), ("topic", "t")];
        let metadata = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Trigger::parse(&metadata.collect::<HashMap<_, _>>()).unwrap().policy
    }

    fn count(number: u64) -> Quantity {
        Quantity::from_count(number)
    }

    fn law(wanted: usize, rule: Rule, more: Vec<CatchUpStep>) -> Decision {
        let flow = CatchUpStep::Flow { unit: Unit::Records, backlog: count(4798), consumers: 4, partitions: 12 };
        let capacity =
            CatchUpStep::Capacity { unit: Unit::Records, per_second: count(88), from: CapacityFrom::Measured };
        let end = CatchUpStep::Wanted { consumers: wanted, rule };
        let steps = [flow, capacity].into_iter().chain(more).chain([end]).map(Step::CatchUp).collect();
        let value = count(u64::try_from(wanted).unwrap());
        Decision { value, target: count(1), active: wanted > 0, steps }
    }

    fn arrivals(because: Because, per_second: u64, level: u64) -> CatchUpStep {
        CatchUpStep::Arrivals { unit: Unit::Records, per_second: count(per_second), because, level: count(level) }
    }

    #[test]
    fn the_sentence_names_the_replicas_those_before_and_the_reason() {
        let policy = policy(&[("scaleOn", "catchUp"), ("maxAge", "60s")]);
        let of = |decision: &Decision| Answer::of(&policy, decision, Clock::now());
        let growing = of(&law(6, Rule::TooFew, vec![arrivals(Because::Growing, 395, 240)]));
        assert_eq!(
            growing.what,
            "6 replicas instead of 4: arrivals rise, from 240 now to 395 records/s when more replicas can help"
        );
        assert_eq!(growing.then, ["Arrivals are 240 records/s; 4 replicas can process 352 records/s."]);
        let need = CatchUpStep::Need { arrivals: count(5), objective: count(5), utilization: count(1) };
        let short = of(&law(6, Rule::TooFew, vec![arrivals(Because::Steady, 395, 395), need]));
        assert_eq!(short.what, "6 replicas instead of 4: 395 records/s need 5 consumers at 100 % utilization");
        assert_eq!(of(&law(4, Rule::Enough, Vec::new())).what, "4 replicas: enough for the arrivals");
        assert_eq!(
            of(&law(0, Rule::NothingToDo, Vec::new())).what,
            "0 replicas instead of 4: no consumers and no backlog"
        );
    }

    #[test]
    fn a_hold_has_its_end_and_a_forecast_is_compared_with_the_promise() {
        let policy = policy(&[("scaleOn", "catchUp"), ("maxAge", "60s")]);
        let held = CatchUpStep::Held { enough: 3, seconds: count(600) };
        let answer = Answer::of(&policy, &law(8, Rule::Holding, vec![held]), Clock::now());
        assert!(
            answer.what.starts_with("Holding 8 replicas until ") && answer.what.ends_with(" UTC: 3 would be enough")
        );
        for (age, verdict) in
            [(16, "is 16 s old: within the promise of 60 s."), (75, "is 75 s old: over the promise of 60 s.")]
        {
            let forecast = CatchUpStep::Forecast {
                reaction_seconds: count(38),
                oldest_seconds: Some(count(12)),
                age_seconds: Some(count(age)),
                max_age_seconds: count(60),
            };
            let answer = Answer::of(&policy, &law(6, Rule::TooFew, vec![forecast]), Clock::now());
            let [.., last] = &answer.then[..] else { panic!("no sentence") };
            assert!(last.starts_with("More replicas help from ") && last.ends_with(verdict), "{last}");
        }
        let (reaction_seconds, max_age_seconds) = (count(38), count(60));
        let unknown =
            CatchUpStep::Forecast { reaction_seconds, oldest_seconds: None, age_seconds: None, max_age_seconds };
        let answer = Answer::of(&policy, &law(6, Rule::TooFew, vec![unknown]), Clock::now());
        assert_eq!(
            answer.then.last().expect("a sentence"),
            "The age of the oldest record is unknown until more records arrive."
        );
    }

    #[test]
    fn a_lag_is_divided_by_its_threshold_and_limited_by_the_partitions() {
        let policy = policy(&[("lagThreshold", "50")]);
        let decision = |value, active, more: Vec<Step>| {
            let activation = Step::Activation { lag: 271, threshold: 0 };
            Decision { value: count(value), target: count(50), active, steps: [more, vec![activation]].concat() }
        };
        let of = |decision: &Decision| Answer::of(&policy, decision, Clock::now());
        assert_eq!(of(&decision(271, true, Vec::new())).what, "6 replicas: lag 271 ÷ lagThreshold 50");
        let capped = Step::Capped { replicas: 3, by: CapReason::Partitions, from: 271, to: 150 };
        let capped = of(&decision(150, true, vec![capped]));
        assert_eq!(capped.what, "3 replicas, one for each of 3 partitions: lag 271 would need more");
        let without = Step::Lag { lag: 271, by_reset_policy: 6, without_commit: 6, as_built_in: 0 };
        let [then] = &of(&decision(271, true, vec![without])).then[..] else { panic!("one sentence") };
        assert!(then.ends_with("plus 6 partitions without a commit, counted as 1 each."), "{then}");
        assert_eq!(
            of(&decision(0, false, Vec::new())).what,
            "0 replicas: lag 271 is not above the activation threshold 0"
        );
    }
}
