//! Every limit refuses what is too much, says so, and leaves the others served.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use keda_stream_scaler::admin;
use keda_stream_scaler::keda::proto::ScaledObjectRef;
use keda_stream_scaler::limits::{Bounds, Limits};
use keda_stream_scaler::sampler::Sampler;
use keda_stream_scaler::telemetry::Exposition;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::support::process::run;
use crate::support::scripted::{Script, Scripted};
use crate::support::server::{Server, scaled_object};

const SOON: Duration = Duration::from_secs(20);

/// A ScaledObject for `group` in `namespace`, with these changes to its metadata.
fn object(namespace: &str, group: &str, changes: &[(&str, &str)]) -> ScaledObjectRef {
    ScaledObjectRef { namespace: namespace.to_owned(), ..scaled_object(group, changes) }
}

async fn ask(server: &Server, about: ScaledObjectRef) -> Result<bool, Status> {
    server.client().await.is_active(about).await.map(|answer| answer.into_inner().result)
}

#[track_caller]
fn assert_full(refused: &Status, expected: &str) {
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().starts_with(expected), "{}", refused.message());
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

// === targets ===

#[tokio::test]
async fn a_namespace_with_all_its_targets_gets_no_more_and_keeps_those_that_it_has() {
    let server = Server::limited(limits(|limits| limits.targets.per_owner = 2)).await;
    for group in ["a", "b"] {
        ask(&server, object("shop", group, &[])).await.unwrap();
    }
    let refused = ask(&server, object("shop", "c", &[])).await.unwrap_err();
    assert_full(
        &refused,
        "namespace shop has 2 sources that are asked about, all that --max-targets-per-namespace allows; raise the limit",
    );
    // also not where another namespace has it already
    ask(&server, object("bank", "c", &[])).await.unwrap();
    ask(&server, object("shop", "c", &[])).await.unwrap_err();
    for group in ["a", "b"] {
        ask(&server, object("shop", group, &[])).await.unwrap();
    }
    let metrics = server.metrics.render(Exposition::OpenMetrics);
    for line in [
        "stream_scaler_limit_refusals_total{limit=\"targets_per_namespace\"} 2",
        "stream_scaler_limit_used{limit=\"targets\"} 3",
        "stream_scaler_limit{limit=\"targets_per_namespace\"} 2",
        "stream_scaler_limit_refusals_total{limit=\"streams\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn when_all_targets_are_taken_nobody_who_has_one_loses_it() {
    let server = Server::limited(limits(|limits| limits.targets = Bounds { total: 2, per_owner: 2 })).await;
    ask(&server, object("shop", "a", &[])).await.unwrap();
    ask(&server, object("bank", "a", &[])).await.unwrap();
    let refused = ask(&server, object("club", "b", &[])).await.unwrap_err();
    assert_full(&refused, "there are 2 sources that are asked about, all that --max-targets allows; ");
    for namespace in ["shop", "bank"] {
        ask(&server, object(namespace, "a", &[])).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_not_asked_about_any_more_makes_room() {
    let limits = limits(|limits| limits.targets.per_owner = 1);
    let metrics = keda_stream_scaler::telemetry::Metrics::new("0", "none");
    let shares = keda_stream_scaler::sampler::Quotas::new(&limits, &metrics.limits);
    let sampler = Sampler::within(shares, Scripted::default(), metrics.sampler.clone(), None);
    let trigger =
        |group| keda_stream_scaler::trigger::Trigger::parse(&scaled_object(group, &[]).scaler_metadata).unwrap();
    sampler.ask("shop", &trigger("a"), SOON).await.unwrap();
    sampler.ask("shop", &trigger("b"), SOON).await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(620)).await;
    sampler.ask("shop", &trigger("b"), SOON).await.unwrap();
    // one who watches does not ask again, and keeps it
    let watch = sampler.watch("bank", &trigger("a"), Duration::from_secs(2)).unwrap();
    tokio::time::sleep(Duration::from_secs(1300)).await;
    sampler.ask("bank", &trigger("b"), SOON).await.unwrap_err();
    drop(watch);
    tokio::time::sleep(Duration::from_secs(620)).await;
    sampler.ask("bank", &trigger("b"), SOON).await.unwrap();
}

// === clients ===

#[tokio::test]
async fn a_namespace_with_all_its_clients_names_no_more_clusters_and_others_do() {
    let server = Server::limited(limits(|limits| limits.clients.per_owner = 2)).await;
    let at = |namespace: &str, broker: &str, group: &str| object(namespace, group, &[("bootstrapServers", broker)]);
    for broker in ["b1:9092", "b2:9092"] {
        ask(&server, at("shop", broker, "a")).await.unwrap();
    }
    let refused = ask(&server, at("shop", "b3:9092", "a")).await.unwrap_err();
    assert_full(
        &refused,
        "namespace shop has 2 clusters, accounts and identities that are read, all that --max-clients-per-namespace allows; ",
    );
    ask(&server, at("bank", "b3:9092", "a")).await.unwrap();
    // more groups on the same clusters are no more clients
    ask(&server, at("shop", "b1:9092", "b")).await.unwrap();
}

#[tokio::test]
async fn when_all_clients_are_taken_those_that_there_are_are_asked_on() {
    let server = Server::limited(limits(|limits| limits.clients = Bounds { total: 1, per_owner: 1 })).await;
    ask(&server, object("shop", "a", &[])).await.unwrap();
    let refused = ask(&server, object("bank", "a", &[("bootstrapServers", "b2:9092")])).await.unwrap_err();
    assert_full(
        &refused,
        "there are 1 clusters, accounts and identities that are read, all that --max-clients allows; ",
    );
    for (namespace, group) in [("shop", "a"), ("bank", "a"), ("bank", "b")] {
        ask(&server, object(namespace, group, &[])).await.unwrap();
    }
}

// === push streams ===

#[tokio::test]
async fn a_namespace_with_all_its_streams_opens_no_more_and_keeps_those_that_it_has() {
    let server = Server::limited(limits(|limits| limits.streams.per_owner = 2)).await;
    let mut client = server.client().await;
    let mut activity = client.stream_is_active(object("shop", "a", &[])).await.unwrap().into_inner();
    let _specs = client.stream_metric_spec(object("shop", "a", &[])).await.unwrap().into_inner();
    let expected = "namespace shop has 2 open push streams, all that --max-streams-per-namespace allows; ";
    assert_full(&client.stream_is_active(object("shop", "b", &[])).await.unwrap_err(), expected);
    assert_full(&client.stream_metric_spec(object("shop", "b", &[])).await.unwrap_err(), expected);
    let mut other = client.stream_is_active(object("bank", "b", &[])).await.unwrap().into_inner();
    for stream in [&mut activity, &mut other] {
        assert!(!timeout(SOON, stream.next()).await.unwrap().unwrap().unwrap().result);
    }
    server.source.set("a", Script::Lag(3));
    assert!(timeout(SOON, activity.next()).await.unwrap().unwrap().unwrap().result);
    // calls are no streams
    client.is_active(object("shop", "b", &[])).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_ended_makes_room_for_another() {
    let server = Server::limited(limits(|limits| limits.streams = Bounds { total: 1, per_owner: 1 })).await;
    let mut client = server.client().await;
    let open = client.stream_is_active(object("shop", "a", &[])).await.unwrap().into_inner();
    let refused = client.stream_is_active(object("bank", "b", &[])).await.unwrap_err();
    assert_full(&refused, "there are 1 open push streams, all that --max-streams allows; ");
    drop(open);
    let reopened = async {
        while client.stream_is_active(object("bank", "b", &[])).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, reopened).await.unwrap();
}

// === requests ===

#[tokio::test]
async fn metadata_that_is_too_large_is_refused_before_anything_of_it_is_kept() {
    let server = Server::limited(limits(|limits| limits.metadata_bytes = 1024)).await;
    let group = "g".repeat(1024);
    let refused = ask(&server, object("shop", &group[..200], &[("consumerGroup", &group)])).await.unwrap_err();
    assert_full(&refused, &format!("shop/{} has 11", &group[..200]));
    let expected = " bytes of metadata, all that --max-metadata-bytes allows; shorten the metadata, or raise the limit";
    assert!(refused.message().ends_with(expected), "{refused}");
    assert_eq!(server.source.observed(&group), 0);
    ask(&server, object("shop", "a", &[])).await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_and_its_connection_serves_on() {
    let server = Server::limited(limits(|limits| limits.request_bytes = 4096)).await;
    let mut client = server.client().await;
    let long = "g".repeat(5000);
    let refused = client.is_active(object("shop", "a", &[("consumerGroup", &long)])).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    assert!(refused.message().contains("4096"), "{refused}");
    client.is_active(object("shop", "a", &[])).await.unwrap();
}

#[tokio::test]
async fn names_that_kubernetes_would_not_have_are_refused() {
    let server = Server::start().await;
    for (namespace, name) in [("a\nERROR forged", "x"), ("shop", "a\u{1b}[2J"), (&*"n".repeat(64), "x")] {
        let about = ScaledObjectRef { name: name.to_owned(), ..object(namespace, "a", &[]) };
        let refused = ask(&server, about).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
}

#[tokio::test]
async fn a_connection_full_of_calls_that_wait_holds_up_no_other_connection() {
    let limits = limits(|limits| (limits.streams.total, limits.calls_per_connection) = (1, 1));
    let server = Server::limited(limits).await;
    server.source.set("silent", Script::Silent);
    let mut full = server.client().await;
    // from the first answer on a caller knows how many calls it may make
    full.get_metric_spec(object("shop", "a", &[])).await.unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let mut client = full.clone();
        waiting.spawn(async move { drop(client.is_active(object("shop", "silent", &[])).await) });
    }
    while server.source.observed("silent") == 0 {
        tokio::task::yield_now().await;
    }
    let third = tokio::spawn(async move { full.get_metric_spec(object("shop", "a", &[])).await.map(drop) });
    ask(&server, object("bank", "a", &[])).await.unwrap();
    assert!(!third.is_finished() && waiting.try_join_next().is_none());
    timeout(SOON, third).await.unwrap().unwrap().unwrap();
}

// === gRPC connections ===

#[tokio::test]
async fn an_address_with_all_its_grpc_connections_gets_no_more_and_keda_is_answered() {
    let bounds = Bounds { total: 4, per_owner: 2 };
    let server = Server::limited(Limits { grpc_connections: bounds, ..Limits::default() }).await;
    let held = [connect_from(2, server.address).await, connect_from(2, server.address).await];
    let mut refused = connect_from(2, server.address).await;
    let read = timeout(SOON, refused.read(&mut [0; 16])).await.expect("it is closed at once");
    assert!(read.is_err() || read.is_ok_and(|length| length == 0));
    let mut client = server.client().await;
    client.get_metric_spec(object("shop", "a", &[])).await.unwrap();
    let text = server.metrics.render(Exposition::Text);
    for line in [
        "stream_scaler_limit_used{limit=\"grpc_connections\"} 3",
        "stream_scaler_limit_refusals_total{limit=\"grpc_connections_per_address\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    // what is closed makes room
    drop(held);
    let begun = Instant::now();
    loop {
        let mut stream = connect_from(2, server.address).await;
        // the server's settings come first where it is let in
        let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
        if timeout(SOON, stream.read(&mut [0; 16])).await.unwrap().is_ok_and(|length| length > 0) {
            break;
        }
        assert!(begun.elapsed() < SOON, "there is no room again");
    }
}

// === HTTP ===

/// The operators' port with room for 4 connections, of one address 2.
async fn operators() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = std::sync::Arc::new(keda_stream_scaler::telemetry::Metrics::new("0", "none"));
    let sampler = Sampler::new(Scripted::default(), metrics.sampler.clone());
    let readiness = admin::Readiness::new(CancellationToken::new());
    tokio::spawn(admin::serve(listener, sampler, metrics, Bounds { total: 4, per_owner: 2 }, readiness, None));
    address
}

/// A connection from another address of this machine.
async fn connect_from(own: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, own], 0))).unwrap();
    socket.connect(to).await.unwrap()
}

