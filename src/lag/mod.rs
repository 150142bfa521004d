//! How far behind, from facts: pure rules over offsets and watermarks, and the seam towards those who read them.
//!
//! No I/O, no clock, no logging. The rules are tested beside them.

mod error;
mod offsets;

pub use error::{SourceError, SourceErrorKind};
pub use offsets::{CommittedOffset, Offset, PartitionId, TopicId, Watermarks};
