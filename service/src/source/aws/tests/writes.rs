//! The writes to many streams, read together: what is billed, and that no minute is lost or counted twice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, advance, sleep};

use crate::lag::streams::{Position, Shard, ShardId, ShardState, StreamState, Timestamp};
use crate::lag::{COARSE, Minute, Observation, SourceError, Writes};
use crate::source::aws::account::Account;
use crate::source::aws::cloudwatch::{MINUTE, Points, Span};
use crate::source::aws::failure::{Failure, FailureKind};
use crate::source::aws::page::{Page, Requested, ShardsPage};
use crate::source::aws::service::{Address, Description, Service};
use crate::source::aws::tables::TableRead;
use crate::trigger::{CheckpointStore, KinesisStream, SourceRef, StreamName, Trigger};

/// Half a minute after a quarter past some hour.
const T0: u64 = 1_795_000_530_000;
const HOUR: Duration = Duration::from_secs(3600);

/// Streams whose writes follow from the minute, and the calls made for them.
struct Metered {
    begun: Instant,
    latency: Duration,
    calls: Mutex<Vec<Call>>,
    /// The streams that `CloudWatch` denies.
    forbidden: HashSet<String>,
    /// This many calls for points of five minutes fail first.
    failing_histories: Mutex<usize>,
    on_demand: HashSet<String>,
}

/// A call of `GetMetricData`.
#[derive(Clone, Copy)]
struct Call {
    at: Instant,
    metrics: usize,
    points: usize,
    fine: bool,
}

impl Metered {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            latency: Duration::from_millis(300),
            calls: Mutex::default(),
            forbidden: HashSet::new(),
            failing_histories: Mutex::default(),
            on_demand: HashSet::new(),
        }
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("whole").clone()
    }

    /// Returns the number of calls since `since`, by whether they are for minutes.
    fn count(&self, since: Instant) -> (usize, usize) {
        let calls: Vec<_> = self.calls().into_iter().filter(|call| call.at >= since).collect();
        let fine = calls.iter().filter(|call| call.fine).count();
        (fine, calls.len() - fine)
    }
}

/// Returns the bytes written in the minute that begins then: another number each minute, and for each stream.
fn bytes(stream: &str, begins: Timestamp) -> f64 {
    let minute = begins.unix_ms() / 60_000;
    let number = stream.bytes().map(u64::from).sum::<u64>();
    f64::from(u32::try_from((minute * 7919 + number * 104_729) % 1_000_003).expect("small"))
}

fn mean(stream: &str, begins: Timestamp, period: Duration) -> f64 {
    let minutes = period.as_secs() / 60;
    let of = |minute: u64| bytes(stream, Timestamp::from_unix_ms(begins.unix_ms() + 60_000 * minute));
    (0..minutes).map(of).sum::<f64>() / f64::from(u32::try_from(minutes).expect("few"))
}

impl Service for Arc<Metered> {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(T0 + u64::try_from(self.begun.elapsed().as_millis()).expect("small"))
    }

    async fn describe(&self, stream: &StreamName) -> Result<Description, Failure> {
        let StreamName::Kinesis(name) = stream else { panic!("{stream:?}") };
        let on_demand = self.on_demand.contains(name.name());
        Ok(Description {
            address: Address::Kinesis(name.clone()),
            created: None,
            retention: 24 * HOUR,
            reads_apart: Duration::ZERO,
            state: if on_demand { StreamState::OnDemand } else { StreamState::Ready },
        })
    }

    async fn shards(&self, _: &Address, _: Option<String>) -> Result<ShardsPage, Failure> {
        let shard = |index: u32| Shard {
            id: ShardId::new(&format!("shardId-{index:012}")),
            parents: Vec::new(),
            state: ShardState::Open,
            first: None,
        };
        let shards = (0..4).map(shard).collect();
        Ok(ShardsPage { requested: Requested::now(self), shards, widest: Some(0.25), next: None })
    }

    async fn points(&self, streams: &[KinesisStream], span: Span) -> Result<Vec<Points>, Failure> {
        let fine = span.period == MINUTE;
        let call =
            Call { at: Instant::now(), metrics: 3 * streams.len(), points: 3 * streams.len() * span.points, fine };
        self.calls.lock().expect("whole").push(call);
        sleep(self.latency).await;
        let mut failing = self.failing_histories.lock().expect("whole");
        if !fine && *failing > 0 {
            *failing -= 1;
            return Err(Failure::new(FailureKind::Throttled, "it is planted"));
        }
        let points = |stream: &KinesisStream| {
            if self.forbidden.contains(stream.name()) {
                return Err(Failure::new(FailureKind::Denied, "Forbidden"));
            }
            let start = span.start().unix_ms();
            let period = u64::try_from(span.period.as_millis()).expect("small");
            let point = |index: usize| {
                let begins = Timestamp::from_unix_ms(start + period * u64::try_from(index).expect("few"));
                Some(Minute { bytes: mean(stream.name(), begins, span.period), records: 1.0, throttled: 0.0 })
            };
            Ok((0..span.points).map(point).collect())
        };
        Ok(streams.iter().map(points).collect())
    }

    async fn iterator(&self, _: &Address, _: &ShardId, _: &Position) -> Result<String, Failure> {
        panic!("no record is read")
    }

    async fn page(&self, _: &Address, _: &ShardId, _: String, _: i32) -> Result<Page, Failure> {
        panic!("no record is read")
    }

    async fn rows(&self, _: &CheckpointStore) -> Result<TableRead, Failure> {
        panic!("no table is read")
    }
}

