//! The command line by its output and exit codes.

use serde_json::json;

use crate::support::driver::Driver;
use crate::support::kafka::{one_node, unique};
use crate::support::process::{Ended, run, run_in};
use crate::support::scripted_aws::ScriptedAws;

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scaledobject.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

const GOOD: &str = "kind: ScaledObject
metadata: {name: orders, namespace: shop}
spec:
  triggers:
    - type: external
      metadata:
        scalerAddress: scaler:50051
        source: kafka
        bootstrapServers: SERVERS
        consumerGroup: GROUP
        topic: TOPIC
        lagThreshold: \"5\"
    - type: cpu
      metadata: {value: \"80\"}
";

#[tokio::test]
async fn the_version_names_its_commit() {
    let Ended { code, stdout, .. } = run(&["--version"]).await;
    assert_eq!(code, Some(0));
    for word in [concat!("keda-stream-scaler ", env!("CARGO_PKG_VERSION")), "commit "] {
        assert!(stdout.contains(word), "{stdout}");
    }
}

#[tokio::test]
async fn wrong_usage_ends_with_2_and_a_missing_file_with_1() {
    for arguments in [
        &["validate"][..],
        &["doctor"],
        &["doctor", "--tls-ca", "ca.crt", "-"],
        &["serve", "--grpc-addr", "nowhere"],
        &["dance"],
        &["validate", "--output", "xml", "-"],
    ] {
        let Ended { code, stdout, .. } = run(arguments).await;
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
    }
    let Ended { code, stderr, .. } = run(&["validate", "/no/such/file"]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("error: reading /no/such/file: No such file"), "{stderr}");
}

#[tokio::test]
async fn validate_tells_what_is_good() {
    let (_folder, path) = file(GOOD);
    let Ended { code, stdout, .. } = run(&["validate", &path]).await;
    let expected = format!(
        "{path}: ScaledObject shop/orders, trigger 0: good, metric s0-kafka-TOPIC with target 5\n\
         {path}: ScaledObject shop/orders, trigger 1: skipped, KEDA's own trigger cpu\n"
    );
    assert_eq!((code, stdout), (Some(0), expected));
}

/// L3: no page and no command mentioned that the HPA's doubling is most of the lateness.
#[tokio::test]
async fn validate_says_what_an_objective_lacks_and_what_can_be_kept_at_best() {
    let catch_up = GOOD.replace("lagThreshold: \"5\"", "scaleOn: catchUp\n        catchUpTime: 10s");
    let (_folder, path) = file(&catch_up);
    let Ended { code, stdout, .. } = run(&["validate", &path]).await;
    for expected in [
        "advice: catchUpTime is deprecated and will be removed in 0.3: write maxAge",
        "advice: the HPA's scaleDown.stabilizationWindowSeconds is 300",
        "add behavior.scaleUp.policies: [{type: Pods, value: 100, periodSeconds: 15}]",
        "advice: pollInterval 10s is long for maxAge 10s: set it to 2s",
        "promise: when arrivals jump, the HPA has requested up to 100 replicas after 105 s at best",
        "maxAge 10s cannot be kept then",
    ] {
        assert!(code == Some(0) && stdout.contains(expected), "{expected}: {stdout}");
    }
}

#[tokio::test]
async fn validate_tells_each_problem_with_its_line() {
    let (_folder, path) = file(&GOOD.replace("lagThreshold", "lagTreshold").replace("source: kafka", "source: kafkaa"));
    let Ended { code, stdout, .. } = run(&["validate", &path]).await;
    let expected = format!(
        "{path}: ScaledObject shop/orders, trigger 0: 2 problems\n\
         {path}:12: lagTreshold: is not a known key, did you mean lagThreshold?\n\
         {path}:8: source: \"kafkaa\" must be one of kafka, apache-kafka, aws-kinesis-stream, aws-dynamodb-streams, did you mean kafka?\n\
         {path}: ScaledObject shop/orders, trigger 1: skipped, KEDA's own trigger cpu\n"
    );
    assert_eq!((code, stdout), (Some(1), expected));
    let Ended { code, stdout, .. } = run(&["validate", "-o", "json", &path]).await;
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &json[0]["problems"][0]["line"]), (Some(1), &serde_json::json!(12)));
}

#[tokio::test]
async fn validate_reports_a_misspelt_type_instead_of_leaving_the_trigger_to_keda() {
    for wrong in ["externl", "External", "external_push", "kafka"] {
        let (_folder, path) = file(&GOOD.replace("type: external", &format!("type: {wrong}")));
        let Ended { code, stdout, .. } = run(&["validate", &path]).await;
        let expected = format!("type: {wrong} is no trigger with a scalerAddress: write external or external-push\n");
        assert!(code == Some(1) && stdout.contains(&expected), "{stdout}");
    }
}

#[tokio::test]
async fn validate_wants_the_address_by_which_keda_finds_the_scaler() {
    let (_folder, path) = file(&GOOD.replace("        scalerAddress: scaler:50051\n", ""));
    let Ended { code, stdout, .. } = run(&["validate", &path]).await;
    let expected = format!(
        "{path}: ScaledObject shop/orders, trigger 0: 1 problem\n\
         {path}:5: scalerAddress: is required by KEDA: the host and port of the scaler\n\
         {path}: ScaledObject shop/orders, trigger 1: skipped, KEDA's own trigger cpu\n"
    );
    assert_eq!((code, stdout), (Some(1), expected));
}

