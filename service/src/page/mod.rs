//! What all pages of the project share: the document layout, charts, and numbers formatted for people.
//!
//! The templates escape all given text. A page loads nothing from other hosts, works without scripts, and refreshes itself with them.

mod clock;
mod layout;
pub mod plot;
pub mod text;

pub use self::clock::Clock;
pub use self::layout::{Page, PageStyle, SCRIPT, script};
