//! The kernel's statistics of this process, under the names that all Prometheus clients use.

use std::collections::HashMap;
use std::{fmt, fs};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The unit in which Linux counts a process's CPU time, independent of its own clock (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads `/proc/self` at each scrape.
#[derive(Debug)]
pub(super) struct ProcessCollector;

struct Usage {
    cpu_seconds: f64,
    /// The start of the process in seconds since 1970.
    started_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: u64,
    open_fds: usize,
    /// The limit of open files; `None` if there is none.
    most_fds: Option<u64>,
}

impl Usage {
    /// Reads the statistics; `None` if the kernel has no such files, or writes them differently.
    fn now() -> Option<Self> {
        let [stat, status, limits, system] =
            ["self/stat", "self/status", "self/limits", "stat"].map(|file| fs::read_to_string(format!("/proc/{file}")));
        let (stat, status, limits, system) = (stat.ok()?, status.ok()?, limits.ok()?, system.ok()?);
        // the program's name comes first, in parentheses, and may contain any character
        let (_, fields) = stat.rsplit_once(") ")?;
        // proc(5) numbers the fields from 1, and the first field here is the third
        let ticks = |number: usize| fields.split(' ').nth(number - 3)?.parse::<f64>().ok();
        let status: HashMap<_, _> = status.lines().filter_map(|line| line.split_once(':')).collect();
        let of_status = |name| status.get(name)?.split_whitespace().next()?.parse::<u64>().ok();
        let most_fds =
            limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?;
        let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
        Some(Self {
            cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
            started_seconds: boot + ticks(22)? / TICKS_PER_SECOND,
            resident_bytes: of_status("VmRSS")? * 1024,
            virtual_bytes: of_status("VmSize")? * 1024,
            threads: of_status("Threads")?,
            open_fds: fs::read_dir("/proc/self/fd").ok()?.count(),
            most_fds: most_fds.parse().ok(),
        })
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // values that cannot be read are omitted: any number would be wrong
        let Some(usage) = Usage::now() else { return Ok(()) };
        let mut put = |name: &str, help: &str, metric: &dyn EncodeMetric| {
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        put("process_cpu_seconds", "CPU time used", &ConstCounter::new(usage.cpu_seconds))?;
        put("process_start_time_seconds", "Start, in seconds since 1970", &ConstGauge::new(usage.started_seconds))?;
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn the_usage_of_this_process_is_what_its_system_calls_show() {
        let busy_until = tokio::time::Instant::now() + Duration::from_millis(50);
        while tokio::time::Instant::now() < busy_until {}
        let _files = [fs::File::open("/dev/null"), fs::File::open("/dev/null")];
        let usage = Usage::now().expect("Linux");
        #[expect(clippy::disallowed_methods, reason = "the start is a time of day")]
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64();
        let age = now - usage.started_seconds;
        assert!((0.0..600.0).contains(&age), "{age}");
        assert!((0.02..age * 64.0).contains(&usage.cpu_seconds), "{}", usage.cpu_seconds);
        assert!(usage.resident_bytes > 1 << 20 && usage.virtual_bytes > usage.resident_bytes);
        assert!(usage.threads >= 2 && usage.open_fds >= 5, "{} {}", usage.threads, usage.open_fds);
        assert!(usage.most_fds.is_none_or(|most| most > 16));
    }
}
