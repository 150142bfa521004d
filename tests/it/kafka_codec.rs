//! Kafka's messages as they are written and read here against those of another codec, and bytes that are no message.

use std::sync::Arc;
use std::time::Duration;

use kafka_wire::{
    self as wire, describe_share_group_offsets_response as shares, list_offsets_response as ends,
    metadata_response as topics, offset_fetch_response as commits, share_group_describe_response as described,
};
use kafka_wire_core::{ApiVersion, Bytes, BytesMut, DecodeLimits, KafkaDecode, KafkaEncode, Uuid};
use keda_stream_scaler::source::kafka::protocol::{
    ConsumerGroupDescribe, DescribeGroups, DescribeShareGroupOffsets, DescribedMember, ErrorCode, FetchedOffset,
    FetchedTopic, FindCoordinator, GroupOffsets, Isolation, ListOffsets, ListedOffset, ListedTopic, Malformed,
    Metadata, OffsetAt, OffsetFetch, PartitionLeader, Reader, Request, SaslAuthenticate, ShareGroupDescribe,
    ShareGroupTopics, ShareOffset, Writer,
};
use proptest::prelude::*;

/// Each version of a request, as it is written here, is read by the other codec, which writes the same bytes.
fn check<R: Request, W: KafkaDecode + KafkaEncode>(request: &R) {
    for version in *R::VERSIONS.start()..=request.newest() {
        let mut writer = Writer::new(R::encoding(version));
        request.write(version, &mut writer);
        let bytes = Bytes::from(writer.finish().unwrap());
        let read = W::decode_from_bytes(bytes.clone(), ApiVersion::new(version), DecodeLimits::default());
        let read = read.unwrap_or_else(|error| panic!("{} {version}: {error}", R::NAME));
        assert_eq!(encoded(&read, version), bytes, "{} {version}", R::NAME);
    }
}

fn encoded(message: &impl KafkaEncode, version: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    message.encode_into(&mut bytes, ApiVersion::new(version)).unwrap();
    bytes.freeze()
}

/// What is read here of an answer that the other codec has written.
fn answer<R: Request>(request: &R, version: i16, bytes: &[u8]) -> Result<R::Answer, Malformed> {
    let mut reader = Reader::new(bytes, R::encoding(version));
    let answer = request.read(version, &mut reader)?;
    reader.finish().map(|()| answer)
}

fn groups() -> Vec<Arc<str>> {
    vec!["orders".into()]
}

fn listed_topics() -> Vec<ListedTopic> {
    let topic = |name: &str, partitions| ListedTopic { name: name.into(), partitions };
    vec![topic("t", vec![(0, 4), (7, -1)]), topic("ünicode", Vec::new())]
}

fn fetched_topics(ids: [u128; 2]) -> Vec<FetchedTopic> {
    let topic = |(name, partitions): (&str, _), id| FetchedTopic { name: name.into(), id, partitions };
    [("t", vec![0, 7]), ("ünicode", Vec::new())].into_iter().zip(ids).map(|(of, id)| topic(of, id)).collect()
}

#[test]
fn requests_are_written_as_another_codec_writes_them() {
    let (groups, topics) = (groups(), listed_topics());
    for topics in [None, Some(&groups[..]), Some(&[])] {
        check::<_, wire::MetadataRequest>(&Metadata { topics });
    }
    check::<_, wire::FindCoordinatorRequest>(&FindCoordinator { groups: &groups });
    for (topics, newest) in [
        (None, 9),
        (Some(fetched_topics([0, 0])), 9),
        (Some(fetched_topics([5, 0])), 9),
        (Some(fetched_topics([5, 6])), 10),
    ] {
        let groups = [GroupOffsets { group: "g".into(), topics }];
        assert_eq!(OffsetFetch { groups: &groups }.newest(), newest);
        check::<_, wire::OffsetFetchRequest>(&OffsetFetch { groups: &groups });
    }
    for (at, isolation) in
        [(OffsetAt::Earliest, Isolation::ReadUncommitted), (OffsetAt::Latest, Isolation::ReadCommitted)]
    {
        let within = Duration::from_secs(2);
        check::<_, wire::ListOffsetsRequest>(&ListOffsets { topics: &topics, at, isolation, within });
    }
    check::<_, wire::DescribeGroupsRequest>(&DescribeGroups { groups: &groups });
    check::<_, wire::ConsumerGroupDescribeRequest>(&ConsumerGroupDescribe { groups: &groups });
    check::<_, wire::ShareGroupDescribeRequest>(&ShareGroupDescribe { groups: &groups });
    for topics in [None, Some(vec![("t".into(), vec![0, 7])])] {
        let groups = [ShareGroupTopics { group: "g".into(), topics }];
        check::<_, wire::DescribeShareGroupOffsetsRequest>(&DescribeShareGroupOffsets { groups: &groups });
    }
    check::<_, wire::SaslAuthenticateRequest>(&SaslAuthenticate { words: b"\0me\0secret" });
}

