//! The client of the readings against brokers that break Kafka's protocol, as real ones do when they are sick or are not Kafka.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use keda_stream_scaler::source::kafka::Batched;
use keda_stream_scaler::source::kafka::protocol::ApiKey;
use keda_stream_scaler::source::kafka::transport::{
    ClusterTransport, LogPosition, OffsetAndEpoch, Progress, RowError, TopicsAsk,
};
use keda_stream_scaler::trigger::{Credentials, KafkaSecurity, Sasl, Secret, Tls};
use tokio::time::Instant;

use crate::support::asking::{LONG, OPEN, client_of, committed_by, eventually, offsets_at, partition};
use crate::support::scripted_broker::{
    API_VERSIONS, COMMITTED, Door, END, FIND_COORDINATOR, Fault, GROUPS, LIST_GROUPS, LIST_OFFSETS, METADATA,
    OFFSET_FETCH, SASL_HANDSHAKE, START, ScriptedBroker, TOPIC,
};

const MS: fn(u64) -> Duration = Duration::from_millis;
/// Enough for an answer, so that the connection is closed when there is none.
const SHORT: Duration = Duration::from_millis(1_100);

const NOT_LEADER_OR_FOLLOWER: i16 = 6;
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;
const GROUP_AUTHORIZATION_FAILED: i16 = 30;
const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
const UNSUPPORTED_VERSION: i16 = 35;

/// How a row says why it has no value.
type Kind = fn(Arc<str>) -> RowError;

/// Whether an error is of this kind and says all of this.
fn is(error: &RowError, kind: Kind, said: &[&str]) -> bool {
    discriminant(error) == discriminant(&kind("".into())) && said.iter().all(|said| error.to_string().contains(said))
}

async fn topics(client: &Batched, deadline: Duration) -> Result<(), RowError> {
    let rows = client.topics(TopicsAsk::Named(vec![TOPIC.into()]), deadline).await?;
    let topic = rows.into_iter().next().unwrap().1?;
    assert_eq!(topic.partitions.as_slice().len(), 1);
    Ok(())
}

async fn committed(client: &Batched, group: &str, deadline: Duration) -> Result<(), RowError> {
    let rows = committed_by(client, group, &[partition(TOPIC, 0)], deadline).await?;
    let committed = rows.into_iter().next().unwrap().1?;
    assert!(matches!(committed, Progress::Committed(OffsetAndEpoch { offset: COMMITTED, .. })), "{committed:?}");
    Ok(())
}

async fn end(client: &Batched, leader: i32, at: LogPosition, deadline: Duration) -> Result<(), RowError> {
    let asked = partition(TOPIC, 0);
    let offset =
        offsets_at(client, leader, std::slice::from_ref(&asked), at, deadline).await.remove(&asked).unwrap()?;
    assert_eq!(offset, if at == LogPosition::Start { START } else { END });
    Ok(())
}

/// Makes a request of this kind; a value is right, or this panics.
async fn request(client: &Batched, key: ApiKey, deadline: Duration) -> Result<(), RowError> {
    match key {
        METADATA => topics(client, deadline).await,
        OFFSET_FETCH => committed(client, "known", deadline).await,
        FIND_COORDINATOR => committed(client, "new", deadline).await,
        _ => end(client, 1, LogPosition::End, deadline).await,
    }
}

/// A broker and a client that has a connection to it.
async fn connected() -> (ScriptedBroker, Batched) {
    let broker = ScriptedBroker::start().await;
    let client = client_of(&broker.address, &OPEN);
    for key in [METADATA, OFFSET_FETCH, LIST_OFFSETS] {
        request(&client, key, LONG).await.unwrap();
    }
    assert_eq!(broker.connections(), 1);
    (broker, client)
}

/// The same frame with another content.
fn reframed(frame: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut content = frame[4..].to_vec();
    change(&mut content);
    [&u32::try_from(content.len()).unwrap().to_be_bytes(), content.as_slice()].concat()
}

