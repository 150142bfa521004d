//! Tasks that run as long as the service: a panic loses the work in progress, never the task.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// The pause after the first panic of a task; it doubles with each panic that follows soon.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between a panic and the next start.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Runs the tasks that `start` creates, one after the other, until one returns. A panic is logged as an error, and the next task
/// starts after a pause of 1 s to 60 s. Dropping the future ends the task.
pub async fn supervised<F>(name: &'static str, mut start: impl FnMut() -> F + Send)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        let Err(error) = AbortOnDropHandle::new(tokio::spawn(start())).await else { return };
        if !error.is_panic() {
            // the runtime is shutting down
            return;
        }
        pause = if started.elapsed() > LONGEST_PAUSE { FIRST_PAUSE } else { pause };
        let restart_in_s = pause.as_secs();
        tracing::error!(task = name, panic = panic_text(error), restart_in_s, "a task panicked and is started again");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Returns the message of a panic, or why there is none.
pub fn panic_text(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => payload_text(&*payload),
        Err(cancelled) => cancelled.to_string(),
    }
}

/// Returns the message that a panic carries.
pub fn payload_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_started_again_after_longer_and_longer_pauses() {
        let starts = Arc::new(AtomicUsize::new(0));
        let counted = starts.clone();
        let begun = Instant::now();
        supervised("test", move || {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            async move { assert!(number >= 3, "it is scripted so") }
        })
        .await;
        assert_eq!(starts.load(Ordering::Relaxed), 4);
        assert_eq!(begun.elapsed().as_secs(), 1 + 2 + 4);
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_the_supervisor_ends_the_task() {
        let alive = Arc::new(());
        let held = alive.clone();
        let supervisor = tokio::spawn(supervised("test", move || {
            let held = held.clone();
            async move {
                sleep(Duration::from_secs(3600)).await;
                drop(held);
            }
        }));
        sleep(Duration::from_secs(1)).await;
        supervisor.abort();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
