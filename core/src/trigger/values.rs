//! What the value of a key looks like, and what holds where the key is absent: for the docs in words, for the schemas in types.

use std::fmt;

use regex_lite::Regex;

use super::syntax;

/// What a value looks like. [`fmt::Display`] says it as the docs do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Any text that is not blank; what it is in words.
    Text(&'static str),
    /// Text of a form: in words, and as a regular expression (ECMA-262) for the whole of it.
    Form(&'static str, &'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words, of which a source takes some; in words which.
    OneOfSome(&'static str, &'static [&'static str]),
    /// `true` or `false`, in any of Go's spellings.
    Flag,
    /// A whole number.
    Integer,
    /// A whole number of at least this.
    AtLeast(u64),
}

/// What holds where a key is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Nothing does.
    Nothing,
    /// This value does.
    Value(&'static str),
    /// What the words say: it depends.
    Depends(&'static str),
    /// The key must be there.
    Required,
    /// It must be there unless one of these other keys is; in words.
    RequiredWithout(&'static [&'static str], &'static str),
}

impl Values {
    /// Whether a value has this form; its range is not looked at.
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
