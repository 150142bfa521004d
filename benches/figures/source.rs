//! A source that costs what memory costs: groups of 32 partitions and applications of 100 shards, which can be told to fall
//! silent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keda_stream_scaler::keda::proto::ScaledObjectRef;
use keda_stream_scaler::lag::streams::{AgeBasis, Backlog, ShardId, ShardReport, ShardState, Survey, Timestamp};
use keda_stream_scaler::lag::{
    ApplicationObservation, Checkpoints, CommittedOffset, GroupObservation, Member, MemberIndex, Members, Observation,
    Observe, Offset, PartitionId, PartitionObservation, Report, SourceError, TopicObservation, Watermarks,
};
use keda_stream_scaler::trigger::SourceRef;

use crate::process::time_of_day;

const PARTITIONS: u32 = 32;
const SHARDS: u32 = 100;

#[derive(Clone, Default)]
pub struct Scripted {
    pub silent: Arc<AtomicBool>,
    /// How long a reading takes.
    takes: Duration,
    in_flight: Arc<Mutex<HashMap<String, usize>>>,
    /// The time of day at which each group's last good reading began.
    readings: Arc<Mutex<HashMap<String, Duration>>>,
    /// The most readings of one group at the same time.
    pub most: Arc<AtomicUsize>,
}

impl Scripted {
    /// Readings take so long.
    pub fn taking(takes: Duration) -> Self {
        Self { takes, ..Self::default() }
    }

    fn enter(&self, group: &str) {
        let mut in_flight = self.in_flight.lock().unwrap();
        let now = in_flight.entry(group.to_owned()).or_default();
        *now += 1;
        self.most.fetch_max(*now, Ordering::Relaxed);
    }

    fn leave(&self, group: &str, begun: Duration) {
        *self.in_flight.lock().unwrap().get_mut(group).unwrap() -= 1;
        self.readings.lock().unwrap().insert(group.to_owned(), begun);
    }

    pub fn last_reading(&self, group: &str) -> Duration {
        self.readings.lock().unwrap()[group]
    }
}

impl Observe for Scripted {
    type Backend = &'static str;

    fn admit(&self, _namespace: &str, _source: &SourceRef) -> Result<&'static str, SourceError> {
        Ok("memory")
    }

    async fn observe(&self, _backend: &&'static str, due: Vec<Arc<SourceRef>>, report: Report) {
        if self.silent.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let begun = time_of_day();
        let groups: Vec<_> = due.iter().map(|source| group(source)).collect();
        for group in &groups {
            self.enter(group);
        }
        tokio::time::sleep(self.takes).await;
        for (source, group) in due.iter().zip(&groups) {
            self.leave(group, begun);
            report(source, Ok(observation(source)));
        }
    }

    fn forget(&self, _backend: &&'static str) {}
}

fn group(source: &SourceRef) -> String {
    match source {
        SourceRef::Kafka(kafka) => kafka.group.to_string(),
        SourceRef::Shards(stream) => stream.to_string(),
        SourceRef::Writes(writes) => writes.to_string(),
        SourceRef::Application(application) => application.store.table.to_string(),
    }
}

/// What there is to read of a source.
pub fn observation(source: &SourceRef) -> Observation {
    match source {
        SourceRef::Application(_) => application(),
        SourceRef::Kafka(kafka) if kafka.consumers.is_some() => busy_group(),
        SourceRef::Kafka(_) | SourceRef::Shards(_) | SourceRef::Writes(_) => consumer_group(),
    }
}

fn application() -> Observation {
    let shards = (0..SHARDS).map(|number| ShardReport {
        shard: ShardId::new(&format!("shardId-{number:012}")),
        state: Some(ShardState::Open),
        lease: None,
        bound: None,
        backlog: Backlog::Unread { age: Duration::from_secs(u64::from(number)), basis: AgeBasis::Record },
    });
    Observation::Application(ApplicationObservation {
        survey: Survey { shards: shards.collect(), wanted: Vec::new() },
        checkpoints: Checkpoints::Some,
        workers: Vec::new(),
        table: None,
        retention: Some(Duration::from_secs(86_400)),
        seen: Timestamp::from_unix_ms(0),
    })
}

