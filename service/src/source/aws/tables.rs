//! The rows of checkpoint tables.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};

use super::budget::Scope;
use super::clients::{Aws, TurnWait};
use super::failure::{Failure, FailureKind};
use crate::lag::streams::{Attribute, Row, WORKER, WORKER_ATTRIBUTES};
use crate::telemetry::UpstreamApi;
use crate::trigger::{CheckpointStore, RowFilter, RowSelection, ShardKey, StoreLayout};

/// The maximum number of rows of a checkpoint table, rows of other applications included.
const MOST_ROWS: usize = 200_000;

type Item = HashMap<String, AttributeValue>;

/// The result of one read of a table, and its cost.
#[derive(Debug, Default)]
pub struct TableRead {
    /// Every row of the application's store.
    pub rows: Vec<Row>,
    /// The read capacity units consumed: as DynamoDB reported them, or estimated from the size of the rows.
    pub read_units: f64,
}

/// One page of a `Scan` or `Query`.
struct ItemPage {
    items: Vec<Item>,
    /// The start key of the next page; `None` on the last one.
    next: Option<Item>,
    consumed: Option<ConsumedCapacity>,
    /// The number of rows that the service read, including those that its filter dropped.
    scanned: usize,
}

/// An eventually consistent read of 4 KiB, or of any part of it, costs half a unit.
const BYTES_PER_HALF_UNIT: usize = 4096;
const HALF_UNIT: f64 = 0.5;

/// Reads every row of the store with eventually consistent reads, which cost half of a consistent read. Calls `Scan`
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html>) or, where the store is one partition, `Query`
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html>), page by page until the last one; more than
/// `MOST_ROWS` rows are an error.
///
/// # Errors
/// Fails when a page cannot be read, or the table has too many rows.
pub async fn read(aws: &Aws, store: &CheckpointStore) -> Result<TableRead, Failure> {
    let mut read = TableRead::default();
    let (mut scanned, mut after) = (0, None);
    loop {
        let page = match &store.layout.selection {
            RowSelection::All | RowSelection::Filter(_) => scan(aws, store, after).await,
            RowSelection::Partition(partition) => query(aws, store, partition, after).await,
        };
        let page = page.map_err(Failure::of_checkpoint_table)?;
        read.read_units += page.read_units();
        scanned += page.scanned.max(page.items.len());
        read.rows.extend(page.items.into_iter().map(row));
        match page.next {
            Some(next) if scanned < MOST_ROWS => after = Some(next),
            Some(_) => {
                let failure = Failure::new(FailureKind::Invalid, format!("more than {MOST_ROWS} rows"));
                return Err(failure.of_checkpoint_table());
            }
            None => return Ok(read),
        }
    }
}

impl ItemPage {
    /// Returns the cost of the page: as reported, else estimated from its items, at least half a unit.
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

/// Returns the approximate size of a value in bytes, as DynamoDB counts it.
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

/// The names and values of a request's expressions as placeholders, because some names are reserved words.
#[derive(Default)]
struct Placeholders {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Placeholders {
    /// Returns `#a0`, `#a1` and so on; the same for the same name, because an attribute may be in a projection only once.
    fn name(&mut self, attribute: &str) -> String {
        if let Some((placeholder, _)) = self.names.iter().find(|(_, name)| *name == attribute) {
            return placeholder.clone();
        }
        let placeholder = format!("#a{}", self.names.len());
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }

    /// Returns `:v0`, `:v1` and so on.
    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    fn text(&mut self, text: &str) -> String {
        self.value(AttributeValue::S(text.to_owned()))
    }

    /// Returns the projection expression of the attributes that are read.
    fn projection(&mut self, layout: &StoreLayout) -> String {
        let of_workers = layout.kind.iter().flat_map(|_| WORKER_ATTRIBUTES);
        let mut projection: Vec<String> = Vec::new();
        for attribute in layout.attributes().chain(of_workers) {
            let placeholder = self.name(attribute);
            if !projection.contains(&placeholder) {
                projection.push(placeholder);
            }
        }
        projection.join(", ")
    }

