//! Shared reads: all callers that need a value which is being read wait for that read and share its result.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, ready};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A failure is shared by all callers within this time after it, so that hundreds of sources make one call and not hundreds.
const FAILURE_LASTS: Duration = Duration::from_secs(1);

/// Values that are not used for this time are removed; targets are read every ten minutes at least.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(60);

/// A value that is read repeatedly, by one task at a time.
///
/// Each read is a task of its own: it continues when its caller is gone.
pub(super) struct Shared<T, E>(Mutex<State<T, E>>);

/// The task that reads the value has panicked.
pub(super) struct Panicked;

struct State<T, E> {
    good: Option<Fetched<T>>,
    failed: Option<(Instant, E)>,
    running: Option<Running<T, E>>,
}

/// A result, and when its read began.
pub(super) struct Fetched<T> {
    pub(super) begun: Instant,
    pub(super) value: Arc<T>,
}

struct Running<T, E> {
    ended: watch::Receiver<Option<Result<Fetched<T>, E>>>,
    task: JoinHandle<()>,
}

/// Values by key, for as long as they are used.
pub(super) struct Registry<K, V>(Mutex<HashMap<K, (Instant, Arc<V>)>>);

// === impl Shared ===

impl<T, E> Default for Shared<T, E> {
    fn default() -> Self {
        Self(Mutex::new(State { good: None, failed: None, running: None }))
    }
}

impl<T: Send + Sync + 'static, E: Clone + From<Panicked> + Send + Sync + 'static> Shared<T, E> {
    /// Returns the newest successful result.
    pub(super) fn latest(&self) -> Option<Fetched<T>> {
        self.0.lock().good.clone()
    }

    /// Returns a result that is being read now, or whose read began at `since` or later; else that of a new read. The read begins at once,
    /// whether or not the future is awaited.
    pub(super) fn get<F, Fetch: FnOnce() -> F>(
        self: &Arc<Self>,
        since: Instant,
        fetch: Fetch,
    ) -> impl Future<Output = Result<Fetched<T>, E>> + Send + 'static + use<T, E, F, Fetch>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let mut state = self.0.lock();
        if let Some(running) = state.running.as_ref().filter(|running| running.is_under_way()) {
            return Either::Right(outcome(running.ended.clone()));
        }
        if let Some(good) = state.good.as_ref().filter(|good| good.begun >= since) {
            return Either::Left(ready(Ok(good.clone())));
        }
        if let Some((at, failure)) = &state.failed
            && at.elapsed() < FAILURE_LASTS
        {
            return Either::Left(ready(Err(failure.clone())));
        }
        let (publish, ended) = watch::channel(None);
        let (shared, fetch) = (Arc::downgrade(self), fetch());
        let task = tokio::spawn(async move {
            let begun = Instant::now();
            let result = fetch.await.map(|value| Fetched { begun, value: Arc::new(value) });
            if let Some(shared) = shared.upgrade() {
                shared.0.lock().keep(&result);
            }
            // all callers may be gone
            publish.send_replace(Some(result));
        });
        state.running = Some(Running { ended: ended.clone(), task });
        Either::Right(outcome(ended))
    }
}

async fn outcome<T, E: Clone + From<Panicked>>(
    mut ended: watch::Receiver<Option<Result<Fetched<T>, E>>>,
) -> Result<Fetched<T>, E> {
    let result = ended.wait_for(Option::is_some).await.map_err(|_| Panicked)?;
    result.clone().ok_or(Panicked)?
}

impl<T, E: Clone> State<T, E> {
    fn keep(&mut self, result: &Result<Fetched<T>, E>) {
        // otherwise the memory of the task stays allocated
        self.running = None;
        match result {
            Ok(fetched) => {
                self.good = Some(fetched.clone());
                self.failed = None;
            }
            Err(failure) => self.failed = Some((Instant::now(), failure.clone())),
        }
    }
}

