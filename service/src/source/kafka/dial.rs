//! Connects to a broker: name resolution, a connection to an allowed address, TLS, `ApiVersions` and the login.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::protocol::{Closed, Connection, Login, LoginError, OauthToken, RequestError, ScramHash};
use super::tls::{UnusableTls, client_config};
use crate::network::server_tls::HandshakeError;
use crate::network::{Address, Unconnected, Unresolved, connect_to_any, resolve};
use crate::source::shared::Panicked;
use crate::tenancy::{AllowedHosts, OUT_OF_REACH};
use crate::trigger::{KafkaSecurity, Sasl, Tls};

const CLIENT_ID: &str = "keda-stream-scaler";
/// The deadline of a dial: a login takes milliseconds, and several seconds on an overloaded machine.
const WITHIN: Duration = Duration::from_secs(10);
/// A connection is replaced after four fifths of its session, between requests (KIP-368).
const SESSION_USED: (u32, u32) = (4, 5);

/// The settings for connections to the brokers of one cluster.
pub(super) struct Dialer {
    reach: AllowedHosts,
    tls: Option<Arc<ClientConfig>>,
    presents: Presents,
    sasl: Sasl,
    token: watch::Sender<Token>,
}

/// Whether a client certificate is presented.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presents {
    ACertificate,
    Nothing,
}

/// A token of an OAuth server, or why there is none.
#[derive(Clone)]
enum Token {
    NotYet,
    Failed(Arc<str>),
    Fetched(Arc<OauthToken>),
}

/// A connection that is logged in.
pub(super) struct LoggedIn {
    /// The address of the broker.
    pub(super) address: Address,
    pub(super) connection: Connection,
    /// The end of the session, after which the connection is not used.
    pub(super) until: Option<Instant>,
    pub(super) authentication: Authentication,
}

/// Whether a broker has authenticated the client by SASL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authentication {
    Sasl,
    None,
}

/// Why there is no connection to a broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DialError {
    /// The broker's name could not be resolved.
    #[error("could not resolve {0}: {1}")]
    Unresolved(Address, Unresolved),
    /// The client may not connect to the broker's address.
    #[error("{0}: {OUT_OF_REACH}")]
    OutOfReach(Address),
    /// The broker does not accept the connection.
    #[error("could not connect to {0}: {1}")]
    Unconnected(Address, Unconnected),
    /// The TLS handshake failed.
    #[error("no TLS with {0}: {1}")]
    Tls(Address, Arc<str>),
    /// The broker answers in TLS, and the connection has none.
    #[error("{0} answers in TLS: set tls: enable, or name the port of a listener without TLS")]
    SpeaksTls(Address),
    /// The other end is not a Kafka broker, or does not answer.
    #[error("{0}: {1}")]
    Request(Address, RequestError),
    /// The broker refuses the login.
    #[error("{0}: {1}")]
    Login(Address, LoginError),
    /// There is no token for the login.
    #[error("there is no token: {0}")]
    NoToken(Arc<str>),
    /// The dial exceeded its deadline.
    #[error("{broker} did not let the client in within {} s", WITHIN.as_secs())]
    Late {
        /// The address of the broker.
        broker: Address,
    },
    /// The task that connects has panicked.
    #[error("the task that connects panicked")]
    Panicked,
}

impl From<Panicked> for DialError {
    fn from(Panicked: Panicked) -> Self {
        Self::Panicked
    }
}

impl DialError {
    /// Whether the scaler itself refuses to connect.
    pub(super) const fn is_blocked(&self) -> bool {
        matches!(self, Self::OutOfReach(_))
    }

    /// Whether the broker is reachable and refuses the credentials.
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NoToken(_)
                | Self::Login(
                    _,
                    LoginError::Refused { .. }
                        | LoginError::NotOffered { .. }
                        | LoginError::NotWanted
                        | LoginError::Scram(_)
                )
        )
    }
}

impl Dialer {
    pub(super) fn new(security: &KafkaSecurity, reach: AllowedHosts) -> Result<Self, UnusableTls> {
        let tls = client_config(&security.tls)?;
        let presents = match &security.tls {
            Tls::On { identity: Some(_), .. } => Presents::ACertificate,
            Tls::On { identity: None, .. } | Tls::Off => Presents::Nothing,
        };
        Ok(Self { reach, tls, presents, sasl: security.sasl.clone(), token: watch::Sender::new(Token::NotYet) })
    }

    pub(super) fn set_token(&self, token: OauthToken) {
        self.token.send_replace(Token::Fetched(Arc::new(token)));
    }

    /// Sets the reason why there is no token. A token that was fetched before is used until it has expired.
    pub(super) fn set_token_failure(&self, why: &str) {
        self.token.send_if_modified(|token| {
            let lacks = !matches!(token, Token::Fetched(_));
            if lacks {
                *token = Token::Failed(why.into());
            }
            lacks
        });
    }

