//! State and members of groups of the classic, the consumer and the share protocol.

use tokio::time::Instant;

use super::answers::{in_order_of, row_error};
use super::coordinators::{Answers, OfGroup, Question};
use super::{ClusterClient, topics};
use crate::source::kafka::dial::LoggedIn;
use crate::source::kafka::protocol::{
    ConsumerGroupDescribe, DescribeGroups, ErrorCode, ListGroups, Request as _, Row, ShareGroupDescribe,
};
use crate::source::kafka::transport::{GroupId, GroupState, RowError};
use crate::telemetry::UpstreamApi;

/// Describes groups by `DescribeGroups`, then `ConsumerGroupDescribe`, then `ShareGroupDescribe`
/// (<https://kafka.apache.org/protocol.html>), each for the groups that the one before did not find.
pub(super) struct Described;

impl OfGroup for GroupId {
    fn group(&self) -> &GroupId {
        self
    }

    /// A member takes several hundred bytes, and a group may have a thousand members.
    fn weight(&self) -> usize {
        100
    }
}

impl Question for Described {
    type Of = GroupId;
    type Answer = GroupState;

    const API: UpstreamApi = UpstreamApi::KafkaDescribeGroups;

    /// A broker reports a group of one protocol as not found in the others.
    async fn ask(
        asking: &ClusterClient,
        connection: &LoggedIn,
        asked: &[GroupId],
        until: Instant,
    ) -> Result<Answers<GroupState>, RowError> {
        let mut absent = Vec::new();
        let mut states = Vec::with_capacity(asked.len());
        let mut sort = |described: Vec<(GroupId, Row<GroupState>)>, absent: &mut Vec<GroupId>| {
            for (group, state) in described {
                match state {
                    Err(ErrorCode::GROUP_ID_NOT_FOUND) => absent.push(group),
                    Ok(state) if state.state == DEAD => absent.push(group),
                    state => states.push((group, state.map_err(row_error))),
                }
            }
        };
        let request = DescribeGroups { groups: asked };
        sort(asking.ask(connection, Self::API, &request, until).await?, &mut absent);
        if !absent.is_empty() && connection.takes(ConsumerGroupDescribe::KEY) {
            let request = ConsumerGroupDescribe { groups: &std::mem::take(&mut absent) };
            sort(asking.ask(connection, Self::API, &request, until).await?, &mut absent);
        }
        if !absent.is_empty() && connection.version::<ShareGroupDescribe<'_>>().is_ok() {
            let request = ShareGroupDescribe { groups: &std::mem::take(&mut absent) };
            sort(asking.ask(connection, Self::API, &request, until).await?, &mut absent);
        }
        let nowhere = GroupState { group_type: None, state: DEAD.to_owned(), members: Vec::new() };
        states.extend(absent.into_iter().map(|group| (group, Ok(nowhere.clone()))));
        Ok(in_order_of(asked.iter(), states))
    }
}

/// Returns the groups of the cluster. Calls `ListGroups` (<https://kafka.apache.org/protocol.html>) on every broker: each lists those
/// that it coordinates.
pub(super) async fn all(asking: &ClusterClient, until: Instant) -> Result<Vec<GroupId>, RowError> {
    let mut groups = Vec::new();
    for broker in topics::brokers(asking, until).await? {
        let connection = asking.connection(broker.id, UpstreamApi::KafkaListGroups, until).await?;
        let listed = asking.ask(&connection, UpstreamApi::KafkaListGroups, &ListGroups, until).await?;
        groups.extend(listed.map_err(row_error)?);
    }
    Ok(groups)
}

/// The state that the classic protocol reports for a group that does not exist.
const DEAD: &str = "Dead";
