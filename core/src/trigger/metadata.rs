//! A cursor over the metadata map: reads keys by type, collects problems, and at the end rejects keys that were not read.
//!
//! KEDA's rules: values are trimmed, empty means absent, and `XFromEnv`, which arrives resolved, stands for `X`.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use super::keys::{self, Reader};
use super::syntax::{self, Decimal, Range};

const FROM_ENV: &str = "FromEnv";

/// Keys whose entries may be on separate lines, as YAML allows.
const LISTS: [&str; 3] = ["bootstrapServers", "topic", "partitionLimitation"];

/// The maximum number of keys: there are about fifty, more indicate abuse, and each unknown key is compared with all known ones.
const MOST_KEYS: usize = 100;

/// The metadata of one trigger, or the parameters of one connection.
///
/// A trigger has about a dozen keys and is parsed on every call: a list is faster than a map.
pub(super) struct Metadata<'a> {
    values: Vec<(&'a str, &'a str)>,
    problems: RefCell<Vec<Problem>>,
}

/// A closed set of words with their meanings.
pub(super) type Words<T> = &'static [(&'static str, T)];

impl<'a> Metadata<'a> {
    pub(super) fn new(map: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let mut values = Vec::with_capacity(24);
        let mut from_env = Vec::new();
        let mut too_many = false;
        for (key, value) in map {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            if values.len() + from_env.len() == MOST_KEYS {
                too_many = true;
                break;
            }
            match key.strip_suffix(FROM_ENV) {
                Some(plain) => from_env.push((plain, value)),
                None => values.push((key.as_str(), value)),
            }
        }
        for (plain, value) in from_env {
            // the plain key wins over the one from the environment
            if !values.iter().any(|(key, _)| *key == plain) {
                values.push((plain, value));
            }
        }
        let metadata = Self { values, problems: RefCell::default() };
        if too_many {
            metadata.problem("metadata", format!("has more than {MOST_KEYS} keys"));
        }
        metadata
    }

