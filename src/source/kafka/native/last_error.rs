//! The best known reason why a client cannot talk to its brokers.
//!
//! A request that fails for want of a connection only says that it timed out; the cause comes as an event of its own.

use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::words::Failure;

/// Keeps the most telling failure since something last succeeded.
#[derive(Debug, Default)]
pub(super) struct LastError(Option<Failure>);

impl LastError {
    pub(super) fn record(&mut self, failure: Failure) {
        if self.0.as_ref().is_none_or(|kept| telling(failure.code) >= telling(kept.code)) {
            self.0 = Some(failure);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    pub(super) fn get(&self) -> Option<Failure> {
        self.0.clone()
    }
}

/// "All brokers are down" repeats many times a second and explains nothing; a refused password explains all.
fn telling(code: i32) -> u8 {
    match RDKafkaRespErr::try_from(code).map(RDKafkaErrorCode::from) {
        Ok(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed | RDKafkaErrorCode::SSL) => 2,
        Ok(RDKafkaErrorCode::AllBrokersDown) => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: RDKafkaErrorCode) -> Failure {
        Failure { code: code as i32, text: code.to_string() }
    }

    #[test]
    fn all_brokers_down_does_not_hide_the_cause() {
        let mut last = LastError::default();
        last.record(failure(RDKafkaErrorCode::Authentication));
        last.record(failure(RDKafkaErrorCode::AllBrokersDown));
        last.record(failure(RDKafkaErrorCode::BrokerTransportFailure));
        assert_eq!(last.get(), Some(failure(RDKafkaErrorCode::Authentication)));
    }

    #[test]
    fn a_cause_replaces_all_brokers_down() {
        let mut last = LastError::default();
        last.record(failure(RDKafkaErrorCode::AllBrokersDown));
        last.record(failure(RDKafkaErrorCode::Resolve));
        assert_eq!(last.get(), Some(failure(RDKafkaErrorCode::Resolve)));
    }

    #[test]
    fn success_forgets_the_cause() {
        let mut last = LastError::default();
        last.record(failure(RDKafkaErrorCode::Authentication));
        last.clear();
        assert_eq!(last.get(), None);
    }
}
