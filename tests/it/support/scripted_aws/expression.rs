//! The few expressions of DynamoDB that are understood here. Any other is refused, so that no test passes by chance.

use serde_json::{Map, Value};

use super::call::Call;
use super::errors::Refusal;

/// An item in the JSON of DynamoDB.
pub(super) type Item = Map<String, Value>;

const NO_TYPE_OR: &str = "attribute_not_exists(entityType) OR entityType = ";
const OR_TYPE: &str = " OR entityType = ";

/// Whether the `FilterExpression` of a request keeps an item.
pub(super) fn keeps(call: &Call, item: &Item) -> Result<bool, Refusal> {
    let Some(filter) = resolved(call, "FilterExpression") else { return Ok(true) };
    let Some(placeholders) = filter.strip_prefix(NO_TYPE_OR) else {
        return Err(Refusal::validation(&format!("Invalid FilterExpression: this server does not know {filter}")));
    };
    let wanted = placeholders.split(OR_TYPE).map(|placeholder| value(call, "FilterExpression", placeholder));
    let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
    Ok(item.get("entityType").is_none_or(|kind| wanted.contains(&kind)))
}

/// What `key` must be, as the `KeyConditionExpression` of a request says.
pub(super) fn hash_key<'a>(call: &'a Call, key: &str) -> Result<&'a Value, Refusal> {
    let name = "KeyConditionExpression";
    let condition = resolved(call, name).unwrap_or_default();
    match condition.split_once('=') {
        Some((left, right)) if left.trim() == key => value(call, name, right.trim()),
        _ => Err(Refusal::validation("Query condition missed key schema element")),
    }
}

/// The attributes of an item that the `ProjectionExpression` of a request asks for.
pub(super) fn project(call: &Call, item: &Item) -> Item {
    let Some(projection) = resolved(call, "ProjectionExpression") else { return item.clone() };
    let asked: Vec<&str> = projection.split(',').map(str::trim).collect();
    let kept = item.iter().filter(|(name, _)| asked.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// An expression with the names that its `#` placeholders stand for.
fn resolved(call: &Call, expression: &str) -> Option<String> {
    let mut text = call.text(expression)?.to_owned();
    let mut names: Vec<(&String, &Value)> =
        call.input["ExpressionAttributeNames"].as_object().into_iter().flatten().collect();
    // The longest first: one placeholder may be the beginning of another.
    names.sort_by_key(|(placeholder, _)| std::cmp::Reverse(placeholder.len()));
    for (placeholder, name) in names {
        text = text.replace(placeholder, name.as_str().unwrap_or_default());
    }
    Some(text)
}

fn value<'a>(call: &'a Call, expression: &str, placeholder: &str) -> Result<&'a Value, Refusal> {
    call.input["ExpressionAttributeValues"].get(placeholder).ok_or_else(|| {
        Refusal::validation(&format!(
            "Invalid {expression}: An expression attribute value used in expression is not defined; attribute value: \
             {placeholder}"
        ))
    })
}
