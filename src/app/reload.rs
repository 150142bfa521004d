//! Reads files again when they have changed: the connections file with the secrets that it names, and those of TLS.
//!
//! By content and not by notification: Kubernetes replaces mounted files through links, of which notifications tell little.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};

use crate::source::ConnectionsHandle;
use crate::telemetry::TlsMetrics;
use crate::tenancy::Connections;
use crate::tls::{self, Expiry, Tls};

/// Kubernetes itself takes up to a minute to bring a changed secret into a pod.
const CONNECTIONS_INTERVAL: Duration = Duration::from_secs(5);

/// A client whose CA was taken away should not get in for long.
const TLS_INTERVAL: Duration = Duration::from_secs(1);

/// Something that was read from files.
trait Reload: Send + 'static {
    /// Why it cannot be read.
    type Error: std::fmt::Display + Send;
    /// What it is, for logs.
    const WHAT: &'static str;
    /// The file that names it, for logs.
    fn file(&self) -> &Path;
    /// Reads it again, and tells whether it is something else than before.
    fn reload(&mut self) -> Result<bool, Self::Error>;
}

struct ConnectionsFile {
    path: PathBuf,
    handle: ConnectionsHandle,
}

struct TlsFiles {
    tls: Tls,
    metrics: TlsMetrics,
    /// What was last told of the certificate's end.
    told: Expiry,
}

/// Keeps the rules in `handle` those of the file. Runs for ever.
pub(super) async fn connections(path: PathBuf, handle: ConnectionsHandle) -> anyhow::Result<()> {
    watch(ConnectionsFile { path, handle }, CONNECTIONS_INTERVAL).await
}

/// Keeps certificate, key and client CA those of the files, and tells when the certificate comes near its end. Runs for ever.
pub(super) fn tls(tls: Tls, metrics: TlsMetrics) -> impl Future<Output = anyhow::Result<()>> + Send {
    metrics.set_certificate_end(tls.validity().end());
    watch(TlsFiles { tls, metrics, told: Expiry::Good }, TLS_INTERVAL)
}

/// A file that became wrong is told once, and what was read before stays in force.
async fn watch<R: Reload>(mut files: R, every: Duration) -> anyhow::Result<()> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_error: Option<String> = None;
    loop {
        ticks.tick().await;
        let outcome;
        (files, outcome) = tokio::task::spawn_blocking(move || {
            let outcome = files.reload();
            (files, outcome)
        })
        .await?;
        let file = files.file().display();
        match outcome {
            Ok(changed) => {
                if last_error.take().is_some() {
                    tracing::info!(%file, "{} can be read again", R::WHAT);
                }
                if changed {
                    tracing::info!(%file, "{} reloaded", R::WHAT);
                }
            }
            Err(error) => {
                let error = error.to_string();
                if last_error.as_ref() != Some(&error) {
                    tracing::error!(%file, error, "{} not reloaded; what was read before stays in force", R::WHAT);
                    last_error = Some(error);
                }
            }
        }
    }
}

impl Reload for ConnectionsFile {
    type Error = crate::tenancy::ConnectionsError;
    const WHAT: &'static str = "connections";

    fn file(&self) -> &Path {
        &self.path
    }

    fn reload(&mut self) -> Result<bool, Self::Error> {
        Ok(self.handle.replace(Connections::read(&self.path)?))
    }
}

impl Reload for TlsFiles {
    type Error = tls::Error;
    const WHAT: &'static str = "TLS certificate, key and client CA";

    fn file(&self) -> &Path {
        &self.tls.files().certificate
    }

    fn reload(&mut self) -> Result<bool, Self::Error> {
        let outcome = self.tls.reload();
        self.metrics.set_certificate_end(self.tls.validity().end());
        self.tell_of_the_end(since_1970());
        outcome
    }
}

impl TlsFiles {
    fn tell_of_the_end(&mut self, now: Duration) {
        let validity = self.tls.validity();
        let expiry = validity.at(now);
        if expiry == self.told {
            return;
        }
        self.told = expiry;
        let file = self.file().display();
        match expiry {
            Expiry::Good => tracing::info!(%file, expires = %validity, "the TLS certificate is good again"),
            Expiry::Near => tracing::warn!(%file, expires = %validity, "the TLS certificate ends soon: renew it"),
            Expiry::Over => {
                tracing::error!(%file, expires = %validity, "the TLS certificate is over: clients refuse it");
            }
            Expiry::NotYetValid => {
                tracing::error!(%file, expires = %validity, "the TLS certificate is not good yet: clients refuse it");
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a certificate ends at a time of day")]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
