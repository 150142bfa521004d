//! Kafka's protocol (<https://kafka.apache.org/protocol.html>), as far as lag needs it: fields, messages, frames, connections and logins.
//!
//! Hand-written from Kafka's message definitions. Data from the network is read within bounds: no length is trusted before
//! the bytes have arrived, and a message is an error unless it ends where its fields end.

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

/// How the fields of a message are encoded, which depends on its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Lengths have a fixed width, and there are no tagged fields.
    Plain,
    /// KIP-482: lengths have variable width, and each structure ends with tagged fields.
    Flexible,
}
