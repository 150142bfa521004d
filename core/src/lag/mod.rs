//! How far behind a source is, from facts: pure rules over offsets and watermarks, and the interface of those who read them.
//!
//! No I/O, no clock, no logging. The tests of the rules are next to them.

mod error;
mod facts;
pub mod flow;
mod history;
mod moment;
mod observation;
mod observe;
mod partition;
mod progress;
mod renewals;
pub mod streams;
mod writes;

pub use error::{SourceError, SourceErrorKind};
pub use facts::{Behind, Facts, GroupLag};
pub use history::{GroupHistory, History, PAST_END_GRACE, PartitionHistory};
pub use moment::Moment;
pub use observation::{
    ApplicationObservation, Checkpoints, CommittedOffset, GroupObservation, Member, MemberIndex, Members, Observation,
    Offset, PartitionId, PartitionObservation, ShardsObservation, TableReading, TopicId, TopicObservation, Watermarks,
    WritesObservation,
};
pub use observe::{FORGET_AFTER, Observe, Report};
pub use partition::{CountedLag, LagBasis, PartitionLag};
pub use renewals::Renewals;
pub use writes::{COARSE, LOAD, LONG, Minute, Writes};
