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
    /// Rules that lack connections of those in force: they count if the file still has them at the next reading, because a file that is
    /// just being written looks the same.
    doubted: Option<Connections>,
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
    watch(ConnectionsFile { path, handle, doubted: None }, CONNECTIONS_INTERVAL).await
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
        let read = Connections::read(&self.path)?;
        let missing = self.handle.missing_in(&read);
        if !missing.is_empty() && self.doubted.as_ref() != Some(&read) {
            self.doubted = Some(read);
            return Ok(false);
        }
        self.doubted = None;
        let changed = self.handle.replace(read);
        if changed && !missing.is_empty() {
            let connections = missing.join(", ");
            tracing::warn!(connections, "connections removed; triggers that name them get FAILED_PRECONDITION");
        }
        Ok(changed)
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::source::Sources;
    use crate::telemetry::UpstreamMetrics;

    const TWO: &str = "connections:\n  a: {namespaces: [x], kafka: {bootstrapServers: b1}}\n  b: {namespaces: [y], kafka: {bootstrapServers: b2}}\n";

    /// A file of two connections, as the service starts with it.
    fn two() -> (tempfile::TempDir, ConnectionsFile) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("connections.yaml");
        fs::write(&path, TWO).expect("written");
        let sources = Sources::new(Connections::read(&path).expect("good"), UpstreamMetrics::default());
        (folder, ConnectionsFile { path, handle: sources.connections(), doubted: None })
    }

    /// Writes the file, reads it again, and returns the connections in force.
    fn after(file: &mut ConnectionsFile, text: &str) -> Vec<String> {
        fs::write(&file.path, text).expect("written");
        let _ = file.reload();
        file.handle.missing_in(&Connections::default())
    }

    #[test]
    fn a_file_that_is_being_written_takes_no_connection_away() {
        let (_folder, mut file) = two();
        let cut = TWO.lines().take(2).collect::<Vec<_>>().join("\n");
        for text in ["", "\n", &cut, TWO, "connections: {}", TWO, &cut, "{"] {
            assert_eq!(after(&mut file, text), ["a", "b"], "{text:?}");
        }
        assert!(
            matches!(after(&mut file, "").as_slice(), [_, _]) && file.reload().is_err(),
            "an empty file is an error"
        );
    }

    #[test]
    fn a_connection_that_the_file_lacks_twice_is_removed() {
        let (_folder, mut file) = two();
        let cut = TWO.lines().take(2).collect::<Vec<_>>().join("\n");
        assert_eq!(after(&mut file, &cut), ["a", "b"]);
        assert_eq!(after(&mut file, &cut), ["a"]);
        assert_eq!(after(&mut file, TWO), ["a", "b"], "an added connection counts at once");
    }
}
