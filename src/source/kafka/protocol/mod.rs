//! Kafka's protocol, as far as lag needs it: fields, messages and frames.
//!
//! Hand-written from Kafka's message definitions. What comes from the network is read within bounds: no length is believed before
//! the bytes are there, and a message is an error unless it ends where its fields end.

mod exchange;
mod messages;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use exchange::{ExchangeError, exchange};
pub use messages::{ApiKey, ApiRange, ApiVersions, ErrorCode, Request, SaslHandshake};
pub use reader::{Malformed, Reader};
pub use writer::{TooLong, Writer};

/// How the fields of a message are written; its version says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Lengths have a fixed width, and there are no tagged fields.
    Plain,
    /// KIP-482: lengths are as long as they must be, and each structure ends with tagged fields.
    Flexible,
}
