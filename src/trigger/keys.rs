//! One table of every metadata key: unknown keys, the docs and the schemas are all decided by it.

use super::ScaleOn;
use super::aws::AwsDialect;

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
    /// Kafka sources with `scaleOn: lag`.
    Lag,
    /// Every source, for different ends.
    KafkaAndAws,
    /// Both AWS sources.
    Aws,
    /// `source: aws-kinesis-stream`
    Kinesis,
    /// `source: aws-dynamodb-streams`
    DynamoDb,
    /// AWS sources with `scaleOn: shardCount`.
    ShardCount,
    /// AWS sources with `scaleOn: age`.
    Age,
    /// AWS sources with `scaleOn: age` or `catchUp`, which are about an application.
    Application,
    /// Every source with `scaleOn: catchUp`.
    CatchUp,
    /// A connection, or the metadata of an AWS source.
    AwsIdentity,
    /// KEDA itself, before it calls an external scaler.
    Keda,
    /// A connection: KEDA takes it from a `TriggerAuthentication`, which never reaches an external scaler.
    Connection,
}

/// Whose keys are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// The parameters of a connection.
    Connection,
    /// A trigger of a Kafka source.
    Kafka(ScaleOn),
    /// A trigger of an AWS source.
    Aws(AwsDialect, ScaleOn),
}

impl Reader {
    /// Why this reader does not take a known key; `None` where it does.
    pub(super) fn refusal(self, owner: Owner) -> Option<&'static str> {
        const SECRET: &str = "belongs in a connection of the scaler; name that with the key connection";
        let (stream, scale_on) = match self {
            Self::Connection => return None,
            Self::Kafka(scale_on) => (None, scale_on),
            Self::Aws(stream, scale_on) => (Some(stream), scale_on),
        };
        let unless = |taken: bool, refusal| if taken { None } else { Some(refusal) };
        match owner {
            Owner::Everyone | Owner::KafkaAndAws | Owner::Keda => None,
            Owner::Connection => Some(SECRET),
            Owner::AwsIdentity => unless(stream.is_some(), SECRET),
            Owner::Kafka | Owner::KafkaOnly => unless(stream.is_none(), "is for the sources kafka and apache-kafka"),
            Owner::Lag => unless(
                stream.is_none() && scale_on == ScaleOn::Lag,
                "is for scaleOn lag of the sources kafka and apache-kafka",
            ),
            Owner::Aws => unless(stream.is_some(), "is for the sources aws-kinesis-stream and aws-dynamodb-streams"),
            Owner::Kinesis => unless(stream == Some(AwsDialect::Kinesis), "is for source aws-kinesis-stream"),
            Owner::DynamoDb => unless(stream == Some(AwsDialect::DynamoDb), "is for source aws-dynamodb-streams"),
            Owner::ShardCount => unless(
                stream.is_some() && scale_on == ScaleOn::ShardCount,
                "is for scaleOn shardCount of the AWS sources",
            ),
            Owner::Age => unless(stream.is_some() && scale_on == ScaleOn::Age, "is for scaleOn age of the AWS sources"),
            Owner::Application => {
                let about_application = matches!(scale_on, ScaleOn::Age | ScaleOn::CatchUp);
                unless(stream.is_some() && about_application, "is for scaleOn age and catchUp of the AWS sources")
            }
            Owner::CatchUp => unless(scale_on == ScaleOn::CatchUp, "is for scaleOn catchUp"),
        }
    }
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

use Owner::{
    Age, Application, Aws, AwsIdentity, CatchUp, Connection, DynamoDb, Everyone, Kafka, KafkaAndAws, KafkaOnly, Keda,
    Kinesis, Lag, ShardCount,
};

