//! The requests that begin a connection: the APIs that a broker supports, and the login.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{ApiKey, ErrorCode, Request};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

/// Begins a login by a mechanism, such as `SCRAM-SHA-512` (`SaslHandshake`).
#[derive(Clone, Copy, Debug)]
pub struct SaslHandshake<'a> {
    /// The name of the mechanism.
    pub mechanism: &'a str,
}

impl Request for SaslHandshake<'_> {
    const KEY: ApiKey = ApiKey(17);
    const NAME: &'static str = "SaslHandshake";
    /// With version 1 the login continues in requests of its own, whose errors have a message.
    const VERSIONS: RangeInclusive<i16> = 1..=1;
    /// The error, and the mechanisms that the listener supports.
    type Answer = (ErrorCode, Vec<String>);

    fn write(&self, _version: i16, to: &mut Writer) {
        to.text(self.mechanism);
    }

    fn read(&self, _version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        Ok((ErrorCode(from.i16()?), from.list(|from| from.text().map(str::to_owned))?))
    }
}

/// A step of the login (`SaslAuthenticate`).
#[derive(Clone, Copy)]
pub struct SaslAuthenticate<'a> {
    /// The message of the mechanism.
    pub words: &'a [u8],
}

/// The broker's answer to a step of the login.
#[derive(Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// The error code; none where the login continues.
    pub error: ErrorCode,
    /// The broker's error message.
    pub message: Option<String>,
    /// The message of the mechanism.
    pub words: Vec<u8>,
    /// The session lifetime, where the broker limits it (KIP-368).
    pub session: Option<Duration>,
}

impl Request for SaslAuthenticate<'_> {
    const KEY: ApiKey = ApiKey(36);
    const NAME: &'static str = "SaslAuthenticate";
    const VERSIONS: RangeInclusive<i16> = 0..=2;
    const FLEXIBLE_FROM: i16 = 2;
    type Answer = Authenticated;

    fn write(&self, _version: i16, to: &mut Writer) {
        to.bytes(self.words).tags();
    }

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        let (error, message) = (ErrorCode(from.i16()?), from.nullable_text()?.map(str::to_owned));
        let words = from.bytes()?.to_vec();
        let session = if version >= 1 { from.i64()? } else { 0 };
        from.tags()?;
        let session = u64::try_from(session).ok().filter(|session| *session > 0).map(Duration::from_millis);
        Ok(Authenticated { error, message, words, session })
    }
}

/// Requests the APIs that a broker supports (`ApiVersions`), in the one version that every broker supports and that has no fields.
#[derive(Clone, Copy, Debug)]
pub struct ApiVersions;

/// The versions of a request that a broker supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRange {
    /// The API key of the request.
    pub key: ApiKey,
    /// The supported versions.
    pub versions: RangeInclusive<i16>,
}

impl Request for ApiVersions {
    const KEY: ApiKey = ApiKey(18);
    const NAME: &'static str = "ApiVersions";
    const VERSIONS: RangeInclusive<i16> = 0..=0;
    type Answer = (ErrorCode, Vec<ApiRange>);

    fn write(&self, _version: i16, _to: &mut Writer) {}

    fn read(&self, _version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        let error = ErrorCode(from.i16()?);
        let ranges = from.list(|from| {
            let (key, least, most) = (ApiKey(from.i16()?), from.i16()?, from.i16()?);
            Ok(ApiRange { key, versions: least..=most })
        })?;
        Ok((error, ranges))
    }
}
