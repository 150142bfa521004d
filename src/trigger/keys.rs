//! One table of every metadata key: unknown keys, the docs and the schemas are all decided by it.

use super::ScaleOn;
use super::dialect::AwsDialect;
use super::forms::{
    BROKERS, DURATION, ENDPOINT, NUMBER, PARTITIONS, PATTERN, REGION, ROLE, STREAM, STREAM_ARN, TABLE, TIME, VERSION,
};
use super::values::{Absence, Values};

/// A metadata key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name, as KEDA's where KEDA has it.
    pub name: &'static str,
    /// What its value looks like.
    pub values: Values,
    /// What holds where it is absent.
    pub default: Absence,
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
    /// Whether the value of such a key is a name, a number or an address, and no certificate.
    pub(super) fn wants_one_line(self, owner: Owner) -> bool {
        self != Self::Connection && owner != Owner::Keda
    }

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

const fn key(name: &'static str, values: Values, default: Absence, owner: Owner, meaning: &'static str) -> Key {
    Key { name, values, default, meaning, owner }
}

use Owner::{
    Age, Application, Aws, AwsIdentity, CatchUp, Connection, DynamoDb, Everyone, Kafka, KafkaAndAws, KafkaOnly, Keda,
    Kinesis, Lag, ShardCount,
};

use Absence::{Depends, Nothing, Required, RequiredWithout, Value};
use Values::{AtLeast, Flag, Form, Integer, OneOf, OneOfSome, Text};

