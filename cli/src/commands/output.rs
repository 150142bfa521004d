//! The only module that prints.
#![expect(clippy::print_stderr, reason = "a command's talk")]

use std::io::{ErrorKind, Write as _};

use clap::ValueEnum;
use serde::Serialize;

/// The format of a command's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Plain text for people.
    Text,
    /// One JSON document.
    Json,
}

/// Writes data to stdout. A closed reader (`| head`) is not an error.
///
/// # Errors
/// Fails if stdout cannot be written for another reason.
pub fn data(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes one JSON document to stdout.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    data(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Writes a message beside the data to stderr.
pub(super) fn talk(text: &str) {
    eprint!("{text}");
}

/// Writes to stderr why the command failed, with the chain of causes.
pub fn failure(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
