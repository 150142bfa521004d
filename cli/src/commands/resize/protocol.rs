//! Serves the need and the plan over JSON lines, so that any simulator can drive them.
//!
//! Each line has one object per minute and gets one answer. `accepted` and `throttled` are those of the newest minute that can be
//! read, in shards; `goal` is the count of the last call, `calls` are the minutes of the calls of the last day.
//!
//! ```text
//! {"now":3,"accepted":1.5,"throttled":0,"open":2,"goal":2,"active":true,"calls":[]}      {"target":4} or {"target":null}
//! ```

use std::io::{BufRead, Write};
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::lag::streams::{Change, StreamState, Timestamp};
use crate::lag::{Minute, Writes};
use crate::resize::Bounds;
use crate::resize::rehearsal::next_target;
use crate::trigger::WriteUtilizationPolicy;

/// The number of records per minute that fill a shard.
const RECORDS: f64 = 60_000.0;
/// The delay of CloudWatch metrics.
const DELAY: Duration = Duration::from_secs(120);
const BOUNDS: Bounds = Bounds { min: 1, max: 10_000, calls_per_day: 10 };

#[derive(Deserialize)]
struct Request {
    now: u64,
    accepted: f64,
    throttled: f64,
    goal: u32,
    active: bool,
}

#[derive(Serialize)]
struct Answer {
    target: Option<u32>,
}

#[derive(Default)]
struct Session {
    minutes: Vec<Minute>,
    made: Vec<Change>,
}

/// Answers every line of `input` until the input ends.
pub(super) fn run(input: impl BufRead, mut output: impl Write) -> anyhow::Result<()> {
    let mut session = Session::default();
    for line in input.lines() {
        let request = serde_json::from_str(&line.context("reading a request")?).context("not a request")?;
        serde_json::to_writer(&mut output, &Answer { target: session.answer(&request)? })?;
        writeln!(output)?;
        output.flush()?;
    }
    Ok(())
}

impl Session {
    fn answer(&mut self, request: &Request) -> anyhow::Result<Option<u32>> {
        let records = |shards: f64| shards * RECORDS;
        let (records, throttled) = (records(request.accepted), records(request.throttled));
        self.minutes.push(Minute { bytes: 0.0, records, throttled });
        let policy = WriteUtilizationPolicy::default();
        let now = Timestamp::from_unix_ms(request.now * 60_000);
        let writes = Writes::of_minutes(&self.minutes, now.minus(DELAY));
        if !request.active
            && let Some(last) = self.made.last_mut()
        {
            last.done = now;
        }
        let state = if request.active { StreamState::Ready } else { StreamState::Updating };
        let target = next_target(now, state, request.goal, &self.made, &writes, &BOUNDS, &policy)?;
        if let Some(target) = target {
            self.made.push(Change { at: now, done: now, from: request.goal, to: target });
            self.made.retain(|change| now.since(change.at) < Duration::from_secs(86_400));
        }
        Ok(target)
    }
}
