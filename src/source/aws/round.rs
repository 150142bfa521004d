//! What belongs to one round: when it began, when it ends, and who takes part in it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::lag::streams::Timestamp;

/// A round begins nothing new after this long; a call that is under way then ends by its own deadline.
const ROUND_LASTS: Duration = Duration::from_secs(9);
/// The applications of a stream wait this long for each other before the first probe, so that the least exact answer gets it.
const GATHER: Duration = Duration::from_millis(500);

/// One round. What was read since it began is current until it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) begun: Instant,
    /// The same moment by the service's clock.
    pub(super) begun_at: Timestamp,
    /// Nothing is waited for beyond this.
    pub(super) until: Instant,
}

/// Where the applications of one stream wait for each other, once in a round.
#[derive(Clone)]
pub(super) struct Gate(Arc<watch::Sender<usize>>);

/// One application on its way to the gate; the default one has none to wait for. One that is dropped on the way is not waited for.
#[derive(Default)]
pub(super) struct Arrival(Option<Gate>);

impl Round {
    pub(super) fn new(begun_at: Timestamp) -> Self {
        let begun = Instant::now();
        Self { begun, begun_at, until: begun + ROUND_LASTS }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Gate {
    /// One more application that is waited for.
    pub(super) fn expect(&self) -> Arrival {
        self.0.send_modify(|missing| *missing += 1);
        Arrival(Some(self.clone()))
    }
}

impl Arrival {
    /// Arrives, and waits for the others. Later calls do not wait.
    pub(super) async fn wait_for_others(&mut self) {
        let Some(gate) = self.0.take() else { return };
        let mut missing = gate.0.subscribe();
        drop(Self(Some(gate)));
        // those who are late come in later
        let _ = timeout(GATHER, missing.wait_for(|missing| *missing == 0)).await;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(gate) = &self.0 {
            gate.0.send_modify(|missing| *missing -= 1);
        }
    }
}
