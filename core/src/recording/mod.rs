//! Recorded readings of a source over time, so that policies can be tried on them later.
//!
//! A file belongs to one source and contains JSON lines: the first names the source and its triggers, the others are readings. It contains
//! positions, ends, ages and the names of topics, shards and consumers; never a record, never a credential. The module is pure: the caller
//! reads and writes files and passes lines.

mod application;
mod group;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use self::application::ApplicationLine;
use self::group::GroupLine;
use crate::lag::{Observation, ShardsObservation};
use crate::trigger::keys::{Owner, find};

/// The version of the format; a file of another version is rejected.
pub const VERSION: u32 = 1;

/// The metadata of a trigger that may be recorded.
pub type Metadata = BTreeMap<String, String>;

/// A line of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Line {
    /// The first line: what was recorded.
    Recording {
        /// The version of the format.
        version: u32,
        /// The source in text form.
        source: String,
        /// The triggers of the source so far.
        triggers: Vec<Metadata>,
    },
    /// Another trigger uses the source.
    Trigger(Metadata),
    /// A reading of the source.
    Reading {
        /// When the reading began: milliseconds since 1970.
        at: u64,
        /// The content of the reading.
        of: Reading,
    },
}

/// The content of a reading, column by column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reading {
    /// A reading of a Kafka consumer group.
    Group(GroupLine),
    /// A reading of an application on a stream.
    Application(ApplicationLine),
    /// A reading of the shards of a stream.
    Shards {
        /// The number of open shards.
        open: u64,
        /// The number of closed shards.
        closed: u64,
    },
}

/// An error in a line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The columns have different lengths.
    #[error("the columns of {0} have different lengths")]
    Columns(String),
    /// A word or number that this version does not write.
    #[error("{0:?} is no {1}")]
    Word(String, &'static str),
}

impl Reading {
    /// Converts an observation to its recorded form; `None` for the writes to a stream, of which CloudWatch keeps every minute.
    #[must_use]
    pub fn of(observation: &Observation) -> Option<Self> {
        match observation {
            Observation::Kafka(group) => Some(Self::Group(group.into())),
            Observation::Application(application) => Some(Self::Application(application.into())),
            Observation::Shards(shards) => Some(Self::Shards { open: shards.open, closed: shards.closed }),
            Observation::Writes(_) => None,
        }
    }
}

impl TryFrom<Reading> for Observation {
    type Error = LineError;

    fn try_from(reading: Reading) -> Result<Self, LineError> {
        Ok(match reading {
            Reading::Group(group) => Self::Kafka(group.try_into()?),
            Reading::Application(application) => Self::Application(application.try_into()?),
            Reading::Shards { open, closed } => Self::Shards(ShardsObservation { open, closed }),
        })
    }
}

