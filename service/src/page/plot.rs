//! Charts as SVG: pure functions from points to a drawing.
//!
//! A plot is stretched to the available width: lines keep their thickness, and labels are HTML beside it.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::text::{short, time};

/// The width of a plot, in its own units.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 100.0;

/// The maximum number of points of a small plot, without the additional newest point.
const SMALL_POINTS: usize = 60;

/// One line of a plot: positions from 0, the oldest, to 1, now, with their numbers; NaN is a gap.
#[derive(Clone, Debug)]
pub struct Line {
    /// The name of the charted value.
    pub name: String,
    /// The CSS class of the line; without one, its index decides.
    pub class: Option<&'static str>,
    /// The points, from the oldest to the newest.
    pub points: Vec<(f64, f64)>,
    /// How consecutive points are connected.
    pub shape: Shape,
}

/// A limit that lines should stay under.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The name of the limit.
    pub name: &'static str,
    /// The value of the limit.
    pub at: f64,
}

/// The description of a chart.
#[derive(Clone, Copy, Debug)]
pub struct Figure<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The unit of the numbers, as shown.
    pub unit: &'a str,
    /// How numbers are formatted.
    pub measure: Measure,
    /// The length of the chart in minutes.
    pub minutes: u64,
    /// The limit that the lines should stay under.
    pub limit: Option<Limit>,
}

/// How consecutive points of a line are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Straight lines between the points.
    Straight,
    /// Straight lines, over a filled area.
    Filled,
    /// Each number holds until the next.
    Steps,
}

/// How numbers are formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// A count, or a rate.
    Number,
    /// A time in seconds.
    Seconds,
}

impl Measure {
    /// Formats a number for people.
    #[must_use]
    pub fn text(self, number: f64) -> String {
        match self {
            Self::Number => short(number),
            Self::Seconds => time(number),
        }
    }
}

/// Draws a small chart of one line, beside a row.
#[must_use]
pub fn small(points: &[(f64, f64)], label: &str) -> Markup {
    let points = thinned(points, SMALL_POINTS);
    let top = highest(points.iter()).max(f64::MIN_POSITIVE);
    html! {
        svg.small viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            path.area d=(area(&points, top)) {}
            path.line vector-effect="non-scaling-stroke" d=(path(&points, top, Shape::Filled)) {}
        }
    }
}

/// Draws a number's share of the greatest in its column, as a bar beside it.
#[must_use]
pub fn bar(number: f64, greatest: f64) -> Markup {
    let share = if greatest > 0.0 { tenth((number / greatest).clamp(0.0, 1.0) * WIDTH) } else { 0.0 };
    html! {
        svg.bar viewBox={ "0 0 " (WIDTH) " 1" } preserveAspectRatio="none" aria-hidden="true" {
            path d={ "M0 0H" (share) "V1H0Z" } {}
        }
    }
}

impl Figure<'_> {
    /// Draws the chart with axes, a legend if it has several lines, and a description of its content in words.
    #[must_use]
    pub fn of(&self, lines: &[Line]) -> Markup {
        let Self { title, unit, measure, minutes, limit } = *self;
        let highest = highest(lines.iter().flat_map(|line| &line.points));
        let top = round_above(highest.max(limit.map_or(0.0, |limit| limit.at * 1.5)), measure);
        let label = format!("{title}, {unit}, over the last {minutes} minutes. {}", in_words(measure, lines));
        html! {
            figure.chart {
                figcaption {
                    span.title { (title) }
                    span.unit { (unit) }
                    (self.legend(lines))
                }
                div.plot {
                    div.ticks.y aria-hidden="true" {
                        @for share in [1.0, 0.5, 0.0] { span { (measure.text(top * share)) } }
                    }
                    svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
                        (self.ground(top))
                        @for (index, line) in lines.iter().enumerate() {
                            @if line.shape == Shape::Filled { path.area d=(area(&line.points, top)) {} }
                            path class=(class(index, line)) vector-effect="non-scaling-stroke" d=(path(&line.points, top, line.shape)) {}
                        }
                    }
                    div.ticks.x aria-hidden="true" {
                        span { (minutes) " min ago" }
                        @for part in [2, 1] { span { (minutes * part / 3) } }
                        span { "now" }
                    }
                }
            }
        }
    }

    fn legend(&self, lines: &[Line]) -> Markup {
        let alone = lines.len() == 1 && self.limit.is_none();
        html! {
            ul.legend {
                @for (index, line) in lines.iter().enumerate() {
                    li {
                        @if alone { "now" } @else { (key(&class(index, line))) (line.name) }
                        " " b { (self.measure.text(last(line))) }
                    }
                }
                @if let Some(limit) = self.limit { li { (key("limit")) (limit.name) " " b { (self.measure.text(limit.at)) } } }
            }
        }
    }

    /// Draws the grid, the limit, and the area above the limit.
    fn ground(&self, top: f64) -> Markup {
        let limit = self.limit.map(|limit| place((0.0, limit.at), top).1);
        html! {
            @if let Some(y) = limit { path.late d={ "M0 0H" (WIDTH) "V" (y) "H0Z" } {} }
            @for y in [0.0, HEIGHT / 2.0, HEIGHT] {
                path.grid vector-effect="non-scaling-stroke" d={ "M0 " (y) "H" (WIDTH) } {}
            }
            @for x in [WIDTH / 3.0, WIDTH * 2.0 / 3.0] {
                path.grid vector-effect="non-scaling-stroke" d={ "M" (x) " 0V" (HEIGHT) } {}
            }
            @if let Some(y) = limit { path.limit vector-effect="non-scaling-stroke" d={ "M0 " (y) "H" (WIDTH) } {} }
        }
    }
}

