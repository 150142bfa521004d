//! A load as an SVG picture: rate, replicas and the age of the oldest record over time.

use std::fmt::Write as _;

use crate::loads::{OBJECTIVE, Row, Side, SideRow};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 28.0;
/// Where the panels begin, and how high they are.
const PANELS: [(f64, f64); 3] = [(62.0, 90.0), (212.0, 150.0), (422.0, 170.0)];
const HEIGHT: f64 = 624.0;
const COLOURS: [&str; 6] = ["#b45309", "#1d4ed8", "#0f766e", "#7c3aed", "#be185d", "#4d7c0f"];
const RATE_COLOUR: &str = "#4b5563";
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#374151}.title{font-weight:600;fill:#111827}\
                     .axis{stroke:#9ca3af}.grid{stroke:#e5e7eb}.objective{stroke:#b91c1c;stroke-dasharray:6 4}.line{fill:none;stroke-width:2;stroke-opacity:.85}";

/// One panel: its place and what its axis goes up to.
struct Panel {
    top: f64,
    height: f64,
    most: f64,
    seconds: f64,
}

impl Panel {
    fn x(&self, second: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * second / self.seconds
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - value / self.most)
    }

    /// Axes, a grid line per `step`, a label per minute, and the title above.
    fn frame(&self, into: &mut String, title: &str, step: f64) {
        let (right, bottom) = (WIDTH - RIGHT, self.top + self.height);
        text(into, LEFT, self.top - 12.0, "start", "title", title);
        let mut value = 0.0;
        while value <= self.most {
            let (y, class) = (self.y(value), if value == 0.0 { "axis" } else { "grid" });
            line(into, class, (LEFT, y), (right, y));
            text(into, LEFT - 8.0, y + 4.0, "end", "", &value.to_string());
            value += step;
        }
        let mut second = 0.0;
        while second <= self.seconds {
            line(into, "axis", (self.x(second), bottom), (self.x(second), bottom + 4.0));
            text(into, self.x(second), bottom + 18.0, "middle", "", &format!("{} min", second / 60.0));
            second += 60.0;
        }
    }

    /// A line through one value per second; `stepped` where a value holds until the next.
    fn series(&self, into: &mut String, colour: &str, stepped: bool, values: impl Iterator<Item = f64>) {
        let mut path = String::new();
        for (second, value) in (0_u32..).map(f64::from).zip(values) {
            let (x, y) = (self.x(second), self.y(value.min(self.most)));
            match (path.is_empty(), stepped) {
                (true, _) => write!(path, "M{x:.1} {y:.1}"),
                (false, true) => write!(path, "H{x:.1}V{y:.1}"),
                (false, false) => write!(path, "L{x:.1} {y:.1}"),
            }
            .unwrap();
        }
        writeln!(into, r#"<path class="line" stroke="{colour}" d="{path}"/>"#).unwrap();
    }
}

pub fn draw(sides: &[Side], rows: &[Row]) -> String {
    let values = |of: fn(&SideRow) -> f64| rows.iter().flat_map(move |row| row.sides.iter().map(of));
    let rates = || rows.iter().map(|row| f64::from(row.rate));
    let replicas: fn(&SideRow) -> f64 = |side| f64::from(side.replicas);
    let oldest: fn(&SideRow) -> f64 = |side| side.oldest;
    let steps = [100.0, 4.0, nice(values(oldest).fold(OBJECTIVE, f64::max))];
    let most =
        [rates().fold(0.0, f64::max), values(replicas).fold(0.0, f64::max), values(oldest).fold(OBJECTIVE, f64::max)];
    let panels: Vec<_> = PANELS
        .iter()
        .zip(steps.iter().zip(most))
        .map(|(&(top, height), (step, most))| Panel {
            top,
            height,
            most: (most / step).ceil() * step,
            seconds: f64::from(u32::try_from(rows.len()).unwrap()),
        })
        .collect();

    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"><style>{STYLE}</style>
<rect width="100%" height="100%" fill="#ffffff"/>
"##
    );
    let mut x = LEFT;
    for (side, colour) in sides.iter().zip(COLOURS) {
        writeln!(svg, r#"<path class="line" stroke="{colour}" d="M{x} 16h24"/>"#).unwrap();
        text(&mut svg, x + 30.0, 20.0, "start", "", side.name);
        x += 50.0 + 7.0 * f64::from(u32::try_from(side.name.len()).unwrap());
    }
    panels[0].frame(&mut svg, "Records per second", steps[0]);
    panels[0].series(&mut svg, RATE_COLOUR, true, rates());
    panels[1].frame(&mut svg, "Replicas", steps[1]);
    panels[2].frame(&mut svg, "Age of the oldest unprocessed record, seconds", steps[2]);
    let (y, right) = (panels[2].y(OBJECTIVE), WIDTH - RIGHT);
    line(&mut svg, "objective", (LEFT, y), (right, y));
    text(&mut svg, right, y - 5.0, "end", "", &format!("promise {OBJECTIVE} s"));
    for (side, colour) in (0..sides.len()).zip(COLOURS) {
        panels[1].series(&mut svg, colour, true, rows.iter().map(|row| replicas(&row.sides[side])));
        panels[2].series(&mut svg, colour, false, rows.iter().map(|row| oldest(&row.sides[side])));
    }
    svg + "</svg>\n"
}

/// A step of the axis that gives it four to nine lines.
fn nice(most: f64) -> f64 {
    [2.0, 5.0, 10.0, 20.0, 50.0, 100.0].into_iter().find(|step| most / step <= 8.0).unwrap_or(200.0)
}

fn line(into: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(into, r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#).unwrap();
}

fn text(into: &mut String, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
    writeln!(into, r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#).unwrap();
}
