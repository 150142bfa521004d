//! Our own `OpenMetrics` text as OTLP's metrics.
//!
//! The SDK's instruments would do for what only grows, but they go on telling the last value of a series that is gone: of a target
//! that nobody asks about, a number that nobody has read. What is sent is what a scrape would see, and no more.

use std::iter::Peekable;
use std::str::Lines;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
};

/// The text is not of the kind that is written here: the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not understand a line of the metrics: {0}")]
pub(super) struct NotUnderstood(String);

/// When counting began, and now: nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) begun: u64,
    pub(super) now: u64,
}

/// One line: a number with its labels.
#[derive(Debug, PartialEq)]
struct Sample<'a> {
    suffix: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

/// A text value under a name.
pub(super) fn attribute(key: &str, value: impl Into<String>) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Every family of the text that has series.
///
/// # Errors
/// When a line cannot be read.
pub(super) fn metrics(text: &str, window: Window) -> Result<Vec<Metric>, NotUnderstood> {
    let mut lines = text.lines().peekable();
    let (mut all, mut help, mut unit) = (Vec::new(), "", "");
    while let Some(line) = lines.next() {
        let misread = || NotUnderstood(line.to_owned());
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(misread)?;
            if let Some(rest) = lines.next_if(|line| line.starts_with("# UNIT ")) {
                unit = rest.rsplit(' ').next().unwrap_or_default();
            }
            let samples = samples(&mut lines, name)?;
            let is_empty = samples.is_empty();
            let data = data(kind, samples, window).ok_or_else(misread)?;
            let (description, unit) = (std::mem::take(&mut help).to_owned(), std::mem::take(&mut unit).to_owned());
            if !is_empty {
                let name = name.to_owned();
                all.push(Metric { name, description, unit, data: Some(data), ..Metric::default() });
            }
        } else if line != "# EOF" {
            return Err(misread());
        }
    }
    Ok(all)
}

fn samples<'a>(lines: &mut Peekable<Lines<'a>>, name: &str) -> Result<Vec<Sample<'a>>, NotUnderstood> {
    let mut samples = Vec::new();
    while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
        let sample = line.strip_prefix(name).and_then(sample);
        samples.push(sample.ok_or_else(|| NotUnderstood(line.to_owned()))?);
    }
    Ok(samples)
}

/// What is behind the name of a family: `_total{api="x"} 5`.
fn sample(text: &str) -> Option<Sample<'_>> {
    let (suffix, rest) = text.split_at(text.find(['{', ' '])?);
    let mut labels = Vec::new();
    let mut rest = rest;
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, behind) = rest.split_once("=\"")?;
            let (value, behind) = quoted(behind)?;
            labels.push((key, value));
            rest = behind.strip_prefix(',').unwrap_or(behind);
        }
        rest = rest.strip_prefix('}')?;
    }
    Some(Sample { suffix, labels, value: rest.trim().parse().ok()? })
}

/// A label's value up to its closing quote, and what is behind that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match signs.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

/// The numbers of a family of a known kind.
fn data(kind: &str, samples: Vec<Sample<'_>>, window: Window) -> Option<Data> {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    Some(match kind {
        "counter" => {
            let data_points = points(samples, window.begun, window);
            Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true })
        }
        "gauge" | "info" => Data::Gauge(Gauge { data_points: points(samples, 0, window) }),
        "histogram" => {
            Data::Histogram(Histogram { data_points: histograms(samples, window)?, aggregation_temporality })
        }
        _ => return None,
    })
}

/// A gauge has no beginning: OTLP's 0.
fn points(samples: Vec<Sample<'_>>, begun: u64, window: Window) -> Vec<NumberDataPoint> {
    let point = |sample: Sample<'_>| NumberDataPoint {
        attributes: attributes(sample.labels),
        start_time_unix_nano: begun,
        time_unix_nano: window.now,
        value: Some(Number::AsDouble(sample.value)),
        ..NumberDataPoint::default()
    };
    samples.into_iter().map(point).collect()
}

fn attributes(labels: Vec<(&str, String)>) -> Vec<KeyValue> {
    labels.into_iter().map(|(key, value)| attribute(key, value)).collect()
}

