//! Makes each AWS call that a reading needs once, and reports its result, the identity and the clock skew.

use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

mod identity;
mod leases;
mod rights;

pub(crate) use identity::{Identity, ServiceName, UnknownIdentity};
use identity::{endpoint, find};
pub(crate) use leases::{Leases, Writer};
pub(crate) use rights::{ArnScope, Right, policy, right_to_assume, rights_for, rights_on_msk};

use crate::lag::streams::{Position, Row, RowsOf, Shard, ShardId, ShardState, leases_of};
use crate::lag::{SourceError, SourceErrorKind};
use crate::source::aws::clients::Aws;
use crate::source::aws::cloudwatch::{self, MINUTE, Span, last_minute};
use crate::source::aws::failure::{Failure, FailureKind};
use crate::source::aws::listing::list;
use crate::source::aws::service::Address;
use crate::source::aws::{dynamodb_streams, kinesis, tables};
use crate::source::chain;
use crate::telemetry::UpstreamMetrics;
use crate::trigger::{ApplicationSource, AwsCredentials, AwsIdentity, KinesisStream, SourceRef, StreamName};

/// The number of minutes of writes that the check reads.
const LAST_MINUTES: usize = 15;
/// The deadline for the answer to a plain HTTP request.
const CLOCK_WITHIN: Duration = Duration::from_secs(4);

/// One account and region, and an identity for it.
pub(crate) struct AwsProbe {
    identity: AwsIdentity,
}

/// The calls about one source, in the order of its permissions: later ones need the results of earlier ones.
pub(crate) struct Calls<'a> {
    source: &'a SourceRef,
    aws: Aws,
    arn: Option<String>,
    shards: Option<Vec<Shard>>,
    iterator: Option<(ShardId, String)>,
    rows: Option<Vec<Row>>,
}

/// Why a call returned no result.
#[derive(Clone, Debug)]
pub(crate) enum CallError {
    /// The call needs the result of an earlier one, which is missing.
    NotMade {
        /// The missing result.
        lacks: &'static str,
    },
    /// AWS denies the call.
    Denied(SourceError),
    /// The checkpoint table does not exist.
    NoCheckpointTable,
    /// The table has no stream, or its stream is disabled.
    StreamOff,
    /// The call failed for another reason.
    Failed(SourceError),
}

/// Returns by how many seconds the clock of the server at `url` is ahead of `now`; negative where it is behind. Any HTTP answer with a
/// `Date` header is sufficient.
/// Returns an error when no answer with a date arrives within four seconds.
pub(crate) async fn clock_ahead(url: &str, now: impl Fn() -> SystemTime) -> Result<i64, SourceError> {
    let failed = |why: String| {
        SourceError::new(SourceErrorKind::Unreachable, format!("could not read the clock of {url}"))
            .because(why)
            .remedy("check awsRegion, awsEndpoint, HTTPS_PROXY, and that the network lets the scaler out")
    };
    let http = reqwest::Client::builder().timeout(CLOCK_WITHIN).redirect(reqwest::redirect::Policy::none()).build();
    let http = http.map_err(|error| failed(error.to_string()))?;
    let answer = http.get(url).send().await.map_err(|error| failed(chain(&error.without_url())))?;
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
    let date = date.ok_or_else(|| failed("its answer has no date".to_owned()))?;
    let here = now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    Ok(date.secs().saturating_sub_unsigned(here))
}

impl AwsProbe {
    pub(super) const fn new(identity: AwsIdentity) -> Self {
        Self { identity }
    }

    /// Returns the AWS region.
    pub(crate) fn region(&self) -> &str {
        &self.identity.region
    }

    /// Returns the ARN of the role that is assumed, if any.
    pub(crate) fn role(&self) -> Option<&str> {
        match &self.identity.credentials {
            AwsCredentials::Role { arn, .. } => Some(arn),
            AwsCredentials::DefaultChain | AwsCredentials::Static { .. } => None,
        }
    }

    /// Returns the endpoint at which the SDK calls a service.
    /// Returns an error when region and settings give no endpoint.
    pub(crate) async fn endpoint(&self, service: ServiceName) -> Result<String, String> {
        Box::pin(endpoint(&self.identity, service)).await
    }

    /// Returns the credentials that assume the role, or that call AWS themselves where there is no role.
    /// Returns an error when there are none.
    pub(crate) async fn own(&self) -> Result<Identity, SourceError> {
        match &self.identity.credentials {
            AwsCredentials::Role { .. } => self.find(&AwsCredentials::DefaultChain).await,
            own => self.find(own).await,
        }
    }

