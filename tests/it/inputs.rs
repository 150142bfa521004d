//! What `validate`, `migrate` and `explain` accept: what Kubernetes' tools print, and what people write by mistake.

use crate::support::process::{Ended, run};

fn files(texts: &[(&str, &str)]) -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |(name, text): &(&str, &str)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let paths = texts.iter().map(write).collect();
    (folder, paths)
}

async fn of(command: &[&str], texts: &[(&str, &str)]) -> Ended {
    let (folder, paths) = files(texts);
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let mut ended = run(&[command, &paths].concat()).await;
    let folder = format!("{}/", folder.path().display());
    (ended.stdout, ended.stderr) = (ended.stdout.replace(&folder, ""), ended.stderr.replace(&folder, ""));
    ended
}

fn object(kind: &str, trigger: &str) -> String {
    format!(
        "apiVersion: keda.sh/v1alpha1\nkind: {kind}\nmetadata: {{name: orders, namespace: shop}}\nspec:\n  triggers:\n  - {trigger}\n"
    )
}

fn external(kind: &str, more: &str) -> String {
    let metadata = format!("{{scalerAddress: \"scaler:50051\", {more}}}");
    object(kind, &format!("type: external\n    metadata: {metadata}"))
}

const KAFKA: &str = "source: kafka, bootstrapServers: \"kafka:9092\", consumerGroup: orders, topic: orders";

/// The same objects as members of a list, as `kubectl get -o yaml` prints them.
fn list(kind: &str, objects: &[&str]) -> String {
    let item = |object: &&str| format!("- {}\n", object.trim_end().replace('\n', "\n  "));
    format!("apiVersion: v1\nkind: {kind}\nitems:\n{}", objects.iter().map(item).collect::<String>())
}

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n";

/// C1: lists were passed over without a word, exit 0.
#[tokio::test]
async fn objects_of_a_list_are_checked_and_what_is_not_checked_is_reported() {
    let wrong = external("ScaledObject", &format!("{KAFKA}, lagTreshold: \"5\""));
    for kind in ["List", "ScaledObjectList"] {
        let text = list(kind, &[CONFIG_MAP, &wrong, CONFIG_MAP]);
        let Ended { code, stdout, stderr } = of(&["validate"], &[("list.yaml", &text)]).await;
        assert_eq!((code, &*stderr), (Some(1), "not checked, because other tools do: 2 ConfigMap\n"));
        assert!(
            stdout.contains("list.yaml:13: lagTreshold: is not a known key, did you mean lagThreshold?"),
            "{stdout}"
        );
    }
    let Ended { code, stderr, .. } = of(&["validate"], &[("none.yaml", &list("List", &[CONFIG_MAP]))]).await;
    let nothing = "error: there is no ScaledObject, ScaledJob or KinesisStream, only 1 ConfigMap\n";
    assert_eq!((code, &*stderr), (Some(1), nothing));
    let stream = "apiVersion: keda-stream-scaler.io/v1alpha1\nkind: KinesisStream\nmetadata: {name: orders}\n\
                  spec: {streamName: orders, awsRegion: eu-west-1, maxShards: none}\n";
    let Ended { code, stdout, .. } = of(&["validate"], &[("list.json", &list("List", &[stream]))]).await;
    assert!(code == Some(1) && stdout.contains("list.json:7: maxShards: must be a whole number"), "{stdout}");
}

#[tokio::test]
async fn objects_of_a_list_are_migrated_where_they_are() {
    let built_in =
        "type: kafka\n    metadata: {bootstrapServers: \"kafka:9092\", consumerGroup: orders, topic: orders}";
    let text = list("List", &[CONFIG_MAP, &object("ScaledJob", built_in)]);
    let Ended { code, stdout, stderr } = of(&["migrate"], &[("list.yaml", &text)]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("ScaledJob shop/orders, trigger 0: kafka migrated"), "{stderr}");
    assert!(stderr.contains("list.yaml: left as they are: 1 ConfigMap"), "{stderr}");
    let changed =
        "type: external\n      metadata: {scalerAddress: \"keda-stream-scaler.keda:50051\", source: \"kafka\"";
    assert!(stdout.contains(changed) && stdout.contains(CONFIG_MAP.lines().last().unwrap()), "{stdout}");
    let Ended { code, stderr, .. } = of(&["migrate"], &[("list.yaml", &list("List", &[CONFIG_MAP]))]).await;
    let nothing = "list.yaml: no built-in trigger that this scaler can take over, only 1 ConfigMap\n";
    assert_eq!((code, &*stderr), (Some(0), nothing));
}

