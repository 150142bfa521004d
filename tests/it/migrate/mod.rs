//! `migrate`: what changes, what stays, what is said.

mod cases;

use serde_json::{Value, json};

use crate::support::driver::Driver;
use crate::support::kafka::{one_node, unique};
use crate::support::process::{Ended, run};

struct Input {
    _folder: tempfile::TempDir,
    path: String,
}

fn input(text: &str) -> Input {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.yaml");
    std::fs::write(&path, text).unwrap();
    Input { path: path.to_str().unwrap().to_owned(), _folder: folder }
}

/// Runs `migrate` on a text; the file's name is taken out of what is said.
async fn migrate(text: &str, more: &[&str]) -> Ended {
    let Input { path, _folder } = &input(text);
    let mut ended = run(&[&["migrate"], more, &[path.as_str()]].concat()).await;
    ended.stderr = ended.stderr.replace(path.as_str(), "in.yaml");
    ended
}

async fn report(text: &str, more: &[&str]) -> Value {
    let Ended { stdout, stderr, .. } = migrate(text, &[&["-o", "json"], more].concat()).await;
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout} {stderr}"))
}

const COMMENTED: &str = r#"# all of it by hand
apiVersion: v1
kind: ConfigMap
data: {type: kafka}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject   # of the shop
metadata:
  name: orders
  namespace: shop
spec:
  scaleTargetRef:   {name: order-service}
  triggers:
    # the first
    - type: kafka   # until KEDA 3
      metadata:   # measured in May
        # three of them
        bootstrapServers: kafka:9092
        consumerGroup: 'order-service'  # quoted

        # a typo that KEDA never minded
        lagTreshold: "5"   # five
        topic: orders
        # the last
        lagThreshold: "50"
    - type: cpu
      metadata: {value: "80"}
    - metadata:
        streamName: orders
        awsRegion: eu-west-1
        identityOwner: operator
        shardCount: "1"
      type: "aws-kinesis-stream"
      metricType: AverageValue
"#;

#[tokio::test]
async fn only_what_must_change_does_and_comments_stay() {
    let Ended { code, stdout, stderr } = migrate(COMMENTED, &[]).await;
    let expected = COMMENTED
        .replace("- type: kafka   #", "- type: external   #")
        .replace(
            "      metadata:   # measured in May\n",
            "      metadata:   # measured in May\n        scalerAddress: \"keda-stream-scaler.keda:50051\"\n        source: kafka\n",
        )
        .replace("        lagTreshold: \"5\"   # five\n", "")
        .replace(
            "    - metadata:\n",
            "    - metadata:\n        scalerAddress: \"keda-stream-scaler.keda:50051\"\n        source: aws-kinesis-stream\n",
        )
        .replace("type: \"aws-kinesis-stream\"", "type: \"external\"");
    assert_eq!((code, &stdout), (Some(0), &expected), "{stderr}");
    assert_eq!(
        stderr,
        "in.yaml:15: ScaledObject shop/orders, trigger 0: kafka migrated\n\
         in.yaml:22: note: lagTreshold is left out: KEDA's kafka trigger does not read it, and it is not known here\n\
         in.yaml:33: ScaledObject shop/orders, trigger 2: aws-kinesis-stream migrated\n\
         in.yaml:31: note: identityOwner operator is the scaler's own identity now: give that the rights\n\
         in.yaml: left as they are: 1 ConfigMap\n"
    );
    let Input { path, _folder } = &input(&stdout);
    let Ended { code, stdout, .. } = run(&["validate", path]).await;
    assert_eq!(code, Some(0), "{stdout}");
}

#[tokio::test]
async fn a_manifest_without_built_in_triggers_stays_as_it_is_and_so_does_a_migrated_one() {
    let Ended { stdout: once, .. } = migrate(COMMENTED, &[]).await;
    let Ended { code, stdout: twice, stderr } = migrate(&once, &["--check", "-o", "json"]).await;
    let twice: Value = serde_json::from_str(&twice).unwrap();
    assert_eq!((code, twice["manifest"].as_str().unwrap()), (Some(0), once.as_str()), "{stderr}");
    assert_eq!(twice["triggers"], json!([]));
    for text in ["", "# nothing\n", "kind: Deployment\n", "---\n---\n"] {
        let Ended { code, stdout, stderr } = migrate(text, &[]).await;
        assert_eq!((code, stdout.as_str()), (Some(0), text), "{stderr}");
        assert!(stderr.contains("no built-in trigger"), "{stderr}");
    }
}

