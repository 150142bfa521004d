//! How large DynamoDB counts an item, and what reading it costs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::expression::Item;

/// A page of `Scan` or `Query` ends with the item that reaches this size.
pub(super) const PAGE_BYTES: usize = 1 << 20;

/// What one read unit reads, consistently; an eventually consistent read of the same size costs half of it.
const UNIT_BYTES: usize = 4 << 10;

const COLLECTION_BYTES: usize = 3;

/// The size of an item in bytes: the names of its attributes, and their values.
pub(super) fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else { return 0 };
    let each = |bytes: fn(&Value) -> usize| value.as_array().into_iter().flatten().map(bytes).sum::<usize>();
    match kind.as_str() {
        "S" => text_bytes(value),
        "N" => number_bytes(value),
        "B" => binary_bytes(value),
        "SS" => each(text_bytes),
        "NS" => each(number_bytes),
        "BS" => each(binary_bytes),
        "L" => COLLECTION_BYTES + each(|value| 1 + value_bytes(value)),
        "M" => {
            let entries = value.as_object().into_iter().flatten();
            COLLECTION_BYTES + entries.map(|(name, value)| 1 + name.len() + value_bytes(value)).sum::<usize>()
        }
        _ => 1,
    }
}

fn text_bytes(value: &Value) -> usize {
    value.as_str().map_or(0, str::len)
}

/// One byte per two significant digits, and one more.
fn number_bytes(value: &Value) -> usize {
    let digits: String = value.as_str().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').len().div_ceil(2) + 1
}

fn binary_bytes(value: &Value) -> usize {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap().len()
}

/// What a page costs that read so many bytes: half a unit per 4 KiB or part of it, twice that if the read is consistent.
pub(super) fn read_units(bytes: usize, consistent: bool) -> f64 {
    let blocks = u32::try_from(bytes.div_ceil(UNIT_BYTES).max(1)).unwrap();
    f64::from(blocks) * if consistent { 1.0 } else { 0.5 }
}
