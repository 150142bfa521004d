//! Checkpoint tables of every store in a real DynamoDB: its expressions are those that AWS takes.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};

use crate::support::aws_services::{Clients, aws_services};
use crate::support::kafka::unique;
use crate::support::scaler::Scaler;
use crate::support::truth::{Records as _, Truth};

const GROUP: &str = "orders-app";

/// An item in short: the attributes that are texts.
type Item<'a> = &'a [(&'a str, &'a str)];

/// A store, the metadata for it, the table's keys, the application's row, and a row of another application for the same shard.
struct Case<'a> {
    store: &'a str,
    metadata: &'a [(&'a str, &'a str)],
    keys: &'a [&'a str],
    own: Item<'a>,
    other: Item<'a>,
}

async fn create_table(clients: &Clients, name: &str, keys: &[&str]) {
    let kinds = [KeyType::Hash, KeyType::Range];
    let mut create = clients.dynamodb.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (key, kind) in keys.iter().zip(kinds) {
        let attribute = AttributeDefinition::builder().attribute_name(*key).attribute_type(ScalarAttributeType::S);
        let schema = KeySchemaElement::builder().attribute_name(*key).key_type(kind);
        create = create.attribute_definitions(attribute.build().unwrap()).key_schema(schema.build().unwrap());
    }
    create.send().await.unwrap();
}

async fn put(clients: &Clients, table: &str, item: Item<'_>) {
    let mut put = clients.dynamodb.put_item().table_name(table);
    for (name, value) in item {
        put = put.item(*name, AttributeValue::S((*value).to_owned()));
    }
    put.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_one_application_are_found_among_those_of_others() {
    let (stream, shard) = (unique("orders"), "shardId-000000000000");
    let mut truth = Truth::new(&stream, 1).await;
    truth.put(1).await;
    let clients = aws_services().clients().await;
    let (namespace, key) = (format!("{GROUP}-{stream}"), format!("{GROUP}:{stream}:{shard}"));
    let foreign_key = format!("billing:{stream}:{shard}");
    // the application has read nothing; the other one has read everything, as far as its row says
    let (own, other) = ("TRIM_HORIZON", "SHARD_END");
    let custom = [("checkpointStore", "custom"), ("shardAttribute", "shard"), ("checkpointAttribute", "position")];
    let filter = [&custom[..], &[("filterAttribute", "size"), ("filterValue", "7")]].concat();
    let pattern = [&custom[..], &[("shardPattern", "{application}:{stream}:{shard}")]].concat();
    let cases = [
        Case {
            store: "harlow",
            metadata: &[("checkpointStore", "harlow")],
            keys: &["namespace", "shard_id"],
            own: &[("namespace", &namespace), ("shard_id", shard), ("sequence_number", own)],
            other: &[("namespace", "billing"), ("shard_id", shard), ("sequence_number", other)],
        },
        Case {
            store: "spring",
            metadata: &[("checkpointStore", "spring")],
            keys: &["metadataKey"],
            own: &[("metadataKey", &key), ("metadataValue", own)],
            other: &[("metadataKey", &foreign_key), ("metadataValue", other)],
        },
        Case {
            store: "redpanda-connect",
            metadata: &[("checkpointStore", "redpanda-connect")],
            keys: &["StreamID", "ShardID"],
            own: &[("StreamID", &stream), ("ShardID", shard), ("SequenceNumber", own), ("ClientID", "c1")],
            other: &[("StreamID", "payments"), ("ShardID", shard), ("SequenceNumber", other), ("ClientID", "c2")],
        },
        Case {
            store: "custom with a filter",
            metadata: &filter,
            keys: &["id"],
            own: &[("id", "1"), ("shard", shard), ("position", own), ("size", "7")],
            other: &[("id", "2"), ("shard", shard), ("position", other), ("size", "8")],
        },
        Case {
            store: "custom with a pattern",
            metadata: &pattern,
            keys: &["shard"],
            own: &[("shard", &key), ("position", own)],
            other: &[("shard", &foreign_key), ("position", other)],
        },
    ];
    for case in cases {
        let table = unique("checkpoints");
        create_table(&clients, &table, case.keys).await;
        put(&clients, &table, case.own).await;
        put(&clients, &table, case.other).await;
        let base = [("scaleOn", "age"), ("streamName", &*stream), ("applicationName", GROUP), ("leaseTable", &table)];
        let metadata: Vec<_> = base.iter().chain(case.metadata).copied().collect();
        let age = Scaler::new("aws-kinesis-stream", &metadata).await.age().await;
        assert!(age > Duration::ZERO, "{}: {age:?}", case.store);
    }
}
