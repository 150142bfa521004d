//! A Kafka-protocol broker inside the process.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

pub(super) const TOPIC: &str = "orders";
pub(super) const GROUP: &str = "order-service";
const PARTITIONS: i32 = 12;
const BROKERS: i32 = 3;

/// Three brokers with one topic; they end when this is dropped.
pub(super) struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Broker {
    pub(super) fn start() -> anyhow::Result<Self> {
        let cluster = MockCluster::new(BROKERS)?;
        cluster.create_topic(TOPIC, PARTITIONS, BROKERS)?;
        Ok(Self { cluster })
    }

    pub(super) fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}
