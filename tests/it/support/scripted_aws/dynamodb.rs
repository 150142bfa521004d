//! Tables of DynamoDB: what tests do to them, and their operations.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::{Value, json};

use super::call::Call;
use super::errors::Refusal;
use super::expression::{self, Item};
use super::item_size::{PAGE_BYTES, item_bytes, read_units};
use super::{ACCOUNT, Answer, REGION, ScriptedAws, World};

pub(super) struct Table {
    hash_key: String,
    /// By hash key, as JSON. AWS has another order, which nothing may rely on.
    items: BTreeMap<String, Item>,
    pub(super) stream_arn: Option<String>,
    /// What all reads of the table have cost.
    read_units: Cell<f64>,
}

impl ScriptedAws {
    /// Creates a table with a hash key of text and no range key.
    pub fn create_table(&self, name: &str, hash_key: &str) {
        let (hash_key, items, read_units) = (hash_key.to_owned(), BTreeMap::new(), Cell::new(0.0));
        let table = Table { hash_key, items, stream_arn: None, read_units };
        assert!(self.world().tables.insert(name.to_owned(), table).is_none(), "there is a table {name}");
    }

    /// Adds an item in the JSON of DynamoDB, in place of the one with the same key.
    pub fn put_item(&self, table: &str, item: &Value) {
        let mut world = self.world();
        let table = world.tables.get_mut(table).unwrap();
        let key = item[&table.hash_key].to_string();
        table.items.insert(key, item.as_object().unwrap().clone());
    }

    /// Deletes the item with this key.
    pub fn delete_item(&self, table: &str, hash_key: &str) {
        let gone = self.world().tables.get_mut(table).unwrap().items.remove(&json!({"S": hash_key}).to_string());
        assert!(gone.is_some(), "there is no item {hash_key}");
    }

    /// The read units that all `Scan` and `Query` calls on this table have consumed so far.
    pub fn read_units(&self, table: &str) -> f64 {
        self.world().tables[table].read_units.get()
    }
}

impl World {
    pub(super) fn dynamodb(&self, call: &Call) -> Answer {
        let table = self.tables.get(&call.resource).ok_or_else(Refusal::no_resource)?;
        match &*call.operation {
            "DescribeTable" => Ok(describe(&call.resource, table)),
            "Scan" => self.page(call, table, None),
            "Query" => self.page(call, table, Some(expression::hash_key(call, &table.hash_key)?)),
            _ => Err(Refusal::unknown_operation()),
        }
    }

    fn page(&self, call: &Call, table: &Table, hash_key: Option<&Value>) -> Answer {
        let after = call.input.get("ExclusiveStartKey").map(|key| key[&table.hash_key].to_string());
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let asked = table.items.range((from, Bound::Unbounded)).map(|(_, item)| item);
        let asked = asked.filter(|item| hash_key.is_none_or(|key| item[&table.hash_key] == *key));
        let size = self.page_size(call, usize::MAX, "Limit");
        let (mut scanned, mut bytes) = (Vec::new(), 0);
        for item in asked {
            if scanned.len() == size || bytes >= PAGE_BYTES {
                break;
            }
            bytes += item_bytes(item);
            scanned.push(item);
        }
        let mut items = Vec::new();
        for item in &scanned {
            if expression::keeps(call, item)? {
                items.push(expression::project(call, item));
            }
        }
        let mut answer = json!({"Count": items.len(), "ScannedCount": scanned.len(), "Items": items});
        // As on AWS, a page that is full names its last item even if nothing follows it.
        if let Some(last) = scanned.last().filter(|_| scanned.len() == size || bytes >= PAGE_BYTES) {
            answer["LastEvaluatedKey"] = json!({&table.hash_key: last[&table.hash_key]});
        }
        let units = read_units(bytes, call.input["ConsistentRead"] == true);
        table.read_units.set(table.read_units.get() + units);
        if matches!(call.text("ReturnConsumedCapacity"), Some("TOTAL" | "INDEXES")) {
            answer["ConsumedCapacity"] = json!({"TableName": call.resource, "CapacityUnits": units});
        }
        Ok(answer)
    }
}

/// The ARN of a table.
pub(super) fn table_arn(table: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}")
}

fn describe(name: &str, table: &Table) -> Value {
    let mut description = json!({
        "TableName": name,
        "TableArn": table_arn(name),
        "TableStatus": "ACTIVE",
        "KeySchema": [{"AttributeName": table.hash_key, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": table.hash_key, "AttributeType": "S"}],
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "ItemCount": table.items.len(),
    });
    if let Some(arn) = &table.stream_arn {
        description["LatestStreamArn"] = arn.as_str().into();
        description["LatestStreamLabel"] = arn.rsplit('/').next().into();
        description["StreamSpecification"] = json!({"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"});
    }
    json!({"Table": description})
}
