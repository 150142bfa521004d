//! The rules of the scaler, from metadata to decisions. No clock, no I/O: the same inputs give the same outputs, and tests take seconds.
//!
//! - [`trigger`]: metadata to a [`trigger::Trigger`]: source, policy, pace.
//! - [`lag`]: what a reading shows, what follows from several, and the facts that every view shares.
//! - [`scaling`]: from a sample to a [`scaling::Decision`] and its steps; the laws.
//! - [`resize`]: from the requested shards to the next call of `UpdateShardCount`.
//! - [`recording`]: the format of recorded readings.

#![forbid(unsafe_code)]

pub mod lag;
pub mod recording;
pub mod resize;
pub mod scaling;
pub mod trigger;
