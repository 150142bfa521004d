//! Planted faults, each of which `doctor` must name: against real brokers, a real IAM and scripted services, through the binary.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::kafka_security::token_server;
use crate::support::checkup::{Checkup, doctor, doctor_with};
use crate::support::driver::Driver;
use crate::support::kafka::{KafkaCluster, secured, unique};

const TOPIC: &str = "watched-by-doctor";
const GROUP: &str = "group-of-doctor";
const HIDDEN: &str = "hidden-from-doctor";

/// The layers that every Kafka trigger goes through.
const TO_THE_LOGIN: [&str; 8] =
    ["metadata", "rules", "credentials", "resolve", "connect", "protocol", "mechanism", "login"];

/// The secured broker, on which alice may see a topic and a group.
async fn cluster() -> &'static KafkaCluster {
    static READY: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let cluster = secured();
    READY
        .get_or_init(|| async {
            let driver = Driver::new(cluster.bootstrap_servers());
            for topic in [TOPIC, HIDDEN] {
                driver.create_topic(topic, 2, 1, &[]).await;
                driver.produce(topic, 0, 10);
                driver.commit(GROUP, &[(topic, 0, 7), (topic, 1, 0)]);
            }
            cluster.show_alice(TOPIC, GROUP);
        })
        .await;
    cluster
}

