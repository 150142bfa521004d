//! The client of the readings against a cluster that does what no real one does on demand: librdkafka's mock.

use std::collections::HashMap;
use std::slice::from_ref;
use std::time::Duration;

use keda_stream_scaler::lag::Offset;
use keda_stream_scaler::source::kafka::Batched;
use keda_stream_scaler::source::kafka::protocol::OauthToken;
use keda_stream_scaler::source::kafka::transport::{
    BrokerId, ClusterTransport, LogPosition, OffsetAndEpoch, Progress, RowError, Topic, TopicName, TopicPartition,
    TopicsAsk,
};
use keda_stream_scaler::trigger::{Credentials, GroupType, KafkaSecurity, Sasl, Secret, Tls};
use tokio::time::Instant;

use crate::support::asking::{
    LONG, OPEN, all, asks, client_of, committed, committed_by, eventually, flat, offsets_at, partition, partitions,
};
use crate::support::mock_cluster::{Code, FIND_COORDINATOR, LIST_OFFSETS, METADATA, MockCluster, OFFSET_FETCH};

const SECOND: Duration = Duration::from_secs(1);

fn client(cluster: &MockCluster) -> Batched {
    client_of(&cluster.bootstrap(), &OPEN)
}

async fn topics(client: &Batched, names: &[&str]) -> HashMap<TopicName, Result<Topic, RowError>> {
    let names = names.iter().map(|name| TopicName::from(*name)).collect();
    client.topics(TopicsAsk::Named(names), LONG).await.unwrap().into_iter().collect()
}

async fn offsets(
    client: &Batched,
    leader: i32,
    asked: &[TopicPartition],
    deadline: Duration,
) -> HashMap<TopicPartition, Result<Offset, RowError>> {
    offsets_at(client, leader, asked, LogPosition::End, deadline).await
}

