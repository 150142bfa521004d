//! The writes to streams, read from `CloudWatch`.
//!
//! Calls `GetMetricData` (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>): at most 500 metrics
//! and 100,800 points per call, 50 calls per second; results are paged by token. AWS bills per metric, not per point.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode};
use aws_smithy_types::DateTime;

use super::budget::Scope;
use super::clients::{Aws, TurnWait};
use super::failure::{Failure, FailureKind};
use crate::lag::Minute;
use crate::lag::streams::Timestamp;
use crate::telemetry::UpstreamApi;
use crate::trigger::KinesisStream;

/// The shortest period of the metrics that are read.
pub const MINUTE: Duration = Duration::from_secs(60);
/// The number of metrics of one stream.
const METRICS: usize = WriteMetric::ALL.len();
/// AWS's limits per call.
const MOST_METRICS: usize = 500;
const MOST_POINTS: usize = 100_800;
/// A minute is read after it ended this long ago.
const SETTLED: Duration = Duration::from_secs(60);
/// The number of minutes that are searched for the latest reader: `CloudWatch` may be this late.
const READERS_MINUTES: usize = 5;
/// The maximum number of pages of one result; more are an error.
const MOST_PAGES: usize = 20;
const NAMESPACE: &str = "AWS/Kinesis";

/// The points of one stream, one per minute or longer period.
pub type Points = Result<Vec<Option<Minute>>, Failure>;

/// The number of points and the time at which the last one ends.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The end of the newest point.
    pub end: Timestamp,
    /// The number of points.
    pub points: usize,
    /// The length of a point.
    pub period: Duration,
}

/// A metric of a stream's writes.
#[derive(Clone, Copy, Debug)]
enum WriteMetric {
    Bytes,
    Records,
    Throttled,
}

/// Returns the age of the latest reader of a stream within the last minutes, from `GetRecords.IteratorAgeMilliseconds`; `None` where
/// `GetRecords` was not called.
///
/// # Errors
/// Fails when the call fails, or its answer cannot be used.
pub async fn readers_age(aws: &Aws, stream: &KinesisStream) -> Result<Option<Duration>, Failure> {
    const ID: &str = "age";
    let span = Span { end: last_minute(aws.now()), points: READERS_MINUTES, period: MINUTE };
    let query = query(ID, stream, "GetRecords.IteratorAgeMilliseconds", "Maximum", MINUTE);
    let result = results(aws, &[query], span).await?.remove(ID).ok_or_else(|| unexpected("no age of the readers"))?;
    let result = complete(result)?;
    let ages = pairs(&result).map(|(_, age)| age).filter(|age| age.is_finite());
    Ok(ages.reduce(f64::max).map(|age| Duration::try_from_secs_f64(age.max(0.0) / 1000.0).unwrap_or(Duration::MAX)))
}

/// Returns the end of the last minute that is complete in `CloudWatch`.
pub fn last_minute(now: Timestamp) -> Timestamp {
    whole(now.minus(SETTLED), MINUTE)
}

/// Returns the last multiple of `period` at or before `time`.
pub fn whole(time: Timestamp, period: Duration) -> Timestamp {
    let time = time.unix_ms();
    Timestamp::from_unix_ms(time - time % milliseconds(period))
}

/// Returns one point per period for each stream, `None` where `CloudWatch` has no metric; an error per stream where it is unreadable.
///
/// # Errors
/// Fails when the call fails, or its answer cannot be used.
pub async fn points(aws: &Aws, streams: &[KinesisStream], span: Span) -> Result<Vec<Points>, Failure> {
    let queries = streams.iter().enumerate().flat_map(|(index, stream)| {
        WriteMetric::ALL.map(|counted| query(&counted.id(index), stream, counted.metric(), "Sum", span.period))
    });
    let mut results = results(aws, &queries.collect::<Vec<_>>(), span).await?;
    let mut of_stream = |index| -> Points {
        let mut points = vec![None; span.points];
        for counted in WriteMetric::ALL {
            let id = counted.id(index);
            let result = results.remove(&id).ok_or_else(|| unexpected(&format!("no metric {id}")))?;
            counted.add(&mut points, &complete(result)?, span)?;
        }
        Ok(points)
    };
    Ok((0..streams.len()).map(&mut of_stream).collect())
}

