//! Region, endpoint and identity for AWS: what metadata may request, what a connection has, and the result of both.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::addresses;
use super::keys::{ConnectionKind, Reader};
use super::metadata::{Metadata, TriggerError, Words};
use super::secret::Secret;
use super::security::AwsCredentials;

/// The region and identity in a trigger's metadata.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AwsAccess {
    /// The connection that has region and credentials.
    pub connection: Option<Arc<str>>,
    /// The region; never empty without a connection.
    pub region: Option<Arc<str>>,
    /// The address of the services, instead of AWS's own addresses.
    pub endpoint: Option<Arc<str>>,
    /// The credentials that sign requests.
    pub credentials: AwsCredentials,
}

/// Region, endpoint and identity, complete.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AwsIdentity {
    /// The AWS region.
    pub region: Arc<str>,
    /// The address of the services, instead of AWS's own addresses.
    pub endpoint: Option<Arc<str>>,
    /// The credentials that sign requests.
    pub credentials: AwsCredentials,
}

/// `identityOwner`: KEDA's choice among its own identities, of which the scaler has one.
const IDENTITY_OWNERS: Words<()> = &[("operator", ()), ("pod", ()), ("workload", ())];

const NEEDS_NOTHING: &str = "belongs in the connection; leave it out, or name no connection";

impl AwsAccess {
    /// Reads region and identity; `of_stream` is the region in the stream's ARN.
    pub(super) fn read(metadata: &Metadata<'_>, of_stream: Option<&str>) -> Option<Self> {
        metadata.word("identityOwner", IDENTITY_OWNERS);
        let connection: Option<Arc<str>> = metadata.text("connection").map(Arc::from);
        let region = addresses::region(metadata);
        if let (Some(region), Some(of_stream)) = (region, of_stream)
            && region != of_stream
        {
            metadata
                .problem("awsRegion", format!("{region} is not the region of streamARN, {of_stream}; leave it out"));
        }
        let elsewhere = ["connection", "awsRegion", "streamARN"].iter().any(|key| metadata.text(key).is_some());
        if !elsewhere {
            metadata.problem("awsRegion", "is required, unless a connection is named");
        }
        let region = region.or(of_stream).map(Arc::from);
        let credentials = credentials(metadata);
        if connection.is_some() {
            let given = [
                "awsEndpoint",
                "awsRoleArn",
                "awsExternalId",
                "awsAccessKeyID",
                "awsSecretAccessKey",
                "awsSessionToken",
            ];
            for key in given.into_iter().filter(|key| metadata.text(key).is_some()) {
                metadata.problem(key, NEEDS_NOTHING);
            }
        }
        let endpoint = addresses::endpoint(metadata).map(Arc::from);
        Some(Self { connection, region, endpoint, credentials: credentials? })
    }

    /// Returns the identity without a connection.
    #[must_use]
    pub fn without_connection(&self) -> Option<AwsIdentity> {
        let region = self.region.clone()?;
        Some(AwsIdentity { region, endpoint: self.endpoint.clone(), credentials: self.credentials.clone() })
    }
}

impl AwsIdentity {
    /// Reads the identity from the parameters of a connection.
    ///
    /// # Errors
    /// Every problem of the parameters.
    pub fn of_connection(parameters: &HashMap<String, String>) -> Result<Self, TriggerError> {
        let metadata = Metadata::new(parameters);
        metadata.required("awsRegion");
        let region = addresses::region(&metadata);
        let endpoint = addresses::endpoint(&metadata).map(Arc::from);
        let identity = credentials(&metadata).zip(region);
        let identity = identity.map(|(credentials, region)| Self { region: region.into(), endpoint, credentials });
        metadata.finish(identity, Reader::Connection(ConnectionKind::Aws))
    }
}

/// Reads a key, a role, or the default chain.
fn credentials(metadata: &Metadata<'_>) -> Option<AwsCredentials> {
    let [key, secret, token] =
        ["awsAccessKeyID", "awsSecretAccessKey", "awsSessionToken"].map(|key| metadata.text(key));
    let role = addresses::role(metadata);
    let external_id = metadata.text("awsExternalId");
    if metadata.text("awsRoleArn").is_none() && external_id.is_some() {
        metadata.problem("awsExternalId", "is for awsRoleArn only");
    }
    if role.is_some() && (key.is_some() || secret.is_some()) {
        metadata.problem("awsRoleArn", "cannot be given together with a key");
    }
    match (key, secret) {
        (Some(key), Some(secret)) => Some(AwsCredentials::Static {
            access_key_id: key.to_owned(),
            secret_access_key: Secret::new(secret.to_owned()),
            session_token: token.map(|token| Secret::new(token.to_owned())),
        }),
        (None, None) if token.is_none() => Some(role.map_or(AwsCredentials::DefaultChain, |arn| {
            AwsCredentials::Role { arn: arn.to_owned(), external_id: external_id.map(str::to_owned) }
        })),
        (key, _) => {
            let missing = if key.is_none() { "awsAccessKeyID" } else { "awsSecretAccessKey" };
            metadata.problem(missing, "is required where another part of a key is given");
            None
        }
    }
}

impl fmt::Display for AwsAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.connection, &self.region) {
            (Some(connection), _) => write!(f, "connection {connection}")?,
            (None, Some(region)) => write!(f, "region {region}")?,
            (None, None) => {}
        }
        match &self.credentials {
            AwsCredentials::Role { arn, .. } => write!(f, ", role {arn}"),
            AwsCredentials::DefaultChain | AwsCredentials::Static { .. } => Ok(()),
        }
    }
}