/// Every key, in the order of the docs.
pub const KEYS: &[Key] = &[
    key(
        "source",
        OneOf(&["kafka", "apache-kafka", "aws-kinesis-stream", "aws-dynamodb-streams"]),
        Required,
        Everyone,
        "What is observed; the names are those of KEDA's built-in triggers",
    ),
    key(
        "scaleOn",
        OneOfSome("lag (Kafka); shardCount, age (AWS); catchUp", &["lag", "shardCount", "age", "catchUp"]),
        Depends("lag; shardCount"),
        Everyone,
        "What the value counts: records behind, open shards, seconds since the oldest unread record arrived, or the consumers \
         that are needed",
    ),
    key(
        "compat",
        OneOf(&["fixed", "strict"]),
        Value("fixed"),
        Everyone,
        "strict: the built-in's number, defects included",
    ),
    key("connection", Text("name"), Nothing, Everyone, "A named connection of the scaler: addresses and credentials"),
    key(
        "pollInterval",
        Form("duration, 2s to 10m", DURATION),
        Value("10s"),
        Everyone,
        "How often the source is read while somebody asks",
    ),
    key(
        "maxStaleness",
        Form("duration, twice pollInterval to 1h", DURATION),
        Value("60s"),
        Everyone,
        "How old an answer may be when newer readings fail",
    ),
    key(
        "bootstrapServers",
        Form("host:port, …", BROKERS),
        RequiredWithout(&["connection"], "required without a connection"),
        Kafka,
        "The brokers to ask first",
    ),
    key("consumerGroup", Text("text"), Required, Kafka, "The group whose lag counts"),
    key("groupType", OneOf(&["auto", "consumer", "share"]), Value("auto"), Kafka, "auto: as the cluster reports it"),
    key(
        "topic",
        Text("text; a list for apache-kafka"),
        Depends("all topics of the group"),
        Kafka,
        "The topic that the group reads",
    ),
    key(
        "partitionLimitation",
        Form("numbers and ranges: 1,3-5", PARTITIONS),
        Depends("all"),
        Kafka,
        "Only these partitions count; ignored without a topic",
    ),
    key("lagThreshold", AtLeast(1), Value("10"), Lag, "The target: records behind that one replica may have"),
    key("activationLagThreshold", AtLeast(0), Value("0"), Kafka, "The workload is active above this lag"),
    key(
        "offsetResetPolicy",
        OneOf(&["latest", "earliest"]),
        Value("latest"),
        Kafka,
        "Where consumers begin without a commit: latest counts 1 a partition, earliest the whole log",
    ),
    key("scaleToZeroOnInvalidOffset", Flag, Value("false"), Kafka, "A partition without a commit counts 0"),
    key("allowIdleConsumers", Flag, Value("false"), Lag, "More replicas than partitions may be asked for"),
    key("limitToPartitionsWithLag", Flag, Value("false"), Lag, "No more replicas than partitions that have lag"),
    key(
        "ensureEvenDistributionOfPartitions",
        Flag,
        Value("false"),
        Lag,
        "Only numbers of replicas that divide the partitions",
    ),
    key(
        "excludePersistentLag",
        Flag,
        Value("false"),
        Lag,
        "Partitions whose commit stands still count for activity only",
    ),
    key(
        "stallWindow",
        Form("duration, 10s to 24h, at least twice pollInterval", DURATION),
        Value("2m"),
        Lag,
        "How long a commit must stand still to be persistent lag",
    ),
    key(
        "isolationLevel",
        OneOf(&["readUncommitted", "readCommitted"]),
        Value("readUncommitted"),
        Kafka,
        "Lag up to the end of the log, or up to the last stable offset",
    ),
    key("tls", OneOf(&["enable", "disable"]), Value("disable"), Kafka, "TLS to the brokers"),
    key(
        "sasl",
        OneOfSome(
            "none, plaintext, scram_sha256, scram_sha512, gssapi; oauthbearer (kafka); aws_msk_iam (apache-kafka)",
            &["none", "plaintext", "scram_sha256", "scram_sha512", "gssapi", "oauthbearer", "aws_msk_iam"],
        ),
        Value("none"),
        Kafka,
        "How to log in; anything but none needs a connection",
    ),
    key(
        "saslTokenProvider",
        OneOf(&["bearer", "aws_msk_iam"]),
        Value("bearer"),
        KafkaOnly,
        "Where the token for sasl oauthbearer comes from",
    ),
    key(
        "unsafeSsl",
        Flag,
        Value("false"),
        KafkaOnly,
        "Do not verify the brokers' certificates; with a connection, that one says",
    ),
    key(
        "version",
        Form("x.y.z", VERSION),
        Value("1.0.0"),
        KafkaOnly,
        "Checked as KEDA does, otherwise unused: versions are negotiated",
    ),
    key(
        "fullMetadata",
        Flag,
        Value("true"),
        KafkaOnly,
        "Checked as KEDA does, otherwise unused: only named topics are ever asked for",
    ),
    key(
        "streamName",
        Form("1 to 128 of a-z A-Z 0-9 _ . -", STREAM),
        RequiredWithout(&["streamARN"], "required without streamARN"),
        Kinesis,
        "The Kinesis data stream",
    ),
    key(
        "streamARN",
        Form("ARN", STREAM_ARN),
        Nothing,
        Kinesis,
        "The Kinesis data stream in place of streamName, such as one of another account whose resource policy allows it",
    ),
    key("tableName", Form("name or ARN", TABLE), Required, DynamoDb, "The DynamoDB table whose stream is read"),
    key(
        "awsRegion",
        Form("text", REGION),
        RequiredWithout(&["connection", "streamARN"], "required without a connection or streamARN"),
        KafkaAndAws,
        "The region of the stream, or of an MSK cluster with IAM",
    ),
    key(
        "awsEndpoint",
        Form("URL", ENDPOINT),
        Nothing,
        Aws,
        "Where the AWS services are; only what the scaler's operator allows",
    ),
    key(
        "identityOwner",
        OneOf(&["operator", "pod", "workload"]),
        Nothing,
        Aws,
        "Accepted and unused: KEDA's identities are not the scaler's",
    ),
    key(
        "awsRoleArn",
        Form("ARN", ROLE),
        Nothing,
        AwsIdentity,
        "The role to assume; only what the scaler's operator allows",
    ),
    key("awsExternalId", Text("text"), Nothing, AwsIdentity, "What the role's owner asks for"),
    key("awsAccessKeyID", Text("text"), Nothing, AwsIdentity, "A key, as awsAccessKeyIDFromEnv"),
    key("awsSecretAccessKey", Text("text"), Nothing, AwsIdentity, "Its secret, as awsSecretAccessKeyFromEnv"),
    key("awsSessionToken", Text("text"), Nothing, AwsIdentity, "The token of a temporary key"),
    key("shardCount", AtLeast(1), Value("2"), ShardCount, "The target: open shards for one replica"),
    key("activationShardCount", Integer, Value("0"), ShardCount, "Active above this count; below 0 always"),
    key(
        "ageThreshold",
        Form("duration in whole seconds, 1s to 365d", DURATION),
        Value("60s"),
        Age,
        "The target: how old the oldest unread record may be; more than the application's checkpoint interval",
    ),
    key(
        "activationAgeThreshold",
        Form("duration", DURATION),
        Value("0"),
        Application,
        "The workload is active above this age",
    ),
    key(
        "applicationName",
        Text("text"),
        RequiredWithout(&["leaseTable"], "required without leaseTable"),
        Application,
        "The application whose checkpoints count",
    ),
    key(
        "leaseTable",
        Form("name or ARN", TABLE),
        Depends("applicationName"),
        Application,
        "The DynamoDB table with its checkpoints, in the region of the stream",
    ),
    key(
        "checkpointStore",
        OneOf(&["kcl", "vmware-go-kcl", "harlow", "kinsumer", "spring", "redpanda-connect", "custom"]),
        Value("kcl"),
        Application,
        "Which client wrote the checkpoints; kcl is every KCL and the DynamoDB Streams adapter, spring is the Kinesis binder of \
         Spring Cloud Stream",
    ),
    key("shardAttribute", Text("text"), Nothing, Application, "Where a custom store has the shard's id"),
    key(
        "shardPattern",
        Form("text with {shard}, {application}, {stream}", PATTERN),
        Nothing,
        Application,
        "What surrounds the id in the shardAttribute of a custom store that applications or streams share, such as \
         {application}:{stream}:{shard}; other rows do not count",
    ),
    key("checkpointAttribute", Text("text"), Nothing, Application, "Where a custom store has the sequence number"),
    key("ownerAttribute", Text("text"), Nothing, Application, "Where a custom store has the owner"),
    key(
        "finishedAttribute",
        Text("text"),
        Nothing,
        Application,
        "What marks a finished shard in a custom store: true, a number above 0, or a text other than false, no or 0",
    ),
    key(
        "filterAttribute",
        Text("text"),
        Nothing,
        Application,
        "An attribute that separates the application's rows of a custom store from others",
    ),
    key(
        "filterValue",
        Text("text"),
        Nothing,
        Application,
        "The value that filterAttribute has in the application's rows",
    ),
    key(
        "leaseTableReadUnits",
        Form("whole number, 1 to 10000", r"[1-9]\d{0,3}|10000"),
        Value("5"),
        Application,
        "How many DynamoDB read units per second reading the checkpoint table may cost at most; a larger table is read less often",
    ),
    key(
        "initialPosition",
        OneOf(&["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]),
        Value("TRIM_HORIZON"),
        Application,
        "Where the application begins without a checkpoint",
    ),
    key("initialTimestamp", Form("RFC 3339 time", TIME), Nothing, Application, "The time for AT_TIMESTAMP"),
    key(
        "ageFrom",
        OneOf(&["auto", "probe", "sequenceNumber"]),
        Value("auto"),
        Application,
        "auto: from the checkpoint's own time while that is under the threshold, else by reading one record; probe: always \
         by reading; sequenceNumber: an upper bound without reading (Kinesis)",
    ),
    key(
        "probeInterval",
        Form("duration, 1s to 10m", DURATION),
        Depends("1s; 30s for DynamoDB Streams"),
        Age,
        "Least time between two probes of a shard for quiet applications, and between two for moving ones; a DynamoDB stream's shard allows two readers in all",
    ),
    key(
        "catchUpTime",
        Form("duration, 30s to 24h", DURATION),
        Value("5m"),
        CatchUp,
        "The backlog of now is to be gone after this time, while what arrives is kept up with",
    ),
    key(
        "targetUtilization",
        Form("number, 0.1 to 0.95", NUMBER),
        Value("0.8"),
        CatchUp,
        "The share of their capacity that consumers are to use for what arrives; the rest is for catching up",
    ),
    key(
        "capacityPerConsumer",
        Form("number above 0", NUMBER),
        Depends("measured"),
        CatchUp,
        "Records (with KCL 3: kilobytes) that one consumer can process in a second: used until it is measured",
    ),
    key(
        "consumersPerReplica",
        Form("whole number, 1 to 1000", r"[1-9]\d{0,2}|1000"),
        Value("1"),
        CatchUp,
        "How many consumers of the group, or workers, run in one replica",
    ),
    key(
        "scaleDownStabilizationWindow",
        Form("duration, up to 1h", DURATION),
        Value("5m"),
        CatchUp,
        "What the HPA's behavior.scaleDown.stabilizationWindowSeconds is set to",
    ),
    key(
        "scaleUpTolerance",
        Form("number, 0 to 1", NUMBER),
        Value("0.1"),
        CatchUp,
        "What the HPA's behavior.scaleUp.tolerance is set to",
    ),
    key("scalerAddress", Text(""), Nothing, Keda, "Where KEDA finds this scaler"),
    key("enableTLS", Text(""), Nothing, Keda, "KEDA's TLS towards this scaler"),
    key("caCert", Text(""), Nothing, Keda, "KEDA's TLS towards this scaler"),
    key("tlsClientCert", Text(""), Nothing, Keda, "KEDA's TLS towards this scaler"),
    key("tlsClientKey", Text(""), Nothing, Keda, "KEDA's TLS towards this scaler"),
    key("username", Text(""), Nothing, Connection, "Name of the SASL principal, or client id"),
    key("password", Text(""), Nothing, Connection, "Password of the SASL principal, or client secret"),
    key("ca", Text(""), Nothing, Connection, "Certificates added to the system's roots, PEM"),
    key("cert", Text(""), Nothing, Connection, "Client certificate, PEM"),
    key("key", Text(""), Nothing, Connection, "Key of the client certificate, PEM"),
    key("keyPassword", Text(""), Nothing, Connection, "Password of that key"),
    key("scopes", Text(""), Nothing, Connection, "Scopes of the token, separated by commas"),
    key("oauthTokenEndpointUri", Text(""), Nothing, Connection, "Where the token is had"),
    key("oauthExtensions", Text(""), Nothing, Connection, "SASL extensions: name=value, separated by commas"),
    key("keytab", Text(""), Nothing, Connection, "Kerberos; not supported"),
    key("realm", Text(""), Nothing, Connection, "Kerberos; not supported"),
    key("kerberosConfig", Text(""), Nothing, Connection, "Kerberos; not supported"),
    key("kerberosServiceName", Text(""), Nothing, Connection, "Kerberos; not supported"),
    key("ccacheName", Text(""), Nothing, Connection, "Kerberos; not supported"),
    key("kerberosDisableFAST", Text(""), Nothing, Connection, "Kerberos; not supported"),
];

/// The key of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// No longer name is compared with those that are known: that takes time by its length, and none is half as long.
const LONGEST_COMPARED: usize = 80;

/// The known key whose name is nearest to a wrong one, if any is near that could have this value.
#[must_use]
pub(super) fn nearest(name: &str, value: &str) -> Option<&'static str> {
    if name.len() > LONGEST_COMPARED {
        return None;
    }
    let lower = name.to_lowercase();
    let near = |key: &'static Key| {
        let far = strsim::damerau_levenshtein(&lower, &key.name.to_lowercase());
        (far <= 1 + key.name.len() / 4).then_some((far, key))
    };
    let mut near: Vec<_> = KEYS.iter().filter(|key| key.owner != Owner::Connection).filter_map(near).collect();
    near.sort_by_key(|(far, _)| *far);
    near.into_iter().map(|(_, key)| key).find(|key| key.values.allow(value)).map(|key| key.name)
}
