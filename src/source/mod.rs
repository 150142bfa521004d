//! Thin adapters: each asks one backend what it knows and answers completely or with an error.

pub mod kafka;