fn class(index: usize, line: &Line) -> String {
    line.class.map_or_else(|| format!("line line-{index}"), |class| format!("line {class}"))
}

/// Draws the legend's sample of a line.
fn key(class: &str) -> Markup {
    html! { svg.key viewBox="0 0 24 8" aria-hidden="true" { path class=(class) d="M1 4H23" {} } }
}

/// Describes the lines in words, for people who cannot see them.
fn in_words(measure: Measure, lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let numbers = || line.points.iter().map(|(_, number)| *number).filter(|number| number.is_finite());
        let (name, now) = (&line.name, last(line));
        let now = if now.is_finite() { measure.text(now) } else { "not known".to_owned() };
        // writing to a string cannot fail
        let _ = if numbers().next().is_none() {
            write!(text, "{name}: not known. ")
        } else {
            let least = measure.text(numbers().fold(f64::INFINITY, f64::min));
            let most = measure.text(numbers().fold(0.0, f64::max));
            write!(text, "{name}: {now} now, between {least} and {most}. ")
        };
    }
    text.truncate(text.trim_end().len());
    text
}

fn last(line: &Line) -> f64 {
    line.points.last().map_or(f64::NAN, |(_, number)| *number)
}

fn highest<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> f64 {
    points.map(|(_, number)| *number).filter(|number| number.is_finite()).fold(0.0, f64::max)
}

/// Returns a round number at or above this one, for the end of an axis.
fn round_above(number: f64, measure: Measure) -> f64 {
    const TIMES: [f64; 13] =
        [2.0, 4.0, 10.0, 20.0, 60.0, 120.0, 240.0, 600.0, 1200.0, 3600.0, 7200.0, 14_400.0, 43_200.0];
    if measure == Measure::Seconds
        && let Some(time) = TIMES.into_iter().find(|time| *time >= number)
    {
        return time;
    }
    let unit = if measure == Measure::Seconds { 86_400.0 } else { 1.0 };
    let number = (number / unit).max(1.0);
    let power = 10_f64.powf(number.log10().floor());
    let share = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].into_iter().find(|share| share * power >= number).unwrap_or(10.0);
    // the axis also labels its half, and half of an item does not exist
    (share * power).max(2.0) * unit
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

fn place(point: (f64, f64), top: f64) -> (f64, f64) {
    (tenth(point.0.clamp(0.0, 1.0) * WIDTH), tenth(HEIGHT - (point.1 / top).clamp(0.0, 1.0) * HEIGHT))
}

fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// Returns the parts of a line between its gaps.
fn parts(points: &[(f64, f64)]) -> impl Iterator<Item = &[(f64, f64)]> {
    points.split(|(_, number)| !number.is_finite()).filter(|part| !part.is_empty())
}

fn path(points: &[(f64, f64)], top: f64, shape: Shape) -> String {
    let mut path = String::new();
    for part in parts(points) {
        for (index, point) in part.iter().enumerate() {
            let (x, y) = place(*point, top);
            // writing to a string cannot fail
            let _ = match (index, shape) {
                (0, _) => write!(path, "M{x} {y}"),
                (_, Shape::Steps) => write!(path, "H{x}V{y}"),
                _ => write!(path, "L{x} {y}"),
            };
        }
        if part.len() == 1 {
            // a line of no length is drawn as a dot
            path.push_str("h0");
        }
    }
    path
}

