//! ScaledObjects whose calls are refused before anything is read: they have no target.

use maud::{Markup, html};

use super::causes::{counted, sentence};
use super::list::number;
use super::state::State;
use crate::page::Clock;
use crate::sampler::RefusalView;

/// The number of objects that a reason names.
const NAMED: usize = 3;
/// The number of reasons that are shown without opening the rest.
const SHOWN: usize = 3;

/// Shows the reasons, each with its objects; nothing if no call is refused.
pub(super) fn section(refusals: &[RefusalView], clock: Clock) -> Markup {
    let objects: usize = refusals.iter().map(|refusal| refusal.objects.len()).sum();
    let more = refusals.len().saturating_sub(SHOWN);
    html! {
        @if !refusals.is_empty() {
            section.card.causes aria-labelledby="refused" {
                h2 #refused { (State::Failing.sign()) (counted(objects, "trigger")) " refused" }
                ul { @for refusal in refusals.iter().take(SHOWN) { (entry(refusal, clock)) } }
                @if more > 0 {
                    details #more-refused {
                        summary { (counted(more, "more reason")) }
                        ul { @for refusal in refusals.iter().skip(SHOWN) { (entry(refusal, clock)) } }
                    }
                }
            }
        }
    }
}

fn entry(refusal: &RefusalView, clock: Clock) -> Markup {
    html! {
        li {
            h3 { (names(refusal)) " since " (clock.ago(refusal.since)) " UTC" }
            p { (sentence(&refusal.reason)) }
            p.soft { "Nothing is read: KEDA gets this error, last at " (clock.ago(refusal.last)) " UTC." }
        }
    }
}

fn names(refusal: &RefusalView) -> String {
    let named: Vec<_> =
        refusal.objects.iter().take(NAMED).map(|(namespace, name)| format!("{namespace}/{name}")).collect();
    let more = refusal.objects.len() - named.len();
    let named = named.join(", ");
    if more > 0 { format!("{named} and {} more", number(more)) } else { named }
}
