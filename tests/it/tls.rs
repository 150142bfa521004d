//! TLS on the gRPC port: who is let in, who is not and what is told of it, and files that change under open connections.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use keda_stream_scaler::telemetry::Metrics;
use keda_stream_scaler::tls::{self, Files, Tls};
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt as _;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::certificates::{Authority, For, Pair};
use crate::support::process::{Serving, run};
use crate::support::server::scaled_object;
use crate::support::tls::Secret;
use crate::support::tls_client::{channel, client, client_of, handshake};

const SOON: Duration = Duration::from_secs(20);

/// The CAs of a cluster, a server and KEDA with a certificate of each.
struct Cluster {
    servers: Authority,
    clients: Authority,
    keda: Pair,
    secret: Secret,
}

impl Cluster {
    fn new() -> Self {
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let keda = clients.certify(For::Clients);
        let secret = Secret::new(&servers.certify(For::Servers), &clients);
        Self { servers, clients, keda, secret }
    }

    /// What KEDA connects with.
    fn as_keda(&self) -> ClientConfig {
        client(&self.servers, Some(&self.keda))
    }
}

/// A call that is answered from its metadata alone.
async fn call(channel: &Channel) -> Result<(), tonic::Status> {
    ExternalScalerClient::new(channel.clone()).get_metric_spec(scaled_object("a", &[])).await.map(drop)
}

/// Of the metric that counts handshakes.
fn series(outcome: &str) -> String {
    format!("stream_scaler_tls_handshakes_total{{outcome=\"{outcome}\"}}")
}

/// How many have succeeded.
async fn handshakes(serving: &Serving) -> i64 {
    serving.metric(&series("ok")).await.unwrap()
}

/// Waits for the log line of a refusal, and looks at who was refused and where it is counted.
async fn refused(serving: &Serving, reason: &str) -> String {
    let line = serving.logged("reason", reason).await;
    assert_eq!(line["level"], "WARN");
    let peer: SocketAddr = line["peer"].as_str().unwrap().parse().unwrap();
    assert!(peer.ip().is_loopback(), "{line}");
    assert_ne!(serving.metric(&series(reason)).await, Some(0), "{reason}");
    line["message"].as_str().unwrap().to_owned()
}

/// The certificate that a new connection is shown.
async fn served(address: SocketAddr, config: ClientConfig) -> CertificateDer<'static> {
    let stream = handshake(address, config).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// Waits until a new connection is shown this certificate.
