//! Checks of name resolution, connection and certificate.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::report::{Finding, Looked};
use crate::network::{Address, Connected, Unconnected, Unresolved, connect, resolve};
use crate::probe::Certificate;
use crate::probe::tls::{Distrust, HandshakeError, Presented, TlsSettings, handshake};

/// A certificate that expires within this time gets a warning.
const ENDS_SOON: Duration = Duration::from_secs(14 * 86_400);
const DAY: u64 = 86_400;

/// Returns the time of day.
#[expect(clippy::disallowed_methods, reason = "certificates and tokens expire at a time of day")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

pub(super) async fn look_up(address: &Address) -> Looked<Vec<SocketAddr>> {
    match resolve(address).await {
        Ok(found) => {
            let seen: Vec<_> = found.iter().map(|address| address.ip().to_string()).collect();
            Ok((Finding::ok(seen.join(", ")), found))
        }
        Err(why) => {
            let remedy = match why {
                Unresolved::Refused(_) | Unresolved::Empty => {
                    "check the host's name, and that the scaler's DNS knows it"
                }
                Unresolved::Silent => {
                    "the scaler's DNS does not answer: look at it, and at network policies for port 53"
                }
            };
            Err(Finding::failed(format!("could not resolve {}: {why}", address.host), remedy))
        }
    }
}

pub(super) async fn reach(addresses: &[SocketAddr]) -> Looked<Connected> {
    match connect(addresses).await {
        Ok(connected) if connected.failed.is_empty() => Ok((Finding::ok(connected.to.to_string()), connected)),
        Ok(connected) => {
            let seen = format!("{}; {}", connected.to, listed(&connected.failed));
            let remedy = "the name has addresses that do not answer: clients that try them first are slow";
            Ok((Finding::warning(seen, remedy), connected))
        }
        Err(failed) => {
            let refused = failed.iter().any(|(_, why)| *why == Unconnected::Refused);
            let remedy = if refused {
                "the host is there and nothing listens: check the port, and that the server runs"
            } else {
                "no answer: check firewalls, security groups, network policies and routes between the scaler and the host"
            };
            Err(Finding::failed(listed(&failed), remedy))
        }
    }
}

/// The keys of a connection that name its authorities.
pub(super) const CONNECTION_CA: &str = "ca or caFile of the connection";

fn listed(failed: &[(SocketAddr, Unconnected)]) -> String {
    failed.iter().map(|(address, why)| format!("{address}: {why}")).collect::<Vec<_>>().join(", ")
}

/// Returns whether the listener speaks TLS, whatever its certificate is.
pub(super) async fn speaks_tls(to: SocketAddr, host: &str) -> bool {
    match connect(&[to]).await {
        Ok(connected) => handshake(connected.stream, host, &TlsSettings::new(None, None), now()).await.is_ok(),
        Err(_) => false,
    }
}

/// Reports the presented certificate: whether it is trusted, and until when. The remedy for an unknown authority is to set `ca_key`.
pub(super) fn presented(presented: &Presented, verifies: bool, ca_key: &str) -> Finding {
    let seen = seen(presented);
    if let Err(why) = &presented.trust {
        if !verifies {
            return Finding::ok(format!("{seen}; not verified, as unsafeSsl says: {why}"));
        }
        return Finding::failed(format!("{why}: {seen}"), distrusted(why, ca_key));
    }
    if let Some(authority) = presented.authority.as_ref().filter(|authority| authority.left(now()).is_zero()) {
        let seen = format!("{seen}; the authority {} expired on {}", authority.subject, authority.until);
        return Finding::warning(seen, "replace the authority in ca: clients in other languages refuse it");
    }
    match &presented.certificate {
        Some(certificate) if certificate.left(now()) < ENDS_SOON => {
            let left = match certificate.left(now()).as_secs() / DAY {
                0 => "less than a day".to_owned(),
                1 => "1 day".to_owned(),
                days => format!("{days} days"),
            };
            Finding::warning(format!("{seen}; it expires in {left}"), "renew the server's certificate")
        }
        _ => Finding::ok(seen),
    }
}

fn seen(presented: &Presented) -> String {
    let certificate = presented.certificate.as_ref().map_or_else(
        || "a certificate that cannot be read".to_owned(),
        |certificate| {
            let Certificate { subject, issuer, names, until, .. } = certificate;
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!("{subject} for {names}, issued by {issuer}, until {until}")
        },
    );
    let asks = match presented.wants_client_certificate {
        Some(_) => "; it requests a client certificate",
        None => "",
    };
    format!("{}, {certificate}{asks}", presented.protocol)
}

fn distrusted(why: &Distrust, ca_key: &str) -> String {
    match why {
        Distrust::Expired { .. } => "renew the server's certificate, or set this machine's clock right".to_owned(),
        Distrust::NotYetValid { .. } => "set this machine's clock right, or wait".to_owned(),
        Distrust::WrongName { asked, names } => {
            let names = names.join(", ");
            format!(
                "name the server as its certificate does ({names}), or issue one with {asked} among its subjectAltNames"
            )
        }
        Distrust::NoName { asked } => format!("issue a certificate with {asked} among its subjectAltNames"),
        Distrust::UnknownIssuer { issuer } => {
            format!("set {ca_key} to the authority that issued it: {issuer}")
        }
        Distrust::Other(_) => "look at the server's certificate".to_owned(),
    }
}

/// Returns the remedy for a failed handshake with a listener that does speak TLS.
pub(super) fn handshake_remedy(why: &HandshakeError) -> &'static str {
    match why {
        HandshakeError::NotTls => "check the port: what listens there does not use TLS",
        HandshakeError::Alert(_) => {
            "look at the server's log; it may require a client certificate, or another version of TLS"
        }
        HandshakeError::Closed => {
            "check the port: what listens there may not use TLS, or may require a client certificate"
        }
        HandshakeError::Silent { .. } => "look at the server: it takes connections and says nothing",
        HandshakeError::TooOld => "have the server take TLS 1.2 or 1.3",
        HandshakeError::Distrusted(_) | HandshakeError::Other(_) => {
            "compare which versions of TLS and which ciphers the server takes"
        }
    }
}
