//! The credentials for AWS calls: a key, a role, or the default chain.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use super::failure::{Failure, FailureKind, NoCredentials};
use crate::trigger::AwsCredentials;

const SESSION: &str = "keda-stream-scaler";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The deadline for the scaler's own credentials. Each deadline is shorter than that of its caller (the role for these, the API call for
/// the role); otherwise the error would not name the step that timed out.
const OWN_TIMEOUT: Duration = Duration::from_secs(3);
const ROLE_TIMEOUT: Duration = Duration::from_millis(3500);

/// Returns the provider of these credentials. For a role it calls `AssumeRole`
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>) without retries.
///
/// # Errors
/// Returns an error when the default chain has no provider at all.
pub async fn provider(region: &str, credentials: &AwsCredentials) -> Result<SharedCredentialsProvider, String> {
    match credentials {
        AwsCredentials::Static { access_key_id, secret_access_key, session_token } => {
            let token = session_token.as_ref().map(|token| token.reveal().to_owned());
            let key = Credentials::new(access_key_id, secret_access_key.reveal(), token, None, "connection");
            Ok(SharedCredentialsProvider::new(key))
        }
        AwsCredentials::DefaultChain => own(&defaults(region).load().await).map(SharedCredentialsProvider::new),
        AwsCredentials::Role { arn, external_id } => {
            let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build();
            // as with every other call, the next round retries
            let config = defaults(region).timeout_config(timeouts).retry_config(RetryConfig::disabled()).load().await;
            let mut role = AssumeRoleProvider::builder(arn).session_name(SESSION).configure(&config);
            if let Some(external_id) = external_id {
                role = role.external_id(external_id);
            }
            let provider = role.build_from_provider(own(&config)?).await;
            let attempt = format!("could not assume the role {arn}");
            let role = Explained { attempt, remedies: ROLE, within: ROLE_TIMEOUT, provider };
            Ok(SharedCredentialsProvider::new(role))
        }
    }
}

fn defaults(region: &str) -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region.to_owned()))
}

/// Returns the provider of the scaler's own identity.
fn own(config: &SdkConfig) -> Result<Explained<SharedCredentialsProvider>, String> {
    let provider = config.credentials_provider().ok_or("there are no AWS credentials")?;
    let attempt = "could not get the scaler's own credentials".to_owned();
    Ok(Explained { attempt, remedies: OWN, within: OWN_TIMEOUT, provider })
}

/// The remedies in the error, by the cause of the failure.
#[derive(Clone, Copy, Debug)]
struct Remedies {
    denied: &'static str,
    out_of_reach: &'static str,
}

const OWN: Remedies = Remedies {
    denied: "check the service account's role, or the key in the scaler's environment",
    out_of_reach: "check that the scaler can reach STS, or the agent that provides its credentials",
};
const ROLE: Remedies = Remedies {
    denied: "check that the role trusts the scaler's identity with this awsExternalId, and that the identity may call sts:AssumeRole",
    out_of_reach: "check that the scaler can reach STS in this region",
};

/// A provider whose errors name what was attempted, and which fails before the deadline of the call that waits for it.
#[derive(Debug)]
struct Explained<P> {
    attempt: String,
    remedies: Remedies,
    within: Duration,
    provider: P,
}

impl<P: ProvideCredentials> Explained<P> {
    async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let failure = match tokio::time::timeout(self.within, self.provider.provide_credentials()).await {
            Ok(Ok(credentials)) => return Ok(credentials),
            Ok(Err(error)) => Failure::of_credentials(&error),
            Err(_) => Failure::new(FailureKind::TimedOut, "no answer in time"),
        };
        let remedy = match failure.kind {
            FailureKind::Denied | FailureKind::Unauthenticated => Some(self.remedies.denied),
            FailureKind::Unreachable | FailureKind::TimedOut => Some(self.remedies.out_of_reach),
            _ => None,
        };
        Err(CredentialsError::provider_error(NoCredentials(failure.attempting(&self.attempt, remedy))))
    }
}

impl<P: ProvideCredentials> ProvideCredentials for Explained<P> {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.provider.fallback_on_interrupt()
    }
}
