//! Checks of an application's checkpoint table.

use std::time::Duration;

use super::report::{Checkup, Finding, Looked, StepName};
use crate::lag::streams::ShardId;
use crate::probe::aws::{Calls, Leases, Right, Writer};
use crate::trigger::{ApplicationSource, InitialPosition, SourceRef};

/// The maximum age of a renewal: KCL renews each third of its failover time, which is 10 s by default.
const RENEWED_WITHIN: Duration = Duration::from_secs(5);
/// The maximum number of shard ids in a message.
const MOST_IDS: usize = 5;

/// Checks whether the leases can be interpreted; does nothing if the table could not be read.
pub(super) async fn look_at(
    checkup: &mut Checkup,
    calls: &mut Calls<'_>,
    rights: &[Right],
    application: &ApplicationSource,
) -> anyhow::Result<bool> {
    let on = application.store.table.clone();
    let leases = match calls.leases() {
        Ok(Some(leases)) => leases,
        Ok(None) => {
            checkup.skip(&[StepName::Leases], "the table was not read")?;
            return Ok(true);
        }
        Err(error) => {
            checkup.tell(StepName::Leases, &on, Finding::of(&error))?;
            return Ok(false);
        }
    };
    let right = rights.iter().find(|right| matches!(right.action, "dynamodb:Scan" | "dynamodb:Query"));
    checkup.look(StepName::Leases, &on, judged(calls, right, leases, application)).await?;
    Ok(true)
}

async fn judged(
    calls: &mut Calls<'_>,
    right: Option<&Right>,
    leases: Leases,
    application: &ApplicationSource,
) -> Looked<()> {
    if leases.count == 0 {
        let remedy = format!(
            "check applicationName, leaseTable and the stream's name; until there is one, {}",
            beginning(application)
        );
        return Ok((Finding::warning("the table has no lease of this stream", remedy), ()));
    }
    let mut odd = fit(&leases);
    if leases.counts_renewals()
        && let Some(right) = right
    {
        tokio::time::sleep(RENEWED_WITHIN).await;
        // if the later read fails, nothing is known about renewals
        if let (Ok(_), Ok(Some(later))) = (calls.make(right).await, calls.leases()) {
            odd.extend(standing(&later.not_renewed_since(&leases)));
        }
    }
    let seen = seen(&leases);
    if odd.is_empty() {
        return Ok((Finding::ok(seen), ()));
    }
    let (odd, remedies): (Vec<_>, Vec<_>) = odd.into_iter().unzip();
    Ok((Finding::warning(format!("{seen}; {}", odd.join("; ")), remedies.join("\n")), ()))
}

fn seen(leases: &Leases) -> String {
    let writer = match leases.writer {
        Writer::Kcl35 => "KCL 3.5 or newer",
        Writer::Kcl3 => "KCL 3",
        Writer::Kcl1Or2 => "KCL 1 or 2, or the DynamoDB Streams adapter",
        Writer::Other => "another client",
    };
    let owners = match &leases.owners {
        None => String::new(),
        Some(owners) if owners.leases.is_empty() => ", without owners".to_owned(),
        Some(owners) => {
            let owners: Vec<_> = owners.leases.iter().map(|(owner, count)| format!("{owner} ({count})")).collect();
            format!(", owned by {}", owners.join(", "))
        }
    };
    format!("{} leases of {writer}{owners}", leases.count)
}

/// Returns which leases do not match the stream, each with its remedy.
fn fit(leases: &Leases) -> Vec<(String, &'static str)> {
    let (of_no_shard, without_lease) = match leases.writer {
        Writer::Kcl35 | Writer::Kcl3 | Writer::Kcl1Or2 => (
            "KCL removes leases of shards past their retention; if the stream was recreated under its name, give the \
             application a new name",
            "a worker of the application creates leases: check that one runs and can list the shards",
        ),
        Writer::Other => (
            "rows of shards past their retention can stay; if the stream was recreated under its name, give the application \
             a new name",
            "the application writes a row once it has processed records of these shards",
        ),
    };
    let unowned = leases.owners.as_ref().map_or(&[][..], |owners| &owners.unowned);
    let cases = [
        (unowned, "have no owner", "start workers of the application, or wait until they take these leases"),
        (&leases.of_no_shard, "are not among the stream's shards", of_no_shard),
        (&leases.without_lease, "have no lease yet", without_lease),
    ];
    let cases = cases.into_iter().filter(|(shards, ..)| !shards.is_empty());
    cases.map(|(shards, what, remedy)| (format!("{} {what}", listed(shards)), remedy)).collect()
}

fn standing(leases: &[(ShardId, std::sync::Arc<str>)]) -> Option<(String, &'static str)> {
    let shards: Vec<_> = leases.iter().map(|(shard, _)| shard.clone()).collect();
    let what = format!("not renewed within {} s", RENEWED_WITHIN.as_secs());
    let remedy = "their workers are gone or stuck, or the application's failover time is more than 15 s";
    (!shards.is_empty()).then(|| (format!("{} {what}", listed(&shards)), remedy))
}

fn listed(shards: &[ShardId]) -> String {
    let mut ids: Vec<_> = shards.iter().take(MOST_IDS).map(ToString::to_string).collect();
    if shards.len() > MOST_IDS {
        ids.push(format!("{} more", shards.len() - MOST_IDS));
    }
    ids.join(", ")
}

/// Reports that the checkpoint table does not exist.
pub(super) fn no_table(source: &SourceRef) -> Finding {
    let SourceRef::Application(application) = source else { return Finding::skipped("no application is asked about") };
    let seen = format!("there is no table {}", application.store.table);
    Finding::warning(
        seen,
        format!("check applicationName, leaseTable and awsRegion; until there is one, {}", beginning(application)),
    )
}

fn beginning(application: &ApplicationSource) -> &'static str {
    match application.initial_position {
        InitialPosition::TrimHorizon => {
            "the application counts as one that begins at TRIM_HORIZON: everything is unread"
        }
        InitialPosition::Latest => "the application counts as one that begins at LATEST",
        InitialPosition::AtTimestamp(_) => "the application counts as one that begins at initialTimestamp",
    }
}
