//! Converts Kafka's error codes, and requests without an answer, into the errors of rows.

use crate::source::kafka::dial::{Authentication, LoggedIn};
use crate::source::kafka::protocol::{Closed, ErrorCode, RequestError};
use crate::source::kafka::transport::RowError;

/// Returns the error of rows whose request had no answer over this connection.
pub(super) fn unanswered(connection: &LoggedIn, why: &RequestError) -> RowError {
    let LoggedIn { address, authentication, .. } = connection;
    let text = format!("{address}: {why}");
    match why {
        RequestError::Closed(Closed::ByBroker) if *authentication == Authentication::None => {
            RowError::Unreachable(format!("{text}; the listener may require a login: set sasl").into())
        }
        RequestError::Closed(Closed::Overdue { .. }) => RowError::Overdue(text.into()),
        RequestError::Closed(_) => RowError::Unreachable(text.into()),
        RequestError::NoVersion(..) => RowError::Unsupported(text.into()),
        RequestError::Malformed(..) | RequestError::TooLong(_) => RowError::Broker(text.into()),
    }
}

/// Returns the row error for an error code of an answer.
pub(super) fn row_error(code: ErrorCode) -> RowError {
    let text = code.to_string();
    match code {
        ErrorCode::LEADER_NOT_AVAILABLE
        | ErrorCode::NOT_LEADER_OR_FOLLOWER
        | ErrorCode::REPLICA_NOT_AVAILABLE
        | ErrorCode::BROKER_NOT_AVAILABLE
        | ErrorCode::FENCED_LEADER_EPOCH
        | ErrorCode::UNKNOWN_LEADER_EPOCH
        | ErrorCode::OFFSET_NOT_AVAILABLE
        | ErrorCode::KAFKA_STORAGE_ERROR
        | ErrorCode::NOT_COORDINATOR
        | ErrorCode::COORDINATOR_NOT_AVAILABLE
        | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        | ErrorCode::UNKNOWN_TOPIC_ID => RowError::Moving(text.into()),
        ErrorCode::TOPIC_AUTHORIZATION_FAILED
        | ErrorCode::GROUP_AUTHORIZATION_FAILED
        | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
        | ErrorCode::SASL_AUTHENTICATION_FAILED => RowError::Denied(text.into()),
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::GROUP_ID_NOT_FOUND => RowError::Gone(text.into()),
        ErrorCode::NETWORK_EXCEPTION => RowError::Unreachable(text.into()),
        ErrorCode::REQUEST_TIMED_OUT => RowError::Overdue(text.into()),
        _ => RowError::Broker(text.into()),
    }
}
