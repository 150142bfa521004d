//! Which calls came, and when.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::call::Call;
use super::{ScriptedAws, Signer};

const SECOND: Duration = Duration::from_secs(1);

/// Every call, in the order of arrival, whatever it was answered.
#[derive(Default)]
pub(super) struct Log(Vec<Logged>);

struct Logged {
    call: Call,
    at: Instant,
    /// Whether it was within the limits of AWS.
    within_limits: bool,
}

impl Log {
    pub(super) fn note(&mut self, call: Call, at: Instant, within_limits: bool) {
        self.0.push(Logged { call, at, within_limits });
    }

    /// How many such calls were within the limits in the second before `at`.
    pub(super) fn last_second(&self, operation: &str, about: Option<&str>, at: Instant) -> usize {
        let recent = self.0.iter().rev().take_while(|logged| at.duration_since(logged.at) < SECOND);
        recent.filter(|logged| logged.within_limits && logged.call.is(operation, about)).count()
    }

    fn of(&self, operation: &str, about: Option<&str>) -> impl Iterator<Item = &Logged> {
        self.0.iter().filter(move |logged| logged.call.is(operation, about))
    }
}

impl ScriptedAws {
    /// How many calls of this operation came.
    pub fn calls(&self, operation: &str) -> usize {
        self.world().log.of(operation, None).count()
    }

    /// How many calls of this operation came about one stream, table, `SHARD` or `STREAM/SHARD`.
    pub fn calls_of(&self, operation: &str, about: &str) -> usize {
        self.world().log.of(operation, Some(about)).count()
    }

    /// How many calls were over the limits of AWS, after [`keep_aws_limits`](Self::keep_aws_limits).
    pub fn calls_over_limits(&self) -> usize {
        self.world().log.0.iter().filter(|logged| !logged.within_limits).count()
    }

    /// The most calls of this operation that came in any one second, about one thing if one is given.
    pub fn busiest_second(&self, operation: &str, about: Option<&str>) -> usize {
        let world = self.world();
        let times: Vec<Instant> = world.log.of(operation, about).map(|logged| logged.at).collect();
        let in_second_from = |(nth, from): (usize, &Instant)| times.partition_point(|at| *at < *from + SECOND) - nth;
        times.iter().enumerate().map(in_second_from).max().unwrap_or_default()
    }

    /// Fails the test if there were more calls than that in any one second.
    pub fn assert_rate(&self, operation: &str, about: Option<&str>, per_second: usize) {
        let busiest = self.busiest_second(operation, about);
        let about = about.unwrap_or("anything");
        assert!(busiest <= per_second, "{busiest} calls of {operation} about {about} in a second, not {per_second}");
    }

    /// What the requests of this operation said, in the order of arrival.
    pub fn inputs(&self, operation: &str) -> Vec<Value> {
        self.world().log.of(operation, None).map(|logged| logged.call.input.clone()).collect()
    }

    /// Who signed the calls of this operation, each only once; unsigned ones are left out.
    pub fn signers(&self, operation: &str) -> Vec<Signer> {
        let mut signers = Vec::new();
        for signer in self.world().log.of(operation, None).filter_map(|logged| logged.call.signer.as_ref()) {
            if !signers.contains(signer) {
                signers.push(signer.clone());
            }
        }
        signers
    }

    /// Counts from nothing again. The limits of AWS begin anew as well.
    pub fn forget_calls(&self) {
        self.world().log = Log::default();
    }
}
