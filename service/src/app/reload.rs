//! Reloads files when they change: the connections file with the secrets that it names, and the TLS files.
//!
//! Changes are detected by content, not by file notifications: Kubernetes replaces mounted files through symbolic links, for which
//! notifications are unreliable.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};

use crate::source::ConnectionsHandle;
use crate::telemetry::TlsMetrics;
use crate::tenancy::Connections;
use crate::tls::{self, Expiry, Tls};

/// The interval for the connections file. Kubernetes itself takes up to a minute to update a changed secret in a pod.
const CONNECTIONS_INTERVAL: Duration = Duration::from_secs(5);

/// The interval for TLS files: a client whose CA was removed should not stay accepted for long.
const TLS_INTERVAL: Duration = Duration::from_secs(1);

/// Content that was read from files and can be read again.
trait Reload: Send + 'static {
    /// The reason why the files cannot be read.
    type Error: std::fmt::Display + Send;
    /// The name of the content, for logs.
    const WHAT: &'static str;
    /// The path of the main file, for logs.
    fn file(&self) -> &Path;
    /// Reads the files again, and returns whether the content has changed.
    fn reload(&mut self) -> Result<bool, Self::Error>;
}

struct ConnectionsFile {
    path: PathBuf,
    handle: ConnectionsHandle,
}

struct TlsFiles {
    tls: Tls,
    metrics: TlsMetrics,
    /// The state of the certificate's expiry that was last logged.
    told: Expiry,
}

/// Keeps the rules in `handle` in sync with the file. Runs forever.
///
/// # Errors
/// Never: a file that cannot be read is logged, and the rules before it stay.
pub async fn connections(path: PathBuf, handle: ConnectionsHandle) -> anyhow::Result<()> {
    watch(ConnectionsFile { path, handle }, CONNECTIONS_INTERVAL).await
}

/// Keeps certificate, key and client CA in sync with the files, and logs when the certificate is about to expire. Runs forever.
pub(super) fn tls(tls: Tls, metrics: TlsMetrics) -> impl Future<Output = anyhow::Result<()>> + Send {
    metrics.set_certificate_end(tls.validity().end());
    watch(TlsFiles { tls, metrics, told: Expiry::Good }, TLS_INTERVAL)
}

/// Watches the files. An error is logged once, and the previous content stays in force.
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
            Expiry::Good => tracing::info!(%file, expires = %validity, "the TLS certificate is valid again"),
            Expiry::Near => tracing::warn!(%file, expires = %validity, "the TLS certificate expires soon; renew it"),
            Expiry::Over => {
                tracing::error!(%file, expires = %validity, "the TLS certificate has expired; clients reject it");
            }
            Expiry::NotYetValid => {
                tracing::error!(%file, expires = %validity, "the TLS certificate is not yet valid; clients reject it");
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a certificate expires at a time of day")]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