#[tokio::test]
async fn committed_start_and_end_of_many_partitions_are_read() {
    let cluster = MockCluster::new(3);
    cluster.topic("orders", 30, 3);
    cluster.produce("orders", 4, 7);
    cluster.commit("shop", "orders", &[4, 5], 3);
    let client = client(&cluster);
    let asked = partitions("orders", 30);

    let rows = committed(&client, "shop", &asked).await.unwrap();
    assert_eq!(rows.len(), 30);
    for (key, row) in rows {
        let committed = matches!(row, Ok(Progress::Committed(OffsetAndEpoch { offset: Offset(3), .. })));
        let none = row == Ok(Progress::None);
        assert!(if matches!(key.partition.0, 4 | 5) { committed } else { none }, "{key:?}: {row:?}");
    }

    let described = topics(&client, &["orders"]).await.remove("orders").unwrap().unwrap();
    assert_eq!(described.partitions.as_slice().len(), 30);
    for leader in 1..=3 {
        let led: Vec<_> = described
            .partitions
            .as_slice()
            .iter()
            .filter(|(_, by)| by.is_some_and(|by| by.broker == BrokerId(leader)))
            .collect();
        assert_eq!(led.len(), 10);
        let asked: Vec<_> = led.iter().map(|(number, _)| partition("orders", number.0)).collect();
        for at in [LogPosition::Start, LogPosition::End, LogPosition::StableEnd] {
            let rows = offsets_at(&client, leader, &asked, at, LONG).await;
            assert_eq!(rows.len(), 10);
            for (key, row) in rows {
                let end = key.partition.0 == 4 && at != LogPosition::Start;
                assert_eq!(row, Ok(Offset(if end { 7 } else { 0 })), "{key:?} {at:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_unknown_topic_is_gone_and_the_others_are_answered() {
    let cluster = MockCluster::new(1);
    cluster.topic("orders", 1, 1);
    let client = client(&cluster);
    let rows = topics(&client, &["nowhere", "orders"]).await;
    assert!(matches!(rows["nowhere"], Err(RowError::Gone(_))), "{rows:?}");
    assert!(rows["orders"].is_ok());

    let both = vec![partition("nowhere", 0), partition("orders", 0)];
    let rows = offsets(&client, 1, &both, LONG).await;
    assert!(matches!(rows[&both[0]], Err(RowError::Gone(_))), "{rows:?}");
    assert_eq!(rows[&both[1]], Ok(Offset(0)));
}

#[tokio::test]
async fn no_topic_is_created_by_asking_for_it() {
    let cluster = MockCluster::new(1);
    cluster.topic("orders", 1, 1);
    let client = client(&cluster);
    let asked = [partition("nowhere", 0), partition("orders", 0)];
    for _ in 0..2 {
        topics(&client, &["nowhere", "orders"]).await;
        topics(&client, &["nowhere"]).await;
        offsets(&client, 1, &asked, LONG).await;
        committed(&client, "shop", &asked).await.unwrap();
    }
    let rows = client.topics(TopicsAsk::All, LONG).await.unwrap();
    assert_eq!(rows.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["orders"]);
}

#[tokio::test]
async fn rows_of_a_broker_that_is_down_are_errors_and_the_others_are_right() {
    let cluster = MockCluster::new(3);
    cluster.topic("orders", 6, 3);
    let client = client(&cluster);
    topics(&client, &["orders"]).await;
    cluster.down(2);
    let led = [[1, 4], [2, 5]].map(|numbers| numbers.map(|number| partition("orders", number)));
    let (sick, well) = tokio::join!(offsets(&client, 2, &led[0], SECOND), offsets(&client, 3, &led[1], SECOND));
    assert_eq!(sick.len(), 2);
    // the client may have learnt already that its partitions have no leader
    let is_sick = |row: &_| matches!(row, Err(RowError::Unreachable(_) | RowError::Overdue(_) | RowError::Moving(_)));
    assert!(sick.values().all(is_sick), "{sick:?}");
    assert!(well.values().all(|row| *row == Ok(Offset(0))), "{well:?}");
}

#[tokio::test]
async fn rows_of_a_slow_broker_are_overdue_at_the_deadline() {
    let cluster = MockCluster::new(3);
    cluster.topic("orders", 3, 3);
    let client = client(&cluster);
    let all: Vec<_> = partitions("orders", 3);
    for (leader, key) in (1..).zip(&all) {
        assert_eq!(offsets(&client, leader, from_ref(key), LONG).await[key], Ok(Offset(0)));
    }
    cluster.slow(2, 3 * SECOND);
    let began = Instant::now();
    let rows = offsets(&client, 2, &[all[1].clone()], SECOND / 2).await;
    assert!(matches!(rows[&all[1]], Err(RowError::Overdue(_))), "{rows:?}");
    assert!(began.elapsed() < SECOND);
    assert_eq!(offsets(&client, 3, &[all[2].clone()], SECOND).await[&all[2]], Ok(Offset(0)));
}

#[tokio::test]
async fn after_a_leader_moved_rows_say_so_and_are_right_once_the_topic_is_looked_up() {
    let cluster = MockCluster::new(3);
    cluster.topic("orders", 1, 3);
    cluster.produce("orders", 0, 5);
    let client = client(&cluster);
    let key = partition("orders", 0);
    assert_eq!(offsets(&client, 1, from_ref(&key), LONG).await[&key], Ok(Offset(5)));
    for leader in [2, 3, 1] {
        cluster.leader("orders", 0, leader);
        let rows = offsets(&client, leader, from_ref(&key), LONG).await;
        assert!(matches!(rows[&key], Err(RowError::Moving(_)) | Ok(Offset(5))), "{rows:?}");
        topics(&client, &["orders"]).await;
        let rows = offsets(&client, leader, from_ref(&key), LONG).await;
        assert_eq!(rows[&key], Ok(Offset(5)));
    }
}

#[tokio::test]
async fn after_a_leader_died_rows_come_from_the_new_one() {
    let cluster = MockCluster::new(3);
    cluster.topic("orders", 1, 3);
    cluster.produce("orders", 0, 5);
    let client = client(&cluster);
    let key = partition("orders", 0);
    assert_eq!(offsets(&client, 1, from_ref(&key), LONG).await[&key], Ok(Offset(5)));
    cluster.leader("orders", 0, 2);
    cluster.down(1);
    let row = eventually("a row from the new leader", async || {
        topics(&client, &["orders"]).await;
        offsets(&client, 2, from_ref(&key), SECOND / 4).await.remove(&key)?.ok()
    });
    assert_eq!(row.await, Offset(5));
}

#[tokio::test]
async fn topics_are_described_when_the_broker_asked_before_is_down() {
    let cluster = MockCluster::new(3);
    cluster.topic("orders", 3, 3);
    let client = client(&cluster);
    for broker in 1..=3 {
        topics(&client, &["orders"]).await;
        cluster.down(broker);
        let rows = client.topics(TopicsAsk::Named(vec!["orders".into()]), SECOND).await.unwrap();
        assert!(rows[0].1.is_ok(), "{rows:?}");
        cluster.up(broker);
    }
}

#[tokio::test]
async fn errors_of_a_coordinator_are_rows() {
    let cluster = MockCluster::new(1);
    cluster.topic("orders", 1, 1);
    let client = client(&cluster);
    let asked = partitions("orders", 1);
    cluster.fail(OFFSET_FETCH, Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, 1);
    let row = committed(&client, "shop", &asked).await;
    assert!(matches!(row, Err(RowError::Denied(_))), "{row:?}");
    for moving in [
        Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
    ] {
        cluster.fail(OFFSET_FETCH, moving, 50);
        let row = committed_by(&client, "shop", &asked, SECOND).await;
        assert!(matches!(row, Err(RowError::Moving(_))), "{moving:?}: {row:?}");
        cluster.heal(OFFSET_FETCH);
        cluster.fail(OFFSET_FETCH, moving, 4);
        assert!(committed(&client, "shop", &asked).await.is_ok(), "it is asked until the deadline: {moving:?}");
    }
}

#[tokio::test]
async fn a_group_that_cannot_be_described_is_a_row_with_an_error() {
    let cluster = MockCluster::new(1);
    let client = client(&cluster);
    let rows = all(client.groups(vec!["shop".into(), "bank".into()], LONG)).await;
    assert_eq!(rows.len(), 2);
    // The mock cluster does not know the request.
    assert!(rows.values().all(|row| matches!(row, Err(RowError::Unsupported(_)))), "{rows:?}");
}

#[tokio::test]
async fn a_silent_coordinator_makes_its_groups_overdue_and_no_others() {
    let cluster = MockCluster::new(2);
    cluster.topic("orders", 1, 1);
    cluster.coordinator("stuck", 2);
    cluster.coordinator("well", 1);
    let client = client(&cluster);
    let asked = partitions("orders", 1);
    all(client.progress(GroupType::Consumer, asks(["stuck", "well"], &asked), LONG)).await;
    cluster.slow(2, 20 * SECOND);
    let began = Instant::now();
    let rows = all(client.progress(GroupType::Consumer, asks(["stuck", "well"], &asked), SECOND / 2)).await;
    assert!(began.elapsed() < SECOND);
    assert!(matches!(rows["stuck"], Err(RowError::Overdue(_))), "{rows:?}");
    assert!(rows["well"].is_ok(), "{rows:?}");
}

#[tokio::test]
async fn a_round_of_three_hundred_groups_stays_within_its_requests() {
    let cluster = MockCluster::new(3);
    cluster.topic("orders", 30, 3);
    let client = client(&cluster);
    let names: Vec<_> = (0..300).map(|index| format!("group-{index}")).collect();
    let asked = partitions("orders", 10);
    topics(&client, &["orders"]).await;
    all(client.progress(GroupType::Consumer, asks(names.iter().map(String::as_str), &asked), LONG)).await;
    cluster.forget_requests();

    let began = Instant::now();
    topics(&client, &["orders"]).await;
    let rows = all(client.progress(GroupType::Consumer, asks(names.iter().map(String::as_str), &asked), LONG)).await;
    for leader in 1..=3 {
        let led: Vec<_> =
            (0..30).filter(|index| index % 3 == leader - 1).map(|index| partition("orders", index)).collect();
        offsets(&client, i32::try_from(leader).unwrap(), &led, LONG).await;
    }
    println!("a round took {:?}", began.elapsed());
    assert_eq!(rows.len(), 300);
    assert!(rows.values().all(|row| row.as_ref().is_ok_and(|rows| {
        let rows = flat(rows.clone());
        rows.len() == 10 && rows.iter().all(|(_, row)| row.is_ok())
    })));
    // the mock takes OffsetFetch for one group only, as Kafka did before 3.0
    assert_eq!(cluster.requests(OFFSET_FETCH), 300);
    assert_eq!(cluster.requests(FIND_COORDINATOR), 0, "coordinators are remembered");
    assert_eq!(cluster.requests(LIST_OFFSETS), 3);
    assert_eq!(cluster.requests(METADATA), 1);
}

#[tokio::test]
async fn a_refused_connection_is_named_in_the_row() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = client_of(&nobody.to_string(), &OPEN);
    let error = client.topics(TopicsAsk::Named(vec!["orders".into()]), SECOND).await.unwrap_err();
    assert!(matches!(&error, RowError::Unreachable(text) if text.contains("refused")), "{error:?}");
    let row = all(client.progress(GroupType::Consumer, asks(["shop"], &partitions("orders", 1)), SECOND / 5))
        .await
        .remove("shop");
    assert!(matches!(&row, Some(Err(RowError::Unreachable(text))) if text.contains("refused")), "{row:?}");
}

#[tokio::test]
async fn secrets_are_in_no_debug_output_and_in_no_error() {
    let secret = "hunter2-hunter2";
    let login = Credentials { username: "alice".to_owned(), password: Secret::new(secret) };
    let client = client_of("127.0.0.1:1", &KafkaSecurity { tls: Tls::Off, sasl: Sasl::Plain(login) });
    let error = client.topics(TopicsAsk::Named(vec!["orders".into()]), SECOND).await.unwrap_err();
    let token = OauthToken { value: Secret::new(secret), extensions: Vec::new() };
    for text in [format!("{client:?}"), format!("{error:?} {error}"), format!("{token:?}")] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn a_client_that_needs_a_token_waits_for_it_and_says_why_there_is_none() {
    let cluster = MockCluster::new(1);
    let sasl = Sasl::OauthBearer {
        client: Credentials { username: "alice".to_owned(), password: Secret::new("") },
        token_endpoint: String::new(),
        scopes: Vec::new(),
        extensions: Vec::new(),
    };
    let client = client_of(&cluster.bootstrap(), &KafkaSecurity { tls: Tls::Off, sasl });
    let ask = async |client: &Batched| client.topics(TopicsAsk::Named(vec!["orders".into()]), SECOND / 2).await;
    let error = ask(&client).await.unwrap_err();
    assert!(matches!(error, RowError::Overdue(_)), "{error:?}");
    client.set_token_failure("the token endpoint is closed");
    let error = ask(&client).await.unwrap_err();
    assert!(matches!(&error, RowError::Denied(text) if text.contains("endpoint is closed")), "{error:?}");
}
