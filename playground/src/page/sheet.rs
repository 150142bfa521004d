//! The content of the page.

use std::time::Duration;

use keda_stream_scaler::page::plot::{Figure, Limit, Line, Measure, Shape};
use keda_stream_scaler::page::text::whole;
use maud::{Markup, html};

use super::Page;
use crate::periods::{Periods, RECORDS_A_SECOND};
use crate::tally::{Point, Tally};
use crate::world::State;
use crate::{PARTITIONS, TOPIC, World};

/// The names of the worlds, and their CSS classes.
const NAMES: [(&str, &str); 2] = [("lag threshold", "theirs"), ("catch-up", "ours")];
/// The number of points whose mean is charted as arrivals: single points vary with the producer's send interval.
const SMOOTH: usize = 3;

pub(super) fn links(page: &Page) -> Markup {
    html! {
        a href="/" aria-current="page" { "Playground" }
        a href={ "http://" (page.scaler) "/" } { "The scaler's status" }
        a href="/state" { "JSON" }
    }
}

pub(super) fn still(page: &Page) -> Markup {
    html! {
        div.top {
            h1 { "The same arrivals, scaled twice" }
            p.more {
                "Two consumer groups read topic " b { (TOPIC) } ", " (PARTITIONS) " partitions. One is scaled by a lag threshold as KEDA \
                 does it, the other by the consumers that are needed. Broker, consumers and scaler are real; the HPA is its rules, "
                (page.periods.speed) " times faster. The arrivals repeat after " (seconds(page.course.cycle())) "; a consumer handles "
                (RECORDS_A_SECOND) " records per second."
            }
        }
    }
}

