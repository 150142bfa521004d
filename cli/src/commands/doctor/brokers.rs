//! Checks of the way to a broker, layer by layer, without a login.

use std::net::SocketAddr;

use super::network::{CONNECTION_CA, handshake_remedy, look_up, now, presented, reach, speaks_tls};
use super::report::{Finding, Looked, Step, StepName, look};
use crate::network::{Address, Connected, Duplex, connect};
use crate::probe::kafka::KafkaProbe;
use crate::probe::listener::{Listener, ListenerError, Login};
use crate::probe::tls::{HandshakeError, Presented, Session, TlsSettings, first_certificate, handshake};

/// The names of SASL mechanisms in KEDA and in connections, with Kafka's own names.
const MECHANISMS: [(&str, &str); 5] = [
    ("PLAIN", "plaintext"),
    ("SCRAM-SHA-256", "scram_sha256"),
    ("SCRAM-SHA-512", "scram_sha512"),
    ("OAUTHBEARER", "oauthbearer"),
    ("GSSAPI", "gssapi"),
];

/// The port of brokers that are named without a port.
pub(super) const USUAL_PORT: u16 = 9092;

/// Connects to a broker to which the scaler may connect.
pub(super) async fn reach_broker(probe: &KafkaProbe, addresses: &[SocketAddr]) -> Looked<Connected> {
    probe.admits(addresses).map_err(|why| {
        let remedy = "where that is meant, write the host out in bootstrapServers of the rules, or use a connection";
        Finding::failed(format!("{}: {why}", listed(addresses)), remedy)
    })?;
    reach(addresses).await
}

fn listed(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}

/// The checks of one broker.
pub(super) struct BrokerCheck<'a> {
    pub(super) probe: &'a KafkaProbe,
    pub(super) terms: Option<TlsSettings>,
    pub(super) address: Address,
}

