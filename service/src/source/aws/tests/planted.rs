//! A service with planted applications on a planted stream, on a paused clock: everything that it answers follows from the plan.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::lag::streams::{
    Attribute, Position, Row, SequenceNumber, Shard, ShardId, ShardState, StreamState, Timestamp,
};
use crate::source::aws::budget::{Budget, Scope, call_in_turn};
use crate::source::aws::cloudwatch::{Points, Span};
use crate::source::aws::failure::{Failure, FailureKind};
use crate::source::aws::page::{Page, PageRecord, Requested, ShardsPage};
use crate::source::aws::service::{Address, Description, Service};
use crate::source::aws::tables::TableRead;
use crate::telemetry::{UpstreamApi, UpstreamMetrics};
use crate::trigger::{CheckpointStore, KinesisStream, StreamName};

const T0: u64 = 1_795_000_000_000;
const RETENTION: Duration = Duration::from_secs(86_400);
/// The planted stream is a day old.
const CREATED: u64 = T0 - 80_000_000;

/// The kind of the planted stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Kinesis,
    DynamoDb,
}

/// The behavior of the applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// No record has arrived for ten minutes, and everything is processed.
    Quiet,
    /// Records arrive, and are processed after three seconds.
    Busy,
    /// Records arrive, and are processed at the rate of arrival, but late: each application by another time.
    Lagging,
    /// Records arrive, and no consumer processes them any more.
    Standing,
    /// The first application lags and makes progress; the others have processed everything.
    OneLags,
}

/// The fault that occurs once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// One read of the first shard fails.
    ReadFails,
    /// The first shard is throttled three times.
    ReadThrottled,
    /// The call for one read panics.
    ReadPanics,
    /// The list of shards takes twelve seconds.
    SlowList,
    /// The first application's table takes six seconds.
    SlowTable,
    /// The first four pages behind each position are empty.
    EmptyPages,
}

/// The format of written positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Positions {
    /// A sequence number alone.
    Number,
    /// The format of KCL for a record that is not aggregated.
    OfKcl,
    /// Each record of Kinesis holds three user records, of which the last processed one may have some left.
    Packed,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) doing: Doing,
    pub(super) fault: Fault,
    pub(super) positions: Positions,
    /// The trigger's `scaleOn`.
    pub(super) scale_on: &'static str,
    pub(super) applications: u32,
    pub(super) shards: u32,
    pub(super) latency: Duration,
}

/// The progress of an application in a shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Processed {
    /// The number of records, the last one included where only a part of it is processed.
    pub(super) records: u64,
    /// The user records of the last one that are processed, less one.
    last: u64,
    /// The number of records that are processed wholly.
    pub(super) whole: u64,
}

/// The planted service.
pub(super) struct Planted {
    pub(super) plan: Plan,
    pub(super) begun: Instant,
    budget: Budget,
    numbers: Mutex<HashMap<String, u64>>,
    pub(super) reads: Mutex<HashMap<ShardId, Vec<Instant>>>,
    faults: AtomicUsize,
    /// The positions that each application's last rows held, by shard.
    pub(super) written: Mutex<HashMap<u32, Vec<Processed>>>,
}