/// Renders the part that is fetched again every few seconds.
pub(super) fn live(page: &Page) -> Markup {
    let states = page.worlds.each_ref().map(|world| (world, world.state()));
    let window = Window::up_to(states[0].1.tally.now.at);
    let both = |of: fn(&Point) -> f64, shape| {
        let line = |((_, state), (name, class)): (&(&World, State), (&str, &'static str))| {
            window.line(name, class, state.tally.course.iter().map(|point| (point.at, of(point))), shape)
        };
        states.iter().zip(NAMES).map(line).collect::<Vec<_>>()
    };
    let objective = page.periods.objective;
    let limit = Limit { name: "objective", at: objective.as_secs_f64() };
    let (period, times) = (format!("over the last {} minutes", window.minutes), window.times());
    let figure = |title, note, measure, limit| Figure {
        title,
        note,
        period: &period,
        measure,
        limit,
        times: &times,
        ..Figure::default()
    };
    let rates = arrivals(&states[0].1.tally);
    let needs = rates.iter().map(|(at, rate)| (*at, rate / f64::from(RECORDS_A_SECOND)));
    let mut consumers = both(|point| f64::from(point.replicas), Shape::Steps);
    consumers.insert(0, window.line("needed", "need", needs, Shape::Area));
    let ages = both(|point| point.age.as_secs_f64(), Shape::Straight);
    let arrivals = window.line("both groups", "soft", rates.iter().copied(), Shape::Straight);
    html! {
        div.worlds { @for ((world, state), (_, class)) in states.iter().zip(NAMES) { (card(world, state, class, objective)) } }
        (figure("Arrivals", "records per second", Measure::Number, None).of(&[arrivals]))
        (figure("Oldest unread record", "age", Measure::Seconds, Some(limit)).of(&ages))
        (figure("Consumers", "running", Measure::Number, None).of(&consumers))
        (shortened(page))
    }
}

/// The part of the past that is shown: as far back as there is data.
#[derive(Clone, Copy)]
struct Window {
    now: Duration,
    minutes: u64,
}

impl Window {
    fn up_to(now: Duration) -> Self {
        let fits = |minutes: &u64| Duration::from_secs(minutes * 60) >= now;
        Self { now, minutes: [3, 6].into_iter().find(fits).unwrap_or(6) }
    }

    /// The labels of the time axis.
    fn times(self) -> Vec<(f64, String)> {
        vec![(0.0, format!("−{} min", self.minutes)), (1.0, "now".to_owned())]
    }

    fn line(
        self,
        name: &str,
        class: &'static str,
        points: impl Iterator<Item = (Duration, f64)>,
        shape: Shape,
    ) -> Line {
        let length = Duration::from_secs(self.minutes * 60).as_secs_f64();
        let place = |at: Duration| 1.0 - self.now.saturating_sub(at).as_secs_f64() / length;
        let points = points.map(|(at, number)| (place(at), number)).filter(|(place, _)| *place >= 0.0);
        Line { name: name.to_owned(), class, points: points.collect(), shape }
    }
}

/// Renders the totals of one world.
fn card(world: &World, state: &State, class: &str, objective: Duration) -> Markup {
    let State { tally, metric } = state;
    let Point { behind, age, replicas, ready, .. } = tally.now;
    let starting = replicas.saturating_sub(ready);
    html! {
        section class={ "world " (class) } {
            h2 { (world.plan.title) }
            p.said { @for (key, value) in &world.plan.own { code { (key) ": " (value) } " " } }
            dl.figures {
                div { dt { "Older than " (seconds(objective)) } dd { (seconds(cut(tally.over_objective))) } p.unit { (format!("{:.1} % of the time", tally.over_share() * 100.0)) } }
                div { dt { "Consumer-seconds" } dd { (whole(tally.consumer_time.as_secs_f64())) } p.unit { (format!("{:.1} on average", tally.mean_replicas())) } }
                div { dt { "Scale events" } dd { (tally.scale_events) } p.unit { "changes of replicas" } }
                div { dt { "Oldest ever" } dd { (seconds(cut(tally.worst_age))) } p.unit { "unread record" } }
            }
            p.now {
                @match metric {
                    Some(Err(error)) => { span.failing { span.sign aria-hidden="true" { "▲" } " " (error) } }
                    _ => {
                        "Now " b { (replicas) } @if replicas == 1 { " consumer" } @else { " consumers" }
                        @if starting > 0 { ", " (starting) " of them starting" }
                        "; " b { (whole(to_float(behind))) } " records behind, the oldest " b { (format!("{:.1} s", age.as_secs_f64())) }
                    }
                }
            }
        }
    }
}

/// Renders the shortened periods, here and in a cluster.
fn shortened(page: &Page) -> Markup {
    let Periods { speed, sync, down_window, pod_start, poll, objective, commit } = page.periods;
    let rows = [
        ("The HPA reads the metric every", sync),
        ("HPA scale-down stabilization window", down_window),
        ("A new replica's consumer starts after", pod_start),
        ("The scaler reads the source every", poll),
        ("Consumers commit every", commit),
        ("maxAge, the objective: no record waits longer than", objective),
    ];
    html! {
        section.periods {
            h2 { "What is shortened" }
            table {
                thead { tr { th scope="col" { "Period" } th.n scope="col" { "Here" } th.n scope="col" { "In a cluster" } } }
                tbody { @for (name, period) in rows {
                    tr { th scope="row" { (name) } td.n { (seconds(period)) } td.n { (seconds(period * u32::from(speed))) } }
                } }
            }
            p.more {
                "catchUp measures how soon more consumers help, and its windows follow the readings: nothing else is shortened. Every number \
                 above is counted from the broker's own log and the group's commits."
            }
        }
    }
}

/// Returns the arrivals in records per second.
fn arrivals(tally: &Tally) -> Vec<(Duration, f64)> {
    let points: Vec<_> = tally.course.iter().collect();
    let rate = |pair: &[&Point]| {
        let (first, last) = (pair.first()?, pair.last()?);
        let time = (last.at - first.at).as_secs_f64();
        (time > 0.0).then(|| (last.at, to_float(last.arrived - first.arrived) / time))
    };
    points.windows(SMOOTH + 1).filter_map(rate).collect()
}

fn cut(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "counts of a show")]
const fn to_float(count: u64) -> f64 {
    count as f64
}
