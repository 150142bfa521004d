//! Parts that both pages share: errors, values and the course of a number.

use std::error::Error as _;
use std::time::Duration;

use maud::{Markup, html};

use super::causes::{full_stop, sentence};
use super::names::{backlog, measure_of};
use crate::lag::SourceError;
use crate::page::Clock;
use crate::page::plot::{Line, Measure, Shape};
use crate::page::text::{grouped, short, time};
use crate::sampler::{LONGEST_CHART, Point, TargetView};
use crate::scaling::Quantity;
use crate::trigger::Policy;

/// The shortest time axis in seconds: of a scaler that has just started.
const SHORTEST: f64 = 60.0;

/// Shows what failed, why, since when, and what to do.
pub(super) fn failure(error: &SourceError, since: Option<(Duration, Clock)>) -> Markup {
    html! {
        p {
            b { (sentence(&error.to_string())) }
            @if let Some(cause) = error.source() { " " span.soft { (sentence(&cause.to_string())) } }
            @if let Some((failing_for, clock)) = since { " Since " (clock.ago(failing_for)) " UTC." }
        }
        @if let Some(advice) = error.advice() { p { b { "What to do:" } " " (full_stop(advice)) } }
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

/// Returns the length of the time axis in seconds for a past of this length.
pub(super) fn window(past: Duration) -> f64 {
    past.as_secs_f64().clamp(SHORTEST, LONGEST_CHART.as_secs_f64())
}

/// Formats the length of a time axis.
pub(super) fn period(window: f64) -> String {
    format!("{:.0} min", (window / 60.0).ceil().max(1.0))
}

/// Returns one number of a chart over time, from 0 (the start of the window) to 1 (now).
pub(super) fn course(view: &TargetView, window: f64, of: impl Fn(usize, &Point) -> f32) -> Vec<(f64, f64)> {
    let points = view.chart.points().iter().enumerate();
    points.map(|(index, point)| (1.0 - view.seconds_since(point) / window, f64::from(of(index, point)))).collect()
}

/// Returns the age of the oldest record at each point, as measured on a stream, or as `catchUp` estimates it for a group.
pub(super) fn ages(view: &TargetView) -> impl Fn(usize, &Point) -> f32 {
    let (_, measure, of) = backlog(&view.source);
    move |index, point| {
        let estimate = || Some(view.chart.promise()?.estimates.get(index)?.age);
        if measure == Measure::Seconds { of(point) } else { estimate().unwrap_or(f32::NAN) }
    }
}

/// Returns the same numbers as a named line.
pub(super) fn line(
    view: &TargetView,
    window: f64,
    (name, class): (&str, &'static str),
    shape: Shape,
    of: impl Fn(usize, &Point) -> f32,
) -> Line {
    Line { name: name.to_owned(), class, points: course(view, window, of), shape }
}
