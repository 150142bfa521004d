//! What went wrong with a call, by AWS's own codes: the typed errors of the SDK lack those that a service is not said to give.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::lag::{SourceError, SourceErrorKind};
use crate::telemetry::UpstreamOutcome;

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    /// AWS's code and message, or what kept the call from being made.
    pub(super) text: String,
    /// What to do, where the kind alone does not tell.
    remedy: Option<&'static str>,
}

/// A call was not made for lack of credentials, as the SDK hands it through.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.text)]
pub(super) struct NoCredentials(pub(super) Failure);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// Too many calls, or the scaler itself holds back because there were.
    Throttled,
    /// The stream, shard or table is not there.
    Missing,
    /// The identity may not do this.
    Denied,
    /// The credentials are no good, or there are none.
    Unauthenticated,
    /// No answer before the deadline.
    TimedOut,
    /// No connection.
    Unreachable,
    /// The iterator was not used for too long.
    ExpiredIterator,
    /// The records behind the position were deleted.
    Trimmed,
    /// The request does not fit the stream.
    Invalid,
    /// Anything else.
    Other,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), remedy: None }
    }

    /// Says what was attempted, and what to do where nothing nearer to the cause has said so.
    pub(super) fn attempting(self, attempt: &str, remedy: Option<&'static str>) -> Self {
        Self { text: format!("{attempt}: {}", self.text), remedy: self.remedy.or(remedy), ..self }
    }

    /// Why there are no credentials: STS has reasons of its own, with the codes of an answer.
    pub(super) fn of_credentials(error: &CredentialsError) -> Self {
        if let Some(NoCredentials(why)) = find(error) {
            return why.clone();
        }
        if let Some(refused) = find::<SdkError<AssumeRoleError, HttpResponse>>(error) {
            return Self::of(refused);
        }
        if let Some(refused) = find::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>(error) {
            return Self::of(refused);
        }
        Self::new(FailureKind::Unauthenticated, chain(error))
    }

    pub(super) fn of<E, R>(error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => {
                let answer = answer.err();
                let code = answer.code().unwrap_or("an error without a code");
                let message = answer.message().filter(|message| !message.is_empty());
                let text = message.map_or_else(|| code.to_owned(), |message| format!("{code}: {message}"));
                Self::new(FailureKind::of_code(code), text)
            }
            SdkError::TimeoutError(_) => Self::new(FailureKind::TimedOut, "no answer in time"),
            SdkError::DispatchFailure(failure) => {
                let cause = failure.as_connector_error().map_or(error as &dyn Error, |cause| cause);
                if let Some(error) = find(cause) {
                    return Self::of_credentials(error);
                }
                let kind = if failure.is_timeout() { FailureKind::TimedOut } else { FailureKind::Unreachable };
                Self::new(kind, chain(cause))
            }
            other => Self::new(FailureKind::Other, chain(other)),
        }
    }

    pub(super) const fn outcome(&self) -> UpstreamOutcome {
        match self.kind {
            FailureKind::Throttled => UpstreamOutcome::Throttled,
            FailureKind::Missing => UpstreamOutcome::Missing,
            FailureKind::Denied | FailureKind::Unauthenticated => UpstreamOutcome::Denied,
            FailureKind::TimedOut => UpstreamOutcome::TimedOut,
            FailureKind::Unreachable => UpstreamOutcome::Unreachable,
            FailureKind::ExpiredIterator | FailureKind::Trimmed | FailureKind::Invalid | FailureKind::Other => {
                UpstreamOutcome::Error
            }
        }
    }

    /// As an error of a source.
    pub(super) fn into_error(self, attempt: impl Into<String>) -> SourceError {
        let (kind, remedy) = match self.kind {
            FailureKind::Throttled => {
                (SourceErrorKind::Throttled, "the scaler slows down by itself; look who else calls")
            }
            FailureKind::Missing => (SourceErrorKind::Missing, "check the name and awsRegion, and that it was made"),
            FailureKind::Denied => (
                SourceErrorKind::Denied,
                "allow it in the policy of the scaler's identity; doctor tells which one is enough",
            ),
            FailureKind::Unauthenticated => (SourceErrorKind::Denied, "check the scaler's credentials and its clock"),
            FailureKind::TimedOut => (SourceErrorKind::TimedOut, "check that the network lets the scaler reach AWS"),
            FailureKind::Unreachable => {
                (SourceErrorKind::Unreachable, "check awsRegion, awsEndpoint, and that the network lets the scaler out")
            }
            FailureKind::Invalid => (
                SourceErrorKind::Missing,
                "if the stream was deleted and made again, the old checkpoints must be deleted too",
            ),
            FailureKind::ExpiredIterator | FailureKind::Trimmed | FailureKind::Other => {
                (SourceErrorKind::Broken, "look at the service's health")
            }
        };
        SourceError::new(kind, attempt).because(self.text).remedy(self.remedy.unwrap_or(remedy))
    }
}

impl FailureKind {
    /// By the code, without its namespace.
    fn of_code(code: &str) -> Self {
        match code {
            "ProvisionedThroughputExceededException"
            | "LimitExceededException"
            | "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestLimitExceeded"
            | "KMSThrottlingException"
            | "TooManyRequestsException" => Self::Throttled,
            "ResourceNotFoundException" => Self::Missing,
            "AccessDenied" | "AccessDeniedException" | "KMSAccessDeniedException" => Self::Denied,
            "UnrecognizedClientException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "IDPRejectedClaim"
            | "InvalidIdentityToken"
            | "RegionDisabledException"
            | "SignatureDoesNotMatch"
            | "ValidationError"
            | "InvalidSignatureException"
            | "IncompleteSignatureException"
            | "InvalidClientTokenId"
            | "MissingAuthenticationTokenException"
            | "OptInRequired" => Self::Unauthenticated,
            "ExpiredIteratorException" => Self::ExpiredIterator,
            "TrimmedDataAccessException" => Self::Trimmed,
            "InvalidArgumentException" | "ValidationException" => Self::Invalid,
            _ => Self::Other,
        }
    }
}

/// The first cause of this type.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    // the chain of credentials tells each of its attempts on a line of its own
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
