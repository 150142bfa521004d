//! Reconciles one object: reads its stream, plans, and makes at most one call.

use std::sync::Arc;
use std::time::Duration;

use super::kinesis_stream::{ActionEntry, Claim, KinesisStream, KinesisStreamStatus};
use super::planner::Planner;
use super::status::NewCondition;
use super::subject::{NotReady, Subject, reason_of};
use crate::lag::streams::{StreamReading, StreamState, Timestamp};
use crate::lag::{SourceError, SourceErrorKind};
use crate::resize::{Bounds, Calls, Plan, Reason, shards};
use crate::sampler::Sampler;
use crate::source::Sources;
use crate::source::aws::{ShardChange, StreamControl};

/// The interval between readings of a stream,
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// and the interval while it is being changed.
const LOOK_WHILE_UPDATING: Duration = Duration::from_secs(10);
/// The pause before a failed call is retried.
const CALL_AGAIN_AFTER: Duration = Duration::from_secs(300);
/// The maximum age of the stream's summary; it is also read again before each call.
const SUMMARY_KEPT_FOR: Duration = Duration::from_secs(300);

/// The outcome of one check.
pub(super) struct Outcome {
    pub(super) status: KinesisStreamStatus,
    /// The time until the next check.
    pub(super) after: Duration,
    /// The value to set as `spec.shards` of an object without it.
    pub(super) adopt: Option<u32>,
}

/// The parts needed to reconcile one object.
pub(super) struct StreamCheck<'a> {
    pub(super) object: &'a KinesisStream,
    pub(super) subject: &'a Subject,
    pub(super) control: &'a Arc<StreamControl>,
    pub(super) sampler: &'a Sampler<Sources>,
    /// The value of the stream's tag that names this object.
    pub(super) owner: String,
}

/// Returns the status of an object whose stream cannot be checked.
pub(super) fn without_stream(object: &KinesisStream, refused: NotReady, now: Timestamp) -> Outcome {
    let mut status = KinesisStreamStatus::of(object);
    not_ready(&mut status, refused.reason, refused.message, now);
    Outcome { status, after: LOOK_EVERY, adopt: None }
}

fn not_ready(status: &mut KinesisStreamStatus, reason: &'static str, message: String, now: Timestamp) {
    status.why = Some(reason.to_owned());
    status.set(NewCondition::new("Ready", "False", reason, message), now);
    status.set(NewCondition::new("AtTarget", "Unknown", "NotReady", "the stream was not read"), now);
}

