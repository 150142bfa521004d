//! What comes of the law and of other policies in simulated worlds. No clock: the same wherever it runs.

use crate::table::{Goal, Table};
use crate::world::chains::{chain, chain_30, chain_noisy, chain_ramp, chain_steps, demo, free_chain};
use crate::world::life::{cron, nightly, shared_database, skewed, slow_records, weekdays};
use crate::world::policies::{AgeValue, LagThreshold, Law, Policy, Seen};
use crate::world::scenario::Scenario;
use crate::world::scenarios::{
    backlog, constant, downstream, hopeless, hot, hot_pair, neighbours, noisy, one_short, pause, ramp, random,
    rare_commits, short_window, slow_start, slowdown, spikes, step, stuck,
};
use crate::world::{Outcome, live};

const SEEDS: [u64; 4] = [11, 12, 13, 14];

/// Lag thresholds, in seconds of a consumer's work.
const THRESHOLDS: [f64; 5] = [2.0, 5.0, 10.0, 30.0, 60.0];

/// Somebody who tunes a threshold for a world may pay this much more than the law costs there.
const BUDGET: f64 = 1.1;

/// Half of the objective.
const AGE: f64 = 30.0;

/// Worlds by lot.
const RANDOM: u64 = 12;

fn worlds() -> Vec<Scenario> {
    let abilities = [
        constant,
        step,
        ramp,
        spikes,
        backlog,
        hot,
        hopeless,
        stuck,
        pause,
        downstream,
        slowdown,
        noisy,
        slow_start,
        rare_commits,
        one_short,
        neighbours,
        hot_pair,
        short_window,
    ];
    let chains = [chain, free_chain, chain_steps, chain_noisy, chain_30, chain_ramp, demo];
    let life = [nightly, slow_records, skewed, shared_database, cron, weekdays];
    let named = abilities.into_iter().chain(chains).chain(life).map(|world| world());
    named.chain((0..RANDOM).map(random)).collect()
}

/// Every world with every policy.
pub fn measure(table: &mut Table) {
    println!(
        "{:<20} {:>26} {:>34} {:>26}",
        "", "the law", "the best lag threshold at its cost", "the greatest age as Value"
    );
    let measured = worlds().into_iter().map(|scenario| {
        let law = outcome(&scenario, || Box::new(Law::new(&scenario, Seen::Offsets)));
        let (seconds, lag) = best_threshold(&scenario, BUDGET * law.cost);
        let age = outcome(&scenario, || Box::new(AgeValue(AGE)));
        let threshold = format!("{seconds:.0} s: {}", in_words(&lag));
        println!("{:<20} {:>26} {threshold:>34} {:>26}", scenario.name, in_words(&law), in_words(&age));
        [law, lag, age]
    });
    let all: Vec<_> = measured.collect();
    println!("each: % of the time over the objective / cost / changes of the number of replicas\n");
    let mean = |policy: usize| Outcome::mean(&all.iter().map(|outcomes| outcomes[policy]).collect::<Vec<_>>());
    let [law, lag, age] = [mean(0), mean(1), mean(2)];
    let name = format!("{} simulated worlds, the law on offsets", all.len());
    table.add(format!("{name}: time over the objective"), law.late, "%", Goal::Below(lag.late.min(age.late) / 2.0));
    table.add(format!("{name}: pod-seconds over the least"), law.cost, "", Goal::Below(age.cost));
    table.add(format!("{name}: changes of the number of replicas"), law.events, "", Goal::Below(lag.events / 2.0));
}

fn outcome(scenario: &Scenario, policy: impl Fn() -> Box<dyn Policy>) -> Outcome {
    Outcome::mean(&SEEDS.map(|seed| live(scenario, &mut *policy(), seed)))
}

/// The one that is late least among those within the budget; where all cost more, the cheapest.
fn best_threshold(scenario: &Scenario, budget: f64) -> (f64, Outcome) {
    let settings = THRESHOLDS.map(|seconds| {
        let policy = || -> Box<dyn Policy> { Box::new(LagThreshold::seconds(scenario, seconds)) };
        (seconds, outcome(scenario, policy))
    });
    let affordable = settings.into_iter().filter(|(_, outcome)| outcome.cost <= budget);
    let best = affordable.min_by(|one, other| one.1.late.total_cmp(&other.1.late));
    best.unwrap_or_else(|| settings.into_iter().min_by(|one, other| one.1.cost.total_cmp(&other.1.cost)).unwrap())
}

fn in_words(outcome: &Outcome) -> String {
    format!("{:.1} / {:.2} / {:.0}", outcome.late, outcome.cost, outcome.events)
}
