//! Two real applications on one stream: quiet for three minutes, then one of them lags and the other does not.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::support::aws_services::{Consumer, aws_services, unrolled_aws_services};
use crate::support::kafka::unique;
use crate::support::scaler::{Scaler, age_of};
use crate::support::table::Table;
use crate::support::truth::{Application, CHECKPOINTS_APART, Compared, RECORD_TAKES, ROUND, Records, Truth};

const SECOND: Duration = Duration::from_secs(1);
/// How often KEDA has a trigger read by default.
const INTERVAL: Duration = Duration::from_secs(10);
const DEFAULT_AGE_THRESHOLD: Duration = Duration::from_secs(60);
/// Shards of a table's stream are read this often by default, and in the first round after that.
const DEFAULT_PROBE_INTERVAL: Duration = Duration::from_secs(31);
/// Where every age matters and is read in each round: clocks and the way of an answer below the truth, a busy machine above it.
const EXACT: Errors = Errors { below: Duration::from_millis(200), above: ROUND };

/// The two applications as one process of the scaler reads them: the one that will lag comes first.
struct Process {
    name: &'static str,
    scalers: [Scaler; 2],
    errors: Errors,
}

/// By how much an age may differ from the truth.
#[derive(Clone, Copy)]
struct Errors {
    below: Duration,
    above: Duration,
}

/// Who consumes for each of the applications, and how many records each has never had to read.
struct Consumers<'a> {
    each: [Vec<&'a Consumer>; 2],
    skipped: [usize; 2],
}

impl Process {
    fn applications<'a>(&'a self, consumers: &Consumers<'a>) -> [Application<'a>; 2] {
        [0, 1].map(|index| Application {
            scaler: &self.scalers[index],
            consumers: consumers.each[index].clone(),
            skipped: consumers.skipped[index],
        })
    }

    async fn ages(&self) -> Vec<Duration> {
        let outcomes = Scaler::observe_together(&[&self.scalers[0], &self.scalers[1]]).await;
        let age = |(index, outcome): (usize, Result<_, keda_stream_scaler::lag::SourceError>)| {
            age_of(&outcome.unwrap_or_else(|error| panic!("{}, application {index}: {}", self.name, error.chain())))
        };
        outcomes.into_iter().enumerate().map(age).collect()
    }
}

async fn wait_until_all_are_caught_up(processes: &[Process]) {
    let begun = Instant::now();
    for process in processes {
        while process.ages().await.iter().any(|age| !age.is_zero()) {
            assert!(begun.elapsed() < SECOND * 90, "{}: {:?}", process.name, process.ages().await);
            sleep(ROUND).await;
        }
    }
}

/// Polls quiet applications: each poll of both is an answer, and 0. Prints and returns the reads per minute of each process.
async fn stay_at_zero(processes: &[Process], every: Duration, lasts: Duration) -> Vec<f64> {
    let reads = |process: &Process| process.scalers[0].requests().count("GetRecords");
    let (begun, before) = (Instant::now(), processes.iter().map(reads).collect::<Vec<_>>());
    let mut rounds = 0;
    while begun.elapsed() < lasts {
        for process in processes {
            let ages = process.ages().await;
            assert_eq!(ages, [Duration::ZERO; 2], "{}, after {:?}", process.name, begun.elapsed());
        }
        rounds += 1;
        sleep_until(begun + every * rounds).await;
    }
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let per_minute = |(process, before): (&Process, usize)| {
        let per_minute = f64::from(u32::try_from(reads(process) - before).unwrap()) / minutes;
        println!("{}, quiet, a round every {every:?}: {per_minute:.1} GetRecords per minute", process.name);
        per_minute
    };
    processes.iter().zip(before).map(per_minute).collect()
}

