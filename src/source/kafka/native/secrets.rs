//! Keeps the values of secret properties out of texts.

use std::fmt;

use super::words::Failure;

/// Properties whose value must never be printed.
const SECRET: [&str; 8] = [
    "sasl.password",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
];

/// The secret values of one client.
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn of(properties: &[(String, String)]) -> Self {
        let secret = properties.iter().filter(|(name, value)| SECRET.contains(&name.as_str()) && !value.is_empty());
        Self(secret.map(|(_, value)| value.clone()).collect())
    }

    /// `failure` without the secret values.
    pub(super) fn hide_in(&self, failure: Failure) -> Failure {
        Failure { text: self.hide(failure.text), ..failure }
    }

    /// `text` without the secret values.
    pub(super) fn hide(&self, text: String) -> String {
        self.0.iter().fold(text, |text, secret| if text.contains(secret) { text.replace(secret, "***") } else { text })
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_values_are_hidden_and_others_are_not() {
        let properties = [("sasl.password", "hunter2"), ("sasl.username", "alice")];
        let secrets = Secrets::of(&properties.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(secrets.hide("alice:hunter2".to_owned()), "alice:***");
        assert!(!format!("{secrets:?}").contains("hunter2"));
    }
}