/// An answer to [`OffsetFetch`] in this version.
fn committed(version: i16) -> Bytes {
    let mut answer = wire::OffsetFetchResponse::default();
    if version < OffsetFetch::BATCHES_FROM {
        let mut row = commits::OffsetFetchResponsePartition::default();
        (row.partition_index, row.committed_offset, row.error_code) = (3, 41, 29);
        row.committed_leader_epoch = if version >= 5 { 6 } else { -1 };
        let mut topic = commits::OffsetFetchResponseTopic::default();
        (topic.name, topic.partitions) = ("t".into(), vec![row]);
        answer.topics = vec![topic];
    } else {
        let mut row = commits::OffsetFetchResponsePartitions::default();
        (row.partition_index, row.committed_offset, row.error_code) = (3, 41, 29);
        row.committed_leader_epoch = 6;
        let mut topic = commits::OffsetFetchResponseTopics::default();
        topic.partitions = vec![row];
        if version >= OffsetFetch::TOPIC_IDS_FROM {
            topic.topic_id = Uuid::from_bytes(5_u128.to_be_bytes());
        } else {
            topic.name = "t".into();
        }
        let mut group = commits::OffsetFetchResponseGroup::default();
        (group.group_id, group.topics) = ("g".into(), vec![topic]);
        answer.groups = vec![group];
    }
    encoded(&answer, version)
}

#[test]
fn committed_offsets_are_read_as_another_codec_writes_them() {
    let groups = [GroupOffsets { group: "g".into(), topics: Some(fetched_topics([5, 6])) }];
    for version in OffsetFetch::VERSIONS {
        let read = answer(&OffsetFetch { groups: &groups }, version, &committed(version)).unwrap();
        let error = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
        let leader_epoch = if version >= 5 { 6 } else { -1 };
        let row = FetchedOffset { topic: "t".into(), partition: 3, offset: 41, leader_epoch, error };
        assert_eq!((&*read[0].group, &read[0].offsets), ("g", &vec![row]), "{version}");
    }
}

fn share_offsets(version: i16) -> Bytes {
    let mut row = shares::DescribeShareGroupOffsetsResponsePartition::default();
    (row.partition_index, row.start_offset, row.lag, row.error_code) = (3, 41, 7, 29);
    let mut topic = shares::DescribeShareGroupOffsetsResponseTopic::default();
    (topic.topic_name, topic.partitions) = ("t".into(), vec![row]);
    let mut group = shares::DescribeShareGroupOffsetsResponseGroup::default();
    (group.group_id, group.topics) = ("g".into(), vec![topic]);
    let mut answer = wire::DescribeShareGroupOffsetsResponse::default();
    answer.groups = vec![group];
    encoded(&answer, version)
}

#[test]
fn offsets_of_share_groups_are_read_as_another_codec_writes_them() {
    for version in DescribeShareGroupOffsets::VERSIONS {
        let read = answer(&DescribeShareGroupOffsets { groups: &[] }, version, &share_offsets(version)).unwrap();
        let error = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
        let row = ShareOffset { topic: "t".into(), partition: 3, start_offset: 41, lag: 7, error };
        assert_eq!((&*read[0].group, &read[0].offsets), ("g", &vec![row]), "{version}");
    }
}

/// A share group with a member.
fn share_group(version: i16) -> Bytes {
    let mut partitions = described::TopicPartitions::default();
    (partitions.topic_name, partitions.partitions) = ("t".into(), vec![0, 2]);
    let mut member = described::Member::default();
    (member.member_id, member.client_id) = ("m".into(), "c".into());
    member.assignment.topic_partitions = vec![partitions];
    let mut group = described::DescribedGroup::default();
    (group.group_id, group.group_state, group.members) = ("g".into(), "Stable".into(), vec![member]);
    let mut answer = wire::ShareGroupDescribeResponse::default();
    answer.groups = vec![group];
    encoded(&answer, version)
}

