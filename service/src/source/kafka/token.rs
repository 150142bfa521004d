//! Tokens for SASL/OAUTHBEARER: from an OAuth server by client credentials, or signed for Amazon MSK.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as AwsKey;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::protocol::OauthToken;
use crate::source::aws::credentials::provider;
use crate::source::chain;
use crate::telemetry::{UpstreamApi, UpstreamMetrics, UpstreamOutcome};
use crate::trigger::{AwsCredentials, Credentials, Sasl, Secret, Tls};

/// The deadline for the answer of an OAuth server.
const DEADLINE: Duration = Duration::from_secs(5);

/// The longest lifetime of a token that Amazon MSK accepts.
const MSK_LIFETIME: Duration = Duration::from_secs(900);

/// The lifetime of a token that names none.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);

/// The maximum lifetime that is assumed for a token: the server chooses the number, and it may be any.
const LONGEST_LIFETIME: Duration = Duration::from_secs(86_400);

/// The source of tokens.
pub enum TokenSource {
    /// A server of OAuth 2.0 client credentials.
    Oauth {
        /// The HTTP client.
        http: reqwest::Client,
        /// The URL of the token endpoint.
        endpoint: String,
        /// Id and secret of the client.
        client: Credentials,
        /// The requested scopes.
        scopes: Vec<String>,
        /// SASL extensions: names and values.
        extensions: Vec<(String, String)>,
        /// Counts the requests.
        metrics: UpstreamMetrics,
    },
    /// A signed URL of Amazon MSK's IAM login, made locally.
    AwsMskIam {
        /// The region of the cluster.
        region: String,
        /// The credentials that sign.
        credentials: AwsCredentials,
    },
}

/// A token and its lifetime.
pub struct Fetched {
    /// The token of the login.
    pub token: OauthToken,
    /// The time for which it is valid.
    pub lifetime: Duration,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<u64>,
}

impl TokenSource {
    /// Creates the source of tokens that the login needs, if it needs any.
    ///
    /// # Errors
    /// Returns an error when the certificates of the connection cannot be read.
    pub(super) fn new(sasl: &Sasl, tls: &Tls, metrics: &UpstreamMetrics) -> Result<Option<Self>, String> {
        match sasl {
            Sasl::OauthBearer { client, token_endpoint, scopes, extensions } => Ok(Some(Self::Oauth {
                http: http(tls)?,
                endpoint: token_endpoint.clone(),
                client: client.clone(),
                scopes: scopes.clone(),
                extensions: extensions.clone(),
                metrics: metrics.clone(),
            })),
            Sasl::AwsMskIam { region, credentials } => {
                Ok(Some(Self::AwsMskIam { region: region.clone(), credentials: credentials.clone() }))
            }
            Sasl::None | Sasl::Plain(_) | Sasl::ScramSha256(_) | Sasl::ScramSha512(_) | Sasl::Gssapi => Ok(None),
        }
    }

    /// Fetches a new token; `now` is the wall-clock time.
    ///
    /// # Errors
    /// Returns the reason when the token endpoint or the credentials fail.
    pub async fn fetch(&self, now: SystemTime) -> Result<Fetched, String> {
        match self {
            Self::Oauth { http, endpoint, client, scopes, extensions, metrics } => {
                let call = metrics.begin(UpstreamApi::OauthToken);
                let fetched = oauth(http, endpoint, client, scopes, extensions).await;
                let outcome = if fetched.is_ok() { UpstreamOutcome::Ok } else { UpstreamOutcome::Error };
                call.ended(outcome);
                fetched
            }
            Self::AwsMskIam { region, credentials } => {
                let provider = provider(region, credentials).await?;
                let key = provider.provide_credentials().await;
                let key = key.map_err(|error| format!("could not get AWS credentials: {}", chain(&error)))?;
                msk_token(region, &key, now)
            }
        }
    }
}

fn http(tls: &Tls) -> Result<reqwest::Client, String> {
    let mut http = reqwest::Client::builder().timeout(DEADLINE).redirect(reqwest::redirect::Policy::none());
    if let Tls::On { ca: Some(ca), .. } = tls {
        let roots = reqwest::Certificate::from_pem_bundle(ca.as_bytes());
        http = http.tls_certs_merge(roots.map_err(|error| format!("could not read ca: {}", chain(&error)))?);
    }
    http.build().map_err(|error| format!("could not set up TLS: {}", chain(&error)))
}

async fn oauth(
    http: &reqwest::Client,
    endpoint: &str,
    client: &Credentials,
    scopes: &[String],
    extensions: &[(String, String)],
) -> Result<Fetched, String> {
    let failed =
        |error: reqwest::Error| format!("could not get a token from {endpoint}: {}", chain(&error.without_url()));
    let mut form = vec![("grant_type", "client_credentials".to_owned())];
    if !scopes.is_empty() {
        form.push(("scope", scopes.join(" ")));
    }
    let request = http.post(endpoint).basic_auth(&client.username, Some(client.password.reveal())).form(&form);
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("could not get a token from {endpoint}: it answered {status}"));
    }
    let answer: TokenAnswer = answer.json().await.map_err(failed)?;
    Ok(answer.fetched(extensions))
}

