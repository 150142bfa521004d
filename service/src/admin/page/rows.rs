//! The partitions, shards and workers of a target.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::causes::counted;
use super::list::number;
use super::state::State;
use crate::page::plot::meter;
use crate::page::text::{float, short, time, whole};
use crate::sampler::{PartitionRow, Rows, ShardRow, WorkerRow};
use crate::scaling::Sample;

/// The maximum number of rows on the page; the JSON has all of them.
const MOST: usize = 200;
/// A partition that needs this share of one consumer is marked.
const HOT: f64 = 0.5;

/// The title of a column with its CSS class.
type Title = (&'static str, &'static str);

/// Shows the rows of a reading; the partition or shard that needs most is given with its share of one consumer.
pub(super) fn tables(sample: &Sample, busiest: Option<(&str, f64)>, json: &str) -> Markup {
    match Rows::of(sample) {
        Rows::Partitions { partitions } if partitions.is_empty() => html! {},
        Rows::Shards { shards, .. } if shards.is_empty() => html! {},
        Rows::Partitions { partitions: mut rows } => {
            rows.sort_by_key(|row| std::cmp::Reverse(row.records_behind));
            let about = about(rows.iter().map(|row| row.owner.as_deref()), commits(&rows));
            section("parts", &counted(rows.len(), "partition"), &about, rows.len(), json, &partitions(&rows, busiest))
        }
        Rows::Shards { shards: mut rows, workers } => {
            rows.sort_by(|one, other| other.age_seconds.unwrap_or(-1.0).total_cmp(&one.age_seconds.unwrap_or(-1.0)));
            let about = about(rows.iter().map(|row| row.owner.as_deref()), Vec::new());
            html! {
                (section("parts", &counted(rows.len(), "shard"), &about, rows.len(), json, &shards(&rows, busiest)))
                @if !workers.is_empty() {
                    (section("workers", &counted(workers.len(), "worker"), "", workers.len(), json, &self::workers(&workers)))
                }
            }
        }
    }
}

/// Says how the rows are shared between owners, and `more`.
fn about<'a>(owners: impl Iterator<Item = Option<&'a str>>, more: Vec<String>) -> String {
    let owners: Vec<_> = owners.collect();
    let distinct: BTreeSet<_> = owners.iter().flatten().collect();
    let without = owners.iter().filter(|owner| owner.is_none()).count();
    let mut parts = Vec::new();
    if !distinct.is_empty() {
        parts.push(counted(distinct.len(), "owner"));
        parts.push(format!("{} without an owner", number(without)));
    }
    parts.extend(more);
    parts.join("; ")
}

/// Says what the columns do not show of the commits.
fn commits(rows: &[PartitionRow]) -> Vec<String> {
    let mut notes = Vec::new();
    let without = rows.iter().filter(|row| row.records_behind.is_none()).count();
    if without > 0 {
        notes.push(format!("{} without a commit", number(without)));
    }
    let expected = |row: &PartitionRow| row.age_seconds == Some(0.0) && row.records_behind.is_some_and(|lag| lag > 0);
    if rows.iter().any(expected) {
        notes.push("oldest 0 s beside a lag: no more than what arrives between two commits".to_owned());
    }
    notes
}

fn section(id: &str, title: &str, about: &str, rows: usize, json: &str, table: &Markup) -> Markup {
    html! {
        section.card.table aria-labelledby=(id) {
            header { h2 id=(id) { (title) } @if !about.is_empty() { span.soft { (about) } } }
            (table)
            @if rows > MOST { p.pages { "The first " (MOST) " are shown. " a href=(json) { "All of them as JSON" } } }
        }
    }
}

fn head(titles: &[Title]) -> Markup {
    html! {
        thead { tr { @for (class, title) in titles { th class=(class) scope="col" { (title) } } } }
    }
}

