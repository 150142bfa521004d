//! The totals, the last decisions, and what is real.

use std::time::Duration;

use keda_stream_scaler::page::text::whole;
use maud::{Markup, html};

use super::super::periods::Periods;
use super::super::scene::Scene;
use super::super::score::{Score, to_float};
use super::super::session::Session;
use super::super::verdict::{saved, share};
use super::super::world::Change;
use super::{Sign, elapsed, seconds};

/// Renders everything below the charts.
pub(super) fn below(session: &Session, score: &Score) -> Markup {
    html! {
        div.below {
            (totals(session.options.scene, score))
            (decisions(session))
            (real(session))
        }
    }
}

/// A row of the table: its name, the numbers of both sides, the difference, and whether less is better for it.
struct Row {
    name: &'static str,
    numbers: [String; 2],
    difference: String,
    /// Above zero if ours is better, below if it is worse.
    better: f64,
}

fn totals(scene: Scene, score: &Score) -> Markup {
    let (theirs, ours) = (score.numbers(0), score.numbers(1));
    let [their_totals, our_totals] = score.totals;
    let points = (ours.kept - theirs.kept) * 100.0;
    let less = saved(ours.pod_minutes, theirs.pod_minutes) * 100.0;
    let [their_wait, our_wait] = [their_totals.longest.0, our_totals.longest.0].map(|wait| wait.as_secs_f64());
    let waiting = score.now.sides.map(|side| to_float(side.unread));
    let mut rows = vec![
        Row {
            name: "Promise kept",
            numbers: [share(theirs.kept), share(ours.kept)],
            difference: signed(points, 1, " points"),
            better: points,
        },
        row("Time over", [their_totals.over, our_totals.over].map(|over| over.as_secs_f64()), 0, " s"),
        row("Longest wait", [their_wait, our_wait], 1, " s"),
        Row {
            name: "Pod-minutes",
            numbers: [theirs, ours].map(|numbers| format!("{:.1}", numbers.pod_minutes)),
            difference: signed(-less, 0, " %"),
            better: less,
        },
        row("Scale events", [their_totals, our_totals].map(|totals| f64::from(totals.scale_events)), 0, ""),
        row("Waiting now", waiting, 0, ""),
    ];
    if their_totals.lost + our_totals.lost > 0 {
        rows.push(row("Lost unread", [their_totals, our_totals].map(|totals| to_float(totals.lost)), 0, ""));
    }
    html! {
        section.card aria-labelledby="score" {
            h2 #score { "Score since the start" }
            table {
                thead { tr {
                    th scope="col" { (elapsed(score.counted)) }
                    th.n scope="col" { @if scene == Scene::Kafka { "Lag threshold" } @else { "Shard count" } } th.n scope="col" { "maxAge" } th.n scope="col" { "Difference" }
                } }
                tbody { @for row in &rows {
                    tr {
                        th scope="row" { (row.name) }
                        @for number in &row.numbers { td.n { (number) } }
                        td class=(if row.better > 0.0 { "n good" } else if row.better < 0.0 { "n warn" } else { "n" }) {
                            @if row.better > 0.0 { (Sign::Better.drawing()) " " } @else if row.better < 0.0 { (Sign::Worse.drawing()) " " }
                            (row.difference)
                        }
                    }
                } }
            }
        }
    }
}

/// A row in which less is better.
fn row(name: &'static str, numbers: [f64; 2], decimals: usize, unit: &str) -> Row {
    let rounded = numbers.map(|number| {
        let factor = if decimals == 0 { 1.0 } else { 10.0 };
        (number * factor).round() / factor
    });
    let text = |number: f64| if decimals == 0 { whole(number) } else { format!("{number:.decimals$}") };
    let difference = rounded[1] - rounded[0];
    Row {
        name,
        numbers: rounded.map(|number| format!("{}{unit}", text(number))),
        difference: signed(difference, decimals, unit),
        better: -difference,
    }
}

/// Formats a difference with its sign.
fn signed(difference: f64, decimals: usize, unit: &str) -> String {
    let text = format!("{:.decimals$}", difference.abs());
    let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let sign = match difference {
        _ if is_zero => "±",
        _ if difference < 0.0 => "−",
        _ => "+",
    };
    format!("{sign}{text}{unit}")
}

