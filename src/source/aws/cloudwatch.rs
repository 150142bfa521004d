//! What is written to streams, from `CloudWatch`.
//!
//! `GetMetricData` (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>): at most 500 metrics and 100,800
//! points per call, 50 calls per second; answers come in pages. It is billed by the metric, not by the point.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode};
use aws_smithy_types::DateTime;

use super::budget::Scope;
use super::clients::{Aws, TurnWait};
use super::failure::{Failure, FailureKind};
use crate::lag::streams::Timestamp;
use crate::lag::{COARSE, FINE, LONG, Minute, Writes};
use crate::telemetry::UpstreamApi;

const MINUTE: Duration = Duration::from_secs(60);
/// A minute is read when it ended this long ago.
const SETTLED: Duration = Duration::from_secs(60);
/// `CloudWatch` may be this late with a minute.
const LATE: Duration = Duration::from_secs(5 * 60);
/// A reading has some pages; more are no answer.
const MOST_PAGES: usize = 20;
const NAMESPACE: &str = "AWS/Kinesis";

/// A number of points, the last of which ends at `end`.
#[derive(Clone, Copy, Debug)]
struct Span {
    end: Timestamp,
    points: usize,
    period: Duration,
}

/// What is counted of a stream; each is a metric of its own.
#[derive(Clone, Copy, Debug)]
enum Counted {
    Bytes,
    Records,
    Throttled,
}

/// The writes to a stream up to a minute ago.
pub(crate) async fn writes(aws: &Aws, stream: &str) -> Result<Writes, Failure> {
    let end = last_minute(aws);
    let fine = Span { end, points: FINE, period: MINUTE };
    let minutes = points(aws, stream, fine).await?;
    let coarse = MINUTE * u32::try_from(COARSE).unwrap_or(u32::MAX);
    let before = Span { end: fine.start(), points: LONG, period: coarse };
    let before = points(aws, stream, before).await?;
    Ok(Writes { until: end, minutes, before }.without_late_minutes(LATE))
}

/// The last `minutes` of a stream, the newest last.
pub(crate) async fn history(aws: &Aws, stream: &str, minutes: usize) -> Result<Vec<Option<Minute>>, Failure> {
    points(aws, stream, Span { end: last_minute(aws), points: minutes, period: MINUTE }).await
}

/// The age of the latest reader of a stream within the last minutes, by `GetRecords.IteratorAgeMilliseconds`; `None` where `GetRecords` was not
/// called.
pub(crate) async fn readers_age(aws: &Aws, stream: &str) -> Result<Option<Duration>, Failure> {
    let minutes = u32::try_from(LATE.as_secs() / MINUTE.as_secs()).unwrap_or(1);
    let span = Span { end: last_minute(aws), points: usize::try_from(minutes).unwrap_or(1), period: MINUTE };
    let query = query("age", stream, "GetRecords.IteratorAgeMilliseconds", "Maximum", MINUTE);
    let results = results(aws, &[query], span).await?;
    let ages = results.values().flat_map(pairs).map(|(_, age)| age).filter(|age| age.is_finite());
    Ok(ages.reduce(f64::max).map(|age| Duration::try_from_secs_f64(age.max(0.0) / 1000.0).unwrap_or(Duration::MAX)))
}

/// The end of the last minute that is settled.
fn last_minute(aws: &Aws) -> Timestamp {
    let settled = aws.now().minus(SETTLED).unix_ms();
    Timestamp::from_unix_ms(settled - settled % milliseconds(MINUTE))
}

/// One point per period: `None` where `CloudWatch` has none of any metric.
async fn points(aws: &Aws, stream: &str, span: Span) -> Result<Vec<Option<Minute>>, Failure> {
    let mut points = vec![None; span.points];
    let queries = Counted::ALL.map(|counted| query(counted.id(), stream, counted.metric(), "Sum", span.period));
    for (id, result) in results(aws, &queries, span).await? {
        let counted = Counted::of(&id).ok_or_else(|| unexpected(&format!("a metric {id} that was not requested")))?;
        for (at, value) in pairs(&result) {
            let at = at.to_millis().ok().and_then(|at| u64::try_from(at).ok());
            let index = at.and_then(|at| span.index(at));
            let point = index.and_then(|index| points.get_mut(index));
            let point = point.ok_or_else(|| unexpected("a point outside of the requested time"))?;
            if !(value.is_finite() && value >= 0.0) {
                return Err(unexpected(&format!("a count of {value}")));
            }
            let minute = point.get_or_insert(Minute::default());
            counted.set(minute, value * MINUTE.as_secs_f64() / span.period.as_secs_f64());
        }
    }
    Ok(points)
}

