//! Series of the state at the moment of a scrape: of each `ScaledObject` and its source, and of each of its triggers.
//!
//! The sampler's view is evaluated by the same rules as KEDA's calls, so a value here is the value that KEDA gets. A scrape reads no
//! source and changes nothing; forgotten targets and unknown values have no series. The number of series is bounded: see
//! [`MOST_TRIGGERS`] and [`MOST_PARTITIONS`].

mod facts;
mod labels;
mod places;

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use self::facts::{SOURCE_GAUGES, SourceFacts, TRIGGER_GAUGES, TriggerFacts};
use self::labels::With;
use self::places::{PARTITION_GAUGES, PartitionFacts};
use crate::lag::Observe;
use crate::sampler::{Sampler, TargetView};

/// The maximum number of triggers with series, the first by namespace and name: at most about 20 series per trigger.
pub const MOST_TRIGGERS: usize = 10_000;

/// The maximum number of partitions and shards with series, if enabled: at most two series each.
pub(crate) const MOST_PARTITIONS: usize = 20_000;

/// Collects the series at each scrape.
pub struct LiveSeries<O: Observe> {
    sampler: Sampler<O>,
    partitions: bool,
}

/// A gauge with one value per row that has it.
struct Gauge<T> {
    name: &'static str,
    help: &'static str,
    of: fn(&T) -> Option<f64>,
}

impl<O: Observe> LiveSeries<O> {
    /// Creates the series of all targets of `sampler`, and of each partition and shard if `partitions` is set.
    #[must_use]
    pub const fn new(sampler: Sampler<O>, partitions: bool) -> Self {
        Self { sampler, partitions }
    }
}

impl<O: Observe> fmt::Debug for LiveSeries<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveSeries").field("partitions", &self.partitions).finish_non_exhaustive()
    }
}

impl<O: Observe> Collector for LiveSeries<O> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let views = self.sampler.view();
        let shown = Shown::of(&views);
        let to = &mut encoder;
        let targets = family(to, "targets", "Groups, streams and applications that are read", MetricType::Gauge)?;
        ConstGauge::new(views.len()).encode(targets)?;
        failing(to, &views)?;
        sources(to, &shown.sources)?;
        triggers(to, &shown.triggers)?;
        let mut left_out = vec![(labels::LeftOut("triggers"), shown.left_out)];
        if self.partitions {
            let (partitions, more) = places::of(&views);
            gauges(to, &PARTITION_GAUGES, &partitions, |row: &PartitionFacts| &row.labels)?;
            left_out.push((labels::LeftOut("partitions"), more));
        }
        let help = "What has no series, because there is too much of it";
        let mut left = family(to, "series_left_out", help, MetricType::Gauge)?;
        left_out.iter().try_for_each(|(labels, count)| put(&mut left, labels, &ConstGauge::new(*count)))
    }
}

/// The rows that one scrape shows.
struct Shown {
    sources: Vec<SourceFacts>,
    triggers: Vec<TriggerFacts>,
    left_out: usize,
}

impl Shown {
    fn of(views: &[TargetView]) -> Self {
        let mut asking: Vec<_> =
            views.iter().flat_map(|view| view.callers.shown.iter().map(move |caller| (view, caller))).collect();
        // the order is fixed, so that a scrape over the limit always shows the same triggers
        asking.sort_by(|(_, one), (_, other)| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
        let unnamed: usize = views.iter().map(|view| view.callers.more).sum();
        let left_out = unnamed + asking.len().saturating_sub(MOST_TRIGGERS);
        let (mut sources, mut triggers) = (Vec::<SourceFacts>::new(), Vec::with_capacity(asking.len()));
        for (view, caller) in asking.into_iter().take(MOST_TRIGGERS) {
            let facts = SourceFacts::of(view, caller);
            triggers.push(TriggerFacts::of(view, caller, &facts));
            // the triggers of an object on one source are adjacent, unless the object queries several sources
            if !sources.iter().rev().take_while(|known| known.is_of(caller)).any(|known| known.labels == facts.labels) {
                sources.push(facts);
            }
        }
        Self { sources, triggers, left_out }
    }
}

/// The targets whose readings fail, counted by cluster or account and reason: one alert for all targets of a dead cluster.
fn failing(to: &mut DescriptorEncoder<'_>, views: &[TargetView]) -> fmt::Result {
    let mut counts: BTreeMap<labels::Failing, u64> = BTreeMap::new();
    for cause in views.iter().filter_map(|view| view.state.cause()) {
        *counts.entry(labels::Failing { place: cause.place.clone(), reason: cause.kind.as_str() }).or_default() += 1;
    }
    let help = "Targets whose readings fail, by cluster or account and reason";
    let mut family = family(to, "failing_targets", help, MetricType::Gauge)?;
    counts.iter().try_for_each(|(labels, count)| put(&mut family, labels, &ConstGauge::new(*count)))
}

fn sources(to: &mut DescriptorEncoder<'_>, rows: &[SourceFacts]) -> fmt::Result {
    let mut info = family(to, "source", "What is read", MetricType::Info)?;
    for row in rows {
        info.encode_info(&With(&row.labels, "description", row.description.as_str()))?;
    }
    gauges(to, &SOURCE_GAUGES, rows, |row| &row.labels)?;
    let mut failing = family(to, "source_failing", "1 while readings fail, by reason", MetricType::Gauge)?;
    for (row, kind) in rows.iter().filter_map(|row| Some((row, row.failing?))) {
        put(&mut failing, &With(&row.labels, "reason", kind.as_str()), &ConstGauge::new(1_u64))?;
    }
    let mut errors = family(to, "source_errors", "Readings that failed, by reason", MetricType::Counter)?;
    for (row, (kind, count)) in rows.iter().flat_map(|row| row.errors.by_kind().map(move |errors| (row, errors))) {
        put(&mut errors, &With(&row.labels, "reason", kind.as_str()), &ConstCounter::new(count))?;
    }
    Ok(())
}

fn triggers(to: &mut DescriptorEncoder<'_>, rows: &[TriggerFacts]) -> fmt::Result {
    gauges(to, &TRIGGER_GAUGES, rows, |row| &row.labels)?;
    let mut failing = family(to, "trigger_failing", "1 while KEDA gets an error, by reason", MetricType::Gauge)?;
    for (row, kind) in rows.iter().filter_map(|row| Some((row, row.failing?))) {
        put(&mut failing, &With(&row.labels, "reason", kind.as_str()), &ConstGauge::new(1_u64))?;
    }
    Ok(())
}

fn gauges<T, L: EncodeLabelSet>(
    to: &mut DescriptorEncoder<'_>,
    gauges: &[Gauge<T>],
    rows: &[T],
    labels: fn(&T) -> &L,
) -> fmt::Result {
    for gauge in gauges {
        let mut encoder = family(to, gauge.name, gauge.help, MetricType::Gauge)?;
        for (row, value) in rows.iter().filter_map(|row| Some((row, (gauge.of)(row)?))) {
            put(&mut encoder, labels(row), &ConstGauge::new(value))?;
        }
    }
    Ok(())
}

fn family<'a>(
    to: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
    of: MetricType,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    to.encode_descriptor(name, help, None, of)
}

fn put(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    metric: &impl prometheus_client::encoding::EncodeMetric,
) -> fmt::Result {
    metric.encode(family.encode_family(labels)?)
}
