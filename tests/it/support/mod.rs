//! What starts servers and plays sources.

pub mod scripted;
pub mod server;
