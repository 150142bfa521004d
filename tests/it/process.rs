//! The service as a process: over gRPC from a real group, probes, signals.

use std::net::SocketAddr;
use std::time::Duration;

use keda_stream_scaler::keda::proto::{GetMetricsRequest, ScaledObjectRef};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt as _;
use tonic::Code;

use crate::support::driver::Driver;
use crate::support::kafka::{one_node, unique};
use crate::support::process::{Serving, run};
use crate::support::server::scaled_object;

const SOON: Duration = Duration::from_secs(20);

/// A ScaledObject of a real group that is 12 behind.
async fn behind_by_twelve() -> ScaledObjectRef {
    let servers = one_node().bootstrap_servers();
    let (driver, topic, group) = (Driver::new(&servers), unique("orders"), unique("order-service"));
    driver.create_topic(&topic, 2, 1, &[]).await;
    driver.produce(&topic, 0, 10);
    driver.produce(&topic, 1, 10);
    driver.commit(&group, &[(&topic, 0, 3), (&topic, 1, 5)]);
    let changes = [("bootstrapServers", servers.as_str()), ("topic", &topic), ("pollInterval", "2s")];
    scaled_object(&group, &changes)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_of_a_real_group_is_served_over_grpc_and_shown_to_operators() {
    let about = behind_by_twelve().await;
    let serving = Serving::start(&[]).await;
    let mut client = serving.client().await;
    let request = GetMetricsRequest { scaled_object_ref: Some(about.clone()), metric_name: String::new() };
    let value = client.get_metrics(request).await.unwrap().into_inner().metric_values.remove(0);
    assert!((value.metric_value_float - 12.0).abs() < f64::EPSILON, "{value:?}");
    assert!(client.is_active(about.clone()).await.unwrap().into_inner().result);

    let (status, samples) = serving.get(&format!("/samples?source={}", about.name)).await;
    let samples: serde_json::Value = serde_json::from_str(&samples).unwrap();
    let target = &samples["targets"][0];
    assert_eq!(status, 200);
    assert_eq!((target["state"].as_str(), target["consumerGroup"].as_str()), (Some("good"), Some(about.name.as_str())));
    assert_eq!(target["reading"]["recordsBehind"], 12);
    assert_eq!(target["reading"]["partitionRows"][1]["committed"], 5);

    let (status, page) = serving.get("/").await;
    assert_eq!(status, 200);
    assert!(page.contains(&format!(">{}</a>", about.name)) && page.contains(">shop/</span>"), "{page}");

    let (status, metrics) = serving.get("/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "stream_scaler_build_info{version=\"",
        "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=\"externalscaler.ExternalScaler\",grpc_method=\"GetMetrics\",grpc_code=\"OK\"} 1",
        "stream_scaler_samples_total{outcome=\"ok\"}",
        "stream_scaler_samples_total{outcome=\"denied\"} 0",
        "stream_scaler_upstream_calls_total{api=\"kafka.ListOffsets\",outcome=\"ok\"}",
        "stream_scaler_backends 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

/// C3: the first try of everybody, a broker on the own machine, was UNAVAILABLE with three wrong remedies.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_on_the_own_machine_is_read_with_dev_and_otherwise_refused_with_the_lines_that_allow_it() {
    let about = behind_by_twelve().await;
    let request = || GetMetricsRequest { scaled_object_ref: Some(about.clone()), metric_name: String::new() };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connections.yaml");
    std::fs::write(&file, "connections: {}\n").unwrap();
    let serving = Serving::start(&["--connections", file.to_str().unwrap()]).await;
    let refused = serving.client().await.get_metrics(request()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let message = refused.message();
    let lines = message.split_once("in the connections file: ").expect(message).1.split_once("; ").expect(message).0;
    std::fs::write(&file, lines).unwrap();
    for arguments in [&["--connections", file.to_str().unwrap()][..], &["--dev"]] {
        let serving = Serving::start(arguments).await;
        let value = serving.client().await.get_metrics(request()).await.unwrap().into_inner().metric_values.remove(0);
        assert!((value.metric_value_float - 12.0).abs() < f64::EPSILON, "{arguments:?}: {value:?}");
        assert!(serving.grpc.ip().is_loopback());
    }
}

#[tokio::test]
async fn a_wrong_connections_file_ends_the_process_before_a_port_opens() {
    let ended =
        run(&["serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--connections", "/none"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert_eq!(ended.stderr, "error: could not read /none: No such file or directory (os error 2)\n");
}

#[tokio::test]
async fn log_lines_have_no_colours_where_no_terminal_reads_them() {
    let (grpc, http) = (["--grpc-addr", "127.0.0.1:0"], ["--http-addr", "127.0.0.1:0"]);
    let ended = run(&[&["serve"][..], &grpc, &http, &["--record", "/dev/null/readings"]].concat()).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("listening") && !ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    assert!(ended.stderr.contains("status_page=\"http://127.0.0.1:"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_taken_port_ends_the_process() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run(&["serve", "--grpc-addr", &address, "--http-addr", "127.0.0.1:0"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.starts_with(&format!("error: listening for gRPC on {address}: Address already in use")),
        "{}",
        ended.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_of_a_source_fails_no_probe() {
    let serving = Serving::start(&[]).await;
    let about = scaled_object("nobody", &[("bootstrapServers", "127.0.0.1:9")]);
    let error = serving.client().await.is_active(about).await.unwrap_err();
    assert!(matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded), "{error}");
    for probe in ["/livez", "/readyz"] {
        assert_eq!(serving.get(probe).await, (200, "ok\n".to_owned()), "{probe}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_open_streams_with_ok_and_the_process_with_0() {
    let about = behind_by_twelve().await;
    let serving = Serving::start(&[]).await;
    let mut client = serving.client().await;
    let mut pushed = client.stream_is_active(about).await.unwrap().into_inner();
    assert!(timeout(SOON, pushed.next()).await.unwrap().unwrap().unwrap().result);
    serving.signal("TERM").await;
    assert!(timeout(SOON, pushed.next()).await.unwrap().is_none());
    drop((pushed, client));
    assert_eq!(serving.code().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_has_a_hard_deadline_that_an_idle_connection_cannot_move() {
    let serving = Serving::start(&["--drain-seconds", "1"]).await;
    let mut client = serving.client().await;
    client.get_metric_spec(scaled_object("a", &[])).await.unwrap();
    let begun = Instant::now();
    serving.signal("INT").await;
    assert_eq!(serving.code().await, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_during_the_drain_ends_the_process_at_once() {
    for second in ["TERM", "INT"] {
        let serving = Serving::start(&["--drain-seconds", "600"]).await;
        let call = unfinished_call(serving.grpc).await;
        serving.signal("TERM").await;
        serving.logged("message", "draining").await;
        let begun = Instant::now();
        serving.signal(second).await;
        assert_eq!(serving.code().await, Some(1));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        drop(call);
    }
}

/// A call whose request never ends, and which so keeps the drain waiting: its frames as they are on the wire.
async fn unfinished_call(address: SocketAddr) -> TcpStream {
    let path = "/externalscaler.ExternalScaler/IsActive";
    let mut block = vec![0x83, 0x86];
    for (name, value) in [(0x44, path), (0x41, "x"), (0x5f, "application/grpc")] {
        block.extend([name, u8::try_from(value.len()).unwrap()]);
        block.extend(value.as_bytes());
    }
    block.extend(b"\x40\x02te\x08trailers");
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    frames.extend([0, 0, u8::try_from(block.len()).unwrap(), 1, 4, 0, 0, 0, 1]);
    frames.extend(block);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&frames).await.unwrap();
    // its settings: the server has begun to read
    stream.read_exact(&mut [0; 9]).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connections_file_is_read_again_when_it_changes() {
    let about = behind_by_twelve().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connections.yaml");
    let write = |namespace: &str| {
        let servers = one_node().bootstrap_servers();
        let text = format!(
            "connections: {{it: {{namespaces: [{namespace}], kafka: {{bootstrapServers: '{servers}', sasl: none, passwordFile: pw}}}}}}\nmetadata: []\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    std::fs::write(folder.path().join("pw"), "s3cret").unwrap();
    write("bank");
    let serving = Serving::start(&["--connections", file.to_str().unwrap()]).await;
    let mut client = serving.client().await;
    let refused = client.is_active(about.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("may not name the broker"), "{refused}");

    let mut named = about;
    named.scaler_metadata.remove("bootstrapServers");
    named.scaler_metadata.insert("connection".into(), "it".into());
    let refused = client.is_active(named.clone()).await.unwrap_err();
    assert!(refused.message().starts_with("namespace shop has no access to a connection named it"), "{refused}");
    write("shop");
    let begun = Instant::now();
    while let Err(refused) = client.is_active(named.clone()).await {
        assert!(begun.elapsed() < SOON, "{refused}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
