//! The seam between those who read sources and those who decide when: owned here, implemented above.

use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::{Observation, SourceError};
use crate::trigger::SourceRef;

/// What nobody has asked about for this long is forgotten, unless somebody watches it.
pub const FORGET_AFTER: Duration = Duration::from_mins(10);

/// Takes the outcome for one source of a round, as soon as it is known.
pub type Report = Arc<dyn Fn(&Arc<SourceRef>, Result<Observation, SourceError>) + Send + Sync>;

/// Reads sources.
pub trait Observe: Send + Sync + 'static {
    /// The client that a source needs: one sampling loop runs for each.
    type Backend: Clone + Debug + Eq + Hash + Send + Sync + 'static;

    /// Whether `namespace` may have `source` read, and by which client. No I/O: it is asked on every call.
    ///
    /// # Errors
    /// [`super::SourceErrorKind::Denied`], with what would allow it.
    fn admit(&self, namespace: &str, source: &SourceRef) -> Result<Self::Backend, SourceError>;

    /// Reads the `due` sources of one backend, batched, and reports each exactly once; ends within bounded time.
    fn observe(
        &self,
        backend: &Self::Backend,
        due: Vec<Arc<SourceRef>>,
        report: Report,
    ) -> impl Future<Output = ()> + Send;

    /// Whether what led to this backend leads there still. No I/O.
    fn is_current(&self, _backend: &Self::Backend) -> bool {
        true
    }

    /// Nobody asks for this backend any more: its client may go.
    fn forget(&self, backend: &Self::Backend);
}
