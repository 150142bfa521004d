//! Serves the catch-up policy over JSON lines, so that any simulator can query it.
//!
//! Each line has one object and gets one answer. Times are whole or fractional seconds from any origin.
//!
//! ```text
//! {"op":"reset","kind":"offsets","hpa_window":300,"hpa_tol":0.1}      {"ok":true}
//! {"op":"sample","t":10,"owner":[0,-1],"end":[5,5],"committed":[5,2]}  {"ok":true}
//! {"op":"metric","t":12}                                               {"value":2.0} or {"error":"…"}
//! {"op":"active","t":12}                                               {"active":true} or {"error":"…"}
//! ```
//! A sample of kind `ages` has `age` in place of `end` and `committed`, in seconds; one of kind `throughput` has `age` and `kbps`. An
//! invalid request gets an error and changes nothing. An owner is a number for the consumer of each partition, below 0 for none.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::lag::flow::{
    AgeFlow, AgeReading, Arrivals, Flow, OffsetFlow, OffsetReading, OffsetRow, Owners, Split, ThroughputFlow,
    ThroughputReading, ThroughputRow,
};
use crate::lag::{Moment, PartitionId};
use crate::scaling::Decision;
use crate::scaling::catch_up::{Memory, Unknown, advance};
use crate::trigger::{CatchUpPolicy, Decimal};

/// The maximum age of a sample.
const STALE: Duration = Duration::from_secs(90);

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", tag = "op")]
enum Request {
    Reset { kind: Kind, hpa_window: Option<f64>, hpa_tol: Option<f64>, objective: Option<f64> },
    Sample(Sample),
    Metric { t: f64 },
    Active { t: f64 },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Offsets,
    Ages,
    Throughput,
}

#[derive(Deserialize)]
struct Sample {
    t: f64,
    owner: Vec<i64>,
    #[serde(default)]
    end: Vec<f64>,
    #[serde(default)]
    committed: Vec<f64>,
    #[serde(default)]
    age: Vec<f64>,
    #[serde(default)]
    kbps: Vec<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(bool),
    Value(f64),
    Active(bool),
    Error(String),
}

struct Session {
    kind: Kind,
    policy: CatchUpPolicy,
    memory: Memory,
    flow: Option<(Moment, Flow)>,
    decision: Option<Result<Decision, Unknown>>,
}

/// Answers every line of `input` until the input ends.
pub(super) fn run(input: impl BufRead, mut output: impl Write) -> anyhow::Result<()> {
    let mut session = None;
    for line in input.lines() {
        let line = line.context("reading a request")?;
        let answer = answer(&mut session, &line).unwrap_or_else(|error| Answer::Error(format!("{error:#}")));
        serde_json::to_writer(&mut output, &answer)?;
        writeln!(output)?;
        output.flush()?;
    }
    Ok(())
}

fn answer(session: &mut Option<Session>, line: &str) -> anyhow::Result<Answer> {
    let request = serde_json::from_str(line).context("not a request")?;
    if let Request::Reset { kind, hpa_window, hpa_tol, objective } = request {
        *session = Some(Session::new(kind, hpa_window, hpa_tol, objective)?);
        return Ok(Answer::Ok(true));
    }
    let Some(session) = session else { bail!("the first request must be a reset") };
    match request {
        Request::Reset { .. } => {}
        Request::Sample(sample) => session.sample(sample)?,
        Request::Metric { t } => {
            let value = session.fresh(t)?.map(|decision| decision.value.get());
            return Ok(value.map_or_else(stale, Answer::Value));
        }
        Request::Active { t } => {
            let active = session.fresh(t)?.map(|decision| decision.active);
            return Ok(active.map_or_else(stale, Answer::Active));
        }
    }
    Ok(Answer::Ok(true))
}

fn stale() -> Answer {
    Answer::Error("no fresh sample".to_owned())
}

impl Session {
    fn new(kind: Kind, hpa_window: Option<f64>, hpa_tol: Option<f64>, objective: Option<f64>) -> anyhow::Result<Self> {
        let mut policy = CatchUpPolicy::default();
        if let Some(objective) = objective {
            policy.max_age = Duration::try_from_secs_f64(objective).context("objective")?;
        }
        if let Some(window) = hpa_window {
            policy.stabilization_window = Duration::try_from_secs_f64(window).context("hpa_window")?;
        }
        if let Some(tolerance) = hpa_tol {
            policy.scale_up_tolerance = Decimal::nearest(tolerance).context("hpa_tol")?;
        }
        Ok(Self { kind, policy, memory: Memory::default(), flow: None, decision: None })
    }

