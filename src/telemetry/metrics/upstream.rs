//! Requests to the services that sources are read from.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tracing::Span;

use crate::telemetry::spans;

/// From a broker next door to the deadline of a round.
const SECONDS: [f64; 11] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// A request to a source's service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamApi {
    /// Kafka: brokers, and ids, partitions and leaders of topics.
    KafkaMetadata,
    /// Kafka: committed offsets of groups.
    KafkaOffsetFetch,
    /// Kafka: one end of the logs of one leader.
    KafkaListOffsets,
    /// Kafka: the coordinators of groups.
    KafkaFindCoordinator,
    /// Kafka: state and members of groups.
    KafkaDescribeGroups,
    /// Kafka: how far share groups have come.
    KafkaDescribeShareGroupOffsets,
    /// A token of an OAuth server.
    OauthToken,
    /// Kinesis: the shards of a stream.
    KinesisListShards,
    /// Kinesis: the retention of a stream.
    KinesisDescribeStreamSummary,
    /// Kinesis: the shards that an account may have.
    KinesisDescribeLimits,
    /// Kinesis: a new number of shards.
    KinesisUpdateShardCount,
    /// Kinesis: who resizes a stream.
    KinesisListTagsForStream,
    /// Kinesis: that this scaler resizes a stream.
    KinesisAddTagsToStream,
    /// Kinesis: that this scaler no longer resizes a stream.
    KinesisRemoveTagsFromStream,
    /// CloudWatch: what is written to streams.
    CloudWatchGetMetricData,
    /// Kinesis: where to read a shard.
    KinesisGetShardIterator,
    /// Kinesis: one record of a shard.
    KinesisGetRecords,
    /// DynamoDB: which stream a table has.
    DynamoDbDescribeTable,
    /// DynamoDB: a page of a checkpoint table.
    DynamoDbScan,
    /// DynamoDB: a page of one application's rows in a checkpoint table.
    DynamoDbQuery,
    /// DynamoDB: an item of the ledger of resized streams.
    DynamoDbPutItem,
    /// DynamoDB Streams: a page of the shards of a stream.
    StreamsDescribeStream,
    /// DynamoDB Streams: where to read a shard.
    StreamsGetShardIterator,
    /// DynamoDB Streams: one record of a shard.
    StreamsGetRecords,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamOutcome {
    /// With an answer; single rows of it may hold errors.
    Ok,
    /// A leader or coordinator is moving.
    Moving,
    /// No connection.
    Unreachable,
    /// Not before its deadline.
    TimedOut,
    /// Not allowed.
    Denied,
    /// Not there.
    Missing,
    /// The service asked for fewer requests.
    Throttled,
    /// Another error.
    Error,
}

/// Counts requests to the services, and their time.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    calls: Family<CallLabels, Counter>,
    seconds: Family<ApiLabel, Histogram, fn() -> Histogram>,
}

/// A request under way.
#[derive(Debug)]
pub struct UpstreamCall {
    metrics: UpstreamMetrics,
    api: UpstreamApi,
    begun: Instant,
    span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    api: UpstreamApi,
    outcome: UpstreamOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabel {
    api: UpstreamApi,
}

impl Default for UpstreamMetrics {
    fn default() -> Self {
        Self { calls: Family::default(), seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)) }
    }
}

impl UpstreamMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("upstream_calls", "Requests to services by API and outcome", metrics.calls.clone());
        registry.register(
            "upstream_call_duration_seconds",
            "Time of a request to a service, without the wait for its turn",
            metrics.seconds.clone(),
        );
        metrics
    }

    /// A request begins. One that is dropped before it has ended is not counted.
    #[must_use]
    pub fn begin(&self, api: UpstreamApi) -> UpstreamCall {
        UpstreamCall { metrics: self.clone(), api, begun: Instant::now(), span: spans::upstream(api.as_str()) }
    }

    /// How many requests of one kind have ended in one way.
    #[must_use]
    pub fn count(&self, api: UpstreamApi, outcome: UpstreamOutcome) -> u64 {
        self.calls.get_or_create(&CallLabels { api, outcome }).get()
    }
}

impl UpstreamCall {
    /// The request has ended.
    pub fn ended(self, outcome: UpstreamOutcome) {
        let Self { metrics, api, begun, span } = self;
        metrics.calls.get_or_create(&CallLabels { api, outcome }).inc();
        metrics.seconds.get_or_create(&ApiLabel { api }).observe(begun.elapsed().as_secs_f64());
        spans::end(&span, "outcome", outcome.as_str(), outcome != UpstreamOutcome::Ok);
    }
}

impl UpstreamApi {
    const fn as_str(self) -> &'static str {
        match self {
            Self::KafkaMetadata => "kafka.Metadata",
            Self::KafkaOffsetFetch => "kafka.OffsetFetch",
            Self::KafkaListOffsets => "kafka.ListOffsets",
            Self::KafkaFindCoordinator => "kafka.FindCoordinator",
            Self::KafkaDescribeGroups => "kafka.DescribeGroups",
            Self::KafkaDescribeShareGroupOffsets => "kafka.DescribeShareGroupOffsets",
            Self::OauthToken => "oauth.Token",
            Self::KinesisListShards => "kinesis.ListShards",
            Self::KinesisDescribeStreamSummary => "kinesis.DescribeStreamSummary",
            Self::KinesisDescribeLimits => "kinesis.DescribeLimits",
            Self::KinesisUpdateShardCount => "kinesis.UpdateShardCount",
            Self::KinesisListTagsForStream => "kinesis.ListTagsForStream",
            Self::KinesisAddTagsToStream => "kinesis.AddTagsToStream",
            Self::KinesisRemoveTagsFromStream => "kinesis.RemoveTagsFromStream",
            Self::CloudWatchGetMetricData => "cloudwatch.GetMetricData",
            Self::KinesisGetShardIterator => "kinesis.GetShardIterator",
            Self::KinesisGetRecords => "kinesis.GetRecords",
            Self::DynamoDbDescribeTable => "dynamodb.DescribeTable",
            Self::DynamoDbScan => "dynamodb.Scan",
            Self::DynamoDbQuery => "dynamodb.Query",
            Self::DynamoDbPutItem => "dynamodb.PutItem",
            Self::StreamsDescribeStream => "dynamodbstreams.DescribeStream",
            Self::StreamsGetShardIterator => "dynamodbstreams.GetShardIterator",
            Self::StreamsGetRecords => "dynamodbstreams.GetRecords",
        }
    }
}

impl UpstreamOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Moving => "moving",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::Throttled => "throttled",
            Self::Error => "error",
        }
    }
}

impl EncodeLabelValue for UpstreamApi {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(self.as_str())
    }
}

impl EncodeLabelValue for UpstreamOutcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(self.as_str())
    }
}
