//! The scenes of the demo: which source both sides read, which rule KEDA's side has, and the words for them.

use super::trouble::Trouble;

/// A source with a built-in trigger of KEDA on one side and keda-stream-scaler on the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Scene {
    /// A Kafka topic: the lag threshold against the promise.
    #[default]
    Kafka,
    /// A Kinesis stream that KCL applications read: the shard count against the promise.
    Kinesis,
}

impl Scene {
    pub(super) const ALL: [Self; 2] = [Self::Kafka, Self::Kinesis];

    /// Returns the scene of this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scene| scene.name() == name)
    }

    /// The name in flags, forms and JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Kinesis => "kinesis",
        }
    }

    /// The text on the button.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Kafka => "Kafka",
            Self::Kinesis => "Kinesis, KCL",
        }
    }

    /// The number of partitions or shards.
    pub(super) const fn places(self) -> usize {
        match self {
            Self::Kafka => 120,
            Self::Kinesis => 48,
        }
    }

    /// The consumer groups or applications of KEDA's side and of keda-stream-scaler's side.
    pub(super) const fn groups(self) -> [&'static str; 2] {
        match self {
            Self::Kafka => ["by-lag", "by-age"],
            Self::Kinesis => ["by-shards", "by-age"],
        }
    }

    /// The name of KEDA's rule.
    pub(super) const fn rule(self) -> &'static str {
        match self {
            Self::Kafka => "lag threshold",
            Self::Kinesis => "shard count",
        }
    }

    /// The key of KEDA's trigger that sets its target.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Kafka => "lagThreshold",
            Self::Kinesis => "shardCount",
        }
    }

    /// What each side does, in one sentence.
    pub(super) const fn sides(self) -> &'static str {
        match self {
            Self::Kafka => {
                "Two consumer groups read the same records; KEDA’s lag threshold scales one, keda-stream-scaler the other."
            }
            Self::Kinesis => {
                "Two KCL applications read the same stream; KEDA’s trigger gives one a pod per shardCount open shards, whatever the \
                 lag, and keda-stream-scaler scales the other by the age of its records."
            }
        }
    }

    /// The troubles that can be made.
    pub(super) const fn troubles(self) -> &'static [Trouble] {
        match self {
            Self::Kafka => {
                &[Trouble::Spike, Trouble::Slow, Trouble::Hot, Trouble::Pause, Trouble::Poison, Trouble::Delete]
            }
            Self::Kinesis => &[Trouble::Spike, Trouble::Slow, Trouble::Hot, Trouble::Throttle],
        }
    }

    /// The targets to try for KEDA's side, at this speed.
    pub(super) fn targets(self, speed: u8) -> [u32; 6] {
        /// Each as the tenths of a second in which one pod of a cluster processes that many records.
        const LAG_THRESHOLD_TENTHS: [u32; 6] = [25, 50, 75, 100, 150, 200];
        match self {
            Self::Kafka => {
                LAG_THRESHOLD_TENTHS.map(|tenths| tenths * super::periods::RECORDS_A_SECOND / 10 / u32::from(speed))
            }
            // 24, 16, 12, 10, 8 and 6 pods
            Self::Kinesis => [2, 3, 4, 5, 6, 8],
        }
    }

    /// The value that KEDA's side scales by, in words.
    pub(super) fn value(self, number: f64) -> String {
        let number = keda_stream_scaler::page::text::whole(number);
        match self {
            Self::Kafka => format!("lag {number}"),
            Self::Kinesis => format!("{number} open shards"),
        }
    }
}
