//! What is wrong with metadata: every problem at once, each with what would be right.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key as it was written, or the one that is missing.
    pub key: String,
    /// What is wrong with it and what is allowed. Never the value of a key that may hold a secret.
    pub message: String,
    /// What would have to change.
    pub about: About,
}

/// What a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The key itself: no value would make it good.
    Key,
    /// The value, or that there is none.
    Value,
}

/// Metadata that is no trigger, with all its problems; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct TriggerError {
    /// Each of them.
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