/// Every key, in the order of the docs.
pub const KEYS: &[Key] = &[
    key(
        "source",
        "kafka, apache-kafka, aws-kinesis-stream, aws-dynamodb-streams",
        "required",
        Everyone,
        "What is observed; the names are those of KEDA's built-in triggers",
    ),
    key(
        "scaleOn",
        "lag (Kafka); shardCount, age (AWS); catchUp",
        "lag; shardCount",
        Everyone,
        "What the value counts: records behind, open shards, seconds since the oldest unread record arrived, or the consumers \
         that are needed",
    ),
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
    key("lagThreshold", "whole number, at least 1", "10", Lag, "The target: records behind that one replica may have"),
    key("activationLagThreshold", "whole number, at least 0", "0", Kafka, "The workload is active above this lag"),
    key(
        "offsetResetPolicy",
        "latest, earliest",
        "latest",
        Kafka,
        "Where consumers begin without a commit: latest counts 1 a partition, earliest the whole log",
    ),
    key("scaleToZeroOnInvalidOffset", "bool", "false", Kafka, "A partition without a commit counts 0"),
    key("allowIdleConsumers", "bool", "false", Lag, "More replicas than partitions may be asked for"),
    key("limitToPartitionsWithLag", "bool", "false", Lag, "No more replicas than partitions that have lag"),
    key(
        "ensureEvenDistributionOfPartitions",
        "bool",
        "false",
        Lag,
        "Only numbers of replicas that divide the partitions",
    ),
    key("excludePersistentLag", "bool", "false", Lag, "Partitions whose commit stands still count for activity only"),
    key("stallWindow", "duration, 10s to 24h", "2m", Lag, "How long a commit must stand still to be persistent lag"),
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
    key("streamName", "text", "required", Kinesis, "The Kinesis data stream"),
    key("tableName", "text", "required", DynamoDb, "The DynamoDB table whose stream is read"),
    key(
        "awsRegion",
        "text",
        "required without a connection",
        KafkaAndAws,
        "The region of the stream, or of an MSK cluster with IAM",
    ),
    key("awsEndpoint", "URL", "", Aws, "Where the AWS services are; only what the scaler's operator allows"),
    key(
        "identityOwner",
        "operator, pod, workload",
        "",
        Aws,
        "Accepted and unused: KEDA's identities are not the scaler's",
    ),
    key("awsRoleArn", "ARN", "", AwsIdentity, "The role to assume; only what the scaler's operator allows"),
    key("awsExternalId", "text", "", AwsIdentity, "What the role's owner asks for"),
    key("awsAccessKeyID", "text", "", AwsIdentity, "A key, as awsAccessKeyIDFromEnv"),
    key("awsSecretAccessKey", "text", "", AwsIdentity, "Its secret, as awsSecretAccessKeyFromEnv"),
    key("awsSessionToken", "text", "", AwsIdentity, "The token of a temporary key"),
    key("shardCount", "whole number, at least 1", "2", ShardCount, "The target: open shards for one replica"),
    key("activationShardCount", "whole number, at least 0", "0", ShardCount, "The workload is active above this count"),
    key(
        "ageThreshold",
        "duration in whole seconds, 1s to 365d",
        "60s",
        Age,
        "The target: how old the oldest unread record may be; more than the application's checkpoint interval",
    ),
    key("activationAgeThreshold", "duration", "0", Application, "The workload is active above this age"),
    key(
        "applicationName",
        "text",
        "required without leaseTable",
        Application,
        "The application whose checkpoints count",
    ),
    key("leaseTable", "text", "applicationName", Application, "The DynamoDB table with its checkpoints"),
    key(
        "checkpointStore",
        "kcl, vmware-go-kcl, harlow, kinsumer, custom",
        "kcl",
        Application,
        "Which client wrote the checkpoints; kcl is every KCL and the DynamoDB Streams adapter",
    ),
    key("shardAttribute", "text", "", Application, "Where a custom store has the shard's id"),
    key("checkpointAttribute", "text", "", Application, "Where a custom store has the sequence number"),
    key("ownerAttribute", "text", "", Application, "Where a custom store has the owner"),
    key("finishedAttribute", "text", "", Application, "What a custom store has only for finished shards"),
    key(
        "initialPosition",
        "TRIM_HORIZON, LATEST, AT_TIMESTAMP",
        "TRIM_HORIZON",
        Application,
        "Where the application begins without a checkpoint",
    ),
    key("initialTimestamp", "RFC 3339 time", "", Application, "The time for AT_TIMESTAMP"),
    key(
        "ageFrom",
        "auto, probe, sequenceNumber",
        "auto",
        Application,
        "auto: from the checkpoint's own time while that is under the threshold, else by reading one record; probe: always \
         by reading; sequenceNumber: an upper bound without reading (Kinesis)",
    ),
    key(
        "probeInterval",
        "duration, 1s to 10m",
        "1s; 30s for DynamoDB Streams",
        Age,
        "A shard is read no more often than this; a DynamoDB stream's shard allows two readers in all",
    ),
    key(
        "catchUpTime",
        "duration, 30s to 24h",
        "5m",
        CatchUp,
        "The backlog of now is to be gone after this time, while what arrives is kept up with",
    ),
    key(
        "targetUtilization",
        "number, 0.1 to 0.95",
        "0.8",
        CatchUp,
        "The share of their capacity that consumers are to use for what arrives; the rest is for catching up",
    ),
    key(
        "capacityPerConsumer",
        "number above 0",
        "measured",
        CatchUp,
        "Records (with KCL 3: kilobytes) that one consumer can process in a second: used until it is measured",
    ),
    key(
        "consumersPerReplica",
        "whole number, 1 to 1000",
        "1",
        CatchUp,
        "How many consumers of the group, or workers, run in one replica",
    ),
    key(
        "scaleDownStabilizationWindow",
        "duration, up to 1h",
        "5m",
        CatchUp,
        "What the HPA's behavior.scaleDown.stabilizationWindowSeconds is set to",
    ),
    key("scaleUpTolerance", "number, 0 to 1", "0.1", CatchUp, "What the HPA's behavior.scaleUp.tolerance is set to"),
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
