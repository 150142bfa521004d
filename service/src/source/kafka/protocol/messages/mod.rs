//! The requests and their answers, each from Kafka's definition of the message (<https://kafka.apache.org/protocol.html>).

mod coordinators;
mod groups;
mod handshake;
mod list_offsets;
mod metadata;
mod offset_fetch;
mod share_groups;

use std::ops::RangeInclusive;

pub use coordinators::FindCoordinator;
pub use groups::{ConsumerGroupDescribe, DescribeGroups, ListGroups};
pub use handshake::{ApiRange, ApiVersions, Authenticated, SaslAuthenticate, SaslHandshake};
pub use list_offsets::{Isolation, ListOffsets, OffsetAt};
pub use metadata::{Metadata, MetadataAnswer};
pub use offset_fetch::OffsetFetch;
pub use share_groups::{DescribeShareGroupOffsets, ShareGroupDescribe, ShareOffset};

use super::{Encoding, ErrorCode, Malformed, Reader, Writer};

/// A value, or the error that the broker reports in its place.
pub type Row<V> = Result<V, ErrorCode>;

/// The API key of a message in Kafka's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKey(pub i16);

/// A request, with the versions of it that this client writes.
pub trait Request {
    /// The request's API key.
    const KEY: ApiKey;
    /// Kafka's name of the request.
    const NAME: &'static str;
    /// The versions that can be written, and whose answers can be read.
    const VERSIONS: RangeInclusive<i16>;
    /// The first flexible version; the default is above all versions here.
    const FLEXIBLE_FROM: i16 = i16::MAX;
    /// The decoded answer.
    type Answer;

    /// Returns the newest version that can carry this request.
    fn newest(&self) -> i16 {
        *Self::VERSIONS.end()
    }

    /// Returns how the fields of this version are encoded.
    #[must_use]
    fn encoding(version: i16) -> Encoding {
        if version >= Self::FLEXIBLE_FROM { Encoding::Flexible } else { Encoding::Plain }
    }

    /// Writes the fields.
    fn write(&self, version: i16, to: &mut Writer);

    /// Reads the fields of the answer to this request.
    ///
    /// # Errors
    /// Returns an error when they are not those of this version.
    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed>;
}
