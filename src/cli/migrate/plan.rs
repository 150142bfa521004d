//! What becomes of one built-in trigger: which keys stay, go and come, and what is to be said about it.

use std::collections::HashMap;

use serde::Serialize;

use super::super::manifest::TriggerText;
use super::built_in::{AWS_IDENTITY, BuiltIn, ScaleOn};
use super::connection::{Authentication, Need};
use crate::trigger::keys::find;

/// What the new triggers are to be.
pub(super) struct Requirements<'a> {
    pub(super) scaler_address: &'a str,
    pub(super) scale_on: Option<ScaleOn>,
    pub(super) application_name: Option<&'a str>,
}

/// The change of one trigger.
pub(super) struct Plan {
    pub(super) dropped: Vec<String>,
    pub(super) added: Vec<(&'static str, String)>,
    pub(super) metric_type: MetricType,
    pub(super) remarks: Vec<Remark>,
    /// What the scaler's operator must add, if anything.
    pub(super) need: Option<Need>,
}

/// What happens to `metricType`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricType {
    Stays,
    /// Age is one number for the whole workload.
    BecomesValue,
    /// Consumers are counted, which only the default fits.
    Goes,
}

/// Something to be said.
#[derive(Debug, Serialize)]
pub(super) struct Remark {
    pub(super) line: u64,
    pub(super) kind: RemarkKind,
    pub(super) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum RemarkKind {
    /// The new trigger does not do this by itself.
    Lost,
    /// It does, but there is something to know.
    Note,
}

/// What only lag and shard counts have; with another policy the built-in's threshold means nothing.
const OF_LAG: &[&str] = &[
    "lagThreshold",
    "allowIdleConsumers",
    "excludePersistentLag",
    "limitToPartitionsWithLag",
    "ensureEvenDistributionOfPartitions",
];
const OF_SHARD_COUNT: &[&str] = &["shardCount", "activationShardCount"];

/// Plans the change of a trigger, or says why there can be none.
pub(super) fn plan(
    text: &TriggerText,
    wishes: &Requirements<'_>,
    authentication: Option<&Authentication>,
) -> Result<Plan, String> {
    let Some(built_in) = BuiltIn::of(text) else { return Err("KEDA's trigger has no counterpart".into()) };
    let mut draft = Draft { text, built_in, plan: Plan::new(built_in, wishes) };
    let policy = built_in.policy(wishes.scale_on).unwrap_or_else(|why| {
        draft.remark("", RemarkKind::Note, format!("scaleOn stays the built-in's: what was asked for {why}"));
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

    /// The metadata after the change.
    pub(super) fn metadata(&self, before: &HashMap<String, String>) -> HashMap<String, String> {
        let kept = before.iter().filter(|(key, _)| !self.dropped.contains(*key));
        let added = self.added.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        kept.map(|(key, value)| (key.clone(), value.clone())).chain(added).collect()
    }

    /// Names the connection as the file will.
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

    /// Keys that the built-in does not read would be read here, or be problems.
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
                self.drop(key, RemarkKind::Lost, "whom the scaler is towards Amazon MSK is its connection's to say");
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

    /// Who asks: KEDA's identities and a `TriggerAuthentication` do not reach an external scaler.
    fn identity(&mut self, authentication: Option<&Authentication>) {
        let login = self.value("sasl").is_some_and(|sasl| sasl != "none");
        if let Some(authentication) = authentication {
            let Authentication { line, kind, name, .. } = authentication;
            self.plan.remarks.push(Remark {
                line: *line,
                kind: RemarkKind::Lost,
                message: format!(
                    "authenticationRef is left out: KEDA gives an external scaler nothing of {kind} {name}"
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
                let message = format!("identityOwner {owner} has no effect: the scaler never asks as the workload");
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
