//! Push streams on a paused clock: what is sent when, and that nothing runs while there is nothing to send.

use std::time::Duration;

use keda_stream_scaler::keda::proto::external_scaler_server::ExternalScaler as _;
use keda_stream_scaler::keda::{CallerLimits, ScalerService};
use keda_stream_scaler::sampler::Sampler;
use keda_stream_scaler::telemetry::Metrics;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, advance};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::Request;

use crate::support::scripted::{Script, Scripted};
use crate::support::server::scaled_object;

const S: fn(u64) -> Duration = Duration::from_secs;

/// Sends what is pushed for `group`, with the moment of each.
async fn pushed(source: &Scripted, group: &str, changes: &[(&str, &str)]) -> UnboundedReceiver<(Instant, bool)> {
    let metrics = Metrics::new("0", "none");
    let sampler = Sampler::new(source.clone(), metrics.sampler.clone());
    let (drain, callers) = (CancellationToken::new(), CallerLimits::default());
    let service = ScalerService::new(sampler, metrics.rpc.clone(), &callers, drain, S(86_400));
    let stream = service.stream_is_active(Request::new(scaled_object(group, changes))).await.unwrap();
    let (to, from) = unbounded_channel();
    tokio::spawn(async move {
        let _service = service;
        let mut stream = stream.into_inner();
        while let Some(Ok(pushed)) = stream.next().await {
            to.send((Instant::now(), pushed.result)).unwrap();
        }
    });
    from
}

/// Moves the clock also where a task never rests.
async fn pass(time: Duration) {
    for _ in 0..time.as_millis() / 100 {
        advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
}

fn received(from: &mut UnboundedReceiver<(Instant, bool)>) -> Vec<(Instant, bool)> {
    std::iter::from_fn(|| from.try_recv().ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_active_stream_rests_while_its_source_is_silent_and_pushes_the_right_value_after() {
    let source = Scripted::default();
    source.set("a", Script::Lag(50));
    let mut from = pushed(&source, "a", &[]).await;
    pass(S(5)).await;
    assert_eq!(received(&mut from).iter().map(|(_, active)| *active).collect::<Vec<_>>(), [true]);

    source.set("a", Script::Silent);
    pass(S(120)).await;
    received(&mut from);
    let before = source.admissions();
    pass(S(600)).await;
    let turns = source.admissions() - before;
    assert!(turns < 200, "{turns} turns of the stream in ten minutes of silence");
    assert!(received(&mut from).is_empty(), "an unknown is not pushed");

    source.set("a", Script::Lag(70));
    pass(S(20)).await;
    assert_eq!(received(&mut from).iter().map(|(_, active)| *active).collect::<Vec<_>>(), [true]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_idle_after_a_silence_wakes_nothing_until_it_is_active() {
    let source = Scripted::default();
    source.set("a", Script::Lag(50));
    let mut from = pushed(&source, "a", &[]).await;
    pass(S(5)).await;
    source.set("a", Script::Silent);
    pass(S(700)).await;
    source.set("a", Script::Lag(0));
    pass(S(120)).await;
    received(&mut from);
    pass(S(120)).await;
    assert!(received(&mut from).is_empty(), "true is not repeated for an idle source");
    source.set("a", Script::Lag(1));
    pass(S(5)).await;
    assert_eq!(received(&mut from).iter().map(|(_, active)| *active).collect::<Vec<_>>(), [true]);
}

#[tokio::test(start_paused = true)]
async fn true_is_repeated_every_minute_while_the_source_is_active() {
    for interval in ["2s", "10s", "10m"] {
        let source = Scripted::default();
        source.set("a", Script::Lag(50));
        let mut from = pushed(&source, "a", &[("pollInterval", interval), ("maxStaleness", "1h")]).await;
        pass(S(605)).await;
        let sent = received(&mut from);
        assert!(sent.iter().all(|(_, active)| *active));
        let gaps: Vec<_> = sent.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs()).collect();
        assert!((9..=10).contains(&gaps.len()), "{interval}: {gaps:?}");
        assert!(gaps.iter().all(|gap| (59..=70).contains(gap)), "{interval}: {gaps:?}");
    }
}
