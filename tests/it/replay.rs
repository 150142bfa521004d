//! `replay`: the catch-up policy asked from outside.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use keda_stream_scaler::keda::proto::{GetMetricsRequest, ScaledObjectRef};
use tokio::time::{Instant, sleep};

use crate::support::driver::{Driver, WITHIN};
use crate::support::kafka::{one_node, unique};
use crate::support::process::{Ended, Serving, run, run_with_input};

async fn answers(lines: &[&str]) -> Vec<serde_json::Value> {
    let Ended { code, stdout, stderr } = run_with_input(&["replay", "--protocol"], &(lines.join("\n") + "\n")).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Two consumers of two partitions each do 10 a second of the 20 that arrive in each partition.
fn overloaded(seconds: u32) -> Vec<String> {
    let sample = |t: u32| {
        let (end, committed) = (20 * t + 1000, 10 * t);
        let [ends, commits] = [end, committed].map(|offset| vec![offset; 4]);
        format!(r#"{{"op":"sample","t":{t},"owner":[0,0,1,1],"end":{ends:?},"committed":{commits:?}}}"#)
    };
    (0..=seconds / 10).map(|number| sample(number * 10)).collect()
}

#[tokio::test]
async fn the_protocol_answers_with_the_consumers_that_are_needed() {
    let mut lines = vec![r#"{"op":"reset","kind":"offsets","hpa_window":300.0,"hpa_tol":0.1}"#.to_owned()];
    lines.extend(overloaded(120));
    lines.extend([r#"{"op":"metric","t":121}"#, r#"{"op":"active","t":121}"#].map(str::to_owned));
    let answers = answers(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // 20 a second arrive in a partition and one consumer can do 20: each partition needs its own
    assert_eq!(answers.get(answers.len() - 2), Some(&serde_json::json!({"value": 4.0})));
    assert_eq!(answers.last(), Some(&serde_json::json!({"active": true})));
}

#[tokio::test]
async fn one_sample_alone_asks_for_what_there_is_and_an_old_one_is_an_error() {
    let mut lines = vec![r#"{"op":"reset","kind":"offsets"}"#.to_owned()];
    lines.extend(overloaded(0));
    lines.push(r#"{"op":"metric","t":1}"#.to_owned());
    lines.extend(overloaded(60).into_iter().skip(1));
    lines.extend(
        [r#"{"op":"metric","t":150}"#, r#"{"op":"metric","t":151}"#, r#"{"op":"active","t":151}"#].map(str::to_owned),
    );
    let answers = answers(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let kinds: Vec<_> = answers.iter().filter_map(|answer| answer.as_object()?.keys().next().cloned()).collect();
    assert_eq!(answers.get(2), Some(&serde_json::json!({"value": 2.0})), "rates need two samples");
    assert_eq!(kinds.get(kinds.len() - 3..), Some(&["value".to_owned(), "error".to_owned(), "error".to_owned()][..]));
}

#[tokio::test]
async fn what_is_no_request_is_answered_by_an_error_and_changes_nothing() {
    let answers = answers(&[
        r#"{"op":"metric","t":1}"#,
        "nonsense",
        r#"{"op":"reset","kind":"offsets"}"#,
        r#"{"op":"sample","t":0,"owner":[0],"end":[1,2],"committed":[0]}"#,
        r#"{"op":"sample","t":-1,"owner":[],"end":[],"committed":[]}"#,
        r#"{"op":"reset","kind":"offsets","hpa_tol":-1}"#,
        r#"{"op":"reset","kind":"ages"}"#,
    ])
    .await;
    let errors: Vec<_> = answers.iter().map(|answer| answer["error"].as_str().unwrap_or("none")).collect();
    let expected = [
        "the first request must be a reset",
        "not a request",
        "none",
        "end has 2 values, owner has 1",
        "t: ",
        "hpa_tol",
        "none",
    ];
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{errors:?}");
    }
}

/// What a scaler has recorded of a real group that is 12 behind, asked by lag and by catch-up.
async fn recorded(directory: &Path) -> Vec<PathBuf> {
    let servers = one_node().bootstrap_servers();
    let (driver, topic, group) = (Driver::new(&servers), unique("orders"), unique("order-service"));
    driver.create_topic(&topic, 2, 1, &[]).await;
    driver.produce(&topic, 0, 20);
    driver.commit(&group, &[(&topic, 0, 8), (&topic, 1, 0)]);
    let serving = Serving::start(&["--record", directory.to_str().unwrap()]).await;
    let mut client = ExternalScalerClient::connect(format!("http://{}", serving.grpc)).await.unwrap();
    for more in [&[("lagThreshold", "5")][..], &[("scaleOn", "catchUp"), ("capacityPerConsumer", "0.02")]] {
        let base = [
            ("source", "kafka"),
            ("bootstrapServers", servers.as_str()),
            ("consumerGroup", &group),
            ("topic", &topic),
            ("pollInterval", "2s"),
        ];
        let metadata = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let about = ScaledObjectRef { name: "a".into(), namespace: "b".into(), scaler_metadata: metadata.collect() };
        let request = GetMetricsRequest { scaled_object_ref: Some(about), metric_name: String::new() };
        client.get_metrics(request).await.unwrap();
    }
    let begun = Instant::now();
    loop {
        let files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        let readings = |file: &PathBuf| std::fs::read_to_string(file).unwrap().matches("\"reading\"").count();
        if files.len() == 2 && files.iter().all(|file| readings(file) >= 2) {
            return files;
        }
        assert!(begun.elapsed() < WITHIN, "{files:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_serve_has_recorded_is_replayed_under_its_own_policy_and_others() {
    let directory = tempfile::tempdir().unwrap();
    let files = recorded(directory.path()).await;
    for file in &files {
        let file = file.to_str().unwrap();
        let Ended { code, stdout, stderr } = run(&["replay", file, "--with", "scaleOn=lag,lagThreshold=4"]).await;
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
        assert!(stdout.contains("B  scaleOn=lag,lagThreshold=4"), "{stdout}");
        let row: Vec<_> = stdout.lines().last().unwrap().split_whitespace().collect();
        let behind = ["12", "-"];
        assert_eq!(row.get(2..4), Some(&behind[..]), "{stdout}");
        // 12 / 5 and 12 / 4, with two partitions at most; all are in one partition, which one consumer has
        let own = if stdout.contains("A  lagThreshold=5") { "2" } else { "1" };
        assert_eq!(row.get(row.len() - 2..), Some(&[own, "2"][..]), "{stdout}");
    }
    let both: Vec<_> =
        ["replay", "-o", "json"].into_iter().chain(files.iter().map(|file| file.to_str().unwrap())).collect();
    let table: serde_json::Value = serde_json::from_str(&run(&both).await.stdout).unwrap();
    assert_eq!(table["policies"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_no_recording_is_refused_by_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let begin = r#"{"recording":{"version":1,"source":"stream s","triggers":[]}}"#;
    let reading = r#"{"reading":{"at":1,"of":{"shards":{"open":1,"closed":0}}}}"#;
    let other = begin.replace("stream s", "stream t");
    let cases = [
        (String::new(), "it is empty"),
        ("{}".to_owned(), "line 1 is no line of a recording"),
        (reading.to_owned(), "line 1 does not begin a recording"),
        (begin.replace(":1,", ":9,"), "version 9 of the format is not known"),
        (begin.to_owned(), "there is no reading of stream s"),
        (format!("{begin}\nnonsense\n{reading}"), "line 2 is no line of a recording"),
        (format!("{begin}\n{reading}\n{other}\n{reading}"), "line 3 begins another recording"),
        (format!("{begin}\n{reading}\n{{\"readi"), "the recording does not say what was asked"),
    ];
    for (number, (text, expected)) in cases.into_iter().enumerate() {
        let file = directory.path().join(number.to_string());
        std::fs::write(&file, text).unwrap();
        let Ended { code, stderr, .. } = run(&["replay", file.to_str().unwrap()]).await;
        assert!(code == Some(1) && stderr.contains(expected), "{expected}: {stderr}");
    }
    assert_eq!(run(&["replay"]).await.code, Some(2));
    assert_eq!(run(&["replay", "--protocol", "file"]).await.code, Some(2));
}
