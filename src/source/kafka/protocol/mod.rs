//! Kafka's protocol, as far as lag needs it: fields, messages, frames, connections and logins.
//!
//! Hand-written from Kafka's message definitions. What comes from the network is read within bounds: no length is believed before
//! the bytes are there, and a message is an error unless it ends where its fields end.

mod connection;
mod error_code;
mod frames;
mod login;
mod messages;
mod reader;
mod scram;
mod writer;

#[cfg(test)]
mod tests;

pub use connection::{Closed, Connection, RequestError};
pub use error_code::ErrorCode;
pub use login::{Login, LoginError, OauthToken};
pub use messages::*;
pub use reader::{Malformed, Reader};
pub use scram::{ScramError, ScramHash};
pub use writer::{TooLong, Writer};

/// How the fields of a message are written; its version says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Lengths have a fixed width, and there are no tagged fields.
    Plain,
    /// KIP-482: lengths are as long as they must be, and each structure ends with tagged fields.
    Flexible,
}
