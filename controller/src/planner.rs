//! Plans the next call for a stream, and reads only what the plan depends on: a raise needs quota in the account, a lower count waits
//! for the readers of the stream.

use std::time::Duration;

use crate::lag::streams::StreamReading;
use crate::lag::{Observation, SourceError, Writes};
use crate::resize::{Bounds, Calls, Consumer, Consumers, Plan, Progress, Situation};
use crate::sampler::Sampler;
use crate::source::Sources;
use crate::source::aws::StreamControl;
use crate::trigger::{Trigger, WriteUtilizationPolicy};

/// The timeout of reading an application.
const READING_TIMEOUT: Duration = Duration::from_secs(10);

/// Plans the calls of `UpdateShardCount` for one stream.
pub struct Planner<'a> {
    /// Reads and resizes the stream.
    pub control: &'a StreamControl,
    /// The bounds of its count and of the calls.
    pub bounds: Bounds,
    /// Reads the applications.
    pub sampler: &'a Sampler<Sources>,
    /// The namespace as which the applications are read.
    pub namespace: &'a str,
    /// The names and triggers of the applications, which are `scaleOn: age` on the stream. Without one, the latest reader by `GetRecords`
    /// counts as one consumer.
    pub applications: &'a [(String, Trigger)],
    /// A lower count waits while a consumer is later than this.
    pub max_consumer_age: Duration,
}

impl Planner<'_> {
    /// Plans the next call towards `wanted` shards. Without `writes`, they are read for a lower count.
    ///
    /// # Errors
    /// Fails if the account's quota, the writes or the age of the latest reader cannot be read. A failure of one application affects only
    /// that application.
    pub async fn plan(
        &self,
        wanted: u32,
        stream: &StreamReading,
        calls: &Calls,
        writes: Option<&Writes>,
    ) -> Result<Plan, SourceError> {
        let policy = WriteUtilizationPolicy::default();
        let plan = |writes: &Writes, free, all| {
            let consumers = Consumers { all, max_age: self.max_consumer_age };
            Situation { stream, free, bounds: &self.bounds, calls, consumers: &consumers, writes, policy: &policy }
                .plan(wanted)
        };
        let unread = Writes { until: stream.at, minutes: Vec::new(), before: Vec::new() };
        let known = writes.unwrap_or(&unread);
        match plan(known, None, Vec::new()) {
            Plan::Call { target, .. } if target > stream.capacity.open => {
                Ok(plan(known, Some(self.control.free_shards().await?), Vec::new()))
            }
            // the other conditions for a lower count need no more calls
            Plan::Call { .. } => {
                let consumers = self.consumers().await?;
                match writes {
                    Some(writes) => Ok(plan(writes, None, consumers)),
                    None => Ok(plan(&self.control.writes().await?, None, consumers)),
                }
            }
            other => Ok(other),
        }
    }

    async fn consumers(&self) -> Result<Vec<Consumer>, SourceError> {
        if self.applications.is_empty() {
            let consumer = |age| Consumer {
                application: "a reader of the stream".to_owned(),
                progress: Ok(Progress { age, reads_closed_shards: false }),
            };
            return Ok(self.control.readers_age().await?.map(consumer).into_iter().collect());
        }
        let mut all = Vec::new();
        for (application, trigger) in self.applications {
            all.push(Consumer { application: application.clone(), progress: self.progress(trigger).await });
        }
        Ok(all)
    }

    async fn progress(&self, trigger: &Trigger) -> Result<Progress, String> {
        let answer = self.sampler.ask(self.namespace, trigger, READING_TIMEOUT).await;
        let answer = answer.map_err(|error| error.chain())?;
        let Observation::Application(observation) = &answer.sample.observation else {
            return Err("the reading is of another kind".to_owned());
        };
        let survey = &observation.survey;
        Ok(Progress { age: survey.age(), reads_closed_shards: survey.reads_closed_shards() })
    }
}
