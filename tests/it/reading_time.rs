//! Rules that need time use the time of the reading: when KEDA asks changes no answer.

use std::time::Duration;

use keda_stream_scaler::admin::LiveSeries;
use keda_stream_scaler::keda::proto::GetMetricsRequest;
use keda_stream_scaler::keda::proto::external_scaler_server::ExternalScaler as _;
use keda_stream_scaler::keda::{CallerLimits, ScalerService};
use keda_stream_scaler::lag::streams::{
    Backlog, Checkpoint, Lease, ShardId, ShardReport, ShardState, Survey, Timestamp,
};
use keda_stream_scaler::lag::{
    ApplicationObservation, Checkpoints, CommittedOffset, GroupObservation, Observation, Offset, PartitionId,
    PartitionObservation, TopicObservation, Watermarks,
};
use keda_stream_scaler::sampler::{PATIENCE, Sampler, ScaledObjectKey};
use keda_stream_scaler::telemetry::{Exposition, Metrics};
use keda_stream_scaler::trigger::Trigger;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::Request;

use crate::support::scripted::{Script, Scripted};
use crate::support::server::scaled_object;

const S: fn(u64) -> Duration = Duration::from_secs;

struct Scene {
    source: Scripted,
    service: ScalerService<Scripted>,
}

impl Scene {
    fn new() -> Self {
        let (source, metrics) = (Scripted::default(), Metrics::new("0", "none"));
        let sampler = Sampler::new(source.clone(), metrics.sampler.clone());
        let (drain, callers) = (CancellationToken::new(), CallerLimits::default());
        let service = ScalerService::new(sampler, metrics.rpc.clone(), &callers, drain, S(300));
        Self { source, service }
    }

    async fn value(&self, changes: &[(&str, &str)]) -> f64 {
        let scaled_object_ref = Some(scaled_object("a", changes));
        let request = GetMetricsRequest { scaled_object_ref, metric_name: String::new() };
        let answer = self.service.get_metrics(Request::new(request)).await.unwrap().into_inner();
        answer.metric_values[0].metric_value_float
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_moves_is_not_taken_for_stalled_because_its_reading_is_old() {
    let scene = Scene::new();
    let changes =
        [("excludePersistentLag", "true"), ("stallWindow", "20s"), ("pollInterval", "10s"), ("maxStaleness", "10m")];
    scene.source.set("a", Script::Lag(204));
    assert!((scene.value(&changes).await - 204.0).abs() < 0.1);
    // no reading ends any more: what is known stays what it was when it was read
    scene.source.set("a", Script::Silent);
    for _ in 0..50 {
        sleep(S(10)).await;
        assert!((scene.value(&changes).await - 204.0).abs() < 0.1);
    }
    // and readings of a commit that stands still for the window exclude it
    scene.source.set("a", Script::Lag(204));
    sleep(S(35)).await;
    assert!(scene.value(&changes).await < 0.1);
}

#[tokio::test(start_paused = true)]
async fn a_commit_past_the_end_is_a_race_until_readings_show_it_for_thirty_seconds() {
    let past_end = {
        let partition = PartitionObservation {
            partition: PartitionId(0),
            committed: CommittedOffset::At(Offset(1000)),
            watermarks: Watermarks { start: Offset(0), end: Offset(900) },
            owner: None,
        };
        let partitions = vec![partition];
        let topic = TopicObservation {
            name: "orders".into(),
            id: None,
            partition_count: u32::try_from(partitions.len()).expect("few"),
            partitions,
        };
        Observation::Kafka(GroupObservation { topics: vec![topic], ..GroupObservation::default() })
    };
    let scene = Scene::new();
    let changes = [("offsetResetPolicy", "earliest"), ("pollInterval", "60s"), ("maxStaleness", "10m")];
    scene.source.set("a", Script::Reads(past_end));
    assert!(scene.value(&changes).await < 0.1);
    sleep(S(45)).await;
    assert!(scene.value(&changes).await < 0.1, "there was one reading, and it showed a race");
    sleep(S(60)).await;
    assert!((scene.value(&changes).await - 900.0).abs() < 0.1, "the second reading shows that it lasts");
}

/// An application whose two workers own a shard each.
fn two_workers() -> Observation {
    let shards = [("shardId-000000000000", "a"), ("shardId-000000000001", "b")].map(|(shard, owner)| {
        let shard = ShardId::new(shard);
        let lease = Lease {
            shard: shard.clone(),
            checkpoint: Checkpoint::TrimHorizon,
            sub_sequence: None,
            parents: Vec::new(),
            owner: Some(owner.into()),
            counter: Some(7),
            throughput_kbps: None,
        };
        let backlog = Backlog::CaughtUp;
        ShardReport { shard, state: Some(ShardState::Open), lease: Some(lease), bound: None, backlog }
    });
    Observation::Application(ApplicationObservation {
        survey: Survey { shards: shards.into(), wanted: Vec::new() },
        checkpoints: Checkpoints::Some,
        workers: Vec::new(),
        table: None,
        retention: None,
        seen: Timestamp::from_unix_ms(0),
    })
}

#[tokio::test(start_paused = true)]
async fn the_consumers_of_an_old_reading_are_those_that_it_showed() {
    let (source, metrics) = (Scripted::default(), Metrics::new("0", "none"));
    let sampler = Sampler::new(source.clone(), metrics.sampler.clone());
    metrics.add(LiveSeries::new(sampler.clone(), false));
    let keys = [
        ("source", "aws-kinesis-stream"),
        ("streamName", "orders"),
        ("awsRegion", "eu-west-1"),
        ("scaleOn", "age"),
        ("applicationName", "app"),
        ("ageThreshold", "60s"),
        ("maxStaleness", "1h"),
    ];
    let trigger = Trigger::parse(&keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into()).unwrap();
    source.set("app", Script::Reads(two_workers()));
    sampler.ask(ScaledObjectKey::new("shop", "orders"), &trigger, PATIENCE).await.unwrap();
    source.set("app", Script::Silent);
    for _ in 0..10 {
        sleep(S(50)).await;
        sampler.ask(ScaledObjectKey::new("shop", "orders"), &trigger, PATIENCE).await.unwrap();
        let text = metrics.render(Exposition::Text);
        let line = text.lines().find(|line| line.starts_with("stream_scaler_consumers{")).unwrap();
        assert!(line.ends_with(" 2") || line.ends_with(" 2.0"), "{line}");
    }
}
