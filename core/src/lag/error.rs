//! Why there is no observation.

use std::error::Error;
use std::fmt;

use crate::trigger::SourceRef;

/// The closed set of reasons for a missing observation; it alone decides the gRPC code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceErrorKind {
    /// The topic, stream, table or group is not there.
    Missing,
    /// The scaler's own credentials, or the rules of its operator, do not allow it.
    Denied,
    /// The service asked for fewer requests, or a limit of the scaler is reached.
    Throttled,
    /// An answer did not come before the deadline.
    TimedOut,
    /// No connection could be made, or it broke.
    Unreachable,
    /// The service answered something that must not be.
    Broken,
}

impl SourceErrorKind {
    /// Every kind, for registering metrics before the first error.
    pub const ALL: [Self; 6] =
        [Self::Missing, Self::Denied, Self::Throttled, Self::TimedOut, Self::Unreachable, Self::Broken];

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word used in metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
        }
    }
}

/// A failed observation: what was attempted, on what, why it failed and what its reader can do.
///
/// `Display` prints the attempt and the remedy; the cause is in [`Error::source`], and [`SourceError::chain`] prints both.
#[derive(Clone, Debug)]
pub struct SourceError {
    kind: SourceErrorKind,
    attempt: String,
    cause: Option<Cause>,
    remedy: Option<&'static str>,
}

/// The text of what went wrong below: causes are shared between waiting callers, so the text is kept and not the value.
#[derive(Clone, Debug)]
struct Cause(String);

impl SourceError {
    /// An error of `kind`; `attempt` says in the past tense what could not be done, on which object.
    pub fn new(kind: SourceErrorKind, attempt: impl Into<String>) -> Self {
        Self { kind, attempt: attempt.into(), cause: None, remedy: None }
    }

    /// A source was given to a client that cannot read it.
    #[must_use]
    pub fn misdirected(source: &SourceRef, client: &str) -> Self {
        Self::new(SourceErrorKind::Broken, format!("{client} cannot be asked about {source}"))
    }

    /// Adds why it failed, in the words of the layer below.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(Cause(cause.to_string()));
        self
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub const fn remedy(mut self, remedy: &'static str) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// Why there is no observation.
    #[must_use]
    pub const fn kind(&self) -> SourceErrorKind {
        self.kind
    }

    /// What the reader can do about it, where that is known.
    #[must_use]
    pub const fn advice(&self) -> Option<&'static str> {
        self.remedy
    }

    /// Attempt, cause and remedy in one line, for people.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.attempt.clone();
        if let Some(cause) = &self.cause {
            text.push_str(": ");
            text.push_str(&cause.0);
        }
        if let Some(remedy) = self.remedy {
            text.push_str("; ");
            text.push_str(remedy);
        }
        text
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.attempt)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Cause {}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as &(dyn Error + 'static))
    }
}
