//! The pods as a drawing: one slot for each pod up to `maxReplicaCount`.

use std::fmt::Write as _;
use std::time::Duration;

use maud::{Markup, html};

use super::super::MOST_REPLICAS;
use super::super::world::PodView;

/// Places in pixels: the promise line, the foot of the bars, the foot of the boxes.
const PROMISE: f64 = 34.0;
const BARS: f64 = 114.0;
const FOOT: f64 = 148.0;
/// Heights in pixels: of a pod, of its content, of the bar above the promise line.
const POD: f64 = 30.0;
const CONTENT: f64 = 26.0;
const MOST_OVER: f64 = 16.0;
/// The left edge of the first slot, in percent of the width.
const LEFT: f64 = 0.58;

/// Draws the pods of a side. The elements are always the same, so that only their attributes change.
pub(super) fn drawing(pods: &[PodView], promise: Duration) -> Markup {
    let highest =
        pods.iter().enumerate().max_by_key(|(_, pod)| pod.age).filter(|(_, pod)| pod.age.as_secs_f64() >= 0.05);
    let line = format!("promise {} s", promise.as_secs_f64());
    html! {
        svg height="150" role="img" aria-label=(in_words(pods, promise)) {
            @for place in 0..MOST_REPLICAS as usize { (slot(place, pods.get(place), promise)) }
            line.promise x1="0" x2="100%" y1=(PROMISE) y2=(PROMISE) {}
            text.halo.bad x="100%" y="28" text-anchor="end" { (line) }
            @match highest {
                Some((place, pod)) => {
                    @let (wait, over) = bars(pod.age, promise);
                    text class=(if over > 0.0 { "top halo bad" } else { "top halo" }) x=(percent(left(place) + 1.5)) y=(tenth(BARS - wait - over - 5.0))
                        text-anchor=(if place == 0 { "start" } else { "middle" }) { (format!("{:.1} s", pod.age.as_secs_f64())) }
                }
                None => { text class="top halo" x="0" y="0" {} }
            }
        }
    }
}

/// Draws one slot: box, content, and the bar below and above the promise.
fn slot(place: usize, pod: Option<&PodView>, promise: Duration) -> Markup {
    let x = left(place);
    let (state, box_height) = match pod {
        Some(PodView { blocked: true, .. }) => ("blocked", POD),
        Some(PodView { ready: true, .. }) => ("running", POD),
        Some(_) => ("starting", POD),
        None => ("free", 3.0),
    };
    let pod = pod.copied().unwrap_or_default();
    let busy = if pod.ready { CONTENT * pod.busy } else { 0.0 };
    let (wait, over) = bars(pod.age, promise);
    html! {
        g class={ "slot " (state) } {
            title { (title(place, state, &pod)) }
            rect.box x=(percent(x)) y=(FOOT - box_height) width="3%" height=(box_height) rx=(if state == "free" { "1.5" } else { "4" }) {}
            rect.busy x=(percent(x + 0.32)) y=(tenth(FOOT - 2.0 - busy)) width="2.36%" height=(tenth(busy)) rx="2" {}
            rect.wait x=(percent(x + 0.7)) y=(tenth(BARS - wait)) width="1.6%" height=(tenth(wait)) rx="1" {}
            rect.over x=(percent(x + 0.7)) y=(tenth(PROMISE - over)) width="1.6%" height=(tenth(over)) rx="1" {}
            @if state == "blocked" { text.cross x=(percent(x + 1.5)) y="138" text-anchor="middle" { "×" } }
        }
    }
}

fn title(place: usize, state: &str, pod: &PodView) -> String {
    let (number, busy, age) = (place + 1, pod.busy * 100.0, pod.age.as_secs_f64());
    match state {
        "free" => format!("Slot {number}: free"),
        "starting" => format!("Pod {number}: starting"),
        "blocked" => format!("Pod {number}: a partition is blocked, oldest waiting record {age:.1} s"),
        _ => format!("Pod {number}: {busy:.0} % busy, oldest waiting record {age:.1} s"),
    }
}

/// Returns the heights of the bar below and above the promise line.
fn bars(age: Duration, promise: Duration) -> (f64, f64) {
    let height = age.as_secs_f64() / promise.as_secs_f64() * (BARS - PROMISE);
    (height.min(BARS - PROMISE), (height - (BARS - PROMISE)).clamp(0.0, MOST_OVER))
}

/// Describes the pods in words, for people who cannot see them.
fn in_words(pods: &[PodView], promise: Duration) -> String {
    let ready: Vec<_> = pods.iter().filter(|pod| pod.ready).collect();
    let starting = pods.len() - ready.len();
    let mut text = format!("{} pods: {} running, {starting} starting.", pods.len(), ready.len());
    let least = |of: fn(&PodView) -> f64| pods.iter().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn(&PodView) -> f64| pods.iter().map(of).fold(0.0, f64::max);
    let age = |pod: &PodView| pod.age.as_secs_f64();
    let late = pods.iter().filter(|pod| pod.age > promise).count();
    // writing to a string cannot fail
    let _ = write!(
        text,
        " Busy {:.0} to {:.0} %. Oldest waiting record per pod {:.1} to {:.1} s; {late} pods break the promise of {} s.",
        least(|pod| pod.busy) * 100.0,
        most(|pod| pod.busy) * 100.0,
        least(age),
        most(age),
        promise.as_secs_f64()
    );
    text
}

fn left(place: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few slots")]
    let place = place as f64;
    LEFT + place * 100.0 / f64::from(MOST_REPLICAS)
}

fn percent(number: f64) -> String {
    format!("{number:.2}%")
}

fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMISE_OF_TEST: Duration = Duration::from_secs(12);

    fn drawn(pods: &[PodView]) -> String {
        drawing(pods, PROMISE_OF_TEST).into_string()
    }

    fn pod(busy: f64, age: u64) -> PodView {
        PodView { ready: true, busy, age: Duration::from_secs(age), blocked: false }
    }

    #[test]
    fn there_is_a_slot_for_each_possible_pod_whatever_runs() {
        for pods in [vec![], vec![pod(0.5, 1)], vec![pod(1.0, 40); 24]] {
            let text = drawn(&pods);
            let slots = text.matches("<g class=\"slot ").count();
            assert_eq!((slots, text.matches("<rect").count()), (24, 96), "the same elements each second");
        }
    }

    #[test]
    fn a_bar_is_split_at_the_promise() {
        assert_eq!(bars(Duration::from_secs(6), PROMISE_OF_TEST), (40.0, 0.0));
        let (wait, over) = bars(Duration::from_secs(13), PROMISE_OF_TEST);
        assert!((wait - 80.0).abs() < 1e-9 && (over - 20.0 / 3.0).abs() < 1e-9);
        assert_eq!(bars(Duration::from_secs(600), PROMISE_OF_TEST), (80.0, 16.0), "it does not leave the drawing");
    }

    #[test]
    fn states_have_a_shape_and_a_word() {
        let starting = PodView { ready: false, ..PodView::default() };
        let blocked = PodView { blocked: true, ..pod(0.1, 30) };
        let text = drawn(&[pod(0.25, 3), starting, blocked]);
        for part in [
            "Pod 1: 25 % busy",
            "Pod 2: starting",
            "Pod 3: a partition is blocked",
            ">×</text>",
            "Slot 4: free",
            ">30.0 s</text>",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
