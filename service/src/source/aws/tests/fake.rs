//! One stream and one application on a paused clock, in states that no server produces on demand: recreated, trimmed, silent, slow.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::lag::streams::{
    AgeBasis, Attribute, Position, Row, SequenceNumber, Shard, ShardId, ShardState, StreamState, Timestamp,
};
use crate::lag::{ApplicationObservation, Observation, SourceError};
use crate::source::aws::account::Account;
use crate::source::aws::cloudwatch::{Points, Span};
use crate::source::aws::failure::{Failure, FailureKind};
use crate::source::aws::page::{Page, PageRecord, Requested, ShardsPage};
use crate::source::aws::service::{Address, Description, Service};
use crate::source::aws::tables::TableRead;
use crate::trigger::{CheckpointStore, KinesisStream, SourceRef, StreamName, Trigger};

/// The lifetime of a Kinesis iterator, in milliseconds; that of DynamoDB Streams is longer.
const ITERATOR_LIVES_MS: u64 = 300_000;

/// When each test begins, in milliseconds since 1970.
pub(super) const T0: u64 = 1_795_000_000_000;

/// A call of the service, for faults and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Op {
    Describe,
    List,
    Iterator,
    Records,
    Rows,
}

#[derive(Debug)]
pub(super) struct FakeRecord {
    number: SequenceNumber,
    arrived: u64,
    user_records: u64,
}

#[derive(Debug)]
pub(super) struct FakeShard {
    parents: Vec<ShardId>,
    open: bool,
    first: Option<SequenceNumber>,
    records: Vec<FakeRecord>,
    /// The number of records that are deleted, the oldest first.
    trimmed: usize,
    empty_pages: usize,
}

/// The state of the service; tests change it as they go on.
#[derive(Debug)]
pub(super) struct World {
    pub(super) dynamodb: bool,
    /// When the present stream was created, in milliseconds since 1970.
    pub(super) created: u64,
    pub(super) retention: Duration,
    pub(super) shards: BTreeMap<ShardId, FakeShard>,
    /// The shards of a table's former stream, which can still be read by its ARN.
    former: BTreeMap<ShardId, FakeShard>,
    /// The rows of the checkpoint table by shard, `None` where there is no table.
    pub(super) rows: Option<BTreeMap<String, (String, u64)>>,
    pub(super) read_units: f64,
    pub(super) page_size: usize,
    pub(super) latency: Duration,
    pub(super) silent: HashSet<Op>,
    /// Calls that fail once each, in this order.
    pub(super) failing: Vec<(Op, FailureKind)>,
    /// Calls that fail once each, after this number of calls has succeeded.
    pub(super) failing_after: Vec<(Op, usize, FailureKind)>,
    /// A checkpoint that the service rejects.
    pub(super) refused: Option<String>,
    /// The only row (shard and checkpoint) of tables that do not have the shared rows.
    pub(super) own_rows: HashMap<String, (String, String)>,
    calls: HashMap<Op, usize>,
    numbered: u64,
}

/// The service, and the scaler's account on it.
pub(super) struct Fake {
    begun: Instant,
    world: Mutex<World>,
}

/// An application as the scaler reads it, with a round every ten seconds.
pub(super) struct Scene {
    pub(super) fake: Arc<Fake>,
    account: Arc<Account<Arc<Fake>>>,
    sources: Vec<Arc<SourceRef>>,
}

impl Fake {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("whole")
    }

    pub(super) fn now_ms(&self) -> u64 {
        T0 + u64::try_from(self.begun.elapsed().as_millis()).expect("small")
    }

    pub(super) fn ago(&self, seconds: u64) -> u64 {
        self.now_ms() - seconds * 1000
    }

    async fn answer(&self, op: Op) -> Result<(), Failure> {
        let (latency, silent, failure) = {
            let mut world = self.world();
            *world.calls.entry(op).or_default() += 1;
            let failing = world.failing.iter().position(|(of, _)| *of == op);
            let mut failure = failing.map(|index| world.failing.remove(index).1);
            if let Some(index) = world.failing_after.iter().position(|(of, ..)| *of == op) {
                match &mut world.failing_after[index] {
                    (_, 0, kind) => {
                        failure = Some(*kind);
                        world.failing_after.remove(index);
                    }
                    (_, left, _) => *left -= 1,
                }
            }
            (world.latency, world.silent.contains(&op), failure)
        };
        sleep(if silent { Duration::from_secs(4) } else { latency }).await;
        match failure {
            Some(kind) => Err(Failure::new(kind, "it is planted")),
            None if silent => Err(Failure::new(FailureKind::TimedOut, "no answer in time")),
            None => Ok(()),
        }
    }
}

