//! How operations behave instead of answering well.

use std::time::Duration;

use tokio::time::Instant;

use super::call::Call;
use super::{ScriptedAws, World};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Too many calls, says the service.
    Throttled,
    /// Too many readers of the shard, says DynamoDB Streams.
    TooManyReaders,
    /// The caller may not do this.
    AccessDenied,
    /// The caller's session is over.
    ExpiredToken,
    /// Nobody has that access key.
    UnknownKey,
    /// The service fails.
    InternalFailure,
    /// No answer ever comes.
    Silent,
    /// The connection is closed without an answer.
    Closed,
    /// The call takes effect, and its answer is lost.
    LostAnswer,
    /// The answer comes so much later; it is the one that there would have been.
    Delayed(Duration),
}

/// What is to be done before the answer, and instead of it.
pub(super) struct Verdict {
    pub(super) delay: Duration,
    pub(super) instead: Option<Behaviour>,
}

#[derive(Default)]
pub(super) struct Script {
    rules: Vec<Rule>,
    aws_limits: bool,
}

struct Rule {
    operation: String,
    about: Option<String>,
    /// For so many calls more; nothing is always.
    left: Option<usize>,
    behaviour: Behaviour,
}

/// A rule that is being made: `aws.on("GetRecords").about(shard).times(3).does(Behaviour::Throttled)`.
#[must_use]
pub struct On<'a> {
    aws: &'a ScriptedAws,
    operation: String,
    about: Option<String>,
    left: Option<usize>,
}

impl On<'_> {
    /// Only about this stream, table, `SHARD` or `STREAM/SHARD`.
    pub fn about(self, about: &str) -> Self {
        Self { about: Some(about.to_owned()), ..self }
    }

    /// Only the next so many calls.
    pub fn times(self, calls: usize) -> Self {
        Self { left: Some(calls), ..self }
    }

    /// From now on it is so. Of several rules for a call, the oldest one counts.
    pub fn does(self, behaviour: Behaviour) {
        let Self { aws, operation, about, left } = self;
        aws.world().script.rules.push(Rule { operation, about, left, behaviour });
    }
}

impl ScriptedAws {
    /// Begins a rule about an operation.
    pub fn on(&self, operation: &str) -> On<'_> {
        On { aws: self, operation: operation.to_owned(), about: None, left: None }
    }

    /// From now on everything answers well again.
    pub fn forget_script(&self) {
        self.world().script = Script::default();
    }

    /// From now on calls over the limits that AWS documents are throttled, in real time.
    pub fn keep_aws_limits(&self) {
        self.world().script.aws_limits = true;
    }
}

impl Script {
    fn take(&mut self, call: &Call) -> Verdict {
        let mut verdict = Verdict { delay: Duration::ZERO, instead: None };
        for rule in &mut self.rules {
            let applies = rule.left != Some(0) && call.is(&rule.operation, rule.about.as_deref());
            if !applies || verdict.instead.is_some() {
                continue;
            }
            rule.left = rule.left.map(|left| left - 1);
            match rule.behaviour {
                Behaviour::Delayed(by) => verdict.delay += by,
                behaviour => verdict.instead = Some(behaviour),
            }
        }
        verdict
    }
}

impl World {
    /// Writes the call down and says what becomes of it.
    pub(super) fn admit(&mut self, call: &Call) -> Verdict {
        let (now, mut verdict) = (Instant::now(), self.script.take(call));
        let within = !self.script.aws_limits || self.is_within_limits(call, now);
        if !within && verdict.instead.is_none() {
            verdict.instead = Some(Behaviour::Throttled);
        }
        self.log.note(call.clone(), now, within);
        verdict
    }

    fn is_within_limits(&self, call: &Call, now: Instant) -> bool {
        let shard = call.shard.as_ref().map(|shard| format!("{}/{shard}", call.resource));
        let (operation, about, per_second) = match &*call.operation {
            "GetRecords" | "GetShardIterator" => (&*call.operation, shard, 5),
            "DescribeStreamSummary" => ("DescribeStreamSummary", None, 20),
            "DescribeStream" => ("DescribeStream", None, 10),
            // all of the control plane together
            "DescribeTable" => ("DescribeTable", None, 2500),
            "ListShards" => ("ListShards", Some(call.resource.clone()), 1000),
            _ => return true,
        };
        self.log.last_second(operation, about.as_deref(), now) < per_second
    }
}
