//! Checks of an AWS account: its endpoints and clock, the caller's identity, and each call that a reading needs.

use std::time::Duration;

use futures_util::future::join_all;

use super::leases;
use super::network::{CONNECTION_CA, handshake_remedy, look_up, now, presented, reach};
use super::report::{Checkup, Finding, Looked, Step, StepName, look, said};
use crate::lag::{SourceError, SourceErrorKind};
use crate::network::Address;
use crate::probe::aws::{
    ArnScope, AwsProbe, CallError, Calls, Identity, Right, ServiceName, UnknownIdentity, clock_ahead, policy,
    right_to_assume, rights_for,
};
use crate::probe::tls::{TlsSettings, handshake};
use crate::trigger::SourceRef;

/// The maximum clock difference in seconds: AWS accepts a signature for five minutes.
const CLOCK_MAY_DIFFER: u64 = 300;
/// The clock difference in seconds that gets a warning; a clock set by NTP differs by less than 1 s.
const CLOCK_IS_ODD: u64 = 60;

const AFTER_IDENTITY: [StepName; 2] = [StepName::Call, StepName::Leases];

/// Runs every check before the value; returns whether the value can be read.
pub(super) async fn examine(
    checkup: &mut Checkup,
    probe: &AwsProbe,
    source: Option<&SourceRef>,
) -> anyhow::Result<bool> {
    let rights = source.map(rights_for).unwrap_or_default();
    let Some(url) = endpoints(checkup, probe, &rights).await? else {
        checkup.skip(&[StepName::Clock, StepName::Credentials], "AWS cannot be reached")?;
        checkup.skip(&AFTER_IDENTITY, "AWS cannot be reached")?;
        return Ok(false);
    };
    if checkup.look(StepName::Clock, "", clock(&url)).await?.is_none() {
        checkup.skip(&[StepName::Credentials], "signatures would not be taken")?;
        checkup.skip(&AFTER_IDENTITY, "signatures would not be taken")?;
        return Ok(false);
    }
    let Some(place) = who(checkup, probe, false).await? else {
        checkup.skip(&AFTER_IDENTITY, "there is no identity")?;
        return Ok(false);
    };
    match source {
        Some(source) => calls(checkup, probe.calls(source), &rights, &place, source).await,
        None => Ok(true),
    }
}

/// Returns a remedy with the policy that allows these rights.
pub(super) fn allow(rights: &[Right], place: &ArnScope) -> String {
    format!("allow it: {}", policy(rights, place))
}

// === addresses and clock ===

/// Checks the endpoints and returns the URL of one that answers. Only roles need STS.
async fn endpoints(checkup: &mut Checkup, probe: &AwsProbe, rights: &[Right]) -> anyhow::Result<Option<String>> {
    let mut services = services(rights);
    services.push(ServiceName::Sts);
    let looked =
        join_all(services.iter().map(|service| look(StepName::Endpoint, service.as_str(), endpoint(probe, *service))));
    let (mut reached, mut all) = (None, true);
    for (service, (mut step, url)) in services.iter().zip(looked.await) {
        match url {
            Some(url) => drop(reached.get_or_insert(url)),
            None if *service == ServiceName::Sts && probe.role().is_none() => step.excuse("readings do not need it"),
            None => all = false,
        }
        checkup.add(step)?;
    }
    Ok(reached.filter(|_| all))
}

