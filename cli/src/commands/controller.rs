//! `controller`: keeps the shards of Kinesis streams at the count that `/scale` requests.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;

use super::{Signals, Verdict};
use crate::app::{self, COMMIT, VERSION};
use crate::controller::{ControllerSettings, run_controller};
use crate::source::aws::LedgerTable;
use crate::telemetry::{LogFormat, init_log};
use crate::tenancy::Connections;
use crate::trigger::TABLE_WORDS;

/// The arguments of `controller`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keda-stream-scaler controller --connections /etc/stream-scaler/connections.yaml

It finds the API server as kubectl does, or by the service account of its pod. The connections file says under `resize` which namespaces
may have which streams resized; without it, none may.

Exit code 0: ended by a signal; 1: it could not start, or failed; 2: wrong usage.")]
pub(super) struct Arguments {
    /// Where operators find metrics and probes (HTTP)
    #[arg(long, env = "STREAM_SCALER_HTTP_ADDR", default_value = "[::]:8080", value_name = "ADDRESS")]
    http_addr: SocketAddr,
    /// The connections file: identities, and which streams each namespace may have resized
    #[arg(long, env = "STREAM_SCALER_CONNECTIONS", value_name = "FILE")]
    connections: Option<PathBuf>,
    /// The namespace of the lease by which one of several replicas works
    #[arg(long, env = "POD_NAMESPACE", default_value = "default", value_name = "NAMESPACE")]
    namespace: String,
    /// The name of this replica in the lease
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: Option<String>,
    /// A DynamoDB table in the account and region of each stream that gets an item per change of its shards: partition key streamName,
    /// sort key scalingDatetime, time to live expiresAt (14 days)
    #[arg(long, env = "STREAM_SCALER_LEDGER_TABLE", value_name = "TABLE", value_parser = ledger_table)]
    ledger_table: Option<LedgerTable>,
    /// What to log: a level, or levels by module
    #[arg(long, env = "STREAM_SCALER_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How to write log lines
    #[arg(long, env = "STREAM_SCALER_LOG_FORMAT", value_enum, default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
}

fn ledger_table(name: &str) -> Result<LedgerTable, String> {
    LedgerTable::parse(name).ok_or_else(|| format!("a DynamoDB table is named by {TABLE_WORDS}"))
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Verdict> {
    let Arguments { http_addr, connections, namespace, identity, ledger_table, log, log_format } = arguments;
    let runtime = app::runtime(1)?;
    let log = init_log(&log, log_format, None).map_err(anyhow::Error::msg)?;
    let rules = connections.as_deref().map(Connections::read).transpose()?.unwrap_or_default();
    let controlled = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let client = kube::Client::try_default()
            .await
            .context("could not find the API server; set KUBECONFIG, or run it in a pod with its service account")?;
        let http = TcpListener::bind(http_addr).await.with_context(|| format!("listening for HTTP on {http_addr}"))?;
        // the process id is unique where no name is given, because this process holds the port
        let identity = identity.unwrap_or_else(|| format!("controller-{}", std::process::id()));
        tracing::info!(version = VERSION, commit = COMMIT, http_addr = %http.local_addr()?, identity, "listening");
        let settings = ControllerSettings {
            client,
            namespace,
            identity,
            connections: rules,
            connections_file: connections,
            log: Some(log),
            ledger: ledger_table,
        };
        run_controller(settings, http, signals.next()).await
    });
    runtime.shutdown_background();
    controlled?;
    Ok(Verdict::Good)
}