fn decisions(session: &Session) -> Markup {
    let now = session.clock.elapsed();
    let classes = ["theirs-side", "ours-side"];
    let of = |(world, class): (&super::super::world::World, &'static str)| {
        world.shown().changes.into_iter().map(move |change| (class, change))
    };
    let mut changes: Vec<(&str, Change)> = session.worlds.iter().zip(classes).flat_map(of).collect();
    changes.sort_by_key(|(_, change)| std::cmp::Reverse(change.at));
    changes.truncate(6);
    html! {
        section.card.wide aria-labelledby="decisions" {
            h2 #decisions { "Last decisions" }
            @if changes.is_empty() { p.soft { "None since the start." } }
            ol.log { @for (class, change) in &changes {
                li class=(class) {
                    span.mark {}
                    time { (elapsed(now.saturating_sub(change.at))) " ago" } " "
                    b { (change.from) " " (Sign::To.drawing()) span.sr { "to" } " " (change.to) } " "
                    span { (change.reason) }
                }
            } }
        }
    }
}

fn real(session: &Session) -> Markup {
    let Periods { speed, sync, down_window, pod_start, poll, promise, commit, failover, history } = session.periods;
    let scene = session.options.scene;
    let mut rows = vec![
        ("HPA sync", sync),
        ("Scale-down window, both HPAs", down_window),
        ("Pod start", pod_start),
        ("Poll interval of the scaler", poll),
        ("Commit interval of the consumers", commit),
        ("maxAge, the promise", promise),
        ("History before the start", history),
    ];
    if scene == Scene::Kinesis {
        rows.insert(5, ("failoverTimeMillis, and the assignment of leases", failover));
    }
    let cluster = |period: Duration| elapsed(period * u32::from(speed));
    html! {
        details.card.full {
            summary { "What is real, and what is shortened" }
            p { (what_is_real(scene)) }
            p {
                "Both HPAs have the same settings: minReplicaCount 2, maxReplicaCount 24, any number of pods may be added at once, and the scale-down window \
                 below. The " (scene.rule()) " is the cheapest of six that keep the promise in the simulated hour before the start. "
                @if scene == Scene::Kafka {
                    "A longer window helps a lag threshold: try " code { "--scale-down-window 75s" } "."
                } @else {
                    "It cannot follow the traffic: another one is another fixed number of pods. Try " code { "--shard-count 4" } "."
                }
            }
            p {
                "What the scaler knows at the start, such as the capacity of a pod, comes from that hour: the same law, with simulated consumers. Nothing else is \
                 preset. Every number on this page is measured from the source’s log and the commits. At speed " (speed) " all periods are "
                (speed) " times shorter than in a cluster, and a day of traffic takes " (elapsed(session.course.cycle())) "."
            }
            table {
                thead { tr { th scope="col" { "Period" } th.n scope="col" { "Here" } th.n scope="col" { "In a cluster" } } }
                tbody { @for (name, period) in rows {
                    tr { th scope="row" { (name) } td.n { (seconds(period)) } td.n { (cluster(period)) } }
                } }
            }
        }
    }
}

/// Says what is real in a scene.
const fn what_is_real(scene: Scene) -> &'static str {
    match scene {
        Scene::Kafka => {
            "The consumers and the producer are real Kafka clients, and the scaler is the product: it reads the brokers over TCP and answers \
             KEDA’s gRPC calls. The three brokers are a small stand-in in the same process; a pod is a thread that needs 25 ms per record. The HPA \
             and KEDA’s lag trigger are their published rules; KEDA reads the lag at every sync, the scaler once per poll interval."
        }
        Scene::Kinesis => {
            "The scaler is the product: it calls ListShards, DescribeStreamSummary, GetShardIterator and GetRecords of Kinesis and Scan of DynamoDB over \
             HTTP, and answers KEDA’s gRPC calls. What answers it is a small stand-in in the same process, with one stream of 48 shards and two \
             lease tables. Pods are no real KCL: each is a thread that needs 25 ms per record of 1 KB and follows KCL’s rules for leases, \
             renewals, checkpoints and handovers, without the second that KCL waits between two reads of a shard. The HPA and KEDA’s Kinesis trigger \
             are their published rules."
        }
    }
}
