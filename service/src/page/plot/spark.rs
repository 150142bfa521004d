//! Small drawings inside a table.

use maud::{Markup, html};

use super::Measure;
use super::axis::{brief, highest};
use super::path::{HEIGHT, WIDTH, path, tenth};
use super::percent;

/// The maximum number of points of a small chart, without the additional newest point.
const POINTS: usize = 60;
/// A promise above this multiple of the peak is left out: the line would be flat.
const PROMISE_SHOWN: f64 = 3.0;

/// A small chart of one line, beside a row.
#[derive(Clone, Copy, Debug)]
pub struct Spark<'a> {
    /// The points, with positions between 0 and 1.
    pub points: &'a [(f64, f64)],
    /// How numbers are formatted.
    pub measure: Measure,
    /// The age that is promised, if one is.
    pub promise: Option<f64>,
    /// The start of the time without a reading, until now.
    pub gap_from: Option<f64>,
    /// What the chart shows, in words; the peak is added.
    pub label: &'a str,
}

impl Spark<'_> {
    /// Draws the chart with the end of its axis.
    #[must_use]
    pub fn drawing(&self) -> Markup {
        let points = thinned(self.points, POINTS);
        let peak = highest(points.iter());
        let promise = self.promise.filter(|promise| *promise <= PROMISE_SHOWN * peak);
        let top = peak.max(promise.unwrap_or(0.0)).max(f64::MIN_POSITIVE);
        let top_text = brief(if top > f64::MIN_POSITIVE { top } else { 0.0 }, self.measure);
        let label = format!("{}: at most {}", self.label, self.measure.text(peak));
        html! {
            div.spark {
                svg height="34" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
                    @if let Some(promise) = promise {
                        @let y = tenth(HEIGHT * (1.0 - promise / top));
                        line.promise x1="0" x2=(WIDTH) y1=(y) y2=(y) vector-effect="non-scaling-stroke" {}
                    }
                    @if let Some(from) = self.gap_from {
                        @let x = tenth(from.clamp(0.0, 1.0) * WIDTH);
                        rect.gap x=(x) width=(tenth(WIDTH - x)) y="0" height=(HEIGHT) {}
                    }
                    path.line.ours d=(path(&points, top, false)) {}
                }
                span.ys aria-hidden="true" { span { (top_text) } @if peak > 0.0 { span { "0" } } }
            }
        }
    }
}

/// Draws a number's share of the greatest in its column, as a bar beside it.
#[must_use]
pub fn meter(number: f64, greatest: f64, hot: bool) -> Markup {
    let share = if greatest > 0.0 { (number / greatest).clamp(0.0, 1.0) } else { 0.0 };
    let class = if hot { "hot" } else { "" };
    html! {
        svg.meter aria-hidden="true" { rect class=(class) width=(percent(share)) height="8" rx="2" {} }
    }
}

/// Returns the highest of each group of neighbours, and the newest point: neither a peak nor a gap at the end may be lost.
fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(most).max(1);
    let mut thin: Vec<_> = points
        .chunks(group)
        .filter_map(|group| {
            group.iter().copied().reduce(|one, other| if other.1 >= one.1 || one.1.is_nan() { other } else { one })
        })
        .collect();
    if let Some(newest) = points.last().filter(|newest| thin.last() != Some(newest)) {
        thin.push(*newest);
    }
    thin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_and_the_newest_number_outlast_the_thinning() {
        let points: Vec<_> = (0..180_u8).map(|at| (f64::from(at) / 179.0, if at == 77 { 9.0 } else { 1.0 })).collect();
        let thin = thinned(&points, POINTS);
        assert!(thin.len() <= POINTS + 1 && thin.contains(&points[77]) && thin.last() == points.last());
    }

    #[test]
    fn the_axis_ends_at_the_larger_of_peak_and_promise() {
        let drawn = |peak: f64, promise| {
            let points = [(0.0, peak), (1.0, 0.0)];
            let spark = Spark {
                points: &points,
                measure: Measure::Seconds,
                promise: Some(promise),
                gap_from: None,
                label: "Age",
            };
            spark.drawing().into_string()
        };
        assert!(drawn(30.0, 60.0).contains("<span>60 s</span>") && drawn(30.0, 60.0).contains("y1=\"0\""));
        assert!(drawn(90.0, 60.0).contains("<span>90 s</span>") && drawn(90.0, 60.0).contains("class=\"promise\""));
        assert!(drawn(3.0, 60.0).contains("<span>3 s</span>") && !drawn(3.0, 60.0).contains("class=\"promise\""));
    }

    #[test]
    fn a_time_without_a_reading_is_shaded_until_now() {
        let points = [(0.0, 4.0), (0.5, 4.0)];
        let spark =
            Spark { points: &points, measure: Measure::Number, promise: None, gap_from: Some(0.5), label: "Lag" };
        let drawn = spark.drawing().into_string();
        assert!(drawn.contains("<rect class=\"gap\" x=\"500\" width=\"500\""), "{drawn}");
    }
}
