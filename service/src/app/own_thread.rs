//! Runs a server on a thread of its own, so that its work cannot delay an answer to KEDA.

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Runs the future of `serve` on a thread with its own runtime, and waits for its end. Dropping the returned future stops it.
///
/// # Errors
/// Fails if the system cannot start a thread, if the server returns an error, or if it panics.
pub(super) async fn on_own_thread<F>(
    name: &'static str,
    serve: impl FnOnce() -> F + Send + 'static,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let end = CancellationToken::new();
    let ended = end.clone();
    let _end = end.drop_guard();
    let (report, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned());
    let run = move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let served = runtime.block_on(async {
            tokio::select! {
                served = serve() => served,
                () = ended.cancelled() => Ok(()),
            }
        });
        // the shutdown does not wait for blocking threads that still run
        runtime.shutdown_background();
        served
    };
    thread
        .spawn(move || {
            // the service may have stopped waiting; it handles that case itself
            let _ = report.send(run());
        })
        .with_context(|| format!("could not start the thread {name}"))?;
    outcome.await.with_context(|| format!("the thread {name} panicked"))?
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_handler_that_blocks_its_thread_delays_nothing_on_the_answering_one() {
        let (release, blocked) = channel::<()>();
        let (entered, is_entered) = oneshot::channel();
        let serving = tokio::spawn(on_own_thread("test", move || async move {
            entered.send(()).expect("the test waits");
            // blocks the thread like a page that takes long to render
            assert_eq!(blocked.recv_timeout(Duration::from_secs(60)), Ok(()));
            Ok(())
        }));
        is_entered.await.expect("it begins");
        // runs on the only thread of this runtime, while the other thread is blocked
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(!serving.is_finished());
        release.send(()).expect("it is there");
        serving.await.expect("no panic").expect("no error");
    }

    #[tokio::test]
    async fn an_error_and_a_panic_of_the_server_are_reported() {
        let failed = on_own_thread("test", || async { anyhow::bail!("it is scripted so") }).await;
        assert_eq!(failed.expect_err("an error").to_string(), "it is scripted so");
        let panicked = on_own_thread("test", || async { panic!("it is scripted so") }).await;
        assert_eq!(panicked.expect_err("an error").to_string(), "the thread test panicked");
    }

    #[tokio::test]
    async fn the_server_ends_with_the_future() {
        let (held, is_held) = channel::<()>();
        let serving = tokio::spawn(on_own_thread("test", move || async move {
            let _held = held;
            std::future::pending().await
        }));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(is_held.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        serving.abort();
        let gone = tokio::task::spawn_blocking(move || is_held.recv_timeout(Duration::from_secs(20)));
        assert_eq!(gone.await.expect("no panic"), Err(RecvTimeoutError::Disconnected));
    }
}