fn consumer_group() -> Observation {
    let partitions = (0..PARTITIONS).map(|number| PartitionObservation {
        partition: PartitionId(number),
        committed: CommittedOffset::At(Offset(1000)),
        watermarks: Watermarks { start: Offset(0), end: Offset(1000 + u64::from(number)) },
        owner: None,
    });
    let partitions: Vec<_> = partitions.collect();
    let topic = TopicObservation {
        name: "orders".into(),
        id: None,
        partition_count: u32::try_from(partitions.len()).expect("few"),
        partitions,
    };
    Observation::Kafka(GroupObservation { topics: vec![topic], ..GroupObservation::default() })
}

/// Eight consumers, half of which have more to do than they can.
fn busy_group() -> Observation {
    let seconds = time_of_day().as_secs();
    let partitions = (0..PARTITIONS).map(|number| {
        let end = seconds * 100;
        let done = if number.is_multiple_of(2) { end } else { seconds * 60 };
        PartitionObservation {
            partition: PartitionId(number),
            committed: CommittedOffset::At(Offset(done)),
            watermarks: Watermarks { start: Offset(0), end: Offset(end) },
            owner: Some(MemberIndex(number % 8)),
        }
    });
    let partitions: Vec<_> = partitions.collect();
    let topic = TopicObservation {
        name: "orders".into(),
        id: None,
        partition_count: u32::try_from(partitions.len()).expect("few"),
        partitions,
    };
    let name = |number: u32| -> Arc<str> { format!("consumer-{number}-5f0f6b8e-8f0e-4c54-9f6e-8d1c7b1f4a10").into() };
    let members = (0..8).map(|number| Member { id: name(number), client_id: name(number) });
    let members = Members::Settled(members.collect());
    Observation::Kafka(GroupObservation { topics: vec![topic], members, ..GroupObservation::default() })
}

/// A ScaledObject that asks one of the groups for the consumers that are needed; there are ten policies for each.
pub fn catch_up_object(number: usize, groups: usize) -> ScaledObjectRef {
    let catch_up_time = format!("{}s", 60 + number / groups % 10 * 30);
    let mut object = scaled_object(number, groups, "b:9092", &[("scaleOn", "catchUp"), ("maxAge", &catch_up_time)]);
    object.scaler_metadata.remove("lagThreshold");
    object
}

/// A ScaledObject of one of the groups; its threshold is its own, so that only the reading is shared.
pub fn scaled_object(number: usize, groups: usize, bootstrap_servers: &str, more: &[(&str, &str)]) -> ScaledObjectRef {
    let group = format!("group-{}", number % groups);
    let threshold = (number % 97 + 1).to_string();
    let base = [
        ("scalerAddress", "scaler:50051"),
        ("source", "kafka"),
        ("bootstrapServers", bootstrap_servers),
        ("consumerGroup", &group),
        ("topic", "orders"),
        ("lagThreshold", &threshold),
    ];
    let metadata = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    ScaledObjectRef { name: format!("object-{number}"), namespace: "shop".into(), scaler_metadata: metadata.collect() }
}

/// A ScaledObject of an application on one of the streams; its activation is its own, so that only the reading is shared.
pub fn stream_object(number: usize, streams: usize) -> ScaledObjectRef {
    let stream = format!("stream-{}", number % streams);
    let activation = format!("{}s", number % 97);
    let metadata = [
        ("scalerAddress", "scaler:50051"),
        ("source", "aws-kinesis-stream"),
        ("awsRegion", "eu-west-1"),
        ("streamName", &stream),
        ("scaleOn", "age"),
        ("ageFrom", "probe"),
        ("applicationName", &stream),
        ("activationAgeThreshold", &activation),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    ScaledObjectRef { name: format!("object-{number}"), namespace: "shop".into(), scaler_metadata: metadata.into() }
}
