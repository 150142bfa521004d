//! Which namespaces may have what read, with which identity: the rules of the operator, and what they decide about a trigger's source.

mod admission;
mod allowed_hosts;
mod connections;
mod metadata_rules;
mod pattern;
mod resize_rules;

pub use admission::Backend;
pub(crate) use admission::{Admission, Service};
pub use allowed_hosts::AllowedHosts;
pub(crate) use allowed_hosts::OUT_OF_REACH;
pub use connections::{Connections, ConnectionsError};
