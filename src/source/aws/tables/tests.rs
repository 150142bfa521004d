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
    /// The code that writes such an item.
    written_by: String,
    /// Added to the metadata of the trigger.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// In the JSON of DynamoDB.
    items: Vec<serde_json::Map<String, Value>>,
    /// Shard, checkpoint and owner of each lease.
    #[serde(default)]
    leases: Vec<String>,
    /// What the error says, in place of leases.
    #[serde(default)]
    error: Vec<String>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../lag/streams/cases/stores.json")).expect("the cases can be read")
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
        match leases_of(&rows, &layout, RowsOf::Kinesis { stream: "orders" }) {
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
        ItemPage { items: bytes.iter().map(one).collect(), next: None, consumed }.read_units()
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
