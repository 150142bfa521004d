//! The steps of a checkup, their findings, and how they are printed.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::commands::Verdict;
use crate::commands::output;
use crate::lag::SourceError;

/// The step that was checked; its name is part of the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum StepName {
    Metadata,
    Rules,
    Credentials,
    Resolve,
    Connect,
    Tls,
    Protocol,
    Mechanism,
    Token,
    Login,
    Advertised,
    Topic,
    Group,
    Endpoint,
    Clock,
    Identity,
    Role,
    Call,
    Leases,
    Value,
    Health,
    MetricSpec,
    Metrics,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Status {
    Ok,
    /// Readings work, but something needs attention.
    Warning,
    Failed,
    /// The step was not run, because of an earlier finding.
    Skipped,
}

/// The finding of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) status: Status,
    pub(super) seen: String,
    pub(super) remedy: Option<String>,
}

/// A finding with the result that later checks need, or the finding of a failure.
pub(super) type Looked<T> = Result<(Finding, T), Finding>;

/// One line of the report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step {
    #[serde(rename = "step")]
    name: StepName,
    /// The broker, topic or call, if the step runs for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<String>,
    status: Status,
    seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    milliseconds: u64,
}

/// All steps for one trigger, connection or scaler.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checkup {
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<usize>,
    steps: Vec<Step>,
    #[serde(skip)]
    printed: Printed,
}

/// What is printed while steps end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printed {
    pub(super) live: Live,
    pub(super) detail: Detail,
}

/// Which steps are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// Prints every step, also those that are ok or skipped.
    Everything,
    /// Prints warnings and failures.
    Problems,
}

/// Whether and how steps are printed as they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Live {
    No,
    Plain,
    Coloured,
}

// === impl Finding ===

impl Finding {
    pub(super) fn ok(seen: impl Into<String>) -> Self {
        Self { status: Status::Ok, seen: seen.into(), remedy: None }
    }

