//! Reads the applications that the arguments name.

use super::Arguments;
use super::once::trigger;
use crate::app::{COMMIT, VERSION};
use crate::controller::readers;
use crate::resize::Consumer;
use crate::sampler::Sampler;
use crate::source::Sources;
use crate::source::aws::StreamControl;
use crate::telemetry::Metrics;
use crate::tenancy::Connections;

/// Returns how late they are, or the latest reader by `GetRecords` as one consumer.
pub(super) async fn consumers(control: &StreamControl, arguments: &Arguments) -> anyhow::Result<Vec<Consumer>> {
    let metrics = Metrics::new(VERSION, COMMIT);
    let sources = Sources::new(Connections::unrestricted(), metrics.upstream.clone());
    let sampler = Sampler::new(sources, metrics.sampler.clone());
    let named = arguments.consumers.iter().map(|application| {
        let trigger = trigger(arguments, &[("scaleOn", "age"), ("applicationName", application)])?;
        Ok((application.clone(), trigger))
    });
    let named = named.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(readers::consumers(control, &sampler, "resize", &named).await?)
}
