//! The flags of `serve` for limits, TLS and metrics.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use clap::builder::BoolishValueParser;

use crate::limits::{Bounds, Limits};
use crate::tls::{Files, Tls};

/// The limits for callers. A caller over a limit gets `RESOURCE_EXHAUSTED`; other callers are not affected.
#[derive(Debug, Args)]
#[expect(clippy::struct_field_names, reason = "the names of flags")]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArguments {
    /// Sources that are asked about; one counts for each namespace that asks
    #[arg(long, env = "STREAM_SCALER_MAX_TARGETS", default_value_t = default().targets.total, value_name = "COUNT",
          value_parser = count(1..=1_000_000))]
    max_targets: usize,
    /// Of those, the share of one namespace
    #[arg(long, env = "STREAM_SCALER_MAX_TARGETS_PER_NAMESPACE", default_value_t = default().targets.per_owner,
          value_name = "COUNT", value_parser = count(1..=1_000_000))]
    max_targets_per_namespace: usize,
    /// Clusters, accounts and identities that are read side by side
    #[arg(long, env = "STREAM_SCALER_MAX_CLIENTS", default_value_t = default().clients.total, value_name = "COUNT",
          value_parser = count(1..=4096))]
    max_clients: usize,
    /// Of those, the most that one namespace asks about
    #[arg(long, env = "STREAM_SCALER_MAX_CLIENTS_PER_NAMESPACE", default_value_t = default().clients.per_owner,
          value_name = "COUNT", value_parser = count(1..=4096))]
    max_clients_per_namespace: usize,
    /// Open push streams; KEDA opens two for a trigger of type external-push
    #[arg(long, env = "STREAM_SCALER_MAX_STREAMS", default_value_t = default().streams.total, value_name = "COUNT",
          value_parser = count(1..=1_000_000))]
    max_streams: usize,
    /// Of those, the share of one namespace
    #[arg(long, env = "STREAM_SCALER_MAX_STREAMS_PER_NAMESPACE", default_value_t = default().streams.per_owner,
          value_name = "COUNT", value_parser = count(1..=1_000_000))]
    max_streams_per_namespace: usize,
    /// Calls at a time on one connection, besides push streams; more wait at the caller
    #[arg(long, env = "STREAM_SCALER_MAX_CALLS_PER_CONNECTION", default_value_t = default().calls_per_connection,
          value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_calls_per_connection: u32,
    /// The size of a request in bytes; a larger one is refused
    #[arg(long, env = "STREAM_SCALER_MAX_REQUEST_BYTES", default_value_t = default().request_bytes, value_name = "BYTES",
          value_parser = count(4_096..=4_194_304))]
    max_request_bytes: usize,
    /// The size of one trigger's metadata in bytes, keys and values
    #[arg(long, env = "STREAM_SCALER_MAX_METADATA_BYTES", default_value_t = default().metadata_bytes, value_name = "BYTES",
          value_parser = count(1_024..=1_048_576))]
    max_metadata_bytes: usize,
    /// Open connections to the gRPC port
    #[arg(long, env = "STREAM_SCALER_MAX_GRPC_CONNECTIONS", default_value_t = default().grpc_connections.total,
          value_name = "COUNT", value_parser = count(2..=100_000))]
    max_grpc_connections: usize,
    /// Of those, the most of one address
    #[arg(long, env = "STREAM_SCALER_MAX_GRPC_CONNECTIONS_PER_ADDRESS", default_value_t = default().grpc_connections.per_owner,
          value_name = "COUNT", value_parser = count(1..=100_000))]
    max_grpc_connections_per_address: usize,
    /// Open connections to the HTTP port
    #[arg(long, env = "STREAM_SCALER_MAX_HTTP_CONNECTIONS", default_value_t = default().http_connections.total,
          value_name = "COUNT", value_parser = count(2..=10_000))]
    max_http_connections: usize,
    /// Of those, the most of one address
    #[arg(long, env = "STREAM_SCALER_MAX_HTTP_CONNECTIONS_PER_ADDRESS", default_value_t = default().http_connections.per_owner,
          value_name = "COUNT", value_parser = count(1..=10_000))]
    max_http_connections_per_address: usize,
}

fn default() -> Limits {
    Limits::default()
}

fn count(range: std::ops::RangeInclusive<u64>) -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser as _;
    clap::value_parser!(u64).range(range).try_map(usize::try_from)
}

impl From<LimitArguments> for Limits {
    fn from(arguments: LimitArguments) -> Self {
        let LimitArguments {
            max_targets,
            max_targets_per_namespace,
            max_clients,
            max_clients_per_namespace,
            max_streams,
            max_streams_per_namespace,
            max_calls_per_connection,
            max_request_bytes,
            max_metadata_bytes,
            max_grpc_connections,
            max_grpc_connections_per_address,
            max_http_connections,
            max_http_connections_per_address,
        } = arguments;
        Self {
            targets: Bounds { total: max_targets, per_owner: max_targets_per_namespace },
            clients: Bounds { total: max_clients, per_owner: max_clients_per_namespace },
            streams: Bounds { total: max_streams, per_owner: max_streams_per_namespace },
            calls_per_connection: max_calls_per_connection,
            request_bytes: max_request_bytes,
            metadata_bytes: max_metadata_bytes,
            grpc_connections: Bounds { total: max_grpc_connections, per_owner: max_grpc_connections_per_address },
            http_connections: Bounds { total: max_http_connections, per_owner: max_http_connections_per_address },
        }
    }
}

/// TLS on the gRPC port; plaintext without these arguments.
#[derive(Debug, Args)]
pub(super) struct TlsArguments {
    /// The certificate to serve, and those between it and its CA; PEM, read again when it changes
    #[arg(
        id = "tls_cert",
        long = "tls-cert",
        env = "STREAM_SCALER_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    certificate: Option<PathBuf>,
    /// The certificate's private key; PEM, not encrypted
    #[arg(id = "tls_key", long = "tls-key", env = "STREAM_SCALER_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    key: Option<PathBuf>,
    /// The CAs of clients: with it every client must have a certificate of one of them
    #[arg(
        id = "tls_client_ca",
        long = "tls-client-ca",
        env = "STREAM_SCALER_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    client_ca: Option<PathBuf>,
}

impl TlsArguments {
    /// Reads the certificate files.
    pub(super) fn read(self) -> anyhow::Result<Option<Tls>> {
        let Self { certificate, key, client_ca } = self;
        let files = certificate.zip(key).map(|(certificate, key)| Files { certificate, key, client_ca });
        files.map(Tls::read).transpose().context("could not set up TLS by --tls-cert, --tls-key and --tls-client-ca")
    }
}

/// Data for operators beyond the defaults.
#[derive(Debug, Args)]
pub(super) struct Observability {
    /// Also a series of each partition and shard on /metrics, up to 20,000 of them
    #[arg(long, env = "STREAM_SCALER_PARTITION_METRICS", value_parser = BoolishValueParser::new())]
    pub(super) partition_metrics: bool,
}
