//! The types that Kubernetes gives to scalars: those of YAML 1.1, where `on` is a boolean.

use granit_parser::ScalarStyle;
use serde_json::{Map, Number, Value};

use super::yaml::{Content, Node};

/// The limit of the values made of one node, because aliases can name each other many times over.
const MAX_VALUES: usize = 10_000;

/// A scalar with its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Text(&'a str),
    Number(&'a str),
    Flag(bool),
    Null,
}

impl Node {
    /// Returns the scalar; `None` for a mapping or a list.
    pub(crate) fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.resolved().content {
            Content::Scalar { text, style: ScalarStyle::Plain } => Some(Scalar::of_plain(text)),
            Content::Scalar { text, .. } => Some(Scalar::Text(text)),
            Content::Mapping { .. } | Content::Sequence(_) | Content::Alias(_) => None,
        }
    }

    /// Converts the node to JSON; `None` if it is larger than any sensible object.
    pub(crate) fn value(&self) -> Option<Value> {
        self.bounded_value(&mut { MAX_VALUES })
    }

    fn bounded_value(&self, left: &mut usize) -> Option<Value> {
        *left = left.checked_sub(1)?;
        if let Some(scalar) = self.scalar() {
            return Some(scalar.value());
        }
        if matches!(self.resolved().content, Content::Sequence(_)) {
            return self.items().iter().map(|item| item.bounded_value(left)).collect();
        }
        let fields = self.fields().into_iter().map(|(key, value)| Some((key.to_owned(), value.bounded_value(left)?)));
        fields.collect::<Option<Map<_, _>>>().map(Value::Object)
    }
}

impl<'a> Scalar<'a> {
    fn of_plain(text: &'a str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" | "on" | "On" | "ON" | "yes" | "Yes" | "YES" | "y" | "Y" => Self::Flag(true),
            "false" | "False" | "FALSE" | "off" | "Off" | "OFF" | "no" | "No" | "NO" | "n" | "N" => Self::Flag(false),
            text if is_number(text) => Self::Number(text),
            text => Self::Text(text),
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.to_owned()),
            Self::Flag(flag) => Value::Bool(flag),
            Self::Null => Value::Null,
            Self::Number(text) => {
                let plain = text.replace('_', "");
                let whole = plain.parse::<i64>().ok().map(Number::from);
                let number = whole.or_else(|| plain.parse().ok().and_then(Number::from_f64));
                number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
            }
        }
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text).replace('_', "");
    let radix = |prefix: &str, radix: u32| {
        let digits = unsigned.strip_prefix(prefix);
        digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix)))
    };
    let special = matches!(&*unsigned.to_ascii_lowercase(), ".inf" | ".nan");
    let decimal = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    special || radix("0x", 16) || radix("0o", 8) || radix("0b", 2) || (decimal && unsigned.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_scalar_has_the_type_that_kubernetes_gives_it() {
        for number in ["5", "-1", "+3", "1e3", ".5", "0x1F", "0o17", "1_000", ".inf", "-.NaN"] {
            assert_eq!(Scalar::of_plain(number), Scalar::Number(number));
        }
        for text in ["10s", "kafka:9092", "inf", "nan", "-", ".", "1.2.3", "orders", "0x", "trueish"] {
            assert_eq!(Scalar::of_plain(text), Scalar::Text(text));
        }
        assert_eq!([Scalar::of_plain("on"), Scalar::of_plain("No")], [Scalar::Flag(true), Scalar::Flag(false)]);
        assert_eq!(Scalar::of_plain("~"), Scalar::Null);
    }
}
