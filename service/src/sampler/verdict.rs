//! Decides how old or failed readings are answered: one pure function, tested as a table.

use std::time::Duration;

use crate::lag::{SourceError, SourceErrorKind};

/// How to answer from the state of a target.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// Answer with the last reading, which is good.
    Serve,
    /// Answer with the last reading, which is still fresh enough although a later one failed.
    ServeStale(SourceError),
    /// Answer with an error, because there is no good reading.
    Fail(SourceError),
    /// Wait, because no reading has ended yet.
    Wait,
}

/// Evaluates the age of the last good reading and the failure since then, if there is one.
pub(super) fn verdict(age: Option<Duration>, failure: Option<&SourceError>, max_staleness: Duration) -> Verdict {
    match (age, failure) {
        (None, None) => Verdict::Wait,
        (Some(age), None) if age < max_staleness => Verdict::Serve,
        (Some(age), Some(error)) if age < max_staleness => Verdict::ServeStale(error.clone()),
        (_, Some(error)) => Verdict::Fail(error.clone()),
        (Some(age), None) => Verdict::Fail(overdue(age)),
    }
}

fn overdue(age: Duration) -> SourceError {
    let attempt = format!("the last reading is {} s old and the next one has not ended", age.as_secs());
    SourceError::new(SourceErrorKind::TimedOut, attempt).remedy("look at the scaler's log and its upstream calls")
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn an_old_answer_is_served_until_max_staleness_and_the_error_after_it() {
        let down = SourceError::new(SourceErrorKind::Unreachable, "down");
        let cases = [
            (None, None, "wait"),
            (None, Some(&down), "fail"),
            (Some(S(0)), None, "serve"),
            (Some(S(59)), None, "serve"),
            (Some(S(60)), None, "fail"),
            (Some(S(59)), Some(&down), "stale"),
            (Some(S(60)), Some(&down), "fail"),
            (Some(S(3600)), Some(&down), "fail"),
        ];
        for (age, failure, expected) in cases {
            let seen = match verdict(age, failure, S(60)) {
                Verdict::Serve => "serve",
                Verdict::ServeStale(_) => "stale",
                Verdict::Fail(_) => "fail",
                Verdict::Wait => "wait",
            };
            assert_eq!(seen, expected, "age {age:?}, failure {failure:?}");
        }
    }

    #[test]
    fn the_error_that_is_served_is_the_failure_itself() {
        let denied = SourceError::new(SourceErrorKind::Denied, "reading group a").because("wrong password");
        let Verdict::Fail(error) = verdict(Some(S(61)), Some(&denied), S(60)) else { panic!("must fail") };
        assert_eq!(error.kind(), SourceErrorKind::Denied);
        assert_eq!(error.chain(), "reading group a: wrong password");
    }
}
