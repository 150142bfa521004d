//! The checkpoint table of an application: read once for everyone who shares it, and no more often than its size allows.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout_at;

use super::failure::{Failure, FailureKind};
use super::round::Round;
use super::service::Service;
use super::shared::Shared;
use super::tables::TableRead;
use crate::trigger::CheckpointStore;

/// However large a table is, it is read this often.
const LONGEST_INTERVAL: Duration = Duration::from_mins(10);

/// A checkpoint table.
#[derive(Default)]
pub(super) struct CheckpointTable(Arc<Shared<TableRead>>);

impl CheckpointTable {
    /// The rows of this round. Those of an earlier one where reading them again would cost more than `read_units` of DynamoDB's read
    /// units per second; `None` where there is no such table.
    pub(super) async fn rows<S: Service>(
        &self,
        service: &Arc<S>,
        store: &CheckpointStore,
        read_units: f64,
        round: &Round,
    ) -> Result<Option<Arc<TableRead>>, Failure> {
        let latest = self.0.latest();
        if let Some(latest) = latest.filter(|latest| round.begun < latest.begun + interval(&latest.value, read_units)) {
            return Ok(Some(latest.value));
        }
        let (service, store) = (service.clone(), store.clone());
        let rows = self.0.get(round.begun, || async move { service.rows(&store).await });
        match timeout_at(round.until, rows).await {
            Ok(Ok(rows)) => Ok(Some(rows.value)),
            Ok(Err(failure)) if failure.kind == FailureKind::Missing => Ok(None),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::new(FailureKind::TimedOut, "the table is still being read")),
        }
    }
}

/// The time from one read of a table to the next.
fn interval(rows: &TableRead, read_units: f64) -> Duration {
    let seconds = rows.read_units / read_units;
    let interval = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_INTERVAL);
    interval.min(LONGEST_INTERVAL)
}
