//! Times of day, in UTC as in the log.

use std::time::Duration;

use time::OffsetDateTime;

/// A time of day without its date is unique within this time.
const SAME_DAY: Duration = Duration::from_secs(18 * 3600);

/// The present, from which other times are counted.
#[derive(Clone, Copy, Debug)]
pub struct Clock(OffsetDateTime);

impl Clock {
    /// Reads the system's clock.
    #[must_use]
    pub fn now() -> Self {
        Self(OffsetDateTime::now_utc())
    }

    /// Formats a past time in hours and minutes, with its date where the time alone is not unique.
    #[must_use]
    pub fn ago(self, time: Duration) -> String {
        let then = self.0 - time;
        let clock = format!("{:02}:{:02}", then.hour(), then.minute());
        if time < SAME_DAY { clock } else { format!("{} {} {clock}", then.day(), month(then)) }
    }

    /// Formats a future time in hours and minutes; one within two minutes also in seconds.
    #[must_use]
    pub fn ahead(self, time: Duration) -> String {
        let then = self.0 + time;
        if time < Duration::from_secs(120) {
            return format!("{:02}:{:02}:{:02}", then.hour(), then.minute(), then.second());
        }
        format!("{:02}:{:02}", then.hour(), then.minute())
    }

    /// Formats a past time in hours, minutes and seconds.
    #[must_use]
    pub fn second_ago(self, time: Duration) -> String {
        let then = self.0 - time;
        format!("{:02}:{:02}:{:02}", then.hour(), then.minute(), then.second())
    }
}

fn month(time: OffsetDateTime) -> String {
    time.month().to_string().chars().take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_date_where_it_is_not_unique() {
        let clock = Clock(OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap());
        assert_eq!(clock.ago(Duration::from_secs(600)), "22:03");
        assert_eq!(clock.ago(Duration::from_secs(90_000)), "13 Nov 21:13");
        assert_eq!(clock.ahead(Duration::from_secs(38)), "22:13:58");
        assert_eq!(clock.ahead(Duration::from_secs(600)), "22:23");
        assert_eq!(clock.second_ago(Duration::from_secs(20)), "22:13:00");
    }
}
