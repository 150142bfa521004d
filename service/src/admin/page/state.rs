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

/// How the page shows a state.
pub(super) struct Look {
    /// The value of the filter in addresses.
    pub(super) key: &'static str,
    /// The word on the page.
    pub(super) word: &'static str,
    /// The CSS class of the word.
    pub(super) class: &'static str,
    /// The CSS class of the sign beside the word.
    sign: &'static str,
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
        match decision.steps.iter().map(Self::of_step).min() {
            Some(Self::Holding | Self::Ok) | None if !decision.active => Self::Zero,
            state => state.unwrap_or(Self::Ok),
        }
    }

    const fn of_step(step: &Step) -> Self {
        match step {
            Step::Capped { by: CapReason::Partitions, .. }
            | Step::CatchUp(CatchUpStep::Wanted { rule: Rule::AsManyAsHelp, .. }) => Self::AtMaximum,
            Step::PersistentLagExcluded { .. }
            | Step::CatchUp(CatchUpStep::Stuck { .. } | CatchUpStep::Wanted { rule: Rule::NoProgress, .. }) => {
                Self::Stuck
            }
            Step::CatchUp(CatchUpStep::Held { .. } | CatchUpStep::Wanted { rule: Rule::Holding, .. }) => Self::Holding,
            _ => Self::Ok,
        }
    }

    pub(super) const fn look(self) -> Look {
        let (key, word, class, sign) = match self {
            Self::Failing => ("failing", "Failing", "bad", "fail"),
            Self::Over => ("over", "Over promise", "warn", "over"),
            Self::AtMaximum => ("maximum", "At maximum", "warn", "over"),
            Self::Stuck => ("stuck", "Stuck", "warn", "over"),
            Self::Waiting => ("waiting", "First reading", "soft", "zero"),
            Self::Holding => ("holding", "Holding", "", "ok"),
            Self::Zero => ("zero", "Zero", "soft", "zero"),
            Self::Ok => ("ok", "OK", "", "ok"),
        };
        Look { key, word, class, sign }
    }

    /// Draws the sign beside the word.
    pub(super) fn sign(self) -> Markup {
        html! { span class={ "sign " (self.look().sign) } {} }
    }
}