const FLOW: &str = r#"{"kind": "ScaledObject", "metadata": {"name": "orders"}, "spec": {"triggers": [
  {"type": "kafka", "metadata": {"bootstrapServers": "b:9092", "consumerGroup": "g", "topic": "t", "version": "1.0.0"},
   "authenticationRef": {"name": "login"}}
]}}
"#;

#[tokio::test]
async fn json_stays_json() {
    let Ended { code, stdout, .. } = migrate(FLOW, &[]).await;
    assert_eq!(code, Some(0));
    let trigger: Value = serde_json::from_str::<Value>(&stdout).expect(&stdout)["spec"]["triggers"][0].clone();
    let expected = json!({"type": "external", "metadata": {"scalerAddress": "keda-stream-scaler.keda:50051", "source": "kafka",
        "connection": "default-login", "bootstrapServers": "b:9092", "consumerGroup": "g", "topic": "t", "version": "1.0.0"}});
    assert_eq!(trigger, expected);
    // age needs a metric type, which was not there
    let kinesis = FLOW.replace("\"kafka\"", "\"aws-kinesis-stream\"").replace(
        r#""bootstrapServers": "b:9092", "consumerGroup": "g", "topic": "t", "version": "1.0.0""#,
        r#""streamName": "s", "awsRegion": "eu-west-1", "activationShardCount": "2", "shardCount": "1""#,
    );
    let Ended { stdout, stderr, .. } = migrate(&kinesis, &["--scale-on", "age", "--application-name", "app"]).await;
    let trigger = serde_json::from_str::<Value>(&stdout).expect(&stderr)["spec"]["triggers"][0].clone();
    let metadata = json!({"scalerAddress": "keda-stream-scaler.keda:50051", "source": "aws-kinesis-stream", "scaleOn": "age",
        "applicationName": "app", "connection": "default-login", "streamName": "s", "awsRegion": "eu-west-1"});
    assert_eq!(trigger, json!({"type": "external", "metricType": "Value", "metadata": metadata}));
}

#[tokio::test]
async fn flow_style_and_line_ends_are_kept() {
    let text = "kind: ScaledJob\r\nspec:\r\n  triggers:\r\n  - {type: apache-kafka, metadata: {bootstrapServers: 'b:9092', consumerGroup: g, foo: x}}\r\n";
    let Ended { code, stdout, stderr } = migrate(text, &["--scaler-address", "s:1"]).await;
    let expected = text.replace("type: apache-kafka", "type: external").replace(
        "{bootstrapServers: 'b:9092', consumerGroup: g, foo: x}",
        "{scalerAddress: \"s:1\", source: \"apache-kafka\", bootstrapServers: 'b:9092', consumerGroup: g}",
    );
    assert_eq!((code, &stdout), (Some(0), &expected), "{stderr}");
    let block = COMMENTED.replace('\n', "\r\n");
    let Ended { stdout: unix, .. } = migrate(COMMENTED, &["--scale-on", "catchUp", "--application-name", "app"]).await;
    let Ended { stdout: dos, .. } = migrate(&block, &["--scale-on", "catchUp", "--application-name", "app"]).await;
    assert_eq!(dos, unix.replace('\n', "\r\n"));
    assert!(
        unix.contains("scaleOn: catchUp\n") && !unix.contains("shardCount") && !unix.contains("lagThreshold"),
        "{unix}"
    );
}

#[tokio::test]
async fn the_metric_type_follows_the_policy() {
    let trigger = |metric_type: &str| {
        format!(
            "kind: ScaledObject\nspec:\n  triggers:\n  - type: aws-kinesis-stream # here\n{metric_type}    metadata:\n      streamName: s\n      awsRegion: r\n"
        )
    };
    let arguments = |policy| ["--scale-on", policy, "--application-name", "app"];
    let Ended { stdout, .. } = migrate(&trigger(""), &arguments("age")).await;
    assert!(stdout.contains("type: external # here\n    metricType: Value\n    metadata:\n"), "{stdout}");
    let Ended { stdout, .. } = migrate(&trigger("    metricType: AverageValue # x\n"), &arguments("age")).await;
    assert!(stdout.contains("type: external # here\n    metricType: Value # x\n    metadata:\n"), "{stdout}");
    let Ended { stdout, .. } = migrate(&trigger("    metricType: Value\n"), &arguments("catchUp")).await;
    assert!(stdout.contains("type: external # here\n    metadata:\n"), "{stdout}");
    let job = trigger("").replace("ScaledObject", "ScaledJob");
    let Ended { code, stdout, stderr } = migrate(&job, &arguments("age")).await;
    assert_eq!((code, &stdout), (Some(1), &job));
    assert!(stderr.contains("stays as it is: age is for ScaledObjects"), "{stderr}");
}