impl World {
    pub(super) fn calls(&self, op: Op) -> usize {
        self.calls.get(&op).copied().unwrap_or_default()
    }

    fn number(&mut self, shard: &ShardId, arrived: u64) -> SequenceNumber {
        self.numbered += 1;
        if self.dynamodb {
            return SequenceNumber::parse(&(10_u128.pow(20) + u128::from(self.numbered)).to_string()).expect("digits");
        }
        let index: u32 = shard.as_str()["shardId-".len()..].parse().expect("an index");
        super::number(index, self.created / 1000, (arrived - 1500) / 1000, self.numbered)
    }

    /// Adds an open shard and closes its parents.
    pub(super) fn open(&mut self, id: &str, parents: &[&str]) -> ShardId {
        let id = ShardId::new(id);
        let parents: Vec<_> = parents.iter().map(|parent| ShardId::new(parent)).collect();
        for parent in &parents {
            self.shards.get_mut(parent).expect("a parent").open = false;
        }
        let first = (!self.dynamodb).then(|| self.number(&id, self.created + 1500));
        let shard = FakeShard { parents, open: true, first, records: Vec::new(), trimmed: 0, empty_pages: 0 };
        self.shards.insert(id.clone(), shard);
        id
    }

    /// Adds a record that arrived at this time and holds this number of user records.
    pub(super) fn put(&mut self, shard: &ShardId, arrived: u64, user_records: u64) -> SequenceNumber {
        let number = self.number(shard, arrived);
        let record = FakeRecord { number: number.clone(), arrived, user_records };
        self.shards.get_mut(shard).expect("a shard").records.push(record);
        number
    }

    /// Sets the first sequence number that the list shows for a shard.
    pub(super) fn set_first(&mut self, shard: &ShardId, first: SequenceNumber) {
        self.shards.get_mut(shard).expect("a shard").first = Some(first);
    }

    /// Sets the parents that the list shows for a shard.
    pub(super) fn set_parents(&mut self, shard: &ShardId, parents: &[&str]) {
        let parents = parents.iter().map(|parent| ShardId::new(parent)).collect();
        self.shards.get_mut(shard).expect("a shard").parents = parents;
    }

    /// Deletes the records that arrived before this time.
    pub(super) fn trim(&mut self, shard: &ShardId, before: u64) {
        let shard = self.shards.get_mut(shard).expect("a shard");
        shard.trimmed = shard.records.iter().filter(|record| record.arrived < before).count();
    }

    /// Makes each new iterator of this shard return this number of empty pages first.
    pub(super) fn set_empty_pages(&mut self, shard: &ShardId, pages: usize) {
        self.shards.get_mut(shard).expect("a shard").empty_pages = pages;
    }

    /// Writes a row, in a table that is created where there is none.
    pub(super) fn lease(&mut self, shard: &ShardId, checkpoint: &str, sub_sequence: u64) {
        self.rows.get_or_insert_default().insert(shard.to_string(), (checkpoint.to_owned(), sub_sequence));
    }

    /// Deletes the stream and creates one of the same name without shards.
    pub(super) fn recreate(&mut self, now: u64) {
        self.former = std::mem::take(&mut self.shards);
        self.former.values_mut().for_each(|shard| shard.open = false);
        self.created = now;
    }

    fn shards_of(&self, stream: &Address) -> &BTreeMap<ShardId, FakeShard> {
        let present = stream.label().is_none_or(|label| label == self.created.to_string());
        if present { &self.shards } else { &self.former }
    }
}

/// Returns the address of a Kinesis stream.
fn stream_address(stream: &StreamName) -> Address {
    let StreamName::Kinesis(stream) = stream else { panic!("{stream:?} is no Kinesis stream") };
    Address::Kinesis(stream.clone())
}

