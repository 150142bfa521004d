//! The state of one round: when it began, when it ends, and which applications take part in it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::lag::streams::Timestamp;

/// A round begins nothing new after this time; a call that is in progress then ends by its own deadline.
const ROUND_LASTS: Duration = Duration::from_secs(9);
/// How long the applications of a stream wait for each other before the first probe, so that the least exact answer gets it.
const GATHER: Duration = Duration::from_millis(500);

/// One round. Everything read since it began is current until it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) begun: Instant,
    /// When the round began, by the service's clock.
    pub(super) begun_at: Timestamp,
    /// The deadline of all waits of the round.
    pub(super) until: Instant,
}

/// The gate at which the applications of one stream wait for each other, once per round.
#[derive(Clone)]
pub(super) struct Gate(Arc<watch::Sender<usize>>);

/// One application that has not reached the gate; the default one waits for none. Dropping it removes it from those that are awaited.
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
    /// Adds an application that the others wait for.
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
        // late applications go on when they arrive
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