/// The same frame with these fields behind its header.
fn with_fields(frame: &[u8], fields: &[u8]) -> Vec<u8> {
    reframed(frame, |content| {
        content.truncate(5);
        content.extend(fields);
    })
}

/// Answers that are none, and what a row says of them; `{}` stands for the request's name.
const NO_ANSWERS: [(Fault, Kind, &str); 15] = [
    (Fault::Never, RowError::Overdue, "no answer to {} within"),
    (Fault::ThenClosed(|_| Vec::new()), RowError::Unreachable, "the broker closed the connection"),
    (
        Fault::ThenClosed(|frame| frame[..frame.len() / 2].to_vec()),
        RowError::Unreachable,
        "the broker closed the connection",
    ),
    (Fault::ThenClosed(|frame| frame[..3].to_vec()), RowError::Unreachable, "the broker closed the connection"),
    (
        Fault::Instead(|frame| reframed(&frame, |content| content[0] = 1)),
        RowError::Unreachable,
        "is not Kafka's: it answers request 167772",
    ),
    (
        Fault::Instead(|frame| reframed(&frame, |content| content.truncate(content.len() - 1))),
        RowError::Broker,
        "the answer to {} is not Kafka's: the end, within a",
    ),
    (
        Fault::Instead(|frame| reframed(&frame, |content| content.push(0))),
        RowError::Broker,
        "the answer to {} is not Kafka's: bytes behind the last field",
    ),
    (
        Fault::Instead(|frame| reframed(&frame, |content| content.truncate(2))),
        RowError::Unreachable,
        "is not Kafka's: the end, within a number at byte 0 of 2",
    ),
    (Fault::Instead(|_| vec![0x7f; 64]), RowError::Unreachable, "an answer of 2139062143 bytes is not Kafka's"),
    (Fault::Instead(|_| vec![0xff; 64]), RowError::Unreachable, "an answer of -1 bytes is not Kafka's"),
    // 48 MB, which never come
    (Fault::Instead(|_| vec![3, 0, 0, 0, 0]), RowError::Overdue, "no answer to {} within"),
    (
        Fault::Instead(|frame| with_fields(&frame, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 7, 0])),
        RowError::Broker,
        "the answer to {} is not Kafka's: a list that is longer than the message",
    ),
    // which requests are taken, as it is answered to ApiVersions
    (
        Fault::Instead(|frame| with_fields(&frame, &[0, 0, 0, 0, 0, 1, 0, 3, 0, 0, 0, 9])),
        RowError::Broker,
        "the answer to {} is not Kafka's: null, where there must be a list",
    ),
    (Fault::Instead(|_| vec![0x15, 3, 3, 0, 2, 2, 40]), RowError::Unreachable, "the answer is TLS"),
    (Fault::Instead(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), RowError::Unreachable, "is not Kafka's"),
];

#[tokio::test]
async fn an_answer_that_is_none_is_an_error_with_the_broker_and_the_cause_and_the_next_one_is_right() {
    const REQUESTS: [(ApiKey, &str); 4] = [
        (METADATA, "Metadata"),
        (FIND_COORDINATOR, "FindCoordinator"),
        (OFFSET_FETCH, "OffsetFetch"),
        (LIST_OFFSETS, "ListOffsets"),
    ];
    let cases = REQUESTS.into_iter().flat_map(|request| NO_ANSWERS.map(|case| (request, case)));
    let checks = cases.map(async |((key, name), (fault, kind, said))| {
        let (broker, client) = connected().await;
        broker.spoil(key, fault);
        let error = request(&client, key, SHORT).await.unwrap_err();
        assert!(is(&error, kind, &[&broker.address, &said.replace("{}", name)]), "{name}, {said}: {error:?}");
        broker.script().faults.clear();
        let before = broker.connections();
        request(&client, key, LONG).await.unwrap_or_else(|error| panic!("{name} after {said}: {error}"));
        assert_eq!(broker.connections(), before + 1, "{name} after {said}");
    });
    join_all(checks).await;
}

