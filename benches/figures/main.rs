//! The figures of `make bench`: measured, printed as a table and written to `target/bench/results.json`. Nothing is asserted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    unreachable_pub,
    reason = "a measurement that cannot go on panics, and prints what it saw"
)]

mod ages;
#[path = "../../tests/it/support/aws_services.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod aws_services;
#[path = "../../tests/it/support/certificates.rs"]
mod certificates;
mod churn;
#[path = "../../tests/it/support/driver.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod driver;
#[path = "../../tests/it/support/kafka.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod kafka;
mod law;
mod load;
mod page;
mod process;
mod rounds;
#[path = "../../tests/it/support/scripted_aws/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests use all of it")]
mod scripted_aws;
mod source;
mod streams;
mod table;
mod targets;
mod throughput;
#[path = "../../tests/it/support/tls_client.rs"]
mod tls_client;
#[path = "../../tests/it/support/truth.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod truth;
#[path = "../../tests/it/support/world/mod.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod world;
mod worlds;

use table::Table;

type Measure = fn(&mut Table);

/// `cargo bench --bench figures -- load` measures one of them, no name all.
const MEASURES: [(&str, Measure); 14] = [
    // first: what it weighs must not lie where others have been
    ("law", law::measure),
    ("throughput", throughput::measure),
    ("tls", throughput::tls),
    ("load", load::measure),
    ("requests", rounds::same_requests_for_any_number_of_objects),
    ("groups", rounds::three_hundred_groups),
    ("targets", targets::measure),
    ("streams", streams::rounds),
    ("leases", streams::leases),
    ("stream-load", load::streams),
    ("law-load", load::catch_up),
    ("page", page::measure),
    ("worlds", worlds::measure),
    ("ages", ages::measure),
];

/// Measured only by name.
const LONG: [(&str, Measure); 1] = [("churn", churn::measure)];

fn main() {
    // the load and the server must not share a process, or neither could be measured
    if let Some(role) = process::Role::of_this_process() {
        return role.run();
    }
    let named: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let mut table = Table::default();
    for (name, measure) in MEASURES {
        if named.is_empty() || named.iter().any(|named| named == name) {
            measure(&mut table);
        }
    }
    for (name, measure) in LONG {
        if named.iter().any(|named| named == name) {
            measure(&mut table);
        }
    }
    table.print_and_write();
}
