//! What a panic costs: an error for the readings that it hit, and nothing that lasts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use keda_stream_scaler::lag::{Observation, SourceErrorKind};
use keda_stream_scaler::limits::{LimitMetrics, Limits};
use keda_stream_scaler::sampler::{PATIENCE, Quotas, ReadingObserver, Sampler};
use keda_stream_scaler::telemetry::Metrics;
use keda_stream_scaler::trigger::{SourceRef, Trigger};
use tokio::time::{Instant, sleep};

use crate::support::scripted::{Script, Scripted, lag};
use crate::support::server::scaled_object;

const S: fn(u64) -> Duration = Duration::from_secs;

fn sampler(witness: Option<Arc<dyn ReadingObserver>>) -> (Scripted, Sampler<Scripted>) {
    let source = Scripted::default();
    let shares = Quotas::new(&Limits::default(), &LimitMetrics::default());
    let sampler = Sampler::within(shares, source.clone(), Metrics::new("0", "none").sampler.clone(), witness);
    (source, sampler)
}

fn trigger(group: &str) -> Trigger {
    Trigger::parse(&scaled_object(group, &[("pollInterval", "2s")]).scaler_metadata).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_backend_whose_loop_panicked_is_read_again() {
    for panics in [1, 3] {
        let (source, sampler) = sampler(None);
        sampler.ask("shop", &trigger("a"), PATIENCE).await.unwrap();
        source.panic_in_loop(panics);
        sleep(S(20)).await;
        let before = source.observed("a");
        sleep(S(20)).await;
        assert!(source.observed("a") >= before + 9, "{panics} panics: {} after {before}", source.observed("a"));
        sampler.ask("shop", &trigger("new"), PATIENCE).await.unwrap();
        assert_eq!(sampler.view().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_was_under_way_when_the_loop_panicked_is_an_error_and_is_read_again() {
    let (source, sampler) = sampler(None);
    source.set("slow", Script::Silent);
    let waiting = tokio::spawn({
        let sampler = sampler.clone();
        async move { sampler.ask("shop", &trigger("slow"), S(60)).await.unwrap_err() }
    });
    sleep(Duration::from_millis(100)).await;
    source.panic_in_loop(1);
    let begun = Instant::now();
    // a newcomer wakes the loop
    let other = sampler.watch("shop", &trigger("other"), S(2)).unwrap();
    assert_eq!(waiting.await.unwrap().kind(), SourceErrorKind::Broken);
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    drop(other);
    source.set("slow", Script::Lag(3));
    sleep(S(3)).await;
    assert_eq!(sampler.ask("shop", &trigger("slow"), PATIENCE).await.unwrap().sample.observation, lag(3));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_panics_is_an_error_of_what_it_read() {
    let (source, sampler) = sampler(None);
    source.set("a", Script::Panics);
    let error = sampler.ask("shop", &trigger("a"), PATIENCE).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Broken);
    source.set("a", Script::Lag(2));
    sleep(S(3)).await;
    sampler.ask("shop", &trigger("a"), PATIENCE).await.unwrap();
}

/// Panics at every reading of one group.
struct Fragile;

impl ReadingObserver for Fragile {
    fn asked(&self, _source: &SourceRef, _metadata: &HashMap<String, String>) {}

    fn read(&self, source: &SourceRef, _observation: &Observation) {
        assert!(!source.to_string().contains("poison"), "it is scripted so");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reading_whose_evaluation_panics_is_an_error_and_costs_its_neighbours_nothing() {
    let (source, sampler) = sampler(Some(Arc::new(Fragile)));
    let mut watches = Vec::new();
    for group in ["a", "poison", "b", "c"] {
        watches.push(sampler.watch("shop", &trigger(group), S(2)).unwrap());
    }
    sleep(S(60)).await;
    for (group, watch) in ["a", "b", "c"].into_iter().zip([0, 2, 3]) {
        assert!(watches[watch].now().unwrap().unwrap().stale.is_none(), "{group}");
        assert!((29..=31).contains(&source.observed(group)), "{group}: {}", source.observed(group));
    }
    assert_eq!(watches[1].now().unwrap().unwrap_err().kind(), SourceErrorKind::Broken);
    let view = sampler.view();
    let failed: Vec<_> = view.iter().filter(|view| view.errors.by_kind().any(|(_, count)| count > 0)).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
}