#[tokio::test]
async fn a_broker_that_lets_nobody_in_is_an_error_with_its_address_and_the_cause_until_it_does() {
    type Break = fn(&ScriptedBroker);
    const SILENT: &str = "has not let the client in yet";
    let cases: [(Break, Kind, &str); 9] = [
        (|broker| broker.script().door = Door::Closed, RowError::Unreachable, "the broker closed the connection"),
        (|broker| broker.script().door = Door::Ignored, RowError::Overdue, SILENT),
        (|broker| broker.spoil(API_VERSIONS, Fault::Never), RowError::Overdue, SILENT),
        (|broker| broker.spoil(API_VERSIONS, Fault::Late(LONG)), RowError::Overdue, SILENT),
        (
            |broker| broker.spoil(API_VERSIONS, Fault::Instead(|_| vec![0x16, 3, 1, 0, 5])),
            RowError::Unreachable,
            "answers in TLS: set tls: enable",
        ),
        (
            |broker| broker.spoil(API_VERSIONS, Fault::Instead(|frame| reframed(&frame, |content| content[6] = 0x7f))),
            RowError::Unreachable,
            "the answer to ApiVersions is not Kafka's: a list that is longer than the message",
        ),
        (
            |broker| broker.spoil(API_VERSIONS, Fault::ThenClosed(|frame| frame[..9].to_vec())),
            RowError::Unreachable,
            "the broker closed the connection",
        ),
        (
            |broker| broker.script().errors.extend([(API_VERSIONS, UNSUPPORTED_VERSION)]),
            RowError::Unreachable,
            "the broker answers ApiVersions with UNSUPPORTED_VERSION",
        ),
        (
            |broker| broker.script().versions = Some((90, 99)),
            RowError::Unsupported,
            "the broker and this client have no version of Metadata in common: the broker supports versions 90 to 99",
        ),
    ];
    let checks = cases.map(async |(break_it, kind, said)| {
        let broker = ScriptedBroker::start().await;
        let client = client_of(&broker.address, &OPEN);
        break_it(&broker);
        let deadline = if said == SILENT { MS(300) } else { LONG };
        let error = topics(&client, deadline).await.unwrap_err();
        assert!(is(&error, kind, &[&broker.address, said]), "{said}: {error:?}");
        broker.restart();
        eventually(said, async || topics(&client, SHORT).await.ok()).await;
    });
    join_all(checks).await;
}

#[tokio::test]
async fn an_answer_that_comes_twice_is_used_once() {
    let (broker, client) = connected().await;
    broker.spoil(LIST_OFFSETS, Fault::Instead(|frame| frame.repeat(2)));
    end(&client, 1, LogPosition::Start, LONG).await.unwrap();
    broker.script().faults.clear();
    // the second one may be there only when the next request is made
    if let Err(error) = end(&client, 1, LogPosition::End, LONG).await {
        assert!(is(&error, RowError::Unreachable, &[&broker.address, "which was not made"]), "{error:?}");
    }
    end(&client, 1, LogPosition::End, LONG).await.unwrap();
}