    pub(super) fn warning(seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Warning, seen: seen.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn failed(seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Failed, seen: seen.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn skipped(because: impl Into<String>) -> Self {
        Self { status: Status::Skipped, seen: because.into(), remedy: None }
    }

    /// Creates the finding for the error of a reading, with its remedy.
    pub(super) fn of(error: &SourceError) -> Self {
        let remedy = error.advice().map(str::to_owned);
        Self { status: Status::Failed, seen: said(error), remedy }
    }

    /// Adds what may be meant to the remedy.
    pub(super) fn hinting(self, hint: &str) -> Self {
        let remedy = self.remedy.unwrap_or_default();
        let remedy = if hint.is_empty() { remedy } else { format!("{remedy}; {hint}") };
        Self { remedy: Some(remedy), ..self }
    }

    /// Turns the finding into a warning, because readings work nevertheless.
    pub(super) fn but_works(self) -> Self {
        Self { status: Status::Warning, ..self }
    }
}

/// Returns an error with its cause, without its remedy.
pub(super) fn said(error: &SourceError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

// === impl Step ===

impl Step {
    pub(super) fn new(name: StepName, on: &str, finding: Finding, took: Duration) -> Self {
        let Finding { status, seen, remedy } = finding;
        let on = (!on.is_empty()).then(|| on.to_owned());
        Self { name, on, status, seen, remedy, milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX) }
    }

    pub(super) fn is_failed(&self) -> bool {
        self.status == Status::Failed
    }

    /// Turns a failure into a warning, because another way works and readings are not affected.
    pub(super) fn excuse(&mut self, because: &str) {
        if self.status == Status::Failed {
            self.status = Status::Warning;
            let _ = write!(self.seen, "; {because}");
        }
    }

    fn line(&self, live: Live) -> String {
        let on = self.on.as_ref().map_or_else(String::new, |on| format!(" {on}"));
        let time = if self.status == Status::Skipped { String::new() } else { format!(" ({} ms)", self.milliseconds) };
        let mut text = format!("  {} {}{on}: {}{time}\n", self.status.painted(live), self.name.words(), self.seen);
        for line in self.remedy.iter().flat_map(|remedy| remedy.lines()) {
            let _ = writeln!(text, "             {line}");
        }
        text
    }
}

/// Runs a check and measures its time.
pub(super) async fn look<T>(step: StepName, on: &str, look: impl Future<Output = Looked<T>>) -> (Step, Option<T>) {
    let begun = Instant::now();
    let (finding, found) = match look.await {
        Ok((finding, found)) => (finding, Some(found)),
        Err(finding) => (finding, None),
    };
    (Step::new(step, on, finding, begun.elapsed()), found)
}

// === impl Checkup ===

impl Checkup {
    pub(super) fn new(subject: &str, trigger: Option<usize>, printed: Printed) -> anyhow::Result<Self> {
        if printed.live != Live::No {
            let trigger = trigger.map_or_else(String::new, |trigger| format!(", trigger {trigger}"));
            output::data(&format!("{subject}{trigger}\n"))?;
        }
        Ok(Self { subject: subject.to_owned(), trigger, steps: Vec::new(), printed })
    }

    pub(super) fn add(&mut self, step: Step) -> anyhow::Result<()> {
        let Printed { live, detail } = self.printed;
        let problem = matches!(step.status, Status::Warning | Status::Failed);
        if live != Live::No && (problem || detail == Detail::Everything) {
            output::data(&step.line(live))?;
        }
        self.steps.push(step);
        Ok(())
    }

    /// Runs a check and adds its finding.
    pub(super) async fn look<T>(
        &mut self,
        step: StepName,
        on: &str,
        future: impl Future<Output = Looked<T>>,
    ) -> anyhow::Result<Option<T>> {
        let (step, found) = look(step, on, future).await;
        self.add(step)?;
        Ok(found)
    }

    /// Adds a finding that took no time.
    pub(super) fn tell(&mut self, step: StepName, on: &str, finding: Finding) -> anyhow::Result<()> {
        self.add(Step::new(step, on, finding, Duration::ZERO))
    }

    /// Adds the skipped steps, with the reason.
    pub(super) fn skip(&mut self, steps: &[StepName], because: &str) -> anyhow::Result<()> {
        steps.iter().try_for_each(|step| self.tell(*step, "", Finding::skipped(because)))
    }

    pub(super) fn verdict(&self) -> Verdict {
        if self.steps.iter().any(Step::is_failed) { Verdict::Bad } else { Verdict::Good }
    }

    /// Ends the report with the number of steps per result.
    pub(super) fn sum_up(&self) -> anyhow::Result<()> {
        if self.printed.live == Live::No {
            return Ok(());
        }
        let of = |status| self.steps.iter().filter(|step| step.status == status).count();
        let counts = [Status::Ok, Status::Warning, Status::Failed, Status::Skipped].map(|status| (status, of(status)));
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let words: Vec<_> = counts.map(|(status, count)| format!("{count} {}", status.words())).collect();
        output::data(&format!("  {}\n", words.join(", ")))
    }
}

impl Status {
    const fn words(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Returns the status padded to a column, and coloured if the output is.
    fn painted(self, live: Live) -> String {
        let word = format!("{:<8}", self.words());
        let code = match (live, self) {
            (Live::No | Live::Plain, _) => return word,
            (Live::Coloured, Self::Ok) => 32,
            (Live::Coloured, Self::Warning) => 33,
            (Live::Coloured, Self::Failed) => 31,
            (Live::Coloured, Self::Skipped) => 90,
        };
        format!("\u{1b}[{code}m{word}\u{1b}[0m")
    }
}

impl Live {
    /// Returns the mode for stdout; `NO_COLOR` is that of no-color.org.
    pub(super) fn on_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stdout().is_terminal() && !refused { Self::Coloured } else { Self::Plain }
    }
}

impl StepName {
    const fn words(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Rules => "rules",
            Self::Credentials => "credentials",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::Mechanism => "mechanism",
            Self::Token => "token",
            Self::Login => "login",
            Self::Advertised => "advertised",
            Self::Topic => "topic",
            Self::Group => "group",
            Self::Endpoint => "endpoint",
            Self::Clock => "clock",
            Self::Identity => "identity",
            Self::Role => "role",
            Self::Call => "call",
            Self::Leases => "leases",
            Self::Value => "value",
            Self::Health => "health",
            Self::MetricSpec => "metric spec",
            Self::Metrics => "metrics",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(finding: Finding) -> Step {
        Step::new(StepName::Connect, "b1:9092", finding, Duration::from_millis(12))
    }

    #[test]
    fn a_step_is_a_line_and_its_remedy_is_indented() {
        let failed = step(Finding::failed("connection refused", "start it\nor do not"));
        let expected =
            "  failed   connect b1:9092: connection refused (12 ms)\n             start it\n             or do not\n";
        assert_eq!(failed.line(Live::Plain), expected);
        assert_eq!(step(Finding::skipped("no address")).line(Live::Plain), "  skipped  connect b1:9092: no address\n");
    }

    #[test]
    fn colour_is_only_where_it_is_wanted() {
        let ok = step(Finding::ok("fine"));
        assert!(ok.line(Live::Coloured).contains("\u{1b}[32mok"));
        assert!(!ok.line(Live::Plain).contains('\u{1b}'));
    }

    #[test]
    fn a_failure_with_a_way_around_it_is_a_warning() {
        let mut failed = step(Finding::failed("refused", "start it"));
        failed.excuse("another broker answers");
        assert_eq!((failed.status, &*failed.seen), (Status::Warning, "refused; another broker answers"));
        let mut ok = step(Finding::ok("fine"));
        ok.excuse("another broker answers");
        assert_eq!((ok.status, &*ok.seen), (Status::Ok, "fine"));
    }
}
