//! What all pages of the project have in common: the document around them, figures, and numbers as people read them.
//!
//! Whatever is given is escaped by the templates. A page loads nothing from elsewhere, works without scripts, and is live with them.

mod layout;
pub mod plot;
pub mod text;

pub use self::layout::{Page, PageStyle, SCRIPT, script};