/// The part of a trigger's metadata that may be recorded: no credentials and no unknown keys.
#[must_use]
pub fn without_secrets(metadata: &HashMap<String, String>) -> Metadata {
    let harmless = |name: &str| {
        find(name).is_some_and(|key| !matches!(key.owner, Owner::AwsIdentity | Owner::Connection | Owner::Keda))
    };
    metadata.iter().filter(|(name, _)| harmless(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lag::streams::{
        AgeBasis, Backlog, Checkpoint, Lease, SequenceNumber, ShardId, ShardReport, ShardState, Survey, Timestamp,
    };
    use crate::lag::{
        ApplicationObservation, Checkpoints, CommittedOffset, GroupObservation, Member, MemberIndex, Members, Offset,
        PartitionId, PartitionObservation, TopicId, TopicObservation, Watermarks,
    };
    use crate::trigger::GroupType;

    fn again(observation: &Observation) -> Observation {
        let line = Line::Reading { at: 7, of: Reading::of(observation).expect("it is recorded") };
        let text = serde_json::to_string(&line).expect("it can be written");
        let Line::Reading { of, .. } = serde_json::from_str(&text).expect("it can be read") else { panic!("{text}") };
        of.try_into().expect("it is what it says")
    }

    fn group(members: Members) -> Observation {
        let partition = |number, committed, owner| PartitionObservation {
            partition: PartitionId(number),
            committed,
            watermarks: Watermarks { start: Offset(5), end: Offset(100) },
            owner,
        };
        let partitions = vec![
            partition(0, CommittedOffset::At(Offset(60)), Some(MemberIndex(0))),
            partition(1, CommittedOffset::None, None),
        ];
        let topic = TopicObservation {
            name: "orders".into(),
            id: Some(TopicId(0xabc)),
            partition_count: u32::try_from(partitions.len()).expect("few"),
            partitions,
        };
        Observation::Kafka(GroupObservation {
            topics: vec![topic],
            absent: vec!["gone".into()],
            group_type: GroupType::Share,
            members,
        })
    }

    #[test]
    fn a_groups_reading_comes_back_as_it_was() {
        let member = Member { id: "a-1".into(), client_id: "a".into() };
        for members in [Members::Unread, Members::Rebalancing(3), Members::Settled(vec![member])] {
            let observation = group(members);
            assert_eq!(again(&observation), observation);
        }
    }

    #[test]
    fn an_applications_reading_comes_back_as_it_was() {
        let lease = Lease {
            shard: ShardId::new("shardId-1"),
            checkpoint: Checkpoint::After(
                SequenceNumber::parse("49545115243490985018280067714973144582180062593244200961").expect("a number"),
            ),
            sub_sequence: None,
            parents: Vec::new(),
            owner: Some("w".into()),
            counter: Some(7),
            throughput_kbps: Some(1.5),
        };
        let report = |number: u32, lease: Option<Lease>, backlog| ShardReport {
            shard: ShardId::new(&format!("shardId-{number}")),
            state: Some(ShardState::Open),
            lease,
            bound: None,
            backlog,
        };
        let age = Duration::from_millis(1500);
        let shards = vec![
            report(1, Some(lease), Backlog::Unread { age, basis: AgeBasis::Record }),
            report(2, None, Backlog::Waits { on: ShardId::new("shardId-1") }),
            report(3, None, Backlog::CaughtUp),
            report(4, None, Backlog::Finished),
        ];
        let observation = Observation::Application(ApplicationObservation {
            survey: Survey { shards, wanted: Vec::new() },
            checkpoints: Checkpoints::Some,
            workers: Vec::new(),
            table: None,
            retention: Some(Duration::from_secs(86_400)),
            seen: Timestamp::from_unix_ms(9),
        });
        assert_eq!(again(&observation), observation);
        let shards = Observation::Shards(ShardsObservation { open: 2, closed: 1 });
        assert_eq!(again(&shards), shards);
    }

    #[test]
    fn no_credential_is_written_down() {
        let metadata = [
            ("source", "aws-kinesis-stream"),
            ("awsAccessKeyID", "AKIA"),
            ("awsSecretAccessKeyFromEnv", "secret"),
            ("awsSessionToken", "secret"),
            ("awsRoleArn", "arn"),
            ("password", "secret"),
            ("unknown", "secret"),
            ("streamName", "orders"),
        ];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let kept: Vec<_> = without_secrets(&metadata).into_keys().collect();
        assert_eq!(kept, ["source", "streamName"]);
    }

    #[test]
    fn columns_of_different_lengths_are_refused() {
        let text = r#"{"reading":{"at":1,"of":{"group":{"topics":[{"name":"t","id":null,"partitionCount":2,"partition":[0,1],"start":[0],
            "end":[1,2],"committed":[0,0],"owner":[null,null]}],"absent":[],"groupType":"consumer","members":"unread"}}}}"#;
        let Line::Reading { of, .. } = serde_json::from_str(text).expect("a line") else { panic!("{text}") };
        assert_eq!(Observation::try_from(of), Err(LineError::Columns("topic t".to_owned())));
    }
}
