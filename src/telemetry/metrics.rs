//! Prometheus metrics. Labels come from closed sets, so no series can grow without bound.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::TlsMetrics;
use super::limits::LimitMetrics;

/// Answers come from memory in microseconds; the first reading of a target may take up to 2.5 s.
const RPC_SECONDS: [f64; 8] = [0.000_1, 0.000_5, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5];

/// All metrics of the process.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Of the RPCs.
    pub rpc: RpcMetrics,
    /// Of the sampler.
    pub sampler: SamplerMetrics,
    /// Of the calls to Kafka and its like.
    pub upstream: UpstreamMetrics,
    /// Of the limits.
    pub limits: LimitMetrics,
}

/// A method of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RpcMethod {
    /// `IsActive`
    IsActive,
    /// `StreamIsActive`
    StreamIsActive,
    /// `GetMetricSpec`
    GetMetricSpec,
    /// `StreamMetricSpec`
    StreamMetricSpec,
    /// `GetMetrics`
    GetMetrics,
}

/// A request to a source's service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamApi {
    /// Kafka: ids, partitions and leaders of topics.
    KafkaDescribeTopics,
    /// Kafka: the brokers and the names of topics.
    KafkaMetadata,
    /// Kafka: committed offsets of one group.
    KafkaOffsetFetch,
    /// Kafka: one end of the logs of one leader.
    KafkaListOffsets,
    /// Kafka: state and members of one group.
    KafkaDescribeGroups,
    /// A token of an OAuth server.
    OauthToken,
    /// Kinesis: the shards of a stream.
    KinesisListShards,
    /// Kinesis: the retention of a stream.
    KinesisDescribeStreamSummary,
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

/// Counts RPCs and their time.
#[derive(Clone, Debug)]
pub struct RpcMetrics {
    handled: Family<RpcLabels, Counter>,
    seconds: Family<MethodLabel, Histogram, fn() -> Histogram>,
    streams: Gauge,
}

/// Counts readings.
#[derive(Clone, Debug, Default)]
pub struct SamplerMetrics {
    samples: Family<OutcomeLabel, Counter>,
    backends: Gauge,
    near_retention: Family<RiskLabel, Counter>,
}

/// Counts requests to the services.
#[derive(Clone, Debug, Default)]
pub struct UpstreamMetrics {
    calls: Family<UpstreamLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RpcLabels {
    method: RpcMethod,
    code: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: RpcMethod,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RiskLabel {
    risk: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    api: UpstreamApi,
    outcome: UpstreamOutcome,
}

/// A word from a closed set of the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Word(&'static str);

// === impl Metrics ===

impl Metrics {
    /// All metrics, registered; `version` and `commit` become labels of `build_info`.
    #[must_use]
    pub fn new(version: &'static str, commit: &'static str) -> Self {
        let mut registry = Registry::with_prefix("stream_scaler");
        let build = Info::new([("version", version), ("commit", commit)]);
        registry.register("build", "The running version", build);
        let rpc = RpcMetrics::register(&mut registry);
        let sampler = SamplerMetrics::register(&mut registry);
        let upstream = UpstreamMetrics::register(&mut registry);
        let limits = LimitMetrics::register(&mut registry);
        Self { registry: Mutex::new(registry), rpc, sampler, upstream, limits }
    }

    /// Those of TLS, which exist only where it is spoken; to be asked for once.
    #[must_use]
    pub fn tls(&self) -> TlsMetrics {
        TlsMetrics::register(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The text that a Prometheus server reads (`OpenMetrics`).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &registry) {
            tracing::error!(error = %error, "metrics could not be written");
        }
        text
    }
}

impl RpcMetrics {
    fn register(registry: &mut Registry) -> Self {
        let handled = Family::default();
        registry.register("rpcs", "RPCs by method and gRPC code", handled.clone());
        let seconds =
            Family::<MethodLabel, Histogram, fn() -> Histogram>::new_with_constructor(|| Histogram::new(RPC_SECONDS));
        registry.register("rpc_duration_seconds", "Time to answer an RPC", seconds.clone());
        let streams = Gauge::default();
        registry.register("streams", "Open push streams", streams.clone());
        Self { handled, seconds, streams }
    }

    /// An RPC has ended with a gRPC code, in words.
    pub fn handled(&self, method: RpcMethod, code: &'static str, took: Duration) {
        self.handled.get_or_create(&RpcLabels { method, code: Word(code) }).inc();
        self.seconds.get_or_create(&MethodLabel { method }).observe(took.as_secs_f64());
    }

    /// A push stream has opened.
    pub fn stream_opened(&self) {
        self.streams.inc();
    }

    /// A push stream has ended.
    pub fn stream_ended(&self) {
        self.streams.dec();
    }
}

impl SamplerMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("samples", "Readings of sources by outcome", metrics.samples.clone());
        registry.register("backends", "Clusters and accounts that are read now", metrics.backends.clone());
        registry.register(
            "readings_near_retention",
            "Readings that found unread records which the stream will soon delete",
            metrics.near_retention.clone(),
        );
        metrics
    }