impl BrokerCheck<'_> {
    /// Runs the checks of every layer up to the login; returns them, and whether a login can be attempted.
    pub(super) async fn steps(&self) -> (Vec<Step>, bool) {
        let on = self.address.to_string();
        let mut steps = Vec::new();
        let open = self.layers(&on, &mut steps).await.is_some();
        (steps, open)
    }

    async fn layers(&self, on: &str, steps: &mut Vec<Step>) -> Option<()> {
        let mut note = |(step, found)| {
            steps.push(step);
            found
        };
        let addresses = note(look(StepName::Resolve, on, look_up(&self.address)).await)?;
        let (step, connected) = look(StepName::Connect, on, reach_broker(self.probe, &addresses)).await;
        steps.push(step);
        let Connected { stream, to, .. } = connected?;
        let mut client_certificate = None;
        let stream: Box<dyn Duplex> = match &self.terms {
            None => Box::new(stream),
            Some(terms) => {
                let shaken = handshake(stream, &self.address.host, terms, now());
                let (step, session) = look(StepName::Tls, on, self.judged(shaken, to)).await;
                let failed = step.is_failed();
                steps.push(step);
                let Session { stream, presented } = session?;
                if failed {
                    return None;
                }
                client_certificate = Some(presented);
                Box::new(stream)
            }
        };
        let (step, listener) = look(StepName::Protocol, on, self.protocol(stream, to, client_certificate)).await;
        steps.push(step);
        let listener = listener?;
        let (step, login) = look(StepName::Mechanism, on, self.mechanism(&listener)).await;
        steps.push(step);
        login
    }

    async fn judged(
        &self,
        shaken: impl Future<Output = Result<Session, HandshakeError>>,
        to: SocketAddr,
    ) -> Looked<Session> {
        match shaken.await {
            Ok(session) => Ok((presented(&session.presented, self.probe.verifies(), CONNECTION_CA), session)),
            Err(HandshakeError::Alert(alert)) => Err(self.refused_certificate(&alert, None)),
            Err(why) if self.speaks_plainly(to).await => {
                let remedy = "leave tls out, or name the port of a listener with TLS";
                Err(Finding::failed(format!("{why}: this listener speaks Kafka without TLS"), remedy))
            }
            Err(why) => Err(Finding::failed(why.to_string(), handshake_remedy(&why))),
        }
    }

    async fn protocol(&self, stream: Box<dyn Duplex>, to: SocketAddr, tls: Option<Presented>) -> Looked<Listener> {
        let why = match Listener::greet(stream).await {
            Ok(listener) => {
                let version =
                    listener.at_least().map_or("Kafka before 2.8".to_owned(), |least| format!("Kafka ≥ {least}"));
                return Ok((Finding::ok(format!("{version} ({} APIs)", listener.kinds())), listener));
            }
            Err(why) => why,
        };
        let wants_certificate = tls.as_ref().is_some_and(|presented| presented.wants_client_certificate.is_some());
        Err(match &why {
            ListenerError::Alert(alert) => self.refused_certificate(alert, tls.as_ref()),
            ListenerError::Closed if wants_certificate => self.refused_certificate("closed", tls.as_ref()),
            _ if tls.is_none() && (why == ListenerError::SpeaksTls || speaks_tls(to, &self.address.host).await) => {
                let remedy = "set tls: enable, or name the port of a listener without TLS";
                Finding::failed(format!("{why}: this listener speaks TLS"), remedy)
            }
            ListenerError::Silent => {
                Finding::failed(why.to_string(), "look at the broker: it takes connections and says nothing")
            }
            _ => Finding::failed(why.to_string(), "check the port: what listens there is no Kafka broker"),
        })
    }

    /// Reports a listener that requires a client certificate, or rejects the one presented.
    fn refused_certificate(&self, alert: &str, tls: Option<&Presented>) -> Finding {
        let authorities = tls.and_then(|presented| presented.wants_client_certificate.as_deref()).unwrap_or_default();
        let by = if authorities.is_empty() {
            String::new()
        } else {
            format!(", issued by one of: {}", authorities.join("; "))
        };
        let Some(own) = self.probe.client_certificate() else {
            let seen =
                format!("the listener disconnected ({alert}): it requires a client certificate, and there is none");
            return Finding::failed(seen, format!("give the connection cert and key{by}"));
        };
        let own = first_certificate(own).map_or("a certificate that cannot be read".to_owned(), |own| {
            format!("{}, issued by {}, until {}", own.subject, own.issuer, own.until)
        });
        let seen = format!("the listener disconnected ({alert}): it does not accept the client certificate {own}");
        Finding::failed(seen, format!("give the connection a cert and key that it takes{by}"))
    }

    async fn mechanism(&self, listener: &Listener) -> Looked<()> {
        let wanted = self.probe.mechanism();
        // a request with any mechanism makes the listener list the mechanisms that it has
        let login = listener.login_by(wanted.unwrap_or("PLAIN")).await;
        match (wanted, login) {
            (_, Err(why)) => Err(Finding::failed(why.to_string(), "look at the broker's log")),
            (None, Ok(Login::NotWanted)) => Ok((Finding::ok("this listener requires no login"), ())),
            (None, Ok(Login::Accepted(offered) | Login::Otherwise(offered))) => {
                let seen = format!("this listener requires a login by {}, and there is none", offered.join(", "));
                let remedy = format!("use a connection with username, password and sasl: {}", words(&offered));
                Err(Finding::failed(seen, remedy))
            }
            (Some(mechanism), Ok(Login::Accepted(offered))) => {
                Ok((Finding::ok(format!("{mechanism} (offered: {})", offered.join(", "))), ()))
            }
            (Some(mechanism), Ok(Login::Otherwise(offered))) => {
                let seen = format!("this listener does not offer {mechanism}, but {}", offered.join(", "));
                Err(Finding::failed(seen, format!("set sasl to {}, or name another listener", words(&offered))))
            }
            (Some(mechanism), Ok(Login::NotWanted)) => {
                let seen = format!("this listener requires no login, and the connection has one by {mechanism}");
                Err(Finding::failed(seen, "set sasl: none, or name the port of a listener with SASL"))
            }
        }
    }

    async fn speaks_plainly(&self, to: SocketAddr) -> bool {
        match connect(&[to]).await {
            Ok(connected) => Listener::greet(connected.stream).await.is_ok(),
            Err(_) => false,
        }
    }
}

fn words(offered: &[String]) -> String {
    let words = offered.iter().map(|name| {
        let known = MECHANISMS.iter().find(|(kafka, _)| kafka == name);
        known.map_or(name.as_str(), |(_, word)| *word)
    });
    words.collect::<Vec<_>>().join(" or ")
}
