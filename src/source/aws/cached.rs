//! Answers that are shared: whoever comes while one is fetched waits for it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;
use crate::lag::FORGET_AFTER;

/// A failure is everybody's for so long, so that hundreds of sources make one call and not hundreds.
const FAILURE_LASTS: Duration = Duration::from_secs(1);

/// The newest answer.
pub(super) struct Cached<T>(tokio::sync::Mutex<Option<Answer<T>>>);

struct Answer<T> {
    /// When it was asked for.
    at: Instant,
    said: Result<Arc<T>, Failure>,
}

/// Values by key, for as long as they are used.
pub(super) struct Kept<K, V>(Mutex<HashMap<K, (Instant, Arc<V>)>>);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(tokio::sync::Mutex::new(None))
    }
}

impl<T> Cached<T> {
    /// The answer where it is no older than `oldest`, else a new one.
    pub(super) async fn get(
        &self,
        oldest: Duration,
        fetch: impl Future<Output = Result<T, Failure>>,
    ) -> Result<Arc<T>, Failure> {
        let mut kept = self.0.lock().await;
        if let Some(Answer { at, said }) = kept.as_ref() {
            let lasts = if said.is_ok() { oldest } else { FAILURE_LASTS };
            if at.elapsed() < lasts {
                return said.clone();
            }
        }
        // older than what it tells: the time is taken before the call
        let at = Instant::now();
        let said = fetch.await.map(Arc::new);
        *kept = Some(Answer { at, said: said.clone() });
        said
    }
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Default> Kept<K, V> {
    /// The value of `key`, made where it is new.
    pub(super) fn of(&self, key: &K) -> Arc<V> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((used, value)) = all.get_mut(key) {
            *used = now;
            return value.clone();
        }
        all.retain(|_, (used, _)| now.duration_since(*used) < FORGET_AFTER);
        let value = Arc::new(V::default());
        all.insert(key.clone(), (now, value.clone()));
        value
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::source::aws::failure::FailureKind;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_fetched_once_while_it_lasts() {
        let (cached, fetched) = (Cached::default(), AtomicU32::new(0));
        let get = || {
            cached.get(Duration::from_secs(60), async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(fetched.fetch_add(1, Ordering::Relaxed))
            })
        };
        let (one, two) = tokio::join!(get(), get());
        assert_eq!((*one.expect("one"), *two.expect("two")), (0, 0));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(*get().await.expect("a new one"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_lasts_a_second() {
        let cached = Cached::<u32>::default();
        let failure = Failure::new(FailureKind::Missing, "gone");
        assert!(cached.get(Duration::from_secs(60), async { Err(failure) }).await.is_err());
        assert!(cached.get(Duration::from_secs(60), async { Ok(1) }).await.is_err());
        tokio::time::advance(FAILURE_LASTS).await;
        assert_eq!(*cached.get(Duration::from_secs(60), async { Ok(1) }).await.expect("an answer"), 1);
    }
}
