//! The command line. Data goes to stdout, messages to stderr; exit code 0 is success, 1 a negative result or failure, 2 wrong usage.

mod advice;
mod completions;
mod controller;
mod doctor;
mod explain;
mod man;
mod migrate;
pub mod output;
mod replay;
mod resize;
mod schema;
mod serve;
mod validate;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{COMMIT, RELEASE, VERSION};
use crate::sampler::Sampler;
use crate::source::Sources;
use crate::telemetry::Metrics;
use crate::tenancy::Connections;
use crate::trigger::parse_duration;

/// KEDA external scaler that knows how far stream consumers are behind.
#[derive(Debug, Parser)]
#[command(name = "keda-stream-scaler", version = RELEASE, disable_help_subcommand = true, max_term_width = 120, after_help = "Examples:
  keda-stream-scaler validate scaledobject.yaml
  keda-stream-scaler explain --connections connections.yaml scaledobject.yaml
  keda-stream-scaler serve --connections /etc/stream-scaler/connections.yaml

Each command has details under --help. Data goes to stdout, messages to stderr; NO_COLOR and pipes turn colours off.

Exit code 0: fine; 1: a negative result or a failure; 2: wrong usage.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve KEDA's external-scaler contract
    Serve(Box<serve::Arguments>),
    /// Check the triggers of ScaledObjects, without reading any source
    Validate(validate::Arguments),
    /// Read the sources of a ScaledObject's triggers once and show how each value is calculated
    Explain(explain::Arguments),
    /// Turn KEDA's built-in triggers of a manifest into triggers of this scaler
    Migrate(migrate::Arguments),
    /// Print what a trigger's metadata may be, for editors and tools
    Schema(schema::Arguments),
    /// Check everything between a trigger and its value, step by step, and show what to do
    Doctor(Box<doctor::Arguments>),
    /// Run a policy on recorded readings, and compare it with others
    Replay(replay::Arguments),
    /// Resize a Kinesis stream to fit its writes
    Resize(resize::Arguments),
    /// Keep the shards of Kinesis streams at the count that /scale of their objects requests
    Controller(controller::Arguments),
    /// Print the completions of a shell
    Completions(completions::Arguments),
    /// Print or write the manual
    Man(man::Arguments),
}

/// The result of a command that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Bad,
}

/// Parses a duration argument.
///
/// # Errors
/// Fails if `text` is not a duration such as `30s` or `5m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "must be a duration such as 30s or 5m".to_owned())
}

/// Reads the connections file; without one, the command uses the identity of the user who runs it.
fn read_connections(file: Option<&Path>) -> anyhow::Result<Connections> {
    Ok(file.map(Connections::read).transpose()?.unwrap_or_else(Connections::unrestricted))
}

/// Creates a sampler that reads what these connections allow, as the service does.
fn sampler(connections: Connections) -> Sampler<Sources> {
    let metrics = Metrics::new(VERSION, COMMIT);
    Sampler::new(Sources::new(connections, metrics.upstream.clone()), metrics.sampler.clone())
}

/// The signals that end a command.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen, which needs a runtime.
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Runs the command named by the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    // clap itself ends the process, with 2 on wrong usage and with 0 after --help and --version
    let Arguments { command } = Arguments::parse();
    let outcome = match command {
        Command::Serve(arguments) => serve::run(*arguments),
        Command::Validate(arguments) => validate::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Resize(arguments) => resize::run(&arguments),
        Command::Controller(arguments) => controller::run(arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    };
    match outcome {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Err(error) => {
            output::failure(&error);
            ExitCode::FAILURE
        }
    }
}
