//! A figure of the last minutes: lines over one axis of time, as SVG that is stretched to the room there is.

use std::fmt::Write as _;
use std::time::Duration;

use maud::{Markup, html};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 100.0;

/// The part of the past that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    now: Duration,
    length: Duration,
}

impl Window {
    /// Up to `now`, and as far back as there is something to see.
    pub(super) fn up_to(now: Duration) -> Self {
        let fits = |minutes: &u64| Duration::from_secs(minutes * 60) >= now;
        let minutes = [3, 6].into_iter().find(fits).unwrap_or(6);
        Self { now, length: Duration::from_secs(minutes * 60) }
    }

    fn place(self, at: Duration) -> Option<f64> {
        let back = self.now.saturating_sub(at).as_secs_f64() / self.length.as_secs_f64();
        (back <= 1.0).then(|| tenth((1.0 - back) * WIDTH))
    }

    fn ticks(self) -> [String; 4] {
        let minutes = self.length.as_secs() / 60;
        [format!("{minutes} min ago"), format!("{}", minutes * 2 / 3), format!("{}", minutes / 3), "now".to_owned()]
    }
}

/// One line of a figure.
pub(super) struct Line {
    pub(super) name: &'static str,
    /// How it is drawn, in the style sheet.
    pub(super) class: &'static str,
    pub(super) points: Vec<(Duration, f64)>,
    /// Each number holds until the next.
    pub(super) steps: bool,
}

/// A number that lines are to stay under.
pub(super) struct Limit {
    pub(super) name: &'static str,
    pub(super) at: f64,
}

/// What a figure is about.
pub(super) struct About {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    /// Behind each number.
    pub(super) sign: &'static str,
    pub(super) limit: Option<Limit>,
}

/// A figure with axes, a legend, and all of it in words for those who do not see it.
pub(super) fn figure(about: &About, window: Window, lines: &[Line]) -> Markup {
    let About { title, unit, sign, limit } = about;
    let highest = lines.iter().flat_map(|line| &line.points).map(|(_, number)| *number).fold(0.0, f64::max);
    let top = round_above(highest.max(limit.as_ref().map_or(0.0, |limit| limit.at * 1.5)));
    let height = |number: f64| tenth(HEIGHT - (number / top).clamp(0.0, 1.0) * HEIGHT);
    html! {
           figure.chart {
               figcaption {
                   span.title { (title) }
                   span.unit { (unit) }
                   ul.legend {
                       @for line in lines {
                           li {
                               svg.key viewBox="0 0 24 8" aria-hidden="true" { path class={ "line " (line.class) } d="M1 4H23" {} }
                               (line.name) " " b { (number(last(line), sign)) }
                           }
                       }
                       @if let Some(limit) = limit {
                           li {
                               svg.key viewBox="0 0 24 8" aria-hidden="true" { path.limit d="M1 4H23" {} }
                               (limit.name) " " b { (number(limit.at, sign)) }
                           }
                       }
                   }
               }
               div.plot {
                   div.ticks.y aria-hidden="true" { @for share in [1.0, 0.5, 0.0] { span { (number(top * share, sign)) } } }
                   svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(in_words(about, lines)) {
                       @if let Some(limit) = limit { path.late d={ "M0 0H" (WIDTH) "V" (height(limit.at)) "H0Z" } {} }
                       @for y in [0.0, HEIGHT / 2.0, HEIGHT] { path.grid vector-effect="non-scaling-stroke" d={ "M0 " (y) "H" (WIDTH) } {} }
                       @for x in [WIDTH / 3.0, WIDTH * 2.0 / 3.0] {
    path.grid vector-effect="non-scaling-stroke" d={ "M" (x) " 0V" (HEIGHT) } {}
    }
                       @if let Some(limit) = limit {
                           path.limit vector-effect="non-scaling-stroke" d={ "M0 " (height(limit.at)) "H" (WIDTH) } {}
                       }
                       @for line in lines {
                           path class={ "line " (line.class) } vector-effect="non-scaling-stroke" d=(path(line, window, height)) {}
                       }
                   }
                   div.ticks.x aria-hidden="true" { @for tick in window.ticks() { span { (tick) } } }
               }
           }
       }
}

fn path(line: &Line, window: Window, height: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let places = line.points.iter().filter_map(|(at, number)| Some((window.place(*at)?, height(*number))));
    for (index, (x, y)) in places.enumerate() {
        // writing to a string cannot fail
        let _ = match index {
            0 => write!(path, "M{x} {y}"),
            _ if line.steps => write!(path, "H{x}V{y}"),
            _ => write!(path, "L{x} {y}"),
        };
    }
    path
}

fn in_words(about: &About, lines: &[Line]) -> String {
    let About { title, unit, sign, .. } = about;
    let most = |line: &Line| line.points.iter().map(|(_, number)| *number).fold(0.0, f64::max);
    let told = lines
        .iter()
        .map(|line| format!("{}: {} now, at most {}", line.name, number(last(line), sign), number(most(line), sign)));
    format!("{title}, {unit}. {}", told.collect::<Vec<_>>().join(". "))
}

fn last(line: &Line) -> f64 {
    line.points.last().map_or(0.0, |(_, number)| *number)
}

/// Small numbers that have a unit are told to the tenth.
fn number(number: f64, sign: &str) -> String {
    if !sign.is_empty() && number > 0.0 && number < 9.95 {
        format!("{number:.1}{sign}")
    } else {
        grouped(number) + sign
    }
}

/// A whole number in groups of three digits.
pub(super) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number that an axis may end with.
fn round_above(number: f64) -> f64 {
    let power = 10_f64.powf(number.max(1.0).log10().floor());
    let share = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0].into_iter().find(|share| share * power >= number).unwrap_or(10.0);
    (share * power).max(2.0)
}

fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_from_the_oldest_to_now_and_axes_end_with_round_numbers() {
        let seconds = Duration::from_secs;
        let window = Window::up_to(seconds(190));
        assert_eq!(window.ticks(), ["6 min ago", "4", "2", "now"]);
        let mut line =
            Line { name: "a", class: "a", points: vec![(seconds(10), 0.0), (seconds(190), 5.0)], steps: false };
        assert_eq!(path(&line, window, |number| number), "M450 0L900 5");
        line.steps = true;
        assert_eq!(path(&line, window, |number| number), "M450 0H900V5");
        for (number, top) in [(0.0, 2.0), (12.0, 20.0), (241.0, 300.0), (3001.0, 4000.0)] {
            assert!((round_above(number) - top).abs() < 1e-9, "{number}");
        }
        assert_eq!(
            (number(1234.4, ""), number(0.0, " s"), number(2.25, " s")),
            ("1,234".into(), "0 s".into(), "2.2 s".into())
        );
    }
}