/// The first line of the answer to what is sent.
async fn answer(mut stream: TcpStream, sent: &[u8]) -> String {
    // an answer may come before everything is read
    let _ = stream.write_all(sent).await;
    let mut answer = vec![0; 4096];
    let length = timeout(SOON, stream.read(&mut answer)).await.unwrap().unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

const PROBE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn an_address_with_all_its_connections_gets_no_more_and_a_probe_from_another_is_answered() {
    let address = operators().await;
    let held = [connect_from(2, address).await, connect_from(2, address).await];
    let refused = answer(connect_from(2, address).await, b"").await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    let expected = "127.0.0.2 has 2 open HTTP connections, all that --max-http-connections-per-address allows; ";
    assert!(refused.contains(expected), "{refused}");
    let probed = answer(connect_from(1, address).await, PROBE).await;
    assert!(probed.starts_with("HTTP/1.1 200 "), "{probed}");
    drop(held);
}

#[tokio::test]
async fn when_all_connections_are_taken_those_that_there_are_are_answered() {
    let address = operators().await;
    let mut held = Vec::new();
    for own in [2, 2, 3, 3] {
        held.push(connect_from(own, address).await);
    }
    let refused = answer(connect_from(1, address).await, b"").await;
    assert!(
        refused.contains("there are 4 open HTTP connections, all that --max-http-connections allows; "),
        "{refused}"
    );
    let probed = answer(held.pop().unwrap(), PROBE).await;
    assert!(probed.starts_with("HTTP/1.1 200 "), "{probed}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let address = operators().await;
    let head = format!("GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
    let refused = answer(connect_from(1, address).await, head.as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
    let address_line = format!("GET /samples?source={} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(20_000));
    let refused = answer(connect_from(1, address).await, address_line.as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 431 ") || refused.starts_with("HTTP/1.1 414 "), "{refused}");
}

#[tokio::test]
async fn a_client_that_does_not_end_its_request_is_hung_up_on() {
    let address = operators().await;
    let mut slow = connect_from(2, address).await;
    slow.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    let silent = connect_from(2, address).await;
    for mut stream in [slow, silent] {
        let mut rest = Vec::new();
        let ended = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("it is hung up on");
        assert!(ended.is_err() || rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{rest:?}");
    }
    let probed = answer(connect_from(2, address).await, PROBE).await;
    assert!(probed.starts_with("HTTP/1.1 200 "), "{probed}");
}

// === flags ===

#[tokio::test]
async fn a_limit_outside_its_range_is_wrong_usage() {
    for (flag, value) in [
        ("--max-targets", "0"),
        ("--max-clients", "5000"),
        ("--max-request-bytes", "100"),
        ("--max-http-connections", "many"),
        ("--max-grpc-connections", "1"),
    ] {
        let ended = run(&["serve", flag, value]).await;
        assert_eq!(ended.code, Some(2), "{flag} {value}: {}", ended.stderr);
        assert!(ended.stderr.contains(flag), "{}", ended.stderr);
    }
}
