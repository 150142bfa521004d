//! Rows as each client of a checkpoint store writes them, from DynamoDB's types to leases.

use std::collections::{BTreeMap, HashMap};

use aws_smithy_types::Blob;
use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::lag::streams::{RowsOf, leases_of};
use crate::trigger::{SourceRef, Trigger};

/// A case of `cases/stores.json`: the items of a table, and the leases of application `orders-app` on stream `orders` in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    store: String,
    state: String,
    /// The code that writes these items.
    written_by: String,
    /// The metadata to add to the trigger's.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// The items in the JSON format of DynamoDB.
    items: Vec<serde_json::Map<String, Value>>,
    /// The shard, checkpoint and owner of each lease.
    #[serde(default)]
    leases: Vec<String>,
    /// The parts of the expected error, in place of leases.
    #[serde(default)]
    error: Vec<String>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../../../core/src/lag/streams/cases/stores.json"))
        .expect("the cases can be read")
}

fn typed(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().and_then(|value| value.iter().next()).expect("a typed value");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let all = |value: &Value| value.as_array().expect("an array").clone();
    match kind.as_str() {
        "S" => AttributeValue::S(text(value)),
        "N" => AttributeValue::N(text(value)),
        "BOOL" => AttributeValue::Bool(value.as_bool().expect("a boolean")),
        "NULL" => AttributeValue::Null(true),
        "B" => AttributeValue::B(Blob::new(text(value))),
        "SS" => AttributeValue::Ss(all(value).iter().map(text).collect()),
        "L" => AttributeValue::L(all(value).iter().map(typed).collect()),
        other => panic!("the type {other}"),
    }
}

fn item(item: &serde_json::Map<String, Value>) -> Item {
    item.iter().map(|(name, value)| (name.clone(), typed(value))).collect()
}

impl Case {
    fn store(&self) -> CheckpointStore {
        let base = [
            ("source", "aws-kinesis-stream"),
            ("streamName", "orders"),
            ("awsRegion", "eu-west-1"),
            ("scaleOn", "age"),
            ("applicationName", "orders-app"),
            ("checkpointStore", self.store.as_str()),
        ];
        let mut metadata: HashMap<String, String> = base.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        metadata.extend(self.metadata.clone());
        let trigger = Trigger::parse(&metadata).unwrap_or_else(|error| panic!("{}: {error}", self.name()));
        let SourceRef::Application(application) = trigger.source else { panic!("an application") };
        application.store
    }

    fn name(&self) -> String {
        format!("{}, {} ({})", self.store, self.state, self.written_by)
    }
}

#[test]
fn rows_of_each_store_are_read_as_its_client_writes_them() {
    for case in cases() {
        let layout = case.store().layout;
        let rows: Vec<_> = case.items.iter().map(|one| row(item(one))).collect();
        match leases_of(&rows, &layout, RowsOf::Kinesis { stream: "orders", created: None }) {
            Ok(leases) => {
                assert!(case.error.is_empty(), "{}: {leases:?}", case.name());
                let mut read: Vec<_> = leases
                    .iter()
                    .map(|lease| {
                        let owner = lease.owner.as_deref().unwrap_or("-");
                        format!("{} {} {owner}", lease.shard, lease.checkpoint)
                    })
                    .collect();
                read.sort();
                assert_eq!(read, case.leases, "{}", case.name());
            }
            Err(error) => {
                let said = error.to_string();
                assert!(!case.error.is_empty(), "{}: {said}", case.name());
                for part in &case.error {
                    assert!(said.contains(part.as_str()), "{}: {said}", case.name());
                }
            }
        }
    }
}

/// Replaces the placeholders of an expression by their names and values.
fn written_out(expression: &str, placeholders: &Placeholders) -> String {
    let mut text = expression.to_owned();
    for (placeholder, name) in &placeholders.names {
        text = text.replace(placeholder, name);
    }
    for (placeholder, value) in &placeholders.values {
        let value = match value {
            AttributeValue::S(text) => format!("S {text}"),
            AttributeValue::N(text) => format!("N {text}"),
            other => format!("{other:?}"),
        };
        text = text.replace(placeholder, &value);
    }
    text
}

