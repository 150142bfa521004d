//! Rows of checkpoint tables.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::budget::Scope;
use super::clients::Aws;
use super::failure::{Failure, FailureKind};
use crate::lag::streams::{Attribute, Row, WORKER, WORKER_ATTRIBUTES};
use crate::telemetry::UpstreamApi;
use crate::trigger::{CheckpointStore, StoreLayout};

/// A table with more rows is no checkpoint table.
const MOST_ROWS: usize = 200_000;

type Item = HashMap<String, AttributeValue>;

/// Every row of the store, as it was some moments ago: an eventually consistent read costs half.
pub(super) async fn rows(aws: &Aws, store: &CheckpointStore) -> Result<Vec<Row>, Failure> {
    let mut rows: Vec<Row> = Vec::new();
    let mut after: Option<Item> = None;
    loop {
        let (items, last) = match &store.partition {
            None => scan(aws, store, after).await?,
            Some((key, value)) => query(aws, store, key, value, after).await?,
        };
        rows.extend(items.into_iter().map(row));
        match last {
            Some(last) if rows.len() < MOST_ROWS => after = Some(last),
            Some(_) => {
                return Err(Failure::new(FailureKind::Other, format!("more than {MOST_ROWS} rows")));
            }
            None => return Ok(rows),
        }
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

async fn scan(aws: &Aws, store: &CheckpointStore, after: Option<Item>) -> Result<(Vec<Item>, Option<Item>), Failure> {
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
                .send()
        })
        .await?;
    Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
}

async fn query(
    aws: &Aws,
    store: &CheckpointStore,
    key: &str,
    value: &str,
    after: Option<Item>,
) -> Result<(Vec<Item>, Option<Item>), Failure> {
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
                .send()
        })
        .await?;
    Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
}

fn row(item: Item) -> Row {
    item.into_iter().map(|(name, value)| (name, attribute(value))).collect()
}

/// Leniently: the same attribute is of one type in one version of a client and of another in the next.
fn attribute(value: AttributeValue) -> Attribute {
    match value {
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
    }
}

fn texts(values: Vec<AttributeValue>) -> Vec<String> {
    let texts = values.into_iter().filter_map(|value| match value {
        AttributeValue::S(text) | AttributeValue::N(text) => Some(text),
        _ => None,
    });
    texts.collect()
}
