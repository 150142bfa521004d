//! The coordinator of one group of the classic protocol: its members, their assignments, and the committed offsets.
//!
//! ```text
//! Empty ── a member joins ──▶ Joining ── all have joined, or time is up ──▶ Syncing ── the leader has assigned ──▶ Stable
//!                               ▲ a member joins, leaves or is silent for too long ─────────┴──────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::code;

#[derive(Default)]
pub(super) struct Group {
    phase: Phase,
    generation: i32,
    leader: String,
    protocol: String,
    members: BTreeMap<String, Member>,
    /// The number of members that ever joined, so that no name is used twice.
    named: u64,
    committed: BTreeMap<(String, i32), i64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Empty,
    Joining {
        until: Instant,
    },
    Syncing,
    Stable,
}

pub(super) struct Member {
    pub(super) client_id: String,
    session: Duration,
    rebalance: Duration,
    /// The assignment protocols that the member supports, with its metadata for each.
    protocols: Vec<(String, Vec<u8>)>,
    heard: Instant,
    joining: Option<oneshot::Sender<Joined>>,
    syncing: Option<oneshot::Sender<Synced>>,
    pub(super) assignment: Vec<u8>,
}

/// The request of a member to join.
pub(super) struct Join {
    pub(super) member: String,
    pub(super) client_id: String,
    pub(super) session: Duration,
    pub(super) rebalance: Duration,
    pub(super) protocols: Vec<(String, Vec<u8>)>,
}

/// The response when all members have joined; only the leader gets the list of members.
pub(super) struct Joined {
    pub(super) code: i16,
    pub(super) generation: i32,
    pub(super) protocol: String,
    pub(super) leader: String,
    pub(super) member: String,
    pub(super) members: Vec<(String, Vec<u8>)>,
}

/// The assignment of a member, or an error code.
pub(super) type Synced = Result<Vec<u8>, i16>;

impl Group {
    pub(super) fn join(&mut self, join: Join, now: Instant) -> oneshot::Receiver<Joined> {
        let (sender, receiver) = oneshot::channel();
        let Join { member, client_id, session, rebalance, protocols } = join;
        let name = if member.is_empty() {
            self.named += 1;
            format!("{client_id}-{}", self.named)
        } else if self.members.contains_key(&member) {
            member
        } else {
            // the receiver is still alive, because this function returns it
            drop(sender.send(Joined::refused(member)));
            return receiver;
        };
        let assignment = Vec::new();
        let joining = Some(sender);
        let member =
            Member { client_id, session, rebalance, protocols, heard: now, joining, syncing: None, assignment };
        self.members.insert(name, member);
        self.begin(now);
        self.complete(now);
        receiver
    }

    /// Handles the leader's assignments; all members wait for them.
    pub(super) fn sync(
        &mut self,
        member: &str,
        generation: i32,
        assignments: Vec<(String, Vec<u8>)>,
        now: Instant,
    ) -> oneshot::Receiver<Synced> {
        let (sender, receiver) = oneshot::channel();
        let refusal = self.refusal(member, generation).or(match self.phase {
            Phase::Empty | Phase::Joining { .. } => Some(code::REBALANCE_IN_PROGRESS),
            Phase::Syncing | Phase::Stable => None,
        });
        let Some(asking) = self.members.get_mut(member).filter(|_| refusal.is_none()) else {
            drop(sender.send(Err(refusal.unwrap_or(code::UNKNOWN_MEMBER_ID))));
            return receiver;
        };
        asking.heard = now;
        asking.syncing = Some(sender);
        if self.phase == Phase::Syncing && member == self.leader {
            for (name, assignment) in assignments {
                if let Some(member) = self.members.get_mut(&name) {
                    member.assignment = assignment;
                }
            }
            self.phase = Phase::Stable;
        }
        if self.phase == Phase::Stable {
            for member in self.members.values_mut() {
                member.answer_sync(Ok(member.assignment.clone()));
            }
        }
        receiver
    }

    pub(super) fn heartbeat(&mut self, member: &str, generation: i32, now: Instant) -> i16 {
        if let Some(refusal) = self.refusal(member, generation) {
            return refusal;
        }
        if let Some(member) = self.members.get_mut(member) {
            member.heard = now;
        }
        if matches!(self.phase, Phase::Joining { .. }) { code::REBALANCE_IN_PROGRESS } else { code::NONE }
    }

