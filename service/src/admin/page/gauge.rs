//! The age of the oldest record against the promise, as one bar.

use maud::{Markup, html};

use crate::page::Clock;
use crate::page::plot::percent;
use crate::page::text::time;

/// The end of the bar, as a multiple of the limit.
const END: f64 = 1.25;

/// An age, its forecast and its limit, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gauge {
    pub(super) age: f64,
    /// The age when more replicas can help, and how soon that is.
    pub(super) predicted: Option<(f64, f64)>,
    pub(super) limit: f64,
    pub(super) limit_name: &'static str,
}

impl Gauge {
    pub(super) fn drawing(&self, clock: Clock) -> Markup {
        let Self { age, predicted, limit, limit_name } = *self;
        let end = [limit * END, age * 1.05, predicted.map_or(0.0, |(age, _)| age * 1.05)];
        let end = end.into_iter().fold(f64::MIN_POSITIVE, f64::max);
        let at = |seconds: f64| (seconds / end).clamp(0.0, 1.0);
        let (now, bound) = (at(age), at(limit));
        let next = predicted.map(|(age, reaction)| {
            let when = clock.ahead(std::time::Duration::from_secs_f64(reaction.clamp(0.0, 86_400.0)));
            (at(age), format!("predicted {} at {when} UTC", time(age)))
        });
        let (now_text, limit_text) = (format!("now {}", time(age)), format!("{limit_name} {}", time(limit)));
        let label = match &next {
            Some((_, next)) => format!("Oldest record: {now_text}, {next}, {limit_text}."),
            None => format!("Oldest record: {now_text}, {limit_text}."),
        };
        let class = if age > limit { "warn" } else { "now" };
        html! {
            svg height="88" role="img" aria-label=(label) {
                rect.track y="36" width="100%" height="24" rx="4" {}
                rect.beyond x=(percent(bound)) y="36" width=(percent(1.0 - bound)) height="24" {}
                rect.now y="36" width=(percent(now.min(bound))) height="24" rx="4" {}
                @if now > bound { rect.over x=(percent(bound)) y="36" width=(percent(now - bound)) height="24" {} }
                @if let Some((next, _)) = next.as_ref().filter(|(next, _)| *next > now) {
                    rect.next x=(percent(now)) y="37" width=(percent(next - now)) height="22" rx="3" {}
                }
                line.promise x1=(percent(bound)) x2=(percent(bound)) y1="26" y2="68" {}
                text class=(class) x="0" y="24" { (now_text) }
                text.bad x=(percent(bound)) y="18" text-anchor=(if bound > 0.5 { "end" } else { "start" }) { (limit_text) }
                @if let Some((next, text)) = &next {
                    text x=(percent(*next)) y="82" text-anchor=(if *next > 0.5 { "end" } else { "start" }) { (text) }
                }
            }
        }
    }
}