    /// Returns the credentials of readings: the role's, where one is assumed.
    /// Returns an error when the role cannot be assumed.
    pub(crate) async fn reader(&self) -> Result<Identity, SourceError> {
        self.find(&self.identity.credentials).await
    }

    async fn find(&self, credentials: &AwsCredentials) -> Result<Identity, SourceError> {
        // the futures of providers are tens of kilobytes
        let found = Box::pin(find(self.region(), credentials)).await;
        found.map_err(|failure| failure.into_error("AWS gave no credentials"))
    }

    /// Returns the scope of ARNs: the region, and the account where the role or `arn` names it.
    pub(crate) fn place(&self, arn: Option<&str>) -> ArnScope {
        let place = ArnScope::of_region(self.region());
        match arn.or_else(|| self.role()) {
            Some(arn) => place.in_account_of(arn),
            None => place,
        }
    }

    /// Returns the calls about `source`.
    pub(crate) fn calls<'a>(&self, source: &'a SourceRef) -> Calls<'a> {
        let aws = Aws::new(self.identity.clone(), UpstreamMetrics::default());
        Calls { source, aws, arn: None, shards: None, iterator: None, rows: None }
    }
}

impl Calls<'_> {
    /// Makes the call that `right` permits; returns its result as text.
    /// Returns the reason why there is no result.
    pub(crate) async fn make(&mut self, right: &Right) -> Result<String, CallError> {
        let Some((stream, application)) = about(self.source) else {
            return Err(CallError::NotMade { lacks: "a stream" });
        };
        let seen = match (right.action.rsplit(':').next().unwrap_or_default(), &stream) {
            ("ListShards", StreamName::Kinesis(name)) => self.list_shards(name).await,
            ("DescribeStreamSummary", StreamName::Kinesis(name)) => self.retention(name).await,
            ("DescribeTable", StreamName::DynamoDb(table)) => return self.table(right, table).await,
            ("DescribeStream", _) => {
                let arn = self.arn.clone().ok_or(CallError::NotMade { lacks: "the ARN of the stream" })?;
                let listing = list(&self.aws, &Address::DynamoDb(arn.into())).await;
                listing.map(|listing| self.keep(listing.shards().to_vec()))
            }
            ("GetShardIterator", _) => {
                let shard = self.a_shard().ok_or(CallError::NotMade { lacks: "a shard" })?;
                self.look_into(&stream, shard).await
            }
            ("GetRecords", _) => {
                let (shard, iterator) = self.iterator.take().ok_or(CallError::NotMade { lacks: "a shard iterator" })?;
                self.read(&stream, &shard, iterator).await
            }
            ("GetMetricData", StreamName::Kinesis(name)) => self.writes(name).await,
            (_, _) => {
                let application = application.ok_or(CallError::NotMade { lacks: "an application" })?;
                self.checkpoints(application).await
            }
        };
        seen.map_err(|failure| Self::failed(right, failure))
    }

    /// Returns the leases that [`Calls::make`] has read, compared with the stream's shards; `None` before the table was read.
    /// Returns an error when a row is not a lease.
    pub(crate) fn leases(&self) -> Result<Option<Leases>, SourceError> {
        let (Some((_, Some(application))), Some(rows)) = (about(self.source), &self.rows) else { return Ok(None) };
        let label = self.arn.as_deref().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default();
        let of = match &application.stream.stream {
            StreamName::Kinesis(stream) => RowsOf::Kinesis { stream: stream.name(), created: None },
            stream @ StreamName::DynamoDb(_) => RowsOf::DynamoDb { table: stream.name(), label },
        };
        let layout = &application.store.layout;
        let leases = leases_of(rows, layout, of).map_err(|error| {
            let (attempt, remedy) =
                (format!("could not read the rows of table {}", application.store.table), error.remedy());
            SourceError::new(SourceErrorKind::Broken, attempt).because(error).remedy(remedy)
        })?;
        Ok(Some(Leases::new(rows, &leases, self.shards.as_deref().unwrap_or_default(), layout)))
    }

    async fn list_shards(&mut self, stream: &KinesisStream) -> Result<String, Failure> {
        let listing = list(&self.aws, &Address::Kinesis(stream.clone())).await?;
        Ok(self.keep(listing.shards().to_vec()))
    }

    fn keep(&mut self, shards: Vec<Shard>) -> String {
        let open = shards.iter().filter(|shard| shard.state == ShardState::Open).count();
        let seen = format!("shards: {open} open, {} closed", shards.len() - open);
        self.shards = Some(shards);
        seen
    }

    async fn retention(&self, stream: &KinesisStream) -> Result<String, Failure> {
        let summary = kinesis::summary(&self.aws, stream).await?;
        Ok(format!("records are kept for {} h", summary.retention.as_secs() / 3600))
    }

    async fn writes(&self, stream: &KinesisStream) -> Result<String, Failure> {
        let span = Span { end: last_minute(self.aws.now()), points: LAST_MINUTES, period: MINUTE };
        let points = cloudwatch::points(&self.aws, std::slice::from_ref(stream), span).await?.pop();
        let points = points.unwrap_or_else(|| Err(Failure::new(FailureKind::Other, "no points")))?;
        let written = points.iter().filter(|point| point.is_some()).count();
        Ok(format!("written in {written} of the last {LAST_MINUTES} minutes"))
    }

    async fn table(&mut self, right: &Right, table: &str) -> Result<String, CallError> {
        let stream = dynamodb_streams::table_stream(&self.aws, table).await;
        let stream = stream.map_err(|failure| Self::failed(right, failure))?;
        let (arn, view) = stream.arn.zip(stream.view).ok_or(CallError::StreamOff)?;
        let seen = format!("its stream is {arn}, view {view}");
        self.arn = Some(arn);
        Ok(seen)
    }

    /// Returns an open shard, else the first one.
    fn a_shard(&self) -> Option<ShardId> {
        let shards = self.shards.as_ref()?;
        let open = shards.iter().find(|shard| shard.state == ShardState::Open);
        open.or_else(|| shards.first()).map(|shard| shard.id.clone())
    }

    async fn look_into(&mut self, stream: &StreamName, shard: ShardId) -> Result<String, Failure> {
        let (arn, oldest) = (self.arn.as_deref().unwrap_or_default(), Position::TrimHorizon);
        let iterator = match stream {
            StreamName::Kinesis(stream) => kinesis::iterator(&self.aws, stream, &shard, &oldest).await,
            StreamName::DynamoDb(_) => dynamodb_streams::iterator(&self.aws, arn, &shard, &oldest).await,
        };
        let seen = format!("at the oldest record of {shard}");
        self.iterator = Some((shard, iterator?));
        Ok(seen)
    }

    async fn read(&self, stream: &StreamName, shard: &ShardId, iterator: String) -> Result<String, Failure> {
        let arn = self.arn.as_deref().unwrap_or_default();
        let page = match stream {
            StreamName::Kinesis(stream) => kinesis::page(&self.aws, stream, shard, iterator, 1).await,
            StreamName::DynamoDb(_) => dynamodb_streams::page(&self.aws, arn, shard, iterator).await,
        };
        Ok(match page?.records.first() {
            Some(first) => {
                format!("a record that arrived {} s ago", self.aws.now().since(first.arrived).as_secs())
            }
            None => "no record at the beginning of the shard".to_owned(),
        })
    }

    async fn checkpoints(&mut self, application: &ApplicationSource) -> Result<String, Failure> {
        let rows = tables::read(&self.aws, &application.store).await?.rows;
        let seen = format!("{} rows", rows.len());
        self.rows = Some(rows);
        Ok(seen)
    }

    fn failed(right: &Right, failure: Failure) -> CallError {
        let checkpoints = matches!(right.action, "dynamodb:Scan" | "dynamodb:Query");
        match failure.kind {
            FailureKind::Missing if checkpoints => CallError::NoCheckpointTable,
            FailureKind::Denied => CallError::Denied(failure.into_error(format!("{} is denied", right.action))),
            _ => CallError::Failed(failure.into_error(format!("{} failed", right.action))),
        }
    }
}

/// Returns the stream of `source`, and its application, if it has one.
fn about(source: &SourceRef) -> Option<(StreamName, Option<&ApplicationSource>)> {
    match source {
        SourceRef::Kafka(_) => None,
        SourceRef::Shards(stream) => Some((stream.stream.clone(), None)),
        SourceRef::Application(application) => Some((application.stream.stream.clone(), Some(application))),
        SourceRef::Writes(writes) => Some((StreamName::Kinesis(writes.stream.clone()), None)),
    }
}
