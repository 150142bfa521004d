//! What is asked of librdkafka and what it answers, copied out of its memory.

use std::ffi::{CString, c_int};
use std::time::Duration;

use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use crate::source::kafka::transport::{Broker, BrokerId, GroupId, GroupState, LogPosition, TopicName, TopicPartition};

/// One asynchronous request.
#[derive(Debug)]
pub(in crate::source::kafka) enum Ask {
    /// What a group committed; `None` for all that it committed.
    Committed { group: GroupId, partitions: Option<Vec<TopicPartition>> },
    /// One end of the log of partitions, at most [`MAX_OFFSETS`] of them, which one broker leads.
    Offsets { partitions: Vec<TopicPartition>, at: LogPosition, timeout: Duration },
    /// Ids, partitions and leaders of topics, from a broker that is known to be there.
    Topics { names: Vec<TopicName>, from: BrokerId, timeout: Duration },
    /// State and members of a group.
    Group(GroupId),
}

/// librdkafka handles the rows of a `ListOffsets` in quadratic time: 1 000 at once take several times the CPU of 200 five times,
/// 10 000 nearly 2 s.
pub(in crate::source::kafka) const MAX_OFFSETS: usize = 200;

/// The answer to an [`Ask`].
#[derive(Debug)]
pub(in crate::source::kafka) enum Reply {
    Partitions(Vec<PartitionRow>),
    Topics(Vec<TopicRow>),
    Group(GroupState),
}

/// A partition's offset as it stood on the wire: negative ones mean that there is none.
#[derive(Debug)]
pub(in crate::source::kafka) struct PartitionRow {
    pub(in crate::source::kafka) topic: TopicName,
    pub(in crate::source::kafka) partition: i32,
    pub(in crate::source::kafka) offset: i64,
    pub(in crate::source::kafka) error: Option<Failure>,
}

/// A topic as a broker describes it.
#[derive(Debug)]
pub(in crate::source::kafka) struct TopicRow {
    pub(in crate::source::kafka) name: TopicName,
    pub(in crate::source::kafka) found: Result<TopicFound, Failure>,
}

#[derive(Debug)]
pub(in crate::source::kafka) struct TopicFound {
    /// 0 where the broker knows no ids.
    pub(in crate::source::kafka) id: u128,
    /// Partition and leader.
    pub(in crate::source::kafka) partitions: Vec<(i32, Option<BrokerId>)>,
}

/// What a metadata request brought beside the leaders, which stay inside librdkafka.
#[derive(Debug)]
pub(in crate::source::kafka) struct Metadata {
    /// The brokers that the cluster takes for living.
    pub(in crate::source::kafka) brokers: Vec<Broker>,
    /// The topics in the answer.
    pub(in crate::source::kafka) topics: Vec<TopicName>,
}

/// librdkafka's code and text for what went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source::kafka) struct Failure {
    pub(in crate::source::kafka) code: i32,
    pub(in crate::source::kafka) text: String,
}

impl Reply {
    /// Whether a broker said any of it: librdkafka makes up rows without error and without offset for a silent one.
    pub(in crate::source::kafka) fn came_from_a_broker(&self) -> bool {
        match self {
            Self::Partitions(rows) => rows.iter().any(|row| row.offset >= 0),
            Self::Topics(_) | Self::Group(_) => true,
        }
    }
}

/// What comes out of a client's queue.
#[derive(Debug)]
pub(super) enum Event {
    Log { severity: i32, facility: String, line: String },
    Error(Failure),
    TokenWanted,
    Result { key: usize, result: Result<Reply, Failure> },
}

/// A token for OAUTHBEARER.
pub(in crate::source::kafka) struct NativeToken<'a> {
    pub(in crate::source::kafka) value: &'a str,
    pub(in crate::source::kafka) principal: &'a str,
    pub(in crate::source::kafka) expires_unix_ms: i64,
    pub(in crate::source::kafka) extensions: &'a [(String, String)],
}

/// A request was sent: its result comes as an event.
pub(super) type Sent = Result<(), Failure>;

impl Failure {
    pub(super) fn without_group() -> Self {
        Self::invalid("an answer without the group".to_owned())
    }

    pub(super) fn of(code: i32) -> Self {
        let text = RDKafkaRespErr::try_from(code)
            .map_or_else(|_| format!("error {code} of the broker"), |known| RDKafkaErrorCode::from(known).to_string());
        Self { code, text }
    }

    /// Something that was not sent, or not understood.
    pub(super) fn invalid(text: String) -> Self {
        Self { code: RDKafkaErrorCode::InvalidArgument as i32, text }
    }
}

/// A broker; librdkafka keeps a port as it stood on the wire.
pub(super) fn named(id: i32, host: String, port: i32) -> Result<Broker, Failure> {
    match u16::try_from(port) {
        Ok(port @ 1..) => Ok(Broker { id: BrokerId(id), host, port }),
        _ => Err(Failure::invalid(format!("broker {id} advertises {host} with port {port}, which is none"))),
    }
}

pub(super) fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Failure::invalid("a text with a NUL byte".to_owned()))
}

/// Within what librdkafka takes as a timeout.
pub(super) fn millis(duration: Duration) -> c_int {
    c_int::try_from(duration.as_millis()).unwrap_or(c_int::MAX).clamp(1, 3_600_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_nowhere_without_a_port_that_is_one() {
        assert_eq!(named(3, "b3".into(), 9092).map(|broker| broker.port).map_err(|failure| failure.text), Ok(9092));
        for port in [-1, 0, 65_536] {
            let failure = named(3, "b3".into(), port).unwrap_err();
            assert_eq!(failure.text, format!("broker 3 advertises b3 with port {port}, which is none"));
        }
    }
}
