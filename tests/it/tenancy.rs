//! What the author of a ScaledObject can make the scaler do, and cannot.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keda_stream_scaler::keda::proto::ScaledObjectRef;
use keda_stream_scaler::lag::{Observation, Observe as _, SourceError, SourceErrorKind};
use keda_stream_scaler::limits::{Bounds, Limits};
use keda_stream_scaler::sampler::{ReadingObserver, Sampler};
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::{Metrics, UpstreamMetrics};
use keda_stream_scaler::tenancy::Connections;
use keda_stream_scaler::trigger::{SourceRef, Trigger};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tonic::Code;

use crate::support::broker::advertise;
use crate::support::scripted::Script;
use crate::support::server::{Server, metrics_of, scaled_object};

const SOON: Duration = Duration::from_secs(20);

fn connections(text: &str) -> Connections {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connections.yaml");
    fs::write(&file, text).unwrap();
    Connections::read(&file).unwrap()
}

fn sources(text: &str) -> Sources {
    Sources::new(connections(text), UpstreamMetrics::default())
}

fn trigger(metadata: &[(&str, &str)]) -> Trigger {
    let metadata: HashMap<_, _> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Trigger::parse(&metadata).unwrap()
}

fn kafka(more: (&str, &str)) -> SourceRef {
    trigger(&[("source", "kafka"), ("consumerGroup", "g"), ("topic", "t"), more]).source
}

fn aws(more: &[(&str, &str)]) -> SourceRef {
    trigger(&[&[("source", "aws-kinesis-stream"), ("streamName", "orders")], more].concat()).source
}

#[track_caller]
fn assert_denied(refused: &SourceError, expected: &str) {
    assert_eq!(refused.kind(), SourceErrorKind::Denied, "{}", refused.chain());
    assert!(refused.chain().contains(expected), "{}", refused.chain());
}

// === addresses ===

/// A port of this machine, and how many connections came to it.
async fn port() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (port, came) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = came.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, came)
}

