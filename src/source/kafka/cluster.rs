//! A round on one cluster: topics, then what the groups committed, then the ends of the logs.
//!
//! The order gives the sign: what is produced in between can only overstate a lag. Rows are used as they come: a silent broker
//! or coordinator holds up the sources that need it and no others. What failed makes its topic doubtful, and the next look at
//! it begins with the topic's leaders.

use std::sync::Arc;

use super::ends::EndsReading;
use super::group_rows::{GroupRows, Waiting};
use super::job::Ends;
use super::topics::Topics;
use super::transport::ClusterTransport;
use crate::lag::Report;
use crate::trigger::SourceRef;

/// Reads the groups of one cluster with one identity.
pub struct Cluster<T> {
    topics: Topics<T>,
}

impl<T: ClusterTransport> Cluster<T> {
    /// A cluster of which nothing is known yet.
    pub fn new(transport: T) -> Self {
        Self { topics: Topics::new(transport) }
    }

    /// How it is asked.
    pub(super) const fn transport(&self) -> &T {
        &self.topics.transport
    }

    /// Reads the `due` sources and reports each exactly once.
    pub async fn observe(&self, due: Vec<Arc<SourceRef>>, report: &Report) {
        let mut waiting = Waiting::new();
        for job in self.topics.plan(due, report).await {
            if job.partitions().next().is_none() {
                // every topic is absent, and counts as empty; a request for no partition would be one for all
                report(&job.source, job.finish(&Ends::new()));
                continue;
            }
            waiting.entry(job.group.clone()).or_default().push(job);
        }
        let mut groups = GroupRows::ask(&self.topics.transport, waiting);
        while let Some(wave) = groups.next_wave(report).await {
            EndsReading::new(&self.topics, wave).run(report).await;
        }
    }
}
