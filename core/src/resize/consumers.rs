//! The data that the consumers of a stream still have to read.

use std::time::Duration;

/// An application that reads the stream and must not be harmed by a lower count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// The name of the application.
    pub application: String,
    /// The progress of the application, or why it is unknown.
    pub progress: Result<Progress, String>,
}

/// The progress of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The age of its oldest unread record, as an upper bound.
    pub age: Duration,
    /// Whether it still has to read shards that the last change closed.
    pub reads_closed_shards: bool,
}

/// The consumers of a stream, and how late they may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumers {
    /// The named consumers; without names, the slowest reader by `GetRecords` stands for all.
    pub all: Vec<Consumer>,
    /// A lower count waits while one of them is later than this, or than half of the stream's retention.
    pub max_age: Duration,
}

/// Why a lower count waits for a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unready {
    /// The consumer is late.
    Behind {
        /// The age of its oldest unread record.
        age: Duration,
        /// The maximum age for a lower count.
        most: Duration,
    },
    /// The consumer has not read the shards that the last change closed.
    GenerationUnread,
    /// The progress of the consumer is unknown, for this reason.
    Unreadable(String),
}

impl Consumers {
    /// The first consumer that a lower count waits for.
    pub(super) fn unready(&self, retention: Duration) -> Option<(&str, Unready)> {
        let most = self.max_age.min(retention / 2);
        self.all.iter().find_map(|consumer| {
            let unready = match &consumer.progress {
                Err(why) => Unready::Unreadable(why.clone()),
                Ok(progress) if progress.age > most => Unready::Behind { age: progress.age, most },
                Ok(progress) if progress.reads_closed_shards => Unready::GenerationUnread,
                Ok(_) => return None,
            };
            Some((consumer.application.as_str(), unready))
        })
    }
}
