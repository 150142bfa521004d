//! Points as the data of SVG paths.

use std::fmt::Write as _;

/// The width of a stretched drawing, in its own units.
pub(super) const WIDTH: f64 = 1000.0;
/// The height of a stretched drawing, in its own units.
pub(super) const HEIGHT: f64 = 100.0;

/// Rounds to tenths, which are finer than a pixel.
pub(super) fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// Returns a line through the points, on an axis up to `top`.
pub(super) fn path(points: &[(f64, f64)], top: f64, steps: bool) -> String {
    let mut path = String::new();
    for part in parts(points) {
        for (index, point) in part.iter().enumerate() {
            let (x, y) = place(*point, top);
            // writing to a string cannot fail
            let _ = match (index, steps) {
                (0, _) => write!(path, "M{x} {y}"),
                (_, true) => write!(path, "H{x}V{y}"),
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

/// Returns the area below the points, on an axis up to `top`.
pub(super) fn area(points: &[(f64, f64)], top: f64) -> String {
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

/// Returns the parts of a line between its gaps.
fn parts(points: &[(f64, f64)]) -> impl Iterator<Item = &[(f64, f64)]> {
    points.split(|(_, number)| !number.is_finite()).filter(|part| !part.is_empty())
}

fn place(point: (f64, f64), top: f64) -> (f64, f64) {
    (tenth(point.0.clamp(0.0, 1.0) * WIDTH), tenth(HEIGHT - (point.1 / top).clamp(0.0, 1.0) * HEIGHT))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: f64 = f64::NAN;

    #[test]
    fn a_line_is_broken_where_nothing_is_known() {
        let points = [(0.0, 0.0), (0.1, 10.0), (0.2, GAP), (0.5, 5.0), (1.0, 10.0)];
        assert_eq!(path(&points, 10.0, false), "M0 100L100 0M500 50L1000 0");
        assert_eq!(path(&points, 10.0, true), "M0 100H100V0M500 50H1000V0");
        assert_eq!(area(&points, 10.0), "M0 100L0 100L100 0L100 100ZM500 100L500 50L1000 0L1000 100Z");
        assert_eq!(path(&[(0.5, 5.0)], 10.0, false), "M500 50h0");
        assert_eq!((path(&[], 1.0, false), area(&[(0.0, GAP)], 1.0)), (String::new(), String::new()));
    }

    #[test]
    fn points_outside_are_drawn_at_the_edge() {
        assert_eq!(path(&[(-0.5, -3.0), (1.5, 30.0)], 10.0, false), "M0 100L1000 0");
    }
}
