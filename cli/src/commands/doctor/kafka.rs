//! Checks of a Kafka cluster, its topics and a group.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::aws;
use super::brokers::{BrokerCheck, USUAL_PORT, reach_broker};
use super::network::{CONNECTION_CA, look_up, now, presented};
use super::report::{Checkup, Finding, Looked, Status, Step, StepName, look, said};
use crate::lag::{SourceError, SourceErrorKind};
use crate::network::Address;
use crate::probe::aws::rights_on_msk;
use crate::probe::kafka::{Client, Group, KafkaProbe};
use crate::probe::tls::{TlsSettings, first_certificate, handshake};
use crate::source::kafka::transport::{Broker, Topic};
use crate::trigger::keys::is_near;
use crate::trigger::{AbsentTopics, KafkaSource, TopicSelection};

const AFTER_LOGIN: [StepName; 3] = [StepName::Advertised, StepName::Topic, StepName::Group];

/// Runs every check before the value; returns whether the value can be read.
pub(super) async fn examine(
    checkup: &mut Checkup,
    probe: &KafkaProbe,
    source: Option<&KafkaSource>,
) -> anyhow::Result<bool> {
    let Some(client) = checkup.look(StepName::Credentials, "", async { credentials(probe) }).await? else {
        checkup.skip(&[StepName::Resolve, StepName::Login], "the credentials cannot be used")?;
        checkup.skip(&AFTER_LOGIN, "the credentials cannot be used")?;
        return Ok(false);
    };
    let Some(brokers) = log_in(checkup, probe, &client).await? else {
        checkup.skip(&AFTER_LOGIN, "there is no login")?;
        return Ok(false);
    };
    if !advertised(checkup, probe, &brokers).await? {
        checkup.skip(&AFTER_LOGIN[1..], "not every broker can be reached where it says that it is")?;
        return Ok(false);
    }
    match source {
        Some(source) => Seeing { probe, client: &client, source }.topics_and_group(checkup).await,
        None => Ok(true),
    }
}

/// Checks the credentials, and creates a client with them.
fn credentials(probe: &KafkaProbe) -> Looked<Client> {
    let client = probe.client().map_err(|error| Finding::of(&error))?;
    let login = match (probe.mechanism(), probe.username()) {
        (Some(mechanism), Some(name)) => format!("{mechanism} as {name}"),
        (Some(mechanism), None) => mechanism.to_owned(),
        (None, _) => "no login".to_owned(),
    };
    let Some(certificate) = probe.client_certificate().and_then(first_certificate) else {
        return Ok((Finding::ok(login), client));
    };
    let seen = format!("{login}; client certificate {}, until {}", certificate.subject, certificate.until);
    if certificate.left(now()).is_zero() {
        return Err(Finding::failed(seen, "renew the client certificate: it has expired"));
    }
    Ok((Finding::ok(seen), client))
}

// === the way to a login ===

async fn log_in(checkup: &mut Checkup, probe: &KafkaProbe, client: &Client) -> anyhow::Result<Option<Vec<Broker>>> {
    let (steps, open) = ways(probe).await;
    for step in steps {
        checkup.add(step)?;
    }
    if !open {
        checkup.skip(&[StepName::Login], "no broker can be reached")?;
        return Ok(None);
    }
    if client.needs_token() && !token(checkup, probe, client).await? {
        checkup.skip(&[StepName::Login], "there is no token")?;
        return Ok(None);
    }
    checkup.look(StepName::Login, "", login(probe, client)).await
}

/// Runs the checks of every bootstrap broker; returns them, and whether a login to one of them can be attempted.
async fn ways(probe: &KafkaProbe) -> (Vec<Step>, bool) {
    let terms = probe.terms();
    let asked = join_all(probe.bootstrap_servers.iter().map(|server| way(probe, terms.clone(), server))).await;
    let any = asked.iter().any(|(_, open)| *open);
    let mut steps: Vec<_> = asked.into_iter().flat_map(|(steps, _)| steps).collect();
    if any {
        for step in &mut steps {
            step.excuse("another broker answers");
        }
    }
    (steps, any)
}

async fn way(probe: &KafkaProbe, terms: Option<TlsSettings>, server: &str) -> (Vec<Step>, bool) {
    if let Some(address) = Address::parse(server, USUAL_PORT) {
        return BrokerCheck { probe, terms, address }.steps().await;
    }
    let finding = Finding::failed("this is no host and port", "write it as host:port");
    (vec![Step::new(StepName::Resolve, server, finding, Duration::ZERO)], false)
}

async fn token(checkup: &mut Checkup, probe: &KafkaProbe, client: &Client) -> anyhow::Result<bool> {
    if let Some(iam) = probe.iam()
        && aws::who(checkup, &iam, true).await?.is_none()
    {
        return Ok(false);
    }
    let fetched = checkup.look(StepName::Token, "", async {
        match client.fetch_token(now()).await {
            Ok(lasts) => Ok((Finding::ok(format!("it lasts {} s", lasts.as_secs())), ())),
            Err(error) => {
                let remedy =
                    "check oauthTokenEndpointUri, username (the client's id), password (its secret) and scopes";
                Err(Finding::failed(said(&error), remedy))
            }
        }
    });
    Ok(fetched.await?.is_some())
}

