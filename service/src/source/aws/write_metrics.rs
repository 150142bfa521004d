//! The writes to the streams of an account: the minutes with each reading, and the two days before them once per hour.
//!
//! One read covers all streams that are due. `CloudWatch` bills each metric of each call, whatever its points: a day of minutes and hours
//! of one stream is 4,392 metrics.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;

use super::cloudwatch::{MINUTE, Points, Span, last_minute, whole};
use super::failure::{Failure, FailureKind};
use super::service::Service;
use crate::lag::streams::Timestamp;
use crate::lag::{COARSE, LONG, Minute, Writes};
use crate::source::shared::Registry;
use crate::trigger::KinesisStream;

/// The minutes begin at a full hour; the history before them is read again when the next hour has begun.
const HOUR: Duration = Duration::from_secs(3600);
/// The minimum span that is read by the minute; together with the current hour, calls fit as many streams as the metric limit allows.
const BY_THE_MINUTE: Duration = Duration::from_secs(2 * 3600);
/// How late `CloudWatch` may be with a minute.
const LATE: Duration = Duration::from_secs(5 * 60);

/// The writes to the streams of one account.
pub(crate) struct WriteMetrics<S> {
    service: Arc<S>,
    histories: Registry<KinesisStream, Mutex<Option<History>>>,
}

/// The points of the time before the minutes that are read.
#[derive(Clone)]
struct History {
    end: Timestamp,
    points: Vec<Option<Minute>>,
}

impl<S: Service> WriteMetrics<S> {
    pub(crate) fn new(service: Arc<S>) -> Self {
        Self { service, histories: Registry::default() }
    }

    /// Returns the writes to each of the streams up to a minute ago, in the order of `streams`.
    pub(crate) async fn read(&self, streams: &[KinesisStream]) -> Vec<Result<Writes, Failure>> {
        let until = last_minute(self.service.now());
        let begin = whole(until.minus(BY_THE_MINUTE), HOUR);
        let fine = Span { end: until, points: periods(until.since(begin), MINUTE), period: MINUTE };
        let (minutes, histories) = tokio::join!(self.points(streams, fine), self.histories(streams, begin));
        let writes = |(minutes, before): (Points, Points)| {
            Ok(Writes { until, minutes: minutes?, before: before? }.without_late_minutes(LATE))
        };
        minutes.into_iter().zip(histories).map(writes).collect()
    }

    /// Returns the points of the last `minutes` of a stream, the newest last.
    pub(crate) async fn history(&self, stream: &KinesisStream, minutes: usize) -> Points {
        let span = Span { end: last_minute(self.service.now()), points: minutes, period: MINUTE };
        let mut points = self.points(std::slice::from_ref(stream), span).await;
        points.pop().unwrap_or_else(|| Err(Failure::new(FailureKind::Other, "no points")))
    }

    /// Returns the points of the two days before `end`; only those that are not known yet are read.
    async fn histories(&self, streams: &[KinesisStream], end: Timestamp) -> Vec<Points> {
        let known = streams.iter().map(|stream| {
            let known = self.histories.get_or_insert(stream, Mutex::default);
            let is_due = known.lock().as_ref().is_none_or(|history| history.end != end);
            (stream, known, is_due)
        });
        let known: Vec<_> = known.collect();
        let due: Vec<_> = known.iter().filter(|(.., is_due)| *is_due).map(|(stream, ..)| (*stream).clone()).collect();
        let span = Span { end, points: LONG, period: MINUTE * COARSE };
        let mut read = self.points(&due, span).await.into_iter();
        let history = |(_, known, is_due): (_, Arc<Mutex<Option<History>>>, bool)| {
            let mut known = known.lock();
            if is_due && let Some(points) = read.next() {
                *known = Some(History { end, points: points? });
            }
            let history = known.as_ref().ok_or_else(|| Failure::new(FailureKind::Other, "no points"))?;
            Ok(history.points.clone())
        };
        known.into_iter().map(history).collect()
    }

    /// Returns the points of each stream, with as few calls as possible.
    async fn points(&self, streams: &[KinesisStream], span: Span) -> Vec<Points> {
        let chunks = streams.chunks(span.streams_per_call());
        let read = chunks.map(async |streams| match self.service.points(streams, span).await {
            Ok(points) => points,
            Err(failure) => streams.iter().map(|_| Err(failure.clone())).collect(),
        });
        join_all(read).await.into_iter().flatten().collect()
    }
}

fn periods(time: Duration, period: Duration) -> usize {
    usize::try_from(time.as_secs() / period.as_secs()).unwrap_or(usize::MAX)
}
