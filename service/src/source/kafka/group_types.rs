//! The types of groups, as far as the cluster has shown them.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::model::ByName;
use super::transport::GroupId;
use crate::lag::FORGET_AFTER;
use crate::trigger::GroupType;

/// The time after which the type of a group that has read nothing is read again, because it may still change.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The types of the groups of one cluster.
#[derive(Debug, Default)]
pub(super) struct GroupTypes {
    known: Mutex<ByName<Known>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    group_type: GroupType,
    read_at: Instant,
    /// Whether the group has read something, which fixes its type.
    settled: bool,
}

/// What is known of the type of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// The group is of this type.
    Certain(GroupType),
    /// The type must be read from the cluster; until then this type is assumed.
    Assumed(GroupType),
}

impl Known {
    fn holds(&self, requested: Option<GroupType>) -> bool {
        let as_requested = requested.is_none_or(|requested| requested == self.group_type);
        as_requested && (self.settled || self.read_at.elapsed() < READ_AGAIN_AFTER)
    }
}

impl GroupTypes {
    /// Returns what is known of the type of a group that the trigger declares as `requested`.
    pub(super) fn of(&self, group: &GroupId, requested: Option<GroupType>) -> Knowledge {
        match self.known.lock().get(group).copied() {
            Some(known) if known.holds(requested) => Knowledge::Certain(known.group_type),
            known => {
                let before = known.map(|known| known.group_type);
                Knowledge::Assumed(requested.or(before).unwrap_or(GroupType::Consumer))
            }
        }
    }

    /// Records that a group has read something, which fixes its type.
    pub(super) fn settle(&self, group: &GroupId, group_type: GroupType) {
        self.insert(group, Known { group_type, read_at: Instant::now(), settled: true });
    }

    /// Records the type that the cluster reported for a group that has read nothing yet.
    pub(super) fn reported(&self, group: &GroupId, group_type: GroupType) {
        self.insert(group, Known { group_type, read_at: Instant::now(), settled: false });
    }

    /// Records that the progress of a group is gone, as if it had been deleted.
    pub(super) fn unsettle(&self, group: &GroupId) {
        if let Some(known) = self.known.lock().get_mut(group) {
            known.settled = false;
        }
    }

    /// Forgets groups that no source has read within [`FORGET_AFTER`].
    pub(super) fn prune(&self, now: Instant) {
        self.known.lock().retain(|_, known| now.duration_since(known.read_at) < FORGET_AFTER);
    }

    fn insert(&self, group: &GroupId, of: Known) {
        self.known.lock().insert(group.clone(), of);
    }
}
