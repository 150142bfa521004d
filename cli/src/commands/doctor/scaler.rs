//! Checks of a running scaler, called as KEDA calls it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::network::{handshake_remedy, look_up, now, presented, reach, speaks_tls};
use super::report::{Checkup, Finding, Looked, StepName};
use crate::keda::proto::external_scaler_client::ExternalScalerClient;
use crate::keda::proto::{GetMetricsRequest, ScaledObjectRef};
use crate::manifest::{TriggerKind, TriggerText};
use crate::network::Address;
use crate::probe::tls::{HandshakeError, TlsSettings, authorities, handshake, rejection};
use crate::trigger::{ClientIdentity, Secret};

/// The timeout of a call; KEDA itself allows only a few seconds.
const CALL_WITHIN: Duration = Duration::from_secs(5);
const USUAL_PORT: u16 = 50051;
const AFTER_CONNECTING: [StepName; 3] = [StepName::Health, StepName::MetricSpec, StepName::Metrics];

/// The arguments for checking a running scaler.
#[derive(Debug, Args)]
pub(super) struct ScalerArguments {
    /// Check a running scaler with KEDA's calls, at the address of scalerAddress
    #[arg(long, value_name = "ADDRESS")]
    pub(super) scaler: Option<String>,
    /// The authority of the scaler's certificate, PEM; KEDA's caCert
    #[arg(long, value_name = "FILE", requires = "scaler")]
    tls_ca: Option<std::path::PathBuf>,
    /// The client certificate, PEM; KEDA's tlsClientCert
    #[arg(long, value_name = "FILE", requires = "scaler", requires = "tls_key")]
    tls_cert: Option<std::path::PathBuf>,
    /// The key of the client certificate, PEM; KEDA's tlsClientKey
    #[arg(long, value_name = "FILE", requires = "scaler", requires = "tls_cert")]
    tls_key: Option<std::path::PathBuf>,
}

/// The content of the certificate files.
struct Tls {
    ca: Option<String>,
    identity: Option<ClientIdentity>,
}

impl ScalerArguments {
    fn tls(&self) -> anyhow::Result<Option<Tls>> {
        let read = |path: &std::path::PathBuf| {
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
        };
        let ca = self.tls_ca.as_ref().map(read).transpose()?;
        let identity = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                let (certificate, key) = (read(certificate)?, Secret::new(read(key)?));
                Some(ClientIdentity { certificate, key, key_password: None })
            }
            _ => None,
        };
        Ok((ca.is_some() || identity.is_some()).then_some(Tls { ca, identity }))
    }
}

/// Calls the scaler at `address` for every external trigger.
pub(super) async fn examine(
    checkup: &mut Checkup,
    arguments: &ScalerArguments,
    address: &str,
    texts: &[TriggerText],
) -> anyhow::Result<()> {
    let tls = arguments.tls()?;
    let Some((channel, to)) = channel(checkup, address, tls.as_ref()).await? else {
        return checkup.skip(&AFTER_CONNECTING, "the scaler cannot be reached");
    };
    if checkup.look(StepName::Health, "", health(channel.clone(), tls.is_none().then_some(to))).await?.is_none() {
        return checkup.skip(&AFTER_CONNECTING[1..], "the scaler is not healthy");
    }
    for text in texts.iter().filter(|text| text.kind == TriggerKind::External) {
        let on = format!("{}, trigger {}", text.object, text.index);
        let about = about(text);
        let spec = checkup.look(StepName::MetricSpec, &on, spec(channel.clone(), about.clone())).await?;
        match spec {
            Some(name) => drop(checkup.look(StepName::Metrics, &on, metrics(channel.clone(), about, name)).await?),
            None => checkup.tell(StepName::Metrics, &on, Finding::skipped("there is no metric"))?,
        }
    }
    Ok(())
}

