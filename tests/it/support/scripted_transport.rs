//! Brokers that answer as a test tells them to, behind the transport's seam: for what no broker does on demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use keda_stream_scaler::lag::{CommittedOffset, Offset, PartitionId};
use keda_stream_scaler::source::kafka::transport::{
    BrokerId, ClusterTransport, CommittedRows, GroupAsk, GroupId, GroupState, LogPosition, PartitionsAsk, RowError,
    Rows, Topic, TopicPartition, TopicRows, TopicsAsk,
};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// One cluster of topics with one partition each.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The leader of each topic's only partition.
    leaders: HashMap<String, Option<i32>>,
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
        self.state().leaders.insert(topic.to_owned(), Some(broker));
    }

    /// No broker leads the partition of this topic any more.
    pub fn depose(&self, topic: &str) {
        self.state().leaders.insert(topic.to_owned(), None);
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

    fn note(&self, what: String) {
        self.state().asked.push(what);
    }
}

impl ClusterTransport for Script {
    async fn topics(&self, ask: TopicsAsk, _deadline: Duration) -> Result<TopicRows, RowError> {
        self.note("topics".into());
        let TopicsAsk::Named(names) = ask else { panic!("nobody asks for all topics here") };
        let state = self.state();
        let row = |name: &Arc<str>| match state.leaders.get(&**name) {
            Some(leader) => Ok(Topic { id: None, partitions: vec![(PartitionId(0), leader.map(BrokerId))] }),
            None => Err(RowError::Gone("no such topic".into())),
        };
        Ok(names.iter().map(|name| (name.clone(), row(name))).collect())
    }

    fn committed(&self, ask: Vec<GroupAsk>, deadline: Duration) -> Rows<GroupId, CommittedRows> {
        let (to, rows) = mpsc::unbounded_channel();
        for GroupAsk { group, partitions } in ask {
            self.note(format!("committed {group}"));
            let partitions = match partitions {
                PartitionsAsk::Named(partitions) => partitions,
                PartitionsAsk::AllCommitted => {
                    let of =
                        |topic: &String| TopicPartition { topic: topic.as_str().into(), partition: PartitionId(0) };
                    self.state().leaders.keys().map(of).collect()
                }
            };
            let silent = self.state().silent_groups.contains(&group.to_string());
            let takes = self.state().slow_groups.get(&*group).copied().unwrap_or_default();
            let to = to.clone();
            tokio::spawn(async move {
                let row = if silent {
                    sleep(deadline).await;
                    Err(RowError::Overdue("the coordinator is silent".into()))
                } else {
                    sleep(takes).await;
                    let committed = |key| (key, Ok(CommittedOffset::At(Offset(3))));
                    Ok(partitions.into_iter().map(committed).collect())
                };
                drop(to.send((group, row)));
            });
        }
        rows
    }

    fn offsets(
        &self,
        leader: BrokerId,
        ask: Vec<TopicPartition>,
        at: LogPosition,
        deadline: Duration,
    ) -> Rows<TopicPartition, Offset> {
        let (to, rows) = mpsc::unbounded_channel();
        let silent = self.state().silent_brokers.contains(&leader.0);
        for key in ask {
            self.note(format!("{at:?} of {} at {}", key.topic, leader.0));
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
                    Ok(Offset(if at == LogPosition::Start { 0 } else { 10 }))
                };
                drop(to.send((key, row)));
            });
        }
        rows
    }

    fn groups(&self, ids: Vec<GroupId>, deadline: Duration) -> Rows<GroupId, GroupState> {
        let (to, rows) = mpsc::unbounded_channel();
        for group in ids {
            self.note(format!("members of {group}"));
            let secrecy = self.state().secret_groups.iter().find(|(name, _)| **name == *group).map(|(_, how)| *how);
            let to = to.clone();
            tokio::spawn(async move {
                let row = match secrecy {
                    None => Ok(GroupState { state: "Empty".into(), members: Vec::new() }),
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
