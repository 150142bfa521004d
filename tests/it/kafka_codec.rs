//! Kafka's messages as they are written and read here against those of another codec, and bytes that are no message.

use std::sync::Arc;
use std::time::Duration;

use kafka_wire::{
    self as wire, describe_share_group_offsets_response as shares, list_groups_response as listed,
    list_offsets_response as ends, metadata_response as topics, offset_fetch_response as commits,
    share_group_describe_response as described,
};
use kafka_wire_core::{ApiVersion, Bytes, BytesMut, DecodeLimits, KafkaDecode, KafkaEncode, Uuid};
use keda_stream_scaler::lag::{Offset, PartitionId, TopicId};
use keda_stream_scaler::source::kafka::protocol::{
    ConsumerGroupDescribe, DescribeGroups, DescribeShareGroupOffsets, ErrorCode, FindCoordinator, Isolation,
    ListGroups, ListOffsets, Malformed, Metadata, OffsetAt, OffsetFetch, Reader, Request, SaslAuthenticate,
    ShareGroupDescribe, ShareOffset, Writer,
};
use keda_stream_scaler::source::kafka::transport::{
    Broker, BrokerId, ByPartition, ByTopic, GroupAsk, Leader, LeaderEpoch, LedPartitions, OffsetAndEpoch,
    PartitionsAsk, Progress, Topic, TopicPartitions,
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

fn listed_topics() -> LedPartitions {
    let partitions = [(PartitionId(0), Some(LeaderEpoch(4))), (PartitionId(7), None)];
    vec![("t".into(), ByPartition::from_iter(partitions)), ("ünicode".into(), ByPartition::default())]
}

/// Two topics of these ids.
fn named(ids: [u128; 2]) -> PartitionsAsk {
    let topics = [("t", vec![PartitionId(0), PartitionId(7)]), ("ünicode", Vec::new())].into_iter().zip(ids);
    let topic = |((name, partitions), id): ((&str, Vec<_>), u128)| TopicPartitions {
        name: name.into(),
        id: (id != 0).then_some(TopicId(id)),
        partitions: partitions.into(),
    };
    PartitionsAsk::Named(topics.map(topic).collect())
}

fn of_group(partitions: PartitionsAsk) -> [GroupAsk; 1] {
    [GroupAsk { group: "g".into(), partitions }]
}

/// A value of the third partition.
fn third<V>(value: V) -> ByPartition<V> {
    ByPartition::from_iter([(PartitionId(3), value)])
}

/// The same of topic `t`.
fn third_of_t<V>(value: V) -> ByTopic<V> {
    ByTopic::from_iter([("t".into(), third(value))])
}

fn epoch(epoch: u32, from: i16, version: i16) -> Option<LeaderEpoch> {
    (version >= from).then_some(LeaderEpoch(epoch))
}

#[test]
fn requests_are_written_as_another_codec_writes_them() {
    let (groups, topics) = (groups(), listed_topics());
    for topics in [None, Some(&groups[..]), Some(&[])] {
        check::<_, wire::MetadataRequest>(&Metadata { topics });
    }
    check::<_, wire::FindCoordinatorRequest>(&FindCoordinator { groups: &groups });
    for (partitions, newest) in
        [(PartitionsAsk::AllCommitted, 9), (named([0, 0]), 9), (named([5, 0]), 9), (named([5, 6]), 10)]
    {
        let groups = of_group(partitions);
        assert_eq!(OffsetFetch { groups: &groups }.newest(), newest);
        check::<_, wire::OffsetFetchRequest>(&OffsetFetch { groups: &groups });
        check::<_, wire::DescribeShareGroupOffsetsRequest>(&DescribeShareGroupOffsets { groups: &groups });
    }
    for (at, isolation) in
        [(OffsetAt::Earliest, Isolation::ReadUncommitted), (OffsetAt::Latest, Isolation::ReadCommitted)]
    {
        let within = Duration::from_secs(2);
        check::<_, wire::ListOffsetsRequest>(&ListOffsets { topics: &topics, at, isolation, within });
    }
    check::<_, wire::DescribeGroupsRequest>(&DescribeGroups { groups: &groups });
    check::<_, wire::ListGroupsRequest>(&ListGroups);
    check::<_, wire::ConsumerGroupDescribeRequest>(&ConsumerGroupDescribe { groups: &groups });
    check::<_, wire::ShareGroupDescribeRequest>(&ShareGroupDescribe { groups: &groups });
    check::<_, wire::SaslAuthenticateRequest>(&SaslAuthenticate { words: b"\0me\0secret" });
}

#[test]
fn listed_groups_are_read_as_another_codec_writes_them() {
    for version in ListGroups::VERSIONS {
        let group = |name: &'static str| {
            let mut group = listed::ListedGroup::default();
            (group.group_id, group.protocol_type) = (name.into(), "consumer".into());
            group.group_state = if version >= 4 { "Stable" } else { "" }.into();
            group.group_type = if version >= 5 { "classic" } else { "" }.into();
            group
        };
        let mut groups = wire::ListGroupsResponse::default();
        groups.groups = vec![group("a"), group("b")];
        let read = answer(&ListGroups, version, &encoded(&groups, version)).unwrap();
        assert_eq!(read, Ok(vec!["a".into(), "b".into()]), "{version}");
    }
}

