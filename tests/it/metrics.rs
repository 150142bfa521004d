//! What Prometheus reads: the numbers that KEDA gets, of what is asked about and of nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use keda_stream_scaler::admin::{LiveSeries, MOST_TRIGGERS};
use keda_stream_scaler::lag::SourceErrorKind;
use keda_stream_scaler::sampler::{PATIENCE, Sampler, ScaledObjectKey};
use keda_stream_scaler::telemetry::{Exposition, Metrics};
use keda_stream_scaler::trigger::Trigger;
use tokio::time::{advance, sleep};

use crate::support::process::Serving;
use crate::support::prometheus::{families, promtool, series};
use crate::support::scripted::{Script, Scripted};
use crate::support::server::{Server, metrics_of, scaled_object};

const S: fn(u64) -> Duration = Duration::from_secs;

/// A scripted source, a sampler over it, and what is scraped of both.
struct Scraped {
    source: Scripted,
    sampler: Sampler<Scripted>,
    metrics: Metrics,
}

impl Scraped {
    fn new(partitions: bool) -> Self {
        let (source, metrics) = (Scripted::default(), Metrics::new("0", "none"));
        let sampler = Sampler::new(source.clone(), metrics.sampler.clone());
        metrics.add(LiveSeries::new(sampler.clone(), partitions));
        Self { source, sampler, metrics }
    }

    async fn ask(&self, name: &str, trigger: &Trigger) {
        let _ = self.sampler.ask(ScaledObjectKey::new("shop", name), trigger, PATIENCE).await;
    }

    fn series(&self) -> BTreeMap<String, f64> {
        series(&self.metrics.render(Exposition::Text))
    }

    /// The values of the series of this name whose labels contain all of these.
    fn values(&self, name: &str, labels: &[&str]) -> Vec<f64> {
        let named =
            |series: &str| series.split('{').next() == Some(name) && labels.iter().all(|of| series.contains(of));
        self.series().into_iter().filter(|(series, _)| named(series)).map(|(_, value)| value).collect()
    }
}

