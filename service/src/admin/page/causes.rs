//! Why targets fail, one entry for all targets of the same cause.

use std::error::Error as _;
use std::time::Duration;

use maud::{Markup, html};

use super::list::number;
use super::query::address;
use super::state::State;
use super::summary::Summary;
use crate::lag::{SourceError, SourceErrorKind};
use crate::page::Clock;
use crate::sampler::{CallerView, Cause, Judged};
use crate::trigger::SourceRef;

/// The number of causes that are shown without opening the rest.
const SHOWN: usize = 3;
/// The number of targets that a cause names.
const NAMED: usize = 3;

/// A cause and its targets.
pub(super) struct Group<'a> {
    cause: Cause,
    targets: Vec<&'a Summary<'a>>,
}

/// Returns what a failing target has in common with others.
pub(super) fn of(summary: &Summary<'_>) -> Option<Cause> {
    let decision = || decision_error(summary).map(|error| Cause::of_decision(&summary.view.source, error));
    summary.view.state.cause().cloned().or_else(decision)
}

fn decision_error<'a>(summary: &'a Summary<'_>) -> Option<&'a SourceError> {
    if let Some((_, Judged::Failed { error, .. })) = &summary.lead { Some(error) } else { None }
}

/// Returns the causes, those with most targets first.
pub(super) fn groups<'a>(summaries: &'a [Summary<'a>]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for summary in summaries.iter().filter(|summary| summary.state == State::Failing) {
        let Some(cause) = of(summary) else { continue };
        match groups.iter_mut().find(|group| group.cause == cause) {
            Some(group) => group.targets.push(summary),
            None => groups.push(Group { cause, targets: vec![summary] }),
        }
    }
    groups.sort_by_key(|group| (std::cmp::Reverse(group.targets.len()), group.cause.since));
    groups
}

/// Shows the causes; nothing if no target fails.
pub(super) fn section(groups: &[Group<'_>], clock: Clock) -> Markup {
    let failing: usize = groups.iter().map(|group| group.targets.len()).sum();
    let more = groups.len().saturating_sub(SHOWN);
    html! {
        @if !groups.is_empty() {
            section.card.causes aria-labelledby="causes" {
                h2 #causes {
                    (State::Failing.sign())
                    (counted(failing, "target")) " failing, " (counted(groups.len(), "cause"))
                }
                ul { @for group in groups.iter().take(SHOWN) { (group.entry(clock)) } }
                @if more > 0 {
                    details #more-causes {
                        summary { (counted(more, "more cause")) }
                        ul { @for group in groups.iter().skip(SHOWN) { (group.entry(clock)) } }
                    }
                }
            }
        }
    }
}

impl Group<'_> {
    fn entry(&self, clock: Clock) -> Markup {
        let id = self.cause.id();
        let error = self.error();
        html! {
            li id={ "c" (id) } {
                h3 { (self.title(clock)) }
                p { (counted(self.targets.len(), "target")) ": " (self.names()) ". " (self.served(clock)) }
                p {
                    @if let Some(advice) = error.and_then(SourceError::advice) {
                        b { "What to do:" } " " (full_stop(advice)) " "
                    }
                    @if let Some(error) = error { span.soft { (detail(error)) } }
                }
                a.btn.act href=(address([("cause", &*id)])) { "Show " (counted(self.targets.len(), "target")) }
            }
        }
    }

    /// What failed, where, and since when.
    fn title(&self, clock: Clock) -> String {
        let Cause { place, kind, since, .. } = &self.cause;
        let view = self.targets.first().map(|target| target.view);
        let kafka = view.is_some_and(|view| matches!(&*view.source, SourceRef::Kafka(_)));
        let what = if since.is_none() {
            format!("No decision possible on {place}")
        } else {
            match kind {
                SourceErrorKind::Unreachable if kafka => format!("Cluster {place} unreachable"),
                SourceErrorKind::Unreachable => format!("{place} unreachable"),
                SourceErrorKind::TimedOut => format!("{place} does not answer in time"),
                SourceErrorKind::Throttled => format!("{place} throttles the scaler"),
                SourceErrorKind::Denied => format!("Access denied on {place}"),
                SourceErrorKind::Missing if kafka => format!("Topic or group not found on {place}"),
                SourceErrorKind::Missing => format!("Stream or table not found in {place}"),
                SourceErrorKind::Broken => format!("Unexpected answer from {place}"),
            }
        };
        match view.and_then(|view| view.time_since(&self.cause)) {
            Some(ago) => format!("{what} since {} UTC", clock.ago(ago)),
            None => what,
        }
    }

    fn error(&self) -> Option<&SourceError> {
        let first = self.targets.first()?;
        first.view.state.failure().map(|(error, _)| error).or_else(|| decision_error(first))
    }

    fn names(&self) -> String {
        let named: Vec<_> = self.targets.iter().take(NAMED).map(|target| target.title()).collect();
        let more = self.targets.len() - named.len();
        let named = named.join(", ");
        if more > 0 { format!("{named} and {} more", number(more)) } else { named }
    }

    /// What still works, and until when.
    fn served(&self, clock: Clock) -> String {
        if self.cause.since.is_none() {
            return "KEDA gets an error, and the HPA keeps its replicas.".to_owned();
        }
        let left = self.targets.iter().flat_map(|target| target.callers().map(|caller| left(target, caller)));
        let left: Vec<_> = left.collect();
        let served = left.iter().flatten().count();
        let Some(first) = left.iter().flatten().min() else {
            return "KEDA gets an error, and the HPA keeps its replicas.".to_owned();
        };
        let until = clock.ahead(*first);
        if served == left.len() {
            return format!(
                "Last values are served until {until} UTC; after that KEDA gets an error and the HPA keeps its replicas."
            );
        }
        format!(
            "For {} of {} triggers KEDA gets an error and the HPA keeps its replicas; the others get their last values until {until} UTC.",
            number(left.len() - served),
            number(left.len())
        )
    }
}

/// Returns for how long a caller still gets the last value.
fn left(target: &Summary<'_>, caller: &CallerView) -> Option<Duration> {
    let (_, age) = target.view.state.sample()?;
    caller.max_staleness.checked_sub(age).filter(|left| !left.is_zero())
}

/// The error in its own words: what was attempted, and why that failed.
fn detail(error: &SourceError) -> String {
    sentence(&error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")))
}

/// Adds a full stop.
pub(super) fn full_stop(text: &str) -> String {
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

/// Begins with a capital, unless the text begins with a name, and ends with a full stop.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim_end();
    let first = text.split(' ').next().unwrap_or_default();
    let mut sentence = String::with_capacity(text.len() + 1);
    let mut letters = text.chars();
    if first.chars().all(|letter| letter.is_ascii_lowercase()) {
        sentence.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
    }
    sentence.push_str(letters.as_str());
    if !text.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

/// `1 target`, `1,234 targets`.
pub(super) fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", number(count))
}
