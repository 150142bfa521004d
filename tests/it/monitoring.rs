//! The dashboard and the alerts: of metrics that exist, each alert tested by Prometheus' own program and told of in the docs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::process::Serving;
use crate::support::prometheus::{families, promtool};
use crate::support::server::scaled_object;

const RULES: &str = "k8s/monitoring/rules.yaml";
const DASHBOARD: &str = "k8s/monitoring/dashboard.json";
const DOCS: &str = "docs/observability.md";

/// What others expose: kube-state-metrics, and the controller; and what is there only with TLS.
const ELSEWHERE: [&str; 8] = [
    "stream_scaler_kinesis_stream_calls_left",
    "stream_scaler_kinesis_stream_open_shards",
    "stream_scaler_kinesis_stream_reason",
    "stream_scaler_kinesis_stream_target_shards",
    "stream_scaler_kinesis_stream_wanted_shards",
    "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_horizontalpodautoscaler_spec_max_replicas",
    "stream_scaler_tls_certificate_expires_timestamp_seconds",
];

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn alerts() -> Vec<Value> {
    let rules: Value = serde_saphyr::from_str(&read(RULES)).unwrap();
    rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").cloned().collect()
}

/// Every expression of the dashboard, as Grafana would send it.
fn queries() -> Vec<String> {
    let asked = panels().into_iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().unwrap().clone();
        assert!(!targets.is_empty(), "{} shows nothing", panel["title"]);
        targets
    });
    asked.map(|target| target["expr"].as_str().unwrap().replace("$__rate_interval", "5m")).collect()
}

fn metrics_in(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_'));
    words
        .filter(|word| ["stream_scaler_", "grpc_server_", "process_", "kube_"].iter().any(|of| word.starts_with(of)))
        .collect()
}

/// What a running scaler exposes, with `--partition-metrics`, that was asked about a cluster.
async fn live() -> BTreeMap<String, String> {
    let serving = Serving::start(&["--partition-metrics"]).await;
    let about = scaled_object("nobody", &[("bootstrapServers", "127.0.0.1:9")]);
    serving.client().await.is_active(about).await.unwrap_err();
    families(&serving.get("/metrics").await.1)
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_alerts_ask_for_metrics_that_exist() {
    let live = live().await;
    let rules = alerts().into_iter().map(|alert| alert["expr"].as_str().unwrap().to_owned());
    for expression in rules.chain(queries()) {
        let metrics = metrics_in(&expression);
        assert!(!metrics.is_empty(), "{expression}");
        for metric in metrics {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|ending| metric.strip_suffix(ending));
            let histogram = family.is_some_and(|family| live.get(family).is_some_and(|kind| kind == "histogram"));
            assert!(
                live.contains_key(metric) || histogram || ELSEWHERE.contains(&metric),
                "{metric} does not exist: {expression}"
            );
        }
    }
}

#[test]
fn every_panel_has_a_name_of_its_own_a_description_and_queries_that_prometheus_can_read() {
    let panels = panels();
    let titles: BTreeSet<_> = panels.iter().map(|panel| panel["title"].as_str().unwrap()).collect();
    assert!(panels.len() >= 12 && titles.len() == panels.len());
    assert!(panels.iter().all(|panel| panel["description"].as_str().is_some_and(|text| !text.is_empty())));
    let rules = (0..)
        .zip(queries())
        .map(|(number, expr)| serde_json::json!({"record": format!("query:{number}"), "expr": expr}));
    let file = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules.collect::<Vec<_>>()}]});
    promtool(&["check", "rules"], &file.to_string());
}

#[test]
fn every_alert_fires_when_it_is_to_and_not_otherwise() {
    promtool(&["check", "rules", "--lint-fatal", RULES], "");
    promtool(&["test", "rules", "k8s/monitoring/rules_test.yaml"], "");
    let tests = read("k8s/monitoring/rules_test.yaml");
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert!(
            tests.contains(&format!("alertname=\"{name}\"")) || tests.contains(&format!("alertname: {name}")),
            "{name}"
        );
    }
}

#[test]
fn every_alert_has_a_name_of_its_own_a_severity_texts_and_a_runbook() {
    let docs = read(DOCS);
    let alerts = alerts();
    let names: BTreeSet<_> = alerts.iter().map(|alert| alert["alert"].as_str().unwrap()).collect();
    assert!(alerts.len() >= 12 && names.len() == alerts.len(), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("KedaStreamScaler")), "{names:?}");
    let runbooks: BTreeSet<_> = docs.lines().filter_map(|line| line.strip_prefix("### KedaStreamScaler")).collect();
    assert_eq!(runbooks.len(), alerts.len(), "runbooks of no alert among {runbooks:?}");
    for alert in alerts {
        let name = alert["alert"].as_str().unwrap();
        assert!(alert["for"].is_string() && alert["labels"]["severity"].is_string(), "{name}");
        assert!(
            alert["annotations"]["summary"].is_string() && alert["annotations"]["description"].is_string(),
            "{name}"
        );
        let runbook = alert["annotations"]["runbook_url"].as_str().unwrap();
        let page = format!("{}/blob/main/{DOCS}", env!("CARGO_PKG_REPOSITORY"));
        assert_eq!(runbook, format!("{page}#{}", name.to_lowercase()));
        assert!(docs.contains(&format!("\n### {name}\n")), "{DOCS} has no runbook for {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_docs_tell_of_every_metric_and_of_no_other() {
    let docs = read(DOCS);
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let told: BTreeMap<_, _> = rows
        .filter_map(|(name, rest)| Some((name.to_owned(), rest.split_once(" |")?.0.to_owned())))
        .filter(|(_, kind)| ["counter", "gauge", "histogram"].contains(&kind.as_str()))
        .collect();
    let mut live = live().await;
    for name in ELSEWHERE.iter().filter(|name| told.contains_key(**name)) {
        live.insert((*name).to_owned(), "gauge".to_owned());
    }
    let wrong: Vec<_> = live.iter().filter(|of| !told.iter().any(|told| told == *of)).collect();
    assert!(wrong.is_empty(), "not in {DOCS}, or of another type there: {wrong:?}");
    let more: Vec<_> = told.keys().filter(|name| !live.contains_key(*name)).collect();
    assert!(more.is_empty(), "in {DOCS} only: {more:?}");
}