async fn channel(
    checkup: &mut Checkup,
    text: &str,
    tls: Option<&Tls>,
) -> anyhow::Result<Option<(Channel, SocketAddr)>> {
    let Some(address) = Address::parse(text, USUAL_PORT) else {
        checkup.tell(StepName::Resolve, text, Finding::failed("this is no host and port", "write it as host:port"))?;
        return Ok(None);
    };
    let on = address.to_string();
    let Some(addresses) = checkup.look(StepName::Resolve, &on, look_up(&address)).await? else { return Ok(None) };
    let Some(connected) = checkup.look(StepName::Connect, &on, reach(&addresses)).await? else { return Ok(None) };
    let to = connected.to;
    if let Some(tls) = tls {
        let terms = TlsSettings::new(tls.ca.as_deref(), tls.identity.as_ref());
        let shaken = handshake(connected.stream, &address.host, &terms, now());
        let judged = async {
            let mut session = shaken.await.map_err(|why| Finding::failed(why.to_string(), handshake_remedy(&why)))?;
            let finding = presented(&session.presented, true, "--tls-ca, and caCert for the trigger,");
            if session.presented.trust.is_err() {
                return Err(finding);
            }
            match rejection(&mut session).await {
                Some(why) => Err(rejected(&why, tls.identity.as_ref())),
                None => Ok((finding, ())),
            }
        };
        if checkup.look(StepName::Tls, &on, judged).await?.is_none() {
            return Ok(None);
        }
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint =
        Endpoint::from_shared(format!("{scheme}://{address}"))?.connect_timeout(CALL_WITHIN).timeout(CALL_WITHIN);
    if let Some(tls) = tls {
        let mut config = ClientTlsConfig::new()
            .domain_name(&address.host)
            .ca_certificate(Certificate::from_pem(authorities(tls.ca.as_deref())));
        if let Some(own) = &tls.identity {
            config = config.identity(Identity::from_pem(&own.certificate, own.key.reveal()));
        }
        endpoint = endpoint.tls_config(config).context("using --tls-ca, --tls-cert and --tls-key")?;
    }
    Ok(Some((endpoint.connect_lazy(), to)))
}

/// Reports that the scaler rejects the client certificate, or requires one.
fn rejected(why: &HandshakeError, identity: Option<&ClientIdentity>) -> Finding {
    let does = if identity.is_some() { "rejects the" } else { "requires a" };
    let remedy = "set --tls-cert and --tls-key, and tlsClientCert and tlsClientKey for the trigger, to a certificate of the scaler's client \
                  authority; the scaler's log has the reason";
    Finding::failed(format!("the scaler {does} client certificate: {why}"), remedy)
}

/// Checks the scaler's health; `plainly` is the address to test for TLS if the channel has none.
async fn health(channel: Channel, plainly: Option<SocketAddr>) -> Looked<()> {
    let asked = HealthClient::new(channel).check(HealthCheckRequest { service: String::new() }).await;
    match asked {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => Ok((Finding::ok("serving"), ())),
        Ok(answer) => {
            let status = answer.get_ref().status().as_str_name();
            Err(Finding::failed(status, "the scaler is starting or draining: retry, or check its log"))
        }
        Err(status) => match plainly {
            Some(to) if speaks_tls(to, &to.ip().to_string()).await => {
                let remedy = "give doctor --tls-ca, and the trigger caCert, tlsClientCert and tlsClientKey as the scaler requires them";
                Err(Finding::failed("this port speaks TLS", remedy))
            }
            _ => Err(refused(&status)),
        },
    }
}

fn about(text: &TriggerText) -> ScaledObjectRef {
    let metadata: HashMap<_, _> = text.metadata.clone();
    ScaledObjectRef { name: text.name.clone(), namespace: text.namespace.clone(), scaler_metadata: metadata }
}

async fn spec(channel: Channel, about: ScaledObjectRef) -> Looked<String> {
    let asked = ExternalScalerClient::new(channel).get_metric_spec(about).await;
    let specs = asked.map_err(|status| refused(&status))?.into_inner().metric_specs;
    match specs.into_iter().next() {
        Some(spec) => {
            let seen = format!("{}, target {}", spec.metric_name, spec.target_size_float);
            Ok((Finding::ok(seen), spec.metric_name))
        }
        None => Err(Finding::failed("no metric", "this is no scaler that KEDA can use for this trigger")),
    }
}

async fn metrics(channel: Channel, about: ScaledObjectRef, name: String) -> Looked<()> {
    let request = GetMetricsRequest { scaled_object_ref: Some(about), metric_name: name };
    let asked = ExternalScalerClient::new(channel).get_metrics(request).await;
    let values = asked.map_err(|status| refused(&status))?.into_inner().metric_values;
    match values.first() {
        Some(value) => Ok((Finding::ok(format!("value {}", value.metric_value_float)), ())),
        None => Err(Finding::failed("no value", "look at the scaler's log")),
    }
}

fn refused(status: &Status) -> Finding {
    let cause = std::error::Error::source(status);
    let remedy = match status.code() {
        // an error of the connection has a cause, an answer of the scaler has none
        tonic::Code::Unavailable | tonic::Code::Unknown if cause.is_none() => {
            "the scaler answered, and its source failed: run doctor without --scaler, from where the scaler runs"
        }
        tonic::Code::Unimplemented => "check the address: what answers is no scaler of KEDA",
        tonic::Code::InvalidArgument => "correct the trigger's metadata; validate shows the lines",
        tonic::Code::FailedPrecondition => {
            "the scaler's rules, or its rights at the source, refuse this trigger; doctor without --scaler shows which, from where the scaler \
             runs and with its --connections file"
        }
        // tonic does not report why a connection broke
        tonic::Code::Unavailable | tonic::Code::Unknown => {
            "see that a scaler listens there, and that it takes the client certificate (--tls-cert); then run doctor without --scaler"
        }
        _ => "run doctor without --scaler, from where the scaler runs",
    };
    let cause = cause.and_then(std::error::Error::source);
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    Finding::failed(format!("{:?}: {}{cause}", status.code(), status.message()), remedy)
}