    pub(super) fn leave(&mut self, member: &str, now: Instant) -> i16 {
        if self.members.remove(member).is_none() {
            return code::UNKNOWN_MEMBER_ID;
        }
        self.begin(now);
        self.complete(now);
        code::NONE
    }

    /// Removes members without a heartbeat within their session timeout, or that have not rejoined when the rebalance times out.
    pub(super) fn expire(&mut self, now: Instant) {
        let late = matches!(self.phase, Phase::Joining { until } if until <= now);
        let before = self.members.len();
        self.members.retain(|_, member| match (&member.joining, &member.syncing) {
            (Some(waiting), _) => !waiting.is_closed(),
            (None, Some(waiting)) => !waiting.is_closed(),
            (None, None) => now - member.heard < member.session && !late,
        });
        if self.members.len() < before {
            self.begin(now);
        }
        self.complete(now);
    }

    /// Returns an error code unless the commit is allowed: by a member of this generation, or by a client without membership while
    /// the group is empty.
    pub(super) fn may_commit(&self, member: &str, generation: i32) -> Option<i16> {
        if generation < 0 && self.members.is_empty() { None } else { self.refusal(member, generation) }
    }

    pub(super) fn commit(&mut self, topic: &str, partition: i32, offset: i64) {
        self.committed.insert((topic.to_owned(), partition), offset);
    }

    pub(super) fn committed(&self, topic: &str, partition: i32) -> Option<i64> {
        self.committed.get(&(topic.to_owned(), partition)).copied()
    }

    /// Returns the topics and partitions that have a commit.
    pub(super) fn all_committed(&self) -> Vec<(String, Vec<i32>)> {
        let mut topics = BTreeMap::<_, Vec<_>>::new();
        for (topic, partition) in self.committed.keys() {
            topics.entry(topic.clone()).or_default().push(*partition);
        }
        topics.into_iter().collect()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter()
    }

    pub(super) fn protocol(&self) -> &str {
        &self.protocol
    }

    /// Returns the state as `DescribeGroups` names it.
    pub(super) const fn state(&self) -> &'static str {
        match self.phase {
            Phase::Empty => "Empty",
            Phase::Joining { .. } => "PreparingRebalance",
            Phase::Syncing => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }

    fn refusal(&self, member: &str, generation: i32) -> Option<i16> {
        if !self.members.contains_key(member) {
            Some(code::UNKNOWN_MEMBER_ID)
        } else if generation == self.generation {
            None
        } else {
            Some(code::ILLEGAL_GENERATION)
        }
    }

    /// Starts a rebalance, in which all members must rejoin. A member that waits for an assignment learns of it at once, the others
    /// with their next heartbeat.
    fn begin(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            member.answer_sync(Err(code::REBALANCE_IN_PROGRESS));
        }
        if !matches!(self.phase, Phase::Joining { .. }) {
            let longest = self.members.values().map(|member| member.rebalance).max().unwrap_or_default();
            self.phase = Phase::Joining { until: now + longest };
        }
    }

    fn complete(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Joining { .. }) || self.members.values().any(|member| member.joining.is_none())
        {
            return;
        }
        self.generation += 1;
        if !self.members.contains_key(&self.leader) {
            self.leader = self.members.keys().next().cloned().unwrap_or_default();
        }
        let Some(leader) = self.members.get(&self.leader) else {
            self.phase = Phase::Empty;
            return;
        };
        let for_all = |name: &String| self.members.values().all(|member| member.said(name).is_some());
        self.protocol = leader.protocols.iter().map(|(name, _)| name.clone()).find(for_all).unwrap_or_default();
        let said = |(name, member): (&String, &Member)| {
            (name.clone(), member.said(&self.protocol).map(<[u8]>::to_vec).unwrap_or_default())
        };
        let mut everybody: Vec<_> = self.members.iter().map(said).collect();
        self.phase = Phase::Syncing;
        for (name, member) in &mut self.members {
            member.heard = now;
            member.assignment.clear();
            let joined = Joined {
                code: code::NONE,
                generation: self.generation,
                protocol: self.protocol.clone(),
                leader: self.leader.clone(),
                member: name.clone(),
                members: if *name == self.leader { std::mem::take(&mut everybody) } else { Vec::new() },
            };
            // a member whose connection is closed will be removed
            drop(member.joining.take().map(|waiting| waiting.send(joined)));
        }
    }
}

