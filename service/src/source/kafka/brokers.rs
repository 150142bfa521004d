//! The brokers of a cluster, and the connections to them.
//!
//! Connections are made by tasks of their own, which outlive the request that needs one: a login that takes longer than a round is
//! available to the next round.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::dial::{DialError, Dialer, LoggedIn};
use super::protocol::Connection;
use super::transport::{Broker, BrokerId, RowError};
use crate::network::Address;
use crate::source::shared::Shared;

/// Kafka's default port, for bootstrap servers without one.
const USUAL_PORT: u16 = 9092;

/// The number of brokers that are dialed concurrently where any will do.
const DIALS_AT_ONCE: usize = 8;

/// The known brokers by their advertised addresses, and the bootstrap servers.
pub(super) struct Brokers {
    dialer: Arc<Dialer>,
    bootstrap: Vec<Address>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: BTreeMap<BrokerId, Address>,
    connections: HashMap<Address, Arc<Shared<LoggedIn, DialError>>>,
}

impl Brokers {
    pub(super) fn new(bootstrap: Vec<Address>, dialer: Dialer) -> Self {
        Self { dialer: Arc::new(dialer), bootstrap, state: Mutex::default() }
    }

    /// Stores the advertised addresses of brokers. Connections to addresses that no broker has any more are closed when they become unused.
    pub(super) fn learn(&self, brokers: &[Broker]) {
        let mut state = self.state.lock();
        state.known = brokers.iter().map(|broker| (broker.id, address(broker))).collect();
        let State { known, connections, .. } = &mut *state;
        connections
            .retain(|address, _| known.values().any(|known| known == address) || self.bootstrap.contains(address));
    }

    /// Stores the advertised address of one broker.
    pub(super) fn learn_one(&self, broker: &Broker) {
        self.state.lock().known.insert(broker.id, address(broker));
    }

    /// Whether the address of a broker is known.
    pub(super) fn knows(&self, id: BrokerId) -> bool {
        self.state.lock().known.contains_key(&id)
    }

    /// Returns a connection to a broker.
    pub(super) async fn connection(&self, id: BrokerId, deadline: Instant) -> Result<Arc<LoggedIn>, RowError> {
        let address = self.state.lock().known.get(&id).cloned();
        let address = address.ok_or_else(|| RowError::Moving(format!("the cluster has no broker {}", id.0).into()))?;
        self.connect(address.clone(), deadline).await.map_err(|why| self.row_error(why, &address))
    }

    /// Returns a connection to a connected broker, else to the first one that accepts the login; to none at `except`.
    pub(super) async fn any(&self, except: Option<&Address>, deadline: Instant) -> Result<Arc<LoggedIn>, RowError> {
        let addresses = self.addresses(except);
        let connected = addresses.iter().filter_map(|address| self.connected(address));
        // a broker with unanswered requests may be silent
        if let Some(connected) = connected.min_by_key(|connected| connected.unanswered()) {
            return Ok(connected);
        }
        let mut dials = Vec::with_capacity(addresses.len());
        for address in addresses {
            dials.push(async { (address.clone(), self.connect(address, deadline).await) });
        }
        let mut dials = pin!(stream::iter(dials).buffer_unordered(DIALS_AT_ONCE));
        let mut reasons = Vec::new();
        while let Some((address, outcome)) = dials.next().await {
            match outcome {
                Ok(connection) => return Ok(connection),
                Err(why) => {
                    let overdue = why.is_none();
                    reasons.push((address, why));
                    if overdue {
                        // continuing would dial more brokers, all at once, and too late
                        break;
                    }
                }
            }
        }
        // a rule of the scaler or refused credentials explain more than an unreachable broker
        reasons.sort_by_key(|(_, why)| match why {
            Some(why) if why.is_refusal() || why.is_blocked() => 0,
            Some(_) => 1,
            None => 2,
        });
        let why = reasons.into_iter().next().map(|(address, why)| self.row_error(why, &address));
        Err(why.unwrap_or_else(|| RowError::Unreachable("there is no other broker".into())))
    }

    fn row_error(&self, why: Option<DialError>, address: &Address) -> RowError {
        match why {
            None => RowError::Overdue(format!("{address} has not let the client in yet").into()),
            Some(why) if why.is_refusal() => RowError::Denied(why.to_string().into()),
            Some(why) if why.is_blocked() => {
                let servers: Vec<_> = self.bootstrap.iter().map(|server| format!("\"{server}\"")).collect();
                let servers = servers.join(", ");
                let allow = format!("metadata: [{{namespaces: [\"*\"], bootstrapServers: [\"*\", {servers}]}}]");
                RowError::Blocked(format!("{why}; allow them in the connections file: {allow}").into())
            }
            Some(why) => RowError::Unreachable(why.to_string().into()),
        }
    }

    /// Returns the addresses of the known brokers and of the bootstrap servers, each once.
    fn addresses(&self, except: Option<&Address>) -> Vec<Address> {
        let state = self.state.lock();
        let mut addresses = Vec::new();
        for address in state.known.values().chain(&self.bootstrap) {
            if Some(address) != except && !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }

    fn connected(&self, address: &Address) -> Option<Arc<LoggedIn>> {
        self.state.lock().connections.get(address).and_then(usable)
    }

    /// Connects to a broker. The error is `None` where the deadline passed before an outcome.
    async fn connect(&self, address: Address, deadline: Instant) -> Result<Arc<LoggedIn>, Option<DialError>> {
        let shared = self.state.lock().connections.entry(address.clone()).or_default().clone();
        if let Some(usable) = usable(&shared) {
            return Ok(usable);
        }
        let dialer = self.dialer.clone();
        let dialed = shared.get(Instant::now(), || async move { dialer.dial(address).await });
        match timeout_at(deadline, dialed).await {
            Err(_) => Err(None),
            Ok(Err(why)) => Err(Some(why)),
            Ok(Ok(dialed)) => Ok(dialed.value),
        }
    }

    /// Returns the dialer that makes the connections.
    pub(super) fn dialer(&self) -> &Dialer {
        &self.dialer
    }
}

/// Returns the connection if it is open for requests.
fn usable(shared: &Arc<Shared<LoggedIn, DialError>>) -> Option<Arc<LoggedIn>> {
    let latest = shared.latest()?.value;
    let lasts = latest.until.is_none_or(|until| Instant::now() < until);
    (lasts && latest.connection.is_open()).then_some(latest)
}

fn address(broker: &Broker) -> Address {
    Address { host: broker.host.clone(), port: broker.port }
}

/// Parses `host:port`; the error names the invalid text.
pub(super) fn bootstrap_address(server: &str) -> Result<Address, String> {
    Address::parse(server, USUAL_PORT).ok_or_else(|| format!("{server} in bootstrapServers is not host:port"))
}

impl std::ops::Deref for LoggedIn {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}
