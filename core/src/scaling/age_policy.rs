//! `scaleOn: age`: the age in seconds of the oldest record that the application has not processed.

use std::time::Duration;

use super::{Decision, Quantity, RetentionRisk, Step};
use crate::lag::streams::Backlog;
use crate::lag::{ApplicationObservation, Checkpoints, TableReading};
use crate::trigger::AgePolicy;

/// A checkpoint table that is read less often than this is reported: the default `pollInterval`.
const READ_SELDOM: Duration = Duration::from_secs(10);

pub(super) fn decide(policy: &AgePolicy, application: &ApplicationObservation) -> Decision {
    let survey = &application.survey;
    let mut steps = Vec::with_capacity(4);
    if application.checkpoints != Checkpoints::Some {
        steps.push(Step::NeverRan { checkpoints: application.checkpoints });
    }
    if let Some((report, age, basis)) = survey.oldest() {
        steps.push(Step::Oldest { shard: report.shard.to_string(), age_ms: milliseconds(age), basis });
        if let Some((retention, risk)) = application.retention.and_then(|all| Some((all, RetentionRisk::of(age, all)?)))
        {
            steps.push(Step::NearRetention { risk, retention_ms: milliseconds(retention) });
        }
    } else {
        let shards = survey.shards.iter().filter(|report| report.backlog == Backlog::CaughtUp).count();
        steps.push(Step::NothingUnread { shards: u64::try_from(shards).unwrap_or(u64::MAX) });
    }
    if let Some(TableReading { ago, every, read_units }) = application.table.filter(|table| table.every >= READ_SELDOM)
    {
        steps.push(Step::CheckpointsRead { ago_ms: milliseconds(ago), every_ms: milliseconds(every), read_units });
    }
    let age = survey.age();
    let active = age > policy.activation_threshold;
    let threshold_ms = milliseconds(policy.activation_threshold);
    steps.push(Step::AgeActivation { age_ms: milliseconds(age), threshold_ms, active });
    Decision { value: Quantity::from_seconds(age), target: Quantity::from_seconds(policy.threshold), active, steps }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
