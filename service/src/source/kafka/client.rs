//! A cluster with an identity: its client, and the task that renews its token.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::batched::Batched;
use super::cluster::Cluster;
use super::token::{Fetched, TokenSource};
use crate::lag::{Report, SourceError, SourceErrorKind};
use crate::telemetry::{UpstreamMetrics, supervised};
use crate::tenancy::AllowedHosts;
use crate::trigger::{KafkaSecurity, SourceRef};

/// The pause before a token that could not be fetched is requested again.
const TOKEN_RETRY: Duration = Duration::from_secs(5);

/// The minimum time between two token requests: brokers refuse another login within one second.
const SHORTEST_REFRESH: Duration = Duration::from_secs(2);

/// Reads the groups of one cluster with one identity.
pub struct KafkaClient {
    cluster: Arc<Cluster<Batched>>,
    _refresh: Option<AbortOnDropHandle<()>>,
}

impl KafkaClient {
    /// Creates a client; it connects at the first request.
    ///
    /// # Errors
    /// Returns [`SourceErrorKind::Denied`] when the credentials are unusable.
    pub fn new<S: AsRef<str>>(
        bootstrap_servers: &[S],
        security: &KafkaSecurity,
        reach: AllowedHosts,
        metrics: &UpstreamMetrics,
    ) -> Result<Self, SourceError> {
        let (transport, tokens) = open(bootstrap_servers, security, reach, metrics)?;
        let cluster = Arc::new(Cluster::new(transport));
        let refresh = tokens.map(|tokens| {
            let (tokens, cluster) = (Arc::new(tokens), cluster.clone());
            let task = supervised("OAuth token renewal", move || keep_token(tokens.clone(), cluster.clone()));
            AbortOnDropHandle::new(tokio::spawn(task))
        });
        Ok(Self { cluster, _refresh: refresh })
    }

    /// Reads the `due` sources and reports each exactly once.
    pub async fn observe(&self, due: Vec<Arc<SourceRef>>, report: &Report) {
        self.cluster.observe(due, report).await;
    }
}

/// Creates the client of a cluster, and the source of its tokens if its login needs one.
///
/// # Errors
/// Returns [`SourceErrorKind::Denied`] when the credentials are unusable.
pub fn open<S: AsRef<str>>(
    bootstrap_servers: &[S],
    security: &KafkaSecurity,
    reach: AllowedHosts,
    metrics: &UpstreamMetrics,
) -> Result<(Batched, Option<TokenSource>), SourceError> {
    let transport = Batched::new(bootstrap_servers, security, reach, metrics)?;
    let tokens = TokenSource::new(&security.sasl, &security.tls, metrics).map_err(|cause| {
        SourceError::new(SourceErrorKind::Denied, "could not set up a client for tokens")
            .because(cause)
            .remedy("correct the connection")
    })?;
    Ok((transport, tokens))
}

/// Renews the token after four fifths of its lifetime.
async fn keep_token(tokens: Arc<TokenSource>, cluster: Arc<Cluster<Batched>>) {
    let mut failing = false;
    loop {
        #[expect(clippy::disallowed_methods, reason = "a token's lifetime is measured in wall-clock time")]
        let now = SystemTime::now();
        let pause = match tokens.fetch(now).await {
            Ok(Fetched { token, lifetime }) => {
                cluster.transport().set_token(token);
                if std::mem::take(&mut failing) {
                    tracing::info!("tokens are issued again");
                }
                (lifetime * 4 / 5).max(SHORTEST_REFRESH)
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(error, "could not get a token");
                }
                cluster.transport().set_token_failure(&error);
                TOKEN_RETRY
            }
        };
        sleep(pause).await;
    }
}

/// Returns the certificates that this machine trusts, in PEM; empty where none are found.
pub fn system_roots() -> String {
    let file = openssl_probe::probe().cert_file;
    file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default()
}