/// Puts `per_second` records in each of these rounds, and compares every process with the truth after each; no rounds are as many
/// as it takes until the first application has processed everything.
async fn follow<R: Records>(
    what: &str,
    records: &mut R,
    (processes, consumers): (&[Process], &Consumers<'_>),
    (rounds, per_second): (u32, u32),
) {
    let begun = Instant::now();
    let (mut round, mut polled) = (0, vec![begun; processes.len()]);
    let unread = |records: &R| records.unread(&consumers.each[0], consumers.skipped[0], Instant::now()).1;
    while round < rounds || (rounds == 0 && !unread(records).is_zero()) {
        assert!(begun.elapsed() < SECOND * 120, "{what}: not everything was processed");
        let (begun, mut next) = (Instant::now(), Instant::now());
        while per_second > 0 && begun.elapsed() < ROUND {
            records.put(1).await;
            next += SECOND / per_second;
            sleep_until(next).await;
        }
        sleep_until(begun + ROUND).await;
        for (process, polled) in processes.iter().zip(&mut polled) {
            let [lagging, other] = process.applications(consumers);
            let before = std::mem::replace(polled, Instant::now());
            let compared = records.compare_all(&[&lagging, &other], CHECKPOINTS_APART + before.elapsed()).await;
            assert_close(&format!("{what}, {}, the one that lags", process.name), compared[0], process.errors);
            assert_close(&format!("{what}, {}, the other", process.name), compared[1], process.errors);
        }
        round += 1;
    }
}

fn assert_close(what: &str, compared: Compared, errors: Errors) {
    let [ours, truth] = [compared.ours, compared.truth()].map(|age| age.as_secs_f64());
    println!("{what}: age {ours:.1} s, truth {truth:.1} s");
    assert!(compared.below() < errors.below, "{what}: below the truth: {compared:?}");
    assert!(compared.above() < errors.above, "{what}: {compared:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_kcl_applications_on_one_quiet_stream_stay_at_zero_until_one_of_them_lags() {
    let (stream, billing, audit) = (unique("orders"), unique("billing"), unique("audit"));
    let mut truth = Truth::new(&stream, 2).await;
    truth.put(4).await;
    let mut first = aws_services().kcl(&billing, &stream, "worker-1");
    let other = aws_services().kcl_from("LATEST", &audit, &stream, "worker-1");
    first.wait_for("done", 4).await;
    other.wait_for("start", 2).await;
    sleep(SECOND * 3).await;
    let skipped = [0, truth.len()];
    truth.put(6).await;
    first.wait_for("done", 10).await;
    other.wait_for("done", 6).await;

    let of_billing = [("scaleOn", "age"), ("streamName", &*stream), ("applicationName", &*billing)];
    let of_audit =
        [("scaleOn", "age"), ("streamName", &*stream), ("applicationName", &*audit), ("initialPosition", "LATEST")];
    let exact = Scaler::new("aws-kinesis-stream", &[&of_billing[..], &[("ageThreshold", "1s")]].concat()).await;
    let exact_too = exact.beside(&[&of_audit[..], &[("ageThreshold", "1s")]].concat());
    let default = Scaler::new("aws-kinesis-stream", &of_billing).await;
    let default_too = default.beside(&of_audit);
    let processes = [
        Process { name: "ageThreshold 1s", scalers: [exact, exact_too], errors: EXACT },
        // below the threshold an age may be an upper bound
        Process {
            name: "ageThreshold by default",
            scalers: [default, default_too],
            errors: Errors { above: EXACT.above.saturating_add(DEFAULT_AGE_THRESHOLD), ..EXACT },
        },
    ];
    wait_until_all_are_caught_up(&processes).await;
    for per_minute in stay_at_zero(&processes, INTERVAL, SECOND * 120).await {
        assert!(per_minute <= 2.0 * 7.0, "{per_minute} for two shards");
    }
    for per_minute in stay_at_zero(&processes, ROUND, SECOND * 60).await {
        assert!(per_minute <= 2.0 * 52.0, "{per_minute} for two shards, which are read once per round");
    }

    first.delay(RECORD_TAKES);
    let consumers = Consumers { each: [vec![&first], vec![&other]], skipped };
    follow("slow consumer", &mut truth, (&processes, &consumers), (8, 20)).await;
    follow("backlog", &mut truth, (&processes, &consumers), (0, 0)).await;
    wait_until_all_are_caught_up(&processes).await;

    first.stop().await;
    truth.put(6).await;
    let consumers = Consumers { each: [vec![&first], vec![&other]], skipped };
    follow("stopped", &mut truth, (&processes, &consumers), (10, 2)).await;
    let second = aws_services().kcl(&billing, &stream, "worker-2");
    let consumers = Consumers { each: [vec![&first, &second], vec![&other]], skipped };
    follow("started again", &mut truth, (&processes, &consumers), (0, 0)).await;
    wait_until_all_are_caught_up(&processes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_adapter_applications_on_one_quiet_table_stay_at_zero_until_one_of_them_lags() {
    let services = unrolled_aws_services();
    let (name, shipping, search) = (unique("invoices"), unique("shipping"), unique("search"));
    let mut table = Table::new(services, &name).await;
    table.put(5).await;
    let mut first = services.adapter(&shipping, &name, "worker-1");
    let other = services.adapter(&search, &name, "worker-1");
    first.wait_for("done", 5).await;
    other.wait_for("done", 5).await;

    let of_shipping = [("scaleOn", "age"), ("tableName", &*name), ("applicationName", &*shipping)];
    let of_search = [("scaleOn", "age"), ("tableName", &*name), ("applicationName", &*search)];
    let often = [("probeInterval", "1s"), ("ageThreshold", "1s")];
    let exact = Scaler::on(services, "aws-dynamodb-streams", &[&of_shipping[..], &often].concat()).await;
    let exact_too = exact.beside(&[&of_search[..], &often].concat());
    let default = Scaler::on(services, "aws-dynamodb-streams", &of_shipping).await;
    let default_too = default.beside(&of_search);
    let processes = [
        Process { name: "probeInterval 1s", scalers: [exact, exact_too], errors: EXACT },
        // a shard without unread records counts as that until it is read again
        Process {
            name: "probeInterval by default",
            scalers: [default, default_too],
            errors: Errors {
                below: EXACT.below.saturating_add(DEFAULT_PROBE_INTERVAL),
                above: EXACT.above.saturating_add(DEFAULT_PROBE_INTERVAL),
            },
        },
    ];
    wait_until_all_are_caught_up(&processes).await;
    let per_minute = stay_at_zero(&processes, INTERVAL, SECOND * 120).await;
    assert!(per_minute[1] <= 4.0, "{per_minute:?} for one shard");
    let per_minute = stay_at_zero(&processes, ROUND, SECOND * 60).await;
    assert!(per_minute[1] <= 4.0, "{per_minute:?} for one shard");

    first.delay(RECORD_TAKES);
    Table::wait_for_the_next_minute().await;
    let consumers = Consumers { each: [vec![&first], vec![&other]], skipped: [0; 2] };
    follow("slow consumer", &mut table, (&processes, &consumers), (8, 10)).await;
    follow("backlog", &mut table, (&processes, &consumers), (0, 0)).await;
    wait_until_all_are_caught_up(&processes).await;

    first.stop().await;
    Table::wait_for_the_next_minute().await;
    table.put(6).await;
    let consumers = Consumers { each: [vec![&first], vec![&other]], skipped: [0; 2] };
    follow("stopped", &mut table, (&processes, &consumers), (10, 1)).await;
    let second = services.adapter(&shipping, &name, "worker-2");
    let consumers = Consumers { each: [vec![&first, &second], vec![&other]], skipped: [0; 2] };
    follow("started again", &mut table, (&processes, &consumers), (0, 0)).await;
    wait_until_all_are_caught_up(&processes).await;
}
