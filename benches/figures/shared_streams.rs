//! Streams that several applications share, quiet and moving: what they cost, and how right their ages are.

use std::time::Duration;

use keda_stream_scaler::trigger::Trigger;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::process::runtime;
use crate::readings::{POLL_INTERVAL, Polls, dynamodb, kinesis};
use crate::scripted_aws::{Behaviour, ScriptedAws};
use crate::table::{Goal, Table};

const STREAMS: usize = 5;
const SHARDS: u32 = 4;
const APPLICATIONS_PER_STREAM: usize = 4;
const MEASURED: Duration = Duration::from_secs(90);
const MINUTE_MS: u64 = 60_000;

/// A row as KCL writes it.
pub fn lease(shard: &str, checkpoint: &str) -> Value {
    json!({
        "leaseKey": {"S": shard},
        "checkpoint": {"S": checkpoint},
        "checkpointSubSequenceNumber": {"N": "0"},
        "leaseCounter": {"N": "128"},
        "leaseOwner": {"S": "2f4c4a30-3e0c-4a7e-9f5e-6a1b8d0c7e55"},
        "ownerSwitchesSinceCheckpoint": {"N": "0"},
    })
}

fn application(stream: usize, number: usize) -> String {
    format!("app-{stream}-{number}")
}

/// All applications, each with a lease table.
fn twenty_applications(aws: &ScriptedAws) -> Vec<Trigger> {
    let mut triggers = Vec::new();
    for stream in 0..STREAMS {
        for number in 0..APPLICATIONS_PER_STREAM {
            aws.create_table(&application(stream, number), "leaseKey");
            triggers.push(kinesis(aws, &format!("stream-{stream}"), &application(stream, number)));
        }
    }
    triggers
}

/// From the start, and in the last minute.
async fn add_reads(table: &mut Table, name: &str, (aws, polls): (&ScriptedAws, &Polls), goal: f64) {
    const MINUTE: Duration = Duration::from_secs(60);
    let shards = STREAMS as f64 * f64::from(SHARDS);
    // the round that begins when the time is over is not one of it
    let over = MEASURED - Duration::from_millis(500);
    polls.until(over - MINUTE).await;
    let before = aws.calls("GetRecords") as f64;
    polls.until(over).await;
    let all = aws.calls("GetRecords") as f64;
    let per_minute = all / shards / (MEASURED.as_secs_f64() / MINUTE.as_secs_f64());
    table.add(format!("{name}: GetRecords per shard and minute"), per_minute, "", Goal::AtMost(goal));
    let last = (all - before) / shards;
    table.add(format!("{name}: GetRecords per shard in the last minute"), last, "", Goal::AtMost(goal));
}

/// Nothing is unread. Two applications of each stream have the same checkpoint, an hour old, and two have older ones each of its
/// own: what was between has been deleted.
pub async fn quiet() -> Table {
    let aws = ScriptedAws::start().await;
    let now = aws.now();
    let triggers = twenty_applications(&aws);
    for stream in 0..STREAMS {
        let name = format!("stream-{stream}");
        for shard in aws.create_stream(&name, SHARDS, now - 240 * MINUTE_MS) {
            let processed = [180, 120, 60].map(|minutes| aws.put_record(&name, &shard, now - minutes * MINUTE_MS));
            for (number, record) in [2, 2, 1, 0].into_iter().enumerate() {
                aws.put_item(&application(stream, number), &lease(&shard, &processed[record]));
            }
        }
        aws.trim_stream(&name, now);
    }
    let polls = Polls::start(triggers, POLL_INTERVAL);
    let name = "20 applications on 5 streams x 4 shards, quiet, 90 s from the start";
    let mut table = Table::default();
    add_reads(&mut table, name, (&aws, &polls), 6.0).await;
    add_errors(&mut table, name, &polls);
    let late = polls.polled().into_iter().filter(|polled| polled.at > POLL_INTERVAL * 2);
    let greatest = late.filter_map(|polled| polled.age.ok()).max().unwrap_or_default();
    table.add(format!("{name}: greatest age after 2 intervals"), greatest.as_secs_f64(), "s", Goal::Equals(0.0));
    table
}