#[tokio::test]
async fn a_value_from_the_environment_of_the_workload_is_not_taken_for_the_name_of_its_variable() {
    let text = GOOD.replace("lagThreshold: \"5\"", "lagThresholdFromEnv: THRESHOLD");
    let (_folder, path) = file(&text);
    let Ended { code, stdout, .. } = run(&["validate", &path]).await;
    let expected = format!(
        "{path}: ScaledObject shop/orders, trigger 0: no problems found; values from the environment were not checked\n\
         {path}: advice: the value of lagThreshold, which KEDA takes from the workload's variable THRESHOLD, is not checked\n\
         {path}: ScaledObject shop/orders, trigger 1: skipped, KEDA's own trigger cpu\n"
    );
    assert_eq!((code, stdout), (Some(0), expected));
    let Ended { code, stdout, .. } = run(&["explain", &path]).await;
    let problem =
        "lagThreshold: is the variable THRESHOLD of the workload, which is not known here: give lagThreshold itself";
    assert!(code == Some(1) && stdout.contains(problem), "{stdout}");

    let (_folder, path) = file(&text.replace("topic: TOPIC", "topikFromEnv: TOPIC\n        passwordFromEnv: PASSWORD"));
    let Ended { code, stdout, .. } = run(&["validate", &path]).await;
    for problem in ["topik: is not a known key", "password: belongs in a connection", "trigger 0: 2 problems"] {
        assert!(code == Some(1) && stdout.contains(problem), "{problem}: {stdout}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_how_the_value_comes_about() {
    let servers = one_node().bootstrap_servers();
    let (driver, topic, group) = (Driver::new(&servers), unique("orders"), unique("order-service"));
    driver.create_topic(&topic, 2, 1, &[]).await;
    driver.produce(&topic, 0, 40);
    driver.commit(&group, &[(&topic, 0, 3), (&topic, 1, 0)]);
    let text = GOOD.replace("SERVERS", &format!("\"{servers}\"")).replace("GROUP", &group).replace("TOPIC", &topic);
    let (_folder, path) = file(&text);
    let Ended { code, stdout, stderr } = run(&["explain", &path]).await;
    let expected = format!(
        "ScaledObject shop/orders, trigger 0
  source     group {group}, topic {topic}, at {servers}
  {topic}/0  committed 3, log 0..40
  {topic}/1  committed 0, log 0..0
  because    37 unread records in 1 of 2 partitions
  because    capped at 10 (was 37): only 2 partitions, more than 2 replicas would idle
  because    active: lag 37 > activation threshold 0
  metric     s0-kafka-{topic}: value 10, target 5, active true
  replicas   the HPA wants 2 replicas
ScaledObject shop/orders, trigger 1
  skipped: KEDA's own trigger cpu
"
    );
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), expected.as_str(), ""));
    let Ended { stdout, .. } = run(&["explain", "-o", "json", &path]).await;
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json[0]["decision"]["value"], 10.0);
    assert_eq!(json[0]["replicas"]["wanted"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_how_busy_the_workers_of_a_kcl_say_they_are() {
    let aws = ScriptedAws::start().await;
    let shard = aws.create_stream("orders", 1, aws.now() - 60_000).remove(0);
    aws.create_table("app", "leaseKey");
    aws.put_item(
        "app",
        &json!({"leaseKey": {"S": shard}, "checkpoint": {"S": "TRIM_HORIZON"}, "leaseOwner": {"S": "w-1"}}),
    );
    let written = (aws.now() / 1000 - 30).to_string();
    let (kind, cpu) = ("WORKER_METRIC_STATS", json!({"M": {"C": {"L": [{"N": "12.5"}, {"N": "-1"}, {"N": "91.2"}]}}}));
    aws.put_item(
        "app",
        &json!({"leaseKey": {"S": "w-1"}, "entityType": {"S": kind}, "lut": {"N": written},
        "sts": cpu, "opr": {"M": {"C": {"L": [{"N": "80"}]}}}}),
    );
    aws.put_item("app", &json!({"leaseKey": {"S": "w-2"}, "entityType": {"S": kind}, "sts": {"S": "?"}}));
    aws.put_item("app", &json!({"leaseKey": {"S": "Leader"}, "entityType": {"S": "LEADER"}}));
    let metadata = json!({"source": "aws-kinesis-stream", "scaleOn": "age", "streamName": "orders", "applicationName": "app",
        "awsRegion": "eu-west-1"});
    let object = json!({"kind": "ScaledObject", "metadata": {"name": "orders", "namespace": "shop"},
        "spec": {"triggers": [{"type": "external", "metadata": metadata}]}});
    let (_folder, path) = file(&object.to_string());
    let endpoint = aws.endpoint();
    let environment =
        [("AWS_ENDPOINT_URL", &*endpoint), ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "a-secret")];
    let Ended { code, stdout, stderr } = run_in(&environment, &["explain", &path]).await;
    assert_eq!((code, &*stderr), (Some(0), ""), "{stdout}");
    let worker =
        stdout.lines().find(|line| line.starts_with("  w-1  worker, CPU 12, 91 % of 80 %; written 3")).expect(&stdout);
    assert!(worker.ends_with(" s ago"), "{worker}");
    assert!(stdout.contains("\n  w-2  worker, CPU not measured\n") && !stdout.contains("Leader"), "{stdout}");
    let Ended { stdout, .. } = run_in(&environment, &["explain", "-o", "json", &path]).await;
    let told: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(told[0]["workers"][0]["cpuPercent"], json!([12.5, 91.2]));
    assert_eq!(told[0]["shards"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_the_error_that_keda_would_get() {
    let text = GOOD.replace("SERVERS", "\"127.0.0.1:9\"");
    let (_folder, path) = file(&text);
    let Ended { code, stdout, .. } = run(&["explain", &path]).await;
    assert_eq!(code, Some(1));
    assert!(stdout.contains("KEDA gets an error: UNAVAILABLE\n  could not read topic TOPIC"), "{stdout}");
}
