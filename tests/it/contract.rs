//! KEDA's contract over a real TCP connection, in KEDA's order of calls.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use keda_stream_scaler::keda::proto::ScaledObjectRef;
use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use keda_stream_scaler::lag::SourceErrorKind;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt as _;
use tonic::transport::Endpoint;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::scripted::Script;
use crate::support::server::{Server, metrics_of, scaled_object};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
#[expect(deprecated, reason = "KEDA before v2.17 reads the integer fields")]
async fn a_poll_gets_one_spec_one_value_and_the_activity_of_one_sample() {
    let server = Server::start().await;
    server.source.set("a", Script::Lag(42));
    let mut client = server.client().await;
    let about = scaled_object("a", &[("lagThreshold", "7")]);

    let specs = client.get_metric_spec(about.clone()).await.unwrap().into_inner().metric_specs;
    let [spec] = &specs[..] else { panic!("exactly one spec: {specs:?}") };
    assert_eq!((spec.metric_name.as_str(), spec.target_size, spec.target_size_float), ("kafka-orders", 7, 7.0));

    let values = client.get_metrics(metrics_of(&about, "kafka-orders")).await.unwrap().into_inner().metric_values;
    let [value] = &values[..] else { panic!("exactly one value: {values:?}") };
    assert_eq!((value.metric_name.as_str(), value.metric_value, value.metric_value_float), ("kafka-orders", 42, 42.0));

    assert!(client.is_active(about).await.unwrap().into_inner().result);
    assert_eq!(server.source.observed("a"), 1);
}

/// KEDA takes the float where it is positive and else the integer: one that a float cannot hold is in the integer alone.
#[tokio::test]
#[expect(deprecated, reason = "the integer fields are the exact ones")]
async fn a_count_beyond_2_to_the_53_is_never_rounded() {
    const EXACT: (u64, i64) = (1 << 53, 1 << 53);
    let server = Server::start().await;
    let mut client = server.client().await;
    let cases = [
        ((EXACT.0 + 1, EXACT.1 + 1), 0.0),
        ((u64::MAX >> 1, i64::MAX), 0.0),
        (EXACT, 9_007_199_254_740_992.0),
        ((EXACT.0 + 2, EXACT.1 + 2), 9_007_199_254_740_994.0),
    ];
    for ((lag, count), float) in cases {
        server.source.set(&lag.to_string(), Script::Lag(lag));
        let about = scaled_object(&lag.to_string(), &[("lagThreshold", &lag.to_string())]);
        let spec = client.get_metric_spec(about.clone()).await.unwrap().into_inner().metric_specs.remove(0);
        assert_eq!((spec.target_size, spec.target_size_float), (count, float));
        let value = client.get_metrics(metrics_of(&about, "")).await.unwrap().into_inner().metric_values.remove(0);
        assert_eq!((value.metric_value, value.metric_value_float), (count, float));
    }
}

#[tokio::test]
#[expect(deprecated, reason = "KEDA before v2.17 reads the integer fields")]
async fn zero_is_zero_in_both_fields() {
    let server = Server::start().await;
    let about = scaled_object("idle", &[]);
    let mut client = server.client().await;
    let value = client.get_metrics(metrics_of(&about, "")).await.unwrap().into_inner().metric_values.remove(0);
    assert_eq!((value.metric_value, value.metric_value_float.to_bits()), (0, 0));
    assert!(!client.is_active(about).await.unwrap().into_inner().result);
}

#[tokio::test]
async fn a_metric_spec_is_given_for_any_metadata_and_reads_no_source() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let garbage: [&[(&str, &str)]; 4] =
        [&[], &[("source", "nonsense")], &[("lagThreshold", "-3"), ("topic", "a/b")], &[("consumerGroup", "")]];
    for metadata in garbage {
        let scaler_metadata: HashMap<_, _> =
            metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let about = ScaledObjectRef { name: "x".into(), namespace: "y".into(), scaler_metadata };
        let specs = client.get_metric_spec(about).await.unwrap().into_inner().metric_specs;
        assert_eq!(specs.len(), 1);
        assert!(specs[0].target_size_float > 0.0 && !specs[0].metric_name.contains('/'), "{specs:?}");
    }
    assert_eq!(server.source.observed(""), 0);
}