/// One record per second arrives at each shard. Each application keeps its own distance.
pub async fn lagging() -> Table {
    let aws = ScriptedAws::start().await;
    let triggers = twenty_applications(&aws);
    // from 40 s to 325 s
    let distances: Vec<_> = (0..triggers.len()).map(|number| Duration::from_secs(40 + number as u64 * 15)).collect();
    let mut moving = Moving::default();
    for stream in 0..STREAMS {
        let name = format!("stream-{stream}");
        let applications: Vec<_> = (0..APPLICATIONS_PER_STREAM)
            .map(|number| (application(stream, number), distances[stream * APPLICATIONS_PER_STREAM + number]))
            .collect();
        for shard in aws.create_stream(&name, SHARDS, aws.now() - 60 * MINUTE_MS) {
            moving.0.push(MovingShard::new(&aws, Kind::Kinesis(name.clone()), shard, applications.clone()));
        }
    }
    let moving = moving.start(&aws);
    let polls = Polls::start(triggers, POLL_INTERVAL);
    let name = "20 applications on 5 streams x 4 shards, lagging and moving, 90 s from the start";
    let mut table = Table::default();
    add_reads(&mut table, name, (&aws, &polls), 7.0).await;
    add_errors(&mut table, name, &polls);
    add_errors_of_ages(&mut table, name, &polls, &distances, [Goal::Reported, Goal::AtMost(2.0)]);
    moving.abort();
    table
}

/// One application with everything processed, where each call to AWS takes 15 ms.
pub fn many_shards(table: &mut Table) {
    table.append(runtime().block_on(seven_hundred_shards()));
}

async fn seven_hundred_shards() -> Table {
    const MANY: u32 = 700;
    const LATENCY: Duration = Duration::from_millis(15);
    const ROUNDS: u32 = 7;
    let aws = ScriptedAws::start().await;
    let now = aws.now();
    aws.create_table("app", "leaseKey");
    for shard in aws.create_stream("orders", MANY, now - 240 * MINUTE_MS) {
        let processed = aws.put_record("orders", &shard, now - 60 * MINUTE_MS);
        aws.put_item("app", &lease(&shard, &processed));
    }
    for operation in ["GetRecords", "GetShardIterator", "ListShards", "DescribeStreamSummary", "Scan"] {
        aws.on(operation).does(Behaviour::Delayed(LATENCY));
    }
    let polls = Polls::start(vec![kinesis(&aws, "orders", "app")], Duration::from_secs(1));
    polls.until(POLL_INTERVAL * ROUNDS).await;
    let name = "1 quiet application, 700 shards x 15 ms";
    let intervals = |took: Duration| took.as_secs_f64() / POLL_INTERVAL.as_secs_f64();
    let mut table = Table::default();
    table.add(format!("{name}: first answer"), polls.first_ages_after(), "intervals", Goal::AtMost(2.0));
    let failed = polls.failed_polls() as f64;
    table.add(format!("{name}: errors after the first answer"), failed, "", Goal::Equals(0.0));
    let failed = polls.failed_readings() as f64;
    table.add(format!("{name}: readings without an answer, before the first one"), failed, "", Goal::Reported);
    let later = polls.rounds().into_iter().skip(1).max().unwrap_or(Duration::MAX);
    table.add(format!("{name}: longest later round"), intervals(later), "intervals", Goal::AtMost(1.0));
    let greatest = polls.polled().into_iter().filter_map(|polled| polled.age.ok()).max().unwrap_or_default();
    table.add(format!("{name}: greatest age"), greatest.as_secs_f64(), "s", Goal::Equals(0.0));
    table
}