fn area(points: &[(f64, f64)], top: f64) -> String {
    let mut area = String::new();
    for part in parts(points) {
        let ends = part.first().zip(part.last()).map(|(first, last)| (place(*first, top).0, place(*last, top).0));
        let Some((from, to)) = ends else { continue };
        // writing to a string cannot fail
        let _ = write!(area, "M{from} {HEIGHT}");
        for point in part {
            let (x, y) = place(*point, top);
            let _ = write!(area, "L{x} {y}");
        }
        let _ = write!(area, "L{to} {HEIGHT}Z");
    }
    area
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: f64 = f64::NAN;

    #[test]
    fn a_line_is_broken_where_nothing_is_known() {
        let points = [(0.0, 0.0), (0.1, 10.0), (0.2, GAP), (0.5, 5.0), (1.0, 10.0)];
        assert_eq!(path(&points, 10.0, Shape::Straight), "M0 100L90 0M450 50L900 0");
        assert_eq!(path(&points, 10.0, Shape::Steps), "M0 100H90V0M450 50H900V0");
        assert_eq!(area(&points, 10.0), "M0 100L0 100L90 0L90 100ZM450 100L450 50L900 0L900 100Z");
        assert_eq!(path(&[(0.5, 5.0)], 10.0, Shape::Straight), "M450 50h0");
        assert_eq!((path(&[], 1.0, Shape::Straight), area(&[(0.0, GAP)], 1.0)), (String::new(), String::new()));
    }

    #[test]
    fn what_lies_outside_is_drawn_at_the_edge() {
        assert_eq!(path(&[(-0.5, -3.0), (1.5, 30.0)], 10.0, Shape::Straight), "M0 100L900 0");
    }

    #[test]
    fn an_axis_ends_with_a_round_number_above_all() {
        let cases = [(0.0, 2.0), (1.0, 2.0), (3.0, 4.0), (11.0, 20.0), (401.0, 600.0), (1_000_001.0, 2_000_000.0)];
        for (number, top) in cases {
            assert!((round_above(number, Measure::Number) - top).abs() < 1e-9, "{number}");
        }
        assert!((round_above(61.0, Measure::Seconds) - 120.0).abs() < 1e-9);
        assert!((round_above(50_000.0, Measure::Seconds) - 172_800.0).abs() < 1e-9);
    }

    #[test]
    fn a_peak_and_the_newest_number_outlast_the_thinning() {
        let points: Vec<_> = (0..180_u8).map(|at| (f64::from(at) / 179.0, if at == 77 { 9.0 } else { 1.0 })).collect();
        let thin = thinned(&points, SMALL_POINTS);
        assert!(thin.len() <= SMALL_POINTS + 1 && thin.contains(&points[77]) && thin.last() == points.last());
    }

    #[test]
    fn a_figure_says_in_words_what_it_shows_and_escapes_its_names() {
        let line = |name: &str, points| Line { name: name.into(), class: None, points, shape: Shape::Straight };
        let about = Figure { title: "Records", unit: "per second", measure: Measure::Number, minutes: 30, limit: None };
        let lines = [line("<script>", vec![(0.0, 4.0), (1.0, 1.0)]), line("b", vec![(1.0, GAP)])];
        let figure = about.of(&lines).into_string();
        assert!(figure.contains("&lt;script&gt;: 1 now, between 1 and 4. b: not known.\""), "{figure}");
        assert!(!figure.contains("<script>"));
    }

    #[test]
    fn a_limit_is_within_the_axis_and_what_lies_beyond_it_is_marked() {
        let limit = Some(Limit { name: "objective", at: 12.0 });
        let about = Figure { title: "Age", unit: "seconds", measure: Measure::Seconds, minutes: 3, limit };
        let line = Line { name: "a".into(), class: Some("by-lag"), points: vec![(1.0, 3.0)], shape: Shape::Straight };
        let figure = about.of(&[line]).into_string();
        // on an axis up to 20 s
        assert!(figure.contains("class=\"late\" d=\"M0 0H900V40H0Z\""), "{figure}");
        assert!(figure.contains("class=\"line by-lag\"") && figure.contains("objective <b>12 s</b>"), "{figure}");
    }
}
