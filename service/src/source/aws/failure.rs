//! Failures of AWS calls, by AWS's own error codes: the typed errors of the SDK lack codes that a service's model does not declare.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::lag::{SourceError, SourceErrorKind};
use crate::source::chain;
use crate::source::shared::Panicked;
use crate::telemetry::UpstreamOutcome;

/// Why a call returned no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// AWS's code and message, or the reason why the call was not made.
    pub text: String,
    /// The remedy, where the kind alone does not imply it.
    remedy: Option<&'static str>,
}

/// The error of a call that was not made for lack of credentials, passed through the SDK.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.text)]
pub struct NoCredentials(pub(super) Failure);

/// The kinds of failures of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// AWS throttled the call, or the scaler's own budget held it back.
    Throttled,
    /// The stream, shard or table does not exist.
    Missing,
    /// The identity lacks the permission.
    Denied,
    /// The credentials are invalid or missing.
    Unauthenticated,
    /// There was no answer before the deadline.
    TimedOut,
    /// There was no connection to the service.
    Unreachable,
    /// The iterator expired.
    ExpiredIterator,
    /// The records at the position were deleted.
    Trimmed,
    /// The service reports that a sequence number belongs to another stream than the one that has the name now.
    FormerStream,
    /// The service rejects the request itself, such as a key that the table does not have.
    Invalid,
    /// The call failed for any other reason.
    Other,
}

/// The part of Kinesis's message for a sequence number of a former stream of the same name.
const NOT_OF_THIS_STREAM: &str = "did not come from this stream";
/// The part of Kinesis's message for a sequence number of another shard.
const OF_ANOTHER_SHARD: &str = "It encodes shardId-";
const WRONG_ROWS: &str = "check leaseTable and checkpointStore: the keys or rows of this table are not of that kind";

