//! Which rule of the law decided.

use std::fmt;

use serde::Serialize;

/// Which rule of the law decided; `Display` says it in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// Nobody works, and nothing is to be done.
    NothingToDo,
    /// Nobody works: as many as the remembered capacity asks for.
    NobodyWorks,
    /// There was one reading only, and rates need two.
    FirstReading,
    /// There is a backlog and the capacity is not known yet.
    ColdStart,
    /// The capacity is not known: as many as there are.
    CapacityUnknown,
    /// The capacity is not known, and nothing has been behind for long.
    Probing,
    /// Nobody's position moves.
    NobodyMoves,
    /// Some consumer has too much to do.
    TooFew,
    /// There are enough in all; one has too much.
    Uneven,
    /// The same, where more would cost too much for now.
    UnevenWaits,
    /// The same, for so long that it is worth the cost.
    UnevenForLong,
    /// One partition is too much for any consumer, or more consumers gained nothing for it.
    HotPartition,
    /// There are as many as can help.
    AsManyAsHelp,
    /// It went up soon after it went down.
    Flapped,
    /// The backlog is not drained before the HPA would take consumers away.
    Draining,
    /// Consumers are behind, and their speed is not measured yet.
    NoSpeedYet,
    /// As many as what arrives needs.
    Enough,
    /// As many as what arrives needs, but not a count that was too uneven.
    NotBackTo,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingToDo => "nobody works and nothing is unread",
            Self::NobodyWorks => "nobody works: as many as what is known of a consumer's capacity asks for",
            Self::FirstReading => "rates need two readings: as many as there are",
            Self::ColdStart => "behind, and what a consumer can do is not measured yet: twice as many",
            Self::CapacityUnknown => "what a consumer can do is not measured yet: as many as there are",
            Self::Probing => {
                "nothing has been behind for long, and what a consumer can do is not known: one step fewer is tried"
            }
            Self::NobodyMoves => "no position moves: more consumers are no cure for that, look at the consumers",
            Self::TooFew => "a consumer has more to do than it can in time",
            Self::Uneven => "enough in all, but one consumer has too much: one step more",
            Self::UnevenWaits => {
                "enough in all, and one consumer has too much: a step more would cost too much unless it lasts"
            }
            Self::UnevenForLong => "one consumer has had too much for the whole catch-up time: one step more",
            Self::HotPartition => "a hot partition: more consumers do not help it",
            Self::AsManyAsHelp => "as many as can help",
            Self::Flapped => "a scale-up came soon after a scale-down: hold for a while",
            Self::Draining => "the backlog would not be drained before the HPA lets go: hold",
            Self::NoSpeedYet => "behind, and how fast is not measured yet: as many as there are",
            Self::Enough => "as many as what arrives needs",
            Self::NotBackTo => "as many as what arrives needs, but not back to a count whose shares were too uneven",
        })
    }
}
