//! Who asks AWS: a key, a role, or the default chain.

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

use crate::trigger::AwsCredentials;

const SESSION: &str = "keda-stream-scaler";

/// The provider of these credentials.
///
/// # Errors
/// When the default chain has no provider at all.
pub(in crate::source) async fn provider(
    region: &str,
    credentials: &AwsCredentials,
) -> Result<SharedCredentialsProvider, String> {
    let region = Region::new(region.to_owned());
    match credentials {
        AwsCredentials::Static { access_key_id, secret_access_key, session_token } => {
            let token = session_token.as_ref().map(|token| token.reveal().to_owned());
            let key = Credentials::new(access_key_id, secret_access_key.reveal(), token, None, "connection");
            Ok(SharedCredentialsProvider::new(key))
        }
        AwsCredentials::DefaultChain => {
            let config = aws_config::defaults(BehaviorVersion::latest()).region(region).load().await;
            config.credentials_provider().ok_or_else(|| "there are no AWS credentials".to_owned())
        }
        AwsCredentials::Role { arn, external_id } => {
            let config = aws_config::defaults(BehaviorVersion::latest()).region(region).load().await;
            let mut role = AssumeRoleProvider::builder(arn).session_name(SESSION).configure(&config);
            if let Some(external_id) = external_id {
                role = role.external_id(external_id);
            }
            Ok(SharedCredentialsProvider::new(role.build().await))
        }
    }
}
