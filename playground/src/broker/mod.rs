//! A Kafka-protocol broker inside the process: topics in memory, and a coordinator for groups.
//!
//! librdkafka's mock cluster does not report the members of a group and their assignments, which a scaler needs. This broker supports
//! one version of each request that a producer, a consumer of the classic protocol and a scaler send; it guarantees nothing else. It
//! knows the exact arrival time of each record, and the committed offsets.

mod group;
mod log;
mod requests;
mod server;
mod view;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::group::Group;
use self::log::Log;
pub(crate) use self::view::{Partition, Unread};
use crate::clock::Clock;

/// The ids of the brokers, which share their topics: each leads a third of the partitions.
const NODES: [i32; 3] = [1, 2, 3];
/// The broker that can be paused. It coordinates no group.
const PAUSED_NODE: i32 = 3;

/// Error codes of the protocol.
mod code {
    pub(super) const NONE: i16 = 0;
    pub(super) const OFFSET_OUT_OF_RANGE: i16 = 1;
    pub(super) const CORRUPT_MESSAGE: i16 = 2;
    pub(super) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    pub(super) const ILLEGAL_GENERATION: i16 = 22;
    pub(super) const UNKNOWN_MEMBER_ID: i16 = 25;
    pub(super) const REBALANCE_IN_PROGRESS: i16 = 27;
    pub(super) const UNSUPPORTED_VERSION: i16 = 35;
}

/// The brokers; dropping this value stops them and closes all connections.
pub(crate) struct Broker {
    cluster: Arc<Cluster>,
    serving: Vec<AbortHandle>,
}

/// The state that all connections share.
struct Cluster {
    /// The addresses of the brokers, in the order of [`NODES`].
    addresses: Vec<SocketAddr>,
    /// Dates records and heartbeats.
    clock: Arc<Clock>,
    /// Whether one of the brokers answers no request.
    paused: AtomicBool,
    topics: Mutex<BTreeMap<String, Topic>>,
    groups: Mutex<BTreeMap<String, Group>>,
}

struct Topic {
    id: u128,
    partitions: Vec<Log>,
}

impl Broker {
    /// Starts the brokers on free ports of this machine, on the current runtime.
    ///
    /// # Errors
    /// Fails if no port is available.
    pub(crate) async fn start(clock: Arc<Clock>) -> std::io::Result<Self> {
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        for node in NODES {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            addresses.push(listener.local_addr()?);
            listeners.push((node, listener));
        }
        let (paused, topics, groups) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
        let cluster = Arc::new(Cluster { addresses, clock, paused, topics, groups });
        let serve = |(node, listener)| tokio::spawn(server::serve(listener, node, cluster.clone())).abort_handle();
        let serving = listeners.into_iter().map(serve).collect();
        Ok(Self { cluster, serving })
    }

    pub(crate) fn bootstrap_servers(&self) -> String {
        let addresses: Vec<_> = self.cluster.addresses.iter().map(ToString::to_string).collect();
        addresses.join(",")
    }

    /// Creates a topic whose partitions begin at these offsets.
    pub(crate) fn create_topic(&self, name: &str, begin: &[i64]) {
        let mut topics = self.cluster.topics();
        let id = topics.len() as u128 + 1;
        let partitions = begin.iter().map(|offset| Log::beginning_at(*offset)).collect();
        topics.entry(name.to_owned()).or_insert(Topic { id, partitions });
    }

    /// Lets one of the brokers answer no request, or answer again.
    pub(crate) fn pause(&self, paused: bool) {
        self.cluster.paused.store(paused, Ordering::Relaxed);
    }

    /// Returns the number of all records that ever arrived.
    pub(crate) fn produced(&self, topic: &str) -> u64 {
        let topics = self.cluster.topics();
        let ends = topics.get(topic).into_iter().flat_map(|topic| &topic.partitions).map(Log::end);
        u64::try_from(ends.sum::<i64>()).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.serving.iter().for_each(AbortHandle::abort);
    }
}

