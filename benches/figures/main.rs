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

#[path = "../../tests/it/support/driver.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod driver;
#[path = "../../tests/it/support/kafka.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod kafka;
mod load;
mod process;
mod rounds;
mod source;
mod table;
mod targets;
mod throughput;

use table::Table;

fn main() {
    // the load and the server must not share a process, or neither could be measured
    if let Some(role) = process::Role::of_this_process() {
        return role.run();
    }
    let mut table = Table::default();
    throughput::measure(&mut table);
    load::measure(&mut table);
    rounds::measure(&mut table);
    targets::measure(&mut table);
    table.print_and_write();
}