impl Planted {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            begun: Instant::now(),
            budget: Budget::default(),
            numbers: Mutex::default(),
            reads: Mutex::default(),
            faults: AtomicUsize::new(0),
            written: Mutex::default(),
        }
    }

    pub(super) fn ms(&self) -> u64 {
        T0 + u64::try_from(self.begun.elapsed().as_millis()).expect("small")
    }

    /// Returns the milliseconds between two records of a shard.
    fn gap(shard: u32) -> u64 {
        1_700 + u64::from(shard % 7) * 410
    }

    /// Returns when a record arrives.
    pub(super) fn arrival(shard: u32, record: u64) -> u64 {
        T0 - 3_600_000 + record * Self::gap(shard)
    }

    /// Returns the number of records that have arrived by this time.
    pub(super) fn arrived(&self, shard: u32, by: u64) -> u64 {
        let by = if self.plan.doing == Doing::Quiet { by.min(T0 - 600_000) } else { by };
        by.checked_sub(T0 - 3_600_000).map_or(0, |since| since / Self::gap(shard) + 1)
    }

    fn processed(&self, application: u32, shard: u32) -> Processed {
        let records = self.reached(application, shard);
        let (user_records, all) = (self.user_records(), records == self.arrived(shard, self.ms()));
        let last = if all { user_records - 1 } else { records % user_records };
        Processed { records, last, whole: if last + 1 == user_records { records } else { records.saturating_sub(1) } }
    }

    /// Returns the number of user records in a record.
    fn user_records(&self) -> u64 {
        if (self.plan.kind, self.plan.positions) == (Kind::Kinesis, Positions::Packed) { 3 } else { 1 }
    }

    /// Returns the number of records of a shard of which an application has processed some.
    fn reached(&self, application: u32, shard: u32) -> u64 {
        let now = self.ms();
        let lag = |seconds: u64| self.arrived(shard, now - seconds * 1000);
        match self.plan.doing {
            Doing::Busy => lag(3),
            Doing::Lagging => lag(100 + u64::from(application) * 60),
            Doing::Standing => self.arrived(shard, T0 - 200_000 - u64::from(application) * 90_000),
            Doing::OneLags if application == 0 => lag(100),
            Doing::Quiet | Doing::OneLags => self.arrived(shard, now),
        }
    }

    fn number(&self, shard: u32, record: u64) -> SequenceNumber {
        let number = match self.plan.kind {
            Kind::Kinesis => super::number(shard, CREATED / 1000, (Self::arrival(shard, record) - 1500) / 1000, record),
            Kind::DynamoDb => {
                SequenceNumber::parse(&(100_000_000_000_000_000_000_u128 + u128::from(record)).to_string())
                    .expect("digits")
            }
        };
        self.numbers.lock().expect("whole").insert(format!("{shard}/{number}"), record);
        number
    }

    fn record(&self, shard: u32, number: &SequenceNumber) -> u64 {
        self.numbers.lock().expect("whole")[&format!("{shard}/{number}")]
    }

    pub(super) fn shard_id(&self, shard: u32) -> ShardId {
        match self.plan.kind {
            Kind::Kinesis => ShardId::new(&format!("shardId-{shard:012}")),
            Kind::DynamoDb => ShardId::new(&format!("shardId-{CREATED:020}-{shard:08x}")),
        }
    }

    fn index(&self, shard: &ShardId) -> u32 {
        (0..self.plan.shards).find(|index| self.shard_id(*index) == *shard).expect("a planted shard")
    }

    /// Whether the planted fault happens now; it happens `times` times at most.
    fn fails(&self, fault: Fault, times: usize) -> bool {
        self.plan.fault == fault && self.faults.fetch_add(1, Ordering::Relaxed) < times
    }

    async fn call<T>(
        &self,
        api: UpstreamApi,
        of: String,
        answer: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let call = async {
            sleep(self.plan.latency).await;
            answer()
        };
        let metrics = UpstreamMetrics::default();
        call_in_turn(&self.budget, &Scope::of(api, of), Duration::from_secs(5), call, &metrics).await
    }
}

