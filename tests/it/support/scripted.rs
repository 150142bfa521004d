//! A source that answers as a test tells it to, behind the seam that real ones stand behind.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use keda_stream_scaler::lag::{
    CommittedOffset, GroupObservation, Observation, Observe, Offset, PartitionId, PartitionObservation, Report,
    SourceError, SourceErrorKind, TopicObservation, Watermarks,
};
use keda_stream_scaler::trigger::SourceRef;
use tokio::sync::watch;
use tokio::time::Instant;

/// What a group answers.
#[derive(Clone, Debug)]
pub enum Script {
    /// So many records behind, in one partition.
    Lag(u64),
    /// Just this.
    Reads(Observation),
    /// An error of this kind.
    Fails(SourceErrorKind),
    /// Just this error.
    FailsWith(SourceError),
    /// Nothing, until it is told otherwise.
    Silent,
    /// The client that reads it panics.
    Panics,
}

/// Groups, streams and applications by name; one that is not scripted has no lag.
#[derive(Clone, Default)]
pub struct Scripted {
    scripts: Arc<watch::Sender<HashMap<String, Script>>>,
    observed: Arc<Mutex<HashMap<String, Vec<Instant>>>>,
    forbidden: Arc<Mutex<HashSet<String>>>,
    rounds: Arc<AtomicUsize>,
    /// How often every client was replaced.
    moved: Arc<AtomicUsize>,
    admissions: Arc<AtomicUsize>,
    loop_panics: Arc<AtomicUsize>,
}

impl Scripted {
    /// From now on `group` answers so.
    pub fn set(&self, group: &str, script: Script) {
        self.scripts.send_modify(|scripts| {
            scripts.insert(group.to_owned(), script);
        });
    }

    /// From now on every cluster is asked by another client, as after other credentials.
    pub fn move_clients(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    /// From now on `namespace` may not ask.
    pub fn forbid(&self, namespace: &str) {
        self.forbidden.lock().unwrap().insert(namespace.to_owned());
    }

    /// How often `group` has been observed.
    pub fn observed(&self, group: &str) -> usize {
        self.observed_at(group).len()
    }

    /// When each reading of `group` began.
    pub fn observed_at(&self, group: &str) -> Vec<Instant> {
        self.observed.lock().unwrap().get(group).cloned().unwrap_or_default()
    }

    /// How often admission was checked: once per call, and once per turn of a push stream.
    pub fn admissions(&self) -> usize {
        self.admissions.load(Ordering::Relaxed)
    }

    /// The next turns of the sampling loop panic.
    pub fn panic_in_loop(&self, turns: usize) {
        self.loop_panics.store(turns, Ordering::Relaxed);
    }

    /// How many rounds there have been, whatever their size.
    pub fn rounds(&self) -> usize {
        self.rounds.load(Ordering::Relaxed)
    }

    async fn answer(&self, group: &str) -> Result<Observation, SourceError> {
        let mut scripts = self.scripts.subscribe();
        loop {
            let script = scripts.borrow_and_update().get(group).cloned().unwrap_or(Script::Lag(0));
            match script {
                Script::Lag(records) => return Ok(lag(records)),
                Script::Reads(observation) => return Ok(observation),
                Script::FailsWith(error) => return Err(error),
                Script::Fails(kind) => {
                    let error = SourceError::new(kind, format!("could not read group {group}"));
                    return Err(error.because("it is scripted so").remedy("change the script"));
                }
                Script::Silent => scripts.changed().await.unwrap(),
                Script::Panics => panic!("it is scripted so"),
            }
        }
    }
}

/// A group that is so many records behind in the only partition of its topic.
pub fn lag(records: u64) -> Observation {
    let partition = PartitionObservation {
        partition: PartitionId(0),
        committed: CommittedOffset::At(Offset(1000)),
        watermarks: Watermarks { start: Offset(0), end: Offset(1000 + records) },
        owner: None,
    };
    let partitions = vec![partition];
    let topic = TopicObservation {
        name: "orders".into(),
        id: None,
        partition_count: u32::try_from(partitions.len()).expect("few"),
        partitions,
    };
    Observation::Kafka(GroupObservation { topics: vec![topic], ..GroupObservation::default() })
}

impl Observe for Scripted {
    /// The cluster, and which of its clients; all streams are of one account.
    type Backend = (String, usize);

    fn admit(&self, namespace: &str, source: &SourceRef) -> Result<Self::Backend, SourceError> {
        self.admissions.fetch_add(1, Ordering::Relaxed);
        if namespace == "forbidden" || self.forbidden.lock().unwrap().contains(namespace) {
            return Err(SourceError::new(SourceErrorKind::Denied, format!("namespace {namespace} may not ask")));
        }
        let cluster = if let SourceRef::Kafka(kafka) = source { kafka.cluster.to_string() } else { String::new() };
        Ok((cluster, self.moved.load(Ordering::Relaxed)))
    }

    fn is_current(&self, (_, client): &Self::Backend) -> bool {
        let panics = self.loop_panics.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        assert!(panics.is_err(), "the loop panics: it is scripted so");
        *client == self.moved.load(Ordering::Relaxed)
    }

    async fn observe(&self, _backend: &Self::Backend, due: Vec<Arc<SourceRef>>, report: Report) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        let each = due.into_iter().map(|source| {
            let (scripted, report) = (self.clone(), report.clone());
            tokio::spawn(async move {
                let name = match source.as_ref() {
                    SourceRef::Kafka(kafka) => kafka.group.to_string(),
                    SourceRef::Shards(stream) => format!("{:?}", stream.stream),
                    SourceRef::Application(application) => application.store.table.to_string(),
                    SourceRef::Writes(writes) => writes.stream.to_string(),
                };
                scripted.observed.lock().unwrap().entry(name.clone()).or_default().push(Instant::now());
                report(&source, scripted.answer(&name).await);
            })
        });
        for one in each.collect::<Vec<_>>() {
            one.await.unwrap();
        }
    }

    fn forget(&self, _backend: &Self::Backend) {}
}
