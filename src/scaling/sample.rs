//! What decisions are made from.

use super::catch_up::CatchUps;
use crate::lag::flow::Flow;
use crate::lag::{History, Moment, Observation};
use crate::trigger::{CatchUpPolicy, SourceRef};

/// One complete reading and the past that belongs to it; everyone reads it through one `Arc`.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What was read.
    pub observation: Observation,
    /// What is remembered of the readings up to this one.
    pub history: History,
    /// How fast it flows, where somebody follows that.
    pub flow: Option<Flow>,
    /// What the catch-up law has made of it.
    pub catch_ups: CatchUps,
    /// When the reading began: everything in it is at least as new.
    pub taken_at: Moment,
}

impl Sample {
    /// The sample of a reading of `source` that began at `taken_at`; `policies` are those that somebody asks about.
    #[must_use]
    pub fn after(
        past: Option<&Self>,
        source: &SourceRef,
        observation: Observation,
        policies: &[CatchUpPolicy],
        taken_at: Moment,
    ) -> Self {
        let history = History::fold(past.map(|past| &past.history), &observation, taken_at);
        let flow = past.and_then(|past| past.flow.as_ref());
        let flow = Flow::observe(flow, source, &observation, &history, taken_at);
        let catch_ups = past.map(|past| &past.catch_ups);
        let catch_ups = flow.as_ref().map(|flow| CatchUps::after(catch_ups, policies, flow)).unwrap_or_default();
        Self { observation, history, flow, catch_ups, taken_at }
    }
}
