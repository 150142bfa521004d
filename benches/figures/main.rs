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
mod checkpoint_tables;
mod churn;
#[path = "../../tests/it/support/committer.rs"]
mod committer;
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
mod push;
mod readings;
mod resizing;
mod rounds;
#[path = "../../tests/it/support/scaler.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod scaler;
#[path = "../../tests/it/support/scripted_aws/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests use all of it")]
mod scripted_aws;
mod shared_streams;
mod source;
#[path = "../../tests/it/support/stream_world/mod.rs"]
mod stream_world;
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

use std::pin::Pin;

use tokio::task::JoinSet;

use process::runtime;
use table::Table;

type Measure = fn(&mut Table);
type MeasureBeside = fn() -> Pin<Box<dyn Future<Output = Table> + Send>>;

/// `cargo bench --bench figures -- load` measures one of them, no name all.
const MEASURES: [(&str, Measure); 18] = [
    // first: what it weighs must not lie where others have been
    ("law", law::measure),
    ("throughput", throughput::measure),
    ("tls", throughput::tls),
    ("load", load::measure),
    ("requests", rounds::same_requests_for_any_number_of_objects),
    ("groups", rounds::groups),
    ("wake-up", push::wake_up),
    ("targets", targets::measure),
    ("streams", streams::rounds),
    ("leases", streams::leases),
    ("stream-load", load::streams),
    ("law-load", load::catch_up),
    ("many-shards", shared_streams::many_shards),
    ("page", page::measure),
    ("page-load", page::load),
    ("worlds", worlds::measure),
    ("resizing", resizing::measure),
    ("ages", ages::measure),
];

/// Minutes of little work, whose figures depend on no processor: side by side.
const SIDE_BY_SIDE: [(&str, MeasureBeside); 6] = [
    ("quiet", || Box::pin(shared_streams::quiet())),
    ("lagging", || Box::pin(shared_streams::lagging())),
    ("two-applications", || Box::pin(shared_streams::two_applications())),
    ("many-tables", || Box::pin(checkpoint_tables::many_tables())),
    ("read-units", || Box::pin(checkpoint_tables::read_units())),
    ("silent-push", || Box::pin(push::silent_source())),
];

/// Measured only by name.
const LONG: [(&str, Measure); 1] = [("churn", churn::measure)];

fn main() {
    // the load and the server must not share a process, or neither could be measured
    if let Some(role) = process::Role::of_this_process() {
        return role.run();
    }
    let named: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let selected = |name: &str| named.is_empty() || named.iter().any(|named| named == name);
    let mut table = Table::default();
    for (name, measure) in MEASURES {
        if selected(name) {
            measure(&mut table);
        }
    }
    runtime().block_on(async {
        let measures = SIDE_BY_SIDE.into_iter().filter(|(name, _)| selected(name));
        let measured: JoinSet<Table> = measures.map(|(_, measure)| measure()).collect();
        measured.join_all().await.into_iter().for_each(|of| table.append(of));
    });
    for (name, measure) in LONG {
        if named.iter().any(|named| named == name) {
            measure(&mut table);
        }
    }
    table.print_and_write();
}
