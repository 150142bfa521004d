//! The interface between sampling, which decides when to read, and the readers of sources, which implement it.

use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::{Observation, SourceError};
use crate::trigger::SourceRef;

/// A source that no caller has requested for this long is dropped, unless a client watches it.
pub const FORGET_AFTER: Duration = Duration::from_mins(10);

/// Receives the outcome for one source of a round, as soon as it is known.
pub type Report = Arc<dyn Fn(&Arc<SourceRef>, Result<Observation, SourceError>) + Send + Sync>;

/// A reader of sources.
pub trait Observe: Send + Sync + 'static {
    /// The client that a source needs: one sampling loop runs for each.
    type Backend: Clone + Debug + Eq + Hash + Send + Sync + 'static;

    /// Checks whether `namespace` may read `source`, and returns the client to use. No I/O: this runs on every call.
    ///
    /// # Errors
    /// [`super::SourceErrorKind::Denied`], with what would allow the access.
    fn admit(&self, namespace: &str, source: &SourceRef) -> Result<Self::Backend, SourceError>;

    /// Reads the `due` sources of one backend in batches, and reports each exactly once; ends within bounded time.
    fn observe(
        &self,
        backend: &Self::Backend,
        due: Vec<Arc<SourceRef>>,
        report: Report,
    ) -> impl Future<Output = ()> + Send;

    /// Whether the configuration that led to this backend still leads to it. No I/O.
    fn is_current(&self, _backend: &Self::Backend) -> bool {
        true
    }

    /// Releases the client of a backend that no source needs any more.
    fn forget(&self, backend: &Self::Backend);
}
