//! A source that costs what memory costs: groups of 32 partitions, which can be told to fall silent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keda_stream_scaler::keda::proto::ScaledObjectRef;
use keda_stream_scaler::lag::{
    CommittedOffset, GroupObservation, Observation, Observe, Offset, PartitionId, PartitionObservation, Report,
    SourceError, TopicObservation, Watermarks,
};
use keda_stream_scaler::trigger::SourceRef;

use crate::process::time_of_day;

const PARTITIONS: u32 = 32;

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
            report(source, Ok(observation()));
        }
    }

    fn forget(&self, _backend: &&'static str) {}
}

fn group(source: &SourceRef) -> String {
    let SourceRef::Kafka(kafka) = source else { panic!("a Kafka source") };
    kafka.group.to_string()
}

fn observation() -> Observation {
    let partitions = (0..PARTITIONS).map(|number| PartitionObservation {
        partition: PartitionId(number),
        committed: CommittedOffset::At(Offset(1000)),
        watermarks: Watermarks { start: Offset(0), end: Offset(1000 + u64::from(number)) },
    });
    let topic = TopicObservation { name: "orders".into(), id: None, partitions: partitions.collect() };
    Observation::Kafka(GroupObservation { topics: vec![topic], absent: Vec::new() })
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
