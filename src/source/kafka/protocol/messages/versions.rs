//! Which requests a broker takes.

use std::ops::RangeInclusive;

use super::{ApiKey, ErrorCode, Request};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

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