impl Cluster {
    /// Returns whether the broker `node` answers no request.
    fn is_paused(&self, node: i32) -> bool {
        node == PAUSED_NODE && self.paused.load(Ordering::Relaxed)
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    // no code panics while it holds one of these locks, and code that needs both locks the topics first

    fn topics(&self) -> MutexGuard<'_, BTreeMap<String, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<String, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
    use rdkafka::{Offset, TopicPartitionList};
    use tokio::sync::oneshot;
    use tokio::time::sleep;

    use super::*;
    use keda_stream_scaler::sampler::{PartitionRow, Rows, Sampler};
    use keda_stream_scaler::scaling::{Step, decide};
    use keda_stream_scaler::source::Sources;
    use keda_stream_scaler::telemetry::Metrics;
    use keda_stream_scaler::tenancy::Connections;
    use keda_stream_scaler::trigger::Trigger;

    const WITHIN: Duration = Duration::from_secs(20);
    const TOPIC: &str = "orders";
    const GROUP: &str = "readers";

    /// The lag of a partition, and its owner.
    type Row = (u64, Option<String>);

    /// A broker, with a sampler that has not read it yet.
    struct Scene {
        broker: Broker,
        sampler: Sampler<Sources>,
        trigger: Trigger,
    }

    impl Scene {
        async fn new(partitions: usize, scale_on: &str) -> Self {
            let broker = Broker::start(Clock::running()).await.unwrap();
            broker.create_topic(TOPIC, &vec![0; partitions]);
            let metrics = Metrics::new("0", "none");
            let sampler =
                Sampler::new(Sources::new(Connections::unrestricted(), metrics.upstream.clone()), metrics.sampler);
            let servers = broker.bootstrap_servers();
            let metadata = [
                ("source", "kafka"),
                // a policy that needs the number of consumers also reads the owners
                ("scaleOn", scale_on),
                ("bootstrapServers", &*servers),
                ("consumerGroup", GROUP),
                ("topic", TOPIC),
                ("offsetResetPolicy", "earliest"),
                ("pollInterval", "2s"),
            ];
            let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let trigger = Trigger::parse(&metadata.into_iter().collect()).unwrap();
            Self { broker, sampler, trigger }
        }

        fn client(&self) -> ClientConfig {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", self.broker.bootstrap_servers());
            config
        }

        fn produce(&self, partition: i32, records: usize) {
            let producer: BaseProducer = self.client().create().unwrap();
            for _ in 0..records {
                let record: BaseRecord<'_, str, str> = BaseRecord::to(TOPIC).partition(partition).payload("an order");
                producer.send(record).map_err(|(error, _)| error).unwrap();
            }
            producer.flush(WITHIN).unwrap();
        }

        fn commit(&self, offsets: &[(i32, i64)]) {
            let consumer: BaseConsumer = self.client().set("group.id", GROUP).create().unwrap();
            let mut list = TopicPartitionList::new();
            for (partition, offset) in offsets {
                list.add_partition_offset(TOPIC, *partition, Offset::Offset(*offset)).unwrap();
            }
            consumer.commit(&list, CommitMode::Sync).unwrap();
        }

        /// Starts a member of the group, which runs until the returned sender is dropped.
        fn member(&self, name: &str) -> oneshot::Sender<()> {
            let mut config = self.client();
            config
                .set("client.id", name)
                .set("group.id", GROUP)
                .set("auto.offset.reset", "earliest")
                .set("heartbeat.interval.ms", "200");
            let consumer: BaseConsumer = config.set("auto.commit.interval.ms", "200").create().unwrap();
            consumer.subscribe(&[TOPIC]).unwrap();
            let (end, mut ended) = oneshot::channel();
            thread::spawn(move || {
                while ended.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
                    drop(consumer.poll(Duration::from_millis(50)));
                }
            });
            end
        }

        /// Returns the rows of the newest reading.
        async fn rows(&self) -> Vec<Row> {
            let answer = self.sampler.ask("shop", &self.trigger, WITHIN).await.unwrap();
            let Rows::Partitions { partitions } = Rows::of(&answer.sample) else { panic!("no partitions") };
            let lag = |row: &PartitionRow| row.end - row.committed.unwrap_or(row.start);
            partitions.into_iter().map(|row| (lag(&row), row.owner)).collect()
        }

        /// Returns the lag that a trigger on lag compares with its activation threshold.
        async fn lag(&self) -> i64 {
            let answer = self.sampler.ask("shop", &self.trigger, WITHIN).await.unwrap();
            let decision = decide(&self.trigger.policy, &self.trigger.source, &answer.sample).unwrap();
            let lag = |step: &Step| if let Step::Activation { lag, .. } = step { Some(*lag) } else { None };
            decision.steps.iter().find_map(lag).unwrap()
        }

        async fn until(&self, what: &str, is: impl Fn(&[Row]) -> bool) {
            let begun = Instant::now();
            loop {
                let rows = self.rows().await;
                if is(&rows) {
                    return;
                }
                assert!(begun.elapsed() < WITHIN, "{what}: {rows:?}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }

    fn owners(rows: &[Row]) -> usize {
        let mut owners: Vec<_> = rows.iter().filter_map(|(_, owner)| owner.as_deref()).collect();
        owners.sort_unstable();
        owners.dedup();
        if rows.iter().all(|(_, owner)| owner.is_some()) { owners.len() } else { 0 }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_scaler_reads_the_lag_that_there_is() {
        let scene = Scene::new(4, "lag").await;
        for (partition, records) in [(0, 40), (1, 7), (3, 1)] {
            scene.produce(partition, records);
        }
        scene.commit(&[(0, 13), (1, 7)]);
        let lags: Vec<_> = scene.rows().await.into_iter().map(|(lag, _)| lag).collect();
        assert_eq!(lags, [27, 0, 0, 1], "where nothing is committed, all is unread");
        assert_eq!(scene.lag().await, 28);
        assert_eq!(scene.broker.unread(GROUP, TOPIC).records, 28);
        assert_eq!(scene.broker.produced(TOPIC), 48);
        scene.commit(&[(0, 30), (3, 1)]);
        scene.until("ends less commits", |rows| rows.iter().map(|(lag, _)| *lag).eq([10, 0, 0, 0])).await;
        scene.broker.trim(TOPIC, &[GROUP]);
        scene.produce(0, 5);
        scene.until("trimmed records were read", |rows| rows[0].0 == 15).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn members_share_the_partitions_and_a_scaler_sees_whose_they_are() {
        let scene = Scene::new(4, "catchUp").await;
        scene.produce(2, 50);
        let (first, second) = (scene.member("a"), scene.member("b"));
        scene.until("two members have all of it", |rows| owners(rows) == 2).await;
        scene.until("all is read and committed", |rows| rows.iter().all(|(lag, _)| *lag == 0)).await;
        drop(second);
        scene.until("one has left", |rows| owners(rows) == 1).await;
        scene.produce(1, 20);
        let begun = Instant::now();
        while scene.broker.unread(GROUP, TOPIC) != Unread::default() {
            assert!(begun.elapsed() < WITHIN, "the other does not go on");
            sleep(Duration::from_millis(100)).await;
        }
        drop(first);
        scene.until("no member is left", |rows| rows.iter().all(|(_, owner)| owner.is_none())).await;
    }
}
