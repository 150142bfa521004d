//! `partitionLimitation`: numbers and ranges of partitions.

use super::Compat;
use super::dialect::KafkaDialect;
use super::metadata::{Metadata, shown};
use super::syntax;

const KEY: &str = "partitionLimitation";

/// The partitions that count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PartitionSelection {
    /// All partitions of the topics.
    All,
    /// The partitions in any of these ranges, both ends included; never empty.
    Limited(Vec<(u32, u32)>),
}

impl PartitionSelection {
    /// Whether this partition counts.
    #[must_use]
    pub fn selects(&self, partition: u32) -> bool {
        match self {
            Self::All => true,
            Self::Limited(ranges) => ranges.iter().any(|&(first, last)| (first..=last).contains(&partition)),
        }
    }

    /// The selected ranges that are beyond this number of partitions, and so do not exist.
    #[must_use]
    pub fn beyond(&self, partitions: u32) -> Vec<(u32, u32)> {
        match self {
            Self::All => Vec::new(),
            Self::Limited(ranges) => {
                let beyond = ranges.iter().filter(|(_, last)| *last >= partitions);
                beyond.map(|&(first, last)| (first.max(partitions), last)).collect()
            }
        }
    }

    /// `1,2,3`, `1-4`, `1-4,8,10-12`. Ignored, but checked, where no topic is named.
    pub(super) fn parse(metadata: &Metadata<'_>, dialect: KafkaDialect, compat: Compat) -> Self {
        let Some(text) = metadata.text(KEY) else { return Self::All };
        let mut ranges = Vec::new();
        let mut backwards = false;
        for entry in text.split(',').map(str::trim) {
            match range(entry, dialect) {
                Some((first, last)) if first <= last => ranges.push((first, last)),
                // KEDA reads it as an empty range
                Some(_) if compat == Compat::Strict => backwards = true,
                Some(_) => metadata.problem(KEY, format!("the range {} runs backwards", shown(entry))),
                None => metadata.problem(KEY, format!("{} must be a partition or a range such as 1-4", shown(entry))),
            }
        }
        if metadata.text("topic").is_none() {
            return Self::All;
        }
        if !ranges.is_empty() {
            return Self::Limited(ranges);
        }
        // KEDA's apache-kafka treats an empty selection as no selection, its kafka fails
        if backwards && dialect == KafkaDialect::Kafka {
            metadata.problem(KEY, format!("selects no partition: each range in {} runs backwards", shown(text)));
        }
        Self::All
    }
}

fn range(entry: &str, dialect: KafkaDialect) -> Option<(u32, u32)> {
    let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
    Some((partition(first, dialect)?, partition(last, dialect)?))
}

/// KEDA's kafka reads numbers as Go writes them, with a plus sign or leading zeros; its apache-kafka as JSON does. Kafka numbers partitions
/// with 31 bits.
fn partition(text: &str, dialect: KafkaDialect) -> Option<u32> {
    let number = match dialect {
        KafkaDialect::Kafka => text.trim().parse().ok()?,
        KafkaDialect::ApacheKafka => syntax::parse_integer(text.trim_matches([' ', '\t', '\r', '\n']))?,
    };
    u32::try_from(i32::try_from(number).ok()?).ok()
}
