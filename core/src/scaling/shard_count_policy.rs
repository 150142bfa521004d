//! `scaleOn: shardCount`: open shards, by KEDA's rules for its AWS triggers.

use super::{Decision, Quantity, Step};
use crate::lag::ShardsObservation;
use crate::trigger::{Compat, ShardCountPolicy, StreamName};

pub(super) fn decide(policy: &ShardCountPolicy, stream: &StreamName, shards: ShardsObservation) -> Decision {
    let mut steps = vec![Step::OpenShards { open: shards.open }];
    let mut counted = shards.open;
    // KEDA counts every shard that DescribeStream lists, and closed ones stay listed for a day
    if policy.compat == Compat::Strict && matches!(stream, StreamName::DynamoDb(_)) && shards.closed > 0 {
        counted = counted.saturating_add(shards.closed);
        steps.push(Step::ClosedShardsCounted { closed: shards.closed });
    }
    let active = i128::from(counted) > i128::from(policy.activation_threshold);
    steps.push(Step::ShardActivation { shards: counted, threshold: policy.activation_threshold, active });
    Decision {
        value: Quantity::from_count(counted),
        target: Quantity::from_count(policy.threshold.get()),
        active,
        steps,
    }
}