#[tokio::test]
async fn bad_metadata_is_answered_with_every_problem_where_its_text_is_seen() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let about = scaled_object("a", &[("lagTreshold", "5"), ("tls", "maybe")]);
    let value = client.get_metrics(metrics_of(&about, "kafka-orders")).await.unwrap_err();
    let active = client.is_active(about.clone()).await.unwrap_err();
    let pushed = client.stream_is_active(about).await.err().unwrap();
    for status in [value, active, pushed] {
        assert_eq!(status.code(), Code::InvalidArgument);
        let expected = "lagTreshold: is not a known key, did you mean lagThreshold?; \
                        tls: \"maybe\" must be one of enable, disable";
        assert_eq!(status.message(), expected);
    }
}

#[tokio::test]
async fn each_kind_of_error_reaches_keda_with_its_code_cause_and_remedy() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let cases = [
        (SourceErrorKind::Missing, Code::NotFound),
        (SourceErrorKind::Denied, Code::FailedPrecondition),
        (SourceErrorKind::Throttled, Code::ResourceExhausted),
        (SourceErrorKind::TimedOut, Code::DeadlineExceeded),
        (SourceErrorKind::Unreachable, Code::Unavailable),
        (SourceErrorKind::Broken, Code::Internal),
    ];
    for (kind, code) in cases {
        let group = kind.as_str();
        server.source.set(group, Script::Fails(kind));
        let about = scaled_object(group, &[]);
        let value = client.get_metrics(metrics_of(&about, "")).await.unwrap_err();
        let active = client.is_active(about).await.unwrap_err();
        for status in [value, active] {
            assert_eq!(status.code(), code, "{kind:?}");
            let text = format!("could not read group {group}: it is scripted so; change the script");
            assert_eq!(status.message(), text);
        }
    }
}

#[tokio::test]
async fn a_namespace_that_may_not_ask_is_refused_and_no_source_is_read() {
    let server = Server::start().await;
    let mut about = scaled_object("secret", &[]);
    about.namespace = "forbidden".into();
    let status = server.client().await.is_active(about).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "namespace forbidden may not ask"));
    assert_eq!(server.source.observed("secret"), 0);
}

#[tokio::test]
async fn two_calls_of_one_poll_may_reach_two_replicas() {
    let (one, other) = (Server::start().await, Server::start().await);
    for server in [&one, &other] {
        server.source.set("a", Script::Lag(5));
    }
    let about = scaled_object("a", &[]);
    let value = one.client().await.get_metrics(metrics_of(&about, "")).await.unwrap().into_inner();
    assert!(value.metric_values[0].metric_value_float > 4.0);
    assert!(other.client().await.is_active(about).await.unwrap().into_inner().result);
}

#[tokio::test]
async fn a_storm_of_retries_reads_the_source_no_more_often() {
    let server = Server::start().await;
    server.source.set("down", Script::Fails(SourceErrorKind::Denied));
    let mut storm = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let mut client = server.client().await;
        storm.spawn(async move { client.is_active(scaled_object("down", &[])).await.unwrap_err().code() });
    }
    for code in storm.join_all().await {
        assert_eq!(code, Code::FailedPrecondition);
    }
    assert_eq!(server.source.observed("down"), 1);
}

#[tokio::test]
async fn a_source_that_never_answers_is_an_error_before_the_callers_deadline() {
    let server = Server::start().await;
    server.source.set("silent", Script::Silent);
    let mut client = server.client().await;
    let mut request = Request::new(scaled_object("silent", &[]));
    request.set_timeout(Duration::from_millis(1200));
    let begun = Instant::now();
    let status = client.is_active(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().starts_with("no reading of group silent, topic orders, at b:9092 within"), "{status}");
    assert!(begun.elapsed() < Duration::from_millis(1200), "{:?}", begun.elapsed());
    server.source.set("silent", Script::Lag(1));
    let woken = timeout(SOON, client.is_active(scaled_object("silent", &[]))).await.unwrap();
    assert!(woken.unwrap().into_inner().result);
}

#[tokio::test]
async fn a_push_stream_says_what_is_known_at_once_and_true_when_that_changes() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut pushed = client.stream_is_active(scaled_object("a", &[])).await.unwrap().into_inner();
    assert!(!timeout(SOON, pushed.next()).await.unwrap().unwrap().unwrap().result);
    server.source.set("a", Script::Lag(3));
    assert!(timeout(SOON, pushed.next()).await.unwrap().unwrap().unwrap().result);
}

