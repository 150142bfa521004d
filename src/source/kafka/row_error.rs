//! Error codes of Kafka and librdkafka as reasons for a missing row.

use rdkafka::bindings::rd_kafka_resp_err_t;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::native::NativeError;
use super::transport::RowError;

/// The text of a code.
pub(super) fn describe(code: i32) -> String {
    match rd_kafka_resp_err_t::try_from(code) {
        Ok(known) => Code::from(known).to_string(),
        Err(_) => format!("error code {code}"),
    }
}

/// Why a row has no value. Where a request failed for want of a connection, `connection` tells why that is: a wrong password,
/// say, is known only there.
pub(super) fn row_error(error: &NativeError, connection: Option<NativeError>) -> RowError {
    let text = error.text.clone();
    let Ok(known) = rd_kafka_resp_err_t::try_from(error.code) else { return RowError::Broker(text) };
    match Code::from(known) {
        Code::NotLeaderForPartition
        | Code::LeaderNotAvailable
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::OffsetNotAvailable
        | Code::NotCoordinator
        | Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::RebalanceInProgress
        | Code::UnstableOffsetCommit
        | Code::KafkaStorageError
        | Code::UnknownPartition
        | Code::WaitingForCoordinator => RowError::Moving(text),
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication => RowError::Denied(text),
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::NoEnt | Code::InvalidTopic => RowError::Gone(text),
        Code::OperationTimedOut | Code::RequestTimedOut | Code::TimedOutQueue => match connection {
            Some(cause) => from_connection(&cause),
            None => RowError::Overdue(text),
        },
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve | Code::SSL | Code::NetworkException => {
            match connection {
                Some(cause) => from_connection(&cause),
                None => RowError::Unreachable(text),
            }
        }
        _ => RowError::Broker(text),
    }
}

/// What an error of the connection means for a row.
pub(super) fn from_connection(cause: &NativeError) -> RowError {
    let text = cause.text.clone();
    match rd_kafka_resp_err_t::try_from(cause.code).map(Code::from) {
        Ok(Code::Authentication | Code::SaslAuthenticationFailed) => RowError::Denied(text),
        _ => RowError::Unreachable(text),
    }
}
