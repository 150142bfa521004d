//! The checkpoint table of an application: one read for all sources that share it, at a rate that depends on the table's size.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout_at;

use super::failure::{Failure, FailureKind};
use super::round::Round;
use super::service::Service;
use super::tables::TableRead;
use crate::lag::TableReading;
use crate::lag::streams::Row;
use crate::source::shared::{Fetched, Shared};
use crate::trigger::ApplicationSource;

/// The maximum time between two reads of a table of any size.
const LONGEST_INTERVAL: Duration = Duration::from_mins(60);
/// While AWS throttles reads of a table, the last rows are used for this time.
const USED_WHILE_THROTTLED: Duration = Duration::from_secs(60);

/// A checkpoint table whose reads are shared.
#[derive(Default)]
pub(super) struct CheckpointTable(Arc<Shared<TableRead, Failure>>);

/// The rows of a checkpoint table, and how they were read.
pub(super) struct TableRows {
    read: Arc<TableRead>,
    pub(super) reading: TableReading,
}

impl CheckpointTable {
    /// Returns the rows of this round, or those of an earlier one where another read would exceed `leaseTableReadUnits` or is throttled;
    /// `None` where the table does not exist.
    pub(super) async fn rows<S: Service>(
        &self,
        service: &Arc<S>,
        source: &ApplicationSource,
        round: &Round,
    ) -> Result<Option<TableRows>, Failure> {
        let most_units = f64::from(source.lease_table_read_units.get());
        let latest = self.0.latest();
        let since = |fetched: &Fetched<TableRead>| round.begun.saturating_duration_since(fetched.begun);
        let rows = |fetched: Fetched<TableRead>| {
            let (read_units, every) = (fetched.value.read_units, interval(&fetched.value, most_units));
            TableRows { reading: TableReading { ago: since(&fetched), every, read_units }, read: fetched.value }
        };
        if let Some(latest) = latest.clone().filter(|latest| since(latest) < interval(&latest.value, most_units)) {
            return Ok(Some(rows(latest)));
        }
        let (service, store) = (service.clone(), source.store.clone());
        let read = self.0.get(round.begun, || async move { service.rows(&store).await });
        let failure = match timeout_at(round.until, read).await {
            Ok(Ok(read)) => return Ok(Some(rows(read))),
            Ok(Err(failure)) if failure.kind == FailureKind::Missing => return Ok(None),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::new(FailureKind::TimedOut, "the table is still being read"),
        };
        let usable = |latest: &Fetched<TableRead>| {
            failure.kind == FailureKind::Throttled
                && since(latest) < interval(&latest.value, most_units) + USED_WHILE_THROTTLED
        };
        latest.filter(usable).map(|latest| Some(rows(latest))).ok_or(failure)
    }
}

impl TableRows {
    pub(super) fn rows(&self) -> &[Row] {
        &self.read.rows
    }
}

/// Returns the time from one read of a table to the next.
fn interval(read: &TableRead, most_units: f64) -> Duration {
    let interval = Duration::try_from_secs_f64(read.read_units / most_units).unwrap_or(LONGEST_INTERVAL);
    interval.min(LONGEST_INTERVAL)
}
