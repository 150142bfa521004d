//! Parts that both pages share: states, errors, values, charts.

use std::error::Error as _;
use std::time::Duration;

use maud::{Markup, html};

use super::names::measure_of;
use crate::lag::SourceError;
use crate::page::plot::{Line, Measure, Shape};
use crate::page::text::{grouped, short, time};
use crate::sampler::{Judged, LONGEST_CHART, Point, TargetView, ViewState};
use crate::scaling::{Decision, Quantity};
use crate::trigger::Policy;

/// Shows the state of readings as a word and a sign.
pub(super) fn state(state: &ViewState) -> Markup {
    let (class, word) = match state {
        ViewState::Pending => ("pending", "waiting for the first reading"),
        ViewState::Good { .. } => ("good", "readings succeed"),
        ViewState::Failing { .. } => ("failing", "readings fail"),
    };
    html! { span class={ "state " (class) } { i.sign {} (word) } }
}

/// Shows what failed, why, since when, and what to do.
pub(super) fn failure(error: &SourceError, failing_for: Option<Duration>, last_good: Option<Duration>) -> Markup {
    html! {
        p.what { i.sign {} b { (kind(error)) } " · " (error) }
        @if let Some(cause) = error.source() { p.cause { (cause) } }
        @if let Some(advice) = error.advice() { p.remedy { b { "What to do: " } (advice) } }
        @if let Some(failing_for) = failing_for {
            p.since {
                "Failing for " (time(failing_for.as_secs_f64()))
                @match last_good {
                    Some(age) => { "; the last good reading is " (time(age.as_secs_f64())) " old" }
                    None => { "; there has been no good reading" }
                }
            }
        }
    }
}

const fn kind(error: &SourceError) -> &'static str {
    use crate::lag::SourceErrorKind as Kind;
    match error.kind() {
        Kind::Missing => "Missing",
        Kind::Denied => "Denied",
        Kind::Throttled => "Throttled",
        Kind::TimedOut => "Timed out",
        Kind::Unreachable => "Unreachable",
        Kind::Broken => "Broken",
    }
}

/// Formats a value or a target in the policy's unit.
pub(super) fn quantity(policy: &Policy, quantity: Quantity) -> String {
    let number = quantity.get();
    match measure_of(policy) {
        Measure::Seconds => time(number),
        Measure::Number if number.fract() == 0.0 => grouped(&quantity.to_string()),
        Measure::Number => short(number),
    }
}

/// Returns the replicas that follow from a decision.
pub(super) fn replicas(policy: &Policy, decision: &Decision) -> String {
    match policy {
        // an age is one number for the whole workload, and the HPA multiplies the current replicas
        Policy::Age(_) if decision.target.get() > 0.0 => {
            format!("× {}", short(decision.value.get() / decision.target.get()))
        }
        _ => decision.replicas().to_string(),
    }
}

pub(super) fn active(judged: &Judged) -> Markup {
    match judged {
        Judged::Valued(decision) if decision.active => {
            html! { span.yes { i.sign {} "yes" } }
        }
        Judged::Valued(_) => html! { span.no { i.sign {} "no" } },
        Judged::Failed { .. } => html! { span.failing { i.sign {} "error" } },
        Judged::Pending => html! { span.no { "–" } },
    }
}

/// Returns one number of a chart over time, from 0 (30 minutes ago) to 1 (now).
pub(super) fn course(view: &TargetView, of: impl Fn(usize, &Point) -> f32) -> Vec<(f64, f64)> {
    let whole = LONGEST_CHART.as_secs_f64();
    let points = view.chart.points().iter().enumerate();
    points.map(|(index, point)| (1.0 - view.seconds_since(point) / whole, f64::from(of(index, point)))).collect()
}

/// Returns the same numbers as a named line.
pub(super) fn line(
    view: &TargetView,
    name: impl Into<String>,
    shape: Shape,
    of: impl Fn(usize, &Point) -> f32,
) -> Line {
    Line { name: name.into(), class: "ours", points: course(view, of), shape }
}