#[test]
fn the_service_leaves_out_rows_of_other_kinds_and_applications() {
    let custom = |more: &[(&str, &str)]| {
        let base = [("leaseTable", "progress"), ("shardAttribute", "shard"), ("checkpointAttribute", "position")];
        base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let filter = |value| custom(&[("filterAttribute", "app"), ("filterValue", value)]);
    let pattern = |pattern| custom(&[("shardPattern", pattern)]);
    let cases: [(&str, BTreeMap<String, String>, Option<&str>); 9] = [
        (
            "kcl",
            BTreeMap::new(),
            Some("attribute_not_exists(entityType) OR entityType = S LEASE OR entityType = S WORKER_METRIC_STATS"),
        ),
        ("vmware-go-kcl", BTreeMap::new(), None),
        (
            "spring",
            BTreeMap::new(),
            Some("begins_with(metadataKey, S orders-app:orders:) OR begins_with(KEY, S orders-app:orders:)"),
        ),
        ("custom", filter("orders"), Some("app = S orders")),
        ("custom", filter("7"), Some("app = S 7 OR app = N 7")),
        ("custom", filter("true"), Some("app = S true OR app = Bool(true)")),
        ("custom", pattern("{application}/{shard}"), Some("begins_with(shard, S orders-app/)")),
        ("custom", pattern("{shard}/{application}"), None),
        (
            "custom",
            filter("x").into_iter().chain(pattern("a{shard}")).collect(),
            Some("(app = S x) AND (begins_with(shard, S a))"),
        ),
    ];
    for (store, metadata, expected) in cases {
        let case = Case {
            store: store.to_owned(),
            state: "filtered".to_owned(),
            written_by: String::new(),
            metadata,
            items: Vec::new(),
            leases: Vec::new(),
            error: Vec::new(),
        };
        let (layout, mut placeholders) = (case.store().layout, Placeholders::default());
        let filter = placeholders.filter(&layout);
        let filter = filter.map(|filter| written_out(&filter, &placeholders));
        assert_eq!(filter.as_deref(), expected, "{store} {:?}", case.metadata);
    }
}

#[test]
fn what_dynamodb_would_refuse_as_a_number_is_compared_as_text_only() {
    for number in ["0", "-7", "1.5", "1e10", &"1".repeat(38)] {
        assert!(is_number(number), "{number}");
    }
    for text in ["", "x", "NaN", "inf", "infinity", "1e200", "1e-200", "0x1", &"1".repeat(39)] {
        assert!(!is_number(text), "{text}");
    }
}

#[test]
fn an_attribute_with_two_meanings_is_in_the_projection_once() {
    let case = Case {
        store: "custom".to_owned(),
        state: "one attribute for two".to_owned(),
        written_by: String::new(),
        metadata: [
            ("leaseTable", "progress"),
            ("shardAttribute", "shard"),
            ("checkpointAttribute", "position"),
            ("ownerAttribute", "app"),
            ("filterAttribute", "app"),
            ("filterValue", "orders"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
        items: Vec::new(),
        leases: Vec::new(),
        error: Vec::new(),
    };
    let mut placeholders = Placeholders::default();
    let projection = placeholders.projection(&case.store().layout);
    assert_eq!(written_out(&projection, &placeholders), "shard, position, app");
}

#[test]
fn null_is_no_attribute() {
    let read = row(Item::from([
        ("a".to_owned(), AttributeValue::Null(true)),
        ("b".to_owned(), AttributeValue::Null(false)),
        ("c".to_owned(), AttributeValue::Bool(false)),
        ("d".to_owned(), AttributeValue::L(vec![AttributeValue::Null(true), AttributeValue::N("1".into())])),
    ]));
    let expected = [("c", Attribute::Bool(false)), ("d", Attribute::Texts(vec!["1".to_owned()]))];
    assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value)).into());
}

#[test]
fn a_page_costs_what_dynamodb_reports_else_half_a_unit_for_each_4_kib() {
    let page = |bytes: &[usize], reported: Option<f64>| {
        let one = |bytes: &usize| Item::from([("k".to_owned(), AttributeValue::S("x".repeat(bytes - 1)))]);
        let consumed = reported.map(|units| ConsumedCapacity::builder().capacity_units(units).build());
        ItemPage { items: bytes.iter().map(one).collect(), next: None, consumed, scanned: 0 }.read_units()
    };
    let cases: [(&[usize], Option<f64>, f64); 8] = [
        (&[], None, 0.5),
        (&[400], None, 0.5),
        (&[4096], None, 0.5),
        (&[4096, 1], None, 1.0),
        (&[4096, 4096, 4096], None, 1.5),
        (&[4096, 4096, 4096], Some(128.5), 128.5),
        (&[400], Some(0.0), 0.0),
        (&[400], Some(f64::NAN), 0.5),
    ];
    for (bytes, reported, expected) in cases {
        let units = page(bytes, reported);
        assert!((units - expected).abs() < f64::EPSILON, "{bytes:?} {reported:?}: {units}");
    }
}