    /// Returns the filter expression of a `Scan`: it drops rows of other kinds and of other applications.
    fn filter(&mut self, layout: &StoreLayout) -> Option<String> {
        let clauses = [self.lease_or_worker(layout), self.selected(layout), self.begins_with(layout)];
        clauses.into_iter().flatten().reduce(|one, other| format!("({one}) AND ({other})"))
    }

    fn lease_or_worker(&mut self, layout: &StoreLayout) -> Option<String> {
        let kind = self.name(layout.kind.as_ref()?);
        let (lease, worker) = (self.text(StoreLayout::LEASE), self.text(WORKER));
        Some(format!("attribute_not_exists({kind}) OR {kind} = {lease} OR {kind} = {worker}"))
    }

    /// Compares with the value as text, number and boolean, which DynamoDB never treats as equal.
    fn selected(&mut self, layout: &StoreLayout) -> Option<String> {
        let RowSelection::Filter(filter) = &layout.selection else { return None };
        let mut values = vec![AttributeValue::S(filter.value.to_string())];
        if is_number(&filter.value) {
            values.push(AttributeValue::N(filter.value.to_string()));
        }
        values.extend(filter.value.parse().ok().map(AttributeValue::Bool));
        let attribute = self.name(&filter.attribute);
        let equal = values.into_iter().map(|value| format!("{attribute} = {}", self.value(value)));
        Some(equal.collect::<Vec<_>>().join(" OR "))
    }

    fn begins_with(&mut self, layout: &StoreLayout) -> Option<String> {
        let ShardKey::Between { before, .. } = &layout.shard_key else { return None };
        if before.is_empty() {
            return None;
        }
        let before = self.text(before);
        let begins = layout.shard.iter().map(|attribute| format!("begins_with({}, {before})", self.name(attribute)));
        Some(begins.collect::<Vec<_>>().join(" OR "))
    }

    /// Returns the names, and the values where there are any: DynamoDB rejects an empty map.
    fn into_maps(self) -> (HashMap<String, String>, Option<HashMap<String, AttributeValue>>) {
        (self.names, Some(self.values).filter(|values| !values.is_empty()))
    }
}

/// Whether DynamoDB accepts a text as a number: up to 38 digits, with a sign, a point and an exponent.
fn is_number(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let number = text.parse::<f64>().ok().map(f64::abs);
    (1..=38).contains(&digits) && number.is_some_and(|number| number == 0.0 || (1e-130..1e126).contains(&number))
}

async fn scan(aws: &Aws, store: &CheckpointStore, after: Option<Item>) -> Result<ItemPage, Failure> {
    let scope = Scope::of(UpstreamApi::DynamoDbScan, store.table.as_ref());
    let mut placeholders = Placeholders::default();
    let projection = placeholders.projection(&store.layout);
    let filter = placeholders.filter(&store.layout);
    let (names, values) = placeholders.into_maps();
    let page = aws
        .call(TurnWait::Reading, scope, |clients| {
            clients
                .dynamodb
                .scan()
                .table_name(store.table.as_ref())
                .projection_expression(projection)
                .set_filter_expression(filter)
                .set_expression_attribute_names(Some(names))
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
        scanned: usize::try_from(page.scanned_count).unwrap_or_default(),
    })
}

async fn query(
    aws: &Aws,
    store: &CheckpointStore,
    partition: &RowFilter,
    after: Option<Item>,
) -> Result<ItemPage, Failure> {
    let scope = Scope::of(UpstreamApi::DynamoDbQuery, store.table.as_ref());
    let mut placeholders = Placeholders::default();
    let projection = placeholders.projection(&store.layout);
    let condition = format!("{} = {}", placeholders.name(&partition.attribute), placeholders.text(&partition.value));
    let (names, values) = placeholders.into_maps();
    let page = aws
        .call(TurnWait::Reading, scope, |clients| {
            clients
                .dynamodb
                .query()
                .table_name(store.table.as_ref())
                .key_condition_expression(condition)
                .projection_expression(projection)
                .set_expression_attribute_names(Some(names))
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
        scanned: usize::try_from(page.scanned_count).unwrap_or_default(),
    })
}

fn row(item: Item) -> Row {
    item.into_iter().filter_map(|(name, value)| Some((name, attribute(value)?))).collect()
}

/// Converts the value of an attribute leniently: one version of a client writes text where the next one writes a number. `NULL` is treated
/// as a missing attribute.
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
