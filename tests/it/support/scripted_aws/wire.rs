//! HTTP: a request in, an answer with AWS's headers out.

use std::future::pending;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, DATE, SERVER};
use axum::http::{HeaderMap, Response, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::call::{Call, Service};
use super::cbor;
use super::clock::http_date;
use super::errors::Refusal;
use super::script::Behaviour;
use super::{Answer, ScriptedAws};

/// Answers every request, whatever its path.
pub(super) async fn serve(listener: TcpListener, aws: ScriptedAws) {
    let router = Router::new().fallback(handle).with_state(aws);
    axum::serve(listener, router).await.unwrap();
}

async fn handle(State(aws): State<ScriptedAws>, path: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let Some(call) = Call::read(path.path(), &headers, &body) else {
        return respond(&aws, Service::Kinesis, Err(Refusal::unknown_operation()));
    };
    let verdict = aws.world().admit(&call);
    if !verdict.delay.is_zero() {
        sleep(verdict.delay).await;
    }
    match verdict.instead {
        Some(Behaviour::Silent) => pending().await,
        // The task of the connection ends here, without a word about a panic, and drops the connection.
        Some(Behaviour::Closed) => resume_unwind(Box::new("closed by the script")),
        _ => {}
    }
    let refusal = verdict.instead.and_then(|behaviour| Refusal::scripted(behaviour, &call));
    let answer = refusal.map_or_else(|| aws.world().answer(&call), Err);
    if verdict.instead == Some(Behaviour::LostAnswer) {
        resume_unwind(Box::new("lost by the script"));
    }
    respond(&aws, call.service, answer)
}

fn respond(aws: &ScriptedAws, service: Service, answer: Answer) -> Response<Body> {
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err(Refusal { status, body }) => (status, body),
    };
    let body = if service == Service::CloudWatch { cbor::encode(&body) } else { body.to_string().into_bytes() };
    let answer = Response::builder().status(status).header(DATE, http_date(aws.now()));
    let answer = match service {
        Service::CloudWatch => answer.header(CONTENT_TYPE, "application/cbor").header("smithy-protocol", "rpc-v2-cbor"),
        Service::Kinesis => answer
            .header(CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amzn-RequestId", format!("00000000-0000-4000-8000-{:012x}", next_request()))
            .header("x-amz-id-2", STANDARD.encode([42; 64])),
        Service::DynamoDb | Service::Streams => answer
            .header(SERVER, "Server")
            .header(CONTENT_TYPE, "application/x-amz-json-1.0")
            .header("x-amzn-RequestId", letters(next_request()))
            .header("x-amz-crc32", crc32(&body)),
    };
    answer.body(Body::from(body)).unwrap()
}

fn next_request() -> u64 {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    REQUESTS.fetch_add(1, Ordering::Relaxed)
}

/// A number as 52 capital letters.
fn letters(number: u64) -> String {
    format!("{number:052x}")
        .chars()
        .map(|digit| char::from(b'A' + u8::try_from(digit.to_digit(16).unwrap()).unwrap()))
        .collect()
}

/// The CRC-32 of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}
