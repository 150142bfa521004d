//! The vertical axis of a chart: where it ends, and which numbers stand beside it.

use super::{Limit, Measure};
use crate::page::text::time;

/// The axis ends at this multiple of a limit at least, so that the area above the limit can be seen.
const ABOVE_LIMIT: f64 = 1.25;

/// Distances between the numbers of a time axis, in seconds.
const TIME_STEPS: [f64; 22] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0, 7200.0,
    14_400.0, 21_600.0, 43_200.0, 86_400.0, 172_800.0,
];

/// A vertical axis from 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) top: f64,
    step: f64,
    measure: Measure,
}

impl Axis {
    /// Creates an axis for these points and this limit, or one that ends at `top`.
    pub(super) fn new<'a>(
        measure: Measure,
        top: Option<f64>,
        points: impl Iterator<Item = &'a (f64, f64)>,
        limit: Option<Limit>,
    ) -> Self {
        if let Some(top) = top.filter(|top| *top > 0.0) {
            return Self { top, step: step(top, measure), measure };
        }
        let highest = highest(points).max(limit.map_or(0.0, |limit| limit.at * ABOVE_LIMIT));
        // the next step above may need fewer, wider steps
        let step = step(highest, measure);
        let top = (highest / step - 1e-9).ceil().max(1.0) * step;
        Self { top: top.max(2.0), step, measure }
    }

    /// The position of a number, in pixels from the top of a chart of this height.
    pub(super) fn y(&self, number: f64, height: u16) -> f64 {
        f64::from(height) * (1.0 - (number / self.top).clamp(0.0, 1.0))
    }

    /// The numbers that stand beside the axis, from 0.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> {
        let (step, top) = (self.step, self.top);
        (0..10_u8).map(move |index| f64::from(index) * step).take_while(move |tick| *tick <= top * 1.000_001)
    }

    /// Formats a number of the axis, in little space.
    pub(super) fn text(&self, number: f64) -> String {
        brief(number, self.measure)
    }
}

/// Returns the highest number of the points; 0 if there is none.
pub(super) fn highest<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> f64 {
    points.map(|(_, number)| *number).filter(|number| number.is_finite()).fold(0.0, f64::max)
}

/// Returns a round distance that divides an axis up to `highest` into two to four parts.
fn step(highest: f64, measure: Measure) -> f64 {
    let least = highest / 4.0;
    if measure == Measure::Seconds
        && let Some(step) = TIME_STEPS.into_iter().find(|step| *step >= least)
    {
        return step;
    }
    let unit = if measure == Measure::Seconds { 86_400.0 } else { 1.0 };
    // the axis counts whole things
    let least = (least / unit).max(1.0);
    let power = 10_f64.powf(least.log10().floor());
    let share = [1.0, 2.0, 2.5, 4.0, 5.0, 10.0].into_iter().find(|share| {
        let step = share * power;
        step >= least && step.fract() == 0.0
    });
    share.unwrap_or(10.0) * power * unit
}

/// Formats a number in little space.
pub(super) fn brief(number: f64, measure: Measure) -> String {
    match measure {
        Measure::Seconds => time_tick(number),
        Measure::Number => number_tick(number),
    }
}

fn time_tick(seconds: f64) -> String {
    match seconds {
        _ if (5400.0..86_400.0).contains(&seconds) => format!("{} h", super::tenth(seconds / 3600.0)),
        _ if (120.0..5400.0).contains(&seconds) => format!("{} min", super::tenth(seconds / 60.0)),
        _ if seconds < 9.95 => format!("{} s", super::tenth(seconds)),
        _ if seconds < 120.0 => format!("{seconds:.0} s"),
        _ => time(seconds),
    }
}

fn number_tick(number: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e4, " k")];
    let unit = UNITS.into_iter().find(|(size, _)| number >= *size);
    match unit {
        Some((size, name)) => {
            let size = if name == " k" { 1e3 } else { size };
            format!("{}{name}", super::tenth(number / size))
        }
        None if number < 9.95 => super::tenth(number).to_string(),
        None => crate::page::text::whole(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(highest: f64, measure: Measure) -> (f64, Vec<String>) {
        let axis = Axis::new(measure, None, [(0.0, highest)].iter(), None);
        (axis.top, axis.ticks().map(|tick| axis.text(tick)).collect())
    }

    #[test]
    fn an_axis_ends_with_a_round_number_above_all() {
        let cases: [(f64, f64, &[&str]); 7] = [
            (0.0, 2.0, &["0", "1", "2"]),
            (3.0, 3.0, &["0", "1", "2", "3"]),
            (6.0, 6.0, &["0", "2", "4", "6"]),
            (11.0, 12.0, &["0", "4", "8", "12"]),
            (401.0, 600.0, &["0", "200", "400", "600"]),
            (53_000.0, 60_000.0, &["0", "20 k", "40 k", "60 k"]),
            (1_000_001.0, 1_200_000.0, &["0", "400 k", "800 k", "1.2 M"]),
        ];
        for (number, top, ticks) in cases {
            let (seen, texts) = axis(number, Measure::Number);
            assert!((seen - top).abs() < 1e-6, "{number}: {seen}");
            assert_eq!(texts, ticks, "{number}");
        }
    }

    #[test]
    fn a_time_axis_has_round_times() {
        let cases: [(f64, &[&str]); 5] = [
            (15.0, &["0 s", "5 s", "10 s", "15 s"]),
            (61.0, &["0 s", "20 s", "40 s", "60 s", "80 s"]),
            (200.0, &["0 s", "60 s", "2 min", "3 min", "4 min"]),
            (2000.0, &["0 s", "10 min", "20 min", "30 min", "40 min"]),
            (50_000.0, &["0 s", "4 h", "8 h", "12 h", "16 h"]),
        ];
        for (number, ticks) in cases {
            assert_eq!(axis(number, Measure::Seconds).1, ticks, "{number}");
        }
        let day = axis(1_000_000.0, Measure::Seconds);
        assert!(day.0 >= 1_000_000.0 && day.1.len() <= 5, "{day:?}");
    }

    #[test]
    fn the_area_above_a_limit_is_part_of_the_axis() {
        let limit = Some(Limit { name: "promise", at: 60.0 });
        let axis = Axis::new(Measure::Seconds, None, [(0.0, 3.0)].iter(), limit);
        assert!((axis.top - 80.0).abs() < 1e-9 && axis.y(60.0, 100) > 20.0, "{axis:?}");
    }
}