async fn until_served(serving: &Serving, config: &ClientConfig, pair: &Pair) {
    let begun = Instant::now();
    while served(serving.grpc, config.clone()).await != pair.der {
        assert!(begun.elapsed() < SOON, "not reloaded: {:#?}", serving.log());
        sleep(Duration::from_millis(50)).await;
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_ca_is_let_in_by_tls_1_2_and_1_3_and_probes_stay_plaintext() {
    let cluster = Cluster::new();
    let serving = cluster.secret.serving(true, &[]).await;
    assert_eq!(serving.log()[0]["tls"], "on, with client certificates");
    for version in [&TLS12, &TLS13] as [&'static SupportedProtocolVersion; 2] {
        let config = client_of(version, &cluster.servers, Some(&cluster.keda));
        let channel = channel(serving.grpc, config.clone()).await.unwrap();
        call(&channel).await.unwrap();
        let health = HealthCheckRequest { service: "readiness".to_owned() };
        HealthClient::new(channel).check(health).await.unwrap();
        let again = handshake(serving.grpc, config).await.unwrap();
        assert_eq!(again.get_ref().1.handshake_kind(), Some(HandshakeKind::Full), "nothing is resumed");
    }
    for probe in ["/livez", "/readyz"] {
        assert_eq!(serving.get(probe).await, (200, "ok\n".to_owned()), "{probe}");
    }
    assert_eq!(handshakes(&serving).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_client_ca_every_client_is_let_in_and_without_files_there_is_no_tls() {
    let cluster = Cluster::new();
    let serving = cluster.secret.serving(false, &[]).await;
    assert_eq!(serving.log()[0]["tls"], "on");
    call(&channel(serving.grpc, client(&cluster.servers, None)).await.unwrap()).await.unwrap();
    let plain = Serving::start(&[]).await;
    assert_eq!(plain.log()[0]["tls"], "off");
    assert!(!plain.get("/metrics").await.1.contains("_tls_"), "no series without TLS");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_a_good_certificate_are_refused_and_each_reason_is_told() {
    let cluster = Cluster::new();
    let serving = cluster.secret.serving(true, &[]).await;
    let over = cluster.clients.certify_until(For::Clients, -time::Duration::hours(1));
    let stranger = Authority::new("strangers").certify(For::Clients);
    let server = cluster.clients.certify(For::Servers);
    for (certificate, reason, told) in [
        (None, "no_client_certificate", "tlsClientCert"),
        (Some(&over), "client_certificate_expired", "renew"),
        (Some(&stranger), "unknown_client_ca", "--tls-client-ca"),
        (Some(&server), "client_certificate_invalid", "client authentication"),
    ] {
        for version in [&TLS12, &TLS13] as [&'static SupportedProtocolVersion; 2] {
            let config = client_of(version, &cluster.servers, certificate);
            let called = match channel(serving.grpc, config).await {
                Ok(channel) => call(&channel).await.map_err(|status| status.to_string()),
                Err(error) => Err(error.to_string()),
            };
            assert!(called.is_err(), "{reason}");
        }
        let config = client(&cluster.servers, certificate);
        let mut stream = handshake(serving.grpc, config).await.expect("TLS 1.3 tells only later");
        stream.write_all(b"PRI * HTTP/2.0").await.unwrap();
        let told_to_client = stream.read(&mut [0; 1]).await.unwrap_err().to_string();
        assert!(told_to_client.contains("alert"), "{told_to_client}");
        assert!(refused(&serving, reason).await.contains(told), "{reason}");
    }
    let lines = serving.log().iter().filter(|line| line["reason"] == "no_client_certificate").count();
    assert_eq!(lines, 1, "the second try of the same client is not told again");
    call(&channel(serving.grpc, cluster.as_keda()).await.unwrap()).await.expect("others are still let in");
}

#[tokio::test(flavor = "multi_thread")]
async fn plaintext_old_tls_other_protocols_and_distrust_are_refused_and_told() {
    let cluster = Cluster::new();
    let serving = cluster.secret.serving(true, &[]).await;

    let plain = Channel::from_shared(format!("http://{}", serving.grpc)).unwrap().connect().await;
    let called = match plain {
        Ok(channel) => call(&channel).await.map_err(drop),
        Err(_) => Err(()),
    };
    assert!(called.is_err());
    assert!(refused(&serving, "not_tls").await.contains("plaintext"));

    let address = serving.grpc.to_string();
    let old = ["s_client", "-connect", &address, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];
    let old = Command::new("openssl").args(old).stdin(std::process::Stdio::null()).output().await.unwrap();
    assert!(!old.status.success());
    assert!(refused(&serving, "old_version").await.contains("TLS 1.2"));

    let mut browser = cluster.as_keda();
    browser.alpn_protocols = vec![b"http/1.1".to_vec()];
    handshake(serving.grpc, browser).await.expect_err("HTTP/1.1");
    refused(&serving, "no_http2").await;

    let distrustful = client(&Authority::new("another"), Some(&cluster.keda));
    handshake(serving.grpc, distrustful).await.expect_err("another CA");
    assert!(refused(&serving, "server_certificate_refused").await.contains("must trust"));

    drop(TcpStream::connect(serving.grpc).await.unwrap());
    refused(&serving, "peer_closed").await;
    call(&channel(serving.grpc, cluster.as_keda()).await.unwrap()).await.expect("others are still let in");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_hold_nobody_up_give_way_where_they_are_too_many_and_are_cut_after_ten_seconds() {
    let cluster = Cluster::new();
    let serving = cluster.secret.serving(true, &[]).await;
    let mut silent = Vec::new();
    for _ in 0..128 {
        silent.push(TcpStream::connect(serving.grpc).await.unwrap());
    }
    let begun = Instant::now();
    call(&channel(serving.grpc, cluster.as_keda()).await.unwrap()).await.expect("the oldest gives way");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    refused(&serving, "too_many").await;
    let mut first = silent.remove(0);
    assert_eq!(timeout(SOON, first.read(&mut [0; 1])).await.expect("it gave way").unwrap_or(0), 0);
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    let mut last = silent.pop().unwrap();
    assert_eq!(timeout(SOON, last.read(&mut [0; 1])).await.expect("it is cut").unwrap_or(0), 0);
    assert!(begun.elapsed() > Duration::from_secs(5), "{:?}", begun.elapsed());
    refused(&serving, "timed_out").await;
    drop(silent);
    call(&channel(serving.grpc, cluster.as_keda()).await.unwrap()).await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_served_to_new_connections_while_calls_and_streams_go_on() {
    let cluster = Cluster::new();
    let serving = cluster.secret.serving(true, &[]).await;
    let channel = channel(serving.grpc, cluster.as_keda()).await.unwrap();
    let mut client = ExternalScalerClient::new(channel.clone());
    let mut stream = client.stream_metric_spec(scaled_object("a", &[])).await.unwrap().into_inner();
    assert!(stream.next().await.unwrap().is_ok());
    let calls = tokio::spawn(async move {
        loop {
            call(&channel).await.unwrap();
        }
    });
    for _ in 0..2 {
        let next = cluster.servers.certify(For::Servers);
        cluster.secret.replace(&next, &cluster.clients.pem());
        until_served(&serving, &cluster.as_keda(), &next).await;
    }
    assert!(!calls.is_finished(), "no call failed");
    calls.abort();
    assert!(timeout(Duration::from_millis(50), stream.next()).await.is_err(), "the stream is open");
    serving.logged("message", "TLS certificate, key and client CA reloaded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_client_ca_counts_for_new_connections_and_both_may_be_known_in_between() {
    let cluster = Cluster::new();
    let serving = cluster.secret.serving(true, &[]).await;
    let open = channel(serving.grpc, cluster.as_keda()).await.unwrap();
    let newer = Authority::new("newer");
    let renewed = client(&cluster.servers, Some(&newer.certify(For::Clients)));

    let pair = cluster.servers.certify(For::Servers);
    cluster.secret.replace(&pair, &(cluster.clients.pem() + &newer.pem()));
    until_served(&serving, &cluster.as_keda(), &pair).await;
    for config in [cluster.as_keda(), renewed.clone()] {
        call(&channel(serving.grpc, config).await.unwrap()).await.unwrap();
    }

    let pair = cluster.servers.certify(For::Servers);
    cluster.secret.replace(&pair, &newer.pem());
    until_served(&serving, &renewed, &pair).await;
    let refused_now = match channel(serving.grpc, cluster.as_keda()).await {
        Ok(channel) => call(&channel).await.map_err(drop),
        Err(_) => Err(()),
    };
    assert!(refused_now.is_err());
    refused(&serving, "unknown_client_ca").await;
    call(&channel(serving.grpc, renewed).await.unwrap()).await.unwrap();
    call(&open).await.expect("a connection that is open stays open");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_do_not_fit_change_nothing_and_are_told_once_until_they_fit() {
    let cluster = Cluster::new();
    let serving = cluster.secret.serving(true, &[]).await;
    let before = served(serving.grpc, cluster.as_keda()).await;
    let next = cluster.servers.certify(For::Servers);
    fs::write(cluster.secret.path("tls.crt"), &next.certificate).unwrap();
    let level = serving.logged("level", "ERROR").await;
    let error = level["error"].as_str().unwrap();
    assert!(error.contains("tls.crt cannot be served with the key in ") && error.contains("tls.key: "), "{error}");
    assert_eq!(served(serving.grpc, cluster.as_keda()).await, before);
    // longer than it takes to look again
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(serving.log().iter().filter(|line| line["level"] == "ERROR").count(), 1, "{:#?}", serving.log());
    fs::write(cluster.secret.path("tls.key"), &next.key).unwrap();
    until_served(&serving, &cluster.as_keda(), &next).await;
    serving.logged("message", "TLS certificate, key and client CA can be read again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_near_its_end_or_over_is_told_and_its_end_is_a_metric() {
    let cluster = Cluster::new();
    let replace = |end: time::Duration| {
        let pair = cluster.servers.certify_until(For::Servers, end);
        cluster.secret.replace(&pair, &cluster.clients.pem());
    };
    replace(time::Duration::minutes(10));
    let serving = cluster.secret.serving(true, &[]).await;
    serving.logged("message", "the TLS certificate expires soon; renew it").await;
    let end = serving.metric("stream_scaler_tls_certificate_expires_timestamp_seconds").await;
    let left = end.expect("a gauge") - time::OffsetDateTime::now_utc().unix_timestamp();
    assert!((500..=600).contains(&left), "{left}");
    replace(-time::Duration::minutes(10));
    let line = serving.logged("message", "the TLS certificate has expired; clients reject it").await;
    assert_eq!(line["level"], "ERROR");
    replace(time::Duration::days(90));
    serving.logged("message", "the TLS certificate is valid again").await;
}

#[tokio::test]
async fn answers_over_tls_wait_for_no_acknowledgement() {
    let cluster = Cluster::new();
    let files =
        Files { certificate: cluster.secret.path("tls.crt"), key: cluster.secret.path("tls.key"), client_ca: None };
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = port.local_addr().unwrap();
    let listener = tls::Listener::new(port, Tls::read(files).unwrap(), Metrics::new("0", "none").tls());
    let mut connections = pin!(listener.connections());
    let (client, accepted) = tokio::join!(handshake(address, client(&cluster.servers, None)), connections.next());
    assert!(accepted.unwrap().unwrap().get_ref().0.nodelay().unwrap(), "TCP_NODELAY");
    drop(client);
}

#[tokio::test]
async fn idle_connections_lock_nobody_out_of_the_tls_port() {
    let cluster = Cluster::new();
    let files =
        Files { certificate: cluster.secret.path("tls.crt"), key: cluster.secret.path("tls.key"), client_ca: None };
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = port.local_addr().unwrap();
    let metrics = Metrics::new("0", "none");
    let listener = tls::Listener::new(port, Tls::read(files).unwrap(), metrics.tls());
    tokio::spawn(async move {
        let mut connections = pin!(listener.connections());
        let mut open = Vec::new();
        while let Some(connection) = connections.next().await {
            open.push(connection);
        }
    });
    // first from another address, then from the client's own, and always renewed
    let mut idle = std::collections::VecDeque::new();
    for own in [2, 1] {
        for _ in 0..2 {
            for _ in 0..300 {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.bind(std::net::SocketAddr::from(([127, 0, 0, own], 0))).unwrap();
                idle.push_back(socket.connect(address).await.unwrap());
            }
            let begun = Instant::now();
            let open = timeout(SOON, handshake(address, client(&cluster.servers, None))).await;
            assert!(open.is_ok_and(|open| open.is_ok()), "beside idle connections of 127.0.0.{own}");
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
            idle.drain(..idle.len() / 2);
        }
    }
}

#[tokio::test]
async fn wrong_files_end_the_process_before_a_port_opens_and_name_the_file() {
    let cluster = Cluster::new();
    let file = |name: &str| cluster.secret.path(name);
    let (certificate, key, ca) = (file("tls.crt"), file("tls.key"), file("ca.crt"));
    let (other, nothing) = (file("other.key"), file("nothing"));
    fs::write(&other, cluster.servers.certify(For::Servers).key).unwrap();
    fs::write(&nothing, "nothing\n").unwrap();
    let at = |path: &Path| path.display().to_string();
    for (files, expected) in [
        ([&nothing, &key, &ca], format!("{} holds no certificate: ", at(&nothing))),
        (
            [&certificate, &nothing, &ca],
            format!("{} holds no unencrypted private key: it has no such section", at(&nothing)),
        ),
        (
            [&certificate, &other, &ca],
            format!(
                "{} cannot be served with the key in {}: the key is another certificate's",
                at(&certificate),
                at(&other)
            ),
        ),
        ([&certificate, &key, &nothing], format!("{} holds no certificate: ", at(&nothing))),
        ([&certificate, &key, &file("gone")], format!("could not read {}: No such file", at(&file("gone")))),
    ] {
        let [certificate, key, ca] = files.map(|file| path(file));
        let ended = run(&["serve", "--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", ca]).await;
        assert_eq!(ended.code, Some(1));
        let expected = format!("error: could not set up TLS by --tls-cert, --tls-key and --tls-client-ca: {expected}");
        assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_or_a_client_ca_alone_is_wrong_usage() {
    for arguments in [["--tls-cert", "a"], ["--tls-key", "a"], ["--tls-client-ca", "a"]] {
        assert_eq!(run(&["serve", arguments[0], arguments[1]]).await.code, Some(2), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_too_an_old_connection_is_asked_to_end_and_a_drain_ends_streams_with_ok() {
    let cluster = Cluster::new();
    let serving = cluster.secret.serving(true, &["--max-connection-age-seconds", "1"]).await;
    let channel = channel(serving.grpc, cluster.as_keda()).await.unwrap();
    let begun = Instant::now();
    while handshakes(&serving).await < 2 {
        assert!(begun.elapsed() < SOON, "the connection is not replaced");
        // this client, unlike grpc-go, gives up calls that it hands to a connection which ends
        let _ = call(&channel).await;
        sleep(Duration::from_millis(20)).await;
    }
    let mut client = ExternalScalerClient::new(channel.clone());
    let mut stream = client.stream_metric_spec(scaled_object("a", &[])).await.unwrap().into_inner();
    assert!(stream.next().await.unwrap().is_ok());
    serving.signal("TERM").await;
    assert!(timeout(SOON, stream.next()).await.unwrap().is_none(), "it ends with OK");
    drop((stream, client, channel));
    assert_eq!(serving.code().await, Some(0));
}
