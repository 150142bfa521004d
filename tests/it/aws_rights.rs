//! The rights that the docs tell of, against a real IAM: they are enough, and none is too many.

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType,
};
use aws_smithy_types::Blob;
use serde_json::json;

use crate::support::explain::{explain, failure};
use crate::support::iam::Iam;

const PAGE: &str = include_str!("../../docs/authentication.md");
const REGION: &str = "eu-west-1";

/// The rights in the docs' table for a source and a mode.
pub fn told_rights(source: &str, scale_on: &str) -> Vec<&'static str> {
    let row = format!("| `{source}` | `{scale_on}` | ");
    let line = PAGE.lines().find_map(|line| line.strip_prefix(&row)).expect(&row);
    let rights: Vec<_> = line.split('`').skip(1).step_by(2).collect();
    assert!(!rights.is_empty() && rights.iter().all(|right| right.contains(':')), "{rights:?}");
    rights
}

/// A stream and a table with a stream, each with an unread record, and a lease table that has no lease yet.
pub async fn world(iam: &Iam) {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("setup", "setup", None, None, "tests"))
        .endpoint_url(iam.endpoint())
        .load()
        .await;
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    kinesis.create_stream().stream_name("orders").shard_count(1).send().await.unwrap();
    let put = kinesis.put_record().stream_name("orders").partition_key("key").data(Blob::new("a record"));
    put.send().await.unwrap();
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    for (table, key) in [("invoices", "id"), ("app", "leaseKey")] {
        let attribute = AttributeDefinition::builder().attribute_name(key).attribute_type(ScalarAttributeType::S);
        let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::KeysOnly);
        let create = dynamodb
            .create_table()
            .table_name(table)
            .attribute_definitions(attribute.build().unwrap())
            .key_schema(KeySchemaElement::builder().attribute_name(key).key_type(KeyType::Hash).build().unwrap())
            .billing_mode(BillingMode::PayPerRequest)
            .stream_specification(stream.build().unwrap());
        create.send().await.unwrap();
    }
    dynamodb.put_item().table_name("invoices").item("id", AttributeValue::S("1".into())).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_in_the_docs_are_enough_and_without_any_of_them_the_error_names_it() {
    let iam = Iam::start().await;
    world(&iam).await;
    let (user, role) = (iam.user("scaler", &["sts:AssumeRole"]).await, iam.role("reader", "audit").await);
    let aws = json!({"awsRegion": REGION, "awsRoleArn": role, "awsExternalId": "audit"});
    let connections = json!({"connections": {"audit": {"namespaces": ["shop"], "aws": aws}}});
    let environment = [
        ("AWS_ACCESS_KEY_ID", &*user.id),
        ("AWS_SECRET_ACCESS_KEY", &user.secret),
        ("AWS_ENDPOINT_URL", iam.endpoint()),
    ];
    let cases = [
        ("aws-kinesis-stream", "streamName", "orders", "shardCount"),
        ("aws-kinesis-stream", "streamName", "orders", "age, catchUp"),
        ("aws-kinesis-stream", "streamName", "orders", "age, ageFrom: sequenceNumber"),
        ("aws-dynamodb-streams", "tableName", "invoices", "shardCount"),
        ("aws-dynamodb-streams", "tableName", "invoices", "age, catchUp"),
    ];
    for (source, key, name, mode) in cases {
        let mut metadata = vec![("source", source), ("connection", "audit"), (key, name)];
        let scale_on = mode.split(',').next().unwrap();
        metadata.push(("scaleOn", scale_on));
        metadata.extend((scale_on == "age").then_some(("applicationName", "app")));
        metadata.extend(mode.contains("ageFrom").then_some(("ageFrom", "sequenceNumber")));
        let rights = told_rights(source, mode);
        let explained_with = async |rights: &[&str]| {
            iam.enforce(false).await;
            iam.let_role("reader", rights).await;
            iam.enforce(true).await;
            explain(&environment, &connections, &metadata).await
        };
        let explained = explained_with(&rights).await;
        assert_eq!(explained["outcome"], "valued", "{source} {mode}: {explained}");
        for missing in &rights {
            let others: Vec<_> = rights.iter().copied().filter(|right| right != missing).collect();
            let explained = explained_with(&others).await;
            let (code, message) = failure(&explained);
            assert_eq!(code, "FAILED_PRECONDITION", "{source} {mode}, no {missing}: {message}");
            assert!(message.contains(&format!("perform: {missing}")), "{source} {mode}, no {missing}: {message}");
        }
    }
}
