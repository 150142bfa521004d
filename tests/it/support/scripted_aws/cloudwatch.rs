//! `GetMetricData` of the metrics of Kinesis streams.

use serde_json::{Value, json};

use super::call::Call;
use super::errors::Refusal;
use super::{Answer, ScriptedAws, World};

/// What was written within the minute that begins then, if there is a point: bytes, records, and records that were rejected.
type Written = dyn Fn(u64) -> Option<[f64; 3]> + Send;

/// The metrics of a stream.
#[derive(Default)]
pub(super) struct Metrics {
    written: Option<Box<Written>>,
    readers_age_ms: Option<f64>,
    /// In place of `Complete`.
    status: Option<&'static str>,
}

impl ScriptedAws {
    /// From now on, minutes that begin at a time (ms since 1970) have these bytes, records and rejected records.
    pub fn written(&self, stream: &str, minute: impl Fn(u64) -> Option<[f64; 3]> + Send + 'static) {
        self.world().metrics.entry(stream.to_owned()).or_default().written = Some(Box::new(minute));
    }

    /// The latest reader of a stream is so late.
    pub fn readers_age(&self, stream: &str, milliseconds: f64) {
        self.world().metrics.entry(stream.to_owned()).or_default().readers_age_ms = Some(milliseconds);
    }

    /// Metrics of the stream end with this status.
    pub fn metric_status(&self, stream: &str, status: &'static str) {
        self.world().metrics.entry(stream.to_owned()).or_default().status = Some(status);
    }
}

impl World {
    pub(super) fn cloudwatch(&self, call: &Call) -> Answer {
        if call.operation != "GetMetricData" {
            return Err(Refusal::unknown_operation());
        }
        let seconds = |name: &str| call.input[name].as_f64().unwrap();
        let (start, end) = (seconds("StartTime"), seconds("EndTime"));
        let page = self.page_size(call, 100_800, "MaxDatapoints");
        let from: usize = call.text("NextToken").map_or(0, |token| token.parse().unwrap());
        let mut more = false;
        let queries = call.input["MetricDataQueries"].as_array().unwrap();
        let results = queries.iter().map(|query| {
            let points = self.points(query, start, end);
            more |= points.len() > from + page;
            let on_page: Vec<_> = points.iter().skip(from).take(page).collect();
            json!({
                "Id": query["Id"],
                "Label": query["Id"],
                "Timestamps": on_page.iter().map(|(at, _)| json!({"$time": at})).collect::<Vec<_>>(),
                "Values": on_page.iter().map(|(_, value)| value).collect::<Vec<_>>(),
                "StatusCode": self.metrics.get(&stream(query)).and_then(|metrics| metrics.status).unwrap_or("Complete"),
            })
        });
        let mut answer = json!({"MetricDataResults": results.collect::<Vec<_>>()});
        if more {
            answer["NextToken"] = (from + page).to_string().into();
        }
        Ok(answer)
    }

    /// The points that there are, by the second in which they begin.
    fn points(&self, query: &Value, start: f64, end: f64) -> Vec<(f64, f64)> {
        let (period, metric) = (query["MetricStat"]["Period"].as_f64().unwrap(), &query["MetricStat"]["Metric"]);
        let Some(metrics) = self.metrics.get(&stream(query)) else { return Vec::new() };
        let counted = ["IncomingBytes", "IncomingRecords", "WriteProvisionedThroughputExceeded"];
        let counted = counted.iter().position(|name| metric["MetricName"] == *name);
        let begins = std::iter::successors(Some(start), |at| Some(at + period)).take_while(|at| *at < end);
        let point = |at: f64| match (counted, &metrics.written) {
            (None, _) => metrics.readers_age_ms,
            (Some(index), Some(written)) => {
                let minutes =
                    std::iter::successors(Some(at), |at| Some(at + 60.0)).take_while(|one| *one < at + period);
                minutes.filter_map(|minute| Some(written(milliseconds(minute))?[index])).reduce(|sum, one| sum + one)
            }
            (Some(_), None) => None,
        };
        begins.filter_map(|at| Some((at, point(at)?))).collect()
    }
}

fn stream(query: &Value) -> String {
    query["MetricStat"]["Metric"]["Dimensions"][0]["Value"].as_str().unwrap_or_default().to_owned()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of this century")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}