fn services(rights: &[Right]) -> Vec<ServiceName> {
    let mut services = Vec::new();
    for right in rights {
        let service = match right.action {
            "dynamodb:DescribeStream" | "dynamodb:GetShardIterator" | "dynamodb:GetRecords" => {
                ServiceName::DynamoDbStreams
            }
            action if action.starts_with("dynamodb:") => ServiceName::DynamoDb,
            _ => ServiceName::Kinesis,
        };
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services
}

async fn endpoint(probe: &AwsProbe, service: ServiceName) -> Looked<String> {
    let url = probe.endpoint(service).await.map_err(|why| {
        Finding::failed(
            format!("the region {} has no address: {why}", probe.region()),
            "check awsRegion and awsEndpoint",
        )
    })?;
    let wrong = || Finding::failed(format!("{url} is no address"), "check awsEndpoint and AWS_ENDPOINT_URL");
    let parsed = reqwest::Url::parse(&url).map_err(|_| wrong())?;
    let encrypted = parsed.scheme() == "https";
    let host = parsed.host_str().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
    let port = parsed.port_or_known_default().ok_or_else(wrong)?;
    let url = parsed.origin().ascii_serialization();
    if let Some(proxy) = proxy(encrypted) {
        return Ok((Finding::skipped(format!("{url}: {proxy} is set, and a direct connection says nothing")), url));
    }
    let address = Address { host, port };
    let remedy = |finding: Finding| Finding {
        seen: format!("{url}: {}", finding.seen),
        remedy: finding.remedy.map(|remedy| format!("check awsRegion ({}) and awsEndpoint; {remedy}", probe.region())),
        ..finding
    };
    let (_, addresses) = look_up(&address).await.map_err(remedy)?;
    let (reached, connected) = reach(&addresses).await.map_err(remedy)?;
    if !encrypted {
        return Ok((Finding { seen: format!("{url}: {}, without TLS", reached.seen), ..reached }, url));
    }
    let session = handshake(connected.stream, &address.host, &TlsSettings::new(None, None), now()).await;
    let session = session.map_err(|why| remedy(Finding::failed(why.to_string(), handshake_remedy(&why))))?;
    let finding = presented(&session.presented, true, CONNECTION_CA);
    match session.presented.trust {
        Ok(()) => Ok((Finding { seen: format!("{url}: {}", finding.seen), ..finding }, url)),
        Err(_) => Err(remedy(finding)),
    }
}

fn proxy(encrypted: bool) -> Option<&'static str> {
    let names = if encrypted { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    names.into_iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

async fn clock(url: &str) -> Looked<()> {
    let ahead = clock_ahead(url, now).await.map_err(|error| Finding::of(&error))?;
    let off = ahead.unsigned_abs();
    // if AWS's clock is ahead, this machine's clock is behind
    let seen = format!("this machine's clock is {off} s {} AWS's", if ahead > 0 { "behind" } else { "ahead of" });
    let remedy = "set this machine's clock by NTP; AWS rejects requests whose clock is more than 300 s off";
    match off {
        0..=2 => Ok((Finding::ok("this machine's clock agrees with AWS's"), ())),
        3..=CLOCK_IS_ODD => Ok((Finding::ok(seen), ())),
        off if off <= CLOCK_MAY_DIFFER => Ok((Finding::warning(seen, remedy), ())),
        _ => Err(Finding::failed(seen, remedy)),
    }
}

// === identity ===

/// Determines the caller's identity, and its account and partition in ARNs. For IAM of Amazon MSK, whose brokers have no clock to
/// query, `with_clock` checks the clock against STS.
pub(super) async fn who(checkup: &mut Checkup, probe: &AwsProbe, with_clock: bool) -> anyhow::Result<Option<ArnScope>> {
    if with_clock
        && let Ok(url) = probe.endpoint(ServiceName::Sts).await
        && checkup.look(StepName::Clock, "", clock(&url)).await?.is_none()
    {
        return Ok(None);
    }
    let Some(own) = checkup.look(StepName::Credentials, "AWS", credentials(probe)).await? else {
        return Ok(None);
    };
    let Some(own_arn) = checkup.look(StepName::Identity, "", identity(&own)).await? else { return Ok(None) };
    let Some(role) = probe.role() else { return Ok(Some(probe.place(own_arn.as_deref()))) };
    let assumed = checkup.look(StepName::Role, role, assume(probe, role, own_arn.as_deref())).await?;
    Ok(assumed.map(|()| probe.place(Some(role))))
}

async fn credentials(probe: &AwsProbe) -> Looked<Identity> {
    match probe.own().await {
        Ok(identity) => {
            let left = identity.expiry.and_then(|end| end.duration_since(now()).ok());
            let left =
                left.map_or_else(String::new, |left: Duration| format!(", for {} min more", left.as_secs() / 60));
            Ok((Finding::ok(format!("from {}{left}", identity.origin)), identity))
        }
        Err(error) => Err(no_credentials(&error)),
    }
}

fn no_credentials(error: &SourceError) -> Finding {
    let general = "give the scaler's service account a role (EKS Pod Identity, or IRSA's eks.amazonaws.com/role-arn), or a connection a key";
    let remedy = error.advice().map_or_else(|| general.to_owned(), |own| format!("{own}; {general}"));
    Finding::failed(said(error), remedy)
}

/// Returns the caller's ARN, if STS reports it.
async fn identity(identity: &Identity) -> Looked<Option<String>> {
    match identity.arn().await {
        Ok(arn) => Ok((Finding::ok(arn.clone()), Some(arn))),
        Err(UnknownIdentity::Refused(error)) => Err(Finding::of(&error)),
        Err(UnknownIdentity::Unsaid(error)) => Ok((
            Finding::warning(said(&error), "readings do not need STS to say it; ARNs below lack the account"),
            None,
        )),
    }
}

async fn assume(probe: &AwsProbe, role: &str, own: Option<&str>) -> Looked<()> {
    match probe.reader().await {
        Ok(_) => Ok((Finding::ok("assumed"), ())),
        Err(error) => {
            let denied = error.kind() == SourceErrorKind::Denied;
            let mut finding = Finding::of(&error);
            if denied && let Some(remedy) = &mut finding.remedy {
                let right = [right_to_assume(role)];
                let own = own.unwrap_or("the scaler's own identity");
                *remedy = format!("{remedy}\nfor {own} {}", allow(&right, &probe.place(None)));
            }
            Err(finding)
        }
    }
}

// === calls ===

async fn calls(
    checkup: &mut Checkup,
    mut calls: Calls<'_>,
    rights: &[Right],
    place: &ArnScope,
    source: &SourceRef,
) -> anyhow::Result<bool> {
    let mut all = true;
    for right in rights {
        let begun = tokio::time::Instant::now();
        let finding = match calls.make(right).await {
            Ok(seen) => Finding::ok(seen),
            Err(error) => call_failed(error, right, place, source),
        };
        let step = Step::new(StepName::Call, right.action, finding, begun.elapsed());
        all &= !step.is_failed();
        checkup.add(step)?;
    }
    if let (SourceRef::Application(_), false) = (source, all) {
        checkup.skip(&[StepName::Leases], "a call has failed")?;
    } else if let SourceRef::Application(application) = source {
        all &= leases::look_at(checkup, &mut calls, rights, application).await?;
    }
    Ok(all)
}

fn call_failed(error: CallError, right: &Right, place: &ArnScope, source: &SourceRef) -> Finding {
    match error {
        CallError::NotMade { lacks } => Finding::skipped(format!("{lacks} is not known")),
        // the error text of KMS names its own action and key
        CallError::Denied(error) if said(&error).contains("KMS") => {
            Finding::failed(said(&error), "allow kms:Decrypt on the key that the stream is encrypted with")
        }
        CallError::Denied(error) => Finding::failed(said(&error), allow(std::slice::from_ref(right), place)),
        CallError::NoCheckpointTable => leases::no_table(source),
        CallError::StreamOff => Finding::failed(
            "the table has no stream, or it is switched off",
            "switch it on: aws dynamodb update-table --stream-specification StreamEnabled=true,StreamViewType=KEYS_ONLY",
        ),
        CallError::Failed(error) if error.kind() == SourceErrorKind::Throttled => Finding::of(&error).but_works(),
        CallError::Failed(error) => Finding::of(&error),
    }
}
