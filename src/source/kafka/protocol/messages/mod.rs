//! The requests that are made, and what their answers say; each from Kafka's definition of the message.

mod coordinators;
mod groups;
mod list_offsets;
mod metadata;
mod offset_fetch;
mod sasl;
mod share_groups;
mod versions;

use std::ops::RangeInclusive;

pub use coordinators::FindCoordinator;
pub use groups::{ConsumerGroupDescribe, DescribeGroups};
pub use list_offsets::{Isolation, ListOffsets, OffsetAt};
pub use metadata::{Metadata, MetadataAnswer};
pub use offset_fetch::OffsetFetch;
pub use sasl::{Authenticated, SaslAuthenticate, SaslHandshake};
pub use share_groups::{DescribeShareGroupOffsets, ShareGroupDescribe, ShareOffset};
pub use versions::{ApiRange, ApiVersions};

use super::{Encoding, ErrorCode, Malformed, Reader, Writer};

/// A value, or the error that the broker reports in its place.
pub type Row<V> = Result<V, ErrorCode>;

/// Which request a message is, by Kafka's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKey(pub i16);

/// A request, with the versions of it that are written here.
pub trait Request {
    /// Its number.
    const KEY: ApiKey;
    /// Kafka's name of it.
    const NAME: &'static str;
    /// The versions that can be written, and whose answers can be read.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version that is flexible; none of those here is where this is beyond them.
    const FLEXIBLE_FROM: i16 = i16::MAX;
    /// What the answer says.
    type Answer;

    /// The newest version that can carry this request.
    fn newest(&self) -> i16 {
        *Self::VERSIONS.end()
    }

    /// How the fields of this version are written.
    #[must_use]
    fn encoding(version: i16) -> Encoding {
        if version >= Self::FLEXIBLE_FROM { Encoding::Flexible } else { Encoding::Plain }
    }

    /// Writes the fields.
    fn write(&self, version: i16, to: &mut Writer);

    /// Reads the fields of the answer to this request.
    ///
    /// # Errors
    /// When they are not those of this version.
    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed>;
}
