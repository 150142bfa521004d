//! Probes a cluster with the client that readings use: the login, the brokers' advertised addresses, topics and groups.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::aws::AwsProbe;
use super::tls::TlsSettings;
use crate::lag::{SourceError, SourceErrorKind};
use crate::network::Address;
use crate::trigger::GroupType;

use crate::source::kafka::transport::{
    Broker, ClusterTransport as _, GroupAsk, GroupState, PartitionsAsk, Progress, ProgressRows, RowError, Topic,
    TopicName, TopicsAsk,
};
use crate::source::kafka::{Batched, Fetched, TokenSource, failed, open};
use crate::telemetry::UpstreamMetrics;
use crate::tenancy::{AllowedHosts, OUT_OF_REACH};
use crate::trigger::{AwsIdentity, CertificateVerification, KafkaSecurity, Sasl, Tls};

/// The deadline for a login, which takes milliseconds.
const LOGIN_WITHIN: Duration = Duration::from_secs(4);
const TOKEN_WITHIN: Duration = Duration::from_secs(8);
const TOPICS_WITHIN: Duration = Duration::from_secs(3);
/// The deadline for a group: the first request for one also finds its coordinator.
const GROUP_WITHIN: Duration = Duration::from_secs(5);

/// One cluster and one identity for it.
pub(crate) struct KafkaProbe {
    pub(crate) bootstrap_servers: Vec<String>,
    security: KafkaSecurity,
    reach: AllowedHosts,
    metrics: UpstreamMetrics,
}

/// A client of the cluster.
pub(crate) struct Client {
    transport: Batched,
    tokens: Option<TokenSource>,
}

/// A group and its commits.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The state of the group, as its coordinator describes it.
    pub(crate) state: GroupState,
    /// The number of partitions with a commit, by topic, as far as the principal may see them.
    pub(crate) committed: BTreeMap<TopicName, usize>,
}

impl Group {
    /// Whether the cluster has no sign of the group.
    pub(crate) fn is_unknown(&self) -> bool {
        self.state.members.is_empty() && self.committed.is_empty()
    }
}

impl KafkaProbe {
    pub(super) fn new(bootstrap_servers: &[String], security: &KafkaSecurity, reach: AllowedHosts) -> Self {
        let bootstrap_servers = bootstrap_servers.to_vec();
        Self { bootstrap_servers, security: security.clone(), reach, metrics: UpstreamMetrics::default() }
    }

    /// Returns the reason when readings may connect to none of them.
    pub(crate) fn admits(&self, addresses: &[SocketAddr]) -> Result<(), &'static str> {
        if addresses.iter().any(|address| self.reach.includes(address.ip())) { Ok(()) } else { Err(OUT_OF_REACH) }
    }

    /// Returns the reason when readings may not connect to one of the bootstrap servers, as far as its name shows.
    pub(crate) fn refused_by_name(&self) -> Option<&'static str> {
        let named = |server: &String| match Address::parse(server, 0)?.host.as_str() {
            "localhost" => Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
            host => host.parse().ok(),
        };
        let refused = |address| !self.reach.includes(address);
        self.bootstrap_servers.iter().filter_map(named).any(refused).then_some(OUT_OF_REACH)
    }

    /// Returns the trusted authorities and the client certificate, where the connection is encrypted.
    pub(crate) fn terms(&self) -> Option<TlsSettings> {
        TlsSettings::of_kafka(&self.security.tls)
    }

    /// Whether the client verifies the brokers' certificates.
    pub(crate) const fn verifies(&self) -> bool {
        matches!(self.security.tls, Tls::On { verification: CertificateVerification::Full, .. })
    }

    /// Returns the client's certificate, in PEM.
    pub(crate) fn client_certificate(&self) -> Option<&str> {
        match &self.security.tls {
            Tls::On { identity: Some(identity), .. } => Some(&identity.certificate),
            Tls::On { identity: None, .. } | Tls::Off => None,
        }
    }

    /// Returns Kafka's name of the SASL mechanism.
    pub(crate) const fn mechanism(&self) -> Option<&'static str> {
        match self.security.sasl {
            Sasl::None => None,
            Sasl::Plain(_) => Some("PLAIN"),
            Sasl::ScramSha256(_) => Some("SCRAM-SHA-256"),
            Sasl::ScramSha512(_) => Some("SCRAM-SHA-512"),
            Sasl::OauthBearer { .. } | Sasl::AwsMskIam { .. } => Some("OAUTHBEARER"),
            Sasl::Gssapi => Some("GSSAPI"),
        }
    }

    /// Returns the user name of the login, if it has one.
    pub(crate) fn username(&self) -> Option<&str> {
        match &self.security.sasl {
            Sasl::Plain(who) | Sasl::ScramSha256(who) | Sasl::ScramSha512(who) => Some(&who.username),
            Sasl::OauthBearer { client, .. } => Some(&client.username),
            Sasl::None | Sasl::AwsMskIam { .. } | Sasl::Gssapi => None,
        }
    }

    /// Returns the IAM identity, where the login uses IAM.
    pub(crate) fn iam(&self) -> Option<AwsProbe> {
        match &self.security.sasl {
            Sasl::AwsMskIam { region, credentials } => {
                let (region, credentials) = (region.as_str().into(), credentials.clone());
                Some(AwsProbe::new(AwsIdentity { region, endpoint: None, credentials }))
            }
            _ => None,
        }
    }

    /// Creates a client with these credentials; it connects at the first request.
    /// Returns an error when certificates, keys or passwords are unusable.
    pub(crate) fn client(&self) -> Result<Client, SourceError> {
        let (transport, tokens) = open(&self.bootstrap_servers, &self.security, self.reach, &self.metrics)?;
        Ok(Client { transport, tokens })
    }
}

