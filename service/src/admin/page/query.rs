//! Which targets the list shows, and in which order: the parameters of its address.

use std::cmp::Ordering;

use serde::Deserialize;

use super::causes;
use super::names;
use super::state::State;
use super::summary::Summary;
use crate::page::text::encoded;

/// The number of targets per page.
pub(super) const ON_A_PAGE: usize = 50;

/// Selects and sorts the targets, and how much of the page to render.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::admin) struct Query {
    /// Only targets whose description, or an object that queries them, contains this text.
    pub(super) q: String,
    pub(super) namespace: String,
    pub(super) policy: String,
    /// The cluster or account.
    pub(super) cluster: String,
    pub(super) state: String,
    /// The identifier of a cause of failures.
    pub(super) cause: String,
    /// The column, after `-` in reverse.
    pub(super) sort: String,
    /// The page number, from 1; a value that is not a number selects the first page.
    page: Option<String>,
    fragment: Option<String>,
}

/// A column that sorts the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    State,
    Target,
    Policy,
    Age,
    Lag,
    Replicas,
    Read,
}

/// The targets of one page of the list.
pub(super) struct Selection<'a> {
    pub(super) targets: Vec<&'a Summary<'a>>,
    pub(super) found: usize,
    pub(super) page: usize,
    pub(super) pages: usize,
}

impl Column {
    const ALL: [Self; 7] = [Self::State, Self::Target, Self::Policy, Self::Age, Self::Lag, Self::Replicas, Self::Read];

    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Target => "name",
            Self::Policy => "policy",
            Self::Age => "age",
            Self::Lag => "lag",
            Self::Replicas => "replicas",
            Self::Read => "read",
        }
    }

    /// Whether the column begins with its greatest value: the worst state, age, lag.
    const fn descends(self) -> bool {
        !matches!(self, Self::Target | Self::Policy)
    }

    /// Compares two targets so that the first row comes first.
    fn compare(self, one: &Summary<'_>, other: &Summary<'_>) -> Ordering {
        match self {
            Self::State => rank(one).cmp(&rank(other)).then_with(|| Summary::by_age(one, other)),
            Self::Target => Ordering::Equal,
            Self::Policy => policy(one).cmp(policy(other)),
            Self::Age => Summary::by_age(one, other),
            Self::Lag => other.lag.cmp(&one.lag),
            Self::Replicas => wanted(other).cmp(&wanted(one)),
            Self::Read => read(one, other),
        }
    }
}

/// The position of a target's state in the table.
fn rank(summary: &Summary<'_>) -> Option<usize> {
    State::ALL.iter().position(|state| *state == summary.state)
}

fn policy(summary: &Summary<'_>) -> &'static str {
    summary.lead.as_ref().map_or("", |(lead, _)| names::policy(&lead.policy))
}

fn wanted(summary: &Summary<'_>) -> Option<u64> {
    summary.decision().map(|(_, decision)| decision.replicas())
}

/// The longest ago first, and before it what was never read.
fn read(one: &Summary<'_>, other: &Summary<'_>) -> Ordering {
    let age = |summary: &Summary<'_>| summary.view.state.sample().map(|(_, age)| age);
    match (age(one), age(other)) {
        (Some(one), Some(other)) => other.cmp(&one),
        (one, other) => one.is_some().cmp(&other.is_some()),
    }
}

impl Query {
    pub(super) const fn is_for_fragment(&self) -> bool {
        self.fragment.is_some()
    }

    /// The column that sorts, and whether in reverse.
    pub(super) fn order(&self) -> (Column, bool) {
        let (key, reverse) = self.sort.strip_prefix('-').map_or((&*self.sort, false), |key| (key, true));
        let column = Column::ALL.into_iter().find(|column| column.key() == key);
        column.map_or((Column::State, false), |column| (column, reverse))
    }

    /// The direction of a column for `aria-sort`, if it sorts.
    pub(super) fn direction(&self, column: Column) -> Option<&'static str> {
        let (sorts, reverse) = self.order();
        (sorts == column).then_some(if column.descends() == reverse { "ascending" } else { "descending" })
    }

    fn finds(&self, summary: &Summary<'_>) -> bool {
        let wanted = self.q.trim().to_lowercase();
        let contains = |text: &str| text.to_lowercase().contains(&wanted);
        let any = |text: &str, given: &str| text.is_empty() || text == given;
        let namespace = |given: &str| given == self.namespace;
        let cause = || causes::of(summary).is_some_and(|cause| cause.id() == self.cause);
        any(&self.state, summary.state.look().key)
            && any(&self.cluster, &summary.place)
            && (self.namespace.is_empty() || summary.callers().any(|caller| namespace(&caller.namespace)))
            && (self.policy.is_empty() || summary.callers().any(|caller| names::policy(&caller.policy) == self.policy))
            && (self.cause.is_empty() || cause())
            && (wanted.is_empty()
                || contains(&summary.view.source.to_string())
                || summary.callers().any(|caller| contains(&format!("{}/{}", caller.namespace, caller.name))))
    }

    /// Selects and sorts; `summaries` are ordered by name.
    pub(super) fn select<'a>(&self, summaries: &'a [Summary<'a>]) -> Selection<'a> {
        let (column, reverse) = self.order();
        let mut found: Vec<_> = summaries.iter().filter(|summary| self.finds(summary)).collect();
        found.sort_by(|one, other| {
            let order = column.compare(one, other);
            if reverse { order.reverse() } else { order }
        });
        if column == Column::Target && reverse {
            found.reverse();
        }
        let pages = found.len().div_ceil(ON_A_PAGE).max(1);
        let page = self.page.as_deref().and_then(|page| page.parse().ok()).unwrap_or(1).clamp(1, pages);
        let targets = found.iter().skip((page - 1) * ON_A_PAGE).take(ON_A_PAGE).copied().collect();
        Selection { targets, found: found.len(), page, pages }
    }

    /// Whether only some of the targets are selected.
    pub(super) fn filters(&self) -> bool {
        [&self.q, &self.namespace, &self.policy, &self.cluster, &self.state, &self.cause]
            .into_iter()
            .any(|filter| !filter.is_empty())
    }

    /// The address of the list with one parameter changed, on its first page unless that is the parameter.
    pub(super) fn with(&self, key: &str, value: &str) -> String {
        let known = [
            ("q", &*self.q),
            ("namespace", &self.namespace),
            ("policy", &self.policy),
            ("cluster", &self.cluster),
            ("state", &self.state),
            ("cause", &self.cause),
            ("sort", &self.sort),
        ];
        let known = known.into_iter().filter(|(known, _)| *known != key);
        address(known.chain([(key, value)]))
    }

    /// The address that sorts by a column, in reverse if it sorts already.
    pub(super) fn sorted(&self, column: Column) -> String {
        let (sorts, reverse) = self.order();
        let key = column.key();
        if sorts == column && !reverse { self.with("sort", &format!("-{key}")) } else { self.with("sort", key) }
    }
}

/// The address of the list with these parameters, without the empty ones.
pub(super) fn address<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let given = parameters.into_iter().filter(|(_, value)| !value.is_empty());
    let given: Vec<_> = given.map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    if given.is_empty() { "/".to_owned() } else { format!("/?{}", given.join("&")) }
}

/// The counts of targets in each state, in the order of the table.
pub(super) fn states(summaries: &[Summary<'_>]) -> Vec<(State, usize)> {
    let count = |state| summaries.iter().filter(|summary| summary.state == state).count();
    State::ALL.into_iter().map(|state| (state, count(state))).filter(|(_, count)| *count > 0).collect()
}
