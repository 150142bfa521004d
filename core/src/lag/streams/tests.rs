//! Rows that real clients wrote, and the times inside sequence numbers.

use std::collections::HashMap;

use serde::Deserialize;

use super::*;
use crate::trigger::StoreLayout;

pub(super) const T0: u64 = 1_795_000_000_000;

pub(super) fn ms(milliseconds: u64) -> Timestamp {
    Timestamp::from_unix_ms(milliseconds)
}

pub(super) fn shard_id(index: u32) -> ShardId {
    ShardId::new(&format!("shardId-{index:012}"))
}

/// A number in Kinesis' layout.
pub(super) fn number(shard: u32, created_s: u64, arrived_s: u64, count: u64, version: u8) -> SequenceNumber {
    let hex = format!("2{created_s:09x}0{count:016x}00{arrived_s:09x}{shard:08x}{version:x}");
    let mut decimal = vec![0_u8];
    for digit in hex.chars() {
        let mut carry = digit.to_digit(16).expect("a hex digit");
        for place in &mut decimal {
            let value = u32::from(*place) * 16 + carry;
            *place = u8::try_from(value % 10).expect("a digit");
            carry = value / 10;
        }
        while carry > 0 {
            decimal.push(u8::try_from(carry % 10).expect("a digit"));
            carry /= 10;
        }
    }
    let text: String = decimal.iter().rev().map(|digit| char::from(b'0' + digit)).collect();
    SequenceNumber::parse(&text).expect("digits")
}

// === sequence numbers ===

#[test]
fn the_time_inside_a_sequence_number_is_read_only_where_every_field_fits() {
    let now = ms(T0 + 1_000_000);
    let seconds = T0 / 1000;
    let good = number(7, seconds, seconds + 500, 3, 2);
    assert_eq!(good.arrived_after(&shard_id(7), now), Some(ms(T0 + 500_000)));
    let cases = [
        ("another shard", number(8, seconds, seconds + 500, 3, 2)),
        ("an unknown version", number(7, seconds, seconds + 500, 3, 3)),
        ("before its shard was made", number(7, seconds, seconds - 1, 3, 2)),
        ("in the future", number(7, seconds, seconds + 1006, 3, 2)),
        ("no number of Kinesis", SequenceNumber::parse("000000000000000001454").expect("digits")),
        ("longer than any", SequenceNumber::parse(&"9".repeat(80)).expect("digits")),
    ];
    for (what, number) in cases {
        assert_eq!(number.arrived_after(&shard_id(7), now), None, "{what}");
    }
    assert_eq!(good.arrived_after(&ShardId::new("shardId-00000001795218077213-17c96a3c"), now), None);
}

#[test]
fn sequence_numbers_are_ordered_as_numbers() {
    let parse = |text: &str| SequenceNumber::parse(text).expect("digits");
    assert!(parse("9") < parse("10") && parse("000000000000000001454") < parse("000000000000000001455"));
    assert!(parse("0009") < parse("10") && parse("11") > parse("0010"));
    for text in ["", "-1", "1a", "SHARD_END", &"1".repeat(130)] {
        assert_eq!(SequenceNumber::parse(text), None, "{text}");
    }
}

// === rows of real clients ===

#[derive(Deserialize)]
struct Dump {
    tables: HashMap<String, Vec<HashMap<String, serde_json::Value>>>,
}

fn rows(file: &str, table: &str) -> Vec<Row> {
    let dump: Dump = serde_json::from_str(file).expect("a dump");
    let items = dump.tables[table].iter();
    items.map(|item| item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()).collect()
}

fn attribute(value: &serde_json::Value) -> Attribute {
    let (kind, value) = value.as_object().and_then(|value| value.iter().next()).expect("a typed value");
    match (kind.as_str(), value) {
        ("S" | "N", text) => Attribute::Text(text.as_str().expect("a text").to_owned()),
        ("SS", texts) => {
            let texts = texts.as_array().expect("a set").iter();
            Attribute::Texts(texts.map(|text| text.as_str().expect("a text").to_owned()).collect())
        }
        ("M", lists) => {
            let lists = lists.as_object().expect("a map").iter();
            Attribute::Lists(lists.filter_map(|(name, list)| Some((name.clone(), numbers(&list["L"])?))).collect())
        }
        _ => Attribute::Other,
    }
}

