//! TLS and login for Kafka: what metadata may request, what a connection has, and the result of both.
//!
//! The rules are KEDA's for its two Kafka triggers, with one exception: where metadata and connection differ, KEDA prefers the metadata;
//! here that is a problem, because an author must not weaken the operator's settings.

use std::collections::HashMap;

use super::addresses;
use super::dialect::KafkaDialect;
use super::keys::{ConnectionKind, Reader};
use super::metadata::{Metadata, TriggerError, Words};
use super::secret::Secret;

/// The TLS and login settings of a trigger's metadata, without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequestedSecurity {
    tls: Option<TlsMode>,
    sasl: Option<SaslMechanism>,
    token_provider: Option<TokenProvider>,
    aws_region: Option<String>,
    verification: CertificateVerification,
}

/// `tls`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum TlsMode {
    Enable,
    Disable,
}

/// `sasl`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum SaslMechanism {
    None,
    Plaintext,
    ScramSha256,
    ScramSha512,
    Oauthbearer,
    Gssapi,
    AwsMskIam,
}

/// `saslTokenProvider`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum TokenProvider {
    Bearer,
    AwsMskIam,
}

/// `unsafeSsl`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CertificateVerification {
    /// The brokers' certificates must be valid for their names.
    #[default]
    Full,
    /// Any certificate is accepted.
    Off,
}

/// TLS and login for a cluster, complete.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KafkaSecurity {
    /// Whether and how the connection is encrypted.
    pub tls: Tls,
    /// The login method and its credentials.
    pub sasl: Sasl,
}

/// Whether and how the connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tls {
    /// The connection is not encrypted.
    Off,
    /// The connection is encrypted.
    On {
        /// Certificates to trust in addition to the system's, PEM.
        ca: Option<String>,
        /// The client's own certificate.
        identity: Option<ClientIdentity>,
        /// How brokers are verified.
        verification: CertificateVerification,
    },
}

/// A client certificate and its key, PEM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientIdentity {
    /// The certificate, with its chain.
    pub certificate: String,
    /// The private key of the certificate.
    pub key: Secret,
    /// The password of the key, if it is encrypted.
    pub key_password: Option<Secret>,
}

/// The login method and its credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sasl {
    /// No login, except by a client certificate.
    None,
    /// SASL/PLAIN with a name and a password.
    Plain(Credentials),
    /// SASL/SCRAM-SHA-256 with a name and a password.
    ScramSha256(Credentials),
    /// SASL/SCRAM-SHA-512 with a name and a password.
    ScramSha512(Credentials),
    /// SASL/OAUTHBEARER with a token of an OAuth server, by client credentials.
    OauthBearer {
        /// Client id and client secret.
        client: Credentials,
        /// The URL of the token endpoint.
        token_endpoint: String,
        /// The scopes that the token is requested for.
        scopes: Vec<String>,
        /// SASL extensions as names and values.
        extensions: Vec<(String, String)>,
    },
    /// SASL/OAUTHBEARER with a token signed for Amazon MSK.
    AwsMskIam {
        /// The cluster's region.
        region: String,
        /// The credentials that sign the token.
        credentials: AwsCredentials,
    },
    /// SASL/GSSAPI: valid, but not supported by this build.
    Gssapi,
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The name of the SASL principal.
    pub username: String,
    /// The password of the SASL principal.
    pub password: Secret,
}

/// The credentials that sign for AWS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AwsCredentials {
    /// The default chain: environment, profile, IRSA, Pod Identity, instance.
    DefaultChain,
    /// A role, assumed by the default chain's identity.
    Role {
        /// The ARN of the role.
        arn: String,
        /// The external id that the role's owner requires.
        external_id: Option<String>,
    },
    /// A static key.
    Static {
        /// The id of the key.
        access_key_id: String,
        /// The secret part of the key.
        secret_access_key: Secret,
        /// The token of a temporary key.
        session_token: Option<Secret>,
    },
}

const TLS_MODES: Words<TlsMode> = &[("enable", TlsMode::Enable), ("disable", TlsMode::Disable)];
const TOKEN_PROVIDERS: Words<TokenProvider> =
    &[("bearer", TokenProvider::Bearer), ("aws_msk_iam", TokenProvider::AwsMskIam)];
