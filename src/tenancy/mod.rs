//! Which namespaces may have what read, with which identity: the rules of the operator, and what they decide about a trigger's source.

mod admission;
mod connections;
mod metadata_rules;
mod pattern;
mod reach;
mod resize_rules;

pub use admission::Backend;
pub(crate) use admission::{Admission, Service};
pub use connections::{Connections, ConnectionsError};
pub(crate) use reach::OUT_OF_REACH;
pub use reach::Reach;
