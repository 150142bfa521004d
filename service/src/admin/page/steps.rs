//! The steps of a decision as a table: what, how much, and the same sentence as in `explain`.

use maud::{Markup, html};

use super::summary::number;
use crate::page::text::{short, time};
use crate::scaling::catch_up::{CatchUpStep, Unit};
use crate::scaling::write_utilization::WriteStep;
use crate::scaling::{Decision, Step};

pub(super) fn table(decision: &Decision) -> Markup {
    html! {
        table role="table" {
            thead.sr role="rowgroup" {
                tr role="row" {
                    @for title in ["Step", "Value", "Why"] { th scope="col" role="columnheader" { (title) } }
                }
            }
            tbody role="rowgroup" {
                @for step in &decision.steps {
                    @let (name, value) = named(step);
                    tr class=[decides(step).then_some("end")] role="row" {
                        th scope="row" role="rowheader" { (name) }
                        td role="cell" { (value) }
                        td role="cell" { (step) }
                    }
                }
            }
        }
    }
}

const fn decides(step: &Step) -> bool {
    matches!(step, Step::CatchUp(CatchUpStep::Wanted { .. }) | Step::Writes(WriteStep::Wanted { .. }))
}

/// Returns the name and the value of a step.
fn named(step: &Step) -> (&'static str, String) {
    let none = String::new;
    let active = |active: bool| if active { "active" } else { "not active" }.to_owned();
    let seconds = |milliseconds: u64| time(crate::page::text::float(milliseconds) / 1000.0);
    match step {
        Step::Counted { records_behind, .. } => ("Lag", records_behind.map_or_else(none, number)),
        Step::Lag { lag, .. } => ("Counted lag", number(u64::try_from(*lag).unwrap_or(0))),
        Step::SelectedBeyond { .. } => ("Selected partitions", none()),
        Step::Unusual { partitions, .. } => ("Partitions", number(*partitions)),
        Step::PersistentLagExcluded { lag, .. } => ("Excluded lag", number(u64::try_from(*lag).unwrap_or(0))),
        Step::EvenDistribution { replicas } => ("Even distribution", number(*replicas)),
        Step::ShareGroup => ("Share group", none()),
        Step::Capped { replicas, .. } => ("Limit", number(*replicas)),
        Step::Activation { lag, threshold } => ("Activation", active(i128::from(*lag) > i128::from(*threshold))),
        Step::OpenShards { open } => ("Open shards", number(*open)),
        Step::ClosedShardsCounted { closed } => ("Closed shards", number(*closed)),
        Step::ShardActivation { active: is, .. } | Step::AgeActivation { active: is, .. } => {
            ("Activation", active(*is))
        }
        Step::NeverRan { .. } => ("Checkpoints", "none".to_owned()),
        Step::Oldest { age_ms, .. } => ("Oldest record", seconds(*age_ms)),
        Step::NothingUnread { .. } => ("Oldest record", "none".to_owned()),
        Step::NearRetention { retention_ms, .. } => ("Retention", seconds(*retention_ms)),
        Step::CheckpointsRead { ago_ms, .. } => ("Checkpoints", format!("{} ago", seconds(*ago_ms))),
        Step::CatchUp(step) => of_law(step),
        Step::Writes(step) => of_writes(step),
    }
}

fn of_law(step: &CatchUpStep) -> (&'static str, String) {
    let none = String::new;
    let of = |number: f64, unit: Unit| match unit {
        Unit::Demand => short(number / 1000.0),
        Unit::Records | Unit::Kilobytes => format!("{} {unit}/s", short(number)),
    };
    let consumers = |count: usize| crate::scaling::counted(count, "consumer");
    match step {
        CatchUpStep::Flow { unit: Unit::Records, backlog, .. } => ("Backlog", format!("lag {}", short(backlog.get()))),
        CatchUpStep::Flow { unit: Unit::Kilobytes, backlog, .. } => ("Backlog", format!("{} kB", short(backlog.get()))),
        CatchUpStep::Flow { consumers: running, .. } => ("Consumers", consumers(*running)),
        CatchUpStep::Stuck { partitions } => ("Stuck", crate::scaling::counted(*partitions, "partition")),
        CatchUpStep::NotActivating { .. } => ("Activation", none()),
        CatchUpStep::Arrivals { unit, per_second, .. } => ("Arrivals", of(per_second.get(), *unit)),
        CatchUpStep::Capacity { unit, per_second, .. } => ("Capacity", of(per_second.get(), *unit)),
        CatchUpStep::Forecast { reaction_seconds, .. } => ("Reaction time", time(reaction_seconds.get())),
        CatchUpStep::Need { arrivals, objective, .. } => {
            ("Need", format!("{} consumers", short(arrivals.get().max(objective.get()))))
        }
        CatchUpStep::Hottest { share, .. } => ("Busiest partition", format!("{:.0} %", 100.0 * share.get())),
        CatchUpStep::Considered { counts } => {
            let counts: Vec<_> = counts.iter().map(ToString::to_string).collect();
            ("Useful counts", counts.join(", "))
        }
        CatchUpStep::Ages { oldest, .. } => ("Oldest record", time(oldest.get())),
        CatchUpStep::Speed { speed, .. } => ("Speed", format!("{:.2}×", speed.get())),
        CatchUpStep::Wanted { consumers: wanted, .. } => ("Decision", consumers(*wanted)),
        CatchUpStep::Held { seconds, .. } => ("Hold", time(seconds.get())),
        CatchUpStep::OverTolerance { asked, .. } => ("HPA tolerance", format!("{:.2}", asked.get())),
        CatchUpStep::WithinTolerance { .. } => ("HPA tolerance", none()),
        CatchUpStep::PerReplica { consumers_per_replica } => {
            ("Per replica", format!("{consumers_per_replica} consumers"))
        }
        CatchUpStep::Activation { active: true } => ("Activation", "active".to_owned()),
        CatchUpStep::Activation { active: false } => ("Activation", "not active".to_owned()),
    }
}

fn of_writes(step: &WriteStep) -> (&'static str, String) {
    match step {
        WriteStep::Load { shards, .. } => ("Load", format!("{shards:.2} shards")),
        WriteStep::Due { need, .. } => ("Need", format!("{need:.2} shards")),
        WriteStep::Throttled { share } => ("Throttled", format!("{:.2} %", 100.0 * share)),
        WriteStep::HotKey => ("Hot key", String::new()),
        WriteStep::Peak { shards, .. } => ("Peak", format!("{shards:.2} shards")),
        WriteStep::Wanted { shards, .. } => ("Decision", format!("{shards} shards")),
    }
}
