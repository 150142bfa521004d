//! The service from outside, against brokers that stand in for real ones.

mod native;
mod support;
