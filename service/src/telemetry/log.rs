//! Log lines on stderr, as JSON or text, filtered by level and module; the filter can be changed while the process runs.
//!
//! A log line stays on one line, whatever text a broker, a service or a name puts into it: no text can forge another line or move a
//! terminal's cursor.

use std::borrow::Cow;
use std::io::IsTerminal as _;
use std::io::{self, Write};

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt, reload};

use super::Traces;

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Plain text for people.
    Text,
}

/// A handle that reads and changes the log filter.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<Targets, Registry>);

/// Starts logging for the whole process, and the creation of spans for traces.
///
/// # Errors
/// Fails if `filter` is not a filter such as `info` or `info,keda_stream_scaler=debug`, or if logging was already started.
pub fn init(filter: &str, format: LogFormat, traces: Option<&Traces>) -> Result<LogFilter, String> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    // colours are for terminals, not for files and collectors
    let colours = std::io::stderr().is_terminal();
    // colours are control characters themselves
    let writer = if colours { BoxMakeWriter::new(std::io::stderr) } else { BoxMakeWriter::new(OneLine) };
    let lines = fmt::layer().with_writer(writer).with_ansi(colours);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces.map(Traces::layer));
    subscriber.try_init().map_err(|error| format!("start of logging: {error}"))?;
    Ok(LogFilter(handle))
}

fn parse(filter: &str) -> Result<Targets, String> {
    if filter.trim().is_empty() {
        return Err("a log filter must not be empty; a level such as info is one".to_owned());
    }
    filter.parse().map_err(|error| format!("log filter \"{filter}\": {error}"))
}

impl LogFilter {
    /// Returns the current filter.
    ///
    /// # Errors
    /// Fails if logging has ended.
    pub fn get(&self) -> Result<String, String> {
        self.0.with_current(ToString::to_string).map_err(|error| format!("reading of the log filter: {error}"))
    }

    /// Sets the filter. The change is logged through whichever of the two filters admits it.
    ///
    /// # Errors
    /// Fails if it is not a valid filter; the previous filter then stays in force.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        let (before, after) = (self.get()?, parse(filter)?);
        let tell = || tracing::warn!(before, after = filter, "the log filter is changed");
        let logged = tracing::enabled!(Level::WARN);
        if logged {
            tell();
        }
        self.0.reload(after).map_err(|error| format!("change of the log filter: {error}"))?;
        if !logged {
            tell();
        }
        Ok(())
    }
}

/// Writes each event to stderr as one line.
pub(super) struct OneLine;

/// The writer of one event.
pub(super) struct Line(io::Stderr);

impl<'a> MakeWriter<'a> for OneLine {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(io::stderr())
    }
}

impl Write for Line {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.write_all(&in_one_line(event))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Escapes control characters, except for the newline at the end.
fn in_one_line(event: &[u8]) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(event);
    let line = text.strip_suffix('\n').unwrap_or(&text);
    if !line.contains(char::is_control) {
        return Cow::Borrowed(event);
    }
    let mut escaped = String::with_capacity(event.len() + 16);
    for sign in line.chars() {
        if sign.is_control() { escaped.extend(sign.escape_default()) } else { escaped.push(sign) }
    }
    escaped.push('\n');
    Cow::Owned(escaped.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_an_event_ends_no_line_and_moves_no_cursor() {
        let event = "WARN readings fail error=no host b\n2026-01-01 ERROR forged\r\u{1b}[2J\u{9b}1A ä\n";
        let expected = "WARN readings fail error=no host b\\n2026-01-01 ERROR forged\\r\\u{1b}[2J\\u{9b}1A ä\n";
        assert_eq!(in_one_line(event.as_bytes()), expected.as_bytes());
    }

    #[test]
    fn an_ordinary_event_is_left_as_it_is() {
        assert!(matches!(in_one_line("INFO listening\n".as_bytes()), Cow::Borrowed(b"INFO listening\n")));
    }
}