const KAFKA_MECHANISMS: Words<SaslMechanism> = &[
    ("none", SaslMechanism::None),
    ("plaintext", SaslMechanism::Plaintext),
    ("scram_sha256", SaslMechanism::ScramSha256),
    ("scram_sha512", SaslMechanism::ScramSha512),
    ("oauthbearer", SaslMechanism::Oauthbearer),
    ("gssapi", SaslMechanism::Gssapi),
];
const APACHE_MECHANISMS: Words<SaslMechanism> = &[
    ("none", SaslMechanism::None),
    ("plaintext", SaslMechanism::Plaintext),
    ("scram_sha256", SaslMechanism::ScramSha256),
    ("scram_sha512", SaslMechanism::ScramSha512),
    ("gssapi", SaslMechanism::Gssapi),
    ("aws_msk_iam", SaslMechanism::AwsMskIam),
];

const fn mechanisms(dialect: KafkaDialect) -> Words<SaslMechanism> {
    match dialect {
        KafkaDialect::Kafka => KAFKA_MECHANISMS,
        KafkaDialect::ApacheKafka => APACHE_MECHANISMS,
    }
}

/// The valid values of `sasl`.
pub(super) fn sasl_words(dialect: KafkaDialect) -> impl Iterator<Item = &'static str> {
    mechanisms(dialect).iter().map(|(word, _)| *word)
}

/// Reads the settings of metadata or of a connection: the keys are the same.
pub(super) fn request(metadata: &Metadata<'_>, dialect: KafkaDialect) -> RequestedSecurity {
    let (token_provider, no_verification) = match dialect {
        KafkaDialect::Kafka => (metadata.word("saslTokenProvider", TOKEN_PROVIDERS), metadata.flag("unsafeSsl")),
        KafkaDialect::ApacheKafka => (None, false),
    };
    let verification = if no_verification { CertificateVerification::Off } else { CertificateVerification::Full };
    RequestedSecurity {
        tls: metadata.word("tls", TLS_MODES),
        sasl: mechanism(metadata, dialect),
        token_provider,
        aws_region: addresses::region(metadata).map(str::to_owned),
        verification,
    }
}

/// Reads `sasl`; a word of the other Kafka source gets the way to write it here.
fn mechanism(metadata: &Metadata<'_>, dialect: KafkaDialect) -> Option<SaslMechanism> {
    metadata.word_or_hint("sasl", mechanisms(dialect), |word| match (dialect, word) {
        (KafkaDialect::Kafka, "aws_msk_iam") => {
            Some("; here that is sasl: oauthbearer with saslTokenProvider: aws_msk_iam".to_owned())
        }
        (KafkaDialect::ApacheKafka, "oauthbearer") => Some("; oauthbearer is for source kafka".to_owned()),
        _ => None,
    })
}

impl RequestedSecurity {
    /// Whether these settings need a connection with credentials.
    pub(super) fn needs_secrets(&self) -> bool {
        self.sasl.is_some_and(|sasl| sasl != SaslMechanism::None)
    }

    /// The settings without a connection: TLS or not, and no login.
    #[must_use]
    pub fn without_connection(&self) -> KafkaSecurity {
        let tls = match self.tls {
            Some(TlsMode::Enable) => Tls::On { ca: None, identity: None, verification: self.verification },
            Some(TlsMode::Disable) | None => Tls::Off,
        };
        KafkaSecurity { tls, sasl: Sasl::None }
    }
}

/// Combines a trigger's metadata with a connection's parameters.
///
/// # Errors
/// Every problem of the connection's parameters, and every contradiction between the two.
pub fn resolve(
    requested: &RequestedSecurity,
    dialect: KafkaDialect,
    connection: &HashMap<String, String>,
) -> Result<KafkaSecurity, TriggerError> {
    let parameters = Metadata::new(connection);
    let own = request(&parameters, word_set(&parameters, dialect));
    let asked = merge(&parameters, requested, &own, dialect);
    let (tls, sasl) = (tls(&parameters, &asked), sasl(&parameters, &asked, dialect));
    let security = tls.zip(sasl).map(|(tls, sasl)| KafkaSecurity { tls, sasl });
    parameters.finish(security, Reader::Connection(ConnectionKind::Kafka))
}