fn with(mut base: Value, more: &Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

fn alice(servers: &str) -> Value {
    json!({"bootstrapServers": servers, "sasl": "scram_sha512", "username": "alice", "password": "alice-secret"})
}

fn over_tls(cluster: &KafkaCluster, listener: &str) -> Value {
    json!({"bootstrapServers": cluster.listener(listener), "tls": "enable", "ca": cluster.certificate("ca.crt")})
}

fn connections(kafka: &Value) -> Value {
    json!({"connections": {"it": {"namespaces": ["shop"], "kafka": kafka}}})
}

/// What is said of a topic and a group over a connection.
async fn of(kafka: &Value, topic: &str, group: &str) -> Checkup {
    let metadata = [("source", "kafka"), ("connection", "it"), ("topic", topic), ("consumerGroup", group)];
    let checkup = doctor(&[], &connections(kafka), &metadata).await;
    assert!(!checkup.written.contains("alice-secret") && !checkup.written.contains("PRIVATE"), "{}", checkup.written);
    checkup
}

async fn of_watched(kafka: &Value) -> Checkup {
    of(kafka, TOPIC, GROUP).await
}

/// What is said of a topic and a group at an address, without a connection.
async fn plainly(servers: &str, topic: &str, group: &str) -> Checkup {
    let metadata = [("source", "kafka"), ("bootstrapServers", servers), ("topic", topic), ("consumerGroup", group)];
    // brokers on this machine have to be written out
    let rules = json!({"metadata": [{"namespaces": ["*"], "bootstrapServers": ["127.0.0.1:*", "*"]}]});
    doctor(&[], &rules, &metadata).await
}

// === Kafka: all is well ===

#[tokio::test(flavor = "multi_thread")]
async fn a_good_trigger_is_green_from_the_metadata_to_the_value() {
    let cluster = cluster().await;
    let checkup = plainly(&cluster.bootstrap_servers(), TOPIC, GROUP).await;
    checkup.assert_green(&TO_THE_LOGIN);
    checkup.assert_green(&["advertised", "topic", "group", "value"]);
    assert!(checkup.step("protocol")["seen"].as_str().unwrap().starts_with("Kafka ≥ 3.8"));
    assert_eq!(checkup.step("topic")["seen"], "2 partitions");
    assert_eq!(
        checkup.step("rules")["seen"],
        "namespace shop, by metadata: namespaces [*], bootstrapServers [127.0.0.1:*]"
    );

    for mechanism in ["plaintext", "scram_sha256", "scram_sha512"] {
        let sasl = with(alice(""), &json!({"sasl": mechanism}));
        let kafka = with(sasl, &over_tls(cluster, "SASLTLS"));
        of_watched(&kafka).await.assert_green(&[&TO_THE_LOGIN[..], &["tls", "topic", "group", "value"]].concat());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_presented_also_where_its_key_is_encrypted() {
    let cluster = cluster().await;
    let identity = |key: &str| json!({"cert": cluster.certificate("alice.crt"), "key": cluster.certificate(key)});
    let checkup = of_watched(&with(over_tls(cluster, "MTLS"), &identity("alice.key"))).await;
    checkup.assert_green(&["tls", "protocol", "login", "value"]);
    assert!(checkup.step("tls")["seen"].as_str().unwrap().ends_with("it requests a client certificate"));
    assert!(checkup.step("credentials")["seen"].as_str().unwrap().contains("client certificate CN=alice, until "));

    let encrypted = with(identity("alice-encrypted.key"), &json!({"keyPassword": "key-secret"}));
    let checkup = of_watched(&with(over_tls(cluster, "MTLS"), &encrypted)).await;
    checkup.assert_green(&["tls", "protocol", "login", "value"]);
    assert!(!checkup.written.contains("key-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_looked_at_without_a_trigger() {
    let cluster = cluster().await;
    let files = crate::support::checkup::Files::new(&connections(&alice(&cluster.listener("SASL"))), &[]);
    let checkup = doctor_with(&[], &["--connections", &files.connections(), "--connection", "it"]).await;
    checkup.assert_green(&TO_THE_LOGIN[1..]);
    checkup.assert_green(&["advertised"]);
    let checkup = doctor_with(&[], &["--connections", &files.connections(), "--connection", "other"]).await;
    checkup.assert_fault("rules", "there is no connection other", "add it to the scaler's connections file");
}

// === Kafka: faults ===

#[tokio::test(flavor = "multi_thread")]
async fn wrong_metadata_and_rules_are_told_before_anything_is_asked() {
    let wrong = [("source", "kafka"), ("bootstrapServers", "b:9092"), ("topik", "orders"), ("consumerGroup", "g")];
    let checkup = doctor(&[], &json!({}), &wrong).await;
    checkup.assert_fault("metadata", "1 problem", "topik: is not a known key, did you mean topic?");

    let good = [("source", "kafka"), ("connection", "it"), ("topic", "orders"), ("consumerGroup", "g")];
    let others = json!({"connections": {"it": {"namespaces": ["bank"], "kafka": alice("b:9092")}}});
    let checkup = doctor(&[], &others, &good).await;
    checkup.assert_fault(
        "rules",
        "namespace shop has no access to a connection named it",
        "or the namespace to its namespaces",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_and_a_port_on_which_nothing_listens_are_told_apart() {
    plainly("broker.invalid:9092", TOPIC, GROUP).await.assert_fault(
        "resolve",
        "could not resolve broker.invalid",
        "check the host's name",
    );
    plainly("127.0.0.1:9", TOPIC, GROUP).await.assert_fault(
        "connect",
        "127.0.0.1:9: connection refused",
        "nothing listens: check the port",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_to_which_the_scaler_makes_no_connection_is_told_with_the_rule_that_would_allow_it() {
    let cluster = cluster().await;
    let servers = cluster.bootstrap_servers();
    let metadata = [("source", "kafka"), ("bootstrapServers", &*servers), ("topic", TOPIC), ("consumerGroup", GROUP)];
    let any = json!({"metadata": [{"namespaces": ["*"], "bootstrapServers": ["*"]}]});
    doctor(&[], &any, &metadata).await.assert_fault(
        "connect",
        &format!("{servers}: loopback and link-local broker addresses are blocked by default"),
        "write the host out in bootstrapServers of the rules",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_broker_beside_a_living_one_is_a_warning() {
    let cluster = cluster().await;
    let servers = format!("127.0.0.1:9,{}", cluster.bootstrap_servers());
    let checkup = plainly(&servers, TOPIC, GROUP).await;
    checkup.assert_warning("connect 127.0.0.1:9", "connection refused; another broker answers", "check the port");
    assert_eq!(checkup.step("value")["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_on_one_side_only_is_named_on_either_side() {
    let cluster = cluster().await;
    plainly(&cluster.listener("TLS"), TOPIC, GROUP).await.assert_fault(
        "protocol",
        "this listener speaks TLS",
        "set tls: enable",
    );
    let plain = with(over_tls(cluster, "TLS"), &json!({"bootstrapServers": cluster.bootstrap_servers()}));
    of_watched(&plain).await.assert_fault("tls", "this listener speaks Kafka without TLS", "leave tls out");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_not_to_trust_a_certificate_is_named() {
    let cluster = cluster().await;
    let unknown = json!({"bootstrapServers": cluster.listener("TLS"), "tls": "enable"});
    of_watched(&unknown).await.assert_fault(
        "tls",
        "the certificate is issued by CN=ca, which is not in ca: TLSv1.3, CN=server for 127.0.0.1, localhost, issued by CN=ca",
        "set ca or caFile of the connection to the authority that issued it: CN=ca",
    );
    let expired = of_watched(&over_tls(cluster, "EXPIRED")).await;
    expired.assert_fault("tls", "the certificate expired on 20", "renew the server's certificate");
    of_watched(&over_tls(cluster, "WRONGHOST")).await.assert_fault(
        "tls",
        "the certificate is not valid for 127.0.0.1, only for elsewhere.invalid",
        "name the server as its certificate does (elsewhere.invalid)",
    );
    let unverified = with(over_tls(cluster, "WRONGHOST"), &json!({"unsafeSsl": "true"}));
    of_watched(&unverified).await.assert_green(&["tls", "value"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_that_lacks_or_is_a_strangers_is_named() {
    let cluster = cluster().await;
    let bare = of_watched(&over_tls(cluster, "MTLS")).await;
    bare.assert_fault(
        "protocol",
        "it requires a client certificate, and there is none",
        "cert and key, issued by one of: CN=ca",
    );
    let stranger = json!({"cert": cluster.certificate("stranger.crt"), "key": cluster.certificate("stranger.key")});
    of_watched(&with(over_tls(cluster, "MTLS"), &stranger)).await.assert_fault(
        "protocol",
        "it does not accept the client certificate CN=stranger, issued by CN=stranger-ca",
        "give the connection a cert and key that it takes",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_a_wrong_mechanism_and_a_login_on_one_side_only_are_told_apart() {
    let cluster = cluster().await;
    let sasl = alice(&cluster.listener("SASL"));
    let wrong = of_watched(&with(sasl.clone(), &json!({"password": "wrong-word"}))).await;
    wrong.assert_fault(
        "login",
        "invalid credentials with SASL mechanism SCRAM-SHA-512",
        "correct username and password",
    );
    assert!(!wrong.written.contains("wrong-word"), "{}", wrong.written);

    let oauth_only = of_watched(&alice(&cluster.listener("OAUTH"))).await;
    oauth_only.assert_fault("mechanism", "does not offer SCRAM-SHA-512, but OAUTHBEARER", "set sasl to oauthbearer");

    let without_login = plainly(&cluster.listener("SASL"), TOPIC, GROUP).await;
    without_login.assert_fault(
        "mechanism",
        "requires a login by ",
        "use a connection with username, password and sasl: ",
    );

    let needless = of_watched(&alice(&cluster.bootstrap_servers())).await;
    needless.assert_fault("mechanism", "this listener requires no login", "set sasl: none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_fetched_before_the_login_and_a_refused_one_is_named() {
    let (cluster, endpoint) = (cluster().await, token_server().await);
    let kafka = json!({
        "bootstrapServers": cluster.listener("OAUTH"), "sasl": "oauthbearer", "username": "alice", "password": "client-secret",
        "oauthTokenEndpointUri": endpoint, "scopes": "kafka, read",
    });
    let checkup = of_watched(&kafka).await;
    checkup.assert_green(&["token", "login", "value"]);
    assert!(!checkup.written.contains("client-secret"), "{}", checkup.written);
    let refused = of_watched(&with(kafka, &json!({"password": "wrong-word"}))).await;
    refused.assert_fault("token", "it answered 401 Unauthorized", "check oauthTokenEndpointUri");
    assert!(!refused.written.contains("wrong-word"), "{}", refused.written);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_cannot_be_used_at_all_are_told_before_anything_is_asked() {
    let cluster = cluster().await;
    let wrong = json!({"cert": cluster.certificate("alice.crt"), "key": cluster.certificate("alice-encrypted.key"), "keyPassword": "wrong-word"});
    let checkup = of_watched(&with(over_tls(cluster, "MTLS"), &wrong)).await;
    checkup.assert_fault("credentials", "keyPassword does not open key", "correct the connection");
    assert!(!checkup.written.contains("wrong-word"), "{}", checkup.written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_sends_its_clients_to_a_host_that_is_not_there_is_named() {
    let checkup = plainly(&cluster().await.listener("LOST"), TOPIC, GROUP).await;
    checkup.assert_fault("advertised", "could not resolve lost.invalid", "correct advertised.listeners of broker 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_lacks_is_named_with_the_command_that_grants_it() {
    let cluster = cluster().await;
    let sasl = alice(&cluster.listener("SASL"));
    of(&sasl, HIDDEN, GROUP).await.assert_fault(
        "topic",
        "TOPIC_AUTHORIZATION_FAILED",
        "--add --allow-principal \"User:alice\" --operation Describe --topic hidden-from-doctor",
    );
    of(&sasl, TOPIC, "group-of-others").await.assert_fault(
        "group",
        "GROUP_AUTHORIZATION_FAILED",
        "--add --allow-principal \"User:alice\" --operation Describe --group group-of-others",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_topic_is_a_fault_and_a_group_that_nobody_knows_is_a_warning() {
    let servers = cluster().await.bootstrap_servers();
    let topic = unique("not-there");
    plainly(&servers, &topic, GROUP).await.step("topic");
    let absent = plainly(&servers, &topic, GROUP).await;
    absent.assert_fault("topic", "UNKNOWN_TOPIC_OR_PARTITION", "create the topic");
    let unknown = plainly(&servers, TOPIC, &unique("never-seen")).await;
    unknown.assert_warning("group", "the cluster knows no such group", "check consumerGroup");
    let elsewhere = plainly(&servers, TOPIC, GROUP).await;
    assert_eq!(elsewhere.step("group")["status"], "ok");

    // C6: the cluster knows what is meant
    let wrong_case = plainly(&servers, &TOPIC.to_uppercase(), GROUP).await;
    wrong_case.assert_fault("topic", "UNKNOWN_TOPIC_OR_PARTITION", &format!("there is {TOPIC}"));
    let typo = plainly(&servers, TOPIC, &GROUP[1..]).await;
    typo.assert_warning("group", "the cluster knows no such group", &format!("there is {GROUP}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_and_silent_hosts_are_given_up_in_time() {
    // takes connections, and says nothing
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let begun = Instant::now();
    let checkup = plainly(&address, TOPIC, GROUP).await;
    checkup.assert_fault("protocol", "no answer within 5 s", "it takes connections and says nothing");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    drop(silent);
}