#[tokio::test]
async fn credentials_become_a_connection_without_a_secret_in_it() {
    let text = r#"kind: TriggerAuthentication
metadata: {name: kafka-auth, namespace: shop}
spec:
  secretTargetRef:
    - {parameter: username, name: kafka, key: user}
    - {parameter: password, name: kafka, key: pass}
---
kind: ScaledObject
metadata: {name: orders, namespace: shop}
spec:
  triggers:
    - type: kafka
      authenticationRef:   # ours
        name: kafka-auth
      metadata:
        bootstrapServers: "b1:9092,b2:9092"
        consumerGroup: g
        topic: t
        sasl: scram_sha512
        tls: enable
        unsafeSsl: "true"
    - type: kafka
      metadata: {bootstrapServers: "other:9092", consumerGroup: g, topic: t, sasl: plaintext}
      authenticationRef: {name: kafka-auth}
    - type: kafka
      metadata: {bootstrapServers: "other:9092", consumerGroup: g, topic: t2, sasl: plaintext}
      authenticationRef: {name: kafka-auth}
"#;
    let Ended { code, stdout, stderr } = migrate(text, &[]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        !stdout.contains("authenticationRef") && !stdout.contains("unsafeSsl") && stdout.contains("sasl: scram_sha512"),
        "{stdout}"
    );
    assert!(
        stdout.contains("connection: \"shop-kafka-auth\"\n") && stdout.contains("connection: \"shop-kafka-auth-2\""),
        "{stdout}"
    );
    assert_eq!(stdout.matches("\"shop-kafka-auth-2\"").count(), 2, "one entry for both: {stdout}");
    assert_eq!(stderr.matches("namespaces:").count(), 2, "{stderr}");
    assert!(stderr.contains("in.yaml:13: lost: authenticationRef is left out: KEDA does not pass credentials of TriggerAuthentication kafka-auth to external scalers"), "{stderr}");
    let entry = r#"  "shop-kafka-auth":
    namespaces: ["shop"]
    kafka:
      bootstrapServers: "b1:9092,b2:9092"
      passwordFile: "/run/secrets/shop-kafka-auth/password"   # was key pass of Secret kafka
      unsafeSsl: "true"
      usernameFile: "/run/secrets/shop-kafka-auth/username"   # was key user of Secret kafka
"#;
    assert!(stderr.contains(entry), "{stderr}");
    let mount = "# extraVolumeMounts: [{name: shop-kafka-auth, mountPath: /run/secrets/shop-kafka-auth, readOnly: true}, {name: shop-kafka-auth-2,";
    assert!(stderr.contains(mount), "{stderr}");
    let Ended { code, stdout, .. } = migrate(text, &["--check"]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "something is lost");
}

#[tokio::test]
async fn the_docs_show_what_is_said() {
    let text = r#"apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: kafka-auth, namespace: shop}
spec:
  secretTargetRef:
    - {parameter: username, name: kafka, key: user}
    - {parameter: password, name: kafka, key: pass}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: orders, namespace: shop}
spec:
  scaleTargetRef: {name: orders}
  triggers:
    - type: kafka
      metadata: {bootstrapServers: "kafka:9092", consumerGroup: orders, topic: orders, sasl: scram_sha512}
      authenticationRef: {name: kafka-auth}
"#;
    let Ended { code, stderr, .. } = migrate(text, &["--check"]).await;
    assert_eq!(code, Some(1));
    let docs = include_str!("../../../docs/migration.md");
    for line in stderr.replace("in.yaml", "scaledobject.yaml").lines() {
        assert!(docs.contains(&format!("   {line}\n")) || line.is_empty(), "the docs lack {line}");
    }
}