impl Service for Arc<Fake> {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.now_ms())
    }

    async fn describe(&self, stream: &StreamName) -> Result<Description, Failure> {
        self.answer(Op::Describe).await?;
        let name = stream.name();
        let world = self.world();
        let (address, created) = if world.dynamodb {
            (Address::DynamoDb(format!("arn:aws:dynamodb:r:1:table/{name}/stream/{}", world.created).into()), None)
        } else {
            (stream_address(stream), Some(Timestamp::from_unix_ms(world.created)))
        };
        let (retention, state) = (world.retention, StreamState::Ready);
        Ok(Description { address, created, retention, reads_apart: Duration::ZERO, state })
    }

    async fn shards(&self, stream: &Address, next: Option<String>) -> Result<ShardsPage, Failure> {
        let requested = Requested::now(self);
        self.answer(Op::List).await?;
        let world = self.world();
        let from: usize = next.map_or(0, |next| next.parse().expect("a number"));
        let shard = |(id, shard): (&ShardId, &FakeShard)| Shard {
            id: id.clone(),
            parents: shard.parents.clone(),
            state: if shard.open { ShardState::Open } else { ShardState::Closed },
            first: shard.first.clone(),
        };
        let all = world.shards_of(stream);
        let shards: Vec<_> = all.iter().skip(from).take(world.page_size).map(shard).collect();
        let next = from + shards.len();
        Ok(ShardsPage { requested, shards, widest: None, next: (next < all.len()).then(|| next.to_string()) })
    }

    async fn points(&self, _: &[KinesisStream], _: Span) -> Result<Vec<Points>, Failure> {
        panic!("no writes are read here")
    }

    async fn iterator(&self, stream: &Address, shard: &ShardId, position: &Position) -> Result<String, Failure> {
        self.answer(Op::Iterator).await?;
        let world = self.world();
        if let (Position::After(number) | Position::Within(number, _), Some(refused)) = (position, &world.refused)
            && number.as_str() == refused
        {
            return Err(Failure::new(FailureKind::Invalid, "ValidationException"));
        }
        let no_shard = || Failure::new(FailureKind::Missing, "no shard");
        let known = world.shards_of(stream).get(shard).ok_or_else(no_shard)?;
        let first =
            |keep: &dyn Fn(&FakeRecord) -> bool| known.records.iter().position(keep).unwrap_or(known.records.len());
        let from = match position {
            Position::TrimHorizon => known.trimmed,
            Position::At(time) => first(&|record| record.arrived >= time.unix_ms()),
            Position::After(number) => first(&|record| record.number > *number),
            Position::Within(number, _) if world.dynamodb => first(&|record| record.number > *number),
            Position::Within(number, _) => first(&|record| record.number >= *number),
        };
        if from < known.trimmed && world.dynamodb {
            return Err(Failure::new(FailureKind::Trimmed, "TrimmedDataAccessException"));
        }
        // Kinesis continues at the oldest record that is left
        Ok(format!("{} {} {}", from.max(known.trimmed), known.empty_pages, self.now_ms()))
    }

    async fn page(&self, stream: &Address, shard: &ShardId, iterator: String, limit: i32) -> Result<Page, Failure> {
        let at = self.now();
        self.answer(Op::Records).await?;
        let world = self.world();
        let known = world.shards_of(stream).get(shard).ok_or_else(|| Failure::new(FailureKind::Missing, "no shard"))?;
        let numbers: Vec<u64> = iterator.split(' ').map(|number| number.parse().expect("a number")).collect();
        let [from, empty, made] = numbers[..] else { panic!("{iterator}") };
        if self.now_ms() - made > ITERATOR_LIVES_MS {
            return Err(Failure::new(FailureKind::ExpiredIterator, "ExpiredIteratorException"));
        }
        let (now, from) = (self.now_ms(), usize::try_from(from).expect("small"));
        let behind = |pages: u64| (!world.dynamodb).then(|| Duration::from_secs(pages));
        if empty > 0 {
            return Ok(Page {
                at,
                records: Vec::new(),
                next: Some(format!("{from} {} {now}", empty - 1)),
                behind: behind(1),
            });
        }
        let from = from.max(known.trimmed);
        let limit = usize::try_from(limit).expect("small");
        let records = known.records.iter().skip(from).take(limit).map(|record| PageRecord {
            number: Some(record.number.clone()),
            arrived: Timestamp::from_unix_ms(record.arrived),
            user_records: record.user_records,
        });
        let records: Vec<_> = records.collect();
        let next = from + records.len();
        let ended = !known.open && next >= known.records.len();
        Ok(Page { at, records, next: (!ended).then(|| format!("{next} 0 {now}")), behind: behind(0) })
    }

    async fn rows(&self, store: &CheckpointStore) -> Result<TableRead, Failure> {
        self.answer(Op::Rows).await?;
        let world = self.world();
        if let Some((shard, checkpoint)) = world.own_rows.get(&*store.table) {
            let texts = [("leaseKey", shard), ("checkpoint", checkpoint)];
            let row = texts.map(|(name, text)| (name.to_owned(), Attribute::Text(text.clone()))).into();
            return Ok(TableRead { rows: vec![row], read_units: world.read_units });
        }
        let Some(rows) = &world.rows else { return Err(Failure::new(FailureKind::Missing, "no table")) };
        let row = |(shard, (checkpoint, sub_sequence)): (&String, &(String, u64))| -> Row {
            let texts = [
                ("leaseKey", shard.clone()),
                ("checkpoint", checkpoint.clone()),
                ("checkpointSubSequenceNumber", sub_sequence.to_string()),
            ];
            texts.map(|(name, text)| (name.to_owned(), Attribute::Text(text))).into()
        };
        Ok(TableRead { rows: rows.iter().map(row).collect(), read_units: world.read_units })
    }
}

