//! What a person asks about one source, layer by layer: rules, name, connection, TLS, login, rights. The service needs none of it.
//!
//! Each function looks at one thing, within a deadline of its own, and tells what it saw or why it saw nothing. What to do about
//! it is the caller's to say, but for errors that the readings have as well: those bring their remedy.

pub mod aws;
pub mod kafka;
pub mod listener;
pub mod tls;

use self::aws::AwsProbe;
use self::kafka::KafkaProbe;
use crate::lag::SourceError;
pub use crate::network::certificate::Certificate;
use crate::tenancy::{Admission, Backend, Connections, Service};
use crate::trigger::SourceRef;

/// What can be asked, with the identity that the rules give.
pub enum Probe {
    /// A Kafka cluster.
    Kafka(KafkaProbe),
    /// An AWS account.
    Aws(AwsProbe),
}

/// A source that a namespace may have read.
pub struct Admitted {
    /// What to ask about it.
    pub probe: Probe,
    /// The entries of the rules that allow it, in the words of the connections file; none where it names nothing to be allowed.
    pub allowed_by: Vec<String>,
}

/// Applies the rules of the service to one trigger's source.
///
/// # Errors
/// When the namespace may not have it read, or the connection does not fit.
pub fn admit(connections: Connections, namespace: &str, source: &SourceRef) -> Result<Admitted, SourceError> {
    let admission = Admission::new(connections);
    let probe = Probe::of(&admission.admit(namespace, source)?);
    Ok(Admitted { probe, allowed_by: admission.allowing(namespace, source) })
}

/// What a named connection leads to, whichever namespaces may use it.
///
/// # Errors
/// When there is none of that name, or it is not complete.
pub fn connection(connections: Connections, name: &str) -> Result<Probe, SourceError> {
    Admission::new(connections).connection(name).map(|backend| Probe::of(&backend))
}

impl Probe {
    fn of(backend: &Backend) -> Self {
        match backend.service() {
            Service::Kafka { bootstrap_servers, security, reach } => {
                Self::Kafka(KafkaProbe::new(bootstrap_servers, security, *reach))
            }
            Service::Aws(identity) => Self::Aws(AwsProbe::new(identity.clone())),
        }
    }
}