    /// Announces an outcome: a rate can be told from the first one on only where the series began at 0.
    pub fn expect_outcome(&self, outcome: &'static str) {
        drop(self.samples.get_or_create(&OutcomeLabel { outcome: Word(outcome) }));
    }

    /// Announces a risk, for the same reason.
    pub fn expect_risk(&self, risk: &'static str) {
        drop(self.near_retention.get_or_create(&RiskLabel { risk: Word(risk) }));
    }

    /// A reading found records that will soon be deleted unread.
    pub fn near_retention(&self, risk: &'static str) {
        self.near_retention.get_or_create(&RiskLabel { risk: Word(risk) }).inc();
    }

    /// A reading of one source has ended.
    pub fn sampled(&self, outcome: &'static str) {
        self.samples.get_or_create(&OutcomeLabel { outcome: Word(outcome) }).inc();
    }

    /// So many backends are read now.
    pub fn set_backends(&self, count: usize) {
        self.backends.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

impl UpstreamMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("upstream_calls", "Requests to services by API and outcome", metrics.calls.clone());
        metrics
    }

    /// A request has ended.
    pub fn called(&self, api: UpstreamApi, outcome: UpstreamOutcome) {
        self.calls.get_or_create(&UpstreamLabels { api, outcome }).inc();
    }

    /// How many requests of one kind have ended in one way.
    #[must_use]
    pub fn count(&self, api: UpstreamApi, outcome: UpstreamOutcome) -> u64 {
        self.calls.get_or_create(&UpstreamLabels { api, outcome }).get()
    }
}

// === label values ===

impl EncodeLabelValue for RpcMethod {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        encoder.write_str(match self {
            Self::IsActive => "IsActive",
            Self::StreamIsActive => "StreamIsActive",
            Self::GetMetricSpec => "GetMetricSpec",
            Self::StreamMetricSpec => "StreamMetricSpec",
            Self::GetMetrics => "GetMetrics",
        })
    }
}

impl EncodeLabelValue for UpstreamApi {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        encoder.write_str(match self {
            Self::KafkaDescribeTopics => "kafka.DescribeTopics",
            Self::KafkaMetadata => "kafka.Metadata",
            Self::KafkaOffsetFetch => "kafka.OffsetFetch",
            Self::KafkaListOffsets => "kafka.ListOffsets",
            Self::KafkaDescribeGroups => "kafka.DescribeGroups",
            Self::OauthToken => "oauth.Token",
            Self::KinesisListShards => "kinesis.ListShards",
            Self::KinesisDescribeStreamSummary => "kinesis.DescribeStreamSummary",
            Self::KinesisGetShardIterator => "kinesis.GetShardIterator",
            Self::KinesisGetRecords => "kinesis.GetRecords",
            Self::DynamoDbDescribeTable => "dynamodb.DescribeTable",
            Self::DynamoDbScan => "dynamodb.Scan",
            Self::DynamoDbQuery => "dynamodb.Query",
            Self::StreamsDescribeStream => "dynamodbstreams.DescribeStream",
            Self::StreamsGetShardIterator => "dynamodbstreams.GetShardIterator",
            Self::StreamsGetRecords => "dynamodbstreams.GetRecords",
        })
    }
}

impl EncodeLabelValue for UpstreamOutcome {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        encoder.write_str(match self {
            Self::Ok => "ok",
            Self::Moving => "moving",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::Throttled => "throttled",
            Self::Error => "error",
        })
    }
}

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        encoder.write_str(self.0)
    }
}
