//! A KEDA external scaler that answers from the measured backlog of stream consumers.

pub mod lag;
pub mod source;