impl Failure {
    /// Creates a failure with this description.
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), remedy: None }
    }

    /// Sets the remedy, where the kind alone does not imply it.
    pub(crate) const fn advising(mut self, remedy: &'static str) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// Adds what was attempted, and a remedy where none closer to the cause is set.
    pub(crate) fn attempting(self, attempt: &str, remedy: Option<&'static str>) -> Self {
        Self { text: format!("{attempt}: {}", self.text), remedy: self.remedy.or(remedy), ..self }
    }

    /// Builds the failure from a credentials error: STS errors have codes of their own.
    pub fn of_credentials(error: &CredentialsError) -> Self {
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

    /// Classifies an error of the SDK.
    pub fn of<E, R>(error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => {
                let answer = answer.err();
                Self::answered(answer.code(), answer.message().unwrap_or_default())
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

    /// Whether a probe failed because of its position or only this once: probes at other positions of the shard may still succeed.
    pub(crate) const fn is_of_position(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Invalid
                | FailureKind::FormerStream
                | FailureKind::Trimmed
                | FailureKind::ExpiredIterator
                | FailureKind::Other
        )
    }

    /// Whether a call about a listed shard failed in a way that shows the list is old or belongs to another stream.
    pub(crate) const fn disputes_list(&self) -> bool {
        matches!(self.kind, FailureKind::Missing | FailureKind::FormerStream | FailureKind::Invalid)
    }

    /// Whether the same call may succeed later, so that earlier results stay usable.
    pub(crate) const fn is_passing(&self) -> bool {
        match self.kind {
            FailureKind::Throttled | FailureKind::TimedOut | FailureKind::Unreachable | FailureKind::Other => true,
            FailureKind::Missing
            | FailureKind::Denied
            | FailureKind::Unauthenticated
            | FailureKind::ExpiredIterator
            | FailureKind::Trimmed
            | FailureKind::FormerStream
            | FailureKind::Invalid => false,
        }
    }

    /// Builds the failure from the error code and message that the service returned.
    fn answered(code: Option<&str>, message: &str) -> Self {
        let code = code.unwrap_or("an error without a code");
        let text = if message.is_empty() { code.to_owned() } else { format!("{code}: {message}") };
        let (kind, remedy) = match FailureKind::of_code(code) {
            FailureKind::Invalid if message.contains(NOT_OF_THIS_STREAM) => (FailureKind::FormerStream, None),
            FailureKind::Invalid if message.contains(OF_ANOTHER_SHARD) => (FailureKind::Invalid, Some(WRONG_ROWS)),
            kind => (kind, None),
        };
        Self { remedy, ..Self::new(kind, text) }
    }

    /// Adds the remedy for a call about a checkpoint table.
    pub(crate) fn of_checkpoint_table(self) -> Self {
        let remedy = match self.kind {
            FailureKind::Missing => Some("check leaseTable or applicationName, awsRegion, and that the table exists"),
            FailureKind::Invalid => Some(WRONG_ROWS),
            _ => None,
        };
        Self { remedy: self.remedy.or(remedy), ..self }
    }

    /// Adds the remedy for a call that begins at a checkpoint.
    pub(crate) fn of_checkpoint(self) -> Self {
        let remedy = match self.kind {
            FailureKind::Missing => Some(
                "the stream or the shard does not exist: check the stream's name, awsRegion, and that leaseTable is of this stream",
            ),
            FailureKind::Invalid => Some("AWS rejects the checkpoint: check leaseTable and checkpointStore"),
            _ => None,
        };
        Self { remedy: self.remedy.or(remedy), ..self }
    }

    /// The outcome of the call in metrics.
    pub const fn outcome(&self) -> UpstreamOutcome {
        match self.kind {
            FailureKind::Throttled => UpstreamOutcome::Throttled,
            FailureKind::Missing => UpstreamOutcome::Missing,
            FailureKind::Denied | FailureKind::Unauthenticated => UpstreamOutcome::Denied,
            FailureKind::TimedOut => UpstreamOutcome::TimedOut,
            FailureKind::Unreachable => UpstreamOutcome::Unreachable,
            FailureKind::ExpiredIterator
            | FailureKind::Trimmed
            | FailureKind::FormerStream
            | FailureKind::Invalid
            | FailureKind::Other => UpstreamOutcome::Error,
        }
    }

    /// Converts the failure into an error of a source.
    pub fn into_error(self, attempt: impl Into<String>) -> SourceError {
        let (kind, remedy) = match self.kind {
            FailureKind::Throttled => {
                (SourceErrorKind::Throttled, "the scaler backs off by itself; find the other callers of this API")
            }
            FailureKind::Missing => {
                (SourceErrorKind::Missing, "check the name, awsRegion, and that the resource exists")
            }
            FailureKind::Denied => (
                SourceErrorKind::Denied,
                "allow it in the policy of the scaler's identity, and in the resource policy of a stream or table of another \
                 account; doctor prints the policy of the identity",
            ),
            FailureKind::Unauthenticated => (SourceErrorKind::Denied, "check the scaler's credentials and its clock"),
            FailureKind::TimedOut => (SourceErrorKind::TimedOut, "check that the network lets the scaler reach AWS"),
            FailureKind::Unreachable => {
                (SourceErrorKind::Unreachable, "check awsRegion, awsEndpoint, and that the network lets the scaler out")
            }
            FailureKind::FormerStream => (
                SourceErrorKind::Missing,
                "the checkpoint is of a former stream of this name: remove the former stream's rows from the checkpoint \
                 table, or give the application a new name",
            ),
            FailureKind::Invalid => {
                (SourceErrorKind::Broken, "AWS rejects the request: check the names in the metadata")
            }
            FailureKind::ExpiredIterator | FailureKind::Trimmed | FailureKind::Other => (
                SourceErrorKind::Broken,
                "unexpected answer from AWS; check the AWS Health Dashboard, else report a bug",
            ),
        };
        SourceError::new(kind, attempt).because(self.text).remedy(self.remedy.unwrap_or(remedy))
    }
}

impl From<Panicked> for Failure {
    fn from(Panicked: Panicked) -> Self {
        Self::new(FailureKind::Other, "the task that reads it panicked")
    }
}

impl FailureKind {
    /// Returns the kind for an error code, ignoring its namespace.
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

/// Returns the first cause of this type.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, message: &str) -> SourceError {
        Failure::answered(Some(code), message).into_error("could not read it")
    }

    #[test]
    fn rows_are_only_to_be_removed_where_kinesis_says_that_they_are_of_a_former_stream() {
        let former = error(
            "InvalidArgumentException",
            "StartingSequenceNumber 49592949124142737608129152630877400786080442094840709122 used in GetShardIterator on shard \
             shardId-000000000000 in stream orders under account 123456789012 is invalid because it did not come from this stream.",
        );
        assert!(former.advice().is_some_and(|advice| advice.contains("remove the former stream's rows")), "{former}");
        let others = [
            (
                "InvalidArgumentException",
                "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a call to a shard with shardId-000000000000",
            ),
            (
                "InvalidArgumentException",
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis",
            ),
            ("ValidationException", "Query condition missed key schema element: id"),
            ("ValidationException", ""),
            ("ResourceNotFoundException", "Requested resource not found"),
            ("SomethingNew", "it did not come from this stream"),
        ];
        for (code, message) in others {
            for failure in
                [Failure::answered(Some(code), message), Failure::answered(Some(code), message).of_checkpoint_table()]
            {
                let error = failure.into_error("could not read it");
                let advice = error.advice().unwrap_or_default();
                assert!(!["remove", "delete"].iter().any(|word| advice.contains(word)), "{code}, {message}: {advice}");
            }
        }
    }

    #[test]
    fn a_failure_about_a_checkpoint_names_its_table_and_not_the_stream_only() {
        let cases = [
            ("ResourceNotFoundException", "leaseTable is of this stream"),
            ("ValidationException", "check leaseTable and checkpointStore"),
            ("InvalidArgumentException", "check leaseTable and checkpointStore"),
        ];
        for (code, advice) in cases {
            let error = Failure::answered(Some(code), "why").of_checkpoint().into_error("could not read it");
            assert!(error.advice().is_some_and(|said| said.contains(advice)), "{code}: {error}");
        }
    }

    #[test]
    fn a_failure_about_a_checkpoint_table_says_which_keys_name_it() {
        let cases = [
            ("ResourceNotFoundException", SourceErrorKind::Missing, "check leaseTable or applicationName"),
            ("ValidationException", SourceErrorKind::Broken, "check leaseTable and checkpointStore"),
            (
                "ProvisionedThroughputExceededException",
                SourceErrorKind::Throttled,
                "find the other callers of this API",
            ),
        ];
        for (code, kind, advice) in cases {
            let error = Failure::answered(Some(code), "why").of_checkpoint_table().into_error("could not read it");
            assert_eq!(error.kind(), kind, "{code}");
            assert!(error.advice().is_some_and(|said| said.contains(advice)), "{code}: {error}");
        }
    }
}
