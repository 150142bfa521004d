//! The requests that a broker supports.

use std::ops::RangeInclusive;

use super::{ApiKey, ErrorCode, Request};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

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
