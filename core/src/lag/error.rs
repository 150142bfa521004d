//! Why a source could not be observed.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::trigger::SourceRef;

/// The closed set of reasons for a missing observation; the reason alone decides the gRPC code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceErrorKind {
    /// The topic, stream, table or group does not exist.
    Missing,
    /// The scaler's own credentials, or the rules of its operator, deny access.
    Denied,
    /// The service throttles requests, or a limit of the scaler is reached.
    Throttled,
    /// The service did not answer before the deadline.
    TimedOut,
    /// The connection could not be established, or it broke.
    Unreachable,
    /// The service sent an answer that violates its protocol.
    Broken,
}

impl SourceErrorKind {
    /// Every kind, for registering metrics before the first error.
    pub const ALL: [Self; 6] =
        [Self::Missing, Self::Denied, Self::Throttled, Self::TimedOut, Self::Unreachable, Self::Broken];

    /// The index of this kind in [`Self::ALL`].
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
    remedy: Option<Cow<'static, str>>,
}

/// The text of the underlying error: waiting callers share it, so the text is stored and not the value.
#[derive(Clone, Debug)]
struct Cause(String);

impl SourceError {
    /// Creates an error of `kind`; `attempt` names, in the past tense, the operation that failed and its object.
    pub fn new(kind: SourceErrorKind, attempt: impl Into<String>) -> Self {
        Self { kind, attempt: attempt.into(), cause: None, remedy: None }
    }

    /// Creates an error for a source that was passed to a client that cannot read it.
    #[must_use]
    pub fn misdirected(source: &SourceRef, client: &str) -> Self {
        Self::new(SourceErrorKind::Broken, format!("{client} cannot read {source}"))
    }

    /// Adds the cause, in the words of the layer below.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(Cause(cause.to_string()));
        self
    }

    /// Adds what the reader can do about the failure.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The reason for the missing observation.
    #[must_use]
    pub const fn kind(&self) -> SourceErrorKind {
        self.kind
    }

    /// What the reader can do about the failure, where that is known.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// Formats attempt, cause and remedy in one line for people.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.attempt.clone();
        if let Some(cause) = &self.cause {
            text.push_str(": ");
            text.push_str(&cause.0);
        }
        if let Some(remedy) = &self.remedy {
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
