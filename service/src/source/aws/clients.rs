//! The SDK clients of one identity, and how a call is made: rate-limited, with a deadline, counted.

use std::fmt;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::sync::OnceCell;

use super::budget::{Budget, Scope, call_in_turn};
use super::clock::ServiceClock;
use super::credentials::provider;
use super::failure::{Failure, FailureKind};
use crate::lag::streams::Timestamp;
use crate::telemetry::UpstreamMetrics;
use crate::trigger::AwsIdentity;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The deadline of one call; a later answer is discarded.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// The deadline for obtaining credentials.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(8);

/// How long a call waits for its turn.
#[derive(Clone, Copy, Debug)]
pub enum TurnWait {
    /// A reading waits for the answer: 5 s.
    Reading,
    /// No reading waits for the answer: 5 min, enough for several hundred lists at the limit of one account.
    Background,
}

impl TurnWait {
    const fn longest(self) -> Duration {
        match self {
            Self::Reading => Duration::from_secs(5),
            Self::Background => Duration::from_mins(5),
        }
    }
}

/// One account and region, called with one identity.
pub struct Aws {
    identity: AwsIdentity,
    clients: OnceCell<Clients>,
    budget: Budget,
    clock: ServiceClock,
    metrics: UpstreamMetrics,
}

/// The SDK's clients of one account and region.
pub struct Clients {
    /// The client of CloudWatch.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    /// The client of Kinesis Data Streams.
    pub kinesis: aws_sdk_kinesis::Client,
    /// The client of DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The client of DynamoDB Streams.
    pub streams: aws_sdk_dynamodbstreams::Client,
}

impl Aws {
    /// Creates the account; it connects with the first call.
    pub fn new(identity: AwsIdentity, metrics: UpstreamMetrics) -> Self {
        let (clients, budget, clock) = (OnceCell::new(), Budget::default(), ServiceClock::default());
        Self { identity, clients, budget, clock, metrics }
    }

    /// Returns the time of the service's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Waits for a turn and makes the call. The SDK does not retry: throttling must be noticed, not answered by more calls.
    ///
    /// # Errors
    /// Fails without credentials or a turn in time, and when the call fails or takes longer than its deadline.
    pub async fn call<'a, T, E, R, F>(
        &'a self,
        wait: TurnWait,
        scope: Scope,
        call: impl FnOnce(&'a Clients) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, SdkError<E, R>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: fmt::Debug + 'static,
    {
        let made = self.clients.get_or_try_init(|| Box::pin(clients(&self.identity, &self.clock)));
        let clients = tokio::time::timeout(CREDENTIALS_TIMEOUT, made)
            .await
            .map_err(|_| Failure::new(FailureKind::TimedOut, "no AWS credentials in time"))??;
        // SDK futures are tens of kilobytes; boxing keeps the futures that await them small
        let call = Box::pin(async { call(clients).await.map_err(|error| Failure::of(&error)) });
        call_in_turn(&self.budget, &scope, wait.longest(), call, &self.metrics).await
    }
}

async fn clients(identity: &AwsIdentity, clock: &ServiceClock) -> Result<Clients, Failure> {
    let provider = provider(&identity.region, &identity.credentials).await;
    let provider = provider.map_err(|cause| Failure::new(FailureKind::Unauthenticated, cause))?;
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(CALL_TIMEOUT).build();
    let mut config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(identity.region.to_string()))
        .credentials_provider(provider)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(endpoint) = &identity.endpoint {
        config = config.endpoint_url(endpoint.as_ref());
    }
    Ok(Clients::new(&config.load().await, clock))
}

impl Clients {
    fn new(config: &SdkConfig, clock: &ServiceClock) -> Self {
        use aws_sdk_cloudwatch::config::Builder as CloudWatch;
        use aws_sdk_dynamodb::config::Builder as DynamoDb;
        use aws_sdk_dynamodbstreams::config::Builder as Streams;
        use aws_sdk_kinesis::config::Builder as Kinesis;
        Self {
            cloudwatch: aws_sdk_cloudwatch::Client::from_conf(
                CloudWatch::from(config).interceptor(clock.clone()).build(),
            ),
            kinesis: aws_sdk_kinesis::Client::from_conf(Kinesis::from(config).interceptor(clock.clone()).build()),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(DynamoDb::from(config).interceptor(clock.clone()).build()),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(
                Streams::from(config).interceptor(clock.clone()).build(),
            ),
        }
    }
}
