//! Real consumers of a Kinesis stream and of a DynamoDB table's stream: our ages against what the test itself has put and the
//! consumer says it has done.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType,
};
use aws_smithy_types::Blob;
use keda_stream_scaler::lag::{Observation, Observe as _};
use keda_stream_scaler::source::{Connections, Sources};
use keda_stream_scaler::telemetry::UpstreamMetrics;
use keda_stream_scaler::trigger::Trigger;
use tokio::time::{Instant, sleep};

use crate::support::aws_services::{Clients, Consumer, aws_services};
use crate::support::kafka::unique;

const SECOND: Duration = Duration::from_secs(1);
/// Checkpoints are shared for a second, and shards are read once a second.
const ROUND: Duration = Duration::from_millis(1200);

/// What the scaler says of one trigger, round by round.
struct Scaler {
    sources: Sources,
    trigger: Trigger,
}

impl Scaler {
    async fn new(source: &str, more: &[(&str, &str)]) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "metadata: [{{namespaces: ['*'], awsEndpoints: ['http://127.0.0.1:*']}}]").unwrap();
        let sources = Sources::new(Connections::read(file.path()).unwrap(), UpstreamMetrics::default());
        let endpoint = aws_services().endpoint().await;
        let base = [
            ("source", source),
            ("awsRegion", "us-east-1"),
            ("awsEndpoint", &endpoint),
            ("awsAccessKeyIDFromEnv", "test"),
            ("awsSecretAccessKeyFromEnv", "test"),
        ];
        let all = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let trigger = Trigger::parse(&all.collect::<HashMap<_, _>>()).unwrap();
        Self { sources, trigger }
    }

    async fn observe(&self) -> Observation {
        let source = Arc::new(self.trigger.source.clone());
        let backend = self.sources.admit("shop", &source).unwrap();
        let outcome = Arc::new(Mutex::new(None));
        let into = outcome.clone();
        let report = Arc::new(move |_: &_, observed| *into.lock().unwrap() = Some(observed));
        self.sources.observe(&backend, vec![source], report).await;
        let outcome = outcome.lock().unwrap().take();
        outcome.expect("the source is reported").unwrap()
    }

    async fn age(&self) -> Duration {
        match self.observe().await {
            Observation::Application(application) => application.survey.age(),
            other => panic!("{other:?}"),
        }
    }

    async fn open_shards(&self) -> u64 {
        match self.observe().await {
            Observation::Shards(shards) => shards.open,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until nothing is unread.
    async fn wait_until_caught_up(&self) {
        let begun = Instant::now();
        while self.age().await > Duration::ZERO {
            assert!(begun.elapsed() < SECOND * 60, "{:?}", self.observe().await);
            sleep(ROUND).await;
        }
    }
}

/// What was put, and when: the truth is told by this and by the consumer's own log.
struct Truth {
    clients: Clients,
    stream: String,
    put: Vec<(String, Instant)>,
}

impl Truth {
    async fn new(stream: &str, shards: i32) -> Self {
        let clients = aws_services().clients().await;
        clients.kinesis.create_stream().stream_name(stream).shard_count(shards).send().await.unwrap();
        let truth = Self { clients, stream: stream.to_owned(), put: Vec::new() };
        truth.wait_until_active().await;
        truth
    }

    async fn wait_until_active(&self) {
        loop {
            let answer = self.clients.kinesis.describe_stream_summary().stream_name(&self.stream).send().await.unwrap();
            if answer.stream_description_summary.unwrap().stream_status.as_str() == "ACTIVE" {
                return;
            }
            sleep(SECOND / 20).await;
        }
    }

    async fn put(&mut self, count: usize) {
        for _ in 0..count {
            let key = format!("key-{}", self.put.len());
            let at = Instant::now();
            let request = self.clients.kinesis.put_record().stream_name(&self.stream).partition_key(key);
            let answer = request.data(Blob::new("a record")).send().await.unwrap();
            self.put.push((answer.sequence_number, at));
        }
    }

    /// How long ago the oldest record was put that no consumer has done.
    fn oldest_undone(&self, consumers: &[&Consumer]) -> Duration {
        let done: Vec<_> = consumers.iter().flat_map(|consumer| consumer.events("done")).collect();
        let numbers: std::collections::HashSet<_> = done.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        let undone = self.put.iter().find(|(number, _)| !numbers.contains(number.as_str()));
        undone.map_or(Duration::ZERO, |(_, at)| at.elapsed())
    }
}

/// `make test` prints how close it was: the greatest difference of these is what the README tells.
fn told(what: &str, ours: Duration, truth: Duration) {
    println!("{what}: ours {:.1} s, truth {:.1} s", ours.as_secs_f64(), truth.as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_follows_a_real_kcl_through_backlog_stop_and_reshard() {
    let (stream, application) = (unique("orders"), unique("orders-app"));
    let mut truth = Truth::new(&stream, 2).await;
    let metadata =
        [("scaleOn", "age"), ("streamName", &stream), ("applicationName", &application), ("ageThreshold", "3s")];
    let scaler = Scaler::new("aws-kinesis-stream", &metadata).await;
    let count = Scaler::new("aws-kinesis-stream", &[("streamName", &stream), ("shardCount", "1")]).await;
    assert_eq!(count.open_shards().await, 2);

    // before the application has ever run, all that is there is unread
    truth.put(10).await;
    sleep(SECOND * 4).await;
    let (before, ours, after) = (truth.oldest_undone(&[]), scaler.age().await, truth.oldest_undone(&[]));
    told("never ran", ours, after);
    assert!(ours + SECOND / 10 >= before && ours <= after + SECOND / 10, "{before:?} {ours:?} {after:?}");

    let consumer = aws_services().kcl(&application, &stream, "worker-1");
    consumer.wait_for("done", 10).await;
    scaler.wait_until_caught_up().await;

    // slower than what comes: behind by more and more
    consumer.delay(SECOND / 2);
    truth.put(40).await;
    for _ in 0..6 {
        sleep(ROUND).await;
        let before = truth.oldest_undone(&[&consumer]);
        let ours = scaler.age().await;
        told("slow consumer", ours, before);
        // a checkpoint is written every ten records of half a second
        assert!(ours + SECOND / 5 >= before, "less than the truth: {ours:?}, {before:?}");
        assert!(ours <= before + SECOND * 7, "{ours:?}, {before:?}");
    }
    consumer.delay(Duration::ZERO);
    consumer.wait_for("done", 50).await;
    scaler.wait_until_caught_up().await;

    // killed, resharded, and written to: nobody runs, and the children's records count
    drop(consumer);
    let update = truth.clients.kinesis.update_shard_count().stream_name(&stream).target_shard_count(3);
    update.scaling_type(aws_sdk_kinesis::types::ScalingType::UniformScaling).send().await.unwrap();
    truth.wait_until_active().await;
    let put_at = Instant::now();
    truth.put(12).await;
    sleep(SECOND * 6).await;
    let ours = scaler.age().await;
    told("no replica, resharded", ours, put_at.elapsed());
    assert!(ours + SECOND / 10 >= SECOND * 6 && ours <= put_at.elapsed() + SECOND / 10, "{ours:?}");
    let fresh = Scaler::new("aws-kinesis-stream", &[("streamName", &stream), ("shardCount", "1")]).await;
    assert_eq!(fresh.open_shards().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_follows_a_real_streams_adapter_through_a_rolled_shard() {
    let (table, application) = (unique("invoices"), unique("invoices-app"));
    let clients = aws_services().clients().await;
    let key = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build();
    clients
        .dynamodb
        .create_table()
        .table_name(&table)
        .attribute_definitions(key.unwrap())
        .key_schema(KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap())
        .billing_mode(BillingMode::PayPerRequest)
        .stream_specification(
            StreamSpecification::builder()
                .stream_enabled(true)
                .stream_view_type(StreamViewType::KeysOnly)
                .build()
                .unwrap(),
        )
        .send()
        .await
        .unwrap();
    let put = async |from: u32, count: u32| {
        for number in from..from + count {
            let id = AttributeValue::S(number.to_string());
            clients.dynamodb.put_item().table_name(&table).item("id", id).send().await.unwrap();
        }
    };
    let metadata = [
        ("scaleOn", "age"),
        ("tableName", &*table),
        ("applicationName", &application),
        ("probeInterval", "1s"),
        ("ageThreshold", "3s"),
    ];
    let scaler = Scaler::new("aws-dynamodb-streams", &metadata).await;
    let count = Scaler::new("aws-dynamodb-streams", &[("tableName", &table), ("shardCount", "1")]).await;
    assert_eq!(count.open_shards().await, 1);
    put(0, 5).await;
    // the server cuts times to whole minutes, so an age is up to a minute too high here
    let ours = scaler.age().await;
    assert!(ours > Duration::ZERO && ours < SECOND * 62, "{ours:?}");

    let consumer = aws_services().adapter(&application, &table, "worker-1");
    consumer.wait_for("done", 5).await;
    scaler.wait_until_caught_up().await;

    // the shard rolls while nobody runs: what is written to the child is unread
    drop(consumer);
    aws_services().roll_shards().await;
    put(5, 5).await;
    sleep(ROUND).await;
    let fresh = Scaler::new("aws-dynamodb-streams", &metadata).await;
    let ours = fresh.age().await;
    assert!(ours > SECOND && ours < SECOND * 70, "{ours:?}");
    let count = Scaler::new("aws-dynamodb-streams", &[("tableName", &table), ("shardCount", "1")]).await;
    assert_eq!(count.open_shards().await, 1, "the parent is closed");
}