#[test]
fn members_of_share_groups_are_read_as_another_codec_writes_them() {
    for version in ShareGroupDescribe::VERSIONS {
        let read = answer(&ShareGroupDescribe { groups: &[] }, version, &share_group(version)).unwrap();
        let member =
            DescribedMember { id: "m".into(), client_id: "c".into(), assignment: vec![("t".into(), vec![0, 2])] };
        assert_eq!((&*read[0].group, &*read[0].state, &read[0].members), ("g", "Stable", &vec![member]), "{version}");
    }
}

fn log_ends(version: i16) -> Bytes {
    let mut row = ends::ListOffsetsPartitionResponse::default();
    (row.partition_index, row.offset, row.error_code) = (3, 1 << 40, 6);
    row.leader_epoch = if version >= 4 { 8 } else { -1 };
    let mut topic = ends::ListOffsetsTopicResponse::default();
    (topic.name, topic.partitions) = ("t".into(), vec![row]);
    let mut answer = wire::ListOffsetsResponse::default();
    answer.topics = vec![topic];
    encoded(&answer, version)
}

const ENDS: ListOffsets<'static> =
    ListOffsets { topics: &[], at: OffsetAt::Latest, isolation: Isolation::ReadUncommitted, within: Duration::ZERO };

#[test]
fn ends_of_logs_are_read_as_another_codec_writes_them() {
    for version in ListOffsets::VERSIONS {
        let read = answer(&ENDS, version, &log_ends(version)).unwrap();
        let error = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        let leader_epoch = if version >= 4 { 8 } else { -1 };
        let row = ListedOffset { topic: "t".into(), partition: 3, error, offset: 1 << 40, leader_epoch };
        assert_eq!(read, [row], "{version}");
    }
}

fn cluster(version: i16) -> Bytes {
    let mut broker = topics::MetadataResponseBroker::default();
    (broker.node_id, broker.host, broker.port) = (5, "b5".into(), 9093);
    let mut partition = topics::MetadataResponsePartition::default();
    (partition.partition_index, partition.leader_id, partition.replica_nodes) = (2, -1, vec![5, 6]);
    partition.leader_epoch = if version >= 7 { 9 } else { -1 };
    let mut topic = topics::MetadataResponseTopic::default();
    (topic.name, topic.partitions) = (Some("t".into()), vec![partition]);
    let mut answer = wire::MetadataResponse::default();
    (answer.brokers, answer.topics) = (vec![broker], vec![topic]);
    encoded(&answer, version)
}

#[test]
fn brokers_and_leaders_are_read_as_another_codec_writes_them() {
    for version in Metadata::VERSIONS {
        let read = answer(&Metadata { topics: None }, version, &cluster(version)).unwrap();
        let broker = (read.brokers[0].id, &*read.brokers[0].host, read.brokers[0].port);
        assert_eq!(broker, (5, "b5", 9093), "{version}");
        let leader = PartitionLeader { partition: 2, leader: -1, epoch: if version >= 7 { 9 } else { -1 } };
        assert_eq!((&*read.topics[0].name, &read.topics[0].leaders), ("t", &vec![leader]), "{version}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A hundred changes of each: 300,000 in all.
    #[test]
    fn answers_that_were_changed_on_the_way_make_no_reader_panic(
        kind in 0..5_usize,
        version in 2..=10_i16,
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(0_u8), Just(0x7f), Just(0xff), any::<u8>()]), 100),
    ) {
        let good = match kind {
            0 => committed(version),
            1 => log_ends(version),
            2 => share_offsets(1),
            3 => share_group(1),
            _ => cluster(version.max(4)),
        };
        let mut bytes = good.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            let before = std::mem::replace(&mut bytes[at], byte);
            let groups = [GroupOffsets { group: "g".into(), topics: Some(fetched_topics([5, 6])) }];
            let _ = answer(&OffsetFetch { groups: &groups }, version, &bytes);
            let _ = answer(&ENDS, version, &bytes);
            let _ = answer(&DescribeShareGroupOffsets { groups: &[] }, 1, &bytes);
            let _ = answer(&ShareGroupDescribe { groups: &[] }, 1, &bytes);
            let _ = answer(&Metadata { topics: None }, version.max(4), &bytes[..at]);
            // every second change stays
            if at % 2 == 0 {
                bytes[at] = before;
            }
        }
    }
}
