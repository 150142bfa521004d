//! Each good row of the tables of cases, migrated.

use std::collections::HashMap;

use keda_stream_scaler::trigger::{Policy, SourceRef, Trigger, metric_name, metric_target};
use serde_json::{Value, json};

use super::report;

/// The rows of the case tables that KEDA's own triggers can have: no key of ours alone, no connection.
fn rows() -> Vec<(&'static str, HashMap<String, String>)> {
    const OURS: [&str; 6] = ["scaleOn", "compat", "isolationLevel", "awsRoleArn", "awsExternalId", "awsSessionToken"];
    let table = |text: &str| serde_json::from_str::<Vec<Value>>(text).unwrap();
    let kafka = json!({"bootstrapServers": "b:9092", "consumerGroup": "g", "topic": "t"});
    let aws = json!({"NAME": "test", "awsRegion": "eu-west-1"});
    let mut rows = Vec::new();
    let sources = [
        ("kafka", "", &kafka, table(include_str!("../../../core/src/trigger/cases/kafka.json"))),
        ("apache-kafka", "", &kafka, table(include_str!("../../../core/src/trigger/cases/kafka.json"))),
        ("aws-kinesis-stream", "streamName", &aws, table(include_str!("../../../core/src/trigger/cases/aws.json"))),
        ("aws-dynamodb-streams", "tableName", &aws, table(include_str!("../../../core/src/trigger/cases/aws.json"))),
    ];
    for (source, name, base, cases) in sources {
        for case in cases.iter().filter(|case| case["connection"].is_null()) {
            let mut metadata = base.as_object().unwrap().clone();
            metadata.extend(case["metadata"].as_object().unwrap().clone());
            let given = metadata.into_iter().filter(|(_, value)| !value.is_null());
            let metadata: HashMap<_, _> =
                given.map(|(key, value)| (key.replace("NAME", name), value.as_str().unwrap().to_owned())).collect();
            if !OURS.iter().any(|ours| metadata.keys().any(|key| key.starts_with(ours))) {
                rows.push((source, metadata));
            }
        }
    }
    rows
}

#[tokio::test]
async fn every_good_row_of_the_case_tables_becomes_a_trigger_with_the_built_ins_number() {
    let rows = rows();
    let triggers: Vec<_> =
        rows.iter().map(|(source, metadata)| json!({"type": source, "metadata": metadata})).collect();
    let text = json!({"kind": "ScaledObject", "spec": {"triggers": triggers}}).to_string();
    let told = report(&text, &[]).await;
    let manifest: Value = serde_json::from_str(told["manifest"].as_str().unwrap()).unwrap();
    let mut good = 0;
    for (index, (source, before)) in rows.into_iter().enumerate() {
        let trigger = &manifest["spec"]["triggers"][index];
        let mut before: HashMap<_, _> =
            [before, [("source".to_owned(), source.to_owned())].into()].into_iter().flatten().collect();
        // a key that nobody knows is no problem for KEDA
        before.remove("shardcount");
        let ours = ["ageThreshold", "leaseTableReadUnits", "pollInterval", "stallWindow"];
        let of_another_source = |key: &str| key == "topic" && source.starts_with("aws");
        before.retain(|key, _| !(of_another_source(key) || ours.contains(&key.as_str())));
        let Ok(_) = Trigger::parse(&before) else {
            assert_eq!(trigger["type"], json!(source), "a key that KEDA does not have belongs in `ours`: {before:?}");
            continue;
        };
        good += 1;
        let mut after: HashMap<String, String> = serde_json::from_value(trigger["metadata"].clone()).unwrap();
        assert_eq!(trigger["type"], json!("external"), "{before:?} {}", told["triggers"][index]);
        assert_eq!((metric_name(&after), metric_target(&after)), (metric_name(&before), metric_target(&before)));
        for metadata in [&mut before, &mut after] {
            metadata.insert("compat".into(), "strict".into());
        }
        let (before, after) = (Trigger::parse(&before).unwrap(), Trigger::parse(&after).unwrap());
        assert_eq!(before.policy, after.policy);
        assert!(matches!(after.policy, Policy::Lag(_) | Policy::ShardCount(_)));
        match (&before.source, &after.source) {
            (SourceRef::Kafka(before), SourceRef::Kafka(after)) => {
                assert_eq!(
                    (&before.group, &before.topics, before.absent_topics),
                    (&after.group, &after.topics, after.absent_topics)
                );
            }
            (before, after) => assert_eq!(before, after),
        }
    }
    assert!(good > 40, "{good} are good");
}
