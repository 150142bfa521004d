//! The plan for one built-in trigger: which keys stay, are dropped or added, and the remarks about it.

use std::collections::HashMap;

use serde::Serialize;

use super::built_in::{AWS_IDENTITY, BuiltIn, ScaleOn};
use super::connection::{Authentication, Need};
use crate::manifest::TriggerText;
use crate::trigger::keys::find;

/// The requirements of the new triggers.
pub(super) struct Requirements<'a> {
    pub(super) scaler_address: &'a str,
    pub(super) scale_on: Option<ScaleOn>,
    pub(super) application_name: Option<&'a str>,
}

/// The planned change of one trigger.
pub(super) struct Plan {
    pub(super) dropped: Vec<String>,
    pub(super) added: Vec<(&'static str, String)>,
    pub(super) metric_type: MetricType,
    pub(super) remarks: Vec<Remark>,
    /// The connection that the scaler's operator must add, if any.
    pub(super) need: Option<Need>,
}

/// The planned change of `metricType`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricType {
    Stays,
    /// It becomes `Value`, because age is one number for the whole workload.
    BecomesValue,
    /// It is removed, because only the default fits a count of consumers.
    Goes,
}

/// A remark about the migration.
#[derive(Debug, Serialize)]
pub(super) struct Remark {
    pub(super) line: u64,
    pub(super) kind: RemarkKind,
    pub(super) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum RemarkKind {
    /// The new trigger lacks this function of the built-in one.
    Lost,
    /// The function stays, but the reader should know something about it.
    Note,
}

/// Keys that only lag and shard counts have; with another policy the built-in's threshold has no meaning.
const OF_LAG: &[&str] = &[
    "lagThreshold",
    "allowIdleConsumers",
    "excludePersistentLag",
    "limitToPartitionsWithLag",
    "ensureEvenDistributionOfPartitions",
];
const OF_SHARD_COUNT: &[&str] = &["shardCount", "activationShardCount"];

/// Plans the change of a trigger, or returns why it cannot be migrated.
pub(super) fn plan(
    text: &TriggerText,
    wishes: &Requirements<'_>,
    authentication: Option<&Authentication>,
) -> Result<Plan, String> {
    let Some(built_in) = BuiltIn::of(text) else { return Err("KEDA's trigger has no counterpart".into()) };
    let mut draft = Draft { text, built_in, plan: Plan::new(built_in, wishes) };
    let policy = built_in.policy(wishes.scale_on).unwrap_or_else(|why| {
        draft.remark("", RemarkKind::Note, format!("scaleOn stays the built-in's: the requested policy {why}"));
        built_in.own_policy()
    });
    if policy == ScaleOn::Age && text.object.starts_with("ScaledJob") {
        return Err("age is for ScaledObjects: with metricType Value a ScaledJob gets no jobs".into());
    }
    if draft.value("sasl") == Some("gssapi") {
        return Err("Kerberos (sasl gssapi) is not supported by this scaler".into());
    }
    draft.keys(policy);
    draft.policy(policy, wishes);
    draft.identity(authentication);
    Ok(draft.plan)
}

impl Plan {
    fn new(built_in: BuiltIn, wishes: &Requirements<'_>) -> Self {
        Self {
            dropped: Vec::new(),
            added: vec![("scalerAddress", wishes.scaler_address.to_owned()), ("source", built_in.source().to_owned())],
            metric_type: MetricType::Stays,
            remarks: Vec::new(),
            need: None,
        }
    }

    /// Returns the metadata after the change.
    pub(super) fn metadata(&self, before: &HashMap<String, String>) -> HashMap<String, String> {
        let kept = before.iter().filter(|(key, _)| !self.dropped.contains(*key));
        let added = self.added.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        kept.map(|(key, value)| (key.clone(), value.clone())).chain(added).collect()
    }

    /// Sets the name that the connection has in the connections file.
    pub(super) fn name_connection(&mut self, name: &str) {
        for (key, value) in &mut self.added {
            if *key == "connection" {
                name.clone_into(value);
            }
        }
    }
}

struct Draft<'a> {
    text: &'a TriggerText,
    built_in: BuiltIn,
    plan: Plan,
}