async fn login(probe: &KafkaProbe, client: &Client) -> Looked<Vec<Broker>> {
    let who = probe.username().map_or_else(String::new, |name| format!("as {name}; "));
    match client.brokers().await {
        Ok(brokers) => {
            let ids: Vec<_> = brokers.iter().map(|broker| broker.id.0.to_string()).collect();
            Ok((Finding::ok(format!("{who}brokers {}", ids.join(", "))), brokers))
        }
        Err(error) if error.kind() == SourceErrorKind::Denied => {
            let remedy = "correct username and password, and check that the cluster has that user for this mechanism";
            Err(Finding::failed(said(&error), remedy))
        }
        Err(error) => Err(Finding::of(&error)),
    }
}

// === the brokers' own names ===

/// Checks whether every broker can be reached at its advertised address.
async fn advertised(checkup: &mut Checkup, probe: &KafkaProbe, brokers: &[Broker]) -> anyhow::Result<bool> {
    let asked: Vec<_> =
        probe.bootstrap_servers.iter().filter_map(|server| Address::parse(server, USUAL_PORT)).collect();
    let terms = probe.terms();
    let steps = join_all(brokers.iter().map(|broker| {
        let (asked, terms) = (&asked, terms.as_ref());
        async move {
            let address = Address { host: broker.host.clone(), port: broker.port };
            let on = format!("broker {} at {address}", broker.id.0);
            look(StepName::Advertised, &on, async {
                if asked.contains(&address) {
                    return Ok((Finding::ok("as in bootstrapServers"), ()));
                }
                let found = found_at(probe, &address, terms).await;
                found.map_err(|finding| misled(broker, &address, finding))
            })
            .await
        }
    }))
    .await;
    let all = steps.iter().all(|(_, found)| found.is_some());
    for (step, _) in steps {
        checkup.add(step)?;
    }
    Ok(all)
}

/// Reports a broker whose advertised address does not work.
fn misled(broker: &Broker, address: &Address, finding: Finding) -> Finding {
    let own = finding.remedy.unwrap_or_default();
    let remedy = format!(
        "the brokers send clients to {address}: correct advertised.listeners of broker {}, or make that address work for the scaler; {own}",
        broker.id.0
    );
    Finding { remedy: Some(remedy), ..finding }
}

async fn found_at(probe: &KafkaProbe, address: &Address, terms: Option<&TlsSettings>) -> Looked<()> {
    let (resolved, addresses) = look_up(address).await?;
    let (reached, connected) = reach_broker(probe, &addresses).await?;
    let Some(terms) = terms else {
        return Ok((reached, ()));
    };
    let session = handshake(connected.stream, &address.host, terms, now()).await;
    let session = session.map_err(|why| Finding::failed(why.to_string(), super::network::handshake_remedy(&why)))?;
    let finding = presented(&session.presented, probe.verifies(), CONNECTION_CA);
    match finding.status {
        Status::Failed => Err(finding),
        _ => Ok((Finding { seen: format!("{}; {}", resolved.seen, finding.seen), ..finding }, ())),
    }
}

// === topics and group ===

struct Seeing<'a> {
    probe: &'a KafkaProbe,
    client: &'a Client,
    source: &'a KafkaSource,
}