impl Service for Arc<Planted> {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.ms())
    }

    async fn describe(&self, stream: &StreamName) -> Result<Description, Failure> {
        sleep(self.plan.latency).await;
        let name = stream.name();
        let address = match self.plan.kind {
            Kind::Kinesis => {
                let StreamName::Kinesis(stream) = stream else { panic!("{stream:?} is no Kinesis stream") };
                Address::Kinesis(stream.clone())
            }
            Kind::DynamoDb => Address::DynamoDb(format!("arn:aws:dynamodb:r:1:table/{name}/stream/label").into()),
        };
        let created = (self.plan.kind == Kind::Kinesis).then(|| Timestamp::from_unix_ms(CREATED));
        let state = StreamState::Ready;
        Ok(Description { address, created, retention: RETENTION, reads_apart: Duration::ZERO, state })
    }

    async fn shards(&self, _stream: &Address, next: Option<String>) -> Result<ShardsPage, Failure> {
        let requested = Requested::now(self);
        let slow = if self.fails(Fault::SlowList, 3) { Duration::from_secs(4) } else { Duration::ZERO };
        sleep(self.plan.latency + slow).await;
        let from: u32 = next.map_or(0, |next| next.parse().expect("a number"));
        let to = (from + 100).min(self.plan.shards);
        let shard = |index| Shard {
            id: self.shard_id(index),
            parents: Vec::new(),
            state: ShardState::Open,
            first: (self.plan.kind == Kind::Kinesis).then(|| super::number(index, CREATED / 1000, CREATED / 1000, 0)),
        };
        Ok(ShardsPage {
            requested,
            shards: (from..to).map(shard).collect(),
            widest: None,
            next: (to < self.plan.shards).then(|| to.to_string()),
        })
    }

    async fn points(&self, _: &[KinesisStream], _: Span) -> Result<Vec<Points>, Failure> {
        panic!("no writes are read here")
    }

    async fn iterator(&self, _stream: &Address, shard: &ShardId, position: &Position) -> Result<String, Failure> {
        let index = self.index(shard);
        let from = match position {
            Position::TrimHorizon => 0,
            Position::After(number) => self.record(index, number) + 1,
            Position::Within(number, _) => self.record(index, number) + u64::from(self.plan.kind == Kind::DynamoDb),
            Position::At(_) => panic!("no application is at {position:?}"),
        };
        let empty = if self.plan.fault == Fault::EmptyPages { 4 } else { 0 };
        let api = match self.plan.kind {
            Kind::Kinesis => UpstreamApi::KinesisGetShardIterator,
            Kind::DynamoDb => UpstreamApi::StreamsGetShardIterator,
        };
        self.call(api, shard.to_string(), || Ok(format!("{from} {empty}"))).await
    }

    async fn page(&self, _stream: &Address, shard: &ShardId, iterator: String, limit: i32) -> Result<Page, Failure> {
        let index = self.index(shard);
        let mut at = self.now();
        let answer = || {
            at = self.now();
            self.reads.lock().expect("whole").entry(shard.clone()).or_default().push(Instant::now());
            if index == 0 && self.fails(Fault::ReadFails, 1) {
                return Err(Failure::new(FailureKind::Other, "InternalFailure"));
            }
            if index == 0 && self.fails(Fault::ReadThrottled, 3) {
                return Err(Failure::new(FailureKind::Throttled, "Rate exceeded"));
            }
            assert!(index != 0 || !self.fails(Fault::ReadPanics, 1), "on purpose");
            let (from, empty) = iterator.split_once(' ').expect("two numbers");
            let (from, empty): (u64, u64) = (from.parse().expect("a number"), empty.parse().expect("a number"));
            let kinesis = self.plan.kind == Kind::Kinesis;
            if empty > 0 {
                let behind = kinesis.then_some(Duration::from_secs(1));
                return Ok(Page { at, records: Vec::new(), next: Some(format!("{from} {}", empty - 1)), behind });
            }
            let until = self.arrived(index, self.ms()).min(from + u64::try_from(limit).expect("positive"));
            let record = |record| PageRecord {
                number: Some(self.number(index, record)),
                arrived: Timestamp::from_unix_ms(Planted::arrival(index, record)),
                user_records: self.user_records(),
            };
            Ok(Page {
                at,
                records: (from..until).map(record).collect(),
                next: Some(format!("{} 0", from.max(until))),
                behind: kinesis.then_some(Duration::ZERO),
            })
        };
        let api = match self.plan.kind {
            Kind::Kinesis => UpstreamApi::KinesisGetRecords,
            Kind::DynamoDb => UpstreamApi::StreamsGetRecords,
        };
        self.call(api, shard.to_string(), answer).await
    }

    async fn rows(&self, store: &CheckpointStore) -> Result<TableRead, Failure> {
        let application: u32 = store.table.strip_prefix("application-").expect("a name").parse().expect("a number");
        let slow =
            if application == 0 && self.fails(Fault::SlowTable, 9) { Duration::from_secs(3) } else { Duration::ZERO };
        sleep(self.plan.latency + slow).await;
        let processed: Vec<_> = (0..self.plan.shards).map(|shard| self.processed(application, shard)).collect();
        let row = |(shard, processed): (u32, &Processed)| -> Row {
            let checkpoint = match processed.records.checked_sub(1) {
                None => "TRIM_HORIZON".to_owned(),
                Some(last) => self.number(shard, last).to_string(),
            };
            let text = |text: String| Attribute::Text(text);
            let key = ("leaseKey".to_owned(), text(self.shard_id(shard).to_string()));
            let part = (self.plan.positions != Positions::Number)
                .then(|| ("checkpointSubSequenceNumber".to_owned(), text(processed.last.to_string())));
            [key, ("checkpoint".to_owned(), text(checkpoint))].into_iter().chain(part).collect()
        };
        let rows = (0..).zip(&processed).map(row).collect();
        self.written.lock().expect("whole").insert(application, processed);
        Ok(TableRead { rows, read_units: 0.5 })
    }
}
