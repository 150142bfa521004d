//! The charts of a target. The axis begins with the first reading, and grows to half an hour.

use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, html};

use super::summary::Summary;
use super::{names, parts};
use crate::page::Clock;
use crate::page::plot::{Band, Figure, Limit, Line, Measure, Shape};
use crate::sampler::{Estimate, LONGEST_CHART, Point, TargetView};
use crate::trigger::Policy;

/// Below this length, in seconds, the labels of the time axis have seconds.
const IN_SECONDS: f64 = 240.0;

/// The charts of one target over one time axis.
struct Charts<'a> {
    view: &'a TargetView,
    window: f64,
}

pub(super) fn charts(summary: &Summary<'_>, clock: Clock) -> Markup {
    let view = summary.view;
    let Some(first) = view.chart.points().first() else { return html! {} };
    let past = Duration::from_secs_f64(view.seconds_since(first).max(0.0));
    let window = parts::window(past);
    let charts = Charts { view, window };
    let period = format!("over the last {}", parts::period(window));
    let mut figures = charts.figures(summary, &period);
    let times = times(window, clock);
    if let Some((figure, _)) = figures.last_mut() {
        figure.times = &times;
    }
    let gap = gap(view, window);
    for (figure, _) in &mut figures {
        figure.bands = gap.as_slice();
    }
    let grows = past + Duration::from_secs(30) < LONGEST_CHART;
    html! {
        section.card.charts aria-labelledby="charts" {
            header {
                h2 #charts { "Last " (parts::period(window)) }
                @if grows {
                    span.soft { "first reading at " (clock.ago(past)) " UTC; the axis grows to 30 minutes" }
                } @else {
                    span.soft { "times are in UTC" }
                }
            }
            @for (figure, lines) in &figures { (figure.of(lines)) }
        }
    }
}

/// Returns the share of the charted readings in which the oldest record was within the promise, in seconds, and how long ago the first
/// of them was; `None` where no age is known.
pub(super) fn kept(view: &TargetView, promise: f64) -> Option<(String, Duration)> {
    let ages = parts::ages(view);
    let points = view.chart.points().iter().enumerate();
    let known: Vec<_> = points
        .map(|(index, point)| (point, f64::from(ages(index, point))))
        .filter(|(_, age)| age.is_finite())
        .collect();
    let since = view.seconds_since(known.first()?.0);
    let within = known.iter().filter(|(_, age)| *age <= promise).count();
    // rounded down, so that 100 % means all
    let share = within * 1000 / known.len();
    let share = if share == 1000 { "100 %".to_owned() } else { format!("{}.{} %", share / 10, share % 10) };
    Some((share, Duration::from_secs_f64(since.max(0.0))))
}

/// The time without a reading, until now.
fn gap(view: &TargetView, window: f64) -> Option<Band> {
    let (_, failing_for) = view.state.failure()?;
    let from = (1.0 - failing_for.as_secs_f64() / window).max(0.0);
    Some(Band { name: "no reading".to_owned(), from, to: 1.0 })
}

/// The labels of the time axis, from the first reading to now.
fn times(window: f64, clock: Clock) -> Vec<(f64, String)> {
    let label = |share: f64| {
        let ago = Duration::from_secs_f64(window * (1.0 - share));
        (share, if window < IN_SECONDS { clock.second_ago(ago) } else { clock.ago(ago) })
    };
    [0.0, 0.25, 0.5, 0.75, 1.0].map(label).into()
}

impl Charts<'_> {
    fn figures<'a>(&self, summary: &Summary<'_>, period: &'a str) -> Vec<(Figure<'a>, Vec<Line>)> {
        let (what, measure, _) = names::backlog(&self.view.source);
        let base = Figure { period, ..Figure::default() };
        let mut figures = Vec::new();
        let promise = self.view.chart.promise();
        if measure == Measure::Seconds || promise.is_some() {
            let limit = summary.promise.map(|at| Limit { name: "promise", at });
            let note = if promise.is_some() { "measured and predicted" } else { "measured" };
            let about =
                Figure { title: "Oldest waiting record", note, measure: Measure::Seconds, height: 150, limit, ..base };
            figures.push((about, self.ages()));
        }
        let replicas = self.replicas();
        if !replicas.is_empty() {
            let note = "wanted, and consumers that run";
            let note = if promise.is_some() { "wanted, and consumers that run, against the need" } else { note };
            figures.push((Figure { title: "Replicas", note, ..base }, replicas));
        }
        if measure == Measure::Number {
            let note = if what == "Lag" { "records" } else { "shards" };
            let lines =
                vec![self.line((if what == "Lag" { "lag" } else { "shards" }, "ours"), Shape::Filled, |_, point| {
                    point.behind
                })];
            figures.push((Figure { title: what, note, ..base }, lines));
        }
        if let Some(unit) = names::rates(self.view) {
            let title = if unit == "Records" { "Records per second" } else { "Kilobytes per second" };
            let lines = vec![
                self.line(("in", "ours"), Shape::Straight, |_, point| point.arrivals),
                self.line(("out", "theirs"), Shape::Straight, |_, point| point.consumption),
            ];
            figures.push((Figure { title, note: "in and out", ..base }, lines));
        }
        figures
    }

    /// The measured age, and the predicted one where a policy promises an age.
    fn ages(&self) -> Vec<Line> {
        let measured = self.line(("measured", "ours"), Shape::Filled, parts::ages(self.view));
        let predicted = self.estimated(("predicted", "predicted"), Shape::Straight, |estimate| estimate.predicted);
        predicted.into_iter().chain([measured]).collect()
    }

    /// One number of the estimates, where a policy makes them.
    fn estimated(&self, name: (&str, &'static str), shape: Shape, of: fn(&Estimate) -> f32) -> Option<Line> {
        let estimates = &self.view.chart.promise()?.estimates;
        Some(self.line(name, shape, |index, _| estimates.get(index).map_or(f32::NAN, of)))
    }

    /// The replicas that are needed, the consumers that ran, and the replicas that each policy requested.
    fn replicas(&self) -> Vec<Line> {
        let wanted = self.view.chart.wanted();
        let several = wanted.len() > 1;
        let running = self.line(("running", "soft"), Shape::Steps, |_, point| point.consumers);
        let known = running.points.iter().any(|(_, number)| number.is_finite());
        let lines = wanted.iter().zip(["ours", "theirs"]).map(|(wanted, class)| {
            let name = if several { by_whom(self.view, &wanted.policy) } else { "wanted".to_owned() };
            let number = |index: usize| wanted.replicas.get(index).copied().unwrap_or(f32::NAN);
            self.line((&name, class), Shape::Steps, |index, _| number(index))
        });
        let running = (known && !wanted.is_empty()).then_some(running);
        let needed = self.estimated(("needed", "need"), Shape::Area, |estimate| estimate.needed);
        let needed = needed.filter(|line| line.points.iter().any(|(_, number)| number.is_finite()));
        needed.into_iter().chain(running).chain(lines).collect()
    }

    fn line(&self, name: (&str, &'static str), shape: Shape, of: impl Fn(usize, &Point) -> f32) -> Line {
        parts::line(self.view, self.window, name, shape, of)
    }
}

/// Names a policy by one of its callers.
fn by_whom(view: &TargetView, policy: &Arc<Policy>) -> String {
    let caller = view.callers.shown.iter().find(|caller| caller.policy == *policy);
    caller.map_or_else(|| names::policy(policy).to_owned(), |caller| caller.name.to_string())
}
