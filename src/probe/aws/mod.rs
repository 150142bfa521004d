//! Each call that a reading needs, once, and what it tells; as whom, and by whose clock.

use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

mod identity;
mod leases;
mod rights;

pub use identity::ServiceName;
use identity::{Found, endpoint, find};
pub use leases::{Leases, Writer};
pub use rights::{ArnScope, Resource, Right, policy, right_to_assume, rights_for, rights_on_msk};

use crate::lag::streams::{Position, Row, RowsOf, Shard, ShardId, ShardState, leases_of};
use crate::lag::{SourceError, SourceErrorKind};
use crate::source::aws::clients::Aws;
use crate::source::aws::cloudwatch::{self, MINUTE, Span, last_minute};
use crate::source::aws::failure::{Failure, FailureKind, chain};
use crate::source::aws::listing::list;
use crate::source::aws::service::Address;
use crate::source::aws::{dynamodb_streams, kinesis, tables};
use crate::telemetry::UpstreamMetrics;
use crate::trigger::{ApplicationSource, AwsCredentials, AwsIdentity, KinesisStream, SourceRef, StreamName};

/// The check reads the writes of this many minutes.
const LAST_MINUTES: usize = 15;
/// Who answers no plain request in this time is out of reach.
const CLOCK_WITHIN: Duration = Duration::from_secs(4);

/// One account and region, and an identity towards it.
pub struct AwsProbe {
    identity: AwsIdentity,
}

/// Credentials that were found.
pub struct Identity<'a> {
    found: Found,
    region: &'a str,
}

/// Why it is not known whose credentials these are.
#[derive(Clone, Debug)]
pub enum UnknownIdentity {
    /// AWS does not take them: nothing else will be answered either.
    Refused(SourceError),
    /// STS did not say; no reading needs it to.
    Unsaid(SourceError),
}

/// Calls about one source, in the order of its rights: later ones need what earlier ones told.
pub struct Calls<'a> {
    source: &'a SourceRef,
    aws: Aws,
    arn: Option<String>,
    shards: Option<Vec<Shard>>,
    iterator: Option<(ShardId, String)>,
    rows: Option<Vec<Row>>,
}

/// Why a call told nothing.
#[derive(Clone, Debug)]
pub enum CallError {
    /// It could not be made without an earlier one's answer.
    NotMade {
        /// What is lacking.
        lacks: &'static str,
    },
    /// AWS does not allow it.
    Denied(SourceError),
    /// The table of checkpoints is not there.
    NoCheckpointTable,
    /// The table has no stream, or it was switched off.
    StreamOff,
    /// It failed for another reason.
    Failed(SourceError),
}

