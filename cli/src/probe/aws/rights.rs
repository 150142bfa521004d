//! The IAM permissions that the scaler needs per source: exactly the actions that it calls, on exactly the resources that it reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::trigger::{
    AgeFrom, ApplicationSource, KafkaSource, RowSelection, SourceRef, StreamName, StreamSource, TopicSelection,
};

/// One action on one resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Right {
    /// The action as a policy names it, such as `kinesis:ListShards`.
    pub(crate) action: &'static str,
    /// The resource that the action needs.
    pub(crate) resource: Resource,
}

/// The resource of a permission.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Resource {
    /// A Kinesis stream, by its name or its ARN.
    Stream(Arc<str>),
    /// A DynamoDB table, by its name or its ARN.
    Table(Arc<str>),
    /// The streams of a DynamoDB table, by the table's name or ARN.
    TableStream(Arc<str>),
    /// An Amazon MSK cluster, whose name the broker addresses do not contain.
    MskCluster,
    /// A topic of the cluster, `*` for all.
    MskTopic(Arc<str>),
    /// A consumer group of the cluster.
    MskGroup(Arc<str>),
    /// An IAM role, by its ARN.
    Role(Arc<str>),
    /// Every resource, for actions that support no resource.
    Any,
}

/// The partition, region and account of ARNs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArnScope {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub(crate) partition: String,
    /// The AWS region.
    pub(crate) region: String,
    /// The account number, or `*` where it is not known.
    pub(crate) account: String,
}

const LIST_SHARDS: &str = "kinesis:ListShards";
const DESCRIBE_SUMMARY: &str = "kinesis:DescribeStreamSummary";
const KINESIS_ITERATOR: &str = "kinesis:GetShardIterator";
const KINESIS_RECORDS: &str = "kinesis:GetRecords";
const DESCRIBE_TABLE: &str = "dynamodb:DescribeTable";
const DESCRIBE_STREAM: &str = "dynamodb:DescribeStream";
const DYNAMODB_ITERATOR: &str = "dynamodb:GetShardIterator";
const DYNAMODB_RECORDS: &str = "dynamodb:GetRecords";
const SCAN: &str = "dynamodb:Scan";
/// `CloudWatch` has no resource types for metrics
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html>).
const GET_METRIC_DATA: &str = "cloudwatch:GetMetricData";
const QUERY: &str = "dynamodb:Query";

/// Returns the permissions that reading `source` needs, in the order in which they are used.
pub(crate) fn rights_for(source: &SourceRef) -> Vec<Right> {
    match source {
        SourceRef::Kafka(_) => Vec::new(),
        SourceRef::Shards(stream) => of_shards(stream),
        SourceRef::Application(application) => of_application(application),
        SourceRef::Writes(writes) => {
            let stream = Resource::Stream(writes.stream.as_given().into());
            vec![
                right(DESCRIBE_SUMMARY, stream.clone()),
                right(LIST_SHARDS, stream),
                right(GET_METRIC_DATA, Resource::Any),
            ]
        }
    }
}

/// Returns the IAM permissions that reading a group of an Amazon MSK cluster needs.
pub(crate) fn rights_on_msk(source: &KafkaSource) -> Vec<Right> {
    let topics = match &source.topics {
        TopicSelection::Named(names) => names.to_vec(),
        TopicSelection::OfGroup { .. } => vec!["*".into()],
    };
    let topics = topics.into_iter().map(|topic| right("kafka-cluster:DescribeTopic", Resource::MskTopic(topic)));
    let group = right("kafka-cluster:DescribeGroup", Resource::MskGroup(source.group.clone()));
    std::iter::once(right("kafka-cluster:Connect", Resource::MskCluster)).chain(topics).chain([group]).collect()
}

/// Returns the permission to assume a role.
pub(crate) fn right_to_assume(role_arn: &str) -> Right {
    right("sts:AssumeRole", Resource::Role(role_arn.into()))
}

fn of_shards(stream: &StreamSource) -> Vec<Right> {
    match &stream.stream {
        StreamName::Kinesis(stream) => vec![right(LIST_SHARDS, Resource::Stream(stream.as_given().into()))],
        StreamName::DynamoDb(name) => vec![
            right(DESCRIBE_TABLE, Resource::Table(name.clone())),
            right(DESCRIBE_STREAM, Resource::TableStream(name.clone())),
        ],
    }
}

