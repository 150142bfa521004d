//! Reads the connections file again when it, or a secret that it names, has changed.
//!
//! By content and not by notification: Kubernetes replaces mounted files through links, of which notifications tell little.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::source::{Connections, ConnectionsHandle};

/// Kubernetes itself takes up to a minute to bring a changed secret into a pod.
const INTERVAL: Duration = Duration::from_secs(5);

/// Runs for ever. A file that became wrong is told once, and the rules before it stay in force.
pub(super) async fn watch(path: PathBuf, handle: ConnectionsHandle) -> anyhow::Result<()> {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_error: Option<String> = None;
    loop {
        ticks.tick().await;
        let file = path.clone();
        match tokio::task::spawn_blocking(move || Connections::read(&file)).await? {
            Ok(connections) => {
                if last_error.take().is_some() {
                    tracing::info!(file = %path.display(), "the connections file can be read again");
                }
                if handle.replace(connections) {
                    tracing::info!(file = %path.display(), "connections reloaded");
                }
            }
            Err(error) => {
                let error = error.to_string();
                if last_error.as_ref() != Some(&error) {
                    tracing::error!(file = %path.display(), error, "connections not reloaded; the old ones stay in force");
                    last_error = Some(error);
                }
            }
        }
    }
}