fn numbers(list: &serde_json::Value) -> Option<Vec<String>> {
    Some(list.as_array()?.iter().filter_map(|number| number["N"].as_str().map(str::to_owned)).collect())
}

/// The shard, checkpoint and owner of each lease, for the stream of the file.
fn leases(file: &str, table: &str, of: RowsOf<'_>) -> Vec<String> {
    let leases = leases_of(&rows(file, table), &StoreLayout::kcl(), of).expect("leases");
    let mut told: Vec<_> = leases
        .iter()
        .map(|lease| {
            let point = lease.checkpoint.to_string();
            let point = if point.len() > 20 { "number".to_owned() } else { point };
            let parents: Vec<_> = lease.parents.iter().map(|parent| &parent.as_str()[18..20]).collect();
            let owner = lease.owner.as_deref().unwrap_or("unowned");
            format!("{} {point} {owner} {}", &lease.shard.as_str()[18..20], parents.join(","))
        })
        .collect();
    told.sort();
    told
}

#[test]
fn leases_are_read_as_every_version_of_kcl_writes_them() {
    let orders = RowsOf::Kinesis { stream: "orders", created: None };
    let cases: [(&str, &str, &[&str]); 11] = [
        (
            include_str!("cases/kcl3-start.json"),
            "orders-app",
            &["00 TRIM_HORIZON worker-1 ", "01 TRIM_HORIZON worker-1 "],
        ),
        (include_str!("cases/kcl3-steady.json"), "orders-app", &["00 number worker-1 ", "01 number worker-1 "]),
        (
            include_str!("cases/kcl3-reshard-parent-unfinished.json"),
            "orders-app",
            &["00 number worker-1 ", "01 SHARD_END worker-1 ", "02 number worker-1 01", "03 number worker-1 01"],
        ),
        (
            include_str!("cases/kcl3-reshard-children-created.json"),
            "orders-app",
            &[
                "00 number worker-1 ",
                "01 SHARD_END worker-1 ",
                "02 TRIM_HORIZON unowned 01",
                "03 TRIM_HORIZON unowned 01",
            ],
        ),
        (
            include_str!("cases/kcl3-reshard-children-consumed.json"),
            "orders-app",
            &["00 number worker-1 ", "01 SHARD_END worker-1 ", "02 number worker-1 01", "03 number worker-1 01"],
        ),
        (
            include_str!("cases/kcl3-stopped-gracefully.json"),
            "orders-app",
            &["00 number worker-1 ", "01 SHARD_END worker-1 ", "02 number worker-1 01", "03 number worker-1 01"],
        ),
        (
            include_str!("cases/kcl3-after-graceful-restart.json"),
            "orders-app",
            &["00 number worker-2 ", "01 SHARD_END worker-2 ", "02 number worker-2 01", "03 number worker-2 01"],
        ),
        (
            // a lease that is being handed over belongs to its old owner until the handover is complete
            include_str!("cases/kcl3-killed.json"),
            "orders-app",
            &[
                "00 number worker-2 ",
                "01 SHARD_END worker-2 ",
                "02 SHARD_END worker-2 01",
                "03 number worker-2 01",
                "04 TRIM_HORIZON worker-2 02",
                "05 TRIM_HORIZON worker-2 02",
            ],
        ),
        (
            include_str!("cases/kcl3-after-kill-restart.json"),
            "orders-app",
            &[
                "00 number worker-3 ",
                "01 SHARD_END worker-3 ",
                "02 SHARD_END worker-3 01",
                "03 number worker-3 01",
                "04 number worker-3 02",
                "05 number worker-3 02",
            ],
        ),
        (include_str!("cases/kcl3-legacy-three-tables.json"), "legacy-app", &["00 number worker-l "]),
        (include_str!("cases/kcl3-legacy-upgraded.json"), "legacy-app", &["00 number worker-l "]),
    ];
    for (file, table, expected) in cases {
        let found = leases(file, table, orders);
        assert!(found.len() == expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            // the names of the legacy workers are irrelevant
            let same = found == expected || expected.contains("worker-l") && found.starts_with("00 number");
            assert!(same, "{found} {expected}");
        }
    }
}

#[test]
fn a_table_of_several_streams_is_read_for_one_of_them() {
    let file = include_str!("cases/kcl3-multistream.json");
    assert_eq!(leases(file, "multi-app", RowsOf::Kinesis { stream: "alpha", created: None }), ["00 number worker-ms "]);
    assert!(leases(file, "multi-app", RowsOf::Kinesis { stream: "gamma", created: None }).is_empty());
}

