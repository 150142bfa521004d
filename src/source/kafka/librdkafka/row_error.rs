//! librdkafka's error codes as the reasons why a row has no value.

use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};

use crate::source::kafka::native::Failure;
use crate::source::kafka::transport::RowError;

/// The reason in `failure`; `cause` is the client's last error, which explains requests that got no answer.
pub(super) fn row_error(failure: &Failure, cause: Option<&Failure>) -> RowError {
    match plain(failure) {
        RowError::Unreachable(text) if cause.is_none() => RowError::Unreachable(text),
        RowError::Unreachable(text) | RowError::Overdue(text) => unanswered(text, cause),
        error => error,
    }
}

/// The reason why there was no answer at all, said in `text`.
pub(super) fn unanswered(text: String, cause: Option<&Failure>) -> RowError {
    match cause.map(plain) {
        None => RowError::Overdue(text),
        Some(RowError::Denied(why)) => RowError::Denied(why),
        Some(RowError::Overdue(why)) => RowError::Overdue(format!("{text}: {why}")),
        Some(why) => RowError::Unreachable(format!("{text}: {why}")),
    }
}

fn plain(Failure { code, text }: &Failure) -> RowError {
    let text = text.clone();
    let Ok(known) = RDKafkaRespErr::try_from(*code).map(Code::from) else { return RowError::Broker(text) };
    match known {
        Code::NotLeaderForPartition
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::LeaderNotAvailable
        | Code::ReplicaNotAvailable
        | Code::NotCoordinator
        | Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::WaitingForCoordinator
        | Code::UnknownPartition
        // no leader in the client's own metadata, as while a broker is down; whether the topic is there the brokers tell
        | Code::NoEnt
        | Code::UnknownTopicId => RowError::Moving(text),
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::Authentication => RowError::Denied(text),
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::GroupIdNotFound => RowError::Gone(text),
        Code::BrokerTransportFailure
        | Code::Resolve
        | Code::AllBrokersDown
        | Code::SSL
        | Code::NetworkException
        | Code::BrokerDestroy
        | Code::DestroyBroker
        | Code::UnknownBroker => RowError::Unreachable(text),
        Code::OperationTimedOut | Code::MessageTimedOut | Code::TimedOutQueue | Code::RequestTimedOut => {
            RowError::Overdue(text)
        }
        _ => RowError::Broker(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: Code, text: &str) -> Failure {
        Failure { code: code as i32, text: text.to_owned() }
    }

    #[test]
    fn each_kind_of_code_has_its_reason() {
        let of = |code| row_error(&failure(code, "x"), None);
        assert_eq!(of(Code::NotCoordinator), RowError::Moving("x".into()));
        assert_eq!(
            of(Code::NoEnt),
            RowError::Moving("x".into()),
            "a broker that is down is no topic that is not there"
        );
        assert_eq!(of(Code::GroupAuthorizationFailed), RowError::Denied("x".into()));
        assert_eq!(of(Code::UnknownTopicOrPartition), RowError::Gone("x".into()));
        assert_eq!(of(Code::BrokerTransportFailure), RowError::Unreachable("x".into()));
        assert_eq!(of(Code::OperationTimedOut), RowError::Overdue("x".into()));
        assert_eq!(of(Code::InvalidRequest), RowError::Broker("x".into()));
    }

    #[test]
    fn a_code_that_librdkafka_does_not_know_is_the_brokers() {
        let unknown = Failure { code: 9_999, text: "error 9999".into() };
        assert_eq!(row_error(&unknown, None), RowError::Broker("error 9999".into()));
    }

    #[test]
    fn a_wrong_password_reads_as_denied_and_not_as_a_timeout() {
        let cause = failure(Code::Authentication, "SASL authentication error: no");
        let error = row_error(&failure(Code::OperationTimedOut, "timed out"), Some(&cause));
        assert_eq!(error, RowError::Denied("SASL authentication error: no".into()));
    }

    #[test]
    fn a_refused_connection_is_named_behind_the_timeout() {
        let cause = failure(Code::BrokerTransportFailure, "connection refused");
        let error = row_error(&failure(Code::OperationTimedOut, "timed out"), Some(&cause));
        assert_eq!(error, RowError::Unreachable("timed out: connection refused".into()));
    }

    #[test]
    fn the_cause_does_not_touch_what_a_broker_said() {
        let cause = failure(Code::Authentication, "SASL authentication error: no");
        let error = row_error(&failure(Code::NotCoordinator, "moved"), Some(&cause));
        assert_eq!(error, RowError::Moving("moved".into()));
    }
}