impl Draft<'_> {
    fn remark(&mut self, key: &str, kind: RemarkKind, message: impl Into<String>) {
        let line = self.text.line_of(key);
        self.plan.remarks.push(Remark { line, kind, message: message.into() });
    }

    fn value(&self, key: &str) -> Option<&str> {
        let plain = self.text.metadata.get(key).map(|value| value.trim());
        plain.filter(|value| !value.is_empty())
    }

    fn drop(&mut self, key: &str, kind: RemarkKind, why: &str) {
        self.plan.dropped.push(key.to_owned());
        self.remark(key, kind, format!("{key} is left out: {why}"));
    }

    /// Handles keys that the built-in does not read, but that this scaler would read or reject.
    fn keys(&mut self, policy: ScaleOn) {
        let mut keys: Vec<_> = self.text.metadata.keys().collect();
        keys.sort_unstable_by_key(|key| (self.text.line_of(key), *key));
        for key in keys {
            let plain = key.strip_suffix("FromEnv").unwrap_or(key);
            let name = self.built_in.source();
            if !self.built_in.reads(key) {
                let known = if find(plain).is_some() { "" } else { ", and it is not known here" };
                self.drop(key, RemarkKind::Note, &format!("KEDA's {name} trigger does not read it{known}"));
            } else if self.built_in.is_kafka() && AWS_IDENTITY.contains(&plain) {
                self.drop(key, RemarkKind::Lost, "the MSK IAM identity belongs in the connection");
            } else if matches!(policy, ScaleOn::Age | ScaleOn::CatchUp)
                && (OF_LAG.contains(&plain) || OF_SHARD_COUNT.contains(&plain))
            {
                self.drop(key, RemarkKind::Note, "the chosen scaleOn has no such number");
            }
        }
    }

    fn policy(&mut self, policy: ScaleOn, wishes: &Requirements<'_>) {
        let word = match policy {
            ScaleOn::Lag | ScaleOn::ShardCount => return,
            ScaleOn::Age => "age",
            ScaleOn::CatchUp => "catchUp",
        };
        self.plan.added.push(("scaleOn", word.to_owned()));
        if let (false, Some(name)) = (self.built_in.is_kafka(), wishes.application_name) {
            self.plan.added.push(("applicationName", name.to_owned()));
        }
        match policy {
            ScaleOn::Age if self.text.metric_type != "Value" => self.plan.metric_type = MetricType::BecomesValue,
            ScaleOn::CatchUp if self.text.metric_type == "Value" => self.plan.metric_type = MetricType::Goes,
            ScaleOn::Lag | ScaleOn::ShardCount | ScaleOn::Age | ScaleOn::CatchUp => {}
        }
    }

    /// Handles the identity: KEDA's identities and a `TriggerAuthentication` do not reach an external scaler.
    fn identity(&mut self, authentication: Option<&Authentication>) {
        let login = self.value("sasl").is_some_and(|sasl| sasl != "none");
        if let Some(authentication) = authentication {
            let Authentication { line, kind, name, .. } = authentication;
            self.plan.remarks.push(Remark {
                line: *line,
                kind: RemarkKind::Lost,
                message: format!(
                    "authenticationRef is left out: KEDA does not pass credentials of {kind} {name} to external scalers"
                ),
            });
        }
        if authentication.is_some() || (self.built_in.is_kafka() && login) {
            self.connection(authentication);
        }
        match (self.built_in.is_kafka(), self.value("identityOwner")) {
            (false, Some("operator")) => {
                let message = "identityOwner operator is the scaler's own identity now: give that the rights";
                self.remark("identityOwner", RemarkKind::Note, message);
            }
            (false, Some(owner)) => {
                let message =
                    format!("identityOwner {owner} has no effect: the scaler never uses the workload's identity");
                self.remark("identityOwner", RemarkKind::Lost, message);
            }
            _ => {}
        }
        if self.built_in.is_kafka() || self.plan.need.is_some() {
            return;
        }
        if let Some(endpoint) = self.value("awsEndpoint").map(str::to_owned) {
            let message = format!("awsEndpoint {endpoint} must be allowed by awsEndpoints in the connections file");
            self.remark("awsEndpoint", RemarkKind::Note, message);
        }
    }

    fn connection(&mut self, authentication: Option<&Authentication>) {
        let mut need = Need::new(self.text, self.built_in.is_kafka(), authentication);
        self.plan.added.push(("connection", need.name.clone()));
        let own = if self.built_in.is_kafka() { "unsafeSsl" } else { "awsEndpoint" };
        for key in [own, "awsAccessKeyID", "awsAccessKeyIDFromEnv", "awsSecretAccessKey", "awsSecretAccessKeyFromEnv"] {
            let Some(value) = self.value(key).map(str::to_owned) else { continue };
            let already = self.plan.dropped.iter().any(|dropped| dropped == key);
            match key {
                "unsafeSsl" | "awsEndpoint" => need.literal(key, &value),
                secret => match secret.strip_suffix("FromEnv") {
                    Some(plain) => need.file(plain, &format!("was the environment variable {value}")),
                    None => need.file(secret, "was in the trigger's metadata"),
                },
            }
            if !already {
                self.drop(key, RemarkKind::Note, "it is in the connection now");
            }
        }
        self.plan.need = Some(need);
    }
}
