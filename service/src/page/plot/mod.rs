//! Charts as SVG: pure functions from points to a drawing.
//!
//! A chart has a fixed height in pixels and a width in percent. Lines are drawn in a stretched drawing inside, and text stands outside it,
//! so that text never scales and lines keep their thickness.

mod axis;
mod labels;
mod path;
mod spark;

use maud::{Markup, html};

pub use self::spark::{Spark, meter};

use self::axis::Axis;
use self::path::{HEIGHT, WIDTH, area, tenth};
use super::text::{short, time};

/// The space below a chart for the labels of the time axis, in pixels.
const TIMES: u16 = 22;
/// On a phone the name of a narrower band does not fit into it.
const NARROW: f64 = 0.25;

/// One line of a chart: positions from 0, the first moment, to 1, the last, with their numbers; NaN is a gap.
#[derive(Clone, Debug)]
pub struct Line {
    /// The name of the charted value; it stands beside the end of the line.
    pub name: String,
    /// The CSS class: `ours`, `theirs`, `soft`, `predicted` or `need`.
    pub class: &'static str,
    /// The points, from the oldest to the newest.
    pub points: Vec<(f64, f64)>,
    /// How consecutive points are connected.
    pub shape: Shape,
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
    /// Only the area, with an edge.
    Area,
}

/// A limit that lines should stay under.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The name of the limit.
    pub name: &'static str,
    /// The value of the limit.
    pub at: f64,
}

/// A part of the time axis with another ground, such as a night.
#[derive(Clone, Debug)]
pub struct Band {
    /// The text at its top.
    pub name: String,
    /// Its start, between 0 and 1.
    pub from: f64,
    /// Its end, between 0 and 1.
    pub to: f64,
}

/// A moment with a vertical line and a text.
#[derive(Clone, Debug)]
pub struct Event {
    /// The text beside its top.
    pub name: String,
    /// Its position, between 0 and 1.
    pub at: f64,
}

/// The description of a chart.
#[derive(Clone, Copy, Debug)]
pub struct Figure<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// What the numbers are, beside the title.
    pub note: &'a str,
    /// The period that is shown, for the description in words: `since 22:02 UTC`.
    pub period: &'a str,
    /// How numbers are formatted.
    pub measure: Measure,
    /// The height of the drawing in pixels.
    pub height: u16,
    /// The end of the vertical axis; without one it follows from the numbers and the limit.
    pub top: Option<f64>,
    /// The limit that the lines should stay under.
    pub limit: Option<Limit>,
    /// The labels of the time axis, each with its position between 0 and 1; without any there is no room for them.
    pub times: &'a [(f64, String)],
    /// The parts with another ground.
    pub bands: &'a [Band],
    /// The marked moments.
    pub events: &'a [Event],
}

impl Default for Figure<'_> {
    fn default() -> Self {
        Self {
            title: "",
            note: "",
            period: "",
            measure: Measure::Number,
            height: 120,
            top: None,
            limit: None,
            times: &[],
            bands: &[],
            events: &[],
        }
    }
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

impl Figure<'_> {
    /// Draws the chart with axes, the name and last number of each line, and a description in words.
    #[must_use]
    pub fn of(&self, lines: &[Line]) -> Markup {
        let axis = Axis::new(self.measure, self.top, lines.iter().flat_map(|line| &line.points), self.limit);
        let height = if self.times.is_empty() { self.height } else { self.height + TIMES };
        let labels = labels::of(self, &axis, lines);
        html! {
            figure.chart {
                figcaption {
                    b { (self.title) } " " span.soft { (self.note) }
                    span.legend { @for label in &labels { (label.key()) } }
                }
                div.plot {
                    svg height=(height) aria-hidden="true" {
                        @for tick in axis.ticks() {
                            text x="32" y=(tenth(axis.y(tick, self.height) + 4.0)) text-anchor="end" { (axis.text(tick)) }
                        }
                    }
                    (self.drawing(&axis, height, lines))
                    svg.ends height=(height) aria-hidden="true" { @for label in &labels { (label.text()) } }
                }
            }
        }
    }

    fn drawing(&self, axis: &Axis, height: u16, lines: &[Line]) -> Markup {
        let bottom = self.height;
        let limit = self.limit.map(|limit| axis.y(limit.at, bottom));
        let label = labels::in_words(self, lines);
        html! {
            svg height=(height) role="img" aria-label=(label) {
                @for band in self.bands { (band.ground(bottom)) }
                @for tick in axis.ticks() {
                    @let y = tenth(axis.y(tick, bottom));
                    line.grid x1="0" x2="100%" y1=(y) y2=(y) {}
                }
                svg width="100%" height=(bottom) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" {
                    @if let Some(y) = limit {
                        rect.broken x="0" y="0" width=(WIDTH) height=(tenth(y / f64::from(bottom) * HEIGHT)) {}
                    }
                    @for line in lines { (line.drawing(axis)) }
                }
                @if let Some(y) = limit { line.promise x1="0" x2="100%" y1=(tenth(y)) y2=(tenth(y)) {} }
                @for band in self.bands { (band.name()) }
                @for event in self.events { (event.mark(bottom)) }
                @for (at, text) in self.times { (time_label(*at, height, text)) }
            }
        }
    }
}

impl Line {
    fn drawing(&self, axis: &Axis) -> Markup {
        let class = self.class;
        html! {
            @if matches!(self.shape, Shape::Filled | Shape::Area) {
                path class={ "area " (class) } d=(area(&self.points, axis.top)) {}
            }
            @if self.shape != Shape::Area {
                path class={ "line " (class) } d=(path::path(&self.points, axis.top, self.shape == Shape::Steps)) {}
            }
        }
    }