fn source(name: &str) -> Arc<SourceRef> {
    let metadata = [
        ("source", "aws-kinesis-stream"),
        ("scaleOn", "writeUtilization"),
        ("streamName", name),
        ("awsRegion", "eu-west-1"),
    ];
    let metadata: HashMap<_, _> = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    Arc::new(Trigger::parse(&metadata).expect("good").source)
}

/// Runs one round over these streams; returns what was reported of each, by its name.
async fn round(
    account: &Arc<Account<Arc<Metered>>>,
    names: &[String],
) -> BTreeMap<String, Result<Writes, SourceError>> {
    let reported = Arc::new(Mutex::new(BTreeMap::new()));
    let keep = {
        let reported = reported.clone();
        move |source: &Arc<SourceRef>, result: Result<Observation, SourceError>| {
            let SourceRef::Writes(source) = &**source else { panic!("{source:?}") };
            let writes = result.map(|observation| match observation {
                Observation::Writes(observation) => {
                    assert_eq!((observation.shards.open, observation.shards.capacity()), (4, 4.0));
                    observation.writes
                }
                other => panic!("{other:?}"),
            });
            let before = reported.lock().expect("whole").insert(source.stream.name().to_owned(), writes);
            assert!(before.is_none(), "each is reported once");
        }
    };
    let due = names.iter().map(|name| source(name)).collect();
    account.observe(due, &(Arc::new(keep) as _)).await;
    let mut reported = reported.lock().expect("whole");
    std::mem::take(&mut *reported)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("stream-{number}")).collect()
}

fn started(metered: Metered) -> (Arc<Metered>, Arc<Account<Arc<Metered>>>) {
    let metered = Arc::new(metered);
    (metered.clone(), Arc::new(Account::new(metered)))
}

#[tokio::test(start_paused = true)]
async fn three_hundred_streams_cost_two_calls_a_minute_and_a_day_of_one_costs_4500_metrics() {
    let (metered, account) = started(Metered::new());
    let names = names(300);
    // a quarter of a day: each hour is like the others
    for minute in 0..6 * 60 {
        let begun = Instant::now();
        let reported = round(&account, &names).await;
        assert!(reported.len() == 300 && reported.values().all(Result::is_ok), "minute {minute}");
        let (fine, coarse) = metered.count(begun);
        assert!(fine <= 2, "minute {minute}: {fine} calls");
        assert!(coarse == 0 || coarse <= 6, "minute {minute}: {coarse} calls for histories");
        advance(MINUTE - begun.elapsed()).await;
    }
    let calls = metered.calls();
    assert!(calls.iter().all(|call| call.metrics <= 500 && call.points <= 100_800), "AWS's limits of one call");
    let metrics: usize = 4 * calls.iter().map(|call| call.metrics).sum::<usize>();
    assert!(metrics <= 4500 * 300, "{} metrics of each stream", metrics / 300);
}

#[tokio::test(start_paused = true)]
async fn no_minute_is_lost_or_counted_twice_at_any_time_of_the_hour() {
    let (_, account) = started(Metered::new());
    let names = names(2);
    for minute in 0..200 {
        let begun = Instant::now();
        for (name, writes) in round(&account, &names).await {
            let writes = writes.expect("known");
            let (count, coarse) = (writes.minutes.len(), writes.before.len());
            assert!((120..=180).contains(&count) && coarse == 576, "minute {minute}: {count} and {coarse} points");
            let fine = |ago: usize| writes.until.minus(MINUTE * u32::try_from(ago).expect("few"));
            for (index, point) in writes.minutes.iter().enumerate() {
                let expected = bytes(&name, fine(count - index));
                let off = (point.expect("known").bytes - expected).abs();
                assert!(off < 1e-6, "minute {minute}, point {index} of {name}: {off} off");
            }
            for (index, point) in writes.before.iter().enumerate() {
                let ago = count + (coarse - index) * usize::try_from(COARSE).expect("few");
                let off = (point.expect("known").bytes - mean(&name, fine(ago), MINUTE * COARSE)).abs();
                assert!(off < 1e-6, "minute {minute}, five minutes {index} of {name}: {off} off");
            }
        }
        advance(MINUTE - begun.elapsed()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cloudwatch_refuses_and_one_on_demand_are_errors_of_their_own() {
    let mut metered = Metered::new();
    metered.forbidden.insert("stream-7".into());
    metered.on_demand.insert("stream-8".into());
    let (_, account) = started(metered);
    let reported = round(&account, &names(200)).await;
    let failed: BTreeMap<_, _> =
        reported.iter().filter_map(|(name, result)| Some((name.as_str(), result.as_ref().err()?.chain()))).collect();
    assert_eq!(failed.keys().copied().collect::<Vec<_>>(), ["stream-7", "stream-8"]);
    assert!(failed["stream-7"].contains("Forbidden"), "{failed:?}");
    assert!(failed["stream-8"].contains("on-demand mode"), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_history_that_could_not_be_read_is_an_error_until_it_can_and_is_read_once() {
    let metered = Metered::new();
    *metered.failing_histories.lock().expect("whole") = 1;
    let (metered, account) = started(metered);
    let names = names(3);
    assert!(round(&account, &names).await.values().all(Result::is_err));
    for _ in 0..3 {
        advance(MINUTE).await;
        assert!(round(&account, &names).await.values().all(Result::is_ok));
    }
    assert_eq!(metered.count(metered.begun), (4, 2));
    // a stream that joins is read alone
    advance(MINUTE).await;
    let begun = Instant::now();
    let more = [names, vec!["new".to_owned()]].concat();
    assert!(round(&account, &more).await.values().all(Result::is_ok));
    assert_eq!(metered.count(begun), (1, 1));
    assert_eq!(metered.calls().last().expect("a call").metrics, 3);
}
