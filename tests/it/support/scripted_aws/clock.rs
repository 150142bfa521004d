//! The time, and how AWS writes it.

use std::time::{SystemTime, UNIX_EPOCH};

/// From the first day of 1970 on.
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The time of this machine.
#[expect(clippy::disallowed_methods, reason = "this server is the outside world, which has a clock of its own")]
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

/// As in a `Date` header: `Fri, 20 Nov 2026 22:00:00 GMT`.
pub fn http_date(ms: u64) -> String {
    let Moment { year, month, day, weekday, time } = Moment::of(ms);
    format!("{weekday}, {day:02} {} {year} {time} GMT", MONTHS[month])
}

/// As in the errors of Kinesis: `Fri Nov 20 22:00:00 UTC 2026`.
pub(super) fn utc_text(ms: u64) -> String {
    let Moment { year, month, day, weekday, time } = Moment::of(ms);
    format!("{weekday} {} {day:02} {time} UTC {year}", MONTHS[month])
}

/// As in the label of a table's stream: `2026-11-20T22:00:00.000`.
pub(super) fn label(ms: u64) -> String {
    let Moment { year, month, day, time, .. } = Moment::of(ms);
    format!("{year}-{:02}-{day:02}T{time}.{:03}", month + 1, ms % 1000)
}

struct Moment {
    year: u64,
    /// From 0.
    month: usize,
    day: u64,
    weekday: &'static str,
    time: String,
}

impl Moment {
    fn of(ms: u64) -> Self {
        let (secs, mut day) = (ms / 1000 % 86_400, ms / 86_400_000);
        let weekday = DAYS[usize::try_from(day % 7).unwrap()];
        let mut year = 1970;
        while day >= days_of(year) {
            day -= days_of(year);
            year += 1;
        }
        let mut month = 0;
        while day >= days_of_month(year, month) {
            day -= days_of_month(year, month);
            month += 1;
        }
        let time = format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60);
        Self { year, month, day: day + 1, weekday, time }
    }
}

fn days_of(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leap { 366 } else { 365 }
}

fn days_of_month(year: u64, month: usize) -> u64 {
    match month {
        1 => days_of(year) - 337,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}