impl<T> Clone for Fetched<T> {
    fn clone(&self) -> Self {
        Self { begun: self.begun, value: self.value.clone() }
    }
}

impl<T, E> Running<T, E> {
    fn is_under_way(&self) -> bool {
        self.ended.borrow().is_none() && self.ended.has_changed().is_ok()
    }
}

impl<T, E> Drop for Running<T, E> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Registry ===

impl<K, V> Default for Registry<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V> Registry<K, V> {
    /// Returns the value of `key`; creates it where the key is new.
    pub(super) fn get_or_insert(&self, key: &K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut all = self.0.lock();
        let now = Instant::now();
        if let Some((used, value)) = all.get_mut(key) {
            *used = now;
            return value.clone();
        }
        all.retain(|_, (used, _)| now.duration_since(*used) < FORGOTTEN_AFTER);
        let value = Arc::new(make());
        all.insert(key.clone(), (now, value.clone()));
        value
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Failure;

    impl From<Panicked> for Failure {
        fn from(Panicked: Panicked) -> Self {
            Self
        }
    }

    /// Counts reads, each of which takes this time.
    struct Reads(Arc<AtomicU32>, Duration);

    impl Reads {
        fn read(&self) -> impl Future<Output = Result<u32, Failure>> + Send + 'static + use<> {
            let (count, takes) = (self.0.clone(), self.1);
            async move {
                tokio::time::sleep(takes).await;
                Ok(count.fetch_add(1, Ordering::Relaxed))
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn six_who_wait_for_a_slow_read_take_its_result_whatever_its_age() {
        let (shared, reads) =
            (Arc::new(Shared::<u32, Failure>::default()), Reads(Arc::default(), Duration::from_secs(4)));
        let begun = Instant::now();
        let waiting = (0..6).map(|nth| {
            let (shared, read) = (shared.clone(), reads.read());
            async move {
                tokio::time::sleep(Duration::from_millis(600) * nth).await;
                // everything that began before is too old
                *shared.get(Instant::now(), || read).await.expect("a result").value
            }
        });
        assert_eq!(futures_util::future::join_all(waiting).await, [0; 6]);
        assert_eq!(begun.elapsed(), Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_is_read_again_for_those_who_need_a_newer_one() {
        let (shared, reads) =
            (Arc::new(Shared::<u32, Failure>::default()), Reads(Arc::default(), Duration::from_secs(1)));
        let since = Instant::now();
        for expected in [0, 0] {
            assert_eq!(*shared.get(since, || reads.read()).await.expect("a result").value, expected);
        }
        assert_eq!(*shared.get(Instant::now(), || reads.read()).await.expect("a result").value, 1);
        assert_eq!(shared.latest().map(|latest| *latest.value), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_for_a_second_and_leaves_the_good_result() {
        let shared = Arc::new(Shared::<u32, Failure>::default());
        let fails = || async { Err(Failure) };
        let works = || async { Ok(1) };
        shared.get(Instant::now(), works).await.expect("a result");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(shared.get(Instant::now(), fails).await.is_err());
        assert!(shared.get(Instant::now(), works).await.is_err());
        assert_eq!(shared.latest().map(|latest| *latest.value), Some(1));
        tokio::time::advance(FAILURE_LASTS).await;
        assert!(shared.get(Instant::now(), works).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_goes_on_without_the_one_who_started_it_and_a_panic_is_an_error() {
        let (shared, reads) =
            (Arc::new(Shared::<u32, Failure>::default()), Reads(Arc::default(), Duration::from_secs(3)));
        drop(shared.get(Instant::now(), || reads.read()));
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(shared.latest().map(|latest| *latest.value), Some(0));
        let panics = || async { panic!("on purpose") };
        assert!(shared.get(Instant::now(), panics).await.is_err());
        assert_eq!(*shared.get(Instant::now(), || reads.read()).await.expect("a result").value, 1);
    }
}