impl Seeing<'_> {
    async fn topics_and_group(&self, checkup: &mut Checkup) -> anyhow::Result<bool> {
        let mut topics = HashMap::new();
        let mut all = true;
        match &self.source.topics {
            TopicSelection::Named(names) => {
                let steps = join_all(names.iter().map(|name| look(StepName::Topic, name, self.topic(name)))).await;
                for (name, (step, topic)) in names.iter().zip(steps) {
                    all &= topic.is_some();
                    topics.extend(topic.flatten().map(|topic| (name.clone(), topic)));
                    checkup.add(step)?;
                }
            }
            TopicSelection::OfGroup { .. } => {
                checkup.tell(StepName::Topic, "", Finding::skipped("none is named: those of the group count"))?;
            }
        }
        let group = &self.source.group;
        let seen = checkup.look(StepName::Group, group, self.group(&topics)).await?;
        Ok(all && seen.is_some())
    }

    /// Returns the topic, or nothing if its absence is allowed.
    async fn topic(&self, name: &Arc<str>) -> Looked<Option<Topic>> {
        match self.client.topic(name).await {
            Ok(topic) => {
                let partitions = topic.partitions.as_slice();
                let leaderless = partitions.iter().filter(|(_, leader)| leader.is_none());
                let leaderless: Vec<_> = leaderless.map(|(partition, _)| partition.to_string()).collect();
                let seen = format!("{} partitions", partitions.len());
                if leaderless.is_empty() {
                    return Ok((Finding::ok(seen), Some(topic)));
                }
                let seen = format!("{seen}; without a leader: {}", leaderless.join(", "));
                Err(Finding::failed(seen, "start the brokers that have the replicas of these partitions"))
            }
            Err(error) if error.kind() == SourceErrorKind::Denied => {
                let remedy =
                    format!("{}\n(of a topic that is not there brokers say the same)", self.grant("topic", name));
                Err(Finding::failed(said(&error), remedy))
            }
            Err(error)
                if error.kind() == SourceErrorKind::Missing
                    && self.source.absent_topics == AbsentTopics::CountAsEmpty =>
            {
                Ok((Finding::of(&error).but_works(), None))
            }
            Err(error) if error.kind() == SourceErrorKind::Missing => {
                let hint = near("topic", name, self.client.topic_names().await);
                Err(Finding::of(&error).hinting(&hint))
            }
            Err(error) => Err(Finding::of(&error)),
        }
    }

    async fn group(&self, topics: &HashMap<Arc<str>, Topic>) -> Looked<()> {
        match self.client.group(&self.source.group).await {
            Ok(group) if group.is_unknown() => {
                let hint = near("group", &self.source.group, self.client.group_names().await);
                Ok((unknown_group().hinting(&hint), ()))
            }
            Ok(group) => Ok((of_group(&group, topics), ())),
            Err(error) if error.kind() == SourceErrorKind::Denied => {
                Err(Finding::failed(said(&error), self.grant("group", &self.source.group)))
            }
            Err(error) => Err(Finding::of(&error)),
        }
    }

    /// Returns how to grant Describe on this resource.
    fn grant(&self, kind: &str, name: &str) -> String {
        if let Some(iam) = self.probe.iam() {
            return aws::allow(&rights_on_msk(self.source), &iam.place(None));
        }
        let certificate = self.probe.client_certificate().and_then(first_certificate);
        let principal = match (self.probe.username(), certificate) {
            (Some(name), _) => name.to_owned(),
            (None, Some(certificate)) => certificate.subject,
            (None, None) => "ANONYMOUS".to_owned(),
        };
        let servers = self.probe.bootstrap_servers.join(",");
        format!(
            "let the principal describe it: kafka-acls.sh --bootstrap-server {servers} --add --allow-principal \"User:{principal}\" \
             --operation Describe --{kind} {name}"
        )
    }
}

/// The number of names up to which all are listed, where none is similar.
const FEW: usize = 10;

/// Returns the existing names that may be meant; empty where nothing can be said.
fn near(kind: &str, wrong: &str, all: Result<Vec<Arc<str>>, SourceError>) -> String {
    let mut all = all.unwrap_or_default();
    all.retain(|name| !name.starts_with("__"));
    all.sort_unstable();
    let similar: Vec<_> = all.iter().filter(|name| is_near(wrong, name)).map(AsRef::as_ref).collect();
    let listed: Vec<&str> = all.iter().map(AsRef::as_ref).collect();
    match (similar.is_empty(), listed.len()) {
        (false, _) => format!("there is {}", similar.join(", ")),
        (true, 1..=FEW) => format!("each {kind} of the cluster: {}", listed.join(", ")),
        (true, _) => String::new(),
    }
}

fn unknown_group() -> Finding {
    let remedy = "check consumerGroup; if it is right its consumers have never committed, and partitions count by offsetResetPolicy";
    Finding::warning("the cluster knows no such group: no member, no committed offset", remedy)
}

fn of_group(group: &Group, topics: &HashMap<Arc<str>, Topic>) -> Finding {
    let members = group.state.members.len();
    let commits: Vec<_> = group.committed.iter().map(|(topic, count)| format!("{topic} ({count})")).collect();
    let commits = if commits.is_empty() { "nothing".to_owned() } else { commits.join(", ") };
    let seen = format!("{}, {members} members; committed on {commits}", group.state.state);
    let without: Vec<_> =
        topics.keys().filter(|topic| !group.committed.contains_key(*topic)).map(AsRef::as_ref).collect();
    if without.is_empty() {
        return Finding::ok(seen);
    }
    let remedy = format!(
        "check topic: the group has committed nothing on {}, whose partitions count by offsetResetPolicy",
        without.join(", ")
    );
    Finding::warning(seen, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_similar_is_a_hint_and_a_list_that_cannot_be_read_is_none() {
        let names = |names: &[&str]| Ok(names.iter().map(|name| Arc::from(*name)).collect());
        assert_eq!(near("group", "order", names(&["orders", "stock"])), "there is orders");
        let all = near("group", "mail", names(&["stock", "__consumer_offsets", "orders"]));
        assert_eq!(all, "each group of the cluster: orders, stock");
        let many: Vec<_> = (0..=FEW).map(|number| Arc::from(format!("stock-{number}"))).collect();
        assert_eq!(near("group", "mail", Ok(many)), "");
        let denied = SourceError::new(SourceErrorKind::Denied, "could not list the groups");
        assert_eq!(near("group", "order", Err(denied)), "");
    }
}
