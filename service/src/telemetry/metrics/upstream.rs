//! Metrics of requests to the services that sources are read from.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tracing::Span;

use crate::telemetry::traces;

/// The histogram buckets in seconds, from a nearby broker to the deadline of a round.
const SECONDS: [f64; 11] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// An API of a source's service.
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
    /// Kafka: the groups of a broker.
    KafkaListGroups,
    /// Kafka: the progress of share groups.
    KafkaDescribeShareGroupOffsets,
    /// A token of an OAuth server.
    OauthToken,
    /// Kinesis: the shards of a stream.
    KinesisListShards,
    /// Kinesis: the retention of a stream.
    KinesisDescribeStreamSummary,
    /// Kinesis: the shard quota of an account.
    KinesisDescribeLimits,
    /// Kinesis: a new number of shards.
    KinesisUpdateShardCount,
    /// Kinesis: the tag that names who resizes a stream.
    KinesisListTagsForStream,
    /// Kinesis: set the tag that names this scaler.
    KinesisAddTagsToStream,
    /// Kinesis: remove the tag that names this scaler.
    KinesisRemoveTagsFromStream,
    /// CloudWatch: the writes to streams.
    CloudWatchGetMetricData,
    /// Kinesis: the position at which to read a shard.
    KinesisGetShardIterator,
    /// Kinesis: one record of a shard.
    KinesisGetRecords,
    /// DynamoDB: the stream of a table.
    DynamoDbDescribeTable,
    /// DynamoDB: a page of a checkpoint table.
    DynamoDbScan,
    /// DynamoDB: a page of one application's rows in a checkpoint table.
    DynamoDbQuery,
    /// DynamoDB: an item of the ledger of resized streams.
    DynamoDbPutItem,
    /// DynamoDB Streams: a page of the shards of a stream.
    StreamsDescribeStream,
    /// DynamoDB Streams: the position at which to read a shard.
    StreamsGetShardIterator,
    /// DynamoDB Streams: one record of a shard.
    StreamsGetRecords,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamOutcome {
    /// The service answered; single rows of the answer may contain errors.
    Ok,
    /// A partition leader or coordinator is moving.
    Moving,
    /// No connection could be made.
    Unreachable,
    /// The deadline passed without an answer.
    TimedOut,
    /// The service denied access.
    Denied,
    /// The resource does not exist.
    Missing,
    /// The service throttled the request.
    Throttled,
    /// Any other error occurred.
    Error,
}

/// Counts requests to services and measures their time.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    calls: Family<CallLabels, Counter>,
    seconds: Family<ApiLabel, Histogram, fn() -> Histogram>,
}

/// A request in progress.
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

    /// Starts a request. A request that is dropped before it has ended is not counted.
    #[must_use]
    pub fn begin(&self, api: UpstreamApi) -> UpstreamCall {
        UpstreamCall { metrics: self.clone(), api, begun: Instant::now(), span: traces::upstream(api.as_str()) }
    }

    /// Returns how many requests to one API have ended with one outcome.
    #[must_use]
    pub fn count(&self, api: UpstreamApi, outcome: UpstreamOutcome) -> u64 {
        self.calls.get_or_create(&CallLabels { api, outcome }).get()
    }
}

impl UpstreamCall {
    /// Ends the request with this outcome.
    pub fn ended(self, outcome: UpstreamOutcome) {
        let Self { metrics, api, begun, span } = self;
        metrics.calls.get_or_create(&CallLabels { api, outcome }).inc();
        metrics.seconds.get_or_create(&ApiLabel { api }).observe(begun.elapsed().as_secs_f64());
        traces::end(&span, "outcome", outcome.as_str(), outcome != UpstreamOutcome::Ok);
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
            Self::KafkaListGroups => "kafka.ListGroups",
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
