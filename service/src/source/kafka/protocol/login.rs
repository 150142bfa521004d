//! The login on a connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::scram::{ClientFirst, ScramError, ScramHash};
use super::{Authenticated, Connection, ErrorCode, RequestError, SaslAuthenticate, SaslHandshake};
use crate::trigger::{Credentials, Secret};

/// The mechanism and credentials of a login.
#[derive(Clone)]
pub enum Login {
    /// Logs in by SASL/PLAIN.
    Plain(Credentials),
    /// Logs in by SASL/SCRAM.
    Scram(ScramHash, Credentials),
    /// Logs in by SASL/OAUTHBEARER.
    OauthBearer(Arc<OauthToken>),
}

/// A token for SASL/OAUTHBEARER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthToken {
    /// The token that the broker verifies.
    pub value: Secret,
    /// The SASL extensions: name and value.
    pub extensions: Vec<(String, String)>,
}

/// Why a login failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The broker refuses the login, with its own message.
    #[error("the broker refuses the login by {mechanism}: {why}")]
    Refused {
        /// Kafka's name of the mechanism.
        mechanism: &'static str,
        /// The broker's error message.
        why: String,
    },
    /// The listener supports other mechanisms.
    #[error("the listener does not offer {mechanism}, but {}", .offered.join(", "))]
    NotOffered {
        /// Kafka's name of the mechanism.
        mechanism: &'static str,
        /// The mechanisms that the listener supports.
        offered: Vec<String>,
    },
    /// The listener requires no authentication.
    #[error("this listener requires no login")]
    NotWanted,
    /// The broker's SCRAM messages are invalid.
    #[error(transparent)]
    Scram(#[from] ScramError),
    /// A request of the login had no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Login {
    /// Returns Kafka's name of the mechanism.
    #[must_use]
    pub const fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain(_) => "PLAIN",
            Self::Scram(hash, _) => hash.mechanism(),
            Self::OauthBearer(_) => "OAUTHBEARER",
        }
    }

    /// Logs in by `SaslHandshake` and `SaslAuthenticate` (<https://kafka.apache.org/protocol.html>); returns the session lifetime, where
    /// the broker limits it.
    ///
    /// # Errors
    /// Returns an error when the broker does not accept the login until `deadline`.
    pub async fn run(&self, connection: &Connection, deadline: Instant) -> Result<Option<Duration>, LoginError> {
        let (error, offered) = connection.ask(&SaslHandshake { mechanism: self.mechanism() }, deadline).await?;
        match error {
            ErrorCode::NONE => {}
            ErrorCode::UNSUPPORTED_SASL_MECHANISM => {
                return Err(LoginError::NotOffered { mechanism: self.mechanism(), offered });
            }
            ErrorCode::ILLEGAL_SASL_STATE => return Err(LoginError::NotWanted),
            other => return Err(self.refused(other.to_string())),
        }
        let step = async |words: &[u8]| self.step(connection, words, deadline).await;
        match self {
            Self::Plain(Credentials { username, password }) => {
                let words = format!("\0{username}\0{}", password.reveal());
                Ok(step(words.as_bytes()).await?.session)
            }
            Self::Scram(hash, Credentials { username, password }) => {
                let first = ClientFirst::new(*hash, username, password.reveal())?;
                let answer = step(first.message().as_bytes()).await?;
                let last = first.answer(&answer.words)?;
                let answer = step(last.message().as_bytes()).await?;
                last.verify(&answer.words)?;
                Ok(answer.session)
            }
            Self::OauthBearer(token) => {
                let answer = step(token.words().as_bytes()).await?;
                if answer.words.is_empty() {
                    return Ok(answer.session);
                }
                // the broker sends the reason of the refusal, and ends the login when that is acknowledged
                let why = String::from_utf8_lossy(&answer.words).into_owned();
                let _ = step(b"\x01").await;
                Err(self.refused(why))
            }
        }
    }

    async fn step(
        &self,
        connection: &Connection,
        words: &[u8],
        deadline: Instant,
    ) -> Result<Authenticated, LoginError> {
        let answer = connection.ask(&SaslAuthenticate { words }, deadline).await?;
        if answer.error == ErrorCode::NONE {
            return Ok(answer);
        }
        Err(self.refused(answer.message.unwrap_or_else(|| answer.error.to_string())))
    }

    fn refused(&self, why: String) -> LoginError {
        LoginError::Refused { mechanism: self.mechanism(), why }
    }
}

impl OauthToken {
    /// Builds the client's first message (RFC 7628, section 3.1).
    fn words(&self) -> String {
        let mut words = format!("n,,\x01auth=Bearer {}\x01", self.value.reveal());
        for (name, value) in &self.extensions {
            words.extend([name, "=", value, "\x01"]);
        }
        words.push('\x01');
        words
    }
}
