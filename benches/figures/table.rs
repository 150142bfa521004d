//! The table of figures.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// What was measured so far.
#[derive(Default)]
pub struct Table(Vec<Figure>);

#[derive(Serialize)]
struct Figure {
    measure: String,
    value: f64,
    unit: &'static str,
    goal: String,
    met: bool,
}

/// What a figure must reach.
#[derive(Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
    Equals(f64),
    /// Measured for the documentation.
    Reported,
}

impl Goal {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(goal) => value >= goal,
            Self::AtMost(goal) => value <= goal,
            Self::Below(goal) => value < goal,
            Self::Reported => true,
            Self::Equals(goal) => (value - goal).abs() < f64::EPSILON,
        }
    }

    fn in_words(self, unit: &str) -> String {
        match self {
            Self::AtLeast(goal) => format!("at least {goal} {unit}"),
            Self::AtMost(goal) => format!("at most {goal} {unit}"),
            Self::Below(goal) => format!("below {goal} {unit}"),
            Self::Reported => String::from("none"),
            Self::Equals(goal) => format!("{goal} {unit}"),
        }
        .trim_end()
        .to_owned()
    }
}

impl Table {
    pub fn add(&mut self, measure: impl Into<String>, value: f64, unit: &'static str, goal: Goal) {
        let measure = measure.into();
        println!("{measure}: {value:.3} {unit}");
        self.0.push(Figure { measure, value, unit, goal: goal.in_words(unit), met: goal.met(value) });
    }

    /// Adds the figures of another table.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub fn print_and_write(&self) {
        println!("\n{:<92} {:>12} {:<10} {:<24} met", "measure", "value", "unit", "goal");
        for Figure { measure, value, unit, goal, met } in &self.0 {
            println!("{measure:<92} {value:>12.3} {unit:<10} {goal:<24} {}", if *met { "yes" } else { "NO" });
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("results.json"), serde_json::to_string_pretty(&self.0).unwrap()).unwrap();
    }
}
