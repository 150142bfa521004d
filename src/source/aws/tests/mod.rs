//! What readings answer where everything is known: on a paused clock, without the SDK.

mod fake;
mod model;
mod planted;
mod sharing;
mod validity;
