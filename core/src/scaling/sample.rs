//! The input of decisions.

use super::catch_up::CatchUps;
use crate::lag::flow::Flow;
use crate::lag::{Facts, History, Moment, Observation};
use crate::trigger::{CatchUpPolicy, SourceRef};

/// One complete reading and the history that belongs to it, shared through one `Arc`.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The observation of this reading.
    pub observation: Observation,
    /// The history of the readings up to this one.
    pub history: History,
    /// The facts of this reading, independent of any trigger.
    pub facts: Facts,
    /// The flow of the source, where a policy uses it.
    pub flow: Option<Flow>,
    /// The state of the catch-up law.
    pub catch_ups: CatchUps,
    /// When the reading began: everything in it is at least as new.
    pub taken_at: Moment,
}

impl Sample {
    /// Creates the sample of a reading of `source` that began at `taken_at`; `policies` are those that triggers use.
    #[must_use]
    pub fn after(
        past: Option<&Self>,
        source: &SourceRef,
        observation: Observation,
        policies: &[CatchUpPolicy],
        taken_at: Moment,
    ) -> Self {
        let history = History::fold(past.map(|past| &past.history), &observation, taken_at);
        let flow = past.and_then(|past| past.flow.as_ref());
        let facts = Facts::of(source, &observation, &history, taken_at);
        let flow = Flow::observe(flow, source, &observation, &history, &facts, taken_at);
        let catch_ups = past.map(|past| &past.catch_ups);
        let catch_ups = flow.as_ref().map(|flow| CatchUps::after(catch_ups, policies, flow)).unwrap_or_default();
        Self { observation, history, facts, flow, catch_ups, taken_at }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;
    use crate::lag::{
        CommittedOffset, GroupObservation, Member, MemberIndex, Members, Offset, PartitionId, PartitionObservation,
        TopicObservation, Watermarks,
    };
    use crate::trigger::{Policy, Trigger};

    /// Two equal partitions of one member.
    fn group(end: u64, committed: u64) -> Observation {
        let partition = |number| PartitionObservation {
            partition: PartitionId(number),
            committed: CommittedOffset::At(Offset(committed)),
            watermarks: Watermarks { start: Offset(0), end: Offset(end) },
            owner: Some(MemberIndex(0)),
        };
        let partitions = vec![partition(0), partition(1)];
        let topic = TopicObservation {
            name: "orders".into(),
            id: None,
            partition_count: u32::try_from(partitions.len()).expect("few"),
            partitions,
        };
        let members = Members::Settled(vec![Member { id: "one".into(), client_id: "one".into() }]);
        Observation::Kafka(GroupObservation { topics: vec![topic], members, ..GroupObservation::default() })
    }

    #[test]
    fn what_the_law_remembers_goes_on_from_sample_to_sample() {
        let metadata = [
            ("source", "kafka"),
            ("bootstrapServers", "b:9092"),
            ("consumerGroup", "g"),
            ("topic", "orders"),
            ("scaleOn", "catchUp"),
            ("capacityPerConsumer", "10"),
        ];
        let metadata: HashMap<_, _> = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let trigger = Trigger::parse(&metadata).expect("a good trigger");
        let Policy::CatchUp(policy) = trigger.policy else { panic!("the catch-up law") };
        let policies = [policy];
        let mut last: Option<Sample> = None;
        // many records arrive for a while, and then none
        for number in 0..60 {
            let end = 1000 * number.min(3);
            let at = Moment::after_epoch(Duration::from_secs(10 * number));
            let sample = Sample::after(last.as_ref(), &trigger.source, group(end, end), &policies, at);
            let flow = sample.flow.as_ref().expect("a policy uses the flow");
            let goes_on = CatchUps::after(last.as_ref().map(|last| &last.catch_ups), &policies, flow);
            assert_eq!(sample.catch_ups, goes_on);
            if number == 59 {
                let begins_anew = CatchUps::after(None, &policies, flow);
                assert_ne!(sample.catch_ups, begins_anew, "there were too few once");
            }
            last = Some(sample);
        }
    }
}
