//! Diagnostics of one source, layer by layer: rules, name, connection, TLS, login, permissions. The service does not use them.
//!
//! Each function checks one thing, within a deadline of its own, and returns what it found or why it found nothing. The caller adds
//! the remedy, except for errors that readings have as well: those have their own remedy.

pub(crate) mod aws;
pub(crate) mod kafka;
pub(crate) mod listener;
pub(crate) mod tls;

use self::aws::AwsProbe;
use self::kafka::KafkaProbe;
use crate::lag::SourceError;
pub(crate) use crate::network::certificate::Certificate;
use crate::tenancy::{Admission, Backend, Connections, Service};
use crate::trigger::SourceRef;

/// The probe of a backend, with the identity that the rules select.
pub(crate) enum Probe {
    /// The probe of a Kafka cluster.
    Kafka(KafkaProbe),
    /// The probe of an AWS account.
    Aws(AwsProbe),
}

/// A source that a namespace may use.
pub(crate) struct Admitted {
    /// The probe of the source's backend.
    pub(crate) probe: Probe,
    /// The entries of the rules that allow it, as the connections file writes them; empty where the source names nothing to be allowed.
    pub(crate) allowed_by: Vec<String>,
}

/// Applies the rules of the service to one trigger's source.
/// Returns an error when the namespace may not use the source, or the connection does not fit.
pub(crate) fn admit(connections: Connections, namespace: &str, source: &SourceRef) -> Result<Admitted, SourceError> {
    let admission = Admission::new(connections);
    let probe = Probe::of(&admission.admit(namespace, source)?);
    Ok(Admitted { probe, allowed_by: admission.allowing(namespace, source) })
}

/// Returns the probe of a named connection, whichever namespaces may use it.
/// Returns an error when no connection has that name, or it is not complete.
pub(crate) fn connection(connections: Connections, name: &str) -> Result<Probe, SourceError> {
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
