//! The few expressions of DynamoDB that are understood here. Any other is refused, so that no test passes by chance.

use serde_json::{Map, Value};

use super::call::Call;
use super::errors::Refusal;

/// An item in the JSON of DynamoDB.
pub(super) type Item = Map<String, Value>;

/// Whether the `FilterExpression` of a request keeps an item.
pub(super) fn keeps(call: &Call, item: &Item) -> Result<bool, Refusal> {
    let Some(filter) = resolved(call, "FilterExpression") else { return Ok(true) };
    // either one list of alternatives, or several in parentheses of which each must hold
    let bracketed = filter.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let all: Vec<&str> = bracketed.map_or_else(|| vec![&*filter], |inner| inner.split(") AND (").collect());
    for alternatives in all {
        let mut holds = false;
        for term in alternatives.split(" OR ") {
            holds |= term_holds(call, term, item)?;
        }
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn term_holds(call: &Call, term: &str, item: &Item) -> Result<bool, Refusal> {
    let argument = |function: &str| term.strip_prefix(function)?.strip_prefix('(')?.strip_suffix(')');
    if let Some(name) = argument("attribute_not_exists") {
        return Ok(!item.contains_key(name));
    }
    if let Some((name, placeholder)) = argument("begins_with").and_then(|both| both.split_once(", ")) {
        let beginning = value(call, "FilterExpression", placeholder)?["S"].as_str().unwrap_or_default();
        let text = item.get(name).and_then(|value| value["S"].as_str());
        return Ok(text.is_some_and(|text| text.starts_with(beginning)));
    }
    match term.split_once(" = ") {
        Some((name, placeholder)) => Ok(item.get(name) == Some(value(call, "FilterExpression", placeholder)?)),
        None => Err(Refusal::validation(&format!("Invalid FilterExpression: this server does not know {term}"))),
    }
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