    /// The value of a key; an empty one counts as absent.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        debug_assert!(keys::find(key).is_some(), "{key} is not in the table of keys");
        self.values.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    pub(super) fn required(&self, key: &str) -> Option<&'a str> {
        let text = self.text(key);
        if text.is_none() {
            self.problem(key, "is required");
        }
        text
    }

    /// A list, separated by commas; empty entries are skipped.
    pub(super) fn list(&self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let text = self.text(key).unwrap_or_default();
        text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
    }

    pub(super) fn word<T: Copy>(&self, key: &str, words: Words<T>) -> Option<T> {
        self.word_or_hint(key, words, |_| None)
    }

    /// Reads a word; for a wrong one, `hint` may know better what to write than the nearest word.
    pub(super) fn word_or_hint<T: Copy>(
        &self,
        key: &str,
        words: Words<T>,
        hint: impl FnOnce(&str) -> Option<String>,
    ) -> Option<T> {
        let text = self.text(key)?;
        let known = words.iter().find(|(word, _)| *word == text);
        if known.is_none() {
            let allowed: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let near = || keys::nearest_word(text, &allowed).map(|near| format!(", did you mean {near}?"));
            let hint = hint(text).or_else(near).unwrap_or_default();
            self.problem(key, format!("{} must be one of {}{hint}", shown(text), allowed.join(", ")));
        }
        known.map(|(_, value)| *value)
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        let Some(text) = self.text(key) else { return false };
        syntax::parse_bool(text).unwrap_or_else(|| {
            self.problem(key, format!("{} must be true or false", shown(text)));
            false
        })
    }

    /// A whole number of at least `least`.
    pub(super) fn number(&self, key: &str, default: i64, least: i64) -> i64 {
        let Some(text) = self.text(key) else { return default };
        match syntax::parse_integer(text) {
            Some(number) if number >= least => number,
            _ => {
                self.problem(key, format!("{} must be a whole number of at least {least}", shown(text)));
                default
            }
        }
    }

    /// A whole number of 64 bits, which may be negative.
    pub(super) fn integer(&self, key: &str, default: i64) -> i64 {
        let Some(text) = self.text(key) else { return default };
        syntax::parse_integer(text).unwrap_or_else(|| {
            self.problem(key, format!("{} must be a whole number", shown(text)));
            default
        })
    }

    pub(super) fn duration(&self, key: &str, default: Duration, least: Duration, most: Duration) -> Duration {
        let Some(text) = self.text(key) else { return default };
        match syntax::parse_duration(text) {
            Some(duration) if (least..=most).contains(&duration) => duration,
            _ => {
                let (least, most) = (syntax::duration_text(least), syntax::duration_text(most));
                let message = format!("{} must be a duration such as 30s or 5m, from {least} to {most}", shown(text));
                self.problem(key, message);
                default
            }
        }
    }

    /// A number with up to three decimals; the default where it is absent or invalid.
    pub(super) fn decimal(&self, key: &str, range: &Range) -> Decimal {
        let Some(text) = self.text(key) else { return range.default };
        match Decimal::parse(text) {
            Some(number) if (range.least..=range.most).contains(&number) => number,
            _ => {
                let Range { least, most, .. } = range;
                let hint = range.share_of(text).map_or_else(String::new, |share| format!(", such as {share}"));
                self.problem(key, format!("{} must be a number from {least} to {most}{hint}", shown(text)));
                range.default
            }
        }
    }

    pub(super) fn problem(&self, key: &str, message: impl Into<String>) {
        self.note(key, message.into(), About::Value);
    }

    fn note(&self, key: &str, message: String, about: About) {
        self.problems.borrow_mut().push(Problem { key: key.to_owned(), message, about });
    }

    /// Rejects keys that are unknown or not for this reader; returns `parsed` if there was no problem at all.
    pub(super) fn finish<T>(self, parsed: Option<T>, reader: Reader) -> Result<T, TriggerError> {
        for (name, value) in &self.values {
            match keys::find(name) {
                None => {
                    let hint = keys::hint(name, value, reader).map_or_else(String::new, |hint| format!(", {hint}"));
                    self.note(&in_one_line(name), format!("is not a known key{hint}"), About::Key);
                }
                Some(key) => {
                    if let Some(refusal) = reader.refusal(key) {
                        self.note(name, refusal.to_owned(), About::Key);
                    } else if reader.wants_one_line(key.owner) && !is_plain(name, value) {
                        self.problem(name, "holds a control character");
                    }
                }
            }
        }
        let mut problems = self.problems.into_inner();
        problems.sort_by(|one, other| one.key.cmp(&other.key));
        match parsed {
            Some(parsed) if problems.is_empty() => Ok(parsed),
            _ => Err(TriggerError { problems }),
        }
    }
}

/// A value as a problem shows it: in quotes, on one line, and shortened.
pub(super) fn shown(value: &str) -> String {
    let (start, more) = beginning(value);
    format!("{start:?}{more}")
}

/// A key as a problem shows it: the same without quotes.
fn in_one_line(key: &str) -> String {
    let (start, more) = beginning(key);
    format!("{}{more}", start.escape_debug())
}

fn beginning(text: &str) -> (&str, &'static str) {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => (text.get(..end).unwrap_or_default(), " …"),
        None => (text, ""),
    }
}

/// Whether a value, or each entry of a list, is on one line and has no effect on a terminal.
fn is_plain(key: &str, value: &str) -> bool {
    let printable = |text: &str| text.chars().all(is_printable);
    if LISTS.contains(&key) { value.split(',').map(str::trim).all(printable) } else { printable(value) }
}

/// Whether a character is printable: no line end, no control character and no bidirectional control.
fn is_printable(sign: char) -> bool {
    let turns = matches!(sign, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !sign.is_control() && !turns
}

/// One problem of the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key as it was written, or the one that is missing.
    pub key: String,
    /// The problem and what is allowed. Never contains the value of a key that may hold a secret.
    pub message: String,
    /// The part that would have to change.
    pub about: About,
}

/// The part of an entry that a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The key itself: no value would be valid.
    Key,
    /// The value, or its absence.
    Value,
}

/// Metadata that is not a valid trigger, with all its problems; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct TriggerError {
    /// The problems of the metadata.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl fmt::Display for TriggerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}