impl Scene {
    pub(super) fn kinesis(more: &[(&str, &str)]) -> Self {
        Self::new(false, more, 1)
    }

    pub(super) fn dynamodb(more: &[(&str, &str)]) -> Self {
        Self::new(true, more, 1)
    }

    /// Creates this number of applications on one stream; all see the same rows, each in a table of its own.
    pub(super) fn new(dynamodb: bool, more: &[(&str, &str)], applications: usize) -> Self {
        let names: Vec<_> = (0..applications).map(|number| format!("application-{number}")).collect();
        let keys = |name| [&[("applicationName", name)], more].concat();
        Self::observed(dynamodb, &names.iter().map(|name| keys(name)).collect::<Vec<_>>())
    }

    /// Creates one stream, observed by triggers with these keys.
    pub(super) fn observed(dynamodb: bool, triggers: &[Vec<(&str, &str)>]) -> Self {
        let world = World {
            dynamodb,
            created: T0 - 80_000_000,
            retention: Duration::from_secs(86_400),
            shards: BTreeMap::new(),
            former: BTreeMap::new(),
            rows: None,
            read_units: 0.5,
            page_size: 1000,
            latency: Duration::from_millis(10),
            silent: HashSet::new(),
            failing: Vec::new(),
            failing_after: Vec::new(),
            refused: None,
            own_rows: HashMap::new(),
            calls: HashMap::new(),
            numbered: 0,
        };
        let fake = Arc::new(Fake { begun: Instant::now(), world: Mutex::new(world) });
        let (source, name) =
            if dynamodb { ("aws-dynamodb-streams", "tableName") } else { ("aws-kinesis-stream", "streamName") };
        let source = |more: &Vec<(&str, &str)>| {
            let base = [("source", source), (name, "orders"), ("scaleOn", "age"), ("awsRegion", "eu-west-1")];
            let metadata = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Arc::new(Trigger::parse(&metadata.collect()).expect("good metadata").source)
        };
        let sources = triggers.iter().map(source).collect();
        Self { account: Arc::new(Account::new(fake.clone())), fake, sources }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.fake.world()
    }

    /// Returns the stream that the first trigger observes.
    pub(super) fn stream(&self) -> StreamName {
        let SourceRef::Application(application) = &*self.sources[0] else { panic!("{}", self.sources[0]) };
        application.stream.stream.clone()
    }

    /// Observes the triggers of `other` here too, before the others.
    pub(super) fn add(&mut self, other: &Self) {
        self.sources.splice(0..0, other.sources.iter().cloned());
    }

    /// Returns the same world, seen by a scaler that has just started.
    pub(super) fn again(&self) -> Self {
        let account = Arc::new(Account::new(self.fake.clone()));
        Self { account, fake: self.fake.clone(), sources: self.sources.clone() }
    }

    /// Returns what a round reports of each application.
    pub(super) async fn round(&self) -> Vec<Result<ApplicationObservation, SourceError>> {
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let into = outcomes.clone();
        let report: crate::lag::Report = Arc::new(move |_, outcome| into.lock().expect("whole").push(outcome));
        self.account.observe(self.sources.clone(), &report).await;
        let outcomes = std::mem::take(&mut *outcomes.lock().expect("whole"));
        let application = |observation| match observation {
            Observation::Application(application) => application,
            other => panic!("{other:?}"),
        };
        outcomes.into_iter().map(|outcome| outcome.map(application)).collect()
    }

    /// Returns the age, in seconds.
    pub(super) async fn age(&self) -> f64 {
        let outcome = self.round().await.remove(0);
        outcome.unwrap_or_else(|error| panic!("{}", error.chain())).survey.age().as_secs_f64()
    }

    /// Returns the basis of the age.
    pub(super) async fn basis(&self) -> Option<AgeBasis> {
        let outcome = self.round().await.remove(0);
        let survey = outcome.unwrap_or_else(|error| panic!("{}", error.chain())).survey;
        survey.oldest().map(|(_, _, basis)| basis)
    }

    /// Returns the text of the error.
    pub(super) async fn error(&self) -> String {
        self.round().await.remove(0).expect_err("an error").chain()
    }

    /// Returns the ages of the next rounds, each ten seconds after the one before.
    pub(super) async fn ages(&self, rounds: usize) -> Vec<f64> {
        let mut ages = Vec::new();
        for _ in 0..rounds {
            sleep(Duration::from_secs(10)).await;
            ages.push(self.age().await);
        }
        ages
    }
}