/// One application 100 s behind and moving, one that has processed everything, polled every second for five minutes.
pub async fn two_applications() -> Table {
    const FOR: Duration = Duration::from_mins(5);
    let distances = [Duration::from_secs(100), Duration::ZERO];
    let aws = ScriptedAws::start().await;
    aws.create_table("orders", "id");
    let arn = aws.create_table_stream("orders", aws.now() - 60 * MINUTE_MS);
    let applications = [("lagging".to_owned(), distances[0]), ("current".to_owned(), distances[1])];
    let triggers = applications.iter().map(|(application, _)| {
        aws.create_table(application, "leaseKey");
        dynamodb(&aws, "orders", application)
    });
    let triggers = triggers.collect();
    let mut moving = Moving::default();
    for _ in 0..SHARDS {
        let shard = aws.open_change_shard(&arn, None, aws.now() - 59 * MINUTE_MS);
        moving.0.push(MovingShard::new(&aws, Kind::DynamoDb(arn.clone()), shard, applications.to_vec()));
    }
    let moving = moving.start(&aws);
    let polls = Polls::start(triggers, Duration::from_secs(1));
    polls.until(FOR).await;
    let name = "2 applications on 1 DynamoDB stream, 100 s behind and caught up, 5 min";
    let mut table = Table::default();
    add_errors(&mut table, name, &polls);
    add_errors_of_ages(&mut table, name, &polls, &distances, [Goal::AtMost(31.0), Goal::AtMost(31.0)]);
    moving.abort();
    table
}

fn add_errors(table: &mut Table, name: &str, polls: &Polls) {
    table.add(format!("{name}: errors"), polls.errors(), "", Goal::Equals(0.0));
    table.add(format!("{name}: first answers"), polls.first_ages_after(), "intervals", Goal::AtMost(2.0));
}

/// How far ages are above and below the truth at most, over all polls.
fn add_errors_of_ages(table: &mut Table, name: &str, polls: &Polls, distances: &[Duration], goals: [Goal; 2]) {
    let polled = polls.polled();
    let ages = polled.iter().filter_map(|polled| Some((distances[polled.target], *polled.age.as_ref().ok()?)));
    let ages: Vec<_> = ages.collect();
    let above = ages.iter().map(|(truth, age)| age.saturating_sub(*truth)).max().unwrap_or(Duration::MAX);
    let below = ages.iter().map(|(truth, age)| truth.saturating_sub(*age)).max().unwrap_or(Duration::MAX);
    table.add(format!("{name}: age above the truth, at most"), above.as_secs_f64(), "s", goals[0]);
    table.add(format!("{name}: age below the truth, at most"), below.as_secs_f64(), "s", goals[1]);
}

/// Shards that get one record per second, and applications that follow each at a distance.
#[derive(Default)]
struct Moving(Vec<MovingShard>);

enum Kind {
    /// By name.
    Kinesis(String),
    /// By ARN.
    DynamoDb(String),
}

struct MovingShard {
    stream: Kind,
    shard: String,
    records: Vec<(u64, String)>,
    /// Each with its distance.
    applications: Vec<(String, Duration)>,
}

impl Moving {
    fn start(mut self, aws: &ScriptedAws) -> JoinHandle<()> {
        let aws = aws.clone();
        tokio::spawn(async move {
            let mut seconds = interval(Duration::from_secs(1));
            seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                seconds.tick().await;
                for shard in &mut self.0 {
                    shard.put(&aws, aws.now());
                    shard.checkpoint(&aws);
                }
            }
        })
    }
}

impl MovingShard {
    /// With one record per second of the time that the application furthest behind has not read.
    fn new(aws: &ScriptedAws, stream: Kind, shard: String, applications: Vec<(String, Duration)>) -> Self {
        let furthest = applications.iter().map(|(_, distance)| *distance).max().unwrap_or_default();
        let mut moving = Self { stream, shard, records: Vec::new(), applications };
        for seconds in (1..=furthest.as_secs() + 10).rev() {
            moving.put(aws, aws.now() - seconds * 1000);
        }
        moving.checkpoint(aws);
        moving
    }

    fn put(&mut self, aws: &ScriptedAws, at: u64) {
        let number = match &self.stream {
            Kind::Kinesis(name) => aws.put_record(name, &self.shard, at),
            Kind::DynamoDb(arn) => aws.put_change(arn, &self.shard, at),
        };
        self.records.push((at, number));
    }

    /// Moves each application on: its first unread record is as old as its distance, or up to a second younger.
    fn checkpoint(&self, aws: &ScriptedAws) {
        for (application, distance) in &self.applications {
            let distance = u64::try_from(distance.as_millis()).unwrap();
            let processed = self.records.iter().rev().find(|(at, _)| distance == 0 || *at + distance < aws.now());
            let (_, number) = processed.unwrap();
            aws.put_item(application, &lease(&self.shard, number));
        }
    }
}
