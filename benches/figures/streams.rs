//! What ages on Kinesis cost: calls to AWS, and the CPU of judging leases.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keda_stream_scaler::lag::Observe as _;
use keda_stream_scaler::lag::streams::{
    AgeRules, Attribute, Beginning, CheckpointsOf, Probes, Row, RowsOf, Shard, ShardId, ShardState, Survey, Timestamp,
    leases_of,
};
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::UpstreamMetrics;
use keda_stream_scaler::tenancy::Connections;
use keda_stream_scaler::trigger::{AgeFrom, AgesOf, SourceRef, StoreLayout, Trigger};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::process::{Usage, runtime};
use crate::scripted_aws::ScriptedAws;
use crate::table::{Goal, Table};

const APPLICATIONS: usize = 300;
const SHARDS: u32 = 100;
/// One shard in so many is behind.
const BEHIND: usize = 20;
const ROUNDS: u32 = 3;
const INTERVAL: Duration = Duration::from_secs(10);

/// A minute of 300 applications, and of 300 that keep up.
pub fn rounds(table: &mut Table) {
    let name = "300 applications, 30,000 shards, 1 in 20 behind";
    let [reads, busiest, summaries, errors] = runtime().block_on(minute(BEHIND));
    let share = reads / f64::from(ROUNDS) / (APPLICATIONS as f64 * f64::from(SHARDS)) * 100.0;
    table.add(format!("{name}: shards read in a round"), share, "%", Goal::Below(5.0));
    table.add(format!("{name}: reads of a shard in a second, at most"), busiest, "", Goal::Below(2.0));
    table.add(format!("{name}: DescribeStreamSummary in a second, at most"), summaries, "", Goal::Below(5.0));
    table.add(format!("{name}: errors in the last round"), errors, "", Goal::Equals(0.0));
    let [reads, ..] = runtime().block_on(minute(usize::MAX));
    table.add("300 applications that keep up: reads", reads, "", Goal::Equals(0.0));
}

/// Some rounds: `GetRecords` in all, of a shard in a second, `DescribeStreamSummary` in a second, errors in the last round.
async fn minute(behind: usize) -> [f64; 4] {
    let aws = ScriptedAws::start().await;
    let now = aws.now();
    for number in 0..APPLICATIONS {
        let (stream, application) = (format!("stream-{number}"), format!("app-{number}"));
        let shards = aws.create_stream(&stream, SHARDS, now - 3_600_000);
        aws.create_table(&application, "leaseKey");
        for (index, shard) in shards.iter().enumerate() {
            let ago = if index % behind == 0 && behind != usize::MAX { 600_000 } else { 5_000 };
            let done = aws.put_record(&stream, shard, now - ago);
            aws.put_record(&stream, shard, now - ago + 1_000);
            aws.put_item(&application, &json!({"leaseKey": {"S": shard}, "checkpoint": {"S": done}}));
        }
    }
    let sources = Sources::new(permissive(), UpstreamMetrics::default());
    let due: Vec<_> = (0..APPLICATIONS).map(|number| Arc::new(source(&aws, number))).collect();
    let errors = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    for round in 0..ROUNDS {
        sleep_until(begun + INTERVAL * round).await;
        errors.store(0, Ordering::Relaxed);
        let (backend, counted) = (sources.admit("shop", &due[0]).unwrap(), errors.clone());
        let report = Arc::new(move |_: &_, observed: Result<_, _>| {
            counted.fetch_add(usize::from(observed.is_err()), Ordering::Relaxed);
        });
        sources.observe(&backend, due.clone(), report).await;
    }
    let busiest =
        (0..SHARDS).map(|index| aws.busiest_second("GetRecords", Some(&format!("stream-0/shardId-{index:012}"))));
    [
        aws.calls("GetRecords") as f64,
        busiest.max().unwrap() as f64,
        aws.busiest_second("DescribeStreamSummary", None) as f64,
        errors.load(Ordering::Relaxed) as f64,
    ]
}

fn permissive() -> Connections {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "metadata: [{{namespaces: ['*'], awsEndpoints: ['http://127.0.0.1:*']}}]").unwrap();
    Connections::read(file.path()).unwrap()
}

fn source(aws: &ScriptedAws, number: usize) -> SourceRef {
    let (endpoint, stream, application) = (aws.endpoint(), format!("stream-{number}"), format!("app-{number}"));
    let metadata = [
        ("source", "aws-kinesis-stream"),
        ("scaleOn", "age"),
        ("awsRegion", "eu-west-1"),
        ("awsEndpoint", &endpoint),
        ("awsAccessKeyIDFromEnv", "AKIDEXAMPLE"),
        ("awsSecretAccessKeyFromEnv", "a-secret"),
        ("streamName", &stream),
        ("applicationName", &application),
    ];
    let metadata: HashMap<_, _> = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    Trigger::parse(&metadata).unwrap().source
}

/// Rows as KCL writes them, parsed and judged.
pub fn leases(table: &mut Table) {
    const LEASES: u32 = 10_000;
    const TURNS: u32 = 20;
    let text = |text: &str| Attribute::Text(text.to_owned());
    let ids: Vec<_> = (0..LEASES).map(|index| format!("shardId-{index:012}")).collect();
    let rows: Vec<Row> = ids
        .iter()
        .map(|id| {
            [
                ("leaseKey", text(id)),
                ("checkpoint", text("49680412205435025742772162489799548506159790862788198402")),
                ("leaseOwner", text("worker-1")),
                ("leaseCounter", text("128")),
                ("throughputKBps", text("1.5")),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
        })
        .collect();
    let shards: Vec<_> = ids
        .iter()
        .map(|id| Shard { id: ShardId::new(id), parents: Vec::new(), state: ShardState::Open, first: None })
        .collect();
    let now = Timestamp::from_unix_ms(1_795_217_400_000);
    let rules = AgeRules {
        from: AgeFrom::Auto(AgesOf::Oldest { exact_above: Duration::from_secs(60) }),
        beginning: Beginning::TrimHorizon,
        seen: now,
        current_since: now,
        records_since: now,
        listed: now,
        retention: Duration::from_secs(86_400),
        checkpoints: CheckpointsOf::ThisRound,
    };
    let judged = Mutex::new(0);
    let before = Usage::of("self");
    for _ in 0..TURNS {
        let leases =
            leases_of(&rows, &StoreLayout::kcl(), RowsOf::Kinesis { stream: "orders", created: None }).unwrap();
        *judged.lock().unwrap() += Survey::new(&shards, &leases, &Probes::default(), &rules, now).shards.len();
    }
    assert_eq!(judged.into_inner().unwrap(), (LEASES * TURNS) as usize);
    let cpu = (Usage::of("self").cpu - before.cpu).as_secs_f64() * 1000.0 / f64::from(TURNS);
    table.add("10,000 leases parsed and judged: CPU", cpu, "ms", Goal::Below(1000.0));
}
