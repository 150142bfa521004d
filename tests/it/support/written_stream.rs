//! A stream of the local Kinesis, and a scripted `CloudWatch` that shows what is written to it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::aws_services::aws_services;
use super::kafka::unique;
use super::scripted_aws::ScriptedAws;

/// Records per minute that fill a shard.
pub const SHARD: f64 = 60_000.0;

pub struct WrittenStream {
    pub name: String,
    pub cloudwatch: ScriptedAws,
    pub kinesis: aws_sdk_kinesis::Client,
}

impl WrittenStream {
    /// A stream of `shards` shards; the records of each minute fill `filled` of them.
    pub async fn new(shards: i32, filled: f64) -> Self {
        let (name, cloudwatch) = (unique("orders"), ScriptedAws::start().await);
        let kinesis = aws_services().clients().await.kinesis;
        kinesis.create_stream().stream_name(&name).shard_count(shards).send().await.unwrap();
        let stream = Self { name, cloudwatch, kinesis };
        stream.fill(filled);
        stream.wait_until_active().await;
        stream
    }

    /// From now on the records of each minute have always filled so many shards.
    pub fn fill(&self, filled: f64) {
        self.cloudwatch.written(&self.name, move |_| Some([0.0, filled * SHARD, 0.0]));
    }

    pub async fn wait_until_active(&self) {
        let begun = Instant::now();
        while self.summary().await.0 != "ACTIVE" {
            assert!(begun.elapsed() < Duration::from_secs(20), "the stream does not become active");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Status and open shards.
    pub async fn summary(&self) -> (String, i32) {
        let summary = self.kinesis.describe_stream_summary().stream_name(&self.name).send().await.unwrap();
        let summary = summary.stream_description_summary.unwrap();
        (summary.stream_status.as_str().to_owned(), summary.open_shard_count)
    }

    /// What a process needs to find both.
    pub async fn environment(&self) -> [(&'static str, String); 5] {
        let services = aws_services().endpoint().await.address.clone();
        [
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_ENDPOINT_URL_KINESIS", services.clone()),
            ("AWS_ENDPOINT_URL_DYNAMODB", services),
            ("AWS_ENDPOINT_URL_CLOUDWATCH", self.cloudwatch.endpoint()),
        ]
    }
}
