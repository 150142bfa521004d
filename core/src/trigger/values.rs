//! The form of a key's value, and the effect of an absent key: in words for the docs, in types for the schemas.

use std::fmt;

use regex_lite::Regex;

use super::syntax;

/// The form of a value. [`fmt::Display`] formats it as in the docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Any text that is not blank, with its description.
    Text(&'static str),
    /// Text of a form: its description, and a regular expression (ECMA-262) for the whole value.
    Form(&'static str, &'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words, of which each source accepts some; the description lists which.
    OneOfSome(&'static str, &'static [&'static str]),
    /// `true` or `false`, in any of Go's spellings.
    Flag,
    /// A whole number.
    Integer,
    /// A whole number of at least this.
    AtLeast(u64),
}

/// The effect of an absent key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// An absent key has no effect.
    Nothing,
    /// The default value of an absent key.
    Value(&'static str),
    /// The default depends on other keys, as described.
    Depends(&'static str),
    /// The key is always required.
    Required,
    /// The key is required unless one of these other keys is present; with a description.
    RequiredWithout(&'static [&'static str], &'static str),
}

impl Values {
    /// Whether a value has this form; its range is not checked.
    pub(super) fn allow(&self, value: &str) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Form(_, pattern) => Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|form| form.is_match(value)),
            Self::OneOf(words) | Self::OneOfSome(_, words) => words.contains(&value),
            Self::Flag => syntax::parse_bool(value).is_some(),
            Self::Integer => syntax::parse_integer(value).is_some(),
            Self::AtLeast(least) => syntax::parse_integer(value)
                .is_some_and(|number| u64::try_from(number).is_ok_and(|number| number >= *least)),
        }
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(words) | Self::Form(words, _) | Self::OneOfSome(words, _) => f.write_str(words),
            Self::OneOf(words) => f.write_str(&words.join(", ")),
            Self::Flag => f.write_str("bool"),
            Self::Integer => f.write_str("whole number"),
            Self::AtLeast(least) => write!(f, "whole number, at least {least}"),
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "–",
            Self::Value(words) | Self::Depends(words) | Self::RequiredWithout(_, words) => words,
            Self::Required => "required",
        })
    }
}

/// A Go duration, or whole seconds; the range is not checked.
pub(super) const DURATION: &str = r"(0|[1-9]\d*)|((\d+\.?\d*|\.\d+)(h|m|s|ms|us|µs|μs|ns))+";
/// A number with at most three decimals; the range is not checked.
pub(super) const NUMBER: &str = r"\d{1,12}(\.\d{1,3})?";
/// Numbers as Go writes them.
pub(super) const PARTITIONS: &str = r"\+?\d+( *- *\+?\d+)?( *, *\+?\d+( *- *\+?\d+)?)*";
/// Numbers as JSON writes them.
pub(super) const PARTITIONS_IN_JSON: &str = r"(0|[1-9]\d*)( *- *(0|[1-9]\d*))?( *, *(0|[1-9]\d*)( *- *(0|[1-9]\d*))?)*";
/// `0.x.y.z`, or `x.y.z` from 1 on.
pub(super) const VERSION: &str = r"0(\.\d+){3}|[1-9]\d*(\.\d+){2}";
pub(super) const TIME: &str = r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)";
/// A list of brokers; the range of ports is not checked.
pub(super) const BROKERS: &str = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(:\d{1,5})?( *, *(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(:\d{1,5})?)*";
pub(super) const STREAM: &str = "[a-zA-Z0-9_.-]{1,128}";
pub(super) const STREAM_ARN: &str = r"arn:[a-z0-9-]{1,32}:kinesis:[a-z0-9-]{1,32}:\d{12}:stream/[a-zA-Z0-9_.-]{1,128}";
/// A table name or ARN; whether an ARN is of the trigger's region is not checked.
pub(super) const TABLE: &str =
    r"[a-zA-Z0-9_.-]{3,255}|arn:[a-z0-9-]{1,32}:dynamodb:[a-z0-9-]{1,32}:\d{12}:table/[a-zA-Z0-9_.-]{3,255}";
/// One `{shard}`, and no other names in braces than these three.
pub(super) const PATTERN: &str = r"([^{}]|\{application\}|\{stream\})*\{shard\}([^{}]|\{application\}|\{stream\})*";
pub(super) const REGION: &str = r"[a-z0-9-]{1,32}";
pub(super) const ENDPOINT: &str = r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(:\d{1,5})?/?";
pub(super) const ROLE: &str = r"arn:[^:]*:iam::\d+:role/[A-Za-z0-9+=,.@_/-]+";
/// `name=value`, separated by commas.
pub(super) const EXTENSIONS: &str = r"(\s*,)*\s*[^=,\s][^=,]*=[^,]*(,(\s*|\s*[^=,\s][^=,]*=[^,]*))*";