#[tokio::test]
async fn answers_in_another_order_go_to_their_requests() {
    let (broker, client) = connected().await;
    broker.spoil(LIST_OFFSETS, Fault::Swapped);
    let (start, end) = tokio::join!(end(&client, 1, LogPosition::Start, LONG), end(&client, 1, LogPosition::End, LONG));
    assert_eq!((start, end), (Ok(()), Ok(())));
    assert_eq!(broker.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_comes_after_its_deadline_is_not_taken_for_another_one() {
    for (deadline, late, connections) in [(MS(100), MS(1_000), 1), (SHORT, MS(5_000), 2)] {
        let (broker, client) = connected().await;
        broker.spoil(LIST_OFFSETS, Fault::Late(late));
        let error = end(&client, 1, LogPosition::Start, deadline).await.unwrap_err();
        assert!(is(&error, RowError::Overdue, &[&broker.address, "no answer to ListOffsets within"]), "{error:?}");
        broker.script().faults.clear();
        end(&client, 1, LogPosition::End, LONG).await.unwrap();
        assert_eq!(broker.connections(), connections);
    }
}

#[tokio::test]
async fn answers_of_a_throttled_client_are_right() {
    let (broker, client) = connected().await;
    broker.script().throttle_ms = 60_000;
    for key in [METADATA, FIND_COORDINATOR, OFFSET_FETCH, LIST_OFFSETS] {
        request(&client, key, LONG).await.unwrap();
    }
}

#[tokio::test]
async fn groups_are_listed_or_the_error_of_the_broker_counts() {
    let (broker, client) = connected().await;
    let groups = client.group_ids(LONG).await.unwrap();
    assert_eq!(groups.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), GROUPS);
    for (code, kind, said) in [
        (GROUP_AUTHORIZATION_FAILED, RowError::Denied as Kind, "GROUP_AUTHORIZATION_FAILED"),
        (COORDINATOR_LOAD_IN_PROGRESS, RowError::Moving, "COORDINATOR_LOAD_IN_PROGRESS"),
    ] {
        broker.script().errors.insert(LIST_GROUPS, code);
        let error = client.group_ids(LONG).await.unwrap_err();
        assert!(is(&error, kind, &[said]), "the names beside the error are not all of them: {error:?}");
    }
    broker.spoil(LIST_GROUPS, Fault::Never);
    let error = client.group_ids(SHORT).await.unwrap_err();
    assert!(is(&error, RowError::Overdue, &[]), "{error:?}");
}

#[tokio::test]
async fn a_leader_that_cannot_be_resolved_is_named_with_the_cause() {
    let (broker, client) = connected().await;
    // no resolver asks for a name like this
    let nowhere = "x".repeat(64);
    broker.script().brokers.push((2, nowhere.clone(), 9092));
    topics(&client, LONG).await.unwrap();
    let error = end(&client, 2, LogPosition::End, LONG).await.unwrap_err();
    assert!(is(&error, RowError::Unreachable, &[&format!("could not resolve {nowhere}:9092: ")]), "{error:?}");
    end(&client, 1, LogPosition::End, LONG).await.unwrap();
}

#[tokio::test]
async fn a_leader_that_the_cluster_does_not_have_is_moving() {
    let (broker, client) = connected().await;
    broker.script().leader = 7;
    topics(&client, LONG).await.unwrap();
    let before = broker.requests(METADATA);
    let error = end(&client, 7, LogPosition::End, LONG).await.unwrap_err();
    assert!(is(&error, RowError::Moving, &["the cluster has no broker 7"]), "{error:?}");
    assert_eq!(broker.requests(METADATA), before + 1);
}

#[tokio::test]
async fn a_leader_that_is_another_broker_is_moving() {
    let (broker, client) = connected().await;
    broker.script().errors.insert(LIST_OFFSETS, NOT_LEADER_OR_FOLLOWER);
    let error = end(&client, 1, LogPosition::End, LONG).await.unwrap_err();
    assert!(is(&error, RowError::Moving, &["NOT_LEADER_OR_FOLLOWER"]), "{error:?}");
}

#[tokio::test]
async fn a_coordinator_that_moves_for_ever_is_moving_at_the_deadline_and_gets_few_requests() {
    let (broker, client) = connected().await;
    broker.script().errors.insert(OFFSET_FETCH, NOT_COORDINATOR);
    let before = [OFFSET_FETCH, FIND_COORDINATOR].map(|key| broker.requests(key));
    let error = committed(&client, "known", SHORT).await.unwrap_err();
    assert!(is(&error, RowError::Moving, &["NOT_COORDINATOR"]), "{error:?}");
    let [asked, looked_up] = [OFFSET_FETCH, FIND_COORDINATOR].map(|key| broker.requests(key));
    assert!(
        (2..=4).contains(&(asked - before[0])) && looked_up - before[1] == asked - before[0] - 1,
        "{asked} {looked_up}"
    );
    broker.script().errors.clear();
    committed(&client, "known", LONG).await.unwrap();
}

#[tokio::test]
async fn a_coordinator_that_is_not_ready_is_asked_until_it_is() {
    for (key, error) in [
        (OFFSET_FETCH, NOT_COORDINATOR),
        (OFFSET_FETCH, COORDINATOR_LOAD_IN_PROGRESS),
        (FIND_COORDINATOR, COORDINATOR_NOT_AVAILABLE),
    ] {
        let (broker, client) = connected().await;
        broker.script().errors.insert(key, error);
        let enough = broker.requests(key) + 4;
        let ready = async {
            eventually("four requests", async || (broker.requests(key) >= enough).then_some(())).await;
            broker.script().errors.clear();
        };
        let (row, ()) = tokio::join!(committed(&client, "new", LONG), ready);
        row.unwrap_or_else(|why| panic!("{key:?} {error}: {why}"));
    }
}

/// Two brokers of one cluster, and a client that has a connection to both.
async fn two_brokers() -> ([ScriptedBroker; 2], Batched) {
    let brokers = [ScriptedBroker::start().await, ScriptedBroker::start().await];
    let nodes: Vec<_> = (1..).zip(&brokers).map(|(id, broker)| (id, "127.0.0.1".to_owned(), broker.port())).collect();
    for broker in &brokers {
        broker.script().brokers.clone_from(&nodes);
    }
    let client = client_of(&brokers[0].address, &OPEN);
    topics(&client, LONG).await.unwrap();
    for leader in [1, 2] {
        end(&client, leader, LogPosition::End, LONG).await.unwrap();
    }
    (brokers, client)
}

#[tokio::test]
async fn a_broker_without_an_answer_to_metadata_costs_a_quarter_of_a_second_once() {
    let ([first, second], client) = two_brokers().await;
    first.spoil(METADATA, Fault::Never);
    let (begun, before) = (Instant::now(), first.requests(METADATA));
    topics(&client, LONG).await.unwrap();
    assert!((MS(250)..LONG / 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    for _ in 0..3 {
        topics(&client, LONG).await.unwrap();
    }
    assert_eq!((first.requests(METADATA), second.requests(METADATA)), (before + 1, 4));
}

#[tokio::test]
async fn no_more_than_eight_brokers_are_dialed_at_once() {
    let brokers = join_all((0..20).map(|_| ScriptedBroker::start())).await;
    for broker in &brokers {
        broker.spoil(API_VERSIONS, Fault::Never);
    }
    let servers: Vec<_> = brokers.iter().map(|broker| broker.address.as_str()).collect();
    let client = client_of(&servers.join(","), &OPEN);
    for _ in 0..3 {
        let error = topics(&client, MS(200)).await.unwrap_err();
        assert!(is(&error, RowError::Overdue, &["has not let the client in yet"]), "{error:?}");
    }
    let dialed = || brokers.iter().map(ScriptedBroker::connections).sum::<usize>();
    eventually("eight brokers are dialed", async || (dialed() == 8).then_some(())).await;
}

#[tokio::test]
async fn a_refusal_says_more_than_a_broker_that_is_not_there() {
    let broker = ScriptedBroker::start().await;
    broker.script().errors.insert(SASL_HANDSHAKE, UNSUPPORTED_SASL_MECHANISM);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let login = Credentials { username: "alice".to_owned(), password: Secret::new("") };
    let security = KafkaSecurity { tls: Tls::Off, sasl: Sasl::Plain(login) };
    for servers in [[&nobody, &broker.address], [&broker.address, &nobody]] {
        let client = client_of(&servers.map(String::as_str).join(","), &security);
        let error = topics(&client, LONG).await.unwrap_err();
        assert!(is(&error, RowError::Denied, &[&broker.address, "PLAIN", "SCRAM-SHA-512"]), "{error:?}");
    }
}
