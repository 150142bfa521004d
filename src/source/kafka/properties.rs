//! The properties of a librdkafka client that follow from its cluster and identity.

use std::fmt;

use crate::trigger::{CertificateVerification, Credentials, KafkaSecurity, Sasl, Tls};

/// Properties of a client. They hold secrets: `Debug` shows only their names.
#[derive(Clone, PartialEq, Eq)]
pub struct Properties(Vec<(String, String)>);

/// This build has no Kerberos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sasl gssapi is not supported: this build has no Kerberos")]
pub struct Unsupported;

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Properties {
    /// The properties of a client for these brokers with this security. `system_roots` are the certificates that the machine
    /// trusts, PEM: librdkafka would take a `ca` instead of them, KEDA takes it besides.
    ///
    /// # Errors
    /// For Kerberos.
    pub fn new<S: AsRef<str>>(
        bootstrap_servers: &[S],
        security: &KafkaSecurity,
        system_roots: &str,
    ) -> Result<Self, Unsupported> {
        let mut properties = Self(Vec::new());
        let servers: Vec<_> = bootstrap_servers.iter().map(AsRef::as_ref).collect();
        properties.set("bootstrap.servers", servers.join(","));
        properties.set("security.protocol", protocol(security));
        properties.tls(&security.tls, system_roots);
        properties.sasl(&security.sasl)?;
        Ok(properties)
    }

    /// Name and value of each.
    #[must_use]
    pub fn into_inner(self) -> Vec<(String, String)> {
        self.0
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    fn tls(&mut self, tls: &Tls, system_roots: &str) {
        let Tls::On { ca, identity, verification } = tls else { return };
        if let Some(ca) = ca {
            self.set("ssl.ca.pem", format!("{system_roots}\n{ca}\n"));
        }
        if let Some(identity) = identity {
            self.set("ssl.certificate.pem", &identity.certificate);
            self.set("ssl.key.pem", identity.key.reveal());
            if let Some(password) = &identity.key_password {
                self.set("ssl.key.password", password.reveal());
            }
        }
        if *verification == CertificateVerification::Off {
            self.set("enable.ssl.certificate.verification", "false");
            self.set("ssl.endpoint.identification.algorithm", "none");
        }
    }

    fn sasl(&mut self, sasl: &Sasl) -> Result<(), Unsupported> {
        match sasl {
            Sasl::None => {}
            Sasl::Plain(credentials) => self.credentials("PLAIN", credentials),
            Sasl::ScramSha256(credentials) => self.credentials("SCRAM-SHA-256", credentials),
            Sasl::ScramSha512(credentials) => self.credentials("SCRAM-SHA-512", credentials),
            Sasl::OauthBearer { .. } | Sasl::AwsMskIam { .. } => self.set("sasl.mechanism", "OAUTHBEARER"),
            Sasl::Gssapi => return Err(Unsupported),
        }
        Ok(())
    }

    fn credentials(&mut self, mechanism: &str, credentials: &Credentials) {
        self.set("sasl.mechanism", mechanism);
        self.set("sasl.username", &credentials.username);
        self.set("sasl.password", credentials.password.reveal());
    }
}

fn protocol(security: &KafkaSecurity) -> &'static str {
    match (&security.tls, &security.sasl) {
        (Tls::Off, Sasl::None) => "plaintext",
        (Tls::On { .. }, Sasl::None) => "ssl",
        (Tls::Off, _) => "sasl_plaintext",
        (Tls::On { .. }, _) => "sasl_ssl",
    }
}