fn of_application(application: &ApplicationSource) -> Vec<Right> {
    let mut rights = of_shards(&application.stream);
    let (iterator, records, resource) = match &application.stream.stream {
        StreamName::Kinesis(stream) => {
            let stream = Resource::Stream(stream.as_given().into());
            rights.push(right(DESCRIBE_SUMMARY, stream.clone()));
            (KINESIS_ITERATOR, KINESIS_RECORDS, stream)
        }
        StreamName::DynamoDb(name) => (DYNAMODB_ITERATOR, DYNAMODB_RECORDS, Resource::TableStream(name.clone())),
    };
    if application.age_from != AgeFrom::SequenceNumber {
        rights.extend([right(iterator, resource.clone()), right(records, resource)]);
    }
    let rows = match application.store.layout.selection {
        RowSelection::Partition(_) => QUERY,
        RowSelection::All | RowSelection::Filter(_) => SCAN,
    };
    rights.push(right(rows, Resource::Table(application.store.table.clone())));
    rights
}

const fn right(action: &'static str, resource: Resource) -> Right {
    Right { action, resource }
}

/// Builds an IAM policy that allows these permissions and nothing else.
pub(crate) fn policy(rights: &[Right], place: &ArnScope) -> Value {
    let mut by_resource: BTreeMap<&Resource, Vec<&str>> = BTreeMap::new();
    for Right { action, resource } in rights {
        let actions = by_resource.entry(resource).or_default();
        if !actions.contains(action) {
            actions.push(action);
        }
    }
    let statements = by_resource
        .iter()
        .map(|(resource, actions)| json!({"Effect": "Allow", "Action": actions, "Resource": place.arn(resource)}));
    json!({"Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>()})
}

impl ArnScope {
    /// Returns the scope of a region, of an unknown account.
    pub(crate) fn of_region(region: &str) -> Self {
        let partition = match region.split('-').next() {
            Some("cn") => "aws-cn",
            _ if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        Self { partition: partition.to_owned(), region: region.to_owned(), account: "*".to_owned() }
    }

    /// Returns the same region, in the account that an ARN names.
    pub(crate) fn in_account_of(mut self, arn: &str) -> Self {
        if let Some(account) = arn.split(':').nth(4).filter(|account| !account.is_empty()) {
            account.clone_into(&mut self.account);
        }
        self
    }

    fn arn(&self, resource: &Resource) -> String {
        let Self { partition, region, account } = self;
        let arn = |service: &str, path: String| format!("arn:{partition}:{service}:{region}:{account}:{path}");
        match resource {
            Resource::Stream(arn) | Resource::Table(arn) if arn.starts_with("arn:") => arn.to_string(),
            Resource::TableStream(table) if table.starts_with("arn:") => format!("{table}/stream/*"),
            Resource::Stream(name) => arn("kinesis", format!("stream/{name}")),
            Resource::Table(name) => arn("dynamodb", format!("table/{name}")),
            Resource::TableStream(name) => arn("dynamodb", format!("table/{name}/stream/*")),
            Resource::MskCluster => arn("kafka", "cluster/*".to_owned()),
            Resource::MskTopic(name) => arn("kafka", format!("topic/*/*/{name}")),
            Resource::MskGroup(name) => arn("kafka", format!("group/*/*/{name}")),
            Resource::Role(role_arn) => role_arn.to_string(),
            Resource::Any => "*".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_has_a_statement_for_each_thing_and_no_star_but_for_what_is_unknown() {
        let rights = [
            right(LIST_SHARDS, Resource::Stream("orders".into())),
            right(SCAN, Resource::Table("app".into())),
            right(KINESIS_RECORDS, Resource::Stream("orders".into())),
            right(LIST_SHARDS, Resource::Stream("orders".into())),
        ];
        let place = ArnScope::of_region("cn-north-1").in_account_of("arn:aws-cn:iam::123456789012:role/scaler");
        let expected = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["kinesis:ListShards", "kinesis:GetRecords"],
             "Resource": "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/orders"},
            {"Effect": "Allow", "Action": ["dynamodb:Scan"], "Resource": "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/app"},
        ]});
        assert_eq!(policy(&rights, &place), expected);
        let unknown = policy(&rights[..1], &ArnScope::of_region("us-gov-west-1"));
        assert_eq!(unknown["Statement"][0]["Resource"], "arn:aws-us-gov:kinesis:us-gov-west-1:*:stream/orders");
    }

    #[test]
    fn a_thing_that_is_given_by_its_arn_stands_in_the_policy_with_that() {
        let place = ArnScope::of_region("eu-west-1");
        let table = "arn:aws:dynamodb:eu-west-1:210987654321:table/invoices";
        let cases = [
            (
                Resource::Stream("arn:aws:kinesis:eu-west-1:210987654321:stream/orders".into()),
                "arn:aws:kinesis:eu-west-1:210987654321:stream/orders".to_owned(),
            ),
            (Resource::Table(table.into()), table.to_owned()),
            (Resource::TableStream(table.into()), format!("{table}/stream/*")),
        ];
        for (resource, expected) in cases {
            assert_eq!(place.arn(&resource), expected);
        }
    }
}