/// An answer to [`OffsetFetch`] in this version.
fn committed(version: i16) -> Bytes {
    let mut answer = wire::OffsetFetchResponse::default();
    if version < OffsetFetch::BATCHES_FROM {
        let mut row = commits::OffsetFetchResponsePartition::default();
        (row.partition_index, row.committed_offset) = (3, 41);
        row.committed_leader_epoch = if version >= 5 { 6 } else { -1 };
        let mut topic = commits::OffsetFetchResponseTopic::default();
        (topic.name, topic.partitions) = ("t".into(), vec![row]);
        answer.topics = vec![topic];
    } else {
        let mut row = commits::OffsetFetchResponsePartitions::default();
        (row.partition_index, row.committed_offset) = (3, 41);
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
    let groups = of_group(named([5, 6]));
    for version in OffsetFetch::VERSIONS {
        let read = answer(&OffsetFetch { groups: &groups }, version, &committed(version)).unwrap();
        let committed = OffsetAndEpoch { offset: Offset(41), epoch: epoch(6, 5, version) };
        let rows = third_of_t(Ok(Progress::Committed(committed)));
        assert_eq!(read, [("g".into(), Ok(rows))], "{version}");
    }
}

fn share_offsets(version: i16) -> Bytes {
    let mut row = shares::DescribeShareGroupOffsetsResponsePartition::default();
    (row.partition_index, row.start_offset, row.lag) = (3, 41, 7);
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
        let rows = third_of_t(Ok(ShareOffset { start_offset: 41, lag: 7 }));
        assert_eq!(read, [("g".into(), Ok(rows))], "{version}");
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
        let (group, state) = &read[0];
        let state = state.as_ref().unwrap();
        let assigned: Vec<_> = state.members[0].assignment.iter().map(|of| (&*of.topic, of.partition.0)).collect();
        assert_eq!((&**group, &*state.state, &*state.members[0].id), ("g", "Stable", "m"), "{version}");
        assert_eq!((&*state.members[0].client_id, assigned), ("c", vec![("t", 0), ("t", 2)]), "{version}");
    }
}

fn log_ends(version: i16) -> Bytes {
    let mut row = ends::ListOffsetsPartitionResponse::default();
    (row.partition_index, row.offset) = (3, 1 << 40);
    row.leader_epoch = if version >= 4 { 8 } else { -1 };
    let mut topic = ends::ListOffsetsTopicResponse::default();
    (topic.name, topic.partitions) = ("t".into(), vec![row]);
    let mut answer = wire::ListOffsetsResponse::default();
    answer.topics = vec![topic];
    encoded(&answer, version)
}

