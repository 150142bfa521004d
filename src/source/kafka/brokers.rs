//! The brokers of a cluster, and the connections to them.
//!
//! Connections are made by tasks of their own, which outlive the request that wanted one: a login that takes longer than a round is
//! there for the next round.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use super::dial::{DialError, Dialer, LoggedIn};
use super::protocol::Connection;
use super::transport::{Broker, BrokerId, RowError};
use crate::network::Address;
use crate::source::shared::Shared;

/// Kafka's port, where a bootstrap server has none.
const USUAL_PORT: u16 = 9092;

/// Brokers that are dialed at once where any will do.
const DIALS_AT_ONCE: usize = 8;

/// The brokers that are known, by where they say that they are, and those to ask first.
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes where brokers say that they are. Connections to where none is any more are closed when they are not used.
    pub(super) fn learn(&self, brokers: &[Broker]) {
        let mut state = self.state();
        state.known = brokers.iter().map(|broker| (broker.id, address(broker))).collect();
        let State { known, connections, .. } = &mut *state;
        connections
            .retain(|address, _| known.values().any(|known| known == address) || self.bootstrap.contains(address));
    }

    /// Takes where one broker says that it is.
    pub(super) fn learn_one(&self, broker: &Broker) {
        self.state().known.insert(broker.id, address(broker));
    }

    /// Whether it is known where a broker is.
    pub(super) fn knows(&self, id: BrokerId) -> bool {
        self.state().known.contains_key(&id)
    }

    /// A connection to a broker.
    pub(super) async fn connection(&self, id: BrokerId, deadline: Instant) -> Result<Arc<LoggedIn>, RowError> {
        let address = self.state().known.get(&id).cloned();
        let address = address.ok_or_else(|| RowError::Moving(format!("the cluster has no broker {}", id.0).into()))?;
        self.connect(address.clone(), deadline).await.map_err(|why| row_error(why, &address))
    }

    /// A connection to a broker that is connected, else to the first of all that lets the client in; to none at `except`.
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
                        // more brokers would be dialed, all at once, and too late
                        break;
                    }
                }
            }
        }
        // who refuses the credentials says more than who is not there
        reasons.sort_by_key(|(_, why)| match why {
            Some(why) if why.is_refusal() => 0,
            Some(_) => 1,
            None => 2,
        });
        let why = reasons.into_iter().next().map(|(address, why)| row_error(why, &address));
        Err(why.unwrap_or_else(|| RowError::Unreachable("there is no other broker".into())))
    }

    /// Those that are known, and those to ask first; each once.
    fn addresses(&self, except: Option<&Address>) -> Vec<Address> {
        let state = self.state();
        let mut addresses = Vec::new();
        for address in state.known.values().chain(&self.bootstrap) {
            if Some(address) != except && !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }

    fn connected(&self, address: &Address) -> Option<Arc<LoggedIn>> {
        self.state().connections.get(address).and_then(usable)
    }

    /// The reason is `None` where there is none yet: it takes longer.
    async fn connect(&self, address: Address, deadline: Instant) -> Result<Arc<LoggedIn>, Option<DialError>> {
        let shared = self.state().connections.entry(address.clone()).or_default().clone();
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

    /// How connections are made.
    pub(super) fn dialer(&self) -> &Dialer {
        &self.dialer
    }
}

/// The connection, where requests can be made over it.
fn usable(shared: &Arc<Shared<LoggedIn, DialError>>) -> Option<Arc<LoggedIn>> {
    let latest = shared.latest()?.value;
    let lasts = latest.until.is_none_or(|until| Instant::now() < until);
    (lasts && latest.connection.is_open()).then_some(latest)
}

fn address(broker: &Broker) -> Address {
    Address { host: broker.host.clone(), port: broker.port }
}

/// `host:port`, or what it is instead.
pub(super) fn bootstrap_address(server: &str) -> Result<Address, String> {
    Address::parse(server, USUAL_PORT).ok_or_else(|| format!("{server} in bootstrapServers is no host and port"))
}

fn row_error(why: Option<DialError>, address: &Address) -> RowError {
    match why {
        None => RowError::Overdue(format!("{address} has not let the client in yet").into()),
        Some(why) if why.is_refusal() => RowError::Denied(why.to_string().into()),
        Some(why) => RowError::Unreachable(why.to_string().into()),
    }
}

impl std::ops::Deref for LoggedIn {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}
