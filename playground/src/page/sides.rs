//! Both sides: their scores, their pods, and the reason for the present number of pods.

use maud::{Markup, html};

use super::super::score::{Measurement, Score};
use super::super::session::{Session, judged};
use super::super::verdict::{Comparison, State, compare_kept, compare_pods, share};
use super::{Sign, elapsed, seconds, slots};

/// Renders both sides from the same template.
pub(super) fn both(session: &Session, score: &Score) -> Markup {
    let promise = seconds(session.periods.promise);
    let scene = session.options.scene;
    let settings = [(scene.key(), session.target.to_string()), ("maxAge", promise.replace(' ', ""))];
    let titles = [format!("KEDA {}", scene.rule()), "keda-stream-scaler".to_owned()];
    html! {
        div.sides {
            @for (side, ((key, value), title)) in settings.iter().zip(titles).enumerate() {
                (one(session, score, side, &title, &format!("{key}: {value}")))
            }
        }
        p.key aria-hidden="true" {
            span { svg { rect.box x="0" y="2" width="12" height="14" rx="3" {} rect.busy x="2" y="7" width="8" height="7" rx="1" {} } "pod, and how busy it is" }
            span { svg { rect.wait x="3" y="0" width="6" height="16" rx="1" {} } "age of its oldest waiting record" }
            span { svg { rect.over x="3" y="0" width="6" height="16" rx="1" {} } "over the promise" }
            span { svg.starting { rect.box x="0" y="2" width="12" height="14" rx="3" {} } "starting, already costs" }
        }
    }
}

fn one(session: &Session, score: &Score, side: usize, title: &str, setting: &str) -> Markup {
    let (class, id) = [("theirs-side", "by-rule"), ("ours-side", "by-age")][side];
    let (shown, now) = (session.worlds[side].shown(), score.now.sides[side]);
    let pods = if now.pods == 1 { "1 pod".to_owned() } else { format!("{} pods", now.pods) };
    html! {
        section class={ "card side " (class) } aria-labelledby=(id) {
            header { h2 id=(id) { span.mark {} (title) } code { (setting) } }
            (numbers(session, score, side))
            figure.pods { (slots::drawing(&shown.pods, session.periods.promise)) }
            div.why { h3 { "Why " (pods) ":" } " " p { (shown.reason) } }
        }
    }
}

fn numbers(session: &Session, score: &Score, side: usize) -> Markup {
    let (numbers, other) = (score.numbers(side), score.numbers(1 - side));
    let Measurement { pods, ready, .. } = score.now.sides[side];
    let starting = pods.saturating_sub(ready);
    let decided = judged(score, session.options.scene).state != State::Wait;
    let (kept, cost) = (compare_kept(numbers.kept, other.kept), compare_pods(numbers.pod_minutes, other.pod_minutes));
    html! {
        dl.score {
            div { dt { "Pods now" } dd { (pods) } dd.note { (ready) " running" @if starting > 0 { ", " (starting) " starting" } } }
            div {
                dt { "Promise kept" }
                dd { @if score.busy.is_zero() { "–" } @else { (share(numbers.kept)) } }
                dd.note { (sign(kept, decided)) span.rest { (elapsed(score.totals[side].over)) " over" } }
            }
            div {
                dt { "Pod-minutes" }
                dd { (format!("{:.1}", numbers.pod_minutes)) }
                dd.note { (sign(cost, decided)) span.rest { (format!("{:.1}", score.mean_pods(side))) " on average" } }
            }
        }
    }
}

/// Says in words how a number compares with the other side's.
fn sign(comparison: Comparison, decided: bool) -> Markup {
    html! {
        @if decided {
            @match comparison {
                Comparison::Better => { span.best { (Sign::Better.drawing()) " better" } " " span.rest { "· " } }
                Comparison::Same => { span.soft { "= same" } " " span.rest { "· " } }
                Comparison::Worse => { span.worse { (Sign::Worse.drawing()) " worse" } " " span.rest { "· " } }
            }
        }
    }
}
