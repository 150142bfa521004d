//! Every way to log in to a real broker, what is refused and how that reads, and what ACLs hide.

use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use keda_stream_scaler::lag::{CommittedOffset, Offset, SourceError, SourceErrorKind};
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::source::kafka::transport::{
    ClusterTransport as _, GroupAsk, OffsetAndEpoch, PartitionsAsk, Progress, RowError,
};
use keda_stream_scaler::telemetry::UpstreamMetrics;
use keda_stream_scaler::trigger::{Credentials, GroupType, KafkaSecurity, Sasl, Secret, Tls};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::asking::{all, client_of, committed, flat, partition};
use crate::support::driver::{Driver, WITHIN};
use crate::support::kafka::{KafkaCluster, secured, unique};
use crate::support::observer::{Observer, connections, round, trigger};

const TOPIC: &str = "seen-by-alice";
const GROUP: &str = "group-of-alice";
const HIDDEN: &str = "hidden-from-alice";

/// The secured broker with one topic that alice may see, one that she may not, and a group that is 3 behind on each.
async fn scene() -> &'static KafkaCluster {
    static READY: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let cluster = secured();
    READY
        .get_or_init(|| async {
            let driver = Driver::new(cluster.bootstrap_servers());
            for topic in [TOPIC, HIDDEN] {
                driver.create_topic(topic, 1, 1, &[]).await;
                driver.produce(topic, 0, 10);
                driver.commit(GROUP, &[(topic, 0, 7)]);
            }
            cluster.show_alice(TOPIC, GROUP);
        })
        .await;
    cluster
}

/// What alice, or whoever the connection says, gets for a topic.
async fn ask(connection: &Value, topic: &str) -> Result<i64, SourceError> {
    let file = json!({"connections": {"it": {"namespaces": ["*"], "kafka": connection}}});
    let observer = Observer::with_connections(&file.to_string());
    let trigger = trigger(&[("connection", "it"), ("consumerGroup", GROUP), ("topic", topic)]);
    observer.decision(&trigger).await.map(|decision| crate::support::observer::activity(&decision))
}

