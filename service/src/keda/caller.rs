//! Validates a caller's names and metadata before anything is stored.

use tonic::Status;

use super::proto::ScaledObjectRef;
use super::status;
use crate::limits::{Limit, LimitMetrics, QuotaExceeded};

/// Kubernetes' own limits for names.
const LONGEST_NAMESPACE: usize = 63;
const LONGEST_NAME: usize = 253;

/// The checks on callers' requests.
#[derive(Clone, Debug)]
pub(super) struct Acceptance {
    metadata_bytes: usize,
    metrics: LimitMetrics,
}

impl Acceptance {
    pub(super) fn new(metadata_bytes: usize, metrics: &LimitMetrics) -> Self {
        metrics.set_most(Limit::MetadataBytes, metadata_bytes);
        Self { metadata_bytes, metrics: metrics.clone() }
    }

    /// Rejects names that are invalid in Kubernetes.
    pub(super) fn check_names(about: &ScaledObjectRef) -> Result<(), Status> {
        for (what, name, longest) in
            [("namespace", &about.namespace, LONGEST_NAMESPACE), ("name", &about.name, LONGEST_NAME)]
        {
            if name.len() > longest || name.chars().any(|sign| sign.is_control() || sign.is_whitespace()) {
                return Err(status::bad_name(what, longest));
            }
        }
        Ok(())
    }

    /// Rejects metadata that is too large to be kept while it is queried.
    pub(super) fn check_size(&self, about: &ScaledObjectRef) -> Result<(), Status> {
        let bytes = about.scaler_metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > self.metadata_bytes {
            self.metrics.refused(Limit::MetadataBytes);
            let owner = Some(format!("{}/{}", about.namespace, about.name));
            return Err(status::full(&QuotaExceeded { limit: Limit::MetadataBytes, count: bytes, owner }));
        }
        Ok(())
    }
}
