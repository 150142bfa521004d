//! The state of all targets in five numbers, each a link that filters or sorts the table.

use maud::{Markup, html};

use super::causes;
use super::list::number;
use super::query::address;
use super::state::State;
use super::summary::Summary;
use crate::page::text::{float, short, time};

/// One number with its link.
struct Tile {
    href: String,
    class: &'static str,
    sign: Option<State>,
    title: &'static str,
    value: String,
    note: String,
}

/// Shows the tiles of all targets, whose failures have this number of causes.
pub(super) fn of(summaries: &[Summary<'_>], causes: usize) -> Markup {
    let promised = number(summaries.iter().filter(|summary| summary.promise.is_some()).count());
    let failing = match causes {
        0 => "all readings succeed".to_owned(),
        causes => causes::counted(causes, "cause"),
    };
    let tiles = [
        targets(summaries, &promised),
        counted(summaries, State::Failing, "Failing", failing),
        counted(summaries, State::Over, "Over the promise", format!("of {promised} with a promise")),
        worst_age(summaries),
        worst_lag(summaries),
    ];
    html! {
        ul.tiles #tiles {
            @for tile in tiles {
                li {
                    a class={ "card " (tile.class) } href=(tile.href) {
                        span { @if let Some(sign) = tile.sign { (sign.sign()) } (tile.title) }
                        b { (tile.value) }
                        span { (tile.note) }
                    }
                }
            }
        }
    }
}

fn targets(summaries: &[Summary<'_>], promised: &str) -> Tile {
    let note = format!("{promised} with a promise");
    Tile { href: "/".into(), class: "", sign: None, title: "Targets", value: number(summaries.len()), note }
}

fn counted(summaries: &[Summary<'_>], state: State, title: &'static str, note: String) -> Tile {
    let count = summaries.iter().filter(|summary| summary.state == state).count();
    let (class, sign) = if count > 0 { (state.look().class, Some(state)) } else { ("none", None) };
    Tile { href: address([("state", state.look().key)]), class, sign, title, value: number(count), note }
}

fn worst_age(summaries: &[Summary<'_>]) -> Tile {
    let worst =
        summaries.iter().filter(|summary| summary.age.is_some()).min_by(|one, other| Summary::by_age(one, other));
    let (value, note) = match worst {
        Some(worst) => {
            let promise = worst.promise.map_or_else(String::new, |promise| format!(", of {}", time(promise)));
            (time(worst.age.unwrap_or(0.0)), format!("{}{promise}", worst.title()))
        }
        None => ("–".to_owned(), "no age is measured".to_owned()),
    };
    let class = if worst.is_some() { "" } else { "none" };
    Tile { href: address([("sort", "age")]), class, sign: None, title: "Worst age", value, note }
}

fn worst_lag(summaries: &[Summary<'_>]) -> Tile {
    let worst = summaries.iter().filter(|summary| summary.lag.is_some()).max_by_key(|summary| summary.lag);
    let (value, note) = match worst.and_then(|worst| Some((worst, worst.lag?))) {
        Some((worst, lag)) => (short(float(lag)), worst.title()),
        None => ("–".to_owned(), "no records are counted".to_owned()),
    };
    let class = if worst.is_some_and(|worst| worst.lag > Some(0)) { "" } else { "none" };
    Tile { href: address([("sort", "lag")]), class, sign: None, title: "Worst lag", value, note }
}