impl Client {
    /// Whether the login needs a token.
    pub(crate) const fn needs_token(&self) -> bool {
        self.tokens.is_some()
    }

    /// Fetches the token and sets it in the client; returns its lifetime.
    /// Returns an error when there is none within eight seconds.
    pub(crate) async fn fetch_token(&self, now: SystemTime) -> Result<Duration, SourceError> {
        let Some(tokens) = &self.tokens else { return Ok(Duration::ZERO) };
        let refused = |why: String| SourceError::new(SourceErrorKind::Denied, "the login needs a token").because(why);
        let fetched = timeout(TOKEN_WITHIN, Box::pin(tokens.fetch(now))).await;
        let fetched = fetched.unwrap_or_else(|_| Err(format!("no answer within {} s", TOKEN_WITHIN.as_secs())));
        let Fetched { token, lifetime } = fetched.map_err(refused)?;
        self.transport.set_token(token);
        Ok(lifetime)
    }

    /// Logs in, and returns the brokers and their advertised addresses. Calls `Metadata` (<https://kafka.apache.org/protocol.html>).
    /// Returns an error when no broker answers within four seconds.
    pub(crate) async fn brokers(&self) -> Result<Vec<Broker>, SourceError> {
        let brokers = self.transport.brokers(LOGIN_WITHIN).await;
        brokers.map_err(|row| failed("could not log in and list the brokers".to_owned(), &row))
    }

    /// Returns the description of a topic. Calls `Metadata` (<https://kafka.apache.org/protocol.html>).
    /// Returns an error when it does not exist or may not be seen, or no broker answers within three seconds.
    pub(crate) async fn topic(&self, name: &TopicName) -> Result<Topic, SourceError> {
        let rows = self.transport.topics(TopicsAsk::Named(vec![name.clone()]), TOPICS_WITHIN).await;
        let row = rows.and_then(|rows| match rows.into_iter().next() {
            Some((_, row)) => row,
            None => Err(silent()),
        });
        row.map_err(|row| failed(format!("could not read topic {name}"), &row))
    }

    /// Returns the names of all topics that the principal may describe. Calls `Metadata` (<https://kafka.apache.org/protocol.html>).
    /// Returns an error when no broker answers within three seconds.
    pub(crate) async fn topic_names(&self) -> Result<Vec<TopicName>, SourceError> {
        let rows = self.transport.topics(TopicsAsk::All, TOPICS_WITHIN).await;
        let rows = rows.map_err(|row| failed("could not list the topics".to_owned(), &row))?;
        Ok(rows.into_iter().map(|(name, _)| name).collect())
    }

    /// Returns the names of all groups that the principal may describe. Calls `ListGroups` (<https://kafka.apache.org/protocol.html>) on
    /// every broker.
    /// Returns an error when a broker does not answer within five seconds.
    pub(crate) async fn group_names(&self) -> Result<Vec<Arc<str>>, SourceError> {
        let groups = self.transport.group_ids(GROUP_WITHIN).await;
        groups.map_err(|row| failed("could not list the groups".to_owned(), &row))
    }

    /// Returns a group and its commits. Calls `DescribeGroups` (and its successors) and `OffsetFetch`
    /// (<https://kafka.apache.org/protocol.html>).
    /// Returns an error when the group may not be seen, or its coordinator does not answer within five seconds.
    pub(crate) async fn group(&self, id: &Arc<str>) -> Result<Group, SourceError> {
        let refused = |row| failed(format!("could not read group {id}"), &row);
        let state = self.transport.groups(vec![id.clone()], GROUP_WITHIN).recv().await;
        let state = state.map_or_else(|| Err(silent()), |(_, state)| state).map_err(refused)?;
        let ask = GroupAsk { group: id.clone(), partitions: PartitionsAsk::AllCommitted };
        let group_type = state.group_type.unwrap_or(GroupType::Consumer);
        let rows = self.transport.progress(group_type, vec![ask], GROUP_WITHIN).recv().await;
        let rows = rows.map_or_else(|| Err(silent()), |(_, rows)| rows).map_err(refused)?;
        Ok(Group { state, committed: count(&rows) })
    }
}

fn count(rows: &ProgressRows) -> BTreeMap<TopicName, usize> {
    let committed = |row: &_| matches!(row, Ok(Progress::Committed(_) | Progress::Unacknowledged(_)));
    let counts = rows
        .as_slice()
        .iter()
        .map(|(topic, of)| (topic.clone(), of.as_slice().iter().filter(|(_, row)| committed(row)).count()));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn silent() -> RowError {
    RowError::Overdue("no answer".into())
}