fn partitions(rows: &[PartitionRow], busiest: Option<(&str, f64)>) -> Markup {
    let followed = rows.iter().any(|row| row.arrivals_per_second.is_some());
    let aged = rows.iter().any(|row| row.age_seconds.is_some());
    let owned = rows.iter().any(|row| row.owner.is_some());
    let titles: Vec<Title> = [("", "Partition")]
        .into_iter()
        .chain(owned.then_some(("", "Owner")))
        .chain([("n sorted", "Lag")])
        .chain(aged.then_some(("n", "Oldest")))
        .chain(followed.then_some([("n opt", "In/s"), ("n opt", "Out/s")]).into_iter().flatten())
        .chain([("n", "Commit unchanged for"), ("n opt", "Committed of end")])
        .collect();
    let most = rows.iter().filter_map(|row| row.records_behind).max().map_or(0.0, float);
    html! {
        table.parts {
            caption.sr { "Partitions, largest lag first" }
            (head(&titles))
            tbody {
                @for row in rows.iter().take(MOST) {
                    @let hot = hot(busiest, &format!("{}/{}", row.topic, row.partition));
                    tr id={ "p" (row.topic) "." (row.partition) } {
                        th scope="row" { (row.topic) " " b { (row.partition) } (flag(hot)) }
                        @if owned { td { (owner(row.owner.as_deref())) } }
                        td.n {
                            @match row.records_behind {
                                Some(behind) => { (whole(float(behind))) (meter(float(behind), most, hot.is_some())) }
                                None => { span.soft { "no valid commit" } (meter(0.0, most, false)) }
                            }
                        }
                        @if aged { td.n { (known(row.age_seconds, time)) } }
                        @if followed {
                            td.n.opt { (known(row.arrivals_per_second, short)) }
                            td.n.opt { (known(row.consumed_per_second, short)) }
                        }
                        td.n { @if row.committed.is_some() { (time(row.commit_unchanged_for_seconds)) } }
                        td.n.opt.soft { (committed(row)) }
                    }
                }
            }
        }
    }
}

/// Shows a number that may be unknown, which is not zero.
fn known(number: Option<f64>, text: fn(f64) -> String) -> Markup {
    html! { @match number { Some(number) => (text(number)), None => span.soft { "unknown" } } }
}

fn committed(row: &PartitionRow) -> String {
    let end = whole(float(row.end));
    match row.committed {
        Some(committed) => format!("{} of {end}", whole(float(committed))),
        None if row.start == row.end => "empty log".to_owned(),
        None => format!("log {} to {end}", whole(float(row.start))),
    }
}

/// The share of one consumer of a partition that is marked as hot.
fn hot(busiest: Option<(&str, f64)>, place: &str) -> Option<f64> {
    busiest.filter(|(busiest, share)| *busiest == place && *share >= HOT).map(|(_, share)| share)
}

fn flag(hot: Option<f64>) -> Markup {
    html! {
        @if let Some(share) = hot {
            " " span.warn.flag {
                (State::Over.sign()) "hot" span.wide { (format!(": {:.0} % of one consumer", share * 100.0)) }
            }
        }
    }
}

/// Shows an owner; on a phone only the end of its name, which distinguishes it.
fn owner(owner: Option<&str>) -> Markup {
    html! {
        @match owner.map(|owner| owner.rsplit_once('-').map_or(("", owner), |(first, _)| owner.split_at(first.len() + 1))) {
            Some((first, last)) => { span.pod.soft { (first) } (last) }
            None => span.soft { "none" },
        }
    }
}

