//! The rows of an answer: matched to the items of its request, and the errors of those that failed.

use std::collections::HashMap;
use std::hash::Hash;

use crate::source::kafka::dial::{Authentication, LoggedIn};
use crate::source::kafka::protocol::{Closed, ErrorCode, RequestError};
use crate::source::kafka::transport::RowError;

/// Returns the row of each requested item, in the order of the request. Brokers usually keep that order.
pub(super) fn in_order_of<'a, K: Eq + Hash + 'a, V>(
    asked: impl Iterator<Item = &'a K> + Clone,
    came: Vec<(K, V)>,
) -> Vec<Option<V>> {
    if came.iter().map(|(key, _)| key).eq(asked.clone()) {
        return came.into_iter().map(|(_, value)| Some(value)).collect();
    }
    let mut came: HashMap<_, _> = came.into_iter().collect();
    asked.map(|key| came.remove(key)).collect()
}

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
        RequestError::NoVersion(..) if why.is_of_a_controller() => {
            RowError::Unreachable(format!("{address}: a controller of the cluster listens there, and no broker").into())
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gets_its_own_answer_whatever_their_order() {
        let asked = ["a", "b", "c"];
        let cases = [
            (vec![("a", 1), ("b", 2), ("c", 3)], [Some(1), Some(2), Some(3)]),
            (vec![("c", 3), ("a", 1)], [Some(1), None, Some(3)]),
            (vec![("d", 4), ("b", 2), ("b", 5)], [None, Some(5), None]),
            (vec![], [None; 3]),
        ];
        for (came, expected) in cases {
            assert_eq!(in_order_of(asked.iter(), came.clone()), expected, "{came:?}");
        }
    }
}
