//! KEDA's side: asks the scaler over gRPC as KEDA does, and says what the HPA would make of the answers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tonic::Status;
use tonic::transport::Channel;

use super::broker::{GROUP, TOPIC};
use super::traffic::{RECORDS_A_SECOND, Traffic};
use crate::cli::output;
use crate::keda::proto::external_scaler_client::ExternalScalerClient;
use crate::keda::proto::{GetMetricsRequest, ScaledObjectRef};

/// KEDA asks every 30 s by default; for a show that is too slow.
const POLLING_INTERVAL: Duration = Duration::from_secs(2);

/// Within this of its target the HPA does nothing.
const TOLERANCE: f64 = 0.1;

const LAG_THRESHOLD: &str = "100";

pub(super) struct Autoscaler {
    scaler: SocketAddr,
    scaled_object: ScaledObjectRef,
}

/// What KEDA gets in one poll.
struct Poll {
    value: f64,
    target: f64,
    active: bool,
}

impl Autoscaler {
    pub(super) fn new(scaler: SocketAddr, bootstrap_servers: &str) -> Self {
        let metadata = [
            ("source", "kafka"),
            ("bootstrapServers", bootstrap_servers),
            ("consumerGroup", GROUP),
            ("topic", TOPIC),
            ("lagThreshold", LAG_THRESHOLD),
            ("pollInterval", "2s"),
        ];
        let scaler_metadata: HashMap<_, _> =
            metadata.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let scaled_object = ScaledObjectRef { name: GROUP.into(), namespace: "default".into(), scaler_metadata };
        Self { scaler, scaled_object }
    }

    /// What is shown, and how to ask for the same by hand.
    pub(super) fn introduction(&self, http_addr: SocketAddr, consumers: u8) -> String {
        let mut metadata: Vec<_> = self.scaled_object.scaler_metadata.iter().collect();
        metadata.sort();
        let mut text = String::from("ScaledObject default/order-service, trigger external:\n");
        for (key, value) in &metadata {
            // writing to a string cannot fail
            let _ = writeln!(text, "  {key}: \"{value}\"");
        }
        let asked: Vec<_> = metadata.iter().map(|(key, value)| format!("\"{key}\":\"{value}\"")).collect();
        let Self { scaler, .. } = self;
        let _ = write!(
            text,
            "\nAsk for the same:\n  grpcurl -plaintext -d '{{\"scaledObjectRef\":{{\"name\":\"order-service\",\
             \"namespace\":\"default\",\"scalerMetadata\":{{{}}}}}}}' {scaler} externalscaler.ExternalScaler/GetMetrics\n  \
             curl http://{http_addr}/samples?source={GROUP}\n\n\
             {consumers} consumers, {RECORDS_A_SECOND} records a second each; the producer's rate changes every 8 s. Ctrl-C ends it.\n\n",
            asked.join(",")
        );
        let _ = writeln!(
            text,
            "{:>6} {:>10} {:>10} {:>9} {:>7} {:>7}  what the HPA makes of it",
            "time", "produced/s", "consumed/s", "metric", "target", "active"
        );
        text
    }

    /// Polls and prints for ever.
    pub(super) async fn watch(&self, traffic: &Traffic) -> anyhow::Result<()> {
        let channel = Channel::from_shared(format!("http://{}", self.scaler))?.connect_lazy();
        let mut client = ExternalScalerClient::new(channel);
        let mut ticks = interval(POLLING_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let begun = Instant::now();
        let (mut produced, mut consumed, mut replicas) = (0, 0, 1);
        loop {
            ticks.tick().await;
            let polled = self.poll(&mut client).await;
            let (now_produced, now_consumed) = (traffic.produced(), traffic.consumed());
            let rate = |now: u64, before: u64| (now - before) / POLLING_INTERVAL.as_secs();
            let (in_rate, out_rate) = (rate(now_produced, produced), rate(now_consumed, consumed));
            (produced, consumed) = (now_produced, now_consumed);
            let at = format!("{}s", begun.elapsed().as_secs());
            let line = match polled {
                Ok(poll) => {
                    let verdict = poll.verdict(&mut replicas);
                    let Poll { value, target, active } = poll;
                    format!("{at:>6} {in_rate:>10} {out_rate:>10} {value:>9} {target:>7} {active:>7}  {verdict}\n")
                }
                Err(status) => {
                    format!("{at:>6} {in_rate:>10} {out_rate:>10}  {:?}: {}\n", status.code(), status.message())
                }
            };
            output::data(&line).context("showing a poll")?;
        }
    }

    /// In KEDA's order: the specs, the value, the activity.
    async fn poll(&self, client: &mut ExternalScalerClient<Channel>) -> Result<Poll, Status> {
        let about = self.scaled_object.clone();
        let specs = client.get_metric_spec(about.clone()).await?.into_inner().metric_specs;
        let spec = specs.into_iter().next().ok_or_else(|| Status::internal("no metric spec"))?;
        let request =
            GetMetricsRequest { scaled_object_ref: Some(about.clone()), metric_name: spec.metric_name.clone() };
        let values = client.get_metrics(request).await?.into_inner().metric_values;
        let value = values.into_iter().next().ok_or_else(|| Status::internal("no metric value"))?;
        let active = client.is_active(about).await?.into_inner().result;
        Ok(Poll { value: value.metric_value_float, target: spec.target_size_float, active })
    }
}

impl Poll {
    /// The HPA's rule for an average value, without its pace and its stabilisation.
    fn verdict(&self, replicas: &mut u64) -> String {
        if !self.active {
            *replicas = 0;
            return "0 replicas, once the cool-down is over".to_owned();
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of replicas")]
        let now = (*replicas).max(1) as f64;
        let ratio = self.value / (self.target * now);
        if (1.0 - ratio).abs() <= TOLERANCE {
            return format!("{} replicas stay: within a tenth of the target", *replicas);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite and not negative")]
        let wanted = ((self.value / self.target).ceil() as u64).max(1);
        *replicas = wanted;
        format!("{wanted} {}", if wanted == 1 { "replica" } else { "replicas" })
    }
}
