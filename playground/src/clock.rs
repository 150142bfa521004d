//! The clock of the demo: it can be paused, and time in which the process did not run does not pass.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The clock is read several times per second; a longer step shows that the machine was asleep, or had no time for this process.
const LONGEST_STEP: Duration = Duration::from_millis(1500);

/// A clock that can be paused.
pub(crate) struct Clock {
    state: Mutex<State>,
}

struct State {
    begun: Instant,
    elapsed: Duration,
    read_at: Instant,
    runs: bool,
    /// Whether a person has paused it.
    paused: bool,
    /// The time that was left out because the process did not run, and when that was last the case.
    asleep: Duration,
    woke_at: Option<Duration>,
}

impl Clock {
    /// Creates a clock that does not run yet.
    pub(crate) fn stopped() -> Arc<Self> {
        Self::new(false)
    }

    /// Creates a clock that runs.
    #[cfg(test)]
    pub(crate) fn running() -> Arc<Self> {
        Self::new(true)
    }

    fn new(runs: bool) -> Arc<Self> {
        let now = Instant::now();
        let (elapsed, asleep) = (Duration::ZERO, Duration::ZERO);
        let state = State { begun: now, elapsed, read_at: now, runs, paused: false, asleep, woke_at: None };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Returns the time for which the clock has run.
    pub(crate) fn elapsed(&self) -> Duration {
        self.state().read(Instant::now())
    }

    /// Returns the present time of this clock.
    pub(crate) fn now(&self) -> Instant {
        let mut state = self.state();
        let elapsed = state.read(Instant::now());
        state.begun + elapsed
    }

    /// Whether time passes: the clock has begun and is not paused.
    pub(crate) fn is_running(&self) -> bool {
        self.state().runs
    }

    /// Whether a person has paused the clock.
    pub(crate) fn is_paused(&self) -> bool {
        self.state().paused
    }

    /// Lets the clock run for the first time.
    pub(crate) fn begin(&self) {
        self.pause(false);
    }

    /// Pauses the clock, or lets it run.
    pub(crate) fn pause(&self, paused: bool) {
        let mut state = self.state();
        state.read(Instant::now());
        (state.runs, state.paused) = (!paused, paused);
    }

    /// Returns how long the process did not run in all, and when it was last woken.
    pub(crate) fn asleep(&self) -> (Duration, Option<Duration>) {
        let state = self.state();
        (state.asleep, state.woke_at)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Advances to the real time `now`, and returns the time for which the clock has run.
    fn read(&mut self, now: Instant) -> Duration {
        let step = now.saturating_duration_since(self.read_at);
        self.read_at = now;
        if self.runs && step <= LONGEST_STEP {
            self.elapsed += step;
        } else if self.runs {
            self.asleep += step;
            self.woke_at = Some(self.elapsed);
        }
        self.elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_pause_nor_a_sleep_of_the_machine_is_time() {
        let begun = Instant::now();
        let second = Duration::from_secs(1);
        let (asleep, woke_at) = (Duration::ZERO, None);
        let mut state =
            State { begun, elapsed: Duration::ZERO, read_at: begun, runs: true, paused: false, asleep, woke_at };
        assert_eq!(state.read(begun + second), second);
        assert_eq!(state.read(begun + second * 601), second, "a laptop that slept for ten minutes");
        assert_eq!((state.asleep, state.woke_at), (second * 600, Some(second)));
        assert_eq!(state.read(begun + second * 602), second * 2);
        state.runs = false;
        assert_eq!(state.read(begun + second * 700), second * 2);
        state.runs = true;
        assert_eq!(state.read(begun + second * 701), second * 3);
        assert_eq!(state.asleep, second * 600, "a pause is no sleep");
    }
}