    /// The newest number of the line; NaN if there is none.
    fn last(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |(_, number)| *number)
    }
}

impl Band {
    fn ground(&self, height: u16) -> Markup {
        let (from, to) = (self.from.clamp(0.0, 1.0), self.to.clamp(0.0, 1.0));
        html! { rect.night x=(percent(from)) width=(percent((to - from).max(0.0))) y="0" height=(height) {} }
    }

    /// Writes the name in the middle of the band; a narrow band at an edge of the chart has it at that edge.
    fn name(&self) -> Markup {
        let (from, to) = (self.from.clamp(0.0, 1.0), self.to.clamp(0.0, 1.0));
        let narrow = to - from < NARROW;
        let (x, anchor) = match () {
            () if narrow && to > 1.0 - NARROW / 2.0 => (to, "end"),
            () if narrow && from < NARROW / 2.0 => (from, "start"),
            () => (f64::midpoint(from, to), "middle"),
        };
        html! { text.halo x=(percent(x)) y="14" text-anchor=(anchor) { (self.name) } }
    }
}

impl Event {
    fn mark(&self, height: u16) -> Markup {
        let x = percent(self.at.clamp(0.0, 1.0));
        let anchor = if self.at > 0.5 { "end" } else { "start" };
        let shift = if self.at > 0.5 { "-4" } else { "4" };
        html! {
            line.event x1=(x) x2=(x) y1="0" y2=(height) {}
            text.halo x=(x) dx=(shift) y="14" text-anchor=(anchor) { (self.name) }
        }
    }
}

fn time_label(at: f64, height: u16, text: &str) -> Markup {
    let anchor = match at {
        _ if at < 0.03 => "start",
        _ if at > 0.97 => "end",
        _ => "middle",
    };
    html! { text x=(percent(at)) y=(height - 4) text-anchor=(anchor) { (text) } }
}

/// Formats a share as a percentage for SVG attributes.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{}%", tenth(share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, points: Vec<(f64, f64)>) -> Line {
        Line { name: name.into(), class: "ours", points, shape: Shape::Straight }
    }

    #[test]
    fn a_figure_describes_in_words_what_it_shows_and_escapes_its_names() {
        let about = Figure { title: "Records", note: "per second", period: "since 22:02", ..Figure::default() };
        let lines = [line("<script>", vec![(0.0, 4.0), (1.0, 1.0)]), line("b", vec![(1.0, f64::NAN)])];
        let figure = about.of(&lines).into_string();
        assert!(figure.contains("&lt;script&gt;: 1 now, between 1 and 4. b: not known.\""), "{figure}");
        assert!(figure.contains("aria-label=\"Records, per second, since 22:02."), "{figure}");
        assert!(!figure.contains("<script>"));
    }

    #[test]
    fn a_limit_is_within_the_axis_and_the_area_above_it_is_marked() {
        let limit = Some(Limit { name: "promise", at: 12.0 });
        let about = Figure { measure: Measure::Seconds, limit, height: 150, ..Figure::default() };
        let figure = about.of(&[line("a", vec![(1.0, 3.0)])]).into_string();
        // on an axis up to 15 s
        assert!(figure.contains("<rect class=\"broken\" x=\"0\" y=\"0\" width=\"1000\" height=\"20\">"), "{figure}");
        assert!(figure.contains("class=\"promise\" x1=\"0\" x2=\"100%\" y1=\"30\" y2=\"30\""), "{figure}");
        assert!(figure.contains(">promise 12 s</text>") && figure.contains(">a 3.0 s</text>"), "{figure}");
    }

    #[test]
    fn a_fixed_axis_does_not_follow_the_numbers() {
        let about = Figure { top: Some(16.0), measure: Measure::Seconds, height: 160, ..Figure::default() };
        for last in [1.0, 12.0, 40.0] {
            let figure = about.of(&[line("a", vec![(1.0, last)])]).into_string();
            for tick in ["0 s", "5 s", "10 s", "15 s"] {
                assert!(figure.contains(&format!(">{tick}</text>")), "{tick} is not in {figure}");
            }
        }
    }

    #[test]
    fn bands_events_and_times_stand_at_their_share_of_the_width() {
        let bands = [Band { name: "night".into(), from: 0.25, to: 0.5 }];
        let events = [Event { name: "spike".into(), at: 0.75 }];
        let times = [(0.0, "22:02".to_owned()), (1.0, "22:14".to_owned())];
        let about = Figure { bands: &bands, events: &events, times: &times, height: 100, ..Figure::default() };
        let figure = about.of(&[line("a", vec![(1.0, 3.0)])]).into_string();
        assert!(figure.contains("<rect class=\"night\" x=\"25%\" width=\"25%\""), "{figure}");
        assert!(
            figure.contains("<text class=\"halo\" x=\"37.5%\" y=\"14\" text-anchor=\"middle\">night</text>"),
            "{figure}"
        );
        let edge = [Band { name: "no reading".into(), from: 0.9, to: 1.0 }];
        let at_edge = Figure { bands: &edge, ..Figure::default() }.of(&[]).into_string();
        assert!(at_edge.contains("x=\"100%\" y=\"14\" text-anchor=\"end\">no reading<"), "{at_edge}");
        assert!(figure.contains("<line class=\"event\" x1=\"75%\""), "{figure}");
        assert!(figure.contains("<text x=\"100%\" y=\"118\" text-anchor=\"end\">22:14</text>"), "{figure}");
    }
}
