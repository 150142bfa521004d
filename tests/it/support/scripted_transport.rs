//! Brokers that answer as a test tells them to, behind the transport's seam: for what no broker does on demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use keda_stream_scaler::lag::{Offset, PartitionId};
use keda_stream_scaler::source::kafka::transport::{
    BrokerId, ByPartition, ClusterTransport, GroupAsk, GroupId, GroupMember, GroupState, Leader, LeaderEpoch,
    LedPartitions, LogPosition, OffsetAndEpoch, OffsetRows, PartitionsAsk, Progress, ProgressRows, RowError, Rows,
    Topic, TopicPartition, TopicPartitions, TopicRows, TopicsAsk,
};
use keda_stream_scaler::trigger::GroupType;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// One cluster.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The leader of each partition of each topic.
    leaders: HashMap<String, Vec<Option<i32>>>,
    /// Start and end of the logs of a topic, where they are not 0 and 10.
    logs: HashMap<String, (u64, u64)>,
    /// What each group has committed to; those that are not here to every topic.
    committed: HashMap<String, Vec<String>>,
    /// Share groups; all others are consumer groups.
    shares: Vec<String>,
    /// The topic that the only member of a group is assigned.
    assigned: HashMap<String, String>,
    /// Topics whose committed offsets are denied where they are named, and left out where they are not.
    hidden: Vec<String>,
    /// Brokers and groups that answer only when their deadline is over.
    silent_brokers: Vec<i32>,
    silent_groups: Vec<String>,
    /// How long the coordinators of groups take.
    slow_groups: HashMap<String, Duration>,
    /// Groups whose coordinator tells what they committed and not who they are.
    secret_groups: Vec<(String, Secrecy)>,
    /// Brokers that say, so many times more, that they are not the leader.
    moving: HashMap<i32, usize>,
    asked: Vec<String>,
}

/// How a coordinator does not say who is in a group.
#[derive(Clone, Copy)]
pub enum Secrecy {
    Silent,
    Denied,
}

impl Script {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn lead(&self, topic: &str, broker: i32) {
        self.state().leaders.insert(topic.to_owned(), vec![Some(broker)]);
    }

    /// The topic has these partitions.
    pub fn lead_each(&self, topic: &str, leaders: &[Option<i32>]) {
        self.state().leaders.insert(topic.to_owned(), leaders.to_vec());
    }

    /// The logs of the topic begin and end here.
    pub fn log(&self, topic: &str, start: u64, end: u64) {
        self.state().logs.insert(topic.to_owned(), (start, end));
    }

    /// The group has committed offsets for these topics and no others.
    pub fn commit(&self, group: &str, topics: &[&str]) {
        self.state().committed.insert(group.to_owned(), topics.iter().map(ToString::to_string).collect());
    }

    /// The group is a share group, of which three records of each partition are done.
    pub fn share(&self, group: &str) {
        self.state().shares.push(group.to_owned());
    }

    /// The group has one member, which is assigned this topic, or none.
    pub fn assign(&self, group: &str, topic: Option<&str>) {
        match topic {
            Some(topic) => drop(self.state().assigned.insert(group.to_owned(), topic.to_owned())),
            None => drop(self.state().assigned.remove(group)),
        }
    }

    /// The principal may not see what groups have committed for this topic.
    pub fn hide(&self, topic: &str) {
        self.state().hidden.push(topic.to_owned());
    }

    pub fn silence_broker(&self, broker: i32) {
        self.state().silent_brokers.push(broker);
    }

    pub fn silence_group(&self, group: &str) {
        self.state().silent_groups.push(group.to_owned());
    }

    pub fn slow_group(&self, group: &str, takes: Duration) {
        self.state().slow_groups.insert(group.to_owned(), takes);
    }

    pub fn hide_members(&self, group: &str, how: Secrecy) {
        self.state().secret_groups.push((group.to_owned(), how));
    }

    pub fn moving(&self, broker: i32, times: usize) {
        self.state().moving.insert(broker, times);
    }

    /// What was asked, in order: `topics`, `committed GROUP`, `End of TOPIC at BROKER`.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    fn progress_rows(&self, of: GroupType, group: &str, asked: PartitionsAsk) -> ProgressRows {
        let state = self.state();
        let committed =
            |topic: &str| state.committed.get(group).is_none_or(|topics| topics.iter().any(|it| it == topic));
        let group_type = state.group_type(group);
        let hidden = |topic: &str| state.hidden.iter().any(|it| it == topic);
        let asked = match asked {
            PartitionsAsk::Named(asked) => asked,
            PartitionsAsk::AllCommitted => {
                let seen = state.leaders.iter().filter(|(topic, _)| committed(topic) && !hidden(topic));
                let all = |(topic, leaders): (&String, &Vec<_>)| TopicPartitions {
                    name: topic.as_str().into(),
                    id: None,
                    partitions: (0..).map(PartitionId).take(leaders.len()).collect(),
                };
                seen.map(all).collect()
            }
        };
        let row = |topic: &str| match (hidden(topic), committed(topic)) {
            (true, _) => Err(RowError::Denied("TOPIC_AUTHORIZATION_FAILED".into())),
            (false, true) if of != group_type => Ok(Progress::None),
            (false, true) if of == GroupType::Share => Ok(Progress::Unacknowledged(7)),
            (false, true) => Ok(Progress::Committed(OffsetAndEpoch { offset: Offset(3), epoch: None })),
            (false, false) => Ok(Progress::None),
        };
        let rows = asked.iter().map(|TopicPartitions { name, partitions, .. }| {
            (name.clone(), partitions.iter().map(|&partition| (partition, row(name))).collect())
        });
        rows.collect()
    }

    fn note(&self, what: String) {
        self.state().asked.push(what);
    }
}

