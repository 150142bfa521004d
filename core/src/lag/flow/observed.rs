//! Converts readings of a source to its flow.

use std::sync::Arc;

use super::{
    AgeFlow, AgeReading, Arrivals, Flow, OffsetFlow, OffsetReading, OffsetRow, Owners, Split, ThroughputFlow,
    ThroughputReading, ThroughputRow,
};
use crate::lag::streams::{Backlog, ShardReport};
use crate::lag::{
    ApplicationObservation, Behind, CommittedOffset, Facts, GroupHistory, GroupLag, GroupObservation, History, Members,
    Moment, Observation, PartitionId, Renewals,
};
use crate::trigger::{Compat, GroupType, ResetRules, SourceRef, StreamName};

impl Flow {
    /// Returns the flow after a reading of `source`; `None` where no trigger uses the flow.
    #[must_use]
    pub fn observe(
        past: Option<&Self>,
        source: &SourceRef,
        observation: &Observation,
        history: &History,
        facts: &Facts,
        now: Moment,
    ) -> Option<Self> {
        match (source, observation, history, &facts.behind) {
            (SourceRef::Kafka(source), Observation::Kafka(group), History::Kafka(history), Behind::Records(lag)) => {
                let rules = source.consumers?;
                let past = past.and_then(|past| if let Self::Offsets(past) = past { Some(past) } else { None });
                let reading = of_group(rules, group, history, lag, past);
                Some(Self::Offsets(OffsetFlow::fold(past, reading, now)))
            }
            (
                SourceRef::Application(source),
                Observation::Application(application),
                History::Application(renewals),
                _,
            ) => {
                let kinesis = matches!(source.stream.stream, StreamName::Kinesis(_));
                Some(of_application(past, kinesis, application, renewals, now))
            }
            _ => None,
        }
    }
}

fn of_group(
    rules: ResetRules,
    group: &GroupObservation,
    history: &GroupHistory,
    lag: &GroupLag,
    past: Option<&OffsetFlow>,
) -> OffsetReading {
    let partitions = || lag.with(group, history);
    let rows = partitions().map(|(_, partition, _, lag)| {
        let committed = match partition.committed {
            CommittedOffset::At(offset) => Some(records(offset.0)),
            CommittedOffset::None => None,
        };
        let counted = lag.counted(partition, rules, Compat::Fixed).records();
        OffsetRow {
            end: records(partition.watermarks.end.0),
            committed,
            backlog: records(u64::try_from(counted).unwrap_or(0)),
            arrivals: Arrivals::OfEnds,
        }
    });
    let rows: Vec<_> = rows.collect();
    let splits = splits(past, || partitions().map(|(topic, partition, ..)| (&topic.name, partition.partition)));
    let owners = match &group.members {
        Members::Settled(members) if group.group_type == GroupType::Share => {
            Owners::sharing(members.iter().map(|member| member.id.clone()))
        }
        Members::Rebalancing(members) if group.group_type == GroupType::Share => {
            Owners::sharing((0..*members).map(|number| number.to_string().into()))
        }
        Members::Settled(members) => {
            let ids: Vec<_> = members.iter().map(|member| &member.id).collect();
            Owners::listed(&ids, partitions().map(|(_, partition, ..)| partition.owner.map(|member| member.0)))
        }
        // during a rebalance no consumer owns the partitions, and each soon has an owner again
        Members::Rebalancing(members) => match past.filter(|past| past.partitions().len() == rows.len()) {
            Some(past) if past.owners().count() > 0 => past.owners().clone(),
            _ => Owners::even(*members, rows.len()),
        },
        Members::Unread => Owners::even(0, rows.len()),
    };
    OffsetReading { splits, rows, owners }
}

/// These partitions: the list of the previous reading if it still holds, so that a large group has one for all readings.
fn splits<'a, P>(past: Option<&OffsetFlow>, partitions: impl Fn() -> P) -> Arc<[Split]>
where
    P: Iterator<Item = (&'a Arc<str>, PartitionId)>,
{
    let same = |(known, (topic, partition)): (&Split, (&Arc<str>, PartitionId))| {
        let Split::Partition(name, number) = known else { return false };
        name == topic && *number == partition
    };
    let known = past.map(OffsetFlow::splits).filter(|known| known.len() == partitions().count());
    match known.filter(|known| known.iter().zip(partitions()).all(same)) {
        Some(known) => known.clone(),
        None => partitions().map(|(topic, partition)| Split::Partition(topic.clone(), partition)).collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a position beyond 2^53 may be rounded to an even number")]
const fn records(offset: u64) -> f64 {
    offset as f64
}

/// In kilobytes with KCL 3, else in ages. Once a store has reported kilobytes they are used from then on, also for shards that are too new.
fn of_application(
    past: Option<&Flow>,
    kinesis: bool,
    application: &ApplicationObservation,
    renewals: &Renewals,
    now: Moment,
) -> Flow {
    let shards: Vec<_> = application.survey.shards.iter().filter_map(|report| Some((report, age(report)?))).collect();
    let owners = Owners::new(shards.iter().map(|(report, _)| owner(report, renewals, now)));
    let place = |report: &ShardReport| Split::Shard(report.shard.clone());
    let throughput = |report: &ShardReport| report.lease.as_ref().and_then(|lease| lease.throughput_kbps);
    let weighed = kinesis
        && (matches!(past, Some(Flow::Throughput(_))) || shards.iter().any(|(report, _)| throughput(report).is_some()));
    if weighed {
        let past = past.and_then(|past| if let Flow::Throughput(past) = past { Some(past) } else { None });
        let rows = shards.iter().map(|(report, age)| ThroughputRow {
            place: place(report),
            age: *age,
            kilobytes_per_second: throughput(report).unwrap_or(0.0),
        });
        return Flow::Throughput(ThroughputFlow::fold(past, ThroughputReading { rows: rows.collect(), owners }, now));
    }
    let past = past.and_then(|past| if let Flow::Ages(past) = past { Some(past) } else { None });
    let rows = shards.iter().map(|(report, age)| (place(report), *age));
    Flow::Ages(AgeFlow::fold(past, AgeReading { rows: rows.collect(), owners }, now))
}

/// The age of a shard that is being read; `None` where there is nothing to read, now or later.
fn age(report: &ShardReport) -> Option<f64> {
    match &report.backlog {
        Backlog::Unread { age, .. } => Some(age.as_secs_f64()),
        Backlog::CaughtUp => Some(0.0),
        Backlog::Finished | Backlog::Waits { .. } | Backlog::NoSuchShard => None,
    }
}

fn owner(report: &ShardReport, renewals: &Renewals, now: Moment) -> Option<Arc<str>> {
    let lease = report.lease.as_ref()?;
    lease.owner.clone().filter(|_| renewals.alive(lease, now))
}