#[tokio::test]
async fn the_connections_that_are_asked_for_are_such_that_the_triggers_work_with_them() {
    let servers = one_node().bootstrap_servers();
    let (driver, topic, group) = (Driver::new(&servers), unique("orders"), unique("order-service"));
    driver.create_topic(&topic, 1, 1, &[]).await;
    driver.produce(&topic, 0, 25);
    driver.commit(&group, &[(&topic, 0, 3)]);
    let text = format!(
        "kind: ScaledObject\nmetadata: {{name: orders}}\nspec:\n  triggers:\n  - type: kafka\n    authenticationRef: {{name: login}}\n    metadata: {{bootstrapServers: \"{servers}\", consumerGroup: {group}, topic: {topic}, lagThreshold: \"5\"}}\n"
    );
    let told = report(&text, &[]).await;
    let connections = input(told["connections"].as_str().unwrap());
    let Ended { code, stdout, stderr } = migrate(&text, &["--compare", "--connections", &connections.path]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, told["manifest"].as_str().unwrap());
    // 22 behind in one partition: KEDA's cap lets no more than the threshold through
    assert!(
        stderr.contains("  built-in   value 5, target 5: the HPA wants 1 replica\n  migrated   value 5, target 5"),
        "{stderr}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn both_numbers_stand_side_by_side() {
    let servers = one_node().bootstrap_servers();
    let (driver, topic, group) = (Driver::new(&servers), unique("orders"), unique("order-service"));
    driver.create_topic(&topic, 3, 1, &[]).await;
    driver.produce(&topic, 0, 39);
    driver.commit(&group, &[(&topic, 0, 0), (&topic, 1, 0), (&topic, 2, 0)]);
    let trigger = |servers: &str| {
        format!(
            "kind: ScaledObject\nspec:\n  maxReplicaCount: 10\n  triggers:\n  - type: kafka\n    metadata: {{bootstrapServers: \"{servers}\", consumerGroup: {group}, topic: {topic}}}\n"
        )
    };
    let Ended { code, stderr, .. } = migrate(&trigger(&servers), &["--compare"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("  built-in   value 39, target 10: the HPA wants 4 replicas"), "{stderr}");
    assert!(stderr.contains("  migrated   value 30, target 10: the HPA wants 3 replicas"), "{stderr}");
    let told = report(&trigger(&servers), &["--compare"]).await;
    let comparison = &told["triggers"][0]["comparison"];
    assert_eq!(
        (&comparison["builtIn"]["decision"]["value"], &comparison["migrated"]["replicas"]["wanted"]),
        (&json!(39.0), &json!(3))
    );
    let Ended { code, stdout, stderr } = migrate(&trigger("127.0.0.1:9"), &["--compare"]).await;
    assert!(
        stdout.contains("type: external") && stderr.contains("  migrated   KEDA gets an error: UNAVAILABLE"),
        "{stderr}"
    );
    assert_eq!(code, Some(1), "there is no value to go by");
}

#[tokio::test]
async fn what_an_alias_shares_is_not_changed_and_told() {
    let with = |trigger: &str| format!("kind: ScaledObject\nspec:\n  triggers:\n{trigger}");
    let metadata = "bootstrapServers: b:9092, consumerGroup: g, topic: t";
    let refused = [
        (
            format!("  - type: kafka\n    metadata: &m {{{metadata}}}\n  - type: kafka\n    metadata: *m\n"),
            2,
            "line 5 is an anchor that an alias names",
        ),
        (format!("  - &t\n    type: kafka\n    metadata: {{{metadata}}}\n  - *t\n"), 2, "is an alias"),
        (
            format!("  - type: &k kafka\n    metadata: {{{metadata}}}\n    name: *k\n"),
            1,
            "line 4 is an anchor that an alias names",
        ),
        (
            format!(
                "  - type: cpu\n    metadata: &m {{{metadata}}}\n  - type: kafka\n    metadata:\n      <<: *m\n      tls: disable\n"
            ),
            1,
            "merges another mapping",
        ),
        (
            format!(
                "  - type: kafka\n    metadata: {{{metadata}, foo: &f x}}\n  - type: cpu\n    metadata: {{value: *f}}\n"
            ),
            1,
            "would go, but an alias names its anchor",
        ),
    ];
    for (trigger, count, why) in refused {
        let text = with(&trigger);
        let Ended { code, stdout, stderr } = migrate(&text, &[]).await;
        assert_eq!((code, &stdout), (Some(1), &text), "{stderr}");
        assert!(stderr.contains(why), "{why}: {stderr}");
        assert_eq!(stderr.matches("kafka stays as it is").count(), count, "{stderr}");
    }
    let text = with(&format!(
        "  - type: kafka\n    name: &n orders\n    metadata: &unused {{{metadata}, version: &v 1.0.0}}\n  - type: kafka\n    metadata: {{{metadata}, version: *v}}\n"
    ));
    let Ended { code, stdout, stderr } = migrate(&text, &[]).await;
    assert_eq!((code, stdout.matches("type: external").count()), (Some(0), 2), "{stderr}");
    assert!(stdout.contains("version: *v}") && stdout.contains("metadata: &unused {scalerAddress"), "{stdout}");
}

#[tokio::test]
async fn what_would_not_be_good_stays_as_it_is() {
    let with = |metadata: &str| {
        format!(
            "kind: ScaledObject\nspec:\n  triggers:\n  - type: kafka\n    metadata:\n      bootstrapServers: b:9092\n      consumerGroup: g\n{metadata}"
        )
    };
    let cases = [
        ("      lagThreshold: \"0\"\n", "line 8: lagThreshold: \"0\" must be a whole number of at least 1"),
        ("      topic: a,b\n", "line 8: topic: \"a,b\" is no name of a topic"),
        ("      sasl: gssapi\n", "Kerberos (sasl gssapi) is not supported"),
        ("    metricType: Utilization\n", "line 4: metricType: Utilization is refused by KEDA"),
    ];
    for (metadata, why) in cases {
        let text = with(metadata);
        let Ended { code, stdout, stderr } = migrate(&text, &[]).await;
        assert_eq!((code, &stdout), (Some(1), &text), "{stderr}");
        assert!(stderr.contains(&format!("kafka stays as it is: {why}")), "{stderr}");
    }
    let Ended { code, stdout, stderr } = migrate("kind: {\n", &[]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("error: in in.yaml"), "{stderr}");
}

#[tokio::test]
async fn what_is_lost_is_said_with_its_line() {
    let text = "kind: ScaledObject\nspec:\n  triggers:\n  - type: aws-kinesis-stream\n    metadata:\n      streamName: s\n      awsRegion: r\n      identityOwner: pod\n      awsEndpoint: http://localhost:4566\n";
    let Ended { code, stderr, .. } = migrate(text, &["--check"]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("in.yaml:8: lost: identityOwner pod has no effect"), "{stderr}");
    assert!(stderr.contains("in.yaml:9: note: awsEndpoint http://localhost:4566 must be allowed"), "{stderr}");
    let Ended { code, .. } = migrate(&text.replace("pod", "operator"), &["--check"]).await;
    assert_eq!(code, Some(0));
    let Ended { code, stderr, .. } = migrate(text, &["--scale-on", "lag"]).await;
    assert_eq!(code, Some(0));
    assert!(
        stderr.contains("in.yaml:4: note: scaleOn stays the built-in's: the requested policy is for Kafka"),
        "{stderr}"
    );
    for wrong in [&["--scale-on", "age"][..], &["--scale-on", "speed"]] {
        assert_eq!(migrate(text, wrong).await.code, Some(2));
    }
}

#[tokio::test]
async fn what_the_built_in_does_not_take_from_the_environment_is_left_out() {
    let text = "kind: ScaledObject\nspec:\n  triggers:\n  - type: kafka\n    metadata:\n      bootstrapServersFromEnv: SERVERS\n      consumerGroupFromEnv: GROUP\n      lagThresholdFromEnv: LAG\n      pollInterval: 5m\n";
    let Ended { code, stdout, stderr } = migrate(text, &["--check"]).await;
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
    let Ended { stdout, stderr, .. } = migrate(text, &[]).await;
    assert!(
        stdout.ends_with("      bootstrapServersFromEnv: SERVERS\n      consumerGroupFromEnv: GROUP\n"),
        "{stdout}"
    );
    for (line, key) in [(8, "lagThresholdFromEnv"), (9, "pollInterval")] {
        assert!(
            stderr
                .contains(&format!("in.yaml:{line}: note: {key} is left out: KEDA's kafka trigger does not read it\n")),
            "{stderr}"
        );
    }
}

#[tokio::test]
async fn keys_for_msk_move_to_the_connection_and_are_not_shown() {
    let text = "kind: ScaledObject\nspec:\n  triggers:\n  - type: apache-kafka\n    metadata:\n      bootstrapServers: b:9098\n      consumerGroup: g\n      topic: t\n      sasl: aws_msk_iam\n      tls: enable\n      awsRegion: eu-west-1\n      awsAccessKeyID: AKIAEXAMPLE\n      awsSecretAccessKeyFromEnv: SECRET_KEY\n";
    let Ended { code, stdout, stderr } = migrate(text, &[]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stdout.contains("AKIAEXAMPLE") && !stderr.contains("AKIAEXAMPLE"), "{stdout}{stderr}");
    assert!(
        stderr.contains(
            "awsAccessKeyIDFile: \"/run/secrets/default-unnamed/awsAccessKeyID\"   # was in the trigger's metadata"
        ),
        "{stderr}"
    );
    assert!(
        stderr.contains("awsSecretAccessKeyFile: ") && stderr.contains("# was the environment variable SECRET_KEY"),
        "{stderr}"
    );
}
