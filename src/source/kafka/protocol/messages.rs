//! The requests that are made, and what their answers say; each from Kafka's definition of the message.

use std::ops::RangeInclusive;

use super::{Encoding, Malformed, Reader, Writer};

/// Which request a message is, by Kafka's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKey(pub i16);

/// An error code of an answer; the names are those of Kafka's own table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub i16);

impl ErrorCode {
    /// No error.
    pub const NONE: Self = Self(0);
    /// The listener takes no login by this mechanism.
    pub const UNSUPPORTED_SASL_MECHANISM: Self = Self(33);
    /// The listener wants no login now.
    pub const ILLEGAL_SASL_STATE: Self = Self(34);
}

/// A request, with the versions of it that are written here.
pub trait Request {
    /// Its number.
    const KEY: ApiKey;
    /// The versions that can be written, and whose answers can be read.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version that is flexible; none of those here is where this is beyond them.
    const FLEXIBLE_FROM: i16 = i16::MAX;
    /// What the answer says.
    type Answer;

    /// How the fields of this version are written.
    #[must_use]
    fn encoding(version: i16) -> Encoding {
        if version >= Self::FLEXIBLE_FROM { Encoding::Flexible } else { Encoding::Plain }
    }

    /// Writes the fields.
    fn write(&self, version: i16, to: &mut Writer);

    /// Reads the fields of the answer.
    ///
    /// # Errors
    /// When they are not those of this version.
    fn read(version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed>;
}

/// Asks which requests a broker takes, in the one version that every broker takes and needs no words about the client.
#[derive(Clone, Copy, Debug)]
pub struct ApiVersions;

/// The versions of a request that a broker takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRange {
    /// Which request.
    pub key: ApiKey,
    /// Its versions.
    pub versions: RangeInclusive<i16>,
}

impl Request for ApiVersions {
    const KEY: ApiKey = ApiKey(18);
    const VERSIONS: RangeInclusive<i16> = 0..=0;
    type Answer = (ErrorCode, Vec<ApiRange>);

    fn write(&self, _version: i16, _to: &mut Writer) {}

    fn read(_version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        let error = ErrorCode(from.i16()?);
        let ranges = from.list(|from| {
            let (key, least, most) = (ApiKey(from.i16()?), from.i16()?, from.i16()?);
            Ok(ApiRange { key, versions: least..=most })
        })?;
        Ok((error, ranges))
    }
}

/// Begins a login by a mechanism, such as `SCRAM-SHA-512`.
#[derive(Clone, Copy, Debug)]
pub struct SaslHandshake<'a> {
    /// The mechanism.
    pub mechanism: &'a str,
}

impl Request for SaslHandshake<'_> {
    const KEY: ApiKey = ApiKey(17);
    /// With version 1 the login goes on in requests of its own, with errors that say why.
    const VERSIONS: RangeInclusive<i16> = 1..=1;
    /// The error, and the mechanisms that the listener takes.
    type Answer = (ErrorCode, Vec<String>);

    fn write(&self, _version: i16, to: &mut Writer) {
        to.text(self.mechanism);
    }

    fn read(_version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        Ok((ErrorCode(from.i16()?), from.list(|from| from.text().map(str::to_owned))?))
    }
}
