//! What the kernel says of this process, by the names that Prometheus' clients use everywhere.

use std::fmt;

use procfs::ProcResult;
use procfs::process::{LimitValue, Process};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Reads `/proc/self` at each scrape.
#[derive(Debug)]
pub(super) struct ProcessCollector;

struct Usage {
    cpu_seconds: f64,
    /// Since 1970.
    started_seconds: Option<f64>,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: i64,
    open_fds: usize,
    /// `None` where there is no limit.
    most_fds: Option<u64>,
}

impl Usage {
    fn now() -> ProcResult<Self> {
        let process = Process::myself()?;
        let (stat, ticks) = (process.stat()?, to_float(procfs::ticks_per_second()));
        let begun = to_float(stat.starttime) / ticks;
        Ok(Self {
            cpu_seconds: to_float(stat.utime + stat.stime) / ticks,
            started_seconds: procfs::boot_time_secs().ok().map(|boot| to_float(boot) + begun),
            resident_bytes: stat.rss * procfs::page_size(),
            virtual_bytes: stat.vsize,
            threads: stat.num_threads,
            open_fds: process.fd_count()?,
            most_fds: match process.limits()?.max_open_files.soft_limit {
                LimitValue::Value(most) => Some(most),
                LimitValue::Unlimited => None,
            },
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ticks are millions of years")]
const fn to_float(number: u64) -> f64 {
    number as f64
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // what cannot be read is left out: a number would be a lie
        let Ok(usage) = Usage::now() else { return Ok(()) };
        let mut put = |name: &str, help: &str, metric: &dyn EncodeMetric| {
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        put("process_cpu_seconds", "CPU time used", &ConstCounter::new(usage.cpu_seconds))?;
        if let Some(started) = usage.started_seconds {
            put("process_start_time_seconds", "Start, in seconds since 1970", &ConstGauge::new(started))?;
        }
        put("process_resident_memory_bytes", "Resident memory", &ConstGauge::new(usage.resident_bytes))?;
        put("process_virtual_memory_bytes", "Virtual memory", &ConstGauge::new(usage.virtual_bytes))?;
        put("process_threads", "Threads", &ConstGauge::new(usage.threads))?;
        put("process_open_fds", "Open file descriptors", &ConstGauge::new(usage.open_fds))?;
        if let Some(most) = usage.most_fds {
            put("process_max_fds", "The most file descriptors that may be open", &ConstGauge::new(most))?;
        }
        Ok(())
    }
}