/// Checks the parameters of a connection by themselves, for every source.
///
/// # Errors
/// Every problem of its parameters.
pub fn check_connection(connection: &HashMap<String, String>) -> Result<(), TriggerError> {
    let parameters = Metadata::new(connection);
    let dialect = word_set(&parameters, KafkaDialect::Kafka);
    resolve(&RequestedSecurity::default(), dialect, connection)?;
    addresses::check_brokers(&parameters);
    if parameters.text("password").is_some() && parameters.text("sasl").is_none() {
        parameters
            .problem("sasl", "is required where there is a password, or a trigger's author decides how it is sent");
    }
    parameters.finish(Some(()), Reader::Connection(ConnectionKind::Kafka))
}

/// A connection serves both kinds of trigger, so it may have `aws_msk_iam` or `oauthbearer` for either.
fn word_set(parameters: &Metadata<'_>, dialect: KafkaDialect) -> KafkaDialect {
    match parameters.text("sasl") {
        Some("aws_msk_iam") => KafkaDialect::ApacheKafka,
        Some("oauthbearer") if dialect == KafkaDialect::Kafka => KafkaDialect::Kafka,
        _ => dialect,
    }
}

fn merge(
    parameters: &Metadata<'_>,
    requested: &RequestedSecurity,
    own: &RequestedSecurity,
    dialect: KafkaDialect,
) -> RequestedSecurity {
    RequestedSecurity {
        tls: one_of(parameters, "tls", requested.tls, own.tls, dialect),
        sasl: one_of(parameters, "sasl", requested.sasl, own.sasl, dialect),
        token_provider: one_of(
            parameters,
            "saslTokenProvider",
            requested.token_provider,
            own.token_provider,
            KafkaDialect::Kafka,
        ),
        aws_region: match (&requested.aws_region, &own.aws_region) {
            (Some(requested), Some(own)) if requested != own => {
                parameters.problem("awsRegion", "differs between the metadata and the connection");
                None
            }
            (requested, own) => own.clone().or_else(|| requested.clone()),
        },
        // in metadata the key may apply to KEDA's own connection to the scaler
        verification: own.verification,
    }
}

/// Combines two settings of a key: apache-kafka rejects a key that is set twice; for kafka both must be equal.
fn one_of<T: Copy + PartialEq>(
    parameters: &Metadata<'_>,
    key: &str,
    requested: Option<T>,
    own: Option<T>,
    dialect: KafkaDialect,
) -> Option<T> {
    match (requested, own) {
        (Some(_), Some(_)) if dialect == KafkaDialect::ApacheKafka => {
            parameters.problem(key, "is set both in the metadata and in the connection");
        }
        (Some(requested), Some(own)) if requested != own => {
            parameters.problem(key, "differs between the metadata and the connection");
        }
        _ => {}
    }
    own.or(requested)
}

fn tls(parameters: &Metadata<'_>, asked: &RequestedSecurity) -> Option<Tls> {
    if asked.tls != Some(TlsMode::Enable) {
        return Some(Tls::Off);
    }
    let identity = match (parameters.text("cert"), parameters.text("key")) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some(ClientIdentity {
            certificate: certificate.to_owned(),
            key: Secret::new(key),
            key_password: parameters.text("keyPassword").map(Secret::new),
        }),
        (Some(_), None) => {
            parameters.problem("key", "must be given together with cert");
            return None;
        }
        (None, Some(_)) => {
            parameters.problem("cert", "must be given together with key");
            return None;
        }
    };
    Some(Tls::On { ca: parameters.text("ca").map(str::to_owned), identity, verification: asked.verification })
}