/// C2: the first unquoted value was all that one got to know, of all files.
#[tokio::test]
async fn a_value_without_quotes_hides_no_other_problem() {
    let unquoted = external("ScaledObject", &format!("{KAFKA}, lagThreshold: 50, topik: on"));
    let object_wrong = external("ScaledObject", KAFKA).replace("spec:", "spec:\n  maxReplicaCount: \"12\"");
    let files = [("a.yaml", &*unquoted), ("b.yaml", &object_wrong), ("c.yaml", "a: [")];
    let Ended { code, stdout, .. } = of(&["validate"], &files).await;
    for line in [
        "a.yaml:7: lagThreshold: 50 must be in quotes",
        "a.yaml:7: topik: on must be in quotes",
        "b.yaml:5: maxReplicaCount: must be a whole number without quotes",
        "b.yaml: ScaledObject shop/orders, trigger 0: good",
        "c.yaml: the file: 1 problem",
    ] {
        assert!(code == Some(1) && stdout.contains(line), "{line} is not in\n{stdout}");
    }
    let Ended { code, stdout, .. } = of(&["validate", "-o", "json"], &files).await;
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, json.as_array().unwrap().len()), (Some(1), 4));
    let Ended { code, stdout, .. } = of(&["migrate", "-o", "json"], &files[..1]).await;
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &json["triggers"]), (Some(0), &serde_json::json!([])), "an external trigger is left as it is");
    let built_in = unquoted.replace("type: external", "type: kafka");
    let Ended { code, stderr, .. } = of(&["migrate"], &[("d.yaml", &built_in)]).await;
    assert!(code == Some(1) && stderr.contains("line 7: lagThreshold: 50 must be in quotes"), "{stderr}");
}

/// C4: users got the words of a parser.
#[tokio::test]
async fn a_form_that_is_wrong_comes_with_the_one_that_is_right() {
    let cases = [
        ("topic: [a, b]", "topic: must be one text, such as \"a,b\", not a list"),
        ("topic: {a: b}", "topic: must be a text"),
        (
            "topic: \"a,b\"",
            "topic: \"a,b\" is no name of a topic: 1 to 249 of a-z A-Z 0-9 . _ -; a list of topics is for source apache-kafka",
        ),
        ("brokerList: \"kafka:9092\"", "brokerList: is not a known key, write bootstrapServers"),
        ("authMode: sasl_ssl", "authMode: is not a known key, write sasl and tls"),
        ("sasl: aws_msk_iam", "here that is sasl: oauthbearer with saslTokenProvider: aws_msk_iam"),
        ("scaleOn: catchUp, targetUtilization: \"80\"", "must be a number from 0.1 to 0.95, such as 0.8"),
        ("pollInterval: 1h", "from 2s to 10m"),
        ("scalerAddress: \"https://scaler:50051/\"", "is a gRPC address, not a URL: write scaler:50051"),
    ];
    for (more, expected) in cases {
        let text =
            external("ScaledObject", &format!("source: kafka, bootstrapServers: \"k:1\", consumerGroup: o, {more}"));
        let text = if more.starts_with("scalerAddress") {
            text.replace("scalerAddress: \"scaler:50051\", ", "")
        } else {
            text
        };
        let Ended { code, stdout, .. } = of(&["validate"], &[("a.yaml", &text)]).await;
        assert!(code == Some(1) && stdout.contains(expected), "{more}: {expected} is not in\n{stdout}");
    }
    let template = external("ScaledObject", KAFKA).replace("name: orders", "name: {{ .Values.name }}");
    for text in [template, "{{- if .Values.enabled }}\nkind: ScaledObject\n{{- end }}\n".to_owned()] {
        let Ended { code, stdout, .. } = of(&["validate"], &[("a.yaml", &text)]).await;
        assert!(code == Some(1) && stdout.contains("this is a template ({{ … }}): render it first"), "{stdout}");
        let Ended { code, stderr, .. } = of(&["explain"], &[("a.yaml", &text)]).await;
        assert!(code == Some(1) && stderr.starts_with("error: in a.yaml: line "), "{stderr}");
    }
    // braces of a rendered object are no template
    let rendered =
        external("ScaledObject", KAFKA).replace("spec:", "  annotations: {text: \"{{ $labels.group }}\"}\nspec:");
    let rendered =
        rendered.replace("metadata: {name: orders, namespace: shop}", "metadata:\n  name: orders\n  namespace: shop");
    let Ended { code, stdout, .. } = of(&["validate"], &[("a.yaml", &rendered)]).await;
    assert_eq!(code, Some(0), "{stdout}");
}

