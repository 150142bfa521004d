//! Resolves what an object names, by the rules of triggers, and reports every problem at once.

use std::collections::HashMap;
use std::time::Duration;

use super::kinesis_stream::{KinesisStream, KinesisStreamSpec};
use crate::lag::SourceErrorKind;
use crate::source::ConnectionsHandle;
use crate::trigger::{AwsIdentity, SourceRef, Trigger, WritesSource, parse_duration};

/// The stream of an object, and its consumers.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) named: Named,
    pub(super) identity: AwsIdentity,
}

/// The stream and the applications that a spec names.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) source: WritesSource,
    /// The triggers of the applications, each with its name.
    pub(super) applications: Vec<(String, Trigger)>,
    pub(super) max_consumer_age: Duration,
}

/// Why the stream of an object cannot be checked: the reason and the message of its condition.
pub(super) struct NotReady {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Named {
    /// Resolves a spec by the rules of triggers, or returns every problem.
    pub(super) fn of(spec: &KinesisStreamSpec) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let stream = trigger(spec, [("scaleOn", "writeUtilization")]);
        let mut applications = Vec::new();
        for consumer in &spec.consumers {
            let keys = consumer.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            match trigger(spec, keys.chain([("scaleOn", "age")])) {
                Ok(trigger) => applications.push((name(consumer), trigger)),
                // a problem of the stream itself is already reported
                Err(_) if stream.is_err() => {}
                Err(error) => problems.push(format!("consumer {}: {error}", name(consumer))),
            }
        }
        let max_consumer_age = parse_duration(&spec.max_consumer_age);
        if max_consumer_age.is_none() {
            problems.push(format!("maxConsumerAge: {:?} must be a duration such as 5m", spec.max_consumer_age));
        }
        let source = match stream.map(|trigger| trigger.source) {
            Ok(SourceRef::Writes(source)) => Some(source),
            Ok(_) => None,
            Err(error) => {
                problems.push(error.to_string());
                None
            }
        };
        match (source, max_consumer_age) {
            (Some(source), Some(max_consumer_age)) if problems.is_empty() => {
                Ok(Self { source, applications, max_consumer_age })
            }
            _ => Err(problems),
        }
    }
}

impl KinesisStreamSpec {
    /// Returns every problem that the schema does not detect.
    pub fn problems(&self) -> Vec<String> {
        Named::of(self).err().unwrap_or_default()
    }
}

impl Subject {
    /// Resolves an object, if the operator allows it to resize its stream.
    pub(super) fn of(object: &KinesisStream, rules: &ConnectionsHandle) -> Result<Self, NotReady> {
        let (spec, namespace) = (&object.spec, object.metadata.namespace.as_deref().unwrap_or_default());
        let named = Named::of(spec).map_err(|problems| NotReady { reason: "Invalid", message: problems.join("; ") })?;
        may_resize(spec, namespace, rules)?;
        let identity = rules.identity(namespace, &SourceRef::Writes(named.source.clone()));
        let identity =
            identity.map_err(|error| NotReady { reason: reason_of(error.kind()), message: error.chain() })?;
        Ok(Self { named, identity })
    }
}

/// Checks the operator's rules in the connections file.
fn may_resize(spec: &KinesisStreamSpec, namespace: &str, rules: &ConnectionsHandle) -> Result<(), NotReady> {
    let (stream, max) = (&spec.stream_name, spec.max_shards);
    let message = match rules.max_shards(namespace, stream) {
        None => {
            format!("no rule under resize in the connections file lets namespace {namespace} resize stream {stream}")
        }
        Some(most) if max > most => format!("maxShards is {max}, and the connections file allows {most}"),
        Some(_) => return Ok(()),
    };
    Err(NotReady { reason: "Denied", message })
}

/// Returns the reason of a condition for an error.
pub(super) const fn reason_of(kind: SourceErrorKind) -> &'static str {
    match kind {
        SourceErrorKind::Missing => "NotFound",
        SourceErrorKind::Denied => "Denied",
        SourceErrorKind::Throttled
        | SourceErrorKind::TimedOut
        | SourceErrorKind::Unreachable
        | SourceErrorKind::Broken => "Unreachable",
    }
}

fn name(consumer: &std::collections::BTreeMap<String, String>) -> String {
    let named = consumer.get("applicationName").or_else(|| consumer.get("leaseTable"));
    named.cloned().unwrap_or_else(|| "without applicationName".to_owned())
}

fn trigger<'a>(
    spec: &'a KinesisStreamSpec,
    more: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Trigger, crate::trigger::TriggerError> {
    let optional = [
        ("awsRegion", &spec.aws_region),
        ("connection", &spec.connection),
        ("awsRoleArn", &spec.aws_role_arn),
        ("awsExternalId", &spec.aws_external_id),
    ];
    let optional = optional.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
    let base = [("source", "aws-kinesis-stream"), ("streamName", &*spec.stream_name)];
    let metadata = base.into_iter().chain(optional).chain(more);
    Trigger::parse(&metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<HashMap<_, _>>())
}