    /// Connects and logs in to a broker.
    pub(super) async fn dial(&self, address: Address) -> Result<LoggedIn, DialError> {
        let deadline = Instant::now() + WITHIN;
        let late = DialError::Late { broker: address.clone() };
        timeout_at(deadline, self.connect(address, deadline)).await.unwrap_or(Err(late))
    }

    async fn connect(&self, address: Address, deadline: Instant) -> Result<LoggedIn, DialError> {
        // a broker closes connections that do not log in soon, so the token comes first
        let login = self.login().await?;
        let found = resolve(&address).await.map_err(|why| DialError::Unresolved(address.clone(), why))?;
        let within: Vec<_> = found.into_iter().filter(|found| self.reach.includes(found.ip())).collect();
        if within.is_empty() {
            return Err(DialError::OutOfReach(address));
        }
        let stream = connect_to_any(&within).await;
        let stream = stream.map_err(|(_, why)| DialError::Unconnected(address.clone(), why))?;
        // requests are small and must not wait to be merged with others
        let _ = stream.set_nodelay(true);
        let opened = match &self.tls {
            None => Connection::open(stream, CLIENT_ID.into(), deadline).await,
            Some(config) => {
                // the handshake has the largest future of a dial
                let stream = Box::pin(encrypt(config, &address, stream)).await?;
                Connection::open(stream, CLIENT_ID.into(), deadline).await
            }
        };
        let connection = opened.map_err(|why| match why {
            RequestError::Closed(Closed::SpeaksTls) => DialError::SpeaksTls(address.clone()),
            RequestError::Closed(Closed::Alert(alert)) => DialError::Tls(address.clone(), self.refused(&alert).into()),
            why => DialError::Request(address.clone(), why),
        })?;
        let Some(login) = login else {
            return Ok(LoggedIn { address, connection, until: None, authentication: Authentication::None });
        };
        let begun = Instant::now();
        let session = login.run(&connection, deadline).await.map_err(|why| DialError::Login(address.clone(), why))?;
        let (used, of) = SESSION_USED;
        let until = session.map(|session| begun + session * used / of);
        Ok(LoggedIn { address, connection, until, authentication: Authentication::Sasl })
    }

    /// Explains an alert: with TLS 1.3 a server refuses a client certificate after the handshake.
    fn refused(&self, alert: &str) -> String {
        match self.presents {
            Presents::Nothing => {
                format!("it disconnected ({alert}): it requires a client certificate; give the connection cert and key")
            }
            Presents::ACertificate => {
                format!("it disconnected ({alert}): it does not accept the client certificate in cert")
            }
        }
    }

    /// Waits for the first token, where the login needs one.
    async fn login(&self) -> Result<Option<Login>, DialError> {
        Ok(match &self.sasl {
            // Kerberos is refused before any dial
            Sasl::None | Sasl::Gssapi => None,
            Sasl::Plain(credentials) => Some(Login::Plain(credentials.clone())),
            Sasl::ScramSha256(credentials) => Some(Login::Scram(ScramHash::Sha256, credentials.clone())),
            Sasl::ScramSha512(credentials) => Some(Login::Scram(ScramHash::Sha512, credentials.clone())),
            Sasl::OauthBearer { .. } | Sasl::AwsMskIam { .. } => {
                let mut tokens = self.token.subscribe();
                let token = tokens.wait_for(|token| !matches!(token, Token::NotYet)).await;
                match token.as_deref() {
                    Ok(Token::Fetched(token)) => Some(Login::OauthBearer(token.clone())),
                    Ok(Token::Failed(why)) => return Err(DialError::NoToken(why.clone())),
                    Ok(Token::NotYet) | Err(_) => {
                        return Err(DialError::NoToken("the token renewal has stopped".into()));
                    }
                }
            }
        })
    }
}

async fn encrypt(
    config: &Arc<ClientConfig>,
    address: &Address,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, DialError> {
    let no_tls = |why: String| DialError::Tls(address.clone(), why.into());
    let name = ServerName::try_from(address.host.clone());
    let name = name.map_err(|_| no_tls(format!("{} is not a host name", address.host)))?;
    let stream = TlsConnector::from(config.clone()).connect(name, stream).await;
    stream.map_err(|error| no_tls(handshake_failure(&HandshakeError::of(&error))))
}

fn handshake_failure(why: &HandshakeError) -> String {
    match why {
        HandshakeError::NotTls | HandshakeError::Closed => {
            format!("{why}; set tls: disable for a listener without TLS, or name the port of one with TLS")
        }
        why => why.to_string(),
    }
}
