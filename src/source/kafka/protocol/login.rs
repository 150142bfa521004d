//! The login on a connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::scram::{ClientFirst, ScramError, ScramHash};
use super::{Authenticated, Connection, ErrorCode, RequestError, SaslAuthenticate, SaslHandshake};
use crate::trigger::{Credentials, Secret};

/// How to log in.
#[derive(Clone)]
pub enum Login {
    /// SASL/PLAIN
    Plain(Credentials),
    /// SASL/SCRAM
    Scram(ScramHash, Credentials),
    /// SASL/OAUTHBEARER
    OauthBearer(Arc<OauthToken>),
}

/// A token for SASL/OAUTHBEARER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthToken {
    /// What the broker checks.
    pub value: Secret,
    /// SASL extensions: name and value.
    pub extensions: Vec<(String, String)>,
}

/// Why there is no login.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The broker refuses it, in its own words.
    #[error("the broker refuses the login by {mechanism}: {why}")]
    Refused {
        /// Kafka's name of the mechanism.
        mechanism: &'static str,
        /// Why.
        why: String,
    },
    /// The listener takes other mechanisms.
    #[error("the listener does not offer {mechanism}, but {}", .offered.join(", "))]
    NotOffered {
        /// Kafka's name of the mechanism.
        mechanism: &'static str,
        /// Those that it takes.
        offered: Vec<String>,
    },
    /// The listener wants no login.
    #[error("this listener wants no login")]
    NotWanted,
    /// The broker's part of SCRAM is not right.
    #[error(transparent)]
    Scram(#[from] ScramError),
    /// There was no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Login {
    /// Kafka's name of the mechanism.
    #[must_use]
    pub const fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain(_) => "PLAIN",
            Self::Scram(hash, _) => hash.mechanism(),
            Self::OauthBearer(_) => "OAUTHBEARER",
        }
    }

    /// Logs in; how long the connection may be used, where the broker limits that.
    ///
    /// # Errors
    /// When the broker does not let the client in until `deadline`.
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
                // the broker says why it refuses, and ends the login when that is acknowledged
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
    /// RFC 7628, section 3.1.
    fn words(&self) -> String {
        let mut words = format!("n,,\x01auth=Bearer {}\x01", self.value.reveal());
        for (name, value) in &self.extensions {
            words.extend([name, "=", value, "\x01"]);
        }
        words.push('\x01');
        words
    }
}