fn trigger(group: &str, changes: &[(&str, &str)]) -> Trigger {
    let mut metadata = scaled_object(group, changes).scaler_metadata;
    if metadata.contains_key("scaleOn") {
        metadata.remove("allowIdleConsumers");
    }
    Trigger::parse(&metadata).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_scraped_is_what_keda_gets_and_goes_when_its_target_is_forgotten() {
    let scraped = Scraped::new(false);
    scraped.source.set("orders", Script::Lag(120));
    scraped.ask("orders", &trigger("orders", &[("lagThreshold", "50")])).await;
    let of = ["namespace=\"shop\",scaledObject=\"orders\",source=\"kafka\""];
    for (name, expected) in [
        ("metric_value", 120.0),
        ("metric_target", 50.0),
        ("wanted_replicas", 3.0),
        ("useful_replicas", 1.0),
        ("active", 1.0),
        ("lag_records", 120.0),
        ("lost_records", 0.0),
        ("partitions", 1.0),
        ("sample_age_seconds", 0.0),
        ("staleness_ratio", 0.0),
    ] {
        assert_eq!(scraped.values(&format!("stream_scaler_{name}"), &of), [expected], "{name}");
    }
    assert_eq!(scraped.values("stream_scaler_metric_value", &["metric=\"kafka-orders\""]), [120.0]);
    let about = "description=\"group orders, topic orders, at b:9092\"";
    assert_eq!(scraped.values("stream_scaler_source_info", &[about]), [1.0]);
    assert_eq!(scraped.values("stream_scaler_targets", &[]), [1.0]);
    sleep(S(700)).await;
    let left: Vec<_> = scraped.series().into_keys().filter(|series| series.contains("scaledObject")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(scraped.values("stream_scaler_targets", &[]), [0.0]);
}

#[tokio::test(start_paused = true)]
async fn a_scrape_asks_nothing_and_keeps_nothing_alive() {
    let scraped = Scraped::new(true);
    scraped.ask("orders", &trigger("orders", &[])).await;
    let before = scraped.source.observed("orders");
    for _ in 0..100 {
        scraped.series();
    }
    assert_eq!(scraped.source.observed("orders"), before);
    for _ in 0..7 {
        sleep(S(100)).await;
        scraped.series();
    }
    assert_eq!(scraped.values("stream_scaler_targets", &[]), [0.0]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_value_has_no_series_and_its_reason_has_one() {
    let scraped = Scraped::new(false);
    let trigger = trigger("orders", &[("maxStaleness", "30s")]);
    scraped.ask("orders", &trigger).await;
    assert!(scraped.values("stream_scaler_source_failing", &[]).is_empty());
    assert_eq!(scraped.values("stream_scaler_source_errors_total", &["reason=\"denied\""]), [0.0]);
    scraped.source.set("orders", Script::Fails(SourceErrorKind::Denied));
    sleep(S(20)).await;
    // served from the last good reading
    assert_eq!(scraped.values("stream_scaler_source_failing", &["reason=\"denied\""]), [1.0]);
    assert_eq!(scraped.values("stream_scaler_failing_targets", &["place=\"", "reason=\"denied\""]), [1.0]);
    assert_eq!(scraped.values("stream_scaler_metric_value", &[]).len(), 1);
    assert!(scraped.values("stream_scaler_trigger_failing", &[]).is_empty());
    let staleness = scraped.values("stream_scaler_staleness_ratio", &[])[0];
    assert!((0.3..1.0).contains(&staleness), "{staleness}");
    sleep(S(20)).await;
    assert!(scraped.values("stream_scaler_metric_value", &[]).is_empty());
    assert_eq!(scraped.values("stream_scaler_trigger_failing", &["reason=\"denied\""]), [1.0]);
    assert!(scraped.values("stream_scaler_staleness_ratio", &[])[0] > 1.0);
    let errors = scraped.values("stream_scaler_source_errors_total", &["reason=\"denied\""])[0];
    assert!(errors >= 3.0, "{errors}");
}

#[tokio::test(start_paused = true)]
async fn triggers_that_differ_in_nothing_but_their_policy_have_series_of_their_own() {
    let scraped = Scraped::new(false);
    scraped.source.set("orders", Script::Lag(100));
    for changes in [[("lagThreshold", "10")], [("lagThreshold", "20")], [("scaleOn", "catchUp")]] {
        scraped.ask("orders", &trigger("orders", &changes)).await;
    }
    scraped.ask("archive", &trigger("orders", &[("lagThreshold", "10")])).await;
    let targets =
        scraped.values("stream_scaler_metric_target", &["scaledObject=\"orders\",", "metric=\"kafka-orders\""]);
    assert_eq!(targets.len(), 2);
    assert!(targets.contains(&10.0) && targets.contains(&20.0), "{targets:?}");
    assert_eq!(scraped.values("stream_scaler_metric_target", &["metric=\"kafka-orders-catch-up\""]), [1.0]);
    // the source of `catchUp` is another one, because it is read with its members
    assert_eq!(scraped.values("stream_scaler_lag_records", &["scaledObject=\"orders\""]), [100.0, 100.0]);
    assert_eq!(scraped.values("stream_scaler_lag_records", &["scaledObject=\"archive\""]), [100.0]);
}

#[tokio::test(start_paused = true)]
async fn positions_that_stand_still_are_told_from_those_that_move() {
    let scraped = Scraped::new(false);
    let trigger = trigger("orders", &[]);
    scraped.ask("orders", &trigger).await;
    let unchanged = || scraped.values("stream_scaler_position_unchanged_seconds", &[])[0];
    for _ in 0..6 {
        sleep(S(50)).await;
        scraped.ask("orders", &trigger).await;
    }
    assert!((290.0..=301.0).contains(&unchanged()), "{}", unchanged());
}

#[tokio::test(start_paused = true)]
async fn partitions_have_series_only_on_request() {
    for (asked_for, expected) in [(false, 0), (true, 1)] {
        let scraped = Scraped::new(asked_for);
        scraped.source.set("orders", Script::Lag(7));
        scraped.ask("orders", &trigger("orders", &[])).await;
        let of = ["consumer=\"orders\",stream=\"orders\",partition=\"0\""];
        assert_eq!(scraped.values("stream_scaler_partition_lag_records", &of), vec![7.0; expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn series_are_bounded_and_what_is_left_out_is_counted() {
    let scraped = Scraped::new(false);
    for number in 0..MOST_TRIGGERS + 5 {
        let trigger = trigger(&format!("g{}", number % 1000), &[]);
        scraped.ask(&format!("o{number}"), &trigger).await;
    }
    assert_eq!(scraped.values("stream_scaler_metric_value", &[]).len(), MOST_TRIGGERS);
    assert_eq!(scraped.values("stream_scaler_series_left_out", &["what=\"triggers\""]), [5.0]);
}

#[tokio::test]
async fn a_call_is_counted_when_it_begins_and_when_it_ends_however_it_ends() {
    let server = Server::start().await;
    let text = || server.metrics.render(Exposition::Text);
    let once = |code: &str, method: &str| {
        let labels =
            format!("grpc_service=\"externalscaler.ExternalScaler\",grpc_method=\"{method}\",grpc_code=\"{code}\"");
        text()
            .lines()
            .any(|line| line.starts_with("grpc_server_handled_total") && line.ends_with(&format!("{labels}}} 1")))
    };
    let mut client = server.client().await;
    let about = scaled_object("orders", &[]);
    client.get_metrics(metrics_of(&about, "")).await.unwrap();
    client.is_active(scaled_object("orders", &[("topic", "?")])).await.unwrap_err();
    assert!(once("OK", "GetMetrics") && once("InvalidArgument", "IsActive"));
    // a caller that goes away
    server.source.set("slow", Script::Silent);
    let gone = tokio::time::timeout(Duration::from_millis(200), client.is_active(scaled_object("slow", &[]))).await;
    assert!(gone.is_err());
    let begun = tokio::time::Instant::now();
    while !once("Canceled", "IsActive") {
        assert!(begun.elapsed() < S(10), "{}", text());
        sleep(Duration::from_millis(10)).await;
    }
    let stream = client.stream_is_active(about).await.unwrap();
    assert!(text().contains("stream_scaler_streams 1\n"));
    server.drain();
    while !once("OK", "StreamIsActive") {
        assert!(begun.elapsed() < S(10));
        sleep(Duration::from_millis(10)).await;
    }
    drop(stream);
    assert!(text().contains("stream_scaler_streams 0\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_finds_nothing_to_complain_of() {
    let serving = Serving::start(&["--partition-metrics"]).await;
    let mut client = serving.client().await;
    client.is_active(scaled_object("nobody", &[("bootstrapServers", "127.0.0.1:9")])).await.unwrap_err();
    let (status, text) = serving.get("/metrics").await;
    assert_eq!(status, 200);
    // Prometheus would have labels in snake case; this one is KEDA's, so that its series can be joined
    promtool(&["check", "metrics"], &text.replace("scaledObject=", "scaled_object="));
    let families = families(&text);
    for (name, kind) in [
        ("stream_scaler_build_info", "gauge"),
        ("stream_scaler_upstream_calls_total", "counter"),
        ("stream_scaler_upstream_call_duration_seconds", "histogram"),
        ("stream_scaler_source_errors_total", "counter"),
        ("stream_scaler_partition_lag_records", "gauge"),
        ("grpc_server_started_total", "counter"),
        ("process_resident_memory_bytes", "gauge"),
        ("process_cpu_seconds_total", "counter"),
        ("process_open_fds", "gauge"),
    ] {
        assert_eq!(families.get(name).map(String::as_str), Some(kind), "{name} in\n{text}");
    }
    assert!(series(&text)["process_resident_memory_bytes"] > 1e6);

    let asked = reqwest::Client::new().get(format!("http://{}/metrics", serving.http));
    let open =
        asked.header("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5").send().await.unwrap();
    assert!(open.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let open = open.text().await.unwrap();
    assert!(open.ends_with("# EOF\n") && open.contains("# TYPE stream_scaler_source_errors counter\n"));
}

#[tokio::test(start_paused = true)]
async fn a_replaced_policy_runs_out_with_its_questions() {
    let scraped = Scraped::new(false);
    scraped.ask("orders", &trigger("orders", &[("lagThreshold", "10")])).await;
    for _ in 0..8 {
        advance(S(90)).await;
        scraped.ask("orders", &trigger("orders", &[("lagThreshold", "20")])).await;
        sleep(S(1)).await;
    }
    assert_eq!(scraped.values("stream_scaler_metric_target", &[]), [20.0]);
}