impl StreamCheck<'_> {
    pub(super) async fn check(&self, now: Timestamp) -> Outcome {
        let mut status = KinesisStreamStatus::of(self.object);
        let outcome = self.judged(&mut status).await;
        let (after, adopt) = match outcome {
            Ok(outcome) => outcome,
            Err(NotReady { reason, message }) => {
                not_ready(&mut status, reason, message, now);
                (LOOK_EVERY, None)
            }
        };
        Outcome { status, after, adopt }
    }

    async fn judged(&self, status: &mut KinesisStreamStatus) -> Result<(Duration, Option<u32>), NotReady> {
        let mut reading = self.control.read(SUMMARY_KEPT_FOR).await.map_err(|error| unreadable(&error))?;
        if self.object.spec.shards.is_some_and(|wanted| wanted != reading.capacity.open) {
            // a check that may lead to a call starts from a fresh reading
            reading = self.control.read(Duration::ZERO).await.map_err(|error| unreadable(&error))?;
        }
        if reading.state == StreamState::OnDemand {
            let message = "the stream is on demand: AWS sizes it; switch it to provisioned, or delete this object";
            return Err(NotReady { reason: "NotApplicable", message: message.to_owned() });
        }
        if status.reason("Ready") != Some("Read") {
            self.check_claim().await?;
        }
        let (now, open) = (reading.at, reading.capacity.open);
        status.shards = Some(open);
        status.add_seen(reading.capacity.changes.as_deref().unwrap_or_default());
        status.set(NewCondition::new("Ready", "True", "Read", "the stream can be read and resized"), now);
        let updating = reading.state == StreamState::Updating;
        let (is, message) =
            if updating { ("True", "a change is under way") } else { ("False", "no change is under way") };
        status.set(NewCondition::new("Resizing", is, if updating { "Updating" } else { "Active" }, message), now);
        let Some(wanted) = self.object.spec.shards else {
            status.why = Some("Adopting".to_owned());
            return Ok((LOOK_WHILE_UPDATING, Some(open)));
        };
        status.wanted = Some(wanted);
        let calls = calls(status, &reading);
        let plan = self.planner().plan(wanted, &reading, &calls, None).await.map_err(|error| unreadable(&error))?;
        status.calls_left = Some(calls.left(self.object.spec.calls_per_day));
        let after = self.carry_out(status, plan, &reading).await?;
        Ok((if updating { LOOK_WHILE_UPDATING } else { after }, None))
    }

    fn planner(&self) -> Planner<'_> {
        let spec = &self.object.spec;
        Planner {
            control: self.control,
            bounds: Bounds { min: spec.min_shards, max: spec.max_shards, calls_per_day: spec.calls_per_day },
            sampler: self.sampler,
            namespace: self.object.metadata.namespace.as_deref().unwrap_or_default(),
            applications: &self.subject.named.applications,
            max_consumer_age: self.subject.named.max_consumer_age,
        }
    }

    async fn carry_out(
        &self,
        status: &mut KinesisStreamStatus,
        plan: Plan,
        reading: &StreamReading,
    ) -> Result<Duration, NotReady> {
        let (open, now) = (reading.capacity.open, reading.at);
        let (target, limited_by) = match plan {
            Plan::Nothing => {
                (status.target, status.why) = (Some(open), Some("AtTarget".to_owned()));
                status.set(
                    NewCondition::new("AtTarget", "True", "AtTarget", "the stream has the shards that are wanted"),
                    now,
                );
                return Ok(LOOK_EVERY);
            }
            Plan::Wait(reason) => {
                (status.target, status.why) = (Some(open), Some(reason.name().to_owned()));
                status.set(NewCondition::new("AtTarget", "False", reason.name(), reason.to_string()), now);
                return Ok(LOOK_EVERY);
            }
            Plan::Call { target, limited_by } => (target, limited_by),
        };
        status.target = Some(target);
        let why = why(self.object.spec.shards, limited_by.as_ref());
        if self.object.spec.dry_run {
            status.why = Some("DryRun".to_owned());
            let message = format!("UpdateShardCount would be called with {target}: {why}");
            status.set(NewCondition::new("AtTarget", "False", "DryRun", message), now);
            return Ok(LOOK_EVERY);
        }
        self.make_claim().await?;
        let entry = |outcome: &str| ActionEntry {
            time: now.to_string(),
            from: open,
            to: target,
            why: why.clone(),
            by: "controller".to_owned(),
            outcome: outcome.to_owned(),
        };
        match self.control.resize(&ShardChange { at: now, from: open, to: target, why: why.clone() }).await {
            Ok(()) => {
                status.add(entry("called"));
                status.calls_left = status.calls_left.map(|left| left.saturating_sub(1));
                status.why = Some("Updating".to_owned());
                status
                    .set(NewCondition::new("Resizing", "True", "Updating", format!("to {target} shards: {why}")), now);
                status
                    .set(NewCondition::new("AtTarget", "False", "Updating", format!("to {target} shards: {why}")), now);
                Ok(LOOK_WHILE_UPDATING)
            }
            Err(error) => {
                let limit = error.kind() == SourceErrorKind::Throttled;
                tracing::warn!(stream = %self.control, from = open, to = target, error = error.chain(), "not resized");
                status.add(entry(if limit { "refused" } else { "failed" }));
                let reason = if limit { "Budget" } else { reason_of(error.kind()) };
                status.why = Some(reason.to_owned());
                status.set(NewCondition::new("AtTarget", "False", reason, error.chain()), now);
                Ok(CALL_AGAIN_AFTER)
            }
        }
    }

    async fn check_claim(&self) -> Result<bool, NotReady> {
        if self.object.spec.claim == Claim::None {
            return Ok(true);
        }
        match self.control.claim().await.map_err(|error| unreadable(&error))? {
            Some(other) if other != self.owner => {
                let message = format!("the stream's tag says that {other} resizes it; delete that object, or the tag");
                Err(NotReady { reason: "Conflict", message })
            }
            known => Ok(known.is_some()),
        }
    }

    async fn make_claim(&self) -> Result<(), NotReady> {
        if !self.check_claim().await? {
            self.control.set_claim(&self.owner).await.map_err(|error| unreadable(&error))?;
        }
        Ok(())
    }
}

fn unreadable(error: &SourceError) -> NotReady {
    NotReady { reason: reason_of(error.kind()), message: error.chain() }
}

fn calls(status: &KinesisStreamStatus, reading: &StreamReading) -> Calls {
    let shown = reading.capacity.changes.as_deref().unwrap_or_default();
    Calls::new(reading.at, &status.made(), shown, status.refused())
}

fn why(wanted: Option<u32>, limited_by: Option<&Reason>) -> String {
    let wanted = wanted.map_or_else(String::new, |wanted| format!("{} requested", shards(wanted)));
    limited_by.map_or_else(|| wanted.clone(), |reason| format!("{wanted}; {reason}"))
}
