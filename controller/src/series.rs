//! Series of every object, from its status: a scrape shows the same values as `kubectl get`.

use std::fmt;
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::runtime::reflector::Store;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::kinesis_stream::KinesisStream;

/// The objects known to the replica that works; none in the replica that waits.
#[derive(Clone, Debug, Default)]
pub struct KinesisStreamSeries(Arc<Mutex<Option<Store<KinesisStream>>>>);

/// A number of an object: its name, its help text, and how it is read.
type Number = (&'static str, &'static str, fn(&KinesisStream) -> Option<u32>);

const NUMBERS: [Number; 4] = [
    ("kinesis_stream_open_shards", "Open shards of the stream", |object| object.status.as_ref()?.shards),
    ("kinesis_stream_wanted_shards", "Shards that are wanted through /scale", |object| object.status.as_ref()?.wanted),
    ("kinesis_stream_target_shards", "Shards of the call under way, or of the next one", |object| {
        object.status.as_ref()?.target
    }),
    ("kinesis_stream_calls_left", "Calls of UpdateShardCount that are left within 24 hours", |object| {
        object.status.as_ref()?.calls_left
    }),
];

impl KinesisStreamSeries {
    pub(super) fn show(&self, objects: Option<Store<KinesisStream>>) {
        *self.0.lock() = objects;
    }

    fn objects(&self) -> Vec<Arc<KinesisStream>> {
        let objects = self.0.lock();
        objects.as_ref().map(Store::state).unwrap_or_default()
    }
}

impl Collector for KinesisStreamSeries {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let objects = self.objects();
        let labels = |object: &KinesisStream| {
            let namespace = object.namespace().unwrap_or_default();
            [("namespace", namespace), ("name", object.name_any()), ("stream", object.spec.stream_name.clone())]
        };
        for (name, help, of) in NUMBERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for object in &objects {
                if let Some(number) = of(object) {
                    ConstGauge::new(i64::from(number)).encode(family.encode_family(&labels(object))?)?;
                }
            }
        }
        let help = "1 for the reason in force";
        let mut family = encoder.encode_descriptor("kinesis_stream_reason", help, None, MetricType::Gauge)?;
        for object in &objects {
            if let Some(why) = object.status.as_ref().and_then(|status| status.why.clone()) {
                let [namespace, name, stream] = labels(object);
                let labels = [namespace, name, stream, ("reason", why)];
                ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
