//! The readers of a stream and how late they are, which a lower count waits for.

use std::time::Duration;

use crate::lag::{Observation, SourceError};
use crate::resize::{Consumer, Progress};
use crate::sampler::Sampler;
use crate::source::Sources;
use crate::source::aws::StreamControl;
use crate::trigger::Trigger;

/// The timeout of reading an application.
const READING_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the applications of these triggers, which are `scaleOn: age` on the stream; without one, the latest reader by `GetRecords`
/// as one consumer.
///
/// # Errors
/// Fails if the age of the latest reader cannot be read. A failure of one application affects only that application.
pub async fn consumers(
    control: &StreamControl,
    sampler: &Sampler<Sources>,
    namespace: &str,
    applications: &[(String, Trigger)],
) -> Result<Vec<Consumer>, SourceError> {
    if applications.is_empty() {
        let consumer = |age| Consumer {
            application: "a reader of the stream".to_owned(),
            progress: Ok(Progress { age, reads_closed_shards: false }),
        };
        return Ok(control.readers_age().await?.map(consumer).into_iter().collect());
    }
    let mut all = Vec::new();
    for (application, trigger) in applications {
        let progress = progress(sampler, namespace, trigger).await;
        all.push(Consumer { application: application.clone(), progress });
    }
    Ok(all)
}

async fn progress(sampler: &Sampler<Sources>, namespace: &str, trigger: &Trigger) -> Result<Progress, String> {
    let answer = sampler.ask(namespace, trigger, READING_TIMEOUT).await.map_err(|error| error.chain())?;
    let Observation::Application(observation) = &answer.sample.observation else {
        return Err("the reading is of another kind".to_owned());
    };
    let survey = &observation.survey;
    Ok(Progress { age: survey.age(), reads_closed_shards: survey.reads_closed_shards() })
}
