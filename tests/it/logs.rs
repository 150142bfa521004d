//! The log: changed while the process runs, logged once for each change, and without secrets.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::process::Serving;
use crate::support::server::scaled_object;

const DEAD: &str = "127.0.0.1:9";

impl Serving {
    async fn put(&self, filter: &str) -> (u16, String) {
        let put = reqwest::Client::new().put(format!("http://{}/log", self.http)).body(filter.to_owned());
        let answer = put.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Waits for a line with this text.
    async fn logs(&self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(line) = self.lines().into_iter().find(|line| line.contains(text)) {
                return line;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "no {text} in {:#?}", self.lines());
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_is_changed_while_the_process_runs_and_the_change_is_told() {
    let serving = Serving::start(&[]).await;
    assert_eq!(serving.get("/log").await, (200, "info\n".to_owned()));
    assert_eq!(serving.put("off").await, (200, "off\n".to_owned()));
    serving.logs("the log filter is changed").await;
    let mut client = serving.client().await;
    client.is_active(scaled_object("silent", &[("bootstrapServers", DEAD)])).await.unwrap_err();

    // from silence, the change is told by the new filter
    assert_eq!(serving.put("warn,keda_stream_scaler=info").await.0, 200);
    let line = serving.logs("\"before\":\"off\"").await;
    assert!(
        line.contains("keda_stream_scaler=info") && !serving.lines().iter().any(|line| line.contains("silent")),
        "{line}"
    );
    // another cluster: a cause of its own
    client.is_active(scaled_object("warned", &[("bootstrapServers", "127.0.0.1:10")])).await.unwrap_err();
    serving.logs("group warned").await;

    let (status, reason) = serving.put("info,keda=loud").await;
    assert!(status == 400 && reason.starts_with("log filter \"info,keda=loud\": "), "{status} {reason}");
    let (status, reason) = serving.put(" ").await;
    assert!(status == 400 && reason.contains("must not be empty"), "{status} {reason}");
    assert_eq!(serving.put(&"a".repeat(5000)).await.0, 413);
    assert!(serving.get("/log").await.1.contains("keda_stream_scaler=info"), "the filter before stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_failures_is_one_line_for_its_cause() {
    const GROUPS: usize = 30;
    let serving = Serving::start(&[]).await;
    let mut asked = JoinSet::new();
    for number in 0..GROUPS {
        let mut client = serving.client().await;
        let about = scaled_object(&format!("storm-{number}"), &[("bootstrapServers", DEAD), ("pollInterval", "2s")]);
        asked.spawn(async move {
            for _ in 0..4 {
                client.is_active(about.clone()).await.unwrap_err();
            }
        });
    }
    asked.join_all().await;
    // many readings have failed by now
    let begun = Instant::now();
    let failed = |text: &str| {
        let of =
            text.lines().filter(|line| line.starts_with("stream_scaler_samples_total") && !line.contains("\"ok\""));
        of.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum::<usize>()
    };
    while failed(&serving.get("/metrics").await.1) < 5 * GROUPS {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", serving.get("/metrics").await.1);
        sleep(Duration::from_millis(100)).await;
    }
    let log = serving.lines();
    let warnings = log.iter().filter(|line| line.contains("readings fail") && line.contains("group storm-")).count();
    // each kind of error of the broker is a cause of its own
    assert!((1..=3).contains(&warnings), "{log:#?}");
    assert!(log.len() < GROUPS, "{} lines: {log:#?}", log.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log_or_on_a_page_at_any_level() {
    let secrets = [
        "Hidden-Passw0rd",
        "Hidden/AwsSecretKey",
        "Hidden-Session-Token",
        "Hidden-Client-Secret",
        "Hidden-In-Metadata",
    ];
    let aws = |token: &str| {
        json!({"awsRegion": "eu-west-1", "awsEndpoint": format!("http://{DEAD}"), "awsAccessKeyID": "AKIDHIDDEN",
        "awsSecretAccessKey": secrets[1], "awsSessionToken": token})
    };
    let sasl = |sasl: &str, password: &str| json!({"bootstrapServers": DEAD, "sasl": sasl, "username": "alice", "password": password});
    let mut oauth = sasl("oauthbearer", secrets[3]);
    oauth["oauthTokenEndpointUri"] = format!("http://{DEAD}/token").into();
    let file = json!({"connections": {
        "plain": {"namespaces": ["*"], "kafka": sasl("plaintext", secrets[0])},
        "scram": {"namespaces": ["*"], "kafka": sasl("scram_sha512", secrets[0])},
        "oauth": {"namespaces": ["*"], "kafka": oauth},
        "aws": {"namespaces": ["*"], "aws": aws(secrets[2])},
    }});
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("connections.yaml");
    std::fs::write(&path, file.to_string()).unwrap();
    let serving = Serving::start(&["--connections", path.to_str().unwrap()]).await;
    assert_eq!(serving.put("trace").await.0, 200);
    let mut client = serving.client().await;
    for name in ["plain", "scram", "oauth"] {
        let mut about = scaled_object(name, &[("connection", name)]);
        about.scaler_metadata.remove("bootstrapServers");
        client.is_active(about.clone()).await.unwrap_err();
        for key in ["password", "passwordFromEnv", "awsSecretAccessKeyFromEnv"] {
            let mut refused = about.clone();
            refused.scaler_metadata.insert(key.to_owned(), secrets[4].to_owned());
            let error = client.is_active(refused).await.unwrap_err();
            assert!(!error.message().contains(secrets[4]), "{error}");
        }
    }
    let stream = |more: &[(&str, &str)]| {
        let mut about = scaled_object("clicks", &[("source", "aws-kinesis-stream"), ("streamName", "clicks")]);
        about.scaler_metadata.retain(|key, _| ["source", "streamName", "scalerAddress"].contains(&key.as_str()));
        about.scaler_metadata.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        about
    };
    client.is_active(stream(&[("connection", "aws")])).await.unwrap_err();
    let key = [("awsRegion", "eu-west-1"), ("awsAccessKeyID", "AKIDHIDDEN"), ("awsSecretAccessKeyFromEnv", secrets[4])];
    client.is_active(stream(&key)).await.unwrap_err();

    let mut shown = serving.lines();
    assert!(shown.iter().any(|line| line.contains("\"TRACE\"")), "{shown:#?}");
    for path in ["/", "/samples", "/metrics", "/samples?source=group"] {
        shown.push(serving.get(path).await.1);
    }
    for secret in secrets {
        let told = shown.iter().find(|text| text.contains(secret));
        assert_eq!(told, None, "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_calls_are_logged_once_and_listed_on_the_page_and_as_json() {
    let serving = Serving::start(&[]).await;
    let mut client = serving.client().await;
    for _ in 0..3 {
        client.is_active(scaled_object("a", &[("bootstrapServers", DEAD), ("lagTreshold", "5")])).await.unwrap_err();
        client.is_active(scaled_object("b", &[("connection", "payments")])).await.unwrap_err();
        client.stream_is_active(scaled_object("b", &[("connection", "payments")])).await.unwrap_err();
    }
    serving.logs("payments").await;
    let lines: Vec<_> = serving.lines().into_iter().filter(|line| line.contains("calls are refused")).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("lagTreshold") && lines[0].contains("\"name\":"), "{lines:#?}");

    let (_, page) = serving.get("/").await;
    for text in ["2 triggers refused", "lagTreshold", "payments"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let samples: serde_json::Value = serde_json::from_str(&serving.get("/samples").await.1).unwrap();
    assert_eq!(samples["refused"].as_array().map(Vec::len), Some(2), "{samples}");
    let one = serving.get("/samples?source=nothing").await.1;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&one).unwrap(), json!({ "targets": [] }));
}
