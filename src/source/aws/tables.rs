//! Rows of checkpoint tables.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};

use super::budget::Scope;
use super::clients::Aws;
use super::failure::{Failure, FailureKind};
use crate::lag::streams::{Attribute, Row, WORKER, WORKER_ATTRIBUTES};
use crate::telemetry::UpstreamApi;
use crate::trigger::{CheckpointStore, StoreLayout};

/// A table with more rows is no checkpoint table.
const MOST_ROWS: usize = 200_000;

type Item = HashMap<String, AttributeValue>;

/// What one reading of a table returned, and what it cost.
#[derive(Debug, Default)]
pub(super) struct TableRead {
    /// Every row of the application's store.
    pub(super) rows: Vec<Row>,
    /// The read capacity units that it consumed: as DynamoDB reported them, or estimated from the size of the rows.
    pub(super) read_units: f64,
}

/// One page of a `Scan` or `Query`.
struct ItemPage {
    items: Vec<Item>,
    /// Where the next page begins; `None` on the last one.
    next: Option<Item>,
    consumed: Option<ConsumedCapacity>,
}

/// An eventually consistent read of 4 KiB, or of any part of it, costs half a unit.
const BYTES_PER_HALF_UNIT: usize = 4096;
const HALF_UNIT: f64 = 0.5;

/// Every row of the store, eventually consistent, which costs half of what a consistent read does.
pub(super) async fn read(aws: &Aws, store: &CheckpointStore) -> Result<TableRead, Failure> {
    let mut read = TableRead::default();
    let mut after: Option<Item> = None;
    loop {
        let page = match &store.partition {
            None => scan(aws, store, after).await?,
            Some((key, value)) => query(aws, store, key, value, after).await?,
        };
        read.read_units += page.read_units();
        read.rows.extend(page.items.into_iter().map(row));
        match page.next {
            Some(next) if read.rows.len() < MOST_ROWS => after = Some(next),
            Some(_) => {
                return Err(Failure::new(FailureKind::Other, format!("more than {MOST_ROWS} rows")));
            }
            None => return Ok(read),
        }
    }
}

impl ItemPage {
    /// What the page cost: as reported, else as its items would cost, at least half a unit.
    fn read_units(&self) -> f64 {
        let reported = self.consumed.as_ref().and_then(|consumed| consumed.capacity_units);
        if let Some(units) = reported.filter(|units| units.is_finite() && *units >= 0.0) {
            return units;
        }
        let bytes: usize = self.items.iter().flatten().map(|(name, value)| name.len() + size(value)).sum();
        let halves = u32::try_from(bytes.div_ceil(BYTES_PER_HALF_UNIT).max(1)).unwrap_or(u32::MAX);
        f64::from(halves) * HALF_UNIT
    }
}

/// The size of a value in bytes, about as DynamoDB counts it.
fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Bs(all) => all.iter().map(|bytes| bytes.as_ref().len()).sum(),
        AttributeValue::L(values) => values.iter().map(|value| 1 + size(value)).sum(),
        AttributeValue::M(values) => values.iter().map(|(name, value)| 1 + name.len() + size(value)).sum(),
        _ => 1,
    }
}

/// Placeholders for the attributes, because some are reserved words: `#a0, #a1, …` and what they stand for.
fn names(layout: &StoreLayout) -> (String, HashMap<String, String>) {
    let of_workers = layout.kind.iter().flat_map(|_| WORKER_ATTRIBUTES);
    let attributes = layout.attributes().chain(of_workers);
    let names: Vec<_> = attributes.enumerate().map(|(index, name)| (format!("#a{index}"), name.to_owned())).collect();
    let projection: Vec<_> = names.iter().map(|(placeholder, _)| placeholder.as_str()).collect();
    (projection.join(", "), names.into_iter().collect())
}

async fn scan(aws: &Aws, store: &CheckpointStore, after: Option<Item>) -> Result<ItemPage, Failure> {
    let scope = Scope::of(UpstreamApi::DynamoDbScan, store.table.as_ref());
    let (projection, mut names) = names(&store.layout);
    // other kinds of rows are left behind in the service
    let filter = store.layout.kind.as_ref().map(|kind| {
        names.insert("#kind".to_owned(), kind.to_string());
        "attribute_not_exists(#kind) OR #kind = :lease OR #kind = :worker"
    });
    let kinds = [(":lease", StoreLayout::LEASE), (":worker", WORKER)];
    let values = filter.map(|_| kinds.map(|(name, kind)| (name.to_owned(), AttributeValue::S(kind.to_owned()))).into());
    let page = aws
        .call(scope, |clients| {
            clients
                .dynamodb
                .scan()
                .table_name(store.table.as_ref())
                .projection_expression(projection)
                .set_expression_attribute_names(Some(names))
                .set_filter_expression(filter.map(str::to_owned))
                .set_expression_attribute_values(values)
                .set_exclusive_start_key(after)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        })
        .await?;
    Ok(ItemPage {
        items: page.items.unwrap_or_default(),
        next: page.last_evaluated_key,
        consumed: page.consumed_capacity,
    })
}

async fn query(
    aws: &Aws,
    store: &CheckpointStore,
    key: &str,
    value: &str,
    after: Option<Item>,
) -> Result<ItemPage, Failure> {
    let scope = Scope::of(UpstreamApi::DynamoDbQuery, store.table.as_ref());
    let (projection, mut names) = names(&store.layout);
    names.insert("#key".to_owned(), key.to_owned());
    let page = aws
        .call(scope, |clients| {
            clients
                .dynamodb
                .query()
                .table_name(store.table.as_ref())
                .key_condition_expression("#key = :value")
                .projection_expression(projection)
                .set_expression_attribute_names(Some(names))
                .expression_attribute_values(":value", AttributeValue::S(value.to_owned()))
                .set_exclusive_start_key(after)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        })
        .await?;
    Ok(ItemPage {
        items: page.items.unwrap_or_default(),
        next: page.last_evaluated_key,
        consumed: page.consumed_capacity,
    })
}

fn row(item: Item) -> Row {
    item.into_iter().filter_map(|(name, value)| Some((name, attribute(value)?))).collect()
}

/// The value of an attribute, leniently: one version of a client writes a text where the next one writes a number. `NULL` is no
/// value: the row does not have the attribute.
fn attribute(value: AttributeValue) -> Option<Attribute> {
    Some(match value {
        AttributeValue::Null(_) => return None,
        AttributeValue::Bool(value) => Attribute::Bool(value),
        AttributeValue::S(text) | AttributeValue::N(text) => Attribute::Text(text),
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => Attribute::Texts(texts),
        AttributeValue::L(values) => Attribute::Texts(texts(values)),
        AttributeValue::M(lists) => {
            let lists = lists.into_iter().filter_map(|(name, value)| match value {
                AttributeValue::L(values) => Some((name, texts(values))),
                _ => None,
            });
            Attribute::Lists(lists.collect())
        }
        _ => Attribute::Other,
    })
}

fn texts(values: Vec<AttributeValue>) -> Vec<String> {
    let texts = values.into_iter().filter_map(|value| match value {
        AttributeValue::S(text) | AttributeValue::N(text) => Some(text),
        _ => None,
    });
    texts.collect()
}