fn shards(rows: &[ShardRow], busiest: Option<(&str, f64)>) -> Markup {
    let oldest = rows.iter().filter_map(|row| row.age_seconds).fold(0.0, f64::max);
    let followed = rows.iter().any(|row| row.arriving_kilobytes_per_second.is_some());
    let measured = rows.iter().any(|row| row.kilobytes_per_second.is_some());
    let titles: Vec<Title> = [("", "Shard"), ("", "Owner"), ("n sorted", "Oldest record"), ("", "Waiting")]
        .into_iter()
        .chain(followed.then_some(("n opt", "In, kB/s")))
        .chain(measured.then_some(("n opt", "Out, kB/s")))
        .chain([("opt", "State"), ("opt", "Checkpoint")])
        .collect();
    html! {
        table.parts {
            caption.sr { "Shards, oldest record first" }
            (head(&titles))
            tbody {
                @for row in rows.iter().take(MOST) {
                    @let hot = hot(busiest, &row.shard);
                    tr id={ "s" (row.shard) } {
                        th scope="row" { (owner(Some(&row.shard))) (flag(hot)) }
                        td { (owner(row.owner.as_deref())) }
                        td.n {
                            @match row.age_seconds {
                                Some(age) => { (time(age)) (meter(age, oldest, hot.is_some())) }
                                None => (meter(0.0, oldest, false)),
                            }
                        }
                        td { (waiting(row)) }
                        @if followed { td.n.opt { (known(row.arriving_kilobytes_per_second, short)) } }
                        @if measured { td.n.opt { (known(row.kilobytes_per_second, short)) } }
                        td.opt { (row.state) }
                        td.opt.long.soft { (row.checkpoint.as_deref().unwrap_or("none")) }
                    }
                }
            }
        }
    }
}

fn waiting(row: &ShardRow) -> String {
    match (row.backlog, &row.waits_on) {
        (_, Some(on)) => format!("waits for {on}"),
        ("unread", _) => "records".to_owned(),
        ("caughtUp", _) => "nothing".to_owned(),
        ("finished", _) => "finished".to_owned(),
        _ => "no such shard".to_owned(),
    }
}

fn workers(rows: &[WorkerRow]) -> Markup {
    let percent = |number: f64| format!("{number:.0} %");
    let titles = [("", "Worker"), ("n", "CPU"), ("n opt", "CPU before"), ("n", "CPU limit"), ("n", "Written")];
    html! {
        table.parts {
            caption.sr { "What each worker has written about itself" }
            (head(&titles))
            tbody {
                @for row in rows.iter().take(MOST) {
                    tr id={ "w" (row.worker) } {
                        th scope="row" { (row.worker) }
                        @match row.cpu_percent.split_last() {
                            Some((now, before)) => {
                                td.n { (percent(*now)) (meter(*now, 100.0, false)) }
                                td.n.opt { @for (index, cpu) in before.iter().enumerate() { @if index > 0 { ", " } (percent(*cpu)) } }
                            }
                            None => {
                                td.n { span.soft { "not measured" } (meter(0.0, 100.0, false)) }
                                td.n.opt {}
                            }
                        }
                        td.n { (row.most_cpu_percent.map_or_else(String::new, percent)) }
                        td.n { @if let Some(seconds) = row.written_seconds_ago { (time(seconds)) " ago" } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(records_behind: Option<u64>, age_seconds: Option<f64>) -> PartitionRow {
        PartitionRow {
            topic: "orders".into(),
            partition: 0,
            committed: records_behind.map(|behind| 100 - behind),
            start: 0,
            end: 100,
            records_behind,
            commit_unchanged_for_seconds: 1.0,
            owner: None,
            arrivals_per_second: None,
            consumed_per_second: None,
            age_seconds,
        }
    }

    #[test]
    fn an_age_of_zero_beside_a_lag_is_explained_and_no_other() {
        let explained = |rows: &[PartitionRow]| commits(rows).iter().any(|note| note.contains("between two commits"));
        assert!(explained(&[row(Some(0), Some(0.0)), row(Some(7), Some(0.0))]));
        assert!(!explained(&[row(Some(0), Some(0.0)), row(Some(7), Some(3.0)), row(Some(7), None), row(None, None)]));
        assert_eq!(commits(&[row(None, None), row(None, None)]), ["2 without a commit"]);
    }
}
