//! Twenty real minutes of targets that come and go: 100 a second that live for a second, 5 a second that live for ten minutes.

use std::sync::Arc;
use std::time::Duration;

use keda_stream_scaler::admin::LiveSeries;
use keda_stream_scaler::lag::{Observe, Report, SourceError};
use keda_stream_scaler::limits::{Bounds, Limits};
use keda_stream_scaler::sampler::{Quotas, Sampler, ScaledObjectKey, Watch};
use keda_stream_scaler::telemetry::{Exposition, Metrics};
use keda_stream_scaler::trigger::{SourceRef, Trigger};
use tokio::time::{Instant, sleep, sleep_until};

use crate::process::{Usage, runtime};
use crate::source::{observation, scaled_object};
use crate::table::{Goal, Table};

const MINUTES: u32 = 20;
const WATCHED: usize = 100;
const ASKED: usize = 5;
const OBJECTS: usize = 1_000_000;

/// Remembers nothing: what grows is the sampler's.
struct Forgetful;

impl Observe for Forgetful {
    type Backend = ();

    fn admit(&self, _namespace: &str, _source: &SourceRef) -> Result<(), SourceError> {
        Ok(())
    }

    async fn observe(&self, _backend: &(), due: Vec<Arc<SourceRef>>, report: Report) {
        for source in &due {
            report(source, Ok(observation(source)));
        }
    }

    fn forget(&self, _backend: &()) {}
}

pub fn measure(table: &mut Table) {
    runtime().block_on(async {
        let metrics = Metrics::new("0", "none");
        // 3,000 live at a time, all of one namespace
        let limits = Limits { targets: Bounds { total: 10_000, per_owner: 10_000 }, ..Limits::default() };
        let shares = Quotas::new(&limits, &metrics.limits);
        let sampler = Sampler::within(shares, Forgetful, metrics.sampler.clone(), None);
        metrics.add(LiveSeries::new(sampler.clone(), false));
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let (tasks_before, begun) = (tasks(), Instant::now());
        let (mut number, mut resident) = (0, Vec::new());
        let mut watches: Vec<Watch<Forgetful>> = Vec::new();
        for second in 1..=MINUTES * 60 {
            watches.clear();
            for place in 0..WATCHED + ASKED {
                number += 1;
                let about = scaled_object(number, OBJECTS, "b:9092", &[]);
                let trigger = Trigger::parse(&about.scaler_metadata).unwrap();
                let caller = ScaledObjectKey::new("shop", &about.name);
                if place < WATCHED {
                    watches.push(sampler.watch(caller, &trigger, Duration::from_secs(2)).unwrap());
                } else {
                    let _ = sampler.ask(caller, &trigger, Duration::ZERO).await;
                }
            }
            if second % 30 == 0 {
                drop(metrics.render(Exposition::OpenMetrics));
            }
            if second % 300 == 0 {
                resident.push(Usage::of("self").resident_mib);
                println!(
                    "{} min: {:.1} MiB, {} targets",
                    second / 60,
                    resident[resident.len() - 1],
                    sampler.view().len()
                );
            }
            sleep_until(begun + Duration::from_secs(1) * second).await;
        }
        watches.clear();
        // readings under way end, and what was asked about is forgotten ten minutes later
        sleep(Duration::from_secs(615)).await;
        let name = "20 min of 105 new targets a second";
        // the targets that live for ten minutes are all there from the tenth on, and the allocator needs a while after that
        table.add(
            format!("{name}: memory at 20 min less that at 15 min"),
            resident[3] - resident[2],
            "MiB",
            Goal::Below(2.0),
        );
        table.add(format!("{name}: targets left"), sampler.view().len() as f64, "", Goal::Equals(0.0));
        table.add(format!("{name}: tasks left"), (tasks() - tasks_before) as f64, "", Goal::Equals(0.0));
    });
}
