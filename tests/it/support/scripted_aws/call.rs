//! One request, as far as it can be told before it is answered.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use serde_json::Value;

use super::cbor;
use super::kinesis_api::ShardsToken;
use super::shard::{self, Cursor};

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    CloudWatch,
    Kinesis,
    DynamoDb,
    Streams,
}

impl Service {
    fn of_target(target: &str) -> Option<Self> {
        match target {
            "Kinesis_20131202" => Some(Self::Kinesis),
            "DynamoDB_20120810" => Some(Self::DynamoDb),
            "DynamoDBStreams_20120810" => Some(Self::Streams),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::CloudWatch => "CloudWatch",
            Self::Kinesis => "Kinesis",
            Self::DynamoDb => "DynamoDB",
            Self::Streams => "DynamoDBStreams",
        }
    }
}

/// Who signed a request, as its `Authorization` header says; signatures are not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The id of the access key.
    pub access_key_id: String,
    /// The region that it was signed for.
    pub region: String,
    /// The token of a temporary key.
    pub session_token: Option<String>,
}

impl Signer {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let (_, credential) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once("Credential=")?;
        let mut parts = credential.split('/');
        let (access_key_id, _day, region) = (parts.next()?, parts.next()?, parts.next()?);
        let token = headers.get("x-amz-security-token").and_then(|token| token.to_str().ok()).map(str::to_owned);
        Some(Self { access_key_id: access_key_id.to_owned(), region: region.to_owned(), session_token: token })
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) service: Service,
    pub(super) operation: String,
    /// The name of the stream or table; the ARN if it is the stream of a table. Empty if the request names none.
    pub(super) resource: String,
    pub(super) shard: Option<String>,
    pub(super) signer: Option<Signer>,
    pub(super) input: Value,
}

impl Call {
    /// Reads a request; nothing if it is of no service that is known here.
    pub(super) fn read(path: &str, headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        if let Some(operation) = path.strip_prefix("/service/GraniteServiceVersion20100801/operation/") {
            let (service, operation) = (Service::CloudWatch, operation.to_owned());
            let (resource, signer) = (String::new(), Signer::of(headers));
            return Some(Self { service, operation, resource, shard: None, signer, input: cbor::decode(body)? });
        }
        let (target, operation) = headers.get("x-amz-target")?.to_str().ok()?.split_once('.')?;
        let service = Service::of_target(target)?;
        let input: Value = serde_json::from_slice(body).ok()?;
        let (resource, shard) = subject(service, &input);
        Some(Self { service, operation: operation.to_owned(), resource, shard, signer: Signer::of(headers), input })
    }

    /// Whether it is of this operation and, if one is given, about this stream, table, `SHARD` or `STREAM/SHARD`.
    pub(super) fn is(&self, operation: &str, about: Option<&str>) -> bool {
        let named = match operation.split_once('.') {
            Some((service, operation)) => service == self.service.name() && operation == self.operation,
            None => operation == self.operation,
        };
        named && about.is_none_or(|about| self.is_about(about))
    }

    fn is_about(&self, about: &str) -> bool {
        let shard = self.shard.as_deref();
        let of_resource = about.strip_prefix(&self.resource);
        about == self.resource
            || shard == Some(about)
            || shard.is_some() && of_resource.and_then(|rest| rest.strip_prefix('/')) == shard
    }

    /// A text of the request.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.input[name].as_str()
    }
}

fn subject(service: Service, input: &Value) -> (String, Option<String>) {
    let text = |name: &str| input[name].as_str();
    if let Some(iterator) = text("ShardIterator").and_then(shard::decode::<Cursor>) {
        return (iterator.stream, Some(iterator.shard));
    }
    let resource = match service {
        Service::CloudWatch => None,
        Service::Kinesis => kinesis_stream(input),
        Service::DynamoDb => text("TableName").map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()),
        Service::Streams => text("StreamArn").map(str::to_owned),
    };
    (resource.unwrap_or_default(), text("ShardId").map(str::to_owned))
}

fn kinesis_stream(input: &Value) -> Option<String> {
    if let Some(token) = input["NextToken"].as_str() {
        return shard::decode::<ShardsToken>(token).map(|token| token.stream);
    }
    let arn = input["StreamARN"].as_str().and_then(|arn| arn.rsplit('/').next());
    input["StreamName"].as_str().or(arn).map(str::to_owned)
}
