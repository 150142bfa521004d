//! The problems of metadata: all of them at once, each with the valid form.

use std::fmt;

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
