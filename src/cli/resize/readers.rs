//! Who reads the stream, and how far they are: what a lower count waits for.

use std::time::Duration;

use super::Arguments;
use super::once::trigger;
use crate::app::{COMMIT, VERSION};
use crate::lag::Observation;
use crate::resize::{Consumer, Progress};
use crate::sampler::Sampler;
use crate::source::Sources;
use crate::source::aws::StreamControl;
use crate::telemetry::Metrics;
use crate::tenancy::Connections;

/// A reading of an application takes no longer.
const READING_TIMEOUT: Duration = Duration::from_secs(10);

/// The named applications, or the latest reader by `GetRecords` as one consumer.
pub(super) async fn consumers(control: &StreamControl, arguments: &Arguments) -> anyhow::Result<Vec<Consumer>> {
    if arguments.consumers.is_empty() {
        let age = control.readers_age().await?;
        let consumer = |age| Consumer {
            application: "a reader of the stream".to_owned(),
            progress: Ok(Progress { age, reads_closed_shards: false }),
        };
        return Ok(age.map(consumer).into_iter().collect());
    }
    let metrics = Metrics::new(VERSION, COMMIT);
    let sources = Sources::new(Connections::unrestricted(), metrics.upstream.clone());
    let sampler = Sampler::new(sources, metrics.sampler.clone());
    let mut all = Vec::new();
    for application in &arguments.consumers {
        let progress = progress(&sampler, arguments, application).await.map_err(|error| format!("{error:#}"));
        all.push(Consumer { application: application.clone(), progress });
    }
    Ok(all)
}

async fn progress(sampler: &Sampler<Sources>, arguments: &Arguments, application: &str) -> anyhow::Result<Progress> {
    let trigger = trigger(arguments, &[("scaleOn", "age"), ("applicationName", application)])?;
    let answer = sampler.ask("resize", &trigger, READING_TIMEOUT).await?;
    let Observation::Application(observation) = &answer.sample.observation else {
        anyhow::bail!("the reading of {application} is of another kind")
    };
    let survey = &observation.survey;
    Ok(Progress { age: survey.age(), reads_closed_shards: survey.reads_closed_shards() })
}
