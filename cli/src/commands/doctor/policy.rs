//! `--print-policy`: prints what the scaler's identities must be allowed to do for these triggers. No service is called.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::commands::output::{self, Format};
use crate::manifest::{TriggerKind, TriggerText};
use crate::probe::aws::{ArnScope, AwsProbe, Right, policy, right_to_assume, rights_for, rights_on_msk};
use crate::probe::{Probe, admit};
use crate::tenancy::Connections;
use crate::trigger::{SourceRef, Trigger};

const OWN: &str = "the scaler's own identity";

/// Rights, grouped by the identity that needs them and by account, partition and region.
type Needed = BTreeMap<(String, [String; 3]), (ArnScope, Vec<Right>)>;

pub(super) fn print(texts: &[TriggerText], connections: &Connections, format: Format) -> anyhow::Result<()> {
    let mut needed = Needed::new();
    for text in texts.iter().filter(|text| text.kind == TriggerKind::External) {
        let about = |error: String| anyhow::anyhow!("{}, trigger {}: {error}", text.object, text.index);
        let trigger = Trigger::parse(&text.metadata).map_err(|error| about(error.to_string()))?;
        let admitted = admit(connections.clone(), &text.namespace, &trigger.source);
        match (admitted.map_err(|error| about(error.chain()))?.probe, &trigger.source) {
            (Probe::Aws(probe), source) => add(&mut needed, &probe, rights_for(source)),
            (Probe::Kafka(probe), SourceRef::Kafka(source)) => {
                if let Some(iam) = probe.iam() {
                    add(&mut needed, &iam, rights_on_msk(source));
                }
            }
            (Probe::Kafka(_), SourceRef::Shards(_) | SourceRef::Application(_) | SourceRef::Writes(_)) => {}
        }
    }
    write(&needed, format)
}

fn add(needed: &mut Needed, probe: &AwsProbe, rights: Vec<Right>) {
    let place = probe.place(None);
    let mut grant = |who: &str, rights: Vec<Right>| {
        let key = (who.to_owned(), [place.partition.clone(), place.region.clone(), place.account.clone()]);
        needed.entry(key).or_insert_with(|| (place.clone(), Vec::new())).1.extend(rights);
    };
    match probe.role() {
        Some(role) => {
            grant(role, rights);
            grant(OWN, vec![right_to_assume(role)]);
        }
        None => grant(OWN, rights),
    }
}

fn write(needed: &Needed, format: Format) -> anyhow::Result<()> {
    let policies = needed.iter().map(|((who, _), (place, rights))| (who, &place.region, policy(rights, place)));
    if format == Format::Json {
        let all: Vec<Value> = policies
            .map(|(who, region, policy)| json!({"identity": who, "region": region, "policy": policy}))
            .collect();
        return output::json(&all);
    }
    if needed.is_empty() {
        output::talk("no trigger needs a right of AWS\n");
    }
    for (who, region, policy) in policies {
        output::talk(&format!("for {who}, in {region}:\n"));
        output::json(&policy)?;
    }
    Ok(())
}
