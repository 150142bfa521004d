//! The way to a broker, layer by layer, without a login.

use std::net::SocketAddr;

use super::network::{handshake_remedy, look_up, now, presented, reach, speaks_tls};
use super::report::{Finding, Looked, Step, StepName, look};
use crate::source::probe::kafka::KafkaProbe;
use crate::source::probe::listener::{ApiVersions, ListenerError, Login, api_versions, login_by};
use crate::source::probe::network::{Address, Connected, Duplex, connect};
use crate::source::probe::tls::{HandshakeError, Presented, Session, Terms, first_certificate, handshake};

/// KEDA's and a connection's words for the mechanisms, in Kafka's own.
const MECHANISMS: [(&str, &str); 5] = [
    ("PLAIN", "plaintext"),
    ("SCRAM-SHA-256", "scram_sha256"),
    ("SCRAM-SHA-512", "scram_sha512"),
    ("OAUTHBEARER", "oauthbearer"),
    ("GSSAPI", "gssapi"),
];

/// Brokers are asked on this port where none is named.
pub(super) const USUAL_PORT: u16 = 9092;

/// How far the way to a broker goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Up to a login.
    Open,
    /// To a certificate that is not trusted here, or to a key that cannot be read here: the client of the readings may do better.
    Doubtful,
    /// It ends before.
    Closed,
}

/// A connection to a broker, where the scaler would make one.
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

/// Asks a broker.
pub(super) struct Asking<'a> {
    pub(super) probe: &'a KafkaProbe,
    pub(super) terms: Option<Terms>,
    pub(super) address: Address,
}

impl Asking<'_> {
    /// Every layer up to the login.
    pub(super) async fn steps(&self) -> (Vec<Step>, Way) {
        let on = self.address.to_string();
        let mut steps = Vec::new();
        let way = self.layers(&on, &mut steps).await;
        (steps, way.unwrap_or(Way::Closed))
    }

    async fn layers(&self, on: &str, steps: &mut Vec<Step>) -> Option<Way> {
        let mut note = |(step, found)| {
            steps.push(step);
            found
        };
        let addresses = note(look(StepName::Resolve, on, look_up(&self.address)).await)?;
        let (step, connected) = look(StepName::Connect, on, reach_broker(self.probe, &addresses)).await;
        steps.push(step);
        let Connected { stream, to, .. } = connected?;
        let mut client_certificate = None;
        let mut stream: Box<dyn Duplex> = match &self.terms {
            None => Box::new(stream),
            Some(terms) => {
                let shaken = handshake(stream, &self.address.host, terms, now());
                let (step, session) = look(StepName::Tls, on, self.judged(shaken, to)).await;
                let failed = step.is_failed();
                steps.push(step);
                let Session { stream, presented } = session?;
                if failed {
                    return Some(Way::Doubtful);
                }
                client_certificate = Some(presented);
                Box::new(stream)
            }
        };
        let (step, versions) = look(StepName::Protocol, on, self.protocol(&mut stream, to, client_certificate)).await;
        steps.push(step);
        if versions.is_none() && self.has_unread_key() {
            return Some(Way::Doubtful);
        }
        versions?;
        let (step, login) = look(StepName::Mechanism, on, self.mechanism(&mut stream)).await;
        steps.push(step);
        login.map(|()| Way::Open)
    }

    async fn judged(
        &self,
        shaken: impl Future<Output = Result<Session, HandshakeError>>,
        to: SocketAddr,
    ) -> Looked<Session> {
        match shaken.await {
            Ok(session) => Ok((presented(&session.presented, self.probe.verifies()), session)),
            Err(HandshakeError::Alert(alert)) => Err(self.refused_certificate(&alert, None)),
            Err(why) if self.speaks_plainly(to).await => {
                let remedy = "leave tls out, or name the port of a listener with TLS";
                Err(Finding::failed(format!("{why}: this listener speaks Kafka without TLS"), remedy))
            }
            Err(why) => Err(Finding::failed(why.to_string(), handshake_remedy(&why))),
        }
    }

    async fn protocol(
        &self,
        stream: &mut Box<dyn Duplex>,
        to: SocketAddr,
        tls: Option<Presented>,
    ) -> Looked<ApiVersions> {
        let why = match api_versions(stream).await {
            Ok(versions) => {
                let version = versions
                    .at_least()
                    .map_or("Kafka before 2.8".to_owned(), |least| format!("Kafka {least} or newer"));
                return Ok((Finding::ok(format!("{version}, {} kinds of requests", versions.kinds())), versions));
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

    /// The listener wants a client certificate: another one, or one at all.
    fn refused_certificate(&self, alert: &str, tls: Option<&Presented>) -> Finding {
        let authorities = tls.and_then(|presented| presented.wants_client_certificate.as_deref()).unwrap_or_default();
        let by = if authorities.is_empty() {
            String::new()
        } else {
            format!(", issued by one of: {}", authorities.join("; "))
        };
        let Some(own) = self.probe.client_certificate() else {
            let seen = format!("the listener broke off ({alert}): it wants a client certificate, and there is none");
            return Finding::failed(seen, format!("give the connection cert and key{by}"));
        };
        let own = first_certificate(own).map_or("a certificate that cannot be read".to_owned(), |own| {
            format!("{}, issued by {}, until {}", own.subject, own.issuer, own.until)
        });
        if self.has_unread_key() {
            let seen = format!(
                "the key of {own} is encrypted, so it was not presented here, and the listener broke off ({alert})"
            );
            return Finding::failed(seen, "see the login, which decrypts it");
        }
        let seen = format!("the listener broke off ({alert}): it does not take the client certificate {own}");
        Finding::failed(seen, format!("give the connection a cert and key that it takes{by}"))
    }

    /// Whether there is a client certificate that could not be presented, because its key is encrypted.
    fn has_unread_key(&self) -> bool {
        self.probe.client_certificate().is_some() && self.terms.as_ref().is_some_and(|terms| !terms.has_identity())
    }

    async fn mechanism(&self, stream: &mut Box<dyn Duplex>) -> Looked<()> {
        let wanted = self.probe.mechanism();
        // any mechanism makes a listener tell those that it has
        let login = login_by(stream, wanted.unwrap_or("PLAIN")).await;
        match (wanted, login) {
            (_, Err(why)) => Err(Finding::failed(why.to_string(), "look at the broker's log")),
            (None, Ok(Login::NotWanted)) => Ok((Finding::ok("this listener wants no login"), ())),
            (None, Ok(Login::Accepted(offered) | Login::Otherwise(offered))) => {
                let seen = format!("this listener wants a login by {}, and there is none", offered.join(", "));
                let remedy = format!("use a connection with username, password and sasl: {}", words(&offered));
                Err(Finding::failed(seen, remedy))
            }
            (Some(mechanism), Ok(Login::Accepted(offered))) => {
                Ok((Finding::ok(format!("{mechanism}, of {}", offered.join(", "))), ()))
            }
            (Some(mechanism), Ok(Login::Otherwise(offered))) => {
                let seen = format!("this listener does not offer {mechanism}, but {}", offered.join(", "));
                Err(Finding::failed(seen, format!("set sasl to {}, or name another listener", words(&offered))))
            }
            (Some(mechanism), Ok(Login::NotWanted)) => {
                let seen = format!("this listener wants no login, and the connection has one by {mechanism}");
                Err(Finding::failed(seen, "set sasl: none, or name the port of a listener with SASL"))
            }
        }
    }

    async fn speaks_plainly(&self, to: SocketAddr) -> bool {
        match connect(&[to]).await {
            Ok(mut connected) => api_versions(&mut connected.stream).await.is_ok(),
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
