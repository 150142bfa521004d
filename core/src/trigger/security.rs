//! TLS and login towards Kafka: what metadata may ask for, what a connection has, and what follows from both.
//!
//! KEDA's rules for its two Kafka triggers, with one exception: where metadata and connection differ, KEDA lets the metadata
//! win; here that is a problem, because an author must not weaken what the operator set.

use std::collections::HashMap;

use super::addresses;
use super::dialect::KafkaDialect;
use super::keys::Reader;
use super::metadata::{Metadata, Words};
use super::problem::{About, Problem, TriggerError};
use super::secret::Secret;

/// What a trigger's metadata says of TLS and login. No secret is in it.
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
    /// Any certificate will do.
    Off,
}

/// TLS and login towards a cluster, complete.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KafkaSecurity {
    /// Whether and how the connection is encrypted.
    pub tls: Tls,
    /// Who logs in.
    pub sasl: Sasl,
}

/// Whether and how the connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tls {
    /// It is not.
    Off,
    /// It is.
    On {
        /// Certificates to trust besides the system's, PEM.
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
    /// Its key.
    pub key: Secret,
    /// The password of the key, if it is encrypted.
    pub key_password: Option<Secret>,
}

/// Who logs in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sasl {
    /// Nobody, or the client certificate.
    None,
    /// SASL/PLAIN.
    Plain(Credentials),
    /// SASL/SCRAM-SHA-256.
    ScramSha256(Credentials),
    /// SASL/SCRAM-SHA-512.
    ScramSha512(Credentials),
    /// SASL/OAUTHBEARER with a token of an OAuth server, by client credentials.
    OauthBearer {
        /// Client id and client secret.
        client: Credentials,
        /// Where the token is had.
        token_endpoint: String,
        /// What it shall allow.
        scopes: Vec<String>,
        /// SASL extensions.
        extensions: Vec<(String, String)>,
    },
    /// SASL/OAUTHBEARER with a token signed for Amazon MSK.
    AwsMskIam {
        /// The cluster's region.
        region: String,
        /// Who signs.
        credentials: AwsCredentials,
    },
    /// SASL/GSSAPI: valid, but not supported by this build.
    Gssapi,
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// Who signs for AWS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AwsCredentials {
    /// The default chain: environment, profile, IRSA, Pod Identity, instance.
    DefaultChain,
    /// A role, assumed by the default chain's identity.
    Role {
        /// Its ARN.
        arn: String,
        /// The external id that its owner asks for.
        external_id: Option<String>,
    },
    /// A static key.
    Static {
        /// The key's id.
        access_key_id: String,
        /// The key.
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

/// The words of `sasl`.
pub(super) fn sasl_words(dialect: KafkaDialect) -> impl Iterator<Item = &'static str> {
    mechanisms(dialect).iter().map(|(word, _)| *word)
}

/// What the metadata asks for, or what a connection has: the keys are the same.
pub(super) fn request(metadata: &Metadata<'_>, dialect: KafkaDialect) -> RequestedSecurity {
    let (token_provider, no_verification) = match dialect {
        KafkaDialect::Kafka => (metadata.word("saslTokenProvider", TOKEN_PROVIDERS), metadata.flag("unsafeSsl")),
        KafkaDialect::ApacheKafka => (None, false),
    };
    let verification = if no_verification { CertificateVerification::Off } else { CertificateVerification::Full };
    RequestedSecurity {
        tls: metadata.word("tls", TLS_MODES),
        sasl: metadata.word("sasl", mechanisms(dialect)),
        token_provider,
        aws_region: addresses::region(metadata).map(str::to_owned),
        verification,
    }
}

impl RequestedSecurity {
    /// Whether this cannot be done without a connection.
    pub(super) fn needs_secrets(&self) -> bool {
        self.sasl.is_some_and(|sasl| sasl != SaslMechanism::None)
    }

    /// Security without a connection: TLS or not, and no login.
    #[must_use]
    pub fn without_connection(&self) -> KafkaSecurity {
        let tls = match self.tls {
            Some(TlsMode::Enable) => Tls::On { ca: None, identity: None, verification: self.verification },
            Some(TlsMode::Disable) | None => Tls::Off,
        };
        KafkaSecurity { tls, sasl: Sasl::None }
    }
}

/// What follows from a trigger's metadata and a connection's parameters together.
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
    parameters.finish(security, Reader::Connection)
}

/// Checks a connection by itself, whichever source will use it.
///
/// # Errors
/// Every problem of its parameters.
pub fn check_connection(connection: &HashMap<String, String>) -> Result<(), TriggerError> {
    let parameters = Metadata::new(connection);
    let dialect = word_set(&parameters, KafkaDialect::Kafka);
    resolve(&RequestedSecurity::default(), dialect, connection)?;
    if parameters.text("password").is_some() && parameters.text("sasl").is_none() {
        let message = "is required where there is a password, or a trigger's author says how it is sent".to_owned();
        return Err(TriggerError { problems: vec![Problem { key: "sasl".to_owned(), message, about: About::Value }] });
    }
    Ok(())
}

/// A connection serves both kinds of trigger, so it may say `aws_msk_iam` or `oauthbearer` whichever asks.
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
        // in metadata the key may be meant for KEDA's own connection to the scaler
        verification: own.verification,
    }
}

/// apache-kafka refuses a key that is set twice; for kafka both must say the same.
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
        // kafka-go looks at SCRAM credentials only when it logs in
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

/// KEDA's checks for Kerberos, so that a connection that is wrong there is wrong here.
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