    fn sample(&mut self, sample: Sample) -> anyhow::Result<()> {
        let now = moment(sample.t)?;
        let past = self.flow.as_ref().map(|(_, flow)| flow);
        let flow = match (self.kind, past) {
            (Kind::Offsets, Some(Flow::Offsets(past))) => {
                Flow::Offsets(OffsetFlow::fold(Some(past), sample.offsets()?, now))
            }
            (Kind::Offsets, _) => Flow::Offsets(OffsetFlow::fold(None, sample.offsets()?, now)),
            (Kind::Ages, Some(Flow::Ages(past))) => Flow::Ages(AgeFlow::fold(Some(past), sample.ages()?, now)),
            (Kind::Ages, _) => Flow::Ages(AgeFlow::fold(None, sample.ages()?, now)),
            (Kind::Throughput, Some(Flow::Throughput(past))) => {
                Flow::Throughput(ThroughputFlow::fold(Some(past), sample.throughput()?, now))
            }
            (Kind::Throughput, _) => Flow::Throughput(ThroughputFlow::fold(None, sample.throughput()?, now)),
        };
        let (memory, decision) = advance(&self.policy, &self.memory, &flow);
        (self.memory, self.decision) = (memory, Some(decision));
        self.flow = Some((now, flow));
        Ok(())
    }

    fn fresh(&self, t: f64) -> anyhow::Result<Option<&Decision>> {
        let now = moment(t)?;
        let fresh = self.flow.as_ref().is_some_and(|(taken, _)| now.since(*taken) <= STALE);
        let Some(decision) = self.decision.as_ref().filter(|_| fresh) else { return Ok(None) };
        decision.as_ref().map(Some).map_err(|unknown| anyhow::Error::new(*unknown))
    }
}

fn moment(t: f64) -> anyhow::Result<Moment> {
    Ok(Moment::after_epoch(Duration::try_from_secs_f64(t).context("t")?))
}

impl Sample {
    fn offsets(self) -> anyhow::Result<OffsetReading> {
        let owners = self.owners();
        let pairs = columns("end", &self.end, "committed", &self.committed, &self.owner)?;
        let (splits, rows): (Vec<_>, _) = pairs
            .map(|(split, end, committed)| {
                let backlog = (end - committed).max(0.0);
                (split, OffsetRow { end, committed: Some(committed), backlog, arrivals: Arrivals::OfEnds })
            })
            .unzip();
        Ok(OffsetReading { splits: splits.into(), rows, owners })
    }

    fn ages(self) -> anyhow::Result<AgeReading> {
        let owners = self.owners();
        let pairs = columns("age", &self.age, "age", &self.age, &self.owner)?;
        Ok(AgeReading { rows: pairs.map(|(place, age, _)| (place, age)).collect(), owners })
    }

    fn throughput(self) -> anyhow::Result<ThroughputReading> {
        let owners = self.owners();
        let pairs = columns("age", &self.age, "kbps", &self.kbps, &self.owner)?;
        let rows = pairs.map(|(place, age, kilobytes_per_second)| ThroughputRow { place, age, kilobytes_per_second });
        Ok(ThroughputReading { rows: rows.collect(), owners })
    }

    fn owners(&self) -> Owners {
        Owners::new(self.owner.iter().map(|owner| (*owner >= 0).then(|| owner.to_string().into())))
    }
}

/// Combines two columns row by row, each row with its index.
fn columns<'a>(
    first: &str,
    firsts: &'a [f64],
    second: &str,
    seconds: &'a [f64],
    owners: &[i64],
) -> anyhow::Result<impl Iterator<Item = (Split, f64, f64)> + 'a> {
    for (name, column) in [(first, firsts), (second, seconds)] {
        ensure!(column.len() == owners.len(), "{name} has {} values, owner has {}", column.len(), owners.len());
        ensure!(column.iter().all(|value| value.is_finite()), "{name} has a value that is no number");
    }
    let topic: Arc<str> = "partition".into();
    let places = (0..).map(move |number| Split::Partition(topic.clone(), PartitionId(number)));
    Ok(places.zip(firsts).zip(seconds).map(|((place, first), second)| (place, *first, *second)))
}
