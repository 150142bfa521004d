//! The login.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{ApiKey, ErrorCode, Request};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

/// Begins a login by a mechanism, such as `SCRAM-SHA-512`.
#[derive(Clone, Copy, Debug)]
pub struct SaslHandshake<'a> {
    /// The mechanism.
    pub mechanism: &'a str,
}

impl Request for SaslHandshake<'_> {
    const KEY: ApiKey = ApiKey(17);
    const NAME: &'static str = "SaslHandshake";
    /// With version 1 the login goes on in requests of its own, with errors that say why.
    const VERSIONS: RangeInclusive<i16> = 1..=1;
    /// The error, and the mechanisms that the listener takes.
    type Answer = (ErrorCode, Vec<String>);

    fn write(&self, _version: i16, to: &mut Writer) {
        to.text(self.mechanism);
    }

    fn read(&self, _version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        Ok((ErrorCode(from.i16()?), from.list(|from| from.text().map(str::to_owned))?))
    }
}

/// A step of the login.
#[derive(Clone, Copy)]
pub struct SaslAuthenticate<'a> {
    /// What the mechanism has to say.
    pub words: &'a [u8],
}

/// What the broker says to a step of the login.
#[derive(Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Whether it goes on.
    pub error: ErrorCode,
    /// Why not, in the broker's words.
    pub message: Option<String>,
    /// What the mechanism has to say.
    pub words: Vec<u8>,
    /// How long the connection may be used, where the broker limits that (KIP-368).
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
