//! librdkafka's log lines on their way to `tracing`: a few in each window, the rest counted.

use std::time::Duration;

use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(10);
/// A dead cluster alone gives about one line a second for each broker.
const LINES: u32 = 10;

/// How many lines the present window has let through and how many not.
#[derive(Debug, Default)]
pub(super) struct LogGate {
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    passed: u32,
    withheld: u64,
}

impl LogGate {
    /// `Some` if a line may pass now, with the number of lines that were withheld before it.
    pub(super) fn pass(&mut self, now: Instant) -> Option<u64> {
        match &mut self.window {
            Some(window) if now.saturating_duration_since(window.began) < WINDOW => {
                if window.passed < LINES {
                    window.passed += 1;
                    Some(0)
                } else {
                    window.withheld += 1;
                    None
                }
            }
            window => {
                let withheld = window.as_ref().map_or(0, |window| window.withheld);
                *window = Some(Window { began: now, passed: 1, withheld: 0 });
                Some(withheld)
            }
        }
    }
}

/// Writes a line of librdkafka's log; `severity` is syslog's.
pub(super) fn write(severity: i32, facility: &str, line: &str, withheld: u64) {
    if severity <= 2 {
        tracing::error!(target: "librdkafka", facility, withheld, "{line}");
    } else {
        tracing::warn!(target: "librdkafka", facility, withheld, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_cut_and_the_next_window_says_by_how_much() {
        let mut gate = LogGate::default();
        let passed = (0..50).filter(|_| gate.pass(Instant::now()).is_some()).count();
        assert_eq!(passed, 10);
        tokio::time::advance(WINDOW).await;
        assert_eq!(gate.pass(Instant::now()), Some(40));
        assert_eq!(gate.pass(Instant::now()), Some(0));
    }
}
