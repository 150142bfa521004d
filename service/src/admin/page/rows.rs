//! The partition and shard tables of a target.

use maud::{Markup, html};

use crate::lag::flow::count;
use crate::page::plot::meter;
use crate::page::text::{short, time, whole};
use crate::sampler::{PartitionRow, Rows, ShardRow, WorkerRow};
use crate::scaling::Sample;

/// The maximum number of rows on the page; the JSON has all of them.
const MOST: usize = 200;

pub(super) fn table(sample: &Sample, json: &str) -> Markup {
    match Rows::of(sample) {
        Rows::Partitions { partitions } if partitions.is_empty() => html! {},
        Rows::Shards { shards, .. } if shards.is_empty() => html! {},
        Rows::Partitions { partitions: rows } => section("Partitions", rows.len(), json, &partitions(&rows)),
        Rows::Shards { shards: rows, workers } => html! {
            (section("Shards", rows.len(), json, &shards(&rows)))
            @if !workers.is_empty() {
                section aria-labelledby="workers" {
                    h2 #workers { "Workers " span.count { (whole(count(workers.len()))) } }
                    (self::workers(&workers))
                }
            }
        },
    }
}

fn section(title: &str, rows: usize, json: &str, table: &Markup) -> Markup {
    html! {
        section aria-labelledby="rows" {
            h2 #rows { (title) " " span.count { (whole(count(rows))) } }
            (table)
            @if rows > MOST { p.none { "The first " (MOST) " are shown. " a href=(json) { "All of them as JSON" } } }
        }
    }
}

fn head(titles: &[(&str, &str)]) -> Markup {
    html! {
        thead role="rowgroup" {
            tr role="row" {
                @for (class, title) in titles { th class=(class) scope="col" role="columnheader" { (title) } }
            }
        }
    }
}

fn partitions(rows: &[PartitionRow]) -> Markup {
    let followed = rows.iter().any(|row| row.arrivals_per_second.is_some());
    let mut titles =
        vec![("", "Partition"), ("n barred", "Behind"), ("n", "Committed"), ("n", "Log"), ("n", "Commit stands")];
    if followed {
        titles.extend([("n", "Arrive / s"), ("", "Owner")]);
    }
    let exact = |number: u64| whole(as_number(number));
    let most = rows.iter().filter_map(|row| row.records_behind).max().map_or(0.0, as_number);
    html! {
        table.rows role="table" {
            caption { "Where each partition is read up to" }
            (head(&titles))
            tbody role="rowgroup" {
                @for row in rows.iter().take(MOST) {
                    tr role="row" {
                        th scope="row" role="rowheader" { (row.topic) " " b { (row.partition) } }
                        td.n.strong role="cell" data-label="Behind" {
                            @match row.records_behind {
                                Some(behind) => { (exact(behind)) (meter(as_number(behind), most, false)) }
                                None => { "no valid commit" (meter(0.0, most, false)) }
                            }
                        }
                        td.n role="cell" data-label="Committed" { (row.committed.map_or_else(|| "–".to_owned(), exact)) }
                        td.n role="cell" data-label="Log" { (exact(row.start)) " – " (exact(row.end)) }
                        td.n role="cell" data-label="Commit stands" { (time(row.commit_unchanged_for_seconds)) }
                        @if followed {
                            td.n role="cell" data-label="Arrive / s" { (row.arrivals_per_second.map_or_else(|| "–".to_owned(), short)) }
                            td role="cell" data-label="Owner" { (row.owner.as_deref().unwrap_or("none")) }
                        }
                    }
                }
            }
        }
    }
}

fn shards(rows: &[ShardRow]) -> Markup {
    let oldest = rows.iter().filter_map(|row| row.age_seconds).fold(0.0, f64::max);
    let measured = rows.iter().any(|row| row.kilobytes_per_second.is_some());
    let mut titles = vec![("", "Shard"), ("", "State"), ("n barred", "Oldest unread"), ("", "Unread")];
    if measured {
        titles.push(("n", "kB / s"));
    }
    titles.extend([("", "Checkpoint"), ("", "Owner")]);
    html! {
        table.rows role="table" {
            caption { "How far each shard is read" }
            (head(&titles))
            tbody role="rowgroup" {
                @for row in rows.iter().take(MOST) {
                    tr role="row" {
                        th scope="row" role="rowheader" { (row.shard) }
                        td role="cell" data-label="State" { (row.state) }
                        td.n.strong role="cell" data-label="Oldest unread" {
                            @match row.age_seconds { Some(age) => { (time(age)) (meter(age, oldest, false)) } None => { "–" (meter(0.0, oldest, false)) } }
                        }
                        td role="cell" data-label="Unread" { (unread(row)) }
                        @if measured {
                            td.n role="cell" data-label="kB / s" { (row.kilobytes_per_second.map_or_else(|| "–".to_owned(), short)) }
                        }
                        td.long role="cell" data-label="Checkpoint" { (row.checkpoint.as_deref().unwrap_or("none")) }
                        td role="cell" data-label="Owner" { (row.owner.as_deref().unwrap_or("none")) }
                    }
                }
            }
        }
    }
}

fn workers(rows: &[WorkerRow]) -> Markup {
    let percent = |number: f64| format!("{number:.0} %");
    html! {
        table.rows role="table" {
            caption { "What each worker has written of itself" }
            (head(&[("", "Worker"), ("n barred", "CPU now"), ("n", "CPU before"), ("n", "Work up to"), ("n", "Written")]))
            tbody role="rowgroup" {
                @for row in rows.iter().take(MOST) {
                    tr role="row" {
                        th scope="row" role="rowheader" { (row.worker) }
                        @match row.cpu_percent.split_last() {
                            Some((now, before)) => {
                                td.n.strong role="cell" data-label="CPU now" { (percent(*now)) (meter(*now, 100.0, false)) }
                                td.n role="cell" data-label="CPU before" {
                                    @if before.is_empty() { "–" }
                                    @for (index, cpu) in before.iter().enumerate() { @if index > 0 { ", " } (percent(*cpu)) }
                                }
                            }
                            None => {
                                td.n role="cell" data-label="CPU now" { "not measured" (meter(0.0, 100.0, false)) }
                                td.n role="cell" data-label="CPU before" { "–" }
                            }
                        }
                        td.n role="cell" data-label="Work up to" { (row.most_cpu_percent.map_or_else(|| "–".to_owned(), percent)) }
                        td.n role="cell" data-label="Written" {
                            @match row.written_seconds_ago { Some(seconds) => { (time(seconds)) " ago" } None => "–" }
                        }
                    }
                }
            }
        }
    }
}

fn unread(row: &ShardRow) -> String {
    match (row.backlog, &row.waits_on) {
        (_, Some(on)) => format!("waits for {on}"),
        ("unread", _) => "records".to_owned(),
        ("caughtUp", _) => "nothing".to_owned(),
        ("finished", _) => "finished".to_owned(),
        _ => "no such shard".to_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an offset above 2^53 need not be exact to the record")]
const fn as_number(offset: u64) -> f64 {
    offset as f64
}
