//! When each target is read, whatever else is read beside it: on a paused clock.

use std::time::Duration;

use keda_stream_scaler::lag::SourceErrorKind;
use keda_stream_scaler::sampler::{PATIENCE, Sampler};
use keda_stream_scaler::telemetry::Metrics;
use keda_stream_scaler::trigger::Trigger;
use tokio::time::{Instant, sleep};

use crate::support::scripted::{Script, Scripted};
use crate::support::server::scaled_object;

const S: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;

/// A backend of a sampler, with targets that are asked about as often as KEDA asks.
struct Scene {
    source: Scripted,
    sampler: Sampler<Scripted>,
}

impl Scene {
    fn new() -> Self {
        let source = Scripted::default();
        let sampler = Sampler::new(source.clone(), Metrics::new("0", "none").sampler.clone());
        Self { source, sampler }
    }

    async fn ask(&self, group: &str, interval: &str) {
        // whether it can be read is the script's concern
        let _ = self.sampler.ask("shop", &trigger(group, interval), PATIENCE).await;
    }

    /// Asks about each every 15 s, as KEDA does, for this long.
    async fn ask_all(&self, targets: &[(&str, &str)], time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            for (group, interval) in targets {
                self.ask(group, interval).await;
            }
            sleep(S(15).min(end - Instant::now())).await;
        }
    }

    fn gaps(&self, group: &str) -> Vec<Duration> {
        self.source.observed_at(group).windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

fn trigger(group: &str, interval: &str) -> Trigger {
    Trigger::parse(&scaled_object(group, &[("pollInterval", interval), ("maxStaleness", "1h")]).scaler_metadata)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_target_keeps_its_interval_whatever_its_neighbours_are_read_at() {
    for neighbours in [vec!["2s"], vec!["2s", "7s"], vec!["45s"], vec!["31s", "59s", "2s"], vec!["61s", "10m"]] {
        let scene = Scene::new();
        scene.ask("slow", "60s").await;
        // neighbours come at another moment, and stay out of step by themselves
        sleep(MS(13_700)).await;
        let names: Vec<_> = (0..neighbours.len()).map(|number| format!("n{number}")).collect();
        let mut targets = vec![("slow", "60s")];
        targets.extend(names.iter().map(String::as_str).zip(neighbours.iter().copied()));
        scene.ask_all(&targets, S(1800)).await;
        for (group, interval) in targets {
            let interval = Duration::from_secs(match interval {
                "10m" => 600,
                seconds => seconds.trim_end_matches('s').parse().unwrap(),
            });
            let gaps = scene.gaps(group);
            assert!(
                gaps.iter().all(|gap| *gap + MS(5) >= interval),
                "{group} beside {neighbours:?}: read early: {gaps:?}"
            );
            assert!(gaps.iter().all(|gap| *gap <= interval * 3 / 2), "{group} beside {neighbours:?}: late: {gaps:?}");
            let late = gaps.iter().filter(|gap| **gap > interval + MS(20)).count();
            assert!(late <= 2, "{group} beside {neighbours:?}: phases are aligned once: {gaps:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn targets_of_one_interval_share_their_rounds_whenever_they_came() {
    let scene = Scene::new();
    for number in 0..40 {
        scene.ask(&format!("g{number}"), "10s").await;
        sleep(MS(731)).await;
    }
    sleep(S(20)).await;
    let before = scene.source.rounds();
    sleep(S(200)).await;
    let rounds = scene.source.rounds() - before;
    assert!((20..=21).contains(&rounds), "{rounds} rounds in twenty intervals");
}

#[tokio::test(start_paused = true)]
async fn multiples_of_an_interval_add_no_rounds() {
    let scene = Scene::new();
    for (group, interval) in [("a", "60s"), ("b", "2s"), ("c", "10s"), ("d", "30s")] {
        scene.ask(group, interval).await;
        sleep(MS(817)).await;
    }
    sleep(S(120)).await;
    let before = scene.source.rounds();
    sleep(S(240)).await;
    let rounds = scene.source.rounds() - before;
    assert!((120..=121).contains(&rounds), "{rounds} rounds where the shortest interval has 120");
}

#[tokio::test(start_paused = true)]
async fn scalers_that_start_together_read_at_different_moments() {
    let mut phases = std::collections::HashSet::new();
    for _ in 0..8 {
        let scene = Scene::new();
        let begun = Instant::now();
        scene.ask("a", "10s").await;
        sleep(S(60)).await;
        let last = *scene.source.observed_at("a").last().unwrap();
        phases.insert((last - begun).as_millis() % 10_000 / 100);
    }
    assert!(phases.len() >= 4, "{phases:?}");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_reports_early_is_read_again_at_its_own_time() {
    let scene = Scene::new();
    // the loop would sleep until this one is due
    scene.ask("far", "10m").await;
    // both are read in one round, which the silent one keeps open
    scene.source.set("silent", Script::Silent);
    scene.source.set("failing", Script::Silent);
    let silent = trigger("silent", "10m");
    let waiting = tokio::spawn({
        let sampler = scene.sampler.clone();
        async move { sampler.ask("shop", &silent, PATIENCE).await.map(drop) }
    });
    let failing = scene.sampler.watch("shop", &trigger("failing", "10m"), S(600)).unwrap();
    // it fails when the loop sleeps
    sleep(MS(100)).await;
    scene.source.set("failing", Script::Fails(SourceErrorKind::Unreachable));
    waiting.await.unwrap().unwrap_err();
    let gaps = scene.gaps("failing");
    assert!(gaps.len() >= 5, "a quick retry every 300 ms within the first seconds: {gaps:?}");
    assert!(gaps[1..].iter().all(|gap| (MS(290)..=MS(370)).contains(gap)), "{gaps:?}");
    assert!(gaps[0] <= MS(100 + 370), "the first retry too: {gaps:?}");
    drop(failing);
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_read_at_its_pace_while_a_neighbour_of_its_round_is_silent() {
    let scene = Scene::new();
    scene.ask("far", "10m").await;
    scene.source.set("silent", Script::Silent);
    let _silent = scene.sampler.watch("shop", &trigger("silent", "10m"), S(600)).unwrap();
    scene.source.set("a", Script::Silent);
    let watch = scene.sampler.watch("shop", &trigger("a", "10m"), MS(1500)).unwrap();
    sleep(MS(100)).await;
    scene.source.set("a", Script::Lag(0));
    sleep(MS(13_900)).await;
    let observed = scene.source.observed("a");
    assert!((9..=10).contains(&observed), "{observed} readings in 14 s, every 1.5 s");
    watch.pace(S(600));
    sleep(S(60)).await;
    let before = scene.source.observed("a");
    assert!(before <= observed + 1, "the slower pace holds");
    watch.pace(MS(1500));
    sleep(S(6)).await;
    let observed = scene.source.observed("a") - before;
    assert!((3..=4).contains(&observed), "{observed} readings in the 6 s after the pace rose");
}

#[tokio::test(start_paused = true)]
async fn a_slow_round_moves_no_due_time_of_the_others() {
    let scene = Scene::new();
    scene.source.set("silent", Script::Silent);
    scene.ask("silent", "2s").await;
    for _ in 0..20 {
        scene.ask("a", "4s").await;
        sleep(S(4)).await;
    }
    let gaps = scene.gaps("a");
    assert!(gaps.iter().all(|gap| (MS(3980)..=MS(6020)).contains(gap)), "{gaps:?}");
}