fn ends_of(topics: &LedPartitions) -> ListOffsets<'_> {
    ListOffsets { topics, at: OffsetAt::Latest, isolation: Isolation::ReadUncommitted, within: Duration::ZERO }
}

#[test]
fn ends_of_logs_are_read_as_another_codec_writes_them() {
    for version in ListOffsets::VERSIONS {
        let topics = listed_topics();
        let read = answer(&ends_of(&topics), version, &log_ends(version)).unwrap();
        let end = OffsetAndEpoch { offset: Offset(1 << 40), epoch: epoch(8, 4, version) };
        assert_eq!(read, [third(Ok(Some(end))), ByPartition::default()], "{version}");
    }
}

/// The error of a row comes in place of its value.
#[test]
fn errors_of_rows_are_read() {
    let mut row = ends::ListOffsetsPartitionResponse::default();
    (row.partition_index, row.offset, row.error_code) = (3, 5, 6);
    let mut topic = ends::ListOffsetsTopicResponse::default();
    (topic.name, topic.partitions) = ("t".into(), vec![row]);
    let mut ends = wire::ListOffsetsResponse::default();
    ends.topics = vec![topic];
    let topics = listed_topics();
    let read = answer(&ends_of(&topics), 7, &encoded(&ends, 7)).unwrap();
    assert_eq!(read, [third(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)), ByPartition::default()]);

    let mut group = commits::OffsetFetchResponseGroup::default();
    (group.group_id, group.error_code) = ("g".into(), 30);
    let mut fetched = wire::OffsetFetchResponse::default();
    fetched.groups = vec![group];
    let groups = of_group(named([5, 6]));
    let read = answer(&OffsetFetch { groups: &groups }, 8, &encoded(&fetched, 8)).unwrap();
    assert_eq!(read, [("g".into(), Err(ErrorCode::GROUP_AUTHORIZATION_FAILED))]);
}

fn cluster(version: i16) -> Bytes {
    let mut broker = topics::MetadataResponseBroker::default();
    (broker.node_id, broker.host, broker.port) = (5, "b5".into(), 9093);
    let mut partition = topics::MetadataResponsePartition::default();
    (partition.partition_index, partition.leader_id, partition.replica_nodes) = (2, 5, vec![5, 6]);
    let mut leaderless = topics::MetadataResponsePartition::default();
    (leaderless.partition_index, leaderless.leader_id) = (1, -1);
    partition.leader_epoch = if version >= 7 { 9 } else { -1 };
    let mut topic = topics::MetadataResponseTopic::default();
    (topic.name, topic.partitions) = (Some("t".into()), vec![partition, leaderless]);
    let mut answer = wire::MetadataResponse::default();
    (answer.brokers, answer.topics) = (vec![broker], vec![topic]);
    encoded(&answer, version)
}

#[test]
fn brokers_and_leaders_are_read_as_another_codec_writes_them() {
    for version in Metadata::VERSIONS {
        let read = answer(&Metadata { topics: None }, version, &cluster(version)).unwrap();
        assert_eq!(read.brokers, [Broker { id: BrokerId(5), host: "b5".into(), port: 9093 }], "{version}");
        let leader = Leader { broker: BrokerId(5), epoch: epoch(9, 7, version) };
        let topic = Topic {
            id: None,
            partitions: [(PartitionId(1), None), (PartitionId(2), Some(leader))].into_iter().collect(),
        };
        assert_eq!(read.topics, [("t".into(), Ok(topic))], "{version}");
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
            let (groups, topics) = (of_group(named([5, 6])), listed_topics());
            let _ = answer(&OffsetFetch { groups: &groups }, version, &bytes);
            let _ = answer(&ends_of(&topics), version, &bytes);
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