fn with(mut base: Value, more: &Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mechanism_logs_in() {
    let cluster = scene().await;
    let ca = cluster.certificate("ca.crt");
    let alice = json!({"username": "alice", "password": "alice-secret"});
    let identity = json!({"cert": cluster.certificate("alice.crt"), "key": cluster.certificate("alice.key")});
    let encrypted = json!({
        "cert": cluster.certificate("alice.crt"), "key": cluster.certificate("alice-encrypted.key"), "keyPassword": "key-secret",
    });
    let mut cases = Vec::new();
    for mechanism in ["plaintext", "scram_sha256", "scram_sha512"] {
        let sasl = with(json!({"sasl": mechanism}), &alice);
        cases.push(with(json!({"bootstrapServers": cluster.listener("SASL")}), &sasl));
        cases.push(with(json!({"bootstrapServers": cluster.listener("SASLTLS"), "tls": "enable", "ca": ca}), &sasl));
    }
    let over_tls = |listener: &str| json!({"bootstrapServers": cluster.listener(listener), "tls": "enable"});
    cases.push(with(over_tls("TLS"), &json!({"ca": ca})));
    cases.push(with(over_tls("TLS"), &json!({"unsafeSsl": "true"})));
    cases.push(with(over_tls("WRONGHOST"), &json!({"unsafeSsl": "true"})));
    cases.push(with(with(over_tls("MTLS"), &json!({"ca": ca})), &identity));
    cases.push(with(with(over_tls("MTLS"), &json!({"ca": ca})), &encrypted));
    for connection in cases {
        let lag = ask(&connection, TOPIC).await;
        assert_eq!(lag.map_err(|error| format!("{}: {connection}", error.chain())), Ok(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_says_why() {
    let cluster = scene().await;
    let ca = cluster.certificate("ca.crt");
    let sasl = cluster.listener("SASL");
    let cases = [
        (
            json!({"bootstrapServers": sasl, "sasl": "scram_sha512", "username": "alice", "password": "wrong"}),
            SourceErrorKind::Denied,
            "invalid credentials with SASL mechanism SCRAM-SHA-512",
        ),
        (
            json!({"bootstrapServers": sasl, "sasl": "plaintext", "username": "alice", "password": "wrong"}),
            SourceErrorKind::Denied,
            "Invalid username or password",
        ),
        (
            json!({"bootstrapServers": cluster.listener("WRONGHOST"), "tls": "enable", "ca": ca}),
            SourceErrorKind::Unreachable,
            "the certificate is not valid for 127.0.0.1, only for elsewhere.invalid",
        ),
        (
            json!({"bootstrapServers": cluster.listener("TLS"), "tls": "enable"}),
            SourceErrorKind::Unreachable,
            "the certificate is issued by CN=ca, which is not in ca",
        ),
        (
            json!({"bootstrapServers": cluster.listener("EXPIRED"), "tls": "enable", "ca": ca}),
            SourceErrorKind::Unreachable,
            "the certificate expired on 20",
        ),
        (
            json!({"bootstrapServers": cluster.listener("TLS")}),
            SourceErrorKind::Unreachable,
            "answers in TLS: set tls: enable",
        ),
        (json!({"bootstrapServers": sasl}), SourceErrorKind::Unreachable, "the listener may require a login: set sasl"),
        (
            json!({"bootstrapServers": cluster.bootstrap_servers(), "sasl": "plaintext", "username": "u", "password": "p"}),
            SourceErrorKind::Denied,
            "this listener requires no login",
        ),
        (
            json!({"bootstrapServers": cluster.listener("MTLS"), "tls": "enable", "ca": ca}),
            SourceErrorKind::Unreachable,
            "it requires a client certificate; give the connection cert and key",
        ),
        (
            json!({"bootstrapServers": cluster.bootstrap_servers(), "tls": "enable", "ca": ca}),
            SourceErrorKind::Unreachable,
            // the broker may answer with what is no TLS, or hang up first
            "no TLS with 127.0.0.1",
        ),
        (
            json!({
                "bootstrapServers": cluster.listener("MTLS"), "tls": "enable", "ca": ca, "cert": cluster.certificate("alice.crt"),
                "key": cluster.certificate("alice-encrypted.key"), "keyPassword": "wrong",
            }),
            SourceErrorKind::Denied,
            "keyPassword does not open key",
        ),
        (
            json!({"bootstrapServers": sasl, "sasl": "gssapi", "username": "u", "password": "p", "realm": "r", "kerberosConfig": "c"}),
            SourceErrorKind::Denied,
            "no Kerberos",
        ),
    ];
    for (connection, kind, text) in cases {
        let error = ask(&connection, TOPIC).await.expect_err(text);
        assert_eq!(error.kind(), kind, "{}", error.chain());
        assert!(error.chain().contains(text), "{}\nlacks {text}", error.chain());
        assert!(!error.chain().contains("secret"), "{}", error.chain());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_principal_may_not_see_is_an_error_and_never_left_out() {
    let cluster = scene().await;
    let connection = |user: &str| {
        let password = format!("{user}-secret");
        json!({"bootstrapServers": cluster.listener("SASL"), "sasl": "scram_sha512", "username": user, "password": password})
    };
    assert_eq!(ask(&connection("alice"), TOPIC).await.unwrap(), 3);
    for (user, topic) in [("alice", HIDDEN), ("alice", &unique("not-there")), ("bob", TOPIC)] {
        let error = ask(&connection(user), topic).await.expect_err(topic);
        assert_eq!(error.kind(), SourceErrorKind::Denied, "{user} {topic}: {}", error.chain());
        assert!(error.chain().contains("may Describe the topic and the group"), "{}", error.chain());
    }
    let file = json!({"connections": {"it": {"namespaces": ["*"], "kafka": connection("alice")}}});
    let observer = Observer::with_connections(&file.to_string());
    let both = trigger(&[
        ("source", "apache-kafka"),
        ("connection", "it"),
        ("consumerGroup", GROUP),
        ("topic", &format!("{TOPIC},{HIDDEN}")),
    ]);
    assert_eq!(observer.decision(&both).await.unwrap_err().kind(), SourceErrorKind::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_topic_is_left_out_of_all_that_a_group_committed_and_denied_where_it_is_named() {
    let cluster = scene().await;
    let alice = Credentials { username: "alice".to_owned(), password: Secret::new("alice-secret") };
    let of = |servers: String, sasl| client_of(&servers, &KafkaSecurity { tls: Tls::Off, sasl });
    let alice = of(cluster.listener("SASL"), Sasl::ScramSha512(alice));
    let super_user = of(cluster.bootstrap_servers(), Sasl::None);
    let is_seven = |row: &_| matches!(row, Ok(Progress::Committed(OffsetAndEpoch { offset: Offset(7), .. })));
    for (client, topics) in [(&super_user, &[HIDDEN, TOPIC][..]), (&alice, &[TOPIC])] {
        let every = GroupAsk { group: GROUP.into(), partitions: PartitionsAsk::AllCommitted };
        let mut rows = all(client.progress(GroupType::Consumer, vec![every], WITHIN)).await;
        let rows = rows.remove(GROUP).unwrap().unwrap();
        assert!(flat(rows.clone()).iter().all(|(_, row)| is_seven(row)), "{rows:?}");
        let seen: Vec<_> = rows.as_slice().iter().map(|(topic, _)| &**topic).collect();
        assert_eq!(seen, topics);
    }
    let rows = committed(&alice, GROUP, &[partition(TOPIC, 0), partition(HIDDEN, 0)]).await.unwrap();
    let [(_, hidden), (_, seen)] = &rows[..] else { panic!("{rows:?}") };
    assert!(is_seven(seen), "{rows:?}");
    assert_eq!(hidden, &Err(RowError::Denied("TOPIC_AUTHORIZATION_FAILED".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_group_fails_its_own_trigger_and_no_other_of_the_round() {
    let cluster = scene().await;
    let alice = json!({
        "bootstrapServers": cluster.listener("SASL"), "sasl": "scram_sha512", "username": "alice", "password": "alice-secret",
    });
    let file = json!({"connections": {"it": {"namespaces": ["*"], "kafka": alice}}});
    let sources = Sources::new(connections(&file.to_string()), UpstreamMetrics::default());
    let forbidden = "group-of-bob";
    let triggers =
        [forbidden, GROUP].map(|group| trigger(&[("connection", "it"), ("consumerGroup", group), ("topic", TOPIC)]));
    // the second round knows the coordinators
    for _ in 0..2 {
        let mut read = round(&sources, &triggers).await;
        let error = read.remove(forbidden).unwrap().unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Denied);
        assert!(error.chain().contains("GROUP_AUTHORIZATION_FAILED"), "{}", error.chain());
        let partition = read.remove(GROUP).unwrap().unwrap().topics[0].partitions[0];
        assert_eq!((partition.committed, partition.watermarks.end), (CommittedOffset::At(Offset(7)), Offset(10)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_client_of_a_sasl_port_is_an_error_in_time() {
    let cluster = scene().await;
    let trigger =
        trigger(&[("bootstrapServers", &cluster.listener("SASL")), ("consumerGroup", GROUP), ("topic", TOPIC)]);
    let error = Observer::new().decision(&trigger).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Unreachable, "{}", error.chain());
}

// === OAUTHBEARER ===

static TOKENS: AtomicUsize = AtomicUsize::new(0);

/// An OAuth server for one client, whose tokens are not signed: the broker's listener takes such.
pub async fn token_server() -> String {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    if let Some(address) = ADDRESS.get() {
        return address.clone();
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = format!("http://{}/token", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/token", post(token)).with_state(Duration::from_secs(20));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = listener.into_std().unwrap();
        runtime.block_on(async { axum::serve(TcpListener::from_std(listener).unwrap(), router).await.unwrap() });
    });
    ADDRESS.get_or_init(|| address).clone()
}

async fn token(State(lifetime): State<Duration>, headers: HeaderMap, form: String) -> impl IntoResponse {
    TOKENS.fetch_add(1, Ordering::Relaxed);
    let expected = format!("Basic {}", BASE64_STANDARD.encode("alice:client-secret"));
    if headers.get("authorization").is_none_or(|sent| sent != expected.as_str()) {
        return (StatusCode::UNAUTHORIZED, String::new());
    }
    assert_eq!(form, "grant_type=client_credentials&scope=kafka+read");
    #[expect(clippy::disallowed_methods, reason = "a token tells the time of day")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"sub": "alice", "iat": now, "exp": now + lifetime.as_secs()}).to_string();
    let [header, claims] = [r#"{"alg":"none"}"#, &claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let token = json!({"access_token": format!("{header}.{claims}."), "expires_in": lifetime.as_secs()});
    (StatusCode::OK, token.to_string())
}

fn oauth(cluster: &KafkaCluster, endpoint: &str, secret: &str) -> Value {
    json!({
        "bootstrapServers": cluster.listener("OAUTH"), "sasl": "oauthbearer", "username": "alice", "password": secret,
        "oauthTokenEndpointUri": endpoint, "scopes": "kafka, read",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn oauthbearer_logs_in_with_client_credentials_and_stays_logged_in() {
    let cluster = scene().await;
    let file = json!({"connections": {"it": {"namespaces": ["*"], "kafka": oauth(cluster, &token_server().await, "client-secret")}}});
    let observer = Observer::with_connections(&file.to_string());
    let keys = [("connection", "it"), ("consumerGroup", GROUP), ("topic", TOPIC), ("maxStaleness", "4s")];
    let trigger = trigger(&keys);
    assert_eq!(observer.lag(&trigger).await, 3);
    let fetched = TOKENS.load(Ordering::Relaxed);
    let begun = tokio::time::Instant::now();
    // past the end of the first token
    while begun.elapsed() < Duration::from_secs(24) {
        assert_eq!(observer.lag(&trigger).await, 3);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(TOKENS.load(Ordering::Relaxed) > fetched);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_cannot_be_had_is_an_error_with_its_cause() {
    let cluster = scene().await;
    let error = ask(&oauth(cluster, &token_server().await, "wrong"), TOPIC).await.unwrap_err();
    assert!(error.chain().contains("401 Unauthorized"), "{}", error.chain());
    assert!(!error.chain().contains("wrong"), "{}", error.chain());
}