#[test]
fn leases_of_the_dynamodb_adapter_are_read_with_one_stream_and_with_several() {
    let several = RowsOf::DynamoDb { table: "invoices2", label: "2026-11-20T23:39:16.341" };
    let cases = [
        (include_str!("cases/ddb-adapter-start.json"), "invoices-app", 1),
        (include_str!("cases/ddb-adapter-rolled-parent-unfinished.json"), "invoices-app", 1),
        (include_str!("cases/ddb-adapter-rolled-child-missing.json"), "invoices-app", 1),
        (include_str!("cases/ddb-adapter-rolled-child-consumed.json"), "invoices-app", 2),
        (include_str!("cases/ddb-adapter-multistream-start.json"), "inv23", 1),
        (include_str!("cases/ddb-adapter-multistream-rolled.json"), "inv23", 2),
    ];
    for (file, table, expected) in cases {
        assert_eq!(leases(file, table, several).len(), expected, "{table}");
    }
    let other = RowsOf::DynamoDb { table: "invoices2", label: "2026-11-21T00:00:00.000" };
    assert!(leases(include_str!("cases/ddb-adapter-multistream-rolled.json"), "inv23", other).is_empty());
}

#[test]
fn of_a_stream_that_was_made_again_the_newest_leases_count() {
    let rows = [multi_stream_row("orders", 9, "SHARD_END"), multi_stream_row("orders", 10, "TRIM_HORIZON")];
    let found =
        leases_of(&rows, &StoreLayout::kcl(), RowsOf::Kinesis { stream: "orders", created: None }).expect("leases");
    assert_eq!(found.iter().map(|lease| &lease.checkpoint).collect::<Vec<_>>(), [&Checkpoint::TrimHorizon]);
}

/// A row of a multi-stream table.
fn multi_stream_row(stream: &str, creation: u64, point: &str) -> Row {
    let stream = format!("123456789012:{stream}:{creation}");
    let key = format!("{stream}:shardId-000000000000");
    [("leaseKey", key), ("streamName", stream), ("checkpoint", point.to_owned())]
        .map(|(name, text)| (name.to_owned(), Attribute::Text(text)))
        .into()
}

#[test]
fn rows_that_are_all_older_than_the_stream_are_an_error_that_names_both_times() {
    let rows = [
        multi_stream_row("orders", 1_795_000_000, "SHARD_END"),
        multi_stream_row("orders", 1_795_000_100, "SHARD_END"),
        multi_stream_row("payments", 1_795_999_999, "TRIM_HORIZON"),
    ];
    let read = |created| leases_of(&rows, &StoreLayout::kcl(), RowsOf::Kinesis { stream: "orders", created });
    let error = read(Some(1_795_000_101)).expect_err("a former stream");
    let text = error.to_string();
    for part in ["stream orders", "2026-11-18T11:08:20Z", "2026-11-18T11:08:21Z"] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
    assert!(error.remedy().contains("creation time of the present stream"), "{}", error.remedy());
    // leases of the same second and later belong to the present stream, whatever the client counts
    for created in [None, Some(0), Some(1_795_000_100)] {
        assert_eq!(read(created).expect("leases").len(), 1, "{created:?}");
    }
    let none = leases_of(&rows[2..], &StoreLayout::kcl(), RowsOf::Kinesis { stream: "orders", created: Some(1) });
    assert_eq!(none.expect("no lease, and no error").len(), 0);
}

#[test]
fn rows_without_a_creation_are_read_whenever_the_stream_was_created() {
    let row: Row = [("leaseKey", "shardId-000000000000"), ("checkpoint", "TRIM_HORIZON")]
        .map(|(name, text)| (name.to_owned(), Attribute::Text(text.to_owned())))
        .into();
    let of = RowsOf::Kinesis { stream: "orders", created: Some(1_795_000_000) };
    assert_eq!(leases_of(&[row], &StoreLayout::kcl(), of).expect("a lease").len(), 1);
}

#[test]
fn a_row_that_says_nothing_of_progress_is_an_error_and_no_zero() {
    let row = |pairs: &[(&str, &str)]| -> Row {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), Attribute::Text((*text).to_owned()))).collect()
    };
    let cases = [
        (row(&[("checkpoint", "5")]), "a row has no leaseKey"),
        (row(&[("leaseKey", "s")]), "the row of s has no checkpoint"),
        (row(&[("leaseKey", "s"), ("checkpoint", "5x")]), "no sequence number"),
    ];
    for (row, text) in cases {
        let error =
            leases_of(&[row], &StoreLayout::kcl(), RowsOf::Kinesis { stream: "x", created: None }).expect_err(text);
        assert!(error.to_string().contains(text), "{error}");
    }
}

