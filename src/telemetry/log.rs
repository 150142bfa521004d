//! Log lines on stderr: JSON or for people, filtered by level and module.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::one_line::OneLine;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Starts logging for the whole process.
///
/// # Errors
/// When `filter` is not a filter such as `info` or `info,librdkafka=debug`, or logging was started before.
pub fn init(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("log filter \"{filter}\": {error}"))?;
    // colours are for terminals, not for files and collectors
    let colours = std::io::stderr().is_terminal();
    // colours are control characters themselves
    let writer = if colours { BoxMakeWriter::new(std::io::stderr) } else { BoxMakeWriter::new(OneLine) };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.try_init(),
    }
    .map_err(|error| format!("start of logging: {error}"))
}
