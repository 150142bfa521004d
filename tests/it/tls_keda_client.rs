//! A client that behaves as KEDA's sees no failed call while certificates are rotated and replicas are restarted.

use std::net::SocketAddr;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::types::RDKafkaApiKey;
use tokio::time::{Instant, sleep};

use crate::support::certificates::{Authority, For};
use crate::support::driver::Driver;
use crate::support::keda_client::KedaClient;
use crate::support::process::Serving;
use crate::support::server::scaled_object;
use crate::support::tls::Secret;

const SOON: Duration = Duration::from_secs(20);

/// Short, so that connections of every generation of certificates are made.
const CONNECTION_AGE: [&str; 2] = ["--max-connection-age-seconds", "2"];

const MORE_THAN_AN_AGE: Duration = Duration::from_millis(3500);

/// Of its metrics adapter, for all calls about one metric.
const KEDAS_DEADLINE_MS: f64 = 3000.0;

async fn replica(at: &str, secret: &Secret) -> Serving {
    let arguments = secret.arguments(true);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(CONNECTION_AGE).collect();
    Serving::start_at(at, &arguments).await
}

/// How often KEDA's client has connected to a replica.
async fn connections(replica: &Serving) -> i64 {
    replica.metric("stream_scaler_tls_handshakes_total{outcome=\"ok\"}").await.unwrap()
}

/// Waits until KEDA's client is connected, as `minReadySeconds` of a Deployment does.
async fn until_connected(replica: &Serving) {
    let begun = Instant::now();
    while connections(replica).await == 0 {
        assert!(begun.elapsed() < SOON, "KEDA's client does not come");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_and_a_rolling_restart_fail_no_call_of_kedas_client() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let secret = Secret::new(&servers.certify(For::Servers), &clients);
    let keda = Secret::new(&clients.certify(For::Clients), &servers);
    let brokers = MockCluster::new(1).unwrap();
    // a byte too many is behind its answers in the versions after
    brokers.apiversion(RDKafkaApiKey::Metadata, Some(0), Some(8)).unwrap();
    brokers.create_topic("orders", 2, 1).unwrap();
    let driver = Driver::new(brokers.bootstrap_servers());
    driver.commit("order-service", &[("orders", 0, 0), ("orders", 1, 0)]);
    let about = scaled_object("order-service", &[("bootstrapServers", &brokers.bootstrap_servers())]);

    let mut replicas = vec![replica("127.0.0.1:0", &secret).await, replica("127.0.0.1:0", &secret).await];
    let addresses: Vec<SocketAddr> = replicas.iter().map(|replica| replica.grpc).collect();
    let files = ["ca.crt", "tls.crt", "tls.key"].map(|file| keda.path(file));
    let client = KedaClient::start(&addresses, &about, 1000, [&files[0], &files[1], &files[2]]).await;

    for address in &addresses {
        for _ in 0..2 {
            secret.replace(&servers.certify(For::Servers), &clients.pem());
            // files are looked at every second
            sleep(Duration::from_millis(1500)).await;
        }
        let old = replicas.remove(0);
        old.signal("TERM").await;
        assert_eq!(old.code().await, Some(0));
        let new = replica(&address.to_string(), &secret).await;
        until_connected(&new).await;
        replicas.push(new);
    }
    sleep(MORE_THAN_AN_AGE).await;
    for replica in &replicas {
        assert!(connections(replica).await > 1, "connections are made anew when they are old");
    }
    let tally = client.end().await;
    println!("{tally:#?}");
    assert!(tally.errors.is_empty(), "{tally:#?}");
    assert!(tally.calls.values().all(|codes| codes.keys().all(|code| code == "OK")), "{tally:#?}");
    assert!(tally.slowest_ms < KEDAS_DEADLINE_MS, "{tally:#?}");
    let calls: u64 = tally.calls.values().flat_map(|codes| codes.values()).sum();
    assert!(calls > 5000, "{tally:#?}");
    assert!(addresses.iter().all(|address| tally.servers[&address.to_string()] > 1000), "{tally:#?}");
    for replica in &replicas {
        assert!(replica.log().iter().all(|line| line["level"] == "INFO"), "{:#?}", replica.log());
    }
}
