//! The scaler's identity at AWS, and where its credentials are configured.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use crate::lag::SourceError;
use crate::source::aws::credentials::provider;
use crate::source::aws::failure::{Failure, FailureKind};
use crate::trigger::{AwsCredentials, AwsIdentity};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const CALL_TIMEOUT: Duration = Duration::from_secs(4);

/// Credentials that were found.
pub(crate) struct Identity {
    provider: SharedCredentialsProvider,
    region: Region,
    /// The source of the credentials, as text.
    pub(crate) origin: &'static str,
    /// When the credentials expire, if they do.
    pub(crate) expiry: Option<SystemTime>,
}

/// Why the identity of the credentials is unknown.
#[derive(Clone, Debug)]
pub(crate) enum UnknownIdentity {
    /// AWS rejects the credentials, so every other call will fail too.
    Refused(SourceError),
    /// STS did not return the identity; readings do not need it.
    Unsaid(SourceError),
}

/// A service that the scaler calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceName {
    /// Kinesis Data Streams (`kinesis`).
    Kinesis,
    /// The tables of DynamoDB (`dynamodb`).
    DynamoDb,
    /// The change streams of DynamoDB tables (`dynamodbstreams`).
    DynamoDbStreams,
    /// Security Token Service (`sts`).
    Sts,
}

/// Finds the credentials as for a reading.
pub(super) async fn find(region: &str, credentials: &AwsCredentials) -> Result<Identity, Failure> {
    let provider = provider(region, credentials).await;
    let provider = provider.map_err(|cause| Failure::new(FailureKind::Unauthenticated, cause))?;
    let found = provider.provide_credentials().await.map_err(|error| Failure::of_credentials(&error))?;
    let region = Region::new(region.to_owned());
    Ok(Identity { provider, region, origin: origin(&found), expiry: found.expiry() })
}

impl Identity {
    /// Returns the ARN of the identity. Calls `GetCallerIdentity`
    /// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>), which needs no IAM permission.
    pub(crate) async fn arn(&self) -> Result<String, UnknownIdentity> {
        Box::pin(self.caller()).await.map_err(|failure| {
            let refused = failure.kind == FailureKind::Unauthenticated;
            let error = failure.into_error("could not get the caller identity from STS");
            if refused { UnknownIdentity::Refused(error) } else { UnknownIdentity::Unsaid(error) }
        })
    }

    async fn caller(&self) -> Result<String, Failure> {
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(CALL_TIMEOUT).build();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(self.region.clone())
            .credentials_provider(self.provider.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        let sts = aws_sdk_sts::Client::new(&config.load().await);
        let answer = Box::pin(sts.get_caller_identity().send()).await.map_err(|error| Failure::of(&error))?;
        answer.arn.ok_or_else(|| Failure::new(FailureKind::Other, "no ARN in the answer"))
    }
}

/// The source of credentials as text; the first feature that matches one counts, because a provider may use another one.
const ORIGINS: [(AwsCredentialFeature, &str); 13] = [
    (AwsCredentialFeature::CredentialsEnvVarsStsWebIdToken, IRSA),
    (AwsCredentialFeature::CredentialsProfileStsWebIdToken, IRSA),
    (AwsCredentialFeature::CredentialsStsAssumeRoleWebId, IRSA),
    (AwsCredentialFeature::CredentialsStsAssumeRole, "an assumed role"),
    (AwsCredentialFeature::CredentialsEnvVars, "the environment (AWS_ACCESS_KEY_ID)"),
    (
        AwsCredentialFeature::CredentialsHttp,
        "a container's agent (EKS Pod Identity or ECS: AWS_CONTAINER_CREDENTIALS_*)",
    ),
    (AwsCredentialFeature::CredentialsImds, "the instance (its metadata service)"),
    (AwsCredentialFeature::CredentialsSso, "single sign-on"),
    (AwsCredentialFeature::CredentialsProfileSso, "single sign-on"),
    (AwsCredentialFeature::CredentialsProcess, "a profile's credential_process"),
    (AwsCredentialFeature::CredentialsProfileProcess, "a profile's credential_process"),
    (AwsCredentialFeature::CredentialsProfileSourceProfile, "a profile (AWS_PROFILE, ~/.aws)"),
    (AwsCredentialFeature::CredentialsProfile, "a profile (AWS_PROFILE, ~/.aws)"),
];
const IRSA: &str = "a service account's token (IRSA: AWS_WEB_IDENTITY_TOKEN_FILE)";

fn origin(credentials: &Credentials) -> &'static str {
    let steps = credentials.get_property::<Vec<AwsCredentialFeature>>();
    let found = ORIGINS.iter().find(|(step, _)| steps.is_some_and(|steps| steps.contains(step)));
    // only credentials of the connection have no provider feature
    found.map_or("the connection's key", |(_, origin)| origin)
}

