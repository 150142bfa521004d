//! `doctor --scaler`: a running scaler asked as KEDA asks it, and the output for people.

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Certificate, Identity, Server as Tonic, ServerTlsConfig};

use crate::support::certificates::{Authority, For};
use crate::support::checkup::{Checkup, Files, doctor_with};
use crate::support::driver::Driver;
use crate::support::kafka::{one_node, secured, unique};
use crate::support::process::{Serving, run, run_in};

/// A ScaledObject about a topic with ten records of which seven are read.
async fn orders() -> Files {
    let servers = one_node().bootstrap_servers();
    let (driver, topic, group) = (Driver::new(&servers), unique("orders"), unique("order-service"));
    driver.create_topic(&topic, 1, 1, &[]).await;
    driver.produce(&topic, 0, 10);
    driver.commit(&group, &[(&topic, 0, 7)]);
    let metadata = [("source", "kafka"), ("bootstrapServers", &*servers), ("consumerGroup", &group), ("topic", &topic)];
    Files::new(&json!({}), &metadata)
}

async fn ask(scaler: &str, object: &str, more: &[&str]) -> Checkup {
    doctor_with(&[], &[&["--scaler", scaler, object], more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_scaler_is_asked_as_keda_asks_it() {
    let (files, serving) = (orders().await, Serving::start(&[]).await);
    let address = serving.grpc.to_string();
    let checkup = ask(&address, &files.object(), &[]).await;
    checkup.assert_green(&["resolve", "connect", "health", "metricSpec", "metrics"]);
    assert_eq!(checkup.step("metrics")["seen"], "value 3");
    assert!(checkup.step("metricSpec")["seen"].as_str().unwrap().ends_with(", target 10"));
    let alone = doctor_with(&[], &["--scaler", &address]).await;
    alone.assert_green(&["health"]);

    let wrong = Files::new(&json!({}), &[("source", "kafka"), ("topik", "orders")]);
    let checkup = ask(&address, &wrong.object(), &[]).await;
    checkup.assert_fault("metrics", "InvalidArgument: ", "correct the trigger's metadata");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_scaler_or_not_there_is_named() {
    let files = orders().await;
    ask("127.0.0.1:9", &files.object(), &[]).await.assert_fault("connect", "connection refused", "check the port");
    let kafka = one_node().bootstrap_servers();
    let checkup = ask(&kafka, &files.object(), &[]).await;
    checkup.assert_fault("health", "Unknown: ", "see that a scaler listens there");
}

/// A server of nothing but health, which wants client certificates.
async fn with_tls() -> String {
    let cluster = secured();
    let own = Identity::from_pem(cluster.certificate("server.crt"), cluster.certificate("server.key"));
    let authority = Certificate::from_pem(cluster.certificate("ca.crt"));
    let tls = ServerTlsConfig::new().identity(own).client_ca_root(authority);
    let (_, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = Tonic::builder().tls_config(tls).unwrap().add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_on_the_way_to_the_scaler_are_looked_at() {
    let (address, folder) = (with_tls().await, tempfile::tempdir().unwrap());
    let file = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, secured().certificate(name)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ca, stranger, cert, key) = (file("ca.crt"), file("stranger-ca.crt"), file("alice.crt"), file("alice.key"));
    let own = ["--tls-cert", &cert, "--tls-key", &key];
    let asked = async |more: &[&str]| doctor_with(&[], &[&["--scaler", &address], more].concat()).await;
    let checkup = asked(&[&own[..], &["--tls-ca", &ca]].concat()).await;
    checkup.assert_green(&["tls", "health"]);
    assert!(!checkup.written.contains("PRIVATE"), "{}", checkup.written);
    let checkup = asked(&[&own[..], &["--tls-ca", &stranger]].concat()).await;
    checkup.assert_fault(
        "tls",
        "which is not in ca",
        "set --tls-ca, and caCert for the trigger, to the authority that issued it: CN=ca",
    );
    let checkup = asked(&["--tls-ca", &ca]).await;
    checkup.assert_fault("tls", "requires a client certificate", "set --tls-cert and --tls-key");
    checkup.assert_fault("tls", "CertificateRequired", "tlsClientCert and tlsClientKey");
    let (cert, key) = (file("stranger.crt"), file("stranger.key"));
    let checkup = asked(&["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key]).await;
    checkup.assert_fault("tls", "rejects the client certificate", "the scaler's log has the reason");
    asked(&[]).await.assert_fault("health", "this port speaks TLS", "give doctor --tls-ca");
}

/// C6: the remedy was made from the code alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_scaler_whose_source_fails_is_not_taken_for_one_that_cannot_be_reached() {
    let serving = Serving::start(&["--dev"]).await;
    let metadata = [("source", "kafka"), ("bootstrapServers", "127.0.0.1:9"), ("consumerGroup", "g"), ("topic", "t")];
    let files = Files::new(&json!({}), &metadata);
    let checkup = ask(&serving.grpc.to_string(), &files.object(), &[]).await;
    checkup.assert_fault(
        "metrics",
        "Unavailable: could not read topic t",
        "the scaler answered, and its source failed",
    );
}

/// C6: `tls ok`, while other clients refuse the authority.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_has_expired_is_a_warning() {
    let expired = Authority::until("expired-ca", -time::Duration::days(3));
    let server = expired.certify(For::Servers);
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(&server.certificate, &server.key));
    let (_, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = Tonic::builder().tls_config(tls).unwrap().add_service(health);
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, expired.pem()).unwrap();
    let checkup = doctor_with(&[], &["--scaler", &address, "--tls-ca", ca.to_str().unwrap()]).await;
    checkup.assert_warning("tls", "the authority CN=expired-ca expired on 20", "replace the authority in ca");
}

// === for people ===

#[tokio::test(flavor = "multi_thread")]
async fn the_text_has_a_line_a_step_and_what_to_do_below_it() {
    let files = orders().await;
    let ended = run(&["doctor", &files.object()]).await;
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(lines[0], "ScaledObject shop/orders, trigger 0");
    assert!(lines[1].starts_with("  ok       metadata: group order-service"), "{}", ended.stdout);
    assert_eq!(*lines.last().unwrap(), "  11 ok, 1 warning");
    let rules =
        "a scaler without rules of its own refuses it: loopback and link-local broker addresses are blocked by default";
    assert!(lines[2].starts_with("  warning  rules: ") && lines[2].contains(rules), "{}", ended.stdout);
    assert!(lines[3].contains("serve --dev"), "{}", ended.stdout);
    assert!(!ended.stdout.contains('\u{1b}'), "no colour where there is no terminal");

    let wrong = Files::new(
        &json!({}),
        &[("source", "kafka"), ("bootstrapServers", "127.0.0.1:9"), ("consumerGroup", "g"), ("topic", "t")],
    );
    let ended = run(&["doctor", &wrong.object()]).await;
    assert_eq!(ended.code, Some(1));
    let expected = "\n             the host is there and nothing listens: check the port, and that the server runs\n  skipped  login: no broker can be reached\n";
    assert!(ended.stdout.contains(expected), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("  3 ok, 1 warning, 1 failed, 5 skipped\n"), "{}", ended.stdout);
    let quiet = run(&["doctor", "--quiet", &wrong.object()]).await;
    let lines: Vec<_> = quiet.stdout.lines().collect();
    assert_eq!((quiet.code, lines.len()), (Some(1), 6), "{}", quiet.stdout);
    assert!(
        lines[3].starts_with("  failed   connect 127.0.0.1:9: ")
            && lines[5] == "  3 ok, 1 warning, 1 failed, 5 skipped"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_triggers_are_looked_at_one_after_the_other() {
    let object = json!({"kind": "ScaledObject", "metadata": {"name": "orders", "namespace": "shop"}, "spec": {"triggers": [
        {"type": "cpu", "metadata": {"value": "80"}},
        {"type": "external", "metadata": {"source": "kafkaa"}},
    ]}});
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("object.yaml");
    std::fs::write(&path, object.to_string()).unwrap();
    let ended = run_in(&[], &["doctor", "-o", "json", path.to_str().unwrap()]).await;
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, told.as_array().unwrap().len()), (Some(1), 2));
    assert_eq!((&told[0]["trigger"], &told[0]["steps"][0]["status"]), (&json!(0), &json!("skipped")));
    let keys: Vec<_> = told[1].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["steps", "subject", "trigger"]);
    let step = &told[1]["steps"][0];
    let keys: Vec<_> = step.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["milliseconds", "remedy", "seen", "status", "step"]);
    assert_eq!((&step["step"], &step["status"]), (&json!("metadata"), &json!("failed")));
}
