//! Everything that needs more than pure functions, in one crate: one link instead of twenty.

mod proto;
