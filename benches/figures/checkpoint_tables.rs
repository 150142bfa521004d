//! Many checkpoint tables at AWS's own limits, and what large ones cost.

use std::time::Duration;

use keda_stream_scaler::trigger::Trigger;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::readings::{POLL_INTERVAL, Polls, dynamodb, kinesis};
use crate::scripted_aws::ScriptedAws;
use crate::shared_streams::lease;
use crate::table::{Goal, Table};

/// How precisely times are measured here.
const STEP: Duration = Duration::from_millis(200);

/// Tables of one shard, each with an application of its own that is 100 s behind.
pub async fn many_tables() -> Table {
    const TABLES: usize = 130;
    const GOAL: Duration = Duration::from_secs(120);
    let aws = ScriptedAws::start().await;
    let ago = |seconds: u64| aws.now() - seconds * 1000;
    let triggers: Vec<Trigger> = (0..TABLES)
        .map(|number| {
            let (table, application) = (format!("orders-{number}"), format!("app-{number}"));
            aws.create_table(&table, "id");
            aws.create_table(&application, "leaseKey");
            let arn = aws.create_table_stream(&table, ago(3600));
            let shard = aws.open_change_shard(&arn, None, ago(3500));
            let processed = aws.put_change(&arn, &shard, ago(101));
            aws.put_change(&arn, &shard, ago(100));
            aws.put_item(&application, &lease(&shard, &processed));
            dynamodb(&aws, &table, &application)
        })
        .collect();
    aws.keep_aws_limits();
    let (begun, polls) = (Instant::now(), Polls::start(triggers, POLL_INTERVAL));
    let answered = || (0..TABLES).filter(|target| polls.first_age(*target).is_some()).count();
    while answered() < TABLES && begun.elapsed() < GOAL * 2 {
        sleep(STEP).await;
    }
    let (took, lacking) = (begun.elapsed(), TABLES - answered());
    // the limits are kept after the start as well
    polls.until(begun.elapsed() + POLL_INTERVAL * 2).await;
    let name = "130 DynamoDB tables of 1 shard, at AWS's limits";
    let mut table = Table::default();
    table.add(format!("{name}: all have an age after"), took.as_secs_f64(), "s", Goal::AtMost(GOAL.as_secs_f64()));
    table.add(format!("{name}: without an age after 240 s"), lacking as f64, "", Goal::Equals(0.0));
    table.add(format!("{name}: throttled calls"), aws.calls_over_limits() as f64, "", Goal::Equals(0.0));
    let busiest = aws.busiest_second("DescribeStream", None) as f64;
    table.add(format!("{name}: DescribeStream in one second, at most"), busiest, "", Goal::AtMost(10.0));
    table
}

/// Applications that keep up, with lease tables of three sizes, until the largest was read three times.
pub async fn read_units() -> Table {
    const LEASES: [u32; 3] = [100, 1000, 10_000];
    const READS: usize = 3;
    const AT_MOST: Duration = Duration::from_mins(5);
    let aws = ScriptedAws::start().await;
    let mut working = Vec::new();
    let triggers = LEASES.map(|leases| {
        let (stream, application) = (format!("stream-{leases}"), format!("app-{leases}"));
        aws.create_table(&application, "leaseKey");
        let shards = aws.create_stream(&stream, leases, aws.now() - 3_600_000);
        process_all(&aws, &stream, &application, &shards);
        let trigger = kinesis(&aws, &stream, &application);
        working.push(keep_up(aws.clone(), stream, application, shards));
        trigger
    });
    let (begun, polls) = (Instant::now(), Polls::start(triggers.to_vec(), POLL_INTERVAL));
    let mut reads = LEASES.map(|leases| Reads::of(format!("app-{leases}")));
    while reads[2].at.len() < READS && begun.elapsed() < AT_MOST {
        sleep(STEP).await;
        for reads in &mut reads {
            reads.look(&aws);
        }
    }
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let mut table = Table::default();
    for (target, (leases, reads)) in LEASES.into_iter().zip(&reads).enumerate() {
        let [units, apart] = reads.units_per_second_and_interval();
        let name = format!("a lease table of {leases} rows");
        table.add(format!("{name}: DynamoDB read units per second"), units, "", Goal::AtMost(5.0));
        table.add(format!("{name}: interval between reads"), apart, "s", Goal::Reported);
        let calls = aws.calls_of("GetRecords", &format!("stream-{leases}")) as f64 / f64::from(leases) / minutes;
        table.add(format!("{name}: GetRecords per shard and minute"), calls, "", Goal::Reported);
        let polled = polls.polled().into_iter().filter(|polled| polled.target == target);
        let greatest = polled.filter_map(|polled| polled.age.ok()).max().unwrap_or(Duration::MAX);
        table.add(format!("{name}: greatest age while caught up"), greatest.as_secs_f64(), "s", Goal::Reported);
    }
    table.add("lease tables of 100, 1,000 and 10,000 rows: errors", polls.errors(), "", Goal::Equals(0.0));
    working.iter().for_each(JoinHandle::abort);
    table
}

/// When a table was read, and what it had cost in all by then.
struct Reads {
    table: String,
    at: Vec<(Instant, f64)>,
}

impl Reads {
    fn of(table: String) -> Self {
        Self { table, at: Vec::new() }
    }

    fn look(&mut self, aws: &ScriptedAws) {
        let (now, units) = (Instant::now(), aws.read_units(&self.table));
        match self.at.last_mut() {
            Some((_, before)) if *before >= units => {}
            // pages of one read
            Some((at, before)) if now.duration_since(*at) < POLL_INTERVAL / 2 => *before = units,
            _ if units > 0.0 => self.at.push((now, units)),
            _ => {}
        }
    }

    /// From the first read to the last, which is not counted itself.
    fn units_per_second_and_interval(&self) -> [f64; 2] {
        let [(first, _), .., (last, _)] = &*self.at else { return [f64::INFINITY; 2] };
        let seconds = last.duration_since(*first).as_secs_f64();
        let reads = self.at.len() - 1;
        [self.at[reads - 1].1 / seconds, seconds / reads as f64]
    }
}

/// Every few seconds a record for each shard, which is processed at once.
fn keep_up(aws: ScriptedAws, stream: String, application: String, shards: Vec<String>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = interval(Duration::from_secs(5));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for some in shards.chunks(100) {
                process_all(&aws, &stream, &application, some);
                yield_now().await;
            }
        }
    })
}

fn process_all(aws: &ScriptedAws, stream: &str, application: &str, shards: &[String]) {
    for shard in shards {
        let processed = aws.put_record(stream, shard, aws.now());
        aws.put_item(application, &lease_of_kcl3(shard, &processed));
    }
}

fn lease_of_kcl3(shard: &str, checkpoint: &str) -> Value {
    let mut row = lease(shard, checkpoint);
    let more = json!({
        "startingHashKey": {"S": "127605887595351923798765477786913079296"},
        "endingHashKey": {"S": "170141183460469231731687303715884105727"},
        "throughputKBps": {"N": "1.5"},
    });
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}
