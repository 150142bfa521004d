//! The terminal output: no line is wider than 80 columns, except the request to copy.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use keda_stream_scaler::cli::output;
use tokio::time::{MissedTickBehavior, interval};

use super::NAMESPACE;
use super::periods::{Periods, RECORDS_A_SECOND};
use super::score::Score;
use super::session::Session;
use super::verdict::share;

/// The interval between rows.
const ROW: Duration = Duration::from_secs(5);
/// The number of rows after which the heading is repeated.
const ROWS: usize = 20;
/// The name of our side.
const OURS: &str = "keda-stream-scaler";

/// Describes the demo, and how to send the scaler the same request by hand.
pub(super) fn introduction(session: &Session, page: SocketAddr, restarted: bool) -> String {
    let Periods { speed, promise, down_window, .. } = session.periods;
    let (begun, scene) = (if restarted { "Restarted" } else { "Running" }, session.options.scene.name());
    let text = format!(
        "{begun} on {scene} at speed {speed}. Both sides know a simulated hour of traffic.
Promise: no record waits longer than {promise}. A pod processes {RECORDS_A_SECOND} records/s.
KEDA's side: {key} {target}. Both HPAs: scale-down window {window}.
",
        promise = seconds(promise),
        key = session.options.scene.key(),
        target = session.target,
        window = seconds(down_window),
    );
    if restarted {
        return text;
    }
    let metadata: Vec<_> = session.metadata.iter().map(|(key, value)| format!("\"{key}\":\"{value}\"")).collect();
    let request = format!(
        "{{\"scaledObjectRef\":{{\"name\":\"by-age\",\"namespace\":\"{NAMESPACE}\",\"scalerMetadata\":{{{}}}}}}}",
        metadata.join(",")
    );
    format!(
        "{text}
Page http://{page}/; the scaler's own http://{http}/
Ctrl-C ends. Call the scaler as KEDA does:
  grpcurl -plaintext -d '{request}' {grpc} externalscaler.ExternalScaler/GetMetrics
",
        http = session.http,
        grpc = session.grpc,
    )
}

/// Prints rows forever.
pub(super) async fn show(session: &Session) -> anyhow::Result<()> {
    let mut ticks = interval(ROW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    for number in 0.. {
        ticks.tick().await;
        let heading = if number % ROWS == 0 { heading(session.options.scene.rule()) } else { String::new() };
        output::data(&format!("{heading}{}", row(&session.score())))?;
    }
    Ok(())
}

fn heading(theirs: &str) -> String {
    let columns = format!("| {:>4} {:>6} {:>5} {:>7} {:>6}", "pods", "oldest", "over", "pod-min", "events");
    format!(
        "
needed: pods that the arrivals need; oldest: age of the oldest waiting record;
over: time in which a record waited longer than the promise; pod-min: sum of
pod lifetimes in minutes; events: changes of the number of pods
{:12}| {theirs:<32}| {OURS}
{:>5} {:>6}{columns}{columns}
",
        "", "time", "needed",
    )
}

/// Formats the present state and the totals of both sides.
fn row(score: &Score) -> String {
    let mut text = format!("{:>5} {:>6.1}", seconds(Duration::from_secs(score.now.at.as_secs())), score.now.needed);
    for (side, totals) in score.now.sides.iter().zip(&score.totals) {
        // writing to a string cannot fail
        let _ = write!(
            text,
            "| {:>4} {:>6} {:>5} {:>7.1} {:>6}",
            side.pods,
            format!("{:.1}s", side.age.as_secs_f64()),
            format!("{}s", totals.over.as_secs()),
            totals.pod_time.as_secs_f64() / 60.0,
            totals.scale_events
        );
    }
    if score.stall.is_some() {
        text.push_str("\n       the machine is too slow or was asleep: this time counts for neither side");
    }
    text.push('\n');
    text
}

/// Formats the totals at the end.
pub(super) fn summary(session: &Session) -> String {
    let (score, (verdict, _)) = (session.score(), session.verdict());
    let mut text = format!(
        "\n{:18} {:>12} {:>8} {:>11} {:>6} {:>12}\n",
        "", "promise kept", "over", "pod-minutes", "events", "longest wait"
    );
    for (side, name) in [session.options.scene.rule(), OURS].into_iter().enumerate() {
        let (numbers, totals) = (score.numbers(side), score.totals[side]);
        // writing to a string cannot fail
        let _ = writeln!(
            text,
            "{name:18} {:>12} {:>8} {:>11.1} {:>6} {:>12}",
            share(numbers.kept),
            format!("{}s", totals.over.as_secs()),
            numbers.pod_minutes,
            totals.scale_events,
            format!("{:.1}s", totals.longest.0.as_secs_f64())
        );
    }
    let _ = writeln!(text, "Measured over {} s with traffic.", score.busy.as_secs());
    if !score.stalled.is_zero() {
        let _ = writeln!(
            text,
            "{} s counted for neither side: the machine was too slow or asleep.",
            score.stalled.as_secs()
        );
    }
    for line in wrapped(&verdict.text(), 80) {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// Breaks a text into lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        match lines.last_mut() {
            Some(last) if line == 0 => last.push_str(word),
            Some(last) if line + 1 + word.chars().count() <= width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::super::score::{Measurement, Second, Totals};
    use super::*;

    #[test]
    fn rows_and_headings_fit_into_80_columns() {
        let mut score = Score::new(Duration::from_secs(12), RECORDS_A_SECOND);
        let side = Measurement { unread: 99_999, age: Duration::from_secs(100), pods: 24, ready: 24 };
        score.now = Second { at: Duration::from_secs(9999), needed: 12.75, sides: [side; 2], ..Second::default() };
        let (over, pod_time) = (Duration::from_secs(9999), Duration::from_secs(60 * 99_999));
        score.totals = [Totals { over, pod_time, scale_events: 9999, ..Totals::default() }; 2];
        score.stall = Some((1.0, 2.0));
        let text = heading("lag threshold") + &row(&score);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        }
        let widths: Vec<_> = text.lines().filter_map(|line| line.find('|')).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "columns stand below each other:\n{text}");
    }

    #[test]
    fn a_long_text_is_broken_between_words() {
        assert_eq!(wrapped("aaa bb c dddd", 6), ["aaa bb", "c dddd"]);
    }
}