#[tokio::test]
async fn a_push_stream_that_is_opened_during_an_outage_says_nothing_until_something_is_known() {
    let server = Server::start().await;
    server.source.set("a", Script::Fails(SourceErrorKind::Unreachable));
    let mut client = server.client().await;
    let mut pushed = client.stream_is_active(scaled_object("a", &[])).await.unwrap().into_inner();
    let reading = async {
        while server.source.observed("a") < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        sent = pushed.next() => panic!("an unknown was pushed: {sent:?}"),
        () = reading => {}
    }
    server.source.set("a", Script::Lag(3));
    assert!(timeout(SOON, pushed.next()).await.unwrap().unwrap().unwrap().result);
}

#[tokio::test]
async fn the_specs_are_streamed_at_once_and_equal_the_asked_ones() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let about = scaled_object("a", &[("lagThreshold", "9")]);
    let asked = client.get_metric_spec(about.clone()).await.unwrap().into_inner();
    let mut streamed = client.stream_metric_spec(about).await.unwrap().into_inner();
    assert_eq!(timeout(SOON, streamed.next()).await.unwrap().unwrap().unwrap(), asked);
}

#[tokio::test]
async fn a_thousand_streams_on_one_connection_end_with_ok_when_the_server_drains() {
    let server = Server::start().await;
    let client = server.client().await;
    let mut streams = Vec::new();
    for number in 0..500 {
        let about = scaled_object(&format!("g{number}"), &[]);
        streams.push(client.clone().stream_is_active(about.clone()).await.unwrap().into_inner());
        let mut specs = client.clone().stream_metric_spec(about).await.unwrap().into_inner();
        timeout(SOON, specs.next()).await.unwrap().unwrap().unwrap();
        streams.push(
            client.clone().stream_is_active(scaled_object(&format!("h{number}"), &[])).await.unwrap().into_inner(),
        );
    }
    for stream in &mut streams {
        assert!(!timeout(SOON, stream.next()).await.unwrap().unwrap().unwrap().result);
    }
    server.drain();
    for stream in &mut streams {
        assert!(timeout(SOON, stream.next()).await.unwrap().is_none(), "the end is OK, not an error");
    }
    drop((streams, client));
    timeout(SOON, server.ended()).await.unwrap();
}

#[tokio::test]
async fn an_old_connection_is_asked_to_end_though_it_is_in_use() {
    let server = Server::with_connection_age(Duration::from_secs(1)).await;
    let (made, address) = (Arc::new(AtomicUsize::new(0)), server.address);
    let connector = {
        let made = made.clone();
        tower::service_fn(move |_| {
            made.fetch_add(1, Ordering::Relaxed);
            async move { TcpStream::connect(address).await.map(TokioIo::new) }
        })
    };
    let channel = Endpoint::from_static("http://localhost").connect_with_connector(connector).await.unwrap();
    let mut client = ExternalScalerClient::new(channel);
    let begun = Instant::now();
    while made.load(Ordering::Relaxed) < 2 {
        assert!(begun.elapsed() < SOON, "the connection is not replaced");
        // this client, unlike grpc-go, gives up calls that it hands to a connection which ends
        let _ = client.get_metric_spec(scaled_object("a", &[])).await;
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_stream_ends_with_ok_before_its_old_connection_is_closed() {
    let server = Server::with_connection_age(Duration::from_secs(1)).await;
    let mut client = server.client().await;
    let mut pushed = client.stream_is_active(scaled_object("a", &[])).await.unwrap().into_inner();
    timeout(SOON, pushed.next()).await.unwrap().unwrap().unwrap();
    assert!(timeout(SOON, pushed.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn health_is_told_for_every_name_that_probes_use() {
    let server = Server::start().await;
    let mut health = HealthClient::new(server.channel().await);
    for service in ["", "externalscaler.ExternalScaler", "liveness", "readiness"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status, 1, "{service}");
    }
    let unknown = HealthCheckRequest { service: "nobody".to_owned() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn reflection_names_the_services_in_both_its_versions() {
    use tonic_reflection::pb::{v1, v1alpha};
    let server = Server::start().await;
    let channel = server.channel().await;

    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = format!("{:?}", answers.next().await.unwrap().unwrap());
    assert!(answer.contains("externalscaler.ExternalScaler") && answer.contains("grpc.health.v1.Health"), "{answer}");

    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = format!("{:?}", answers.next().await.unwrap().unwrap());
    assert!(answer.contains("externalscaler.ExternalScaler"), "{answer}");
}
