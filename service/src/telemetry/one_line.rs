//! Keeps a log line on one line, whatever text a broker, a service or a name puts into it: no text can forge another line or move a
//! terminal's cursor.

use std::borrow::Cow;
use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

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
