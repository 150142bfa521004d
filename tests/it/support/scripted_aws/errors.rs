//! The errors of AWS, word for word.

use serde_json::{Value, json};

use super::call::{Call, Service};
use super::clock::utc_text;
use super::script::Behaviour;
use super::{ACCOUNT, REGION};

const DYNAMODB: &str = "com.amazonaws.dynamodb.v20120810#";
const CORAL: &str = "com.amazon.coral.service#";
const CORAL_VALIDATE: &str = "com.amazon.coral.validate#";
const CORAL_AVAILABILITY: &str = "com.amazon.coral.availability#";

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Refusal {
    /// An error that the service itself defines.
    pub(super) fn new(service: Service, kind: &str, message: &str) -> Self {
        Self::within(service, DYNAMODB, kind, message)
    }

    fn within(service: Service, namespace: &str, kind: &str, message: &str) -> Self {
        let namespace = if service == Service::Kinesis { "" } else { namespace };
        Self { status: 400, body: json!({"__type": format!("{namespace}{kind}"), "message": message}) }
    }

    /// The operation is none that is known here.
    pub(super) fn unknown_operation() -> Self {
        let kind = format!("{CORAL}UnknownOperationException");
        Self { status: 400, body: json!({"__type": kind, "message": "this server has no such operation"}) }
    }

    pub(super) fn kinesis(kind: &str, message: &str) -> Self {
        Self::new(Service::Kinesis, kind, message)
    }

    pub(super) fn invalid_argument(message: &str) -> Self {
        Self::new(Service::Kinesis, "InvalidArgumentException", message)
    }

    pub(super) fn validation(message: &str) -> Self {
        Self::within(Service::DynamoDb, CORAL_VALIDATE, "ValidationException", message)
    }

    pub(super) fn no_stream(stream: &str) -> Self {
        let message = format!("Stream {stream} under account {ACCOUNT} not found.");
        Self::new(Service::Kinesis, "ResourceNotFoundException", &message)
    }

    pub(super) fn no_shard(stream: &str, shard: &str) -> Self {
        let message = format!("Shard {shard} in stream {stream} under account {ACCOUNT} does not exist");
        Self::new(Service::Kinesis, "ResourceNotFoundException", &message)
    }

    /// There is no such table, or stream of a table, or shard of that.
    pub(super) fn no_resource() -> Self {
        Self::new(Service::DynamoDb, "ResourceNotFoundException", "Requested resource not found")
    }

    pub(super) fn trimmed() -> Self {
        let message = "The operation attempted to read past the oldest stream record in a shard.";
        Self::new(Service::Streams, "TrimmedDataAccessException", message)
    }

    pub(super) fn expired_iterator(service: Service, created_ms: u64, now: u64, life_ms: u64) -> Self {
        let kind = "ExpiredIteratorException";
        if service == Service::Streams {
            return Self::new(service, kind, "The shard iterator has expired.");
        }
        let message = format!(
            "Iterator expired. The iterator was created at time {} while right now it is {} which is further in the \
             future than the tolerated delay of {life_ms} milliseconds.",
            utc_text(created_ms),
            utc_text(now)
        );
        Self::new(service, kind, &message)
    }

    /// What this call gets when it is to fail so; nothing if that is no matter of an answer.
    pub(super) fn scripted(behaviour: Behaviour, call: &Call) -> Option<Self> {
        let service = call.service;
        match behaviour {
            Behaviour::Throttled => Some(throttled(call)),
            Behaviour::TooManyReaders => Some(too_many_readers(service)),
            Behaviour::AccessDenied => Some(denied(call)),
            Behaviour::ExpiredToken => {
                let message = "The security token included in the request is expired";
                Some(Self::within(service, CORAL, "ExpiredTokenException", message))
            }
            Behaviour::UnknownKey => {
                let message = "The security token included in the request is invalid.";
                Some(Self::within(service, CORAL, "UnrecognizedClientException", message))
            }
            Behaviour::InternalFailure => Some(failure(service)),
            Behaviour::Silent | Behaviour::Closed | Behaviour::LostAnswer | Behaviour::Delayed(_) => None,
        }
    }
}

fn throttled(call: &Call) -> Refusal {
    let (service, resource) = (call.service, &call.resource);
    match (service, &*call.operation) {
        (Service::Kinesis, "GetRecords" | "GetShardIterator") => {
            let shard = call.shard.as_deref().unwrap_or_default();
            let message = format!("Rate exceeded for Shard - {ACCOUNT}/{resource}/{shard}");
            Refusal::new(service, "ProvisionedThroughputExceededException", &message)
        }
        (Service::Kinesis, _) => {
            let message = format!("Rate exceeded for stream {resource} under account {ACCOUNT}.");
            Refusal::new(service, "LimitExceededException", &message)
        }
        (Service::DynamoDb, "Scan" | "Query") => {
            let message = "The level of configured provisioned throughput for the table was exceeded. Consider \
                           increasing your provisioning level with the UpdateTable API.";
            Refusal::new(service, "ProvisionedThroughputExceededException", message)
        }
        _ => Refusal::within(service, CORAL_AVAILABILITY, "ThrottlingException", "Rate exceeded"),
    }
}

fn too_many_readers(service: Service) -> Refusal {
    Refusal::new(service, "LimitExceededException", "Too many processes read from this shard at the same time.")
}

fn denied(call: &Call) -> Refusal {
    let Call { service, operation, resource, .. } = call;
    let (prefix, resource) = match service {
        Service::Kinesis => ("kinesis", format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{resource}")),
        Service::CloudWatch => ("cloudwatch", "*".to_owned()),
        Service::DynamoDb => ("dynamodb", format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{resource}")),
        Service::Streams => ("dynamodb", resource.clone()),
    };
    let message = format!(
        "User: arn:aws:sts::{ACCOUNT}:assumed-role/scaler/s is not authorized to perform: {prefix}:{operation} on \
         resource: {resource} because no identity-based policy allows the {prefix}:{operation} action"
    );
    let namespace = if *service == Service::Kinesis { "" } else { CORAL };
    let kind = format!("{namespace}AccessDeniedException");
    Refusal { status: 400, body: json!({"__type": kind, "Message": message}) }
}

fn failure(service: Service) -> Refusal {
    let body = match service {
        Service::Kinesis => json!({"__type": "InternalFailure"}),
        _ => json!({"__type": format!("{DYNAMODB}InternalServerError"), "message": "Internal server error"}),
    };
    Refusal { status: 500, body }
}
