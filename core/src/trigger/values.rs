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