/// By how many seconds the clock behind `url` is ahead of `now`; negative where it is behind. Any answer will do.
///
/// # Errors
/// When no answer with a date comes within four seconds.
pub async fn clock_ahead(url: &str, now: impl Fn() -> SystemTime) -> Result<i64, SourceError> {
    let failed = |why: String| {
        SourceError::new(SourceErrorKind::Unreachable, format!("could not ask {url} for its time"))
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

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.identity.region
    }

    /// The role that is assumed, if one is.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        match &self.identity.credentials {
            AwsCredentials::Role { arn, .. } => Some(arn),
            AwsCredentials::DefaultChain | AwsCredentials::Static { .. } => None,
        }
    }

    /// Where the SDK calls a service.
    ///
    /// # Errors
    /// When region and settings give no address.
    pub async fn endpoint(&self, service: ServiceName) -> Result<String, String> {
        Box::pin(endpoint(&self.identity, service)).await
    }

    /// The credentials that assume the role, or that ask themselves where there is no role.
    ///
    /// # Errors
    /// When there are none.
    pub async fn own(&self) -> Result<Identity<'_>, SourceError> {
        match &self.identity.credentials {
            AwsCredentials::Role { .. } => self.find(&AwsCredentials::DefaultChain).await,
            own => self.find(own).await,
        }
    }

    /// The credentials that read: the role's, where one is assumed.
    ///
    /// # Errors
    /// When the role cannot be assumed.
    pub async fn reader(&self) -> Result<Identity<'_>, SourceError> {
        self.find(&self.identity.credentials).await
    }

    async fn find(&self, credentials: &AwsCredentials) -> Result<Identity<'_>, SourceError> {
        // providers are tens of kilobytes while they are asked
        let found = Box::pin(find(self.region(), credentials)).await;
        let found = found.map_err(|failure| failure.into_error("AWS gave no credentials"))?;
        Ok(Identity { found, region: self.region() })
    }

    /// The region's place in ARNs, and the account's where the role or `arn` names it.
    #[must_use]
    pub fn place(&self, arn: Option<&str>) -> ArnScope {
        let place = ArnScope::of_region(self.region());
        match arn.or_else(|| self.role()) {
            Some(arn) => place.in_account_of(arn),
            None => place,
        }
    }

    /// Calls about `source`.
    #[must_use]
    pub fn calls<'a>(&self, source: &'a SourceRef) -> Calls<'a> {
        let aws = Aws::new(self.identity.clone(), UpstreamMetrics::default());
        Calls { source, aws, arn: None, shards: None, iterator: None, rows: None }
    }
}

impl Identity<'_> {
    /// Where the credentials come from, in words.
    #[must_use]
    pub const fn origin(&self) -> &'static str {
        self.found.origin
    }

    /// When they end, if they do.
    #[must_use]
    pub const fn expiry(&self) -> Option<SystemTime> {
        self.found.expiry
    }

    /// Whose they are, by `sts:GetCallerIdentity`, for which nobody needs a right.
    ///
    /// # Errors
    /// When STS does not know them or does not answer.
    pub async fn arn(&self) -> Result<String, UnknownIdentity> {
        Box::pin(self.found.arn(self.region)).await.map_err(|failure| {
            let refused = failure.kind == FailureKind::Unauthenticated;
            let error = failure.into_error("could not ask STS whose the credentials are");
            if refused { UnknownIdentity::Refused(error) } else { UnknownIdentity::Unsaid(error) }
        })
    }
}

impl Calls<'_> {
    /// Makes the call that `right` is about; what it told, in words.
    ///
    /// # Errors
    /// Why it told nothing.
    pub async fn make(&mut self, right: &Right) -> Result<String, CallError> {
        let Some((stream, application)) = about(self.source) else {
            return Err(CallError::NotMade { lacks: "a stream" });
        };
        let told = match (right.action.rsplit(':').next().unwrap_or_default(), &stream) {
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
        told.map_err(|failure| Self::failed(right, failure))
    }

    /// The leases that [`Calls::make`] has read, and whether they fit the stream.
    ///
    /// # Errors
    /// When a row is no lease; `None` before the table was read.
    pub fn leases(&self) -> Result<Option<Leases>, SourceError> {
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
        let told = format!("shards: {open} open, {} closed", shards.len() - open);
        self.shards = Some(shards);
        told
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
        let told = format!("its stream is {arn}, view {view}");
        self.arn = Some(arn);
        Ok(told)
    }

    /// An open shard where there is one.
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
        let told = format!("at the oldest record of {shard}");
        self.iterator = Some((shard, iterator?));
        Ok(told)
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
        let told = format!("{} rows", rows.len());
        self.rows = Some(rows);
        Ok(told)
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

/// The stream, and the application where one is asked about.
fn about(source: &SourceRef) -> Option<(StreamName, Option<&ApplicationSource>)> {
    match source {
        SourceRef::Kafka(_) => None,
        SourceRef::Shards(stream) => Some((stream.stream.clone(), None)),
        SourceRef::Application(application) => Some((application.stream.stream.clone(), Some(application))),
        SourceRef::Writes(writes) => Some((StreamName::Kinesis(writes.stream.clone()), None)),
    }
}
