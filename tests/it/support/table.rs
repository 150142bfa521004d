//! A table of DynamoDB Local with a stream, and what a test has written to it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType,
};
use tokio::time::{Instant, sleep};

use super::aws_services::{AwsServices, Clients, Consumer};
use super::truth::{Records, processed};

const MINUTE: Duration = Duration::from_secs(60);
const ACTIVE_WITHIN: Duration = Duration::from_secs(20);

/// A table, and when each of its changes was sent and answered.
pub struct Table {
    pub clients: Clients,
    name: String,
    /// How many items were ever put.
    ids: usize,
    put: Vec<Put>,
}

/// One change. The server reports the whole minute in which it arrived, so its age appears to be greater by up to a minute.
struct Put {
    sent: Instant,
    cut_off: Duration,
    answered: Instant,
}

impl Table {
    pub async fn new(services: &AwsServices, name: &str) -> Self {
        let table = Self { clients: services.clients().await, name: name.to_owned(), ids: 0, put: Vec::new() };
        table.create().await;
        table
    }

    async fn create(&self) {
        let key = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build();
        let schema = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
        let create = self.clients.dynamodb.create_table().table_name(&self.name).attribute_definitions(key.unwrap());
        let create = create.key_schema(schema).billing_mode(BillingMode::PayPerRequest);
        create.stream_specification(keys_only()).send().await.unwrap();
        self.wait_until_active().await;
    }

    /// Little is cut off from the times of changes that are put soon after a minute has begun.
    pub async fn wait_for_the_next_minute() {
        sleep(MINUTE - since_minute()).await;
    }

    /// Switches the stream off and on again. The table has another stream then, in which nothing is put yet.
    pub async fn replace_stream(&mut self) {
        let off = StreamSpecification::builder().stream_enabled(false).build().unwrap();
        for specification in [off, keys_only()] {
            let update = self.clients.dynamodb.update_table().table_name(&self.name);
            update.stream_specification(specification).send().await.unwrap();
            self.wait_until_active().await;
        }
        self.put.clear();
    }

    /// Deletes the table and creates it again under its name.
    pub async fn recreate(&mut self) {
        self.clients.dynamodb.delete_table().table_name(&self.name).send().await.unwrap();
        let begun = Instant::now();
        while self.clients.dynamodb.describe_table().table_name(&self.name).send().await.is_ok() {
            assert!(begun.elapsed() < ACTIVE_WITHIN, "the table is not deleted");
            sleep(Duration::from_millis(50)).await;
        }
        self.create().await;
        self.put.clear();
    }

    async fn wait_until_active(&self) {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < ACTIVE_WITHIN, "the table does not become active");
            let answer = self.clients.dynamodb.describe_table().table_name(&self.name).send().await.unwrap();
            if answer.table.unwrap().table_status.unwrap().as_str() == "ACTIVE" {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Since the present minute began.
#[expect(clippy::disallowed_methods, reason = "the server has this machine's clock")]
fn since_minute() -> Duration {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since_1970 - MINUTE * u32::try_from(since_1970.as_secs() / MINUTE.as_secs()).unwrap()
}

fn keys_only() -> StreamSpecification {
    let specification = StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::KeysOnly);
    specification.build().unwrap()
}

impl Records for Table {
    async fn put(&mut self, count: usize) {
        for _ in 0..count {
            // a change that changes nothing makes no record
            self.ids += 1;
            let id = AttributeValue::S(self.ids.to_string());
            let (sent, cut_off) = (Instant::now(), since_minute());
            self.clients.dynamodb.put_item().table_name(&self.name).item("id", id).send().await.unwrap();
            self.put.push(Put { sent, cut_off, answered: Instant::now() });
        }
    }

    /// The changes of one shard are processed in their order, so that their number says which are.
    fn unread(&self, consumers: &[&Consumer], skipped: usize, then: Instant) -> (Duration, Duration) {
        let done = processed(consumers, then).len();
        let Some(oldest) = self.put.get(skipped + done) else { return (Duration::ZERO, Duration::ZERO) };
        (oldest.answered.elapsed(), oldest.sent.elapsed() + oldest.cut_off)
    }
}
