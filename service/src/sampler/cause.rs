//! Causes of failed readings: one per cluster or account, kind of error and start, however many targets it has.
//!
//! The log, the metrics and the status page group failures by the same key, [`Cause`].

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::lag::{Moment, SourceError, SourceErrorKind};
use crate::trigger::{AwsAccess, AwsCredentials, SourceRef};

/// A target whose last good reading, or first failed one, is at most this much later than the start of a cause belongs to it.
const SAME_START: Duration = Duration::from_secs(60);

/// The number of targets that a log line names.
const NAMED: usize = 3;

/// The key by which failures are grouped: in the log, in metrics and on the status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The cluster or account; see [`place_of`].
    pub place: Arc<str>,
    /// The kind of error.
    pub kind: SourceErrorKind,
    /// What the reader can do, where that depends on the target and not only on the place.
    pub advice: Option<Arc<str>>,
    /// The time of the first failed reading; `None` where readings succeed, and only a decision fails.
    pub since: Option<Moment>,
}

/// The causes that have targets.
#[derive(Debug, Default)]
pub(super) struct Causes(Mutex<Vec<Active>>);

/// A cause with its targets.
#[derive(Debug)]
struct Active {
    cause: Cause,
    targets: HashSet<Arc<SourceRef>>,
    /// The first targets by name, for the log.
    named: Vec<String>,
    /// The number of targets that have failed by it.
    failed: usize,
    /// The number of them whose readings succeed again.
    recovered: usize,
    /// The error of its first target.
    error: String,
    /// Whether the log has it.
    logged: bool,
}

/// Returns the cluster or account of a source, as people name it: a connection, brokers, or an account and region.
pub fn place_of(source: &SourceRef) -> String {
    match source {
        SourceRef::Kafka(kafka) => kafka.cluster.connection.as_ref().map_or_else(
            || kafka.cluster.bootstrap_servers.join(", "),
            |connection| format!("connection {connection}"),
        ),
        SourceRef::Shards(stream) => account(&stream.access),
        SourceRef::Application(application) => account(&application.stream.access),
        SourceRef::Writes(writes) => account(&writes.access),
    }
}

fn account(access: &AwsAccess) -> String {
    if let Some(connection) = &access.connection {
        return format!("connection {connection}");
    }
    let region = access.region.as_deref().unwrap_or("default region");
    match &access.credentials {
        AwsCredentials::Role { arn, .. } => {
            format!("{}/{region}", arn.split(':').nth(4).unwrap_or("AWS"))
        }
        AwsCredentials::DefaultChain | AwsCredentials::Static { .. } => format!("AWS {region}"),
    }
}

// === impl Cause ===

impl Cause {
    /// Returns what an error of a decision has in common with others of the same place.
    pub(crate) fn of_decision(source: &SourceRef, error: &SourceError) -> Self {
        Self::new(source, error, None)
    }

    /// Returns the identifier of this cause in addresses of the status page and in the log: the same while it lasts.
    #[must_use]
    pub fn id(&self) -> String {
        let since = self.since.map(|since| since.since(Moment::after_epoch(Duration::ZERO)));
        let mut hasher = DefaultHasher::new();
        (&self.place, self.kind, &self.advice, since).hash(&mut hasher);
        format!("{:08x}", hasher.finish() >> 32)
    }

    fn new(source: &SourceRef, error: &SourceError, since: Option<Moment>) -> Self {
        let advice = match error.kind() {
            SourceErrorKind::Missing | SourceErrorKind::Denied | SourceErrorKind::Broken => {
                error.advice().map(Arc::from)
            }
            SourceErrorKind::Throttled | SourceErrorKind::TimedOut | SourceErrorKind::Unreachable => None,
        };
        Self { place: place_of(source).into(), kind: error.kind(), advice, since }
    }

    /// Whether both have the same place, kind and advice, whatever their start.
    fn is_like(&self, other: &Self) -> bool {
        (&self.place, self.kind, &self.advice) == (&other.place, other.kind, &other.advice)
    }
}

// === impl Causes ===

impl Causes {
    /// Adds a failed reading, and returns its cause. The target failed by `past` before, and its last good reading began at `read`.
    pub(super) fn fails(
        &self,
        source: &Arc<SourceRef>,
        error: &SourceError,
        past: Option<&Cause>,
        read: Option<Moment>,
        now: Moment,
    ) -> Cause {
        let new = Cause::new(source, error, Some(now));
        if let Some(past) = past {
            if past.is_like(&new) {
                return past.clone();
            }
            self.leave(source, past, false, now);
        }
        let read = read.unwrap_or(now);
        let mut active = self.0.lock();
        let known = active.iter_mut().find(|known| {
            known.cause.is_like(&new) && known.cause.since.is_some_and(|since| read.since(since) <= SAME_START)
        });
        if let Some(known) = known {
            known.add(source);
            return known.cause.clone();
        }
        let mut first = Active::new(new.clone(), error);
        first.add(source);
        active.push(first);
        new
    }