// === workers ===

#[test]
fn workers_are_read_as_kcl_writes_them_with_and_without_measurements() {
    let measured = rows(include_str!("cases/kcl3-worker-cpu.json"), "orders-app");
    let [worker] = <[_; 1]>::try_from(workers_of(&measured, &StoreLayout::kcl())).expect("one worker");
    assert_eq!(
        (&*worker.id, worker.written, worker.most_cpu_percent),
        ("worker-1", Some(ms(1_795_251_434_000)), Some(80.0))
    );
    assert_eq!(worker.cpu_percent.len(), 10);
    assert_eq!(worker.cpu_percent[..2], [57.597_092, 54.472_013]);
    let idle = rows(include_str!("cases/kcl3-after-graceful-restart.json"), "orders-app");
    let workers = workers_of(&idle, &StoreLayout::kcl());
    let told: Vec<_> = workers.iter().map(|worker| (&*worker.id, worker.cpu_percent.len())).collect();
    assert_eq!(told, [("worker-1", 0), ("worker-2", 0)], "one is gone, and its row is still there");
    let legacy = rows(include_str!("cases/kcl3-legacy-three-tables.json"), "legacy-app");
    assert!(workers_of(&legacy, &StoreLayout::kcl()).is_empty(), "they are in another table");
}

#[test]
fn an_odd_row_of_a_worker_is_passed_over_and_its_leases_count() {
    let lists = |name: &str, numbers: &[&str]| {
        let numbers = numbers.iter().map(|number| (*number).to_owned()).collect();
        Attribute::Lists(HashMap::from([(name.to_owned(), numbers)]))
    };
    let text = |text: &str| Attribute::Text(text.to_owned());
    let row = |id: &str, more: &[(&str, Attribute)]| -> Row {
        let base = [("leaseKey", text(id)), ("entityType", text(WORKER))];
        base.iter().chain(more).map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    let mut nameless = row("", &[]);
    nameless.remove("leaseKey");
    let rows = [
        nameless,
        row("b", &[("sts", text("none")), ("opr", Attribute::Other), ("lut", text("soon"))]),
        row("a", &[("sts", lists("C", &["-1", "12.5", "NaN", "x", "1E1"])), ("opr", lists("C", &["0"]))]),
        row("c", &[("sts", lists("M", &["70"])), ("lut", text("18446744073709551615"))]),
        [("leaseKey", text("shardId-000000000000")), ("checkpoint", text("TRIM_HORIZON"))]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
    ];
    let worker = |id: &str, cpu: &[f64]| Worker {
        id: id.into(),
        written: None,
        cpu_percent: cpu.into(),
        most_cpu_percent: None,
    };
    assert_eq!(
        workers_of(&rows, &StoreLayout::kcl()),
        [worker("a", &[12.5, 10.0]), worker("b", &[]), worker("c", &[])]
    );
    let leases =
        leases_of(&rows, &StoreLayout::kcl(), RowsOf::Kinesis { stream: "orders", created: None }).expect("leases");
    assert_eq!(leases.len(), 1);
}

#[test]
fn a_time_is_before_a_number_only_where_the_time_inside_the_number_says_so() {
    let (shard, now) = (ShardId::new("shardId-000000000000"), Timestamp::from_unix_ms(2_000_000));
    let at = |seconds: u64| Position::At(Timestamp::from_unix_ms(seconds * 1000));
    let arrived = |seconds| number(0, 900, seconds, 1, 2);
    for (time, seconds, before) in [(1000, 1001, true), (1000, 1000, true), (1000, 999, false)] {
        for position in [Position::After(arrived(seconds)), Position::Within(arrived(seconds), 0)] {
            assert_eq!(at(time).is_at_or_before(&position, &shard, now), before, "{time}, {position:?}");
            assert!(!position.is_at_or_before(&at(time), &shard, now), "a number is before no time");
        }
    }
    let without_time = Position::After(SequenceNumber::parse("111000000000000000000001").expect("digits"));
    assert!(!at(1).is_at_or_before(&without_time, &shard, now));
}
