//! The only module that creates a gRPC status.

use tonic::{Code, Status};

use crate::lag::{SourceError, SourceErrorKind};
use crate::limits::QuotaExceeded;
use crate::telemetry::RpcCode;
use crate::trigger::TriggerError;

/// The maximum length of a message in bytes. It travels in a header; a longer one is cut, so that no proxy or client rejects it.
const LONGEST_MESSAGE: usize = 4096;

/// Reports bad metadata: every problem in one message, which KEDA shows in the events of the `ScaledObject`.
pub(super) fn bad_metadata(error: &TriggerError) -> Status {
    Status::invalid_argument(cut(error.to_string()))
}

/// Reports a namespace or a name that Kubernetes would reject.
pub(super) fn bad_name(what: &str, longest: usize) -> Status {
    Status::invalid_argument(format!(
        "invalid {what}: not a Kubernetes name (at most {longest} characters, no whitespace)"
    ))
}

/// Reports that a limit is reached.
pub(super) fn full(full: &QuotaExceeded) -> Status {
    Status::resource_exhausted(cut(format!("{full}; {}", full.limit.remedy())))
}

/// Reports that there is no reading: the code shows the kind of error, the message what to do.
pub(super) fn no_reading(error: &SourceError) -> Status {
    Status::new(code(error.kind()), cut(error.chain()))
}

/// Returns the code for a source's error. `Denied` is not `PERMISSION_DENIED`: the source denied access to the scaler, not the scaler
/// to its caller.
fn code(kind: SourceErrorKind) -> Code {
    match kind {
        SourceErrorKind::Missing => Code::NotFound,
        SourceErrorKind::Denied => Code::FailedPrecondition,
        SourceErrorKind::Throttled => Code::ResourceExhausted,
        SourceErrorKind::TimedOut => Code::DeadlineExceeded,
        SourceErrorKind::Unreachable => Code::Unavailable,
        SourceErrorKind::Broken => Code::Internal,
    }
}

/// Returns the names of a code.
pub(super) const fn names(code: Code) -> RpcCode {
    let (name, label) = match code {
        Code::Ok => ("OK", "OK"),
        Code::Cancelled => ("CANCELLED", "Canceled"),
        Code::Unknown => ("UNKNOWN", "Unknown"),
        Code::InvalidArgument => ("INVALID_ARGUMENT", "InvalidArgument"),
        Code::DeadlineExceeded => ("DEADLINE_EXCEEDED", "DeadlineExceeded"),
        Code::NotFound => ("NOT_FOUND", "NotFound"),
        Code::AlreadyExists => ("ALREADY_EXISTS", "AlreadyExists"),
        Code::PermissionDenied => ("PERMISSION_DENIED", "PermissionDenied"),
        Code::ResourceExhausted => ("RESOURCE_EXHAUSTED", "ResourceExhausted"),
        Code::FailedPrecondition => ("FAILED_PRECONDITION", "FailedPrecondition"),
        Code::Aborted => ("ABORTED", "Aborted"),
        Code::OutOfRange => ("OUT_OF_RANGE", "OutOfRange"),
        Code::Unimplemented => ("UNIMPLEMENTED", "Unimplemented"),
        Code::Internal => ("INTERNAL", "Internal"),
        Code::Unavailable => ("UNAVAILABLE", "Unavailable"),
        Code::DataLoss => ("DATA_LOSS", "DataLoss"),
        Code::Unauthenticated => ("UNAUTHENTICATED", "Unauthenticated"),
    };
    RpcCode { name, label }
}

/// Returns the name of the code for a failed observation, for the command line.
#[must_use]
pub fn code_of(error: &SourceError) -> &'static str {
    names(code(error.kind())).name
}

fn cut(mut message: String) -> String {
    if message.len() > LONGEST_MESSAGE {
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        message.push_str(" …");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_its_code_and_keeps_its_cause() {
        let cases = [
            (SourceErrorKind::Missing, Code::NotFound),
            (SourceErrorKind::Denied, Code::FailedPrecondition),
            (SourceErrorKind::Throttled, Code::ResourceExhausted),
            (SourceErrorKind::TimedOut, Code::DeadlineExceeded),
            (SourceErrorKind::Unreachable, Code::Unavailable),
            (SourceErrorKind::Broken, Code::Internal),
        ];
        assert_eq!(cases.len(), SourceErrorKind::ALL.len());
        for (kind, code) in cases {
            let error = SourceError::new(kind, "reading group a").because("connection refused").remedy("start it");
            let status = no_reading(&error);
            assert_eq!(status.code(), code);
            assert_eq!(status.message(), "reading group a: connection refused; start it");
        }
    }

    #[test]
    fn a_very_long_message_is_cut_between_characters() {
        let status = no_reading(&SourceError::new(SourceErrorKind::Broken, "ä".repeat(4000)));
        assert!(status.message().len() <= LONGEST_MESSAGE + 4);
        assert!(status.message().ends_with('…'));
    }
}
