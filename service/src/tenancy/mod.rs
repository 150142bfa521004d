//! Which namespaces may read which sources, with which identity: the operator's rules, and their decisions about a trigger's source.

mod admission;
mod allowed_hosts;
mod connections;
mod metadata_rules;
mod pattern;
mod resize_rules;
mod schema;

pub use admission::Backend;
pub use admission::{Admission, Service};
pub use allowed_hosts::AllowedHosts;
pub use allowed_hosts::OUT_OF_REACH;
pub use connections::{Connections, ConnectionsError};
pub use schema::connections_schema;
