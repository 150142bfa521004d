//! What a chart says in text: the name and last number beside each line, the legend of narrow windows, and a description in words.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::axis::Axis;
use super::{Figure, Line, Measure, Shape, tenth};

/// The least distance between two labels, in pixels.
const APART: f64 = 15.0;
/// More characters do not fit beside the chart.
const LONGEST: usize = 22;

/// The label of a line or of the limit.
#[derive(Clone, Debug)]
pub(super) struct Label {
    text: String,
    class: &'static str,
    shape: Shape,
    /// The position beside the chart, in pixels from its top.
    y: f64,
}

/// Returns the labels of a chart's lines and of its limit, none closer to another than they are high.
pub(super) fn of(figure: &Figure<'_>, axis: &Axis, lines: &[Line]) -> Vec<Label> {
    let y = |number: f64| axis.y(if number.is_finite() { number } else { 0.0 }, figure.height);
    let limit = figure.limit.map(|limit| Label {
        text: format!("{} {}", limit.name, figure.measure.text(limit.at)),
        class: "bad",
        shape: Shape::Straight,
        y: y(limit.at),
    });
    let lines = lines.iter().map(|line| Label {
        text: format!("{} {}", shortened(&line.name), figure.measure.text(line.last())),
        class: line.class,
        shape: line.shape,
        y: y(line.last()),
    });
    let mut labels: Vec<_> = limit.into_iter().chain(lines).collect();
    spread(&mut labels, f64::from(figure.height));
    labels
}

impl Label {
    /// Draws the label beside the chart.
    pub(super) fn text(&self) -> Markup {
        html! { text x="10" y=(tenth(self.y + 4.0)) class=(self.class) { (self.text) } }
    }

    /// Draws the label as a part of the legend.
    pub(super) fn key(&self) -> Markup {
        let key = match (self.shape, self.class) {
            (Shape::Area, _) => "f",
            (_, "theirs" | "predicted" | "bad") => "d",
            _ => "",
        };
        html! { span class=(self.class) { i class=(key) {} (self.text) } }
    }
}

/// Moves labels apart, from the top to the bottom, and back up where they would pass the bottom.
fn spread(labels: &mut [Label], height: f64) {
    labels.sort_by(|one, other| one.y.total_cmp(&other.y));
    let mut free = 0.0;
    for label in labels.iter_mut() {
        label.y = label.y.max(free);
        free = label.y + APART;
    }
    let mut free = height;
    for label in labels.iter_mut().rev() {
        label.y = label.y.min(free);
        free = label.y - APART;
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    name.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// Describes the chart in words, for people who cannot see it.
pub(super) fn in_words(figure: &Figure<'_>, lines: &[Line]) -> String {
    let mut text = figure.title.to_owned();
    for part in [figure.note, figure.period].into_iter().filter(|part| !part.is_empty()) {
        text.push_str(", ");
        text.push_str(part);
    }
    text.push('.');
    for line in lines {
        line.in_words(&mut text, figure.measure);
    }
    if let Some(limit) = figure.limit {
        // writing to a string cannot fail
        let _ = write!(text, " {}: {}.", limit.name, figure.measure.text(limit.at));
    }
    text
}

impl Line {
    fn in_words(&self, text: &mut String, measure: Measure) {
        let numbers = || self.points.iter().map(|(_, number)| *number).filter(|number| number.is_finite());
        let (name, now) = (&self.name, self.last());
        let now = if now.is_finite() { measure.text(now) } else { "not known".to_owned() };
        // writing to a string cannot fail
        let _ = if numbers().next().is_none() {
            write!(text, " {name}: not known.")
        } else {
            let least = measure.text(numbers().fold(f64::INFINITY, f64::min));
            let most = measure.text(numbers().fold(0.0, f64::max));
            write!(text, " {name}: {now} now, between {least} and {most}.")
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread_out(at: &[f64]) -> Vec<f64> {
        let label = |y: &f64| Label { text: String::new(), class: "", shape: Shape::Straight, y: *y };
        let mut labels: Vec<_> = at.iter().map(label).collect();
        spread(&mut labels, 100.0);
        labels.iter().map(|label| label.y).collect()
    }

    #[test]
    fn labels_are_apart_and_within_the_chart() {
        assert_eq!(spread_out(&[50.0, 10.0]), [10.0, 50.0]);
        assert_eq!(spread_out(&[50.0, 52.0, 51.0]), [50.0, 65.0, 80.0]);
        assert_eq!(spread_out(&[100.0, 100.0, 98.0]), [70.0, 85.0, 100.0]);
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(shortened("wanted"), "wanted");
        assert_eq!(shortened("wanted, shop/a-very-long-name"), "wanted, shop/a-very-l…");
    }
}
