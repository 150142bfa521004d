//! The state of all targets in five numbers, each a link that filters or sorts the table.

use maud::{Markup, html};

use super::causes;
use super::list::number;
use super::query::{address, promised};
use super::state::State;
use super::summary::Summary;
use crate::page::text::{short, time};

/// One number with its link.
struct Tile {
    href: String,
    class: &'static str,
    sign: Option<State>,
    title: &'static str,
    value: String,
    note: String,
}

pub(super) fn of(summaries: &[Summary<'_>]) -> Markup {
    let promised = promised(summaries);
    let tiles = [
        targets(summaries, promised),
        failing(summaries),
        over(summaries, promised),
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

fn targets(summaries: &[Summary<'_>], promised: usize) -> Tile {
    let note = format!("{} with a promise", number(promised));
    Tile { href: "/".into(), class: "", sign: None, title: "Targets", value: number(summaries.len()), note }
}

fn failing(summaries: &[Summary<'_>]) -> Tile {
    let count = summaries.iter().filter(|summary| summary.state == State::Failing).count();
    let note = match causes::count(summaries) {
        0 => "all readings succeed".to_owned(),
        causes => causes::counted(causes, "cause"),
    };
    counted(State::Failing, "bad", "Failing", count, note)
}

fn over(summaries: &[Summary<'_>], promised: usize) -> Tile {
    let count = summaries.iter().filter(|summary| summary.state == State::Over).count();
    counted(State::Over, "warn", "Over the promise", count, format!("of {} with a promise", number(promised)))
}

fn counted(state: State, class: &'static str, title: &'static str, count: usize, note: String) -> Tile {
    let (class, sign) = if count > 0 { (class, Some(state)) } else { ("none", None) };
    Tile { href: address([("state", state.key())]), class, sign, title, value: number(count), note }
}

fn worst_age(summaries: &[Summary<'_>]) -> Tile {
    let key = |summary: &&Summary<'_>| (summary.ratio().unwrap_or(-1.0), summary.age.unwrap_or(-1.0));
    let worst = summaries.iter().filter(|summary| summary.age.is_some()).max_by(|one, other| {
        let (one, other) = (key(one), key(other));
        one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1))
    });
    let (value, note) = match worst {
        Some(worst) => {
            let promise = worst.promise().map_or_else(String::new, |promise| format!(", of {}", time(promise)));
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
        Some((worst, lag)) => (short(crate::page::text::float(lag)), worst.title()),
        None => ("–".to_owned(), "no records are counted".to_owned()),
    };
    let class = if worst.is_some_and(|worst| worst.lag > Some(0)) { "" } else { "none" };
    Tile { href: address([("sort", "lag")]), class, sign: None, title: "Worst lag", value, note }
}
