//! The labels of series. `namespace` and `scaledObject` are KEDA's own label names, so that its metrics can be joined.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};

/// The labels of a `ScaledObject` and one of its sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectLabels {
    pub(super) namespace: Arc<str>,
    pub(super) scaled_object: Arc<str>,
    /// The value of `source` in the metadata.
    pub(super) source: &'static str,
    /// The identifier of the source in the status page's addresses.
    pub(super) target: Arc<str>,
}

/// The labels of one trigger of a `ScaledObject`.
#[derive(Clone, Debug)]
pub(super) struct TriggerLabels {
    pub(super) object: ObjectLabels,
    /// The metric's name without KEDA's prefix `s0-`.
    pub(super) metric: String,
    /// Distinguishes triggers on one source that differ only in their policy.
    pub(super) trigger: String,
}

/// The labels of a partition or shard.
#[derive(Clone, Debug)]
pub(super) struct PartitionLabels {
    pub(super) source: &'static str,
    pub(super) target: Arc<str>,
    /// The consumer group, or the lease table.
    pub(super) consumer: Arc<str>,
    /// The topic, the stream or the table.
    pub(super) stream: Arc<str>,
    pub(super) partition: String,
}

/// The labels of targets whose readings fail alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Failing {
    /// The cluster or account.
    pub(super) place: Arc<str>,
    pub(super) reason: &'static str,
}

/// The kind of item that has no series.
pub(super) struct LeftOut(pub(super) &'static str);

/// A label set with one further label.
pub(super) struct With<'a, L>(pub(super) &'a L, pub(super) &'static str, pub(super) &'a str);

fn label(encoder: &mut LabelSetEncoder<'_>, name: &str, value: &str) -> fmt::Result {
    (name, value).encode(encoder.encode_label())
}

impl EncodeLabelSet for ObjectLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        label(encoder, "namespace", &self.namespace)?;
        label(encoder, "scaledObject", &self.scaled_object)?;
        label(encoder, "source", self.source)?;
        label(encoder, "target", &self.target)
    }
}

impl EncodeLabelSet for TriggerLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.object.encode(encoder)?;
        label(encoder, "metric", &self.metric)?;
        label(encoder, "trigger", &self.trigger)
    }
}

impl EncodeLabelSet for PartitionLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        label(encoder, "source", self.source)?;
        label(encoder, "target", &self.target)?;
        label(encoder, "consumer", &self.consumer)?;
        label(encoder, "stream", &self.stream)?;
        label(encoder, "partition", &self.partition)
    }
}

impl EncodeLabelSet for Failing {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        label(encoder, "place", &self.place)?;
        label(encoder, "reason", self.reason)
    }
}

impl EncodeLabelSet for LeftOut {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        label(encoder, "what", self.0)
    }
}

impl<L: EncodeLabelSet> EncodeLabelSet for With<'_, L> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)?;
        label(encoder, self.1, self.2)
    }
}