impl State {
    fn group_type(&self, group: &str) -> GroupType {
        if self.shares.iter().any(|it| it == group) { GroupType::Share } else { GroupType::Consumer }
    }
}

fn member(topic: String) -> GroupMember {
    let assignment = vec![TopicPartition { topic: topic.into(), partition: PartitionId(0) }];
    GroupMember { id: "m".into(), client_id: "c".into(), assignment }
}

impl ClusterTransport for Script {
    async fn topics(&self, ask: TopicsAsk, _deadline: Duration) -> Result<TopicRows, RowError> {
        self.note("topics".into());
        let TopicsAsk::Named(names) = ask else { panic!("nobody asks for all topics here") };
        let state = self.state();
        let row = |name: &Arc<str>| match state.leaders.get(&**name) {
            Some(leaders) => {
                let leader = |broker| Leader { broker: BrokerId(broker), epoch: Some(LeaderEpoch(0)) };
                let partitions = (0..).map(PartitionId).zip(leaders.iter().map(|broker| broker.map(leader)));
                Ok(Topic { id: None, partitions: partitions.collect() })
            }
            None => Err(RowError::Gone("no such topic".into())),
        };
        Ok(names.iter().map(|name| (name.clone(), row(name))).collect())
    }

    fn progress(&self, of: GroupType, ask: Vec<GroupAsk>, deadline: Duration) -> Rows<GroupId, ProgressRows> {
        let (to, rows) = mpsc::unbounded_channel();
        for GroupAsk { group, partitions } in ask {
            let what = if of == GroupType::Share { "shared" } else { "committed" };
            self.note(format!("{what} {group}"));
            let committed = self.progress_rows(of, &group, partitions);
            let silent = self.state().silent_groups.contains(&group.to_string());
            let takes = self.state().slow_groups.get(&*group).copied().unwrap_or_default();
            let to = to.clone();
            tokio::spawn(async move {
                let row = if silent {
                    sleep(deadline).await;
                    Err(RowError::Overdue("the coordinator is silent".into()))
                } else {
                    sleep(takes).await;
                    Ok(committed)
                };
                drop(to.send((group, row)));
            });
        }
        rows
    }

    fn offsets(
        &self,
        leader: BrokerId,
        ask: LedPartitions,
        at: LogPosition,
        deadline: Duration,
    ) -> mpsc::UnboundedReceiver<OffsetRows> {
        let (to, rows) = mpsc::unbounded_channel();
        let silent = self.state().silent_brokers.contains(&leader.0);
        let asked = ask.into_iter().flat_map(|(topic, partitions)| {
            partitions.into_iter().map(move |(partition, epoch)| (topic.clone(), partition, epoch))
        });
        for (topic, partition, epoch) in asked {
            self.note(format!("{at:?} of {topic} at {}", leader.0));
            let (start, end) = self.state().logs.get(&*topic).copied().unwrap_or((0, 10));
            let moving = self.state().moving.get_mut(&leader.0).is_some_and(|times| {
                let more = *times > 0;
                *times = times.saturating_sub(1);
                more
            });
            let to = to.clone();
            tokio::spawn(async move {
                let row = if silent {
                    sleep(deadline).await;
                    Err(RowError::Overdue("the broker is silent".into()))
                } else if moving {
                    Err(RowError::Moving("not the leader".into()))
                } else {
                    Ok(OffsetAndEpoch { offset: Offset(if at == LogPosition::Start { start } else { end }), epoch })
                };
                drop(to.send(OffsetRows::from([(topic, ByPartition::from_iter([(partition, row)]))])));
            });
        }
        rows
    }

    fn groups(&self, ids: Vec<GroupId>, deadline: Duration) -> Rows<GroupId, GroupState> {
        let (to, rows) = mpsc::unbounded_channel();
        for group in ids {
            self.note(format!("members of {group}"));
            let secrecy = self.state().secret_groups.iter().find(|(name, _)| **name == *group).map(|(_, how)| *how);
            let (assigned, group_type) = {
                let state = self.state();
                (state.assigned.get(&*group).cloned(), state.group_type(&group))
            };
            let to = to.clone();
            tokio::spawn(async move {
                let row = match secrecy {
                    None => {
                        let members = assigned.map(member).into_iter().collect();
                        Ok(GroupState { group_type: Some(group_type), state: "Stable".into(), members })
                    }
                    Some(Secrecy::Denied) => Err(RowError::Denied("Group authorization failed".into())),
                    Some(Secrecy::Silent) => {
                        sleep(deadline).await;
                        Err(RowError::Overdue("the coordinator is silent".into()))
                    }
                };
                drop(to.send((group, row)));
            });
        }
        rows
    }
}