    /// Removes a target whose reading has succeeded.
    pub(super) fn recovers(&self, source: &Arc<SourceRef>, cause: &Cause, now: Moment) {
        self.leave(source, cause, true, now);
    }

    /// Removes a target that has no callers left.
    pub(super) fn forgets(&self, source: &Arc<SourceRef>, cause: &Cause, now: Moment) {
        self.leave(source, cause, false, now);
    }

    /// Logs each of these causes that the log does not have yet.
    pub(super) fn log(&self, causes: &[Cause]) {
        for known in self.0.lock().iter_mut().filter(|known| causes.contains(&known.cause)) {
            known.log_failure();
        }
    }

    fn leave(&self, source: &Arc<SourceRef>, cause: &Cause, recovered: bool, now: Moment) {
        let mut active = self.0.lock();
        let Some(place) = active.iter().position(|known| known.cause == *cause) else { return };
        let Some(known) = active.get_mut(place) else { return };
        if !known.targets.remove(source) {
            return;
        }
        known.recovered += usize::from(recovered);
        if known.targets.is_empty() {
            let mut ended = active.swap_remove(place);
            drop(active);
            ended.log_end(now);
        }
    }
}

// === impl Active ===

impl Active {
    fn new(cause: Cause, error: &SourceError) -> Self {
        let (targets, named) = (HashSet::new(), Vec::new());
        Self { cause, targets, named, failed: 0, recovered: 0, error: error.chain(), logged: false }
    }

    fn add(&mut self, source: &Arc<SourceRef>) {
        if self.targets.insert(source.clone()) {
            self.failed += 1;
            if self.named.len() < NAMED {
                self.named.push(source.to_string());
            }
        }
    }

    /// Logs the cause, once; later if the log is off for it now.
    fn log_failure(&mut self) {
        if self.logged || !tracing::enabled!(tracing::Level::WARN) {
            return;
        }
        self.logged = true;
        let Cause { place, kind, .. } = &self.cause;
        let more = self.failed.saturating_sub(self.named.len());
        let mut sources = self.named.join("; ");
        if more > 0 {
            // writing to a string cannot fail
            let _ = write!(sources, " and {more} more");
        }
        tracing::warn!(
            cause = self.cause.id(),
            place = %place,
            kind = kind.as_str(),
            targets = self.failed,
            sources,
            error = self.error,
            "readings fail; the last values are served until maxStaleness"
        );
    }

    fn log_end(&mut self, now: Moment) {
        self.log_failure();
        if self.recovered > 0 {
            let Cause { place, kind, since, .. } = &self.cause;
            let (cause, failed_for_ms) = (self.cause.id(), since.map(|since| now.since(since).as_millis()));
            tracing::info!(cause, place = %place, kind = kind.as_str(), targets = self.recovered, failed_for_ms, "readings succeed again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::trigger::Trigger;

    fn source(more: &[(&str, &str)]) -> SourceRef {
        let metadata: HashMap<_, _> =
            more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Trigger::parse(&metadata).unwrap().source
    }

    #[test]
    fn a_target_joins_a_cause_that_began_at_most_60_seconds_before_its_last_good_reading() {
        let at = |seconds| Moment::after_epoch(Duration::from_secs(seconds));
        let group = |name| {
            let metadata =
                [("source", "kafka"), ("bootstrapServers", "a:9092"), ("consumerGroup", name), ("topic", "t")];
            Arc::new(source(&metadata))
        };
        let error = SourceError::new(SourceErrorKind::Unreachable, "could not read the group");
        let causes = Causes::default();
        let fails = |name, read, now| causes.fails(&group(name), &error, None, read, now).since;
        assert_eq!(fails("first", Some(at(90)), at(100)), Some(at(100)));
        assert_eq!(fails("earlier", Some(at(80)), at(120)), Some(at(100)));
        assert_eq!(fails("at the limit", Some(at(160)), at(400)), Some(at(100)), "read rarely");
        assert_eq!(fails("after the limit", Some(at(161)), at(170)), Some(at(170)));
        assert_eq!(fails("never read", None, at(160)), Some(at(100)));
        assert_eq!(fails("never read, much later", None, at(231)), Some(at(231)));
    }

    #[test]
    fn a_place_is_named_as_people_name_it() {
        let kafka = |key, value| source(&[("source", "kafka"), ("consumerGroup", "g"), ("topic", "t"), (key, value)]);
        assert_eq!(place_of(&kafka("bootstrapServers", "a:9092,b:9092")), "a:9092, b:9092");
        assert_eq!(place_of(&kafka("connection", "prod")), "connection prod");
        let stream = [("source", "aws-kinesis-stream"), ("streamName", "s"), ("awsRegion", "eu-west-1")];
        assert_eq!(place_of(&source(&stream)), "AWS eu-west-1");
        let role = [("awsRoleArn", "arn:aws:iam::471112345678:role/reader")];
        assert_eq!(place_of(&source(&[&stream[..], &role].concat())), "471112345678/eu-west-1");
    }
}
