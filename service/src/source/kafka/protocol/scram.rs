//! The client side of SCRAM (RFC 5802) without channel binding. Like Kafka, it does not normalize names and passwords.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::num::NonZeroU32;

/// The minimum number of iterations: fewer do not protect a password, and Kafka requires at least this number.
const FEWEST_ITERATIONS: u32 = 4_096;
/// The maximum number of iterations: more would keep the scaler busy. Kafka allows at most 16,384.
const MOST_ITERATIONS: u32 = 100_000;
/// The base64 of `n,,`: no channel is bound.
const NO_BINDING: &str = "biws";

/// The hash of the mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScramHash {
    /// SHA-256, for SCRAM-SHA-256.
    Sha256,
    /// SHA-512, for SCRAM-SHA-512.
    Sha512,
}

/// Why the broker's messages are rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// They are not valid SCRAM messages.
    #[error("the broker's message is not valid SCRAM")]
    Malformed,
    /// The nonce is not a continuation of the client's.
    #[error("the broker's message belongs to another login")]
    OtherNonce,
    /// The number of iterations is too small or too large.
    #[error("the broker requires {0} iterations; 4,096 to 100,000 are accepted")]
    Iterations(u32),
    /// The broker did not prove that it has the password.
    #[error("the broker could not prove that it knows the password")]
    NotTheBroker,
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    NoRandomness,
}

/// The client before the broker's first message.
pub(super) struct ClientFirst<'a> {
    hash: ScramHash,
    password: &'a str,
    nonce: String,
    /// The first message without the header.
    bare: String,
}

/// The client that has proved its password, and waits for the broker to prove the same.
pub(super) struct ClientFinal {
    message: String,
    signature: Vec<u8>,
}

impl ScramHash {
    /// Returns Kafka's name of the mechanism.
    #[must_use]
    pub const fn mechanism(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    const fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    const fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    const fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn sign(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(self.hmac(), key), text).as_ref().to_vec()
    }
}

impl<'a> ClientFirst<'a> {
    pub(super) fn new(hash: ScramHash, username: &str, password: &'a str) -> Result<Self, ScramError> {
        let mut random = [0; 24];
        SystemRandom::new().fill(&mut random).map_err(|_| ScramError::NoRandomness)?;
        Ok(Self::with_nonce(hash, username, password, BASE64_STANDARD.encode(random)))
    }

    fn with_nonce(hash: ScramHash, username: &str, password: &'a str, nonce: String) -> Self {
        let bare = format!("n={},r={nonce}", username.replace('=', "=3D").replace(',', "=2C"));
        Self { hash, password, nonce, bare }
    }

    pub(super) fn message(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// Builds the client's answer to the broker's first message.
    pub(super) fn answer(self, server_first: &[u8]) -> Result<ClientFinal, ScramError> {
        let server_first = std::str::from_utf8(server_first).map_err(|_| ScramError::Malformed)?;
        let mut parts = server_first.split(',');
        let mut part = |name: &str| parts.next()?.strip_prefix(name);
        let (Some(nonce), Some(salt), Some(iterations)) = (part("r="), part("s="), part("i=")) else {
            return Err(ScramError::Malformed);
        };
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::OtherNonce);
        }
        let salt = BASE64_STANDARD.decode(salt).map_err(|_| ScramError::Malformed)?;
        let iterations: u32 = iterations.parse().map_err(|_| ScramError::Malformed)?;
        let taken = NonZeroU32::new(iterations).filter(|_| (FEWEST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations));
        let taken = taken.ok_or(ScramError::Iterations(iterations))?;
        let hash = self.hash;
        let mut salted = vec![0; hash.digest().output_len()];
        pbkdf2::derive(hash.pbkdf2(), taken, &salt, self.password.as_bytes(), &mut salted);
        let without_proof = format!("c={NO_BINDING},r={nonce}");
        let said = format!("{},{server_first},{without_proof}", self.bare);
        let client_key = hash.sign(&salted, b"Client Key");
        let stored_key = digest::digest(hash.digest(), &client_key);
        let client_signature = hash.sign(stored_key.as_ref(), said.as_bytes());
        let proof: Vec<_> = client_key.iter().zip(client_signature).map(|(key, signature)| key ^ signature).collect();
        let signature = hash.sign(&hash.sign(&salted, b"Server Key"), said.as_bytes());
        let message = format!("{without_proof},p={}", BASE64_STANDARD.encode(proof));
        Ok(ClientFinal { message, signature })
    }
}

impl ClientFinal {
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Verifies that the broker has the password too.
    pub(super) fn verify(&self, server_final: &[u8]) -> Result<(), ScramError> {
        let text = std::str::from_utf8(server_final).map_err(|_| ScramError::Malformed)?;
        let signature = text.split(',').next().and_then(|part| part.strip_prefix("v=")).ok_or(ScramError::Malformed)?;
        let signature = BASE64_STANDARD.decode(signature).map_err(|_| ScramError::Malformed)?;
        constant_time::verify_slices_are_equal(&signature, &self.signature).map_err(|_| ScramError::NotTheBroker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the example of RFC 7677, section 3.
    fn rfc_7677() -> ClientFirst<'static> {
        ClientFirst::with_nonce(ScramHash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO".to_owned())
    }

    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_example_of_the_rfc_is_said_and_verified() {
        let first = rfc_7677();
        assert_eq!(first.message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let last = first.answer(SERVER_FIRST.as_bytes()).expect("good words");
        assert_eq!(
            last.message(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(last.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert_eq!(
            last.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="),
            Err(ScramError::Malformed),
            "bits beyond the last byte"
        );
        assert_eq!(last.verify(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Err(ScramError::NotTheBroker));
        assert_eq!(last.verify(b"e=other-error"), Err(ScramError::Malformed));
    }

    #[test]
    fn words_of_another_login_and_costs_out_of_bounds_are_refused() {
        let answered = |words: &str| rfc_7677().answer(words.as_bytes()).map(|_| ());
        assert_eq!(answered(&SERVER_FIRST.replace("rOpr", "xOpr")), Err(ScramError::OtherNonce));
        assert_eq!(answered("r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096"), Err(ScramError::OtherNonce), "none of its own");
        for iterations in [0, 1, 4095, 100_001, u32::MAX] {
            let words = SERVER_FIRST.replace("4096", &iterations.to_string());
            assert_eq!(answered(&words), Err(ScramError::Iterations(iterations)));
        }
        for words in ["", "r=", "r=x,s=y", "e=unknown-user", &SERVER_FIRST.replace("i=4096", "i=-1")] {
            assert!(answered(words).is_err(), "{words}");
        }
    }

    #[test]
    fn a_name_is_escaped() {
        let first = ClientFirst::with_nonce(ScramHash::Sha512, "a=b,c", "", "n".to_owned());
        assert_eq!(first.message(), "n,,n=a=3Db=2Cc,r=n");
    }
}
