//! HTTP: a request of one of AWS's JSON protocols in, an answer with its date out.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, DATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde_json::Value;
use tokio::net::TcpListener;

use super::Stream;

const SECONDS_A_DAY: u64 = 86_400;

/// Answers every request, whatever its path, until the task is aborted.
pub(super) async fn serve(listener: TcpListener, stream: Arc<Stream>) -> std::io::Result<()> {
    axum::serve(listener, Router::new().fallback(handle).with_state(stream)).await
}

async fn handle(State(stream): State<Arc<Stream>>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let input: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, answer) = match stream.answer(target, &input) {
        Ok(answer) => (StatusCode::OK, answer),
        Err(refusal) => (StatusCode::BAD_REQUEST, refusal),
    };
    // a paused demo does not age records: the scaler takes the service's time from here
    let date = http_date(stream.unix_ms(stream.clock.elapsed()) / 1000);
    (status, [(DATE, date), (CONTENT_TYPE, "application/x-amz-json-1.1".to_owned())], answer.to_string())
}

/// Formats seconds since 1970 as in `Fri, 20 Nov 2026 22:00:00 GMT`.
fn http_date(seconds: u64) -> String {
    /// From the first day of 1970 on.
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, time) = (seconds / SECONDS_A_DAY, seconds % SECONDS_A_DAY);
    let (mut year, mut day) = (1970, days);
    while day >= length_of(year) {
        day -= length_of(year);
        year += 1;
    }
    let lengths = [31, length_of(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let weekday = DAYS[usize::try_from(days % 7).unwrap_or_default()];
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{weekday}, {:02} {} {year} {hour:02}:{minute:02}:{second:02} GMT", day + 1, MONTHS[month])
}

/// Returns the number of days of a year.
const fn length_of(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        let cases = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_795_212_000, "Fri, 20 Nov 2026 22:00:00 GMT"),
            (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(http_date(seconds), expected);
        }
    }
}
