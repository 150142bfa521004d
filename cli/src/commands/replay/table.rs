//! The replicas that several policies would have requested, side by side.

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use time::OffsetDateTime;

use super::course::Course;
use super::recorded::Recording;
use crate::lag::{Behind, Facts, Moment};
use crate::scaling::{Decision, Quantity};

/// A recording under several policies.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Table {
    source: String,
    policies: Vec<String>,
    rows: Vec<Row>,
}

/// One interval, shown by its last reading.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// The time in milliseconds since 1970.
    at: u64,
    reading: ReadingFacts,
    answers: Vec<Answer>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReadingFacts {
    #[serde(skip_serializing_if = "Option::is_none")]
    records_behind: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_unread_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_shards: Option<u64>,
    /// The number of consumers, if it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    consumers: Option<usize>,
}

#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Answer {
    Decided { value: Quantity, target: Quantity, active: bool, replicas: u64 },
    Failed { error: String },
}

impl Table {
    /// Runs the courses over the recording.
    pub(super) fn fill(recording: &Recording, courses: &mut [Course], every: Duration) -> anyhow::Result<Self> {
        let every =
            u64::try_from(every.as_millis()).ok().filter(|every| *every > 0).context("--every must be longer")?;
        let first = recording.readings.first().map_or(0, |(at, _)| *at);
        let mut rows = Vec::new();
        let mut readings = recording.readings.iter().peekable();
        while let Some((at, observation)) = readings.next() {
            let now = Moment::after_epoch(Duration::from_millis(at.saturating_sub(first)));
            for course in courses.iter_mut() {
                course.see(observation, now);
            }
            if readings.peek().is_none_or(|(next, _)| next / every != at / every) {
                rows.extend(Row::new(*at, courses));
            }
        }
        let policies = courses.iter().map(|course| course.name.clone()).collect();
        Ok(Self { source: recording.source.clone(), policies, rows })
    }

    /// Returns whether every policy has a value at the end.
    pub(super) fn ends_well(&self) -> bool {
        let last = self.rows.last();
        last.is_some_and(|row| row.answers.iter().all(|answer| matches!(answer, Answer::Decided { .. })))
    }
}

impl Row {
    /// Creates a row. All courses have the same readings, so the first one provides the facts.
    fn new(at: u64, courses: &[Course]) -> Option<Self> {
        let reading = ReadingFacts::of(courses.first()?.facts()?);
        let answers = courses.iter().filter_map(|course| match course.decide()? {
            Ok(decision) => {
                let replicas = course.replicas(&decision, reading.consumers);
                let Decision { value, target, active, .. } = decision;
                Some(Answer::Decided { value, target, active, replicas })
            }
            Err(error) => Some(Answer::Failed { error: error.chain() }),
        });
        let answers = answers.collect();
        Some(Self { at, reading, answers })
    }

    /// Formats the time in UTC, such as `2026-01-31 08:15:00`.
    fn time(&self) -> String {
        let seconds = i64::try_from(self.at / 1000).unwrap_or(i64::MAX);
        OffsetDateTime::from_unix_timestamp(seconds).map_or_else(
            |_| self.at.to_string(),
            |time| {
                let (hour, minute, second) = time.to_hms();
                format!("{} {hour:02}:{minute:02}:{second:02}", time.date())
            },
        )
    }
}

impl ReadingFacts {
    fn of(facts: &Facts) -> Self {
        let (mut records_behind, mut oldest_unread_seconds, mut open_shards) = (None, None, None);
        match &facts.behind {
            Behind::Records(lag) => records_behind = lag.records_behind(),
            Behind::Age { oldest, .. } => oldest_unread_seconds = Some(oldest.as_secs_f64()),
            Behind::Shards { open, .. } => open_shards = Some(*open),
            Behind::Writes { open, .. } => open_shards = Some(u64::from(*open)),
        }
        Self { records_behind, oldest_unread_seconds, open_shards, consumers: facts.consumers }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.source)?;
        for (number, policy) in self.policies.iter().enumerate() {
            writeln!(f, "  {}  {policy}", letter(number))?;
        }
        write!(f, "\n{:<19} {:>10} {:>10} {:>9}", "time (UTC)", "behind", "oldest", "consumers")?;
        for number in 0..self.policies.len() {
            write!(f, " {:>9}", format!("replicas {}", letter(number)))?;
        }
        writeln!(f)?;
        for row in &self.rows {
            let ReadingFacts { records_behind, oldest_unread_seconds, open_shards, consumers } = &row.reading;
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let behind = records_behind.map(|count| count.to_string());
            let behind = behind.or_else(|| open_shards.map(|count| format!("{count} shards")));
            let oldest = oldest_unread_seconds.map(|age| format!("{age:.0} s"));
            let consumers = consumers.map(|count| count.to_string());
            let [behind, oldest, consumers] = [behind, oldest, consumers].map(or_none);
            write!(f, "{:<19} {behind:>10} {oldest:>10} {consumers:>9}", row.time())?;
            for answer in &row.answers {
                write!(f, " {:>9}", answer.to_string())?;
            }
            writeln!(f)?;
        }
        for (number, answer) in self.rows.last().into_iter().flat_map(|row| row.answers.iter().enumerate()) {
            if let Answer::Failed { error } = answer {
                writeln!(f, "\n{} ends with: {error}", letter(number))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decided { active: false, .. } => f.write_str("inactive"),
            Self::Decided { replicas, .. } => replicas.fmt(f),
            Self::Failed { .. } => f.write_str("error"),
        }
    }
}

/// Returns the column's letter: A, B, …
fn letter(number: usize) -> char {
    ('A'..='Z').cycle().nth(number).unwrap_or('?')
}