/// What an caller in `shop` gets about a group of these brokers.
async fn read(connections: Connections, servers: &str) -> SourceError {
    let metrics = Metrics::new("0", "none");
    let sampler = Sampler::new(Sources::new(connections, metrics.upstream.clone()), metrics.sampler.clone());
    let base = [("source", "kafka"), ("consumerGroup", "g"), ("topic", "t"), ("bootstrapServers", servers)];
    sampler.ask("shop", &trigger(&base), SOON).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_metadata_names_is_not_on_the_scalers_own_machine() {
    let (port, came) = port().await;
    for host in ["127.0.0.1", "localhost", "2130706433", "0.0.0.0", "[::ffff:127.0.0.1]", "127.1"] {
        let refused = read(Connections::default(), &format!("{host}:{port}")).await;
        assert_eq!(refused.kind(), SourceErrorKind::Unreachable, "{host}: {}", refused.chain());
        let why = "metadata may not lead to the scaler's own machine or link";
        assert!(refused.chain().contains(why), "{host}: {}", refused.chain());
    }
    assert_eq!(came.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_the_operator_writes_out_may_be_on_the_scalers_own_machine() {
    for rules in [
        "metadata: [{namespaces: [shop], bootstrapServers: ['*', 'localhost:*']}]",
        "connections: {it: {namespaces: [shop], kafka: {bootstrapServers: 'localhost:PORT'}}}",
    ] {
        let (port, came) = port().await;
        let rules = rules.replace("PORT", &port.to_string());
        let sources = Sources::new(connections(&rules), UpstreamMetrics::default());
        let source = if rules.starts_with("connections") {
            kafka(("connection", "it"))
        } else {
            kafka(("bootstrapServers", &format!("localhost:{port}")))
        };
        let backend = sources.admit("shop", &source).unwrap();
        sources.observe(&backend, vec![Arc::new(source)], Arc::new(|_, _| {})).await;
        assert!(came.load(Ordering::Relaxed) > 0, "{rules}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_a_broker_tells_of_is_not_on_the_scalers_own_machine_either() {
    let (port, came) = port().await;
    // an address of this machine that is no loopback one; nothing is sent to the other
    let own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    own.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).unwrap();
    let (own, asked) = (own.local_addr().unwrap().ip(), Arc::new(AtomicUsize::new(0)));
    let listener = TcpListener::bind((own, 0)).await.unwrap();
    let servers = listener.local_addr().unwrap().to_string();
    tokio::spawn(advertise(listener, port, asked.clone()));
    let refused = read(Connections::default(), &servers).await;
    assert!(asked.load(Ordering::Relaxed) > 0, "the broker told of it: {}", refused.chain());
    assert!(refused.chain().contains("nor may the addresses that brokers advertise"), "{}", refused.chain());
    assert_eq!(came.load(Ordering::Relaxed), 0);
}

// === rights ===

#[tokio::test]
async fn what_the_scalers_own_identity_reads_for_a_namespace_is_the_operators_to_say() {
    let sources = sources(
        "metadata:\n- {namespaces: [shop], awsResources: [orders, 'shop-*']}\n- {namespaces: [bank], awsRoleArns: ['*']}\n",
    );
    let region = ("awsRegion", "eu-west-1");
    let by_age = |table| aws(&[region, ("scaleOn", "age"), ("leaseTable", table)]);
    sources.admit("shop", &aws(&[region])).unwrap();
    sources.admit("shop", &by_age("shop-leases")).unwrap();
    sources.admit("bank", &by_age("any")).unwrap();
    let refused = sources.admit("shop", &by_age("payroll")).unwrap_err();
    assert_denied(
        &refused,
        "namespace shop may not have payroll read with the scaler's own AWS identity; use a connection",
    );
    assert_denied(&sources.admit("club", &aws(&[region])).unwrap_err(), "may not have orders read");
    // the name of a table allows no table of that name in whichever account an ARN says
    let by_arn = by_age("arn:aws:dynamodb:eu-west-1:210987654321:table/orders");
    assert_denied(&sources.admit("shop", &by_arn).unwrap_err(), "may not have arn:aws:dynamodb:eu-west-1:210987654321");
    // whoever brings a key or a role of their own is another matter
    let key = [region, ("awsAccessKeyID", "AKID"), ("awsSecretAccessKey", "s")];
    sources.admit("club", &aws(&key)).unwrap();
    let role = [region, ("awsRoleArn", "arn:aws:iam::123456789012:role/r")];
    sources.admit("bank", &aws(&role)).unwrap();
    assert_denied(&sources.admit("shop", &aws(&role)).unwrap_err(), "may not have the role");
}

#[tokio::test]
async fn endpoints_and_roles_are_only_what_a_rule_names() {
    let rules = "metadata: [{namespaces: [shop], awsEndpoints: ['https://*.vpce.amazonaws.com']}]";
    let sources = sources(rules);
    let at = |endpoint| aws(&[("awsRegion", "eu-west-1"), ("awsEndpoint", endpoint)]);
    sources.admit("shop", &at("https://k.vpce.amazonaws.com")).unwrap();
    for endpoint in
        ["https://attacker.example", "http://169.254.169.254", "https://k.vpce.amazonaws.com.attacker.example"]
    {
        assert_denied(&sources.admit("shop", &at(endpoint)).unwrap_err(), "may not name the endpoint");
    }
    assert_denied(&sources.admit("bank", &at("https://k.vpce.amazonaws.com")).unwrap_err(), "namespace bank may not");
}

const TWO_CONNECTIONS: &str = "connections:
  shop-kafka: {namespaces: [shop], kafka: {bootstrapServers: 'secret-broker:9092', sasl: plaintext, username: u, password: p}}
  bank-kafka: {namespaces: [bank], kafka: {bootstrapServers: 'b2:9092', sasl: plaintext, username: u, password: p}}
";

#[tokio::test]
async fn a_connection_of_another_namespace_reads_as_one_that_there_is_not() {
    let sources = sources(TWO_CONNECTIONS);
    sources.admit("shop", &kafka(("connection", "shop-kafka"))).unwrap();
    let refusal = |name: &str| {
        let refused = sources.admit("bank", &kafka(("connection", name))).unwrap_err();
        refused.chain().replace(name, "NAME")
    };
    assert_eq!(refusal("shop-kafka"), refusal("nobodys"));
    assert!(!refusal("shop-kafka").contains("secret-broker"));
}

#[tokio::test]
async fn the_right_to_a_shared_source_is_asked_for_everybody_who_asks_about_it() {
    let server = Server::start().await;
    server.source.set("a", Script::Lag(7));
    server.source.forbid("bank");
    let mut client = server.client().await;
    let mut about = scaled_object("a", &[]);
    client.get_metrics(metrics_of(&about, "")).await.unwrap();
    about.namespace = "bank".to_owned();
    let refused = client.get_metrics(metrics_of(&about, "")).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, "namespace bank may not ask"));
    assert!(client.stream_is_active(about).await.is_err());
}

#[tokio::test]
async fn credentials_of_a_connection_go_to_no_broker_that_metadata_names() {
    let sources = sources(TWO_CONNECTIONS);
    let both = [
        ("source", "kafka"),
        ("consumerGroup", "g"),
        ("topic", "t"),
        ("connection", "shop-kafka"),
        ("bootstrapServers", "attacker.example:9092"),
    ];
    let refused = sources.admit("shop", &trigger(&both).source).unwrap_err();
    assert_denied(&refused, "attacker.example:9092, which connection shop-kafka does not");
    assert!(!refused.chain().contains("secret-broker"), "{}", refused.chain());
}

// === a reload ===

#[tokio::test]
async fn whoever_loses_a_right_is_served_no_longer_and_the_others_are() {
    let server = Server::start().await;
    server.source.set("a", Script::Lag(7));
    let (mine, mut others) = (scaled_object("a", &[]), scaled_object("a", &[]));
    others.namespace = "bank".to_owned();
    let mut client = server.client().await;
    let mut pushed = client.stream_is_active(mine.clone()).await.unwrap().into_inner();
    let mut others_pushed = client.stream_is_active(others.clone()).await.unwrap().into_inner();
    for stream in [&mut pushed, &mut others_pushed] {
        assert!(timeout(SOON, stream.next()).await.unwrap().unwrap().unwrap().result);
    }
    server.source.forbid("shop");
    assert_eq!(client.is_active(mine).await.unwrap_err().code(), Code::FailedPrecondition);
    server.source.set("a", Script::Lag(0));
    let ended = timeout(SOON, pushed.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!((ended.code(), ended.message()), (Code::FailedPrecondition, "namespace shop may not ask"));
    assert!(timeout(SOON, pushed.next()).await.unwrap().is_none());
    assert!(!client.is_active(others).await.unwrap().into_inner().result);
}

#[tokio::test]
async fn a_push_stream_whose_client_was_replaced_ends_with_ok_and_what_it_took_is_free() {
    let server = Server::limited(Limits { targets: Bounds { total: 1, per_owner: 1 }, ..Limits::default() }).await;
    server.source.set("a", Script::Lag(7));
    let mut client = server.client().await;
    client.is_active(scaled_object("a", &[])).await.unwrap();
    let mut pushed = client.stream_is_active(scaled_object("a", &[])).await.unwrap().into_inner();
    assert!(timeout(SOON, pushed.next()).await.unwrap().unwrap().unwrap().result);
    server.source.move_clients();
    assert!(timeout(SOON, pushed.next()).await.unwrap().is_none(), "OK, so that KEDA opens it again at once");
    let again = async {
        while client.is_active(scaled_object("a", &[])).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, again).await.unwrap();
}

#[derive(Default)]
struct Noted(Mutex<Vec<String>>);

impl ReadingObserver for Noted {
    fn asked(&self, _source: &SourceRef, metadata: &HashMap<String, String>) {
        self.0.lock().unwrap().push(metadata["consumerGroup"].clone());
    }

    fn read(&self, _source: &SourceRef, _observation: &Observation) {}
}

#[tokio::test]
async fn what_a_namespace_may_not_ask_is_not_recorded() {
    let noted = Arc::new(Noted::default());
    let server = Server::witnessed(noted.clone()).await;
    server.source.forbid("bank");
    let mut client = server.client().await;
    for (namespace, group) in [("bank", "theirs"), ("shop", "mine")] {
        let about = ScaledObjectRef { namespace: namespace.to_owned(), ..scaled_object(group, &[]) };
        drop(client.is_active(about).await);
    }
    assert_eq!(*noted.0.lock().unwrap(), ["mine"]);
}

#[tokio::test]
async fn a_reload_ends_only_the_clients_that_it_changes() {
    let sources = sources(TWO_CONNECTIONS);
    let [shop, bank] = ["shop", "bank"]
        .map(|namespace| sources.admit(namespace, &kafka(("connection", &format!("{namespace}-kafka")))).unwrap());
    let named = sources.admit("shop", &kafka(("bootstrapServers", "b:9092"))).unwrap();
    let current = || [&shop, &bank, &named].map(|backend| sources.is_current(backend));
    let handle = sources.connections();
    assert_eq!(current(), [true, true, true]);
    // another password for the bank
    assert!(handle.replace(connections(&TWO_CONNECTIONS.replacen(
        "b2:9092', sasl: plaintext, username: u, password: p",
        "b2:9092', sasl: plaintext, username: u, password: q",
        1
    ))));
    assert_eq!(current(), [true, false, true]);
    // nobody may name a broker any more, and the shop has no connection
    assert!(handle.replace(connections("metadata: [{namespaces: [], bootstrapServers: ['*']}]")));
    assert_eq!(current(), [false, false, false]);
}

#[tokio::test]
async fn who_names_thousands_of_clusters_disturbs_no_other_client() {
    let sources = sources(TWO_CONNECTIONS);
    let backend = sources.admit("shop", &kafka(("connection", "shop-kafka"))).unwrap();
    for number in 0..5_000 {
        sources.admit("bank", &kafka(("bootstrapServers", &format!("b{number}:9092")))).unwrap();
    }
    assert!(sources.is_current(&backend));
    assert_eq!(sources.admit("shop", &kafka(("connection", "shop-kafka"))).unwrap(), backend);
}