/// Calls `GetMetricData` until the last page, at most `MOST_PAGES`, and joins the pages by metric.
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
            return Ok(joined);
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

/// Returns an error unless the result is complete: missing points must not look like few writes.
fn complete(result: MetricDataResult) -> Result<MetricDataResult, Failure> {
    let kind = match result.status_code {
        Some(StatusCode::Complete) => return Ok(result),
        Some(StatusCode::Forbidden) => FailureKind::Denied,
        _ => FailureKind::Other,
    };
    let message = result.messages.iter().flatten().find_map(|message| message.value.as_deref());
    let status = result.status_code.as_ref().map_or("no status", StatusCode::as_str);
    Err(Failure::new(kind, format!("{status}: {}", message.unwrap_or("not all points were returned"))))
}

/// Builds the query of one metric. It names the stream's account: a stream of another account has no points here, which would otherwise
/// look like no writes instead of an error.
fn query(id: &str, stream: &KinesisStream, metric: &str, stat: &str, period: Duration) -> MetricDataQuery {
    let account = stream.arn().and_then(|arn| arn.split(':').nth(4));
    let dimension = Dimension::builder().name("StreamName").value(stream.name()).build();
    let metric = Metric::builder().namespace(NAMESPACE).metric_name(metric).dimensions(dimension).build();
    let period = i32::try_from(period.as_secs()).unwrap_or(i32::MAX);
    let stat = MetricStat::builder().metric(metric).period(period).stat(stat).build();
    MetricDataQuery::builder().id(id).set_account_id(account.map(ToOwned::to_owned)).metric_stat(stat).build()
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
    /// Returns the number of streams whose points one call returns on one page.
    pub(crate) fn streams_per_call(self) -> usize {
        (MOST_METRICS / METRICS).min(MOST_POINTS / (METRICS * self.points.max(1))).max(1)
    }

    /// The beginning of the oldest point.
    pub fn start(&self) -> Timestamp {
        self.end.minus(self.period * u32::try_from(self.points).unwrap_or(u32::MAX))
    }

    /// Returns the index of the point that begins at this time.
    fn index(&self, begins_ms: u64) -> Option<usize> {
        let since = begins_ms.checked_sub(self.start().unix_ms())?;
        usize::try_from(since / milliseconds(self.period)).ok()
    }
}

impl WriteMetric {
    const ALL: [Self; 3] = [Self::Bytes, Self::Records, Self::Throttled];

    /// Returns the query id of this metric for the stream with this index in a call.
    fn id(self, stream: usize) -> String {
        let letter = match self {
            Self::Bytes => 'b',
            Self::Records => 'r',
            Self::Throttled => 't',
        };
        format!("{letter}{stream}")
    }

    const fn metric(self) -> &'static str {
        match self {
            Self::Bytes => "IncomingBytes",
            Self::Records => "IncomingRecords",
            Self::Throttled => "WriteProvisionedThroughputExceeded",
        }
    }

    /// Adds the values of this metric to the points of a stream, per minute.
    fn add(self, points: &mut [Option<Minute>], result: &MetricDataResult, span: Span) -> Result<(), Failure> {
        for (at, value) in pairs(result) {
            let at = at.to_millis().ok().and_then(|at| u64::try_from(at).ok());
            let index = at.and_then(|at| span.index(at));
            let point = index.and_then(|index| points.get_mut(index));
            let point = point.ok_or_else(|| unexpected("a point outside of the requested time"))?;
            if !(value.is_finite() && value >= 0.0) {
                return Err(unexpected(&format!("a count of {value}")));
            }
            self.set(point.get_or_insert_default(), value * MINUTE.as_secs_f64() / span.period.as_secs_f64());
        }
        Ok(())
    }

    const fn set(self, minute: &mut Minute, value: f64) {
        match self {
            Self::Bytes => minute.bytes = value,
            Self::Records => minute.records = value,
            Self::Throttled => minute.throttled = value,
        }
    }
}