impl Member {
    fn said(&self, protocol: &str) -> Option<&[u8]> {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, said)| said.as_slice())
    }

    fn answer_sync(&mut self, answer: Synced) {
        drop(self.syncing.take().map(|waiting| waiting.send(answer)));
    }
}

impl Joined {
    fn refused(member: String) -> Self {
        let (protocol, leader) = (String::new(), String::new());
        Self { code: code::UNKNOWN_MEMBER_ID, generation: -1, protocol, leader, member, members: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Duration = Duration::from_secs(6);

    fn join(member: &str) -> Join {
        let protocols = vec![("range".to_owned(), b"orders".to_vec())];
        let (session, rebalance) = (SESSION, SESSION * 10);
        Join { member: member.into(), client_id: "c".into(), session, rebalance, protocols }
    }

    /// A group with two members that have assignments.
    fn two(now: Instant) -> Group {
        let mut group = Group::default();
        let first = group.join(join(""), now).try_recv().unwrap();
        assert_eq!((first.generation, first.members.len(), &*first.leader), (1, 1, "c-1"));
        let mut second = group.join(join(""), now);
        assert_eq!(group.heartbeat("c-1", 1, now), code::REBALANCE_IN_PROGRESS);
        assert!(second.try_recv().is_err(), "it waits for the first");
        let first = group.join(join("c-1"), now).try_recv().unwrap();
        let second = second.try_recv().unwrap();
        assert_eq!((first.generation, first.members.len(), second.members.len()), (2, 2, 0));
        let mut waiting = group.sync("c-2", 2, Vec::new(), now);
        assert!(waiting.try_recv().is_err(), "it waits for the leader");
        let parts = vec![("c-1".to_owned(), b"a".to_vec()), ("c-2".to_owned(), b"b".to_vec())];
        assert_eq!(group.sync("c-1", 2, parts, now).try_recv().unwrap(), Ok(b"a".to_vec()));
        assert_eq!(waiting.try_recv().unwrap(), Ok(b"b".to_vec()));
        assert_eq!(group.state(), "Stable");
        group
    }

    #[test]
    fn members_join_and_get_their_parts() {
        let now = Instant::now();
        let mut group = two(now);
        assert_eq!(group.heartbeat("c-2", 2, now), code::NONE);
        assert_eq!(group.heartbeat("c-2", 1, now), code::ILLEGAL_GENERATION);
        assert_eq!(group.may_commit("c-2", 2), None);
        assert_eq!(group.may_commit("c-2", 1), Some(code::ILLEGAL_GENERATION));
        assert_eq!(group.may_commit("", -1), Some(code::UNKNOWN_MEMBER_ID), "only members may commit");
    }

    #[test]
    fn who_leaves_or_is_silent_is_put_out() {
        let now = Instant::now();
        let mut group = two(now);
        assert_eq!(group.leave("c-2", now), code::NONE);
        assert_eq!(group.heartbeat("c-1", 2, now), code::REBALANCE_IN_PROGRESS);
        assert_eq!(group.join(join("c-1"), now).try_recv().unwrap().members.len(), 1);
        group.expire(now + SESSION / 2);
        assert_eq!(group.members().count(), 1);
        group.expire(now + SESSION);
        assert_eq!((group.members().count(), group.state()), (0, "Empty"));
        assert_eq!(group.join(join("c-1"), now).try_recv().unwrap().code, code::UNKNOWN_MEMBER_ID);
        assert_eq!(group.may_commit("", -1), None, "an empty group may be committed for");
    }

    #[test]
    fn a_rebalance_waits_for_nobody_for_ever() {
        let now = Instant::now();
        let mut group = two(now);
        let mut third = group.join(join(""), now);
        // the old members are alive, and do not join
        let later = now + SESSION * 10;
        for member in ["c-1", "c-2"] {
            assert_eq!(group.heartbeat(member, 2, later), code::REBALANCE_IN_PROGRESS);
        }
        group.expire(later);
        assert_eq!(third.try_recv().unwrap().members.len(), 1);
    }
}
