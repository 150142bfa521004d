//! One table of every metadata key: unknown keys, the docs and the schemas are all decided by it.

use std::fmt::Write as _;

/// A metadata key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name, as KEDA's where KEDA has it.
    pub name: &'static str,
    /// What its value looks like.
    pub values: &'static str,
    /// The value where the key is absent; empty where there is none.
    pub default: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// Who reads it.
    pub owner: Owner,
}

/// Who reads a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Every source.
    Everyone,
    /// Both Kafka sources.
    Kafka,
    /// `source: kafka` reads it; `source: apache-kafka` accepts and ignores it, as KEDA does.
    KafkaOnly,
    /// KEDA itself, before it calls an external scaler.
    Keda,
    /// A connection: KEDA takes it from a `TriggerAuthentication`, which never reaches an external scaler.
    Connection,
}

const fn key(
    name: &'static str,
    values: &'static str,
    default: &'static str,
    owner: Owner,
    meaning: &'static str,
) -> Key {
    Key { name, values, default, meaning, owner }
}

use Owner::{Connection, Everyone, Kafka, KafkaOnly, Keda};

/// Every key, in the order of the docs.
pub const KEYS: &[Key] = &[
    key(
        "source",
        "kafka, apache-kafka",
        "required",
        Everyone,
        "What is observed; the names are those of KEDA's built-in triggers",
    ),
    key("scaleOn", "lag", "lag", Everyone, "What the value counts: records behind"),
    key("compat", "fixed, strict", "fixed", Everyone, "strict: the built-in's number, defects included"),
    key("connection", "name", "", Everyone, "A named connection of the scaler: addresses and credentials"),
    key("pollInterval", "duration, 2s to 10m", "10s", Everyone, "How often the source is read while somebody asks"),
    key(
        "maxStaleness",
        "duration, twice pollInterval to 1h",
        "60s",
        Everyone,
        "How old an answer may be when newer readings fail",
    ),
    key("bootstrapServers", "host:port, …", "required without a connection", Kafka, "The brokers to ask first"),
    key("consumerGroup", "text", "required", Kafka, "The group whose lag counts"),
    key("topic", "text; a list for apache-kafka", "all topics of the group", Kafka, "The topic that the group reads"),
    key(
        "partitionLimitation",
        "numbers and ranges: 1,3-5",
        "all",
        Kafka,
        "Only these partitions count; ignored without a topic",
    ),
    key(
        "lagThreshold",
        "whole number, at least 1",
        "10",
        Kafka,
        "The target: records behind that one replica may have",
    ),
    key("activationLagThreshold", "whole number, at least 0", "0", Kafka, "The workload is active above this lag"),
    key(
        "offsetResetPolicy",
        "latest, earliest",
        "latest",
        Kafka,
        "Where consumers begin without a commit: latest counts 1 a partition, earliest the whole log",
    ),
    key("scaleToZeroOnInvalidOffset", "bool", "false", Kafka, "A partition without a commit counts 0"),
    key("allowIdleConsumers", "bool", "false", Kafka, "More replicas than partitions may be asked for"),
    key("limitToPartitionsWithLag", "bool", "false", Kafka, "No more replicas than partitions that have lag"),
    key(
        "ensureEvenDistributionOfPartitions",
        "bool",
        "false",
        Kafka,
        "Only numbers of replicas that divide the partitions",
    ),
    key("excludePersistentLag", "bool", "false", Kafka, "Partitions whose commit stands still count for activity only"),
    key("stallWindow", "duration, 10s to 24h", "2m", Kafka, "How long a commit must stand still to be persistent lag"),
    key(
        "isolationLevel",
        "readUncommitted, readCommitted",
        "readUncommitted",
        Kafka,
        "Lag up to the end of the log, or up to the last stable offset",
    ),
    key("tls", "enable, disable", "disable", Kafka, "TLS to the brokers"),
    key(
        "sasl",
        "none, plaintext, scram_sha256, scram_sha512, gssapi; oauthbearer (kafka); aws_msk_iam (apache-kafka)",
        "none",
        Kafka,
        "How to log in; anything but none needs a connection",
    ),
    key("awsRegion", "text", "", Kafka, "The region of an MSK cluster with IAM"),
    key(
        "saslTokenProvider",
        "bearer, aws_msk_iam",
        "bearer",
        KafkaOnly,
        "Where the token for sasl oauthbearer comes from",
    ),
    key(
        "unsafeSsl",
        "bool",
        "false",
        KafkaOnly,
        "Do not verify the brokers' certificates; with a connection, that one says",
    ),
    key("version", "x.y.z", "1.0.0", KafkaOnly, "Checked as KEDA does, otherwise unused: versions are negotiated"),
    key(
        "fullMetadata",
        "bool",
        "true",
        KafkaOnly,
        "Checked as KEDA does, otherwise unused: only named topics are ever asked for",
    ),
    key("scalerAddress", "", "", Keda, "Where KEDA finds this scaler"),
    key("enableTLS", "", "", Keda, "KEDA's TLS towards this scaler"),
    key("caCert", "", "", Keda, "KEDA's TLS towards this scaler"),
    key("tlsClientCert", "", "", Keda, "KEDA's TLS towards this scaler"),
    key("tlsClientKey", "", "", Keda, "KEDA's TLS towards this scaler"),
    key("username", "", "", Connection, "Name of the SASL principal, or client id"),
    key("password", "", "", Connection, "Password of the SASL principal, or client secret"),
    key("ca", "", "", Connection, "Certificates added to the system's roots, PEM"),
    key("cert", "", "", Connection, "Client certificate, PEM"),
    key("key", "", "", Connection, "Key of the client certificate, PEM"),
    key("keyPassword", "", "", Connection, "Password of that key"),
    key("scopes", "", "", Connection, "Scopes of the token, separated by commas"),
    key("oauthTokenEndpointUri", "", "", Connection, "Where the token is had"),
    key("oauthExtensions", "", "", Connection, "SASL extensions: name=value, separated by commas"),
    key("keytab", "", "", Connection, "Kerberos; not supported"),
    key("realm", "", "", Connection, "Kerberos; not supported"),
    key("kerberosConfig", "", "", Connection, "Kerberos; not supported"),
    key("kerberosServiceName", "", "", Connection, "Kerberos; not supported"),
    key("ccacheName", "", "", Connection, "Kerberos; not supported"),
    key("kerberosDisableFAST", "", "", Connection, "Kerberos; not supported"),
    key("awsAccessKeyID", "", "", Connection, "Static AWS key"),
    key("awsSecretAccessKey", "", "", Connection, "Secret of the static AWS key"),
    key("awsSessionToken", "", "", Connection, "Token of a temporary AWS key"),
    key("awsRoleArn", "", "", Connection, "Role to assume"),
    key("awsExternalId", "", "", Connection, "External id for the role"),
];

/// The key of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known key whose name is nearest to a wrong one, if any is near.
#[must_use]
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let distance = |key: &Key| strsim::damerau_levenshtein(&lower, &key.name.to_lowercase());
    let ours = KEYS.iter().filter(|key| !matches!(key.owner, Owner::Connection));
    let (far, key) = ours.map(|key| (distance(key), key)).min_by_key(|(far, _)| *far)?;
    (far <= 1 + key.name.len() / 4).then_some(key.name)
}

/// The table of every key of a `ScaledObject`'s metadata, as the docs show it.
#[must_use]
pub fn markdown_table() -> String {
    let mut table = String::from("| key | values | default | meaning |\n|---|---|---|---|\n");
    for key in KEYS.iter().filter(|key| matches!(key.owner, Owner::Everyone | Owner::Kafka | Owner::KafkaOnly)) {
        let only = if key.owner == Owner::KafkaOnly { " (`source: kafka`)" } else { "" };
        let default = if key.default.is_empty() { "–" } else { key.default };
        // writing to a string cannot fail
        let _ = writeln!(table, "| `{}` | {} | {default} | {}{only} |", key.name, key.values, key.meaning);
    }
    table
}
