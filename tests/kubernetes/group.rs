//! The scaler and Kafka beside a cluster, and consumer groups with a lag that a proof sets.

use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::cluster::Cluster;
use crate::driver::Driver;
use crate::kafka::one_node;
use crate::scaler::Scaler;

const PARTITIONS: i32 = 12;

pub struct Setup {
    pub cluster: Cluster,
    pub scaler: Scaler,
    pub driver: Driver,
    bootstrap_servers: String,
}

impl Setup {
    /// Starts a scaler and a Kafka broker.
    pub async fn start(cluster: Cluster) -> Self {
        let kafka = block_in_place(one_node);
        let scaler = Scaler::start(&cluster.directory, "scaler").await;
        let bootstrap_servers = kafka.bootstrap_servers();
        Self { cluster, scaler, driver: Driver::new(&*bootstrap_servers), bootstrap_servers }
    }
}

/// A topic with a group that has committed, and so a lag of any size.
pub struct Group<'a> {
    pub setup: &'a Setup,
    pub name: &'static str,
    produced: i64,
}

impl<'a> Group<'a> {
    pub async fn with_lag(setup: &'a Setup, name: &'static str, lag: i64) -> Self {
        let mut group = Self { setup, name, produced: 0 };
        group.create_topic(lag).await;
        group
    }

    /// Creates the topic, for the first time or again after its deletion.
    pub async fn create_topic(&mut self, lag: i64) {
        self.setup.driver.create_topic(self.name, PARTITIONS, 1, &[]).await;
        let committed: Vec<_> = (0..PARTITIONS).map(|partition| (self.name, partition, 0)).collect();
        block_in_place(|| self.setup.driver.commit(self.name, &committed));
        self.produced = 0;
        self.set_lag(lag);
    }

    /// Produces more, or commits more.
    pub fn set_lag(&mut self, lag: i64) {
        block_in_place(|| {
            let more = usize::try_from(lag - self.produced).unwrap_or_default();
            self.setup.driver.produce(self.name, 0, more);
            self.produced = self.produced.max(lag);
            self.setup.driver.commit(self.name, &[(self.name, 0, self.produced - lag)]);
        });
    }

    /// A trigger with one replica per 10 records of lag.
    pub fn trigger(&self, kind: &str, scaler: &Scaler) -> Value {
        json!({"type": kind, "metadata": {
            "scalerAddress": scaler.address, "source": "kafka", "bootstrapServers": self.setup.bootstrap_servers,
            "consumerGroup": self.name, "topic": self.name, "lagThreshold": "10",
            "pollInterval": "2s", "maxStaleness": "5s",
        }})
    }
}