fn sasl(parameters: &Metadata<'_>, asked: &RequestedSecurity, dialect: KafkaDialect) -> Option<Sasl> {
    let strictly = match dialect {
        // kafka-go checks SCRAM credentials only at login
        KafkaDialect::ApacheKafka => asked.sasl == Some(SaslMechanism::Plaintext),
        KafkaDialect::Kafka => true,
    };
    match (asked.sasl, asked.token_provider) {
        (None | Some(SaslMechanism::None), _) => Some(Sasl::None),
        (Some(SaslMechanism::Plaintext), _) => credentials(parameters, strictly).map(Sasl::Plain),
        (Some(SaslMechanism::ScramSha256), _) => credentials(parameters, strictly).map(Sasl::ScramSha256),
        (Some(SaslMechanism::ScramSha512), _) => credentials(parameters, strictly).map(Sasl::ScramSha512),
        (Some(SaslMechanism::AwsMskIam), _) | (Some(SaslMechanism::Oauthbearer), Some(TokenProvider::AwsMskIam)) => {
            msk_iam(parameters, asked)
        }
        (Some(SaslMechanism::Oauthbearer), _) => oauthbearer(parameters),
        (Some(SaslMechanism::Gssapi), _) => {
            check_gssapi(parameters, dialect);
            Some(Sasl::Gssapi)
        }
    }
}

fn credentials(parameters: &Metadata<'_>, strictly: bool) -> Option<Credentials> {
    let (username, password) = if strictly {
        (parameters.required("username"), parameters.required("password"))
    } else {
        (parameters.text("username").or(Some("")), parameters.text("password").or(Some("")))
    };
    Some(Credentials { username: username?.to_owned(), password: Secret::new(password?) })
}

fn oauthbearer(parameters: &Metadata<'_>) -> Option<Sasl> {
    let client = credentials(parameters, true);
    let token_endpoint = parameters.required("oauthTokenEndpointUri");
    let mut extensions = Vec::new();
    for entry in parameters.list("oauthExtensions") {
        match entry.split_once('=') {
            Some((name, value)) if !name.is_empty() => extensions.push((name.to_owned(), value.to_owned())),
            _ => {
                parameters.problem("oauthExtensions", "must be name=value, separated by commas");
                return None;
            }
        }
    }
    let scopes = parameters.list("scopes").map(str::to_owned).collect();
    Some(Sasl::OauthBearer { client: client?, token_endpoint: token_endpoint?.to_owned(), scopes, extensions })
}

fn msk_iam(parameters: &Metadata<'_>, asked: &RequestedSecurity) -> Option<Sasl> {
    if asked.tls != Some(TlsMode::Enable) {
        parameters.problem("tls", "must be enable for IAM of Amazon MSK");
    }
    if asked.aws_region.is_none() {
        parameters.problem("awsRegion", "is required for IAM of Amazon MSK");
    }
    let parts = ["awsAccessKeyID", "awsSecretAccessKey", "awsSessionToken"].map(|key| parameters.text(key));
    let credentials = match (addresses::role(parameters), parts) {
        (Some(arn), _) => AwsCredentials::Role {
            arn: arn.to_owned(),
            external_id: parameters.text("awsExternalId").map(str::to_owned),
        },
        (None, [Some(access_key_id), Some(secret), session_token]) => AwsCredentials::Static {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: Secret::new(secret),
            session_token: session_token.map(Secret::new),
        },
        (None, [None, None, None]) => AwsCredentials::DefaultChain,
        (None, [access_key_id, secret, _]) => {
            for (key, value) in [("awsAccessKeyID", access_key_id), ("awsSecretAccessKey", secret)] {
                if value.is_none() {
                    parameters.problem(key, "is required where any part of a static AWS key is given");
                }
            }
            return None;
        }
    };
    Some(Sasl::AwsMskIam { region: asked.aws_region.clone()?, credentials })
}

/// KEDA's checks for Kerberos, so that a connection that is invalid there is invalid here.
fn check_gssapi(parameters: &Metadata<'_>, dialect: KafkaDialect) {
    if dialect == KafkaDialect::ApacheKafka {
        return;
    }
    for key in ["username", "realm", "kerberosConfig"] {
        parameters.required(key);
    }
    if parameters.text("password").is_some() == parameters.text("keytab").is_some() {
        parameters.problem("keytab", "exactly one of password and keytab is required");
    }
    parameters.flag("kerberosDisableFAST");
}