impl TokenAnswer {
    fn fetched(self, extensions: &[(String, String)]) -> Fetched {
        let lifetime = self.expires_in.map_or(DEFAULT_LIFETIME, Duration::from_secs).min(LONGEST_LIFETIME);
        let token = OauthToken { value: Secret::new(self.access_token), extensions: extensions.to_vec() };
        Fetched { token, lifetime }
    }
}

/// Presigns a `kafka-cluster:Connect` request, as Amazon MSK's IAM expects it. The token expires no later than the key that signed it.
fn msk_token(region: &str, key: &AwsKey, now: SystemTime) -> Result<Fetched, String> {
    let left = key.expiry().map_or(MSK_LIFETIME, |expiry| expiry.duration_since(now).unwrap_or_default());
    let lifetime = MSK_LIFETIME.min(left);
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(lifetime);
    let identity = key.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("kafka-cluster")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| format!("could not sign for Amazon MSK: {error}"))?;
    let host = format!("kafka.{region}.{}", suffix(region));
    let url = format!("https://{host}/?Action=kafka-cluster%3AConnect");
    let headers = std::iter::once(("host", host.as_str()));
    let request = SignableRequest::new("GET", &url, headers, SignableBody::Bytes(&[]))
        .map_err(|error| format!("could not sign for Amazon MSK: {error}"))?;
    let signed =
        sign(request, &parameters.into()).map_err(|error| format!("could not sign for Amazon MSK: {error}"))?;
    let (instructions, _) = signed.into_parts();
    let signed = instructions.params().iter().map(|(name, value)| format!("&{name}={}", percent_encoded(value)));
    let query = format!("{url}{}&User-Agent=keda-stream-scaler", signed.collect::<String>());
    let token = OauthToken { value: Secret::new(BASE64_URL_SAFE_NO_PAD.encode(query)), extensions: Vec::new() };
    Ok(Fetched { token, lifetime })
}

/// Returns the domain suffix of the service's host name in the region's partition.
fn suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    const NOW: u64 = 1_700_000_000;

    fn key(session_token: Option<&str>, expiry: Option<SystemTime>) -> AwsKey {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        AwsKey::new("AKIDEXAMPLE", secret, session_token.map(str::to_owned), expiry, "test")
    }

    /// Returns the address that a token encodes, and its parameters.
    fn opened(fetched: &Fetched) -> (String, BTreeMap<String, String>) {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(fetched.token.value.reveal()).expect("base64 for addresses");
        let text = String::from_utf8(bytes).expect("an address");
        let (address, query) = text.split_once('?').expect("parameters");
        let pairs = query.split('&').map(|pair| pair.split_once('=').expect("a pair"));
        (address.to_owned(), pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The signatures were computed by another implementation of AWS Signature Version 4.
    #[test]
    fn a_token_for_msk_is_signed_as_another_implementation_signs_it() {
        let fetched = msk_token("eu-west-1", &key(None, None), at(NOW)).expect("a token");
        let (address, parameters) = opened(&fetched);
        assert_eq!(address, "https://kafka.eu-west-1.amazonaws.com/");
        assert_eq!(parameters["Action"], "kafka-cluster%3AConnect");
        assert_eq!(parameters["X-Amz-Expires"], "900");
        assert_eq!(parameters["User-Agent"], "keda-stream-scaler");
        assert_eq!(parameters["X-Amz-Signature"], "26794ad200e10e2e7b4c6228b6953ca4aaa8dfc38515ae16882689fcb5f066a9");
        assert_eq!(fetched.lifetime, MSK_LIFETIME);
    }

    #[test]
    fn a_token_for_msk_lasts_no_longer_than_the_key_that_signed_it() {
        let key = key(Some("a/session+token=="), Some(at(NOW + 300)));
        let fetched = msk_token("eu-west-1", &key, at(NOW)).expect("a token");
        let (_, parameters) = opened(&fetched);
        assert_eq!(parameters["X-Amz-Expires"], "300");
        assert_eq!(parameters["X-Amz-Security-Token"], "a%2Fsession%2Btoken%3D%3D");
        assert_eq!(parameters["X-Amz-Signature"], "9706cc260d3adbad90c7413f2efb740b6e7bed63d9f90261fb5950eec49d2862");
        assert_eq!(fetched.lifetime, Duration::from_secs(300));
    }

    #[test]
    fn a_token_may_claim_any_lifetime() {
        let cases = [
            (None, DEFAULT_LIFETIME),
            (Some(0), Duration::ZERO),
            (Some(3600), Duration::from_secs(3600)),
            (Some(u64::MAX / 1000), LONGEST_LIFETIME),
            (Some(u64::MAX), LONGEST_LIFETIME),
        ];
        for (expires_in, lifetime) in cases {
            let answer = TokenAnswer { access_token: "t".to_owned(), expires_in };
            let fetched = answer.fetched(&[]);
            assert_eq!(fetched.lifetime, lifetime, "{expires_in:?}");
        }
    }

    #[test]
    fn regions_of_china_have_their_own_host_names() {
        let fetched = msk_token("cn-north-1", &key(None, None), at(NOW)).expect("a token");
        assert_eq!(opened(&fetched).0, "https://kafka.cn-north-1.amazonaws.com.cn/");
    }
}
