//! The state of a target in one word.

use maud::{Markup, html};

use crate::sampler::{Judged, TargetView, ViewState};
use crate::scaling::catch_up::{CatchUpStep, Rule};
use crate::scaling::{CapReason, Decision, Step};
use crate::trigger::Policy;

/// The state of a target. The variants are ordered by precedence: a target has the first state that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// Readings fail, or KEDA gets an error for a trigger.
    Failing,
    /// The oldest record is older than a trigger promises.
    Over,
    /// More replicas are needed than can be used.
    AtMaximum,
    /// Partitions make no progress.
    Stuck,
    /// No reading has ended yet.
    Waiting,
    /// Fewer replicas are enough, but the count is held.
    Holding,
    /// The workload is not active.
    Zero,
    /// Nothing of the above.
    Ok,
}

impl State {
    /// Every state, in the order of the table.
    pub(super) const ALL: [Self; 8] =
        [Self::Over, Self::AtMaximum, Self::Failing, Self::Stuck, Self::Waiting, Self::Holding, Self::Ok, Self::Zero];

    /// Returns the state for one trigger, whose oldest record has this age.
    pub(super) fn of(view: &TargetView, policy: &Policy, judged: &Judged, age: Option<f64>) -> Self {
        let over = matches!((policy, age), (Policy::CatchUp(policy), Some(age)) if age > policy.max_age.as_secs_f64());
        match judged {
            _ if view.state.failure().is_some() => Self::Failing,
            Judged::Failed { .. } => Self::Failing,
            Judged::Pending => Self::Waiting,
            Judged::Valued(_) if over => Self::Over,
            Judged::Valued(decision) => Self::of_decision(decision),
        }
    }

    /// Returns the state of a target without callers.
    pub(super) const fn of_readings(state: &ViewState) -> Self {
        match state {
            ViewState::Pending => Self::Waiting,
            ViewState::Good { .. } => Self::Ok,
            ViewState::Failing { .. } => Self::Failing,
        }
    }

    fn of_decision(decision: &Decision) -> Self {
        let has = |wanted: fn(&Step) -> bool| decision.steps.iter().any(wanted);
        let at_maximum = |step: &Step| {
            matches!(
                step,
                Step::Capped { by: CapReason::Partitions, .. }
                    | Step::CatchUp(CatchUpStep::Wanted { rule: Rule::AsManyAsHelp, .. })
            )
        };
        let stuck = |step: &Step| {
            matches!(
                step,
                Step::PersistentLagExcluded { .. }
                    | Step::CatchUp(CatchUpStep::Stuck { .. } | CatchUpStep::Wanted { rule: Rule::NoProgress, .. })
            )
        };
        let holding = |step: &Step| {
            matches!(step, Step::CatchUp(CatchUpStep::Held { .. } | CatchUpStep::Wanted { rule: Rule::Holding, .. }))
        };
        match decision {
            _ if has(at_maximum) => Self::AtMaximum,
            _ if has(stuck) => Self::Stuck,
            Decision { active: false, .. } => Self::Zero,
            _ if has(holding) => Self::Holding,
            _ => Self::Ok,
        }
    }

    /// The position in the table.
    pub(super) fn rank(self) -> usize {
        Self::ALL.iter().position(|state| *state == self).unwrap_or(Self::ALL.len())
    }

    /// The value of the filter in addresses.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Over => "over",
            Self::AtMaximum => "maximum",
            Self::Stuck => "stuck",
            Self::Waiting => "waiting",
            Self::Holding => "holding",
            Self::Zero => "zero",
            Self::Ok => "ok",
        }
    }

    /// The word on the page.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Failing => "Failing",
            Self::Over => "Over promise",
            Self::AtMaximum => "At maximum",
            Self::Stuck => "Stuck",
            Self::Waiting => "First reading",
            Self::Holding => "Holding",
            Self::Zero => "Zero",
            Self::Ok => "OK",
        }
    }

    /// The CSS class of the word.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Failing => "bad",
            Self::Over | Self::AtMaximum | Self::Stuck => "warn",
            Self::Waiting | Self::Zero => "soft",
            Self::Holding | Self::Ok => "",
        }
    }

    /// Draws the sign beside the word.
    pub(super) fn sign(self) -> Markup {
        let class = match self {
            Self::Failing => "fail",
            Self::Over | Self::AtMaximum | Self::Stuck => "over",
            Self::Waiting | Self::Zero => "zero",
            Self::Holding | Self::Ok => "ok",
        };
        html! { span class={ "sign " (class) } {} }
    }
}