#[tokio::test]
async fn text_that_is_deep_repeated_or_recursive_ends_with_a_line() {
    let deep = "- ".repeat(101);
    let cases = [
        (&*deep, "nested more than 100 levels deep"),
        ("a: &a [*a]", "this alias is inside the node that it names"),
        ("a: 1\n  b: 2", "not valid YAML"),
        ("kind: ScaledObject\nspec: {triggers: x}", "triggers: is required: a list with at least one trigger"),
        ("kind: ScaledObject\nspec: {triggers: [{metadata: {}}]}", "type: is required, such as external"),
    ];
    for (text, expected) in cases {
        let Ended { code, stdout, .. } = of(&["validate"], &[("a.yaml", text)]).await;
        let shown: String = text.chars().take(40).collect();
        assert!(code == Some(1) && stdout.contains(expected), "{shown}: {stdout}");
    }
    let twice = external("ScaledObject", &format!("{KAFKA}, topic: other"));
    let Ended { code, stdout, .. } = of(&["validate"], &[("a.yaml", &twice)]).await;
    assert!(code == Some(1) && stdout.contains("topic: is there twice"), "{stdout}");
}

/// C5: KEDA reads the value of a ScaledJob itself, there is no HPA.
#[tokio::test]
async fn for_a_scaled_job_nothing_is_said_of_an_hpa() {
    let catch_up = external("ScaledJob", &format!("{KAFKA}, scaleOn: catchUp"));
    let Ended { code, stdout, .. } = of(&["validate"], &[("a.yaml", &catch_up)]).await;
    assert!(code == Some(0) && !stdout.contains("HPA") && !stdout.contains("promise"), "{stdout}");
    let value = external("ScaledJob", KAFKA).replace("type: external", "type: external\n    metricType: Value");
    let Ended { code, stdout, .. } = of(&["validate"], &[("a.yaml", &value)]).await;
    assert!(code == Some(1) && stdout.contains("metricType: with Value KEDA starts no jobs"), "{stdout}");
    let age =
        "source: aws-kinesis-stream, streamName: orders, awsRegion: eu-west-1, scaleOn: age, applicationName: orders";
    let Ended { code, stdout, .. } = of(&["validate"], &[("a.yaml", &external("ScaledJob", age))]).await;
    assert!(code == Some(1) && stdout.contains("scaleOn: age is for ScaledObjects"), "{stdout}");
}

/// C10: three of four lines sent a user of Kinesis to keys of Kafka.
#[tokio::test]
async fn without_a_known_source_only_the_source_is_judged() {
    let cases = [
        (
            "source: aws-kinesis, streamName: t",
            "source: \"aws-kinesis\" must be one of kafka, apache-kafka, aws-kinesis-stream, aws-dynamodb-streams, did you mean aws-kinesis-stream?",
        ),
        ("source: kinesis, streamName: t", "did you mean aws-kinesis-stream?"),
        ("source: dynamodb, tableName: t", "did you mean aws-dynamodb-streams?"),
        (
            "streamName: t",
            "source: is required, one of kafka, apache-kafka, aws-kinesis-stream, aws-dynamodb-streams; streamName is a key of aws-kinesis-stream",
        ),
        ("topic: t", "topic is a key of kafka"),
        ("source: rabbitmq, lagThreshold: many", "source: \"rabbitmq\" must be one of"),
    ];
    for (metadata, expected) in cases {
        let Ended { code, stdout, .. } = of(&["validate"], &[("a.yaml", &external("ScaledObject", metadata))]).await;
        assert!(code == Some(1) && stdout.contains("1 problem\n") && stdout.contains(expected), "{metadata}: {stdout}");
    }
}

/// C11: advice did not fail a pipeline.
#[tokio::test]
async fn strict_fails_for_advice() {
    let age =
        "source: aws-kinesis-stream, streamName: orders, awsRegion: eu-west-1, scaleOn: age, applicationName: orders";
    let text = external("ScaledObject", age);
    let Ended { code, stdout, .. } = of(&["validate"], &[("a.yaml", &text)]).await;
    assert!(code == Some(0) && stdout.contains("advice: age is one number"), "{stdout}");
    assert_eq!(of(&["validate", "--strict"], &[("a.yaml", &text)]).await.code, Some(1));
    let value = text.replace("type: external", "type: external\n    metricType: Value");
    assert_eq!(of(&["validate", "--strict"], &[("a.yaml", &value)]).await.code, Some(0));
}
