//! The service from outside, against brokers that stand in for real ones.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and shows its figures")]

mod native;
mod support;