/// Returns the endpoint that the SDK would call: that of `awsEndpoint`, of `AWS_ENDPOINT_URL…`, or AWS's own. Sends nothing.
pub(super) async fn endpoint(identity: &AwsIdentity, service: ServiceName) -> Result<String, String> {
    let no_one = Credentials::new("no_one", "nothing", None, None, "doctor");
    let mut config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(identity.region.to_string()))
        .credentials_provider(no_one)
        .retry_config(RetryConfig::disabled());
    // STS has its own endpoints, wherever the streams are
    if let Some(endpoint) = identity.endpoint.as_ref().filter(|_| service != ServiceName::Sts) {
        config = config.endpoint_url(endpoint.as_ref());
    }
    let target = Target::default();
    let why = match service.stop_at(&config.load().await, target.clone()).await {
        Ok(()) => "the request was sent".to_owned(),
        Err(why) => why,
    };
    target.0.get().cloned().ok_or(why)
}

impl ServiceName {
    /// Makes a call that `target` stops before it is signed.
    async fn stop_at(self, config: &SdkConfig, target: Target) -> Result<(), String> {
        let failed = |error: &dyn std::error::Error| error.to_string();
        match self {
            Self::Kinesis => {
                let config = aws_sdk_kinesis::config::Builder::from(config).interceptor(target).build();
                let call = aws_sdk_kinesis::Client::from_conf(config).list_shards().stream_name("none");
                Box::pin(call.send()).await.map(drop).map_err(|error| failed(&error))
            }
            Self::DynamoDb => {
                let config = aws_sdk_dynamodb::config::Builder::from(config).interceptor(target).build();
                let call = aws_sdk_dynamodb::Client::from_conf(config).describe_table().table_name("none");
                Box::pin(call.send()).await.map(drop).map_err(|error| failed(&error))
            }
            Self::DynamoDbStreams => {
                let config = aws_sdk_dynamodbstreams::config::Builder::from(config).interceptor(target).build();
                let call = aws_sdk_dynamodbstreams::Client::from_conf(config).list_streams();
                Box::pin(call.send()).await.map(drop).map_err(|error| failed(&error))
            }
            Self::Sts => {
                let config = aws_sdk_sts::config::Builder::from(config).interceptor(target).build();
                let call = aws_sdk_sts::Client::from_conf(config).get_caller_identity();
                Box::pin(call.send()).await.map(drop).map_err(|error| failed(&error))
            }
        }
    }

    /// Returns AWS's name of the service.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Kinesis => "kinesis",
            Self::DynamoDb => "dynamodb",
            Self::DynamoDbStreams => "dynamodb streams",
            Self::Sts => "sts",
        }
    }
}

/// Records the address of a request, and stops the request.
#[derive(Clone, Debug, Default)]
struct Target(Arc<OnceLock<String>>);

impl Intercept for Target {
    fn name(&self) -> &'static str {
        "Target"
    }

    fn read_before_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.get_or_init(|| context.request().uri().to_owned());
        Err("far enough".into())
    }
}