/// Buckets count all that is below their bound in the text, and what is between two bounds in OTLP.
fn histograms(samples: Vec<Sample<'_>>, window: Window) -> Option<Vec<HistogramDataPoint>> {
    let mut points: Vec<(Vec<(&str, String)>, HistogramDataPoint)> = Vec::new();
    for Sample { suffix, mut labels, value } in samples {
        let bound = labels.iter().position(|(key, _)| *key == "le").map(|at| labels.remove(at).1);
        if points.last().is_none_or(|(known, _)| *known != labels) {
            points.push((
                labels,
                HistogramDataPoint {
                    start_time_unix_nano: window.begun,
                    time_unix_nano: window.now,
                    ..HistogramDataPoint::default()
                },
            ));
        }
        let (_, point) = points.last_mut()?;
        match (suffix, bound) {
            ("_sum", None) => point.sum = Some(value),
            ("_count", None) => point.count = whole(value)?,
            ("_bucket", Some(bound)) => {
                let below: u64 = point.bucket_counts.iter().sum();
                point.bucket_counts.push(whole(value)?.checked_sub(below)?);
                let bound: f64 = bound.parse().ok()?;
                // the last has no bound
                point.explicit_bounds.extend(bound.is_finite().then_some(bound));
            }
            _ => return None,
        }
    }
    let with_attributes = |(labels, point)| HistogramDataPoint { attributes: attributes(labels), ..point };
    Some(points.into_iter().map(with_attributes).collect())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
fn whole(value: f64) -> Option<u64> {
    (value >= 0.0 && value.fract() == 0.0 && value < 2_f64.powi(63)).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { begun: 10, now: 70 };

    fn read(text: &str) -> Vec<Metric> {
        metrics(text, WINDOW).unwrap()
    }

    fn labels(attributes: &[KeyValue]) -> Vec<(&str, &str)> {
        let text = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(text)) => text.clone().leak(),
            other => panic!("{other:?}"),
        };
        attributes.iter().map(|attribute| (&*attribute.key, &*text(attribute))).collect()
    }

    #[test]
    fn a_counter_is_a_sum_that_only_grows_since_the_start() {
        let metrics = read("# HELP calls Calls made.\n# TYPE calls counter\ncalls_total{a=\"x\",b=\"y\"} 3\n# EOF\n");
        let Some(Data::Sum(sum)) = &metrics[0].data else { panic!("{metrics:?}") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == i32::from(AggregationTemporality::Cumulative));
        let point = &sum.data_points[0];
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (10, 70));
        assert_eq!(
            (labels(&point.attributes), point.value),
            (vec![("a", "x"), ("b", "y")], Some(Number::AsDouble(3.0)))
        );
        assert_eq!((&*metrics[0].name, &*metrics[0].description), ("calls", "Calls made."));
    }

    #[test]
    fn gauges_and_information_are_gauges_with_their_unit() {
        let text = "# HELP age_seconds Age.\n# TYPE age_seconds gauge\n# UNIT age_seconds seconds\nage_seconds 2.5\n\
                    # HELP build Version.\n# TYPE build info\nbuild_info{v=\"1\"} 1\n# EOF\n";
        let metrics = read(text);
        let Some(Data::Gauge(age)) = &metrics[0].data else { panic!("{metrics:?}") };
        assert_eq!((age.data_points[0].value, &*metrics[0].unit), (Some(Number::AsDouble(2.5)), "seconds"));
        let Some(Data::Gauge(build)) = &metrics[1].data else { panic!("{metrics:?}") };
        assert_eq!((labels(&build.data_points[0].attributes), &*metrics[1].unit), (vec![("v", "1")], ""));
    }

    #[test]
    fn a_histogram_tells_what_is_between_its_bounds() {
        let series = |api: &str| {
            format!(
                "t_seconds_sum{{api=\"{api}\"}} 1.5\nt_seconds_count{{api=\"{api}\"}} 6\n\
                 t_seconds_bucket{{le=\"0.1\",api=\"{api}\"}} 1\nt_seconds_bucket{{le=\"1.0\",api=\"{api}\"}} 4\n\
                 t_seconds_bucket{{le=\"+Inf\",api=\"{api}\"}} 6\n"
            )
        };
        let text = format!("# HELP t_seconds Time.\n# TYPE t_seconds histogram\n{}{}# EOF\n", series("x"), series("y"));
        let metrics = read(&text);
        let Some(Data::Histogram(histogram)) = &metrics[0].data else { panic!("{metrics:?}") };
        assert_eq!(histogram.data_points.len(), 2);
        for (point, api) in histogram.data_points.iter().zip(["x", "y"]) {
            assert_eq!((point.count, point.sum), (6, Some(1.5)));
            assert_eq!((&*point.bucket_counts, &*point.explicit_bounds), (&[1, 3, 2][..], &[0.1, 1.0][..]));
            assert_eq!(labels(&point.attributes), [("api", api)]);
        }
    }

    #[test]
    fn a_labels_value_may_hold_every_sign() {
        let text = "# HELP g G.\n# TYPE g gauge\ng{name=\"a\\\"b\\\\c\\nd,e}f=\\\"\",other=\"\"} 1\n# EOF\n";
        let metrics = read(text);
        let Some(Data::Gauge(gauge)) = &metrics[0].data else { panic!("{metrics:?}") };
        assert_eq!(labels(&gauge.data_points[0].attributes), [("name", "a\"b\\c\nd,e}f=\""), ("other", "")]);
    }

    #[test]
    fn a_family_without_series_is_left_out_and_what_is_no_metric_is_an_error() {
        assert_eq!(read("# HELP g G.\n# TYPE g gauge\n# EOF\n"), []);
        for line in ["g", "g{", "g{a=\"b} 1", "g{a} 1", "g x", "h 1"] {
            let text = format!("# HELP g G.\n# TYPE g gauge\n{line}\n# EOF\n");
            assert_eq!(metrics(&text, WINDOW), Err(NotUnderstood(line.into())), "{line}");
        }
        for line in ["# TYPE g", "# TYPE g summary"] {
            assert_eq!(metrics(&format!("{line}\n"), WINDOW), Err(NotUnderstood(line.into())));
        }
    }
}