/// All pages, joined by metric.
async fn results(
    aws: &Aws,
    queries: &[MetricDataQuery],
    span: Span,
) -> Result<HashMap<String, MetricDataResult>, Failure> {
    let mut joined: HashMap<String, MetricDataResult> = HashMap::new();
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let scope = Scope::account(UpstreamApi::CloudWatchGetMetricData);
        let page = aws
            .call(TurnWait::Reading, scope, |clients| {
                let request = clients.cloudwatch.get_metric_data().scan_by(ScanBy::TimestampAscending);
                let request = request.start_time(date(span.start())).end_time(date(span.end));
                request.set_metric_data_queries(Some(queries.to_vec())).set_next_token(token.take()).send()
            })
            .await?;
        for result in page.metric_data_results.unwrap_or_default() {
            join(&mut joined, result)?;
        }
        token = page.next_token;
        if token.is_none() {
            return complete(joined, queries.len());
        }
    }
    Err(unexpected(&format!("more than {MOST_PAGES} pages")))
}

fn join(joined: &mut HashMap<String, MetricDataResult>, result: MetricDataResult) -> Result<(), Failure> {
    let id = result.id.clone().ok_or_else(|| unexpected("a result without an id"))?;
    match joined.get_mut(&id) {
        None => {
            joined.insert(id, result);
        }
        Some(known) => {
            known.timestamps.get_or_insert_default().extend(result.timestamps.unwrap_or_default());
            known.values.get_or_insert_default().extend(result.values.unwrap_or_default());
            known.status_code = result.status_code;
        }
    }
    Ok(())
}

/// Anything but complete results is an error: few points must not look like few writes.
fn complete(
    joined: HashMap<String, MetricDataResult>,
    metrics: usize,
) -> Result<HashMap<String, MetricDataResult>, Failure> {
    if joined.len() != metrics {
        return Err(unexpected(&format!("{} of {metrics} metrics", joined.len())));
    }
    for result in joined.values() {
        let kind = match result.status_code {
            Some(StatusCode::Complete) => continue,
            Some(StatusCode::Forbidden) => FailureKind::Denied,
            _ => FailureKind::Other,
        };
        let message = result.messages.iter().flatten().find_map(|message| message.value.as_deref());
        let status = result.status_code.as_ref().map_or("no status", StatusCode::as_str);
        return Err(Failure::new(kind, format!("{status}: {}", message.unwrap_or("not all points were returned"))));
    }
    Ok(joined)
}

fn query(id: &str, stream: &str, metric: &str, stat: &str, period: Duration) -> MetricDataQuery {
    let dimension = Dimension::builder().name("StreamName").value(stream).build();
    let metric = Metric::builder().namespace(NAMESPACE).metric_name(metric).dimensions(dimension).build();
    let period = i32::try_from(period.as_secs()).unwrap_or(i32::MAX);
    let stat = MetricStat::builder().metric(metric).period(period).stat(stat).build();
    MetricDataQuery::builder().id(id).metric_stat(stat).build()
}

fn pairs(result: &MetricDataResult) -> impl Iterator<Item = (&DateTime, f64)> {
    result.timestamps.iter().flatten().zip(result.values.iter().flatten().copied())
}

fn unexpected(what: &str) -> Failure {
    Failure::new(FailureKind::Other, format!("CloudWatch returned {what}"))
}

fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(i64::try_from(time.unix_ms()).unwrap_or(i64::MAX))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Span {
    fn start(&self) -> Timestamp {
        self.end.minus(self.period * u32::try_from(self.points).unwrap_or(u32::MAX))
    }

    /// Where the point that begins then belongs.
    fn index(&self, begins_ms: u64) -> Option<usize> {
        let since = begins_ms.checked_sub(self.start().unix_ms())?;
        usize::try_from(since / milliseconds(self.period)).ok()
    }
}

impl Counted {
    const ALL: [Self; 3] = [Self::Bytes, Self::Records, Self::Throttled];

    const fn id(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Records => "records",
            Self::Throttled => "throttled",
        }
    }

    const fn metric(self) -> &'static str {
        match self {
            Self::Bytes => "IncomingBytes",
            Self::Records => "IncomingRecords",
            Self::Throttled => "WriteProvisionedThroughputExceeded",
        }
    }

    fn of(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|counted| counted.id() == id)
    }

    const fn set(self, minute: &mut Minute, value: f64) {
        match self {
            Self::Bytes => minute.bytes = value,
            Self::Records => minute.records = value,
            Self::Throttled => minute.throttled = value,
        }
    }
}
