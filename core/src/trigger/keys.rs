//! One table of every metadata key, which defines the known keys, the docs and the schemas.

mod table;

use super::ScaleOn;
use super::dialect::AwsDialect;
use super::values::{Absence, Values};

pub use self::table::KEYS;

/// A metadata key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key's name; KEDA's name where KEDA has the key.
    pub name: &'static str,
    /// The form of its value.
    pub values: Values,
    /// The effect of an absent key.
    pub default: Absence,
    /// The meaning of the key in one sentence.
    pub meaning: &'static str,
    /// The component that reads the key.
    pub owner: Owner,
}

/// The component that reads a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Every source reads the key.
    Everyone,
    /// Both Kafka sources read the key.
    Kafka,
    /// `source: kafka` reads it; `source: apache-kafka` accepts and ignores it, as KEDA does.
    KafkaOnly,
    /// Kafka sources with `scaleOn: lag`.
    Lag,
    /// Every source reads the key, for different purposes.
    KafkaAndAws,
    /// Both AWS sources read the key.
    Aws,
    /// `source: aws-kinesis-stream`
    Kinesis,
    /// `source: aws-dynamodb-streams`
    DynamoDb,
    /// AWS sources with `scaleOn: shardCount`.
    ShardCount,
    /// AWS sources with `scaleOn: age`.
    Age,
    /// AWS sources with `scaleOn: age` or `catchUp`, which concern an application.
    Application,
    /// Every source with `scaleOn: catchUp`.
    CatchUp,
    /// `source: aws-kinesis-stream` with `scaleOn: writeUtilization`.
    WriteUtilization,
    /// `scaleOn: catchUp` and `writeUtilization`.
    Utilization,
    /// A connection, or the metadata of an AWS source.
    AwsIdentity,
    /// KEDA itself reads the key, before it calls an external scaler.
    Keda,
    /// A connection: KEDA takes it from a `TriggerAuthentication`, which never reaches an external scaler.
    Connection,
}

/// The kind of metadata that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// The parameters of a connection.
    Connection(ConnectionKind),
    /// A trigger whose source is not known: only what no source accepts is rejected.
    UnknownSource,
    /// A trigger of a Kafka source.
    Kafka(ScaleOn),
    /// A trigger of an AWS source.
    Aws(AwsDialect, ScaleOn),
}

/// The keys of a connection that may be written as a list, whose entries are joined by commas.
pub const CONNECTION_LISTS: [&str; 2] = ["bootstrapServers", "scopes"];

/// The kind of service to which a connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionKind {
    /// A Kafka cluster.
    Kafka,
    /// An AWS account.
    Aws,
}

impl ConnectionKind {
    /// The keys that a connection shares with triggers.
    const fn shared(self) -> &'static [&'static str] {
        match self {
            Self::Kafka => &["bootstrapServers", "tls", "sasl", "saslTokenProvider", "unsafeSsl", "awsRegion"],
            Self::Aws => &["awsRegion", "awsEndpoint"],
        }
    }

    /// Whether a connection of this kind has the key.
    pub(super) fn has(self, key: &Key) -> bool {
        let own = key.owner == Owner::AwsIdentity || (self == Self::Kafka && key.owner == Owner::Connection);
        own || self.shared().contains(&key.name)
    }

    fn refusal(self, key: &Key) -> Option<&'static str> {
        if self.has(key) {
            return None;
        }
        let of_kafka = Self::Kafka.has(key);
        Some(if of_kafka {
            "is for a connection to Kafka"
        } else {
            "is a key of triggers, which a connection does not have"
        })
    }
}

impl Reader {
    /// Whether the value of a key of this owner must be on one line: a name, a number or an address, but not a certificate.
    pub(super) fn wants_one_line(self, owner: Owner) -> bool {
        !matches!(self, Self::Connection(_)) && owner != Owner::Keda
    }

    /// Why this reader rejects a known key; `None` where it accepts it.
    pub(super) fn refusal(self, key: &Key) -> Option<&'static str> {
        const SECRET: &str = "belongs in a connection of the scaler; name that with the key connection";
        let (stream, scale_on) = match self {
            Self::Connection(kind) => return kind.refusal(key),
            Self::UnknownSource => return (key.owner == Owner::Connection).then_some(SECRET),
            Self::Kafka(scale_on) => (None, scale_on),
            Self::Aws(stream, scale_on) => (Some(stream), scale_on),
        };
        let unless = |taken: bool, refusal| if taken { None } else { Some(refusal) };
        match key.owner {
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
            Owner::WriteUtilization => unless(scale_on == ScaleOn::WriteUtilization, "is for scaleOn writeUtilization"),
            Owner::Utilization => unless(
                matches!(scale_on, ScaleOn::CatchUp | ScaleOn::WriteUtilization),
                "is for scaleOn catchUp and writeUtilization",
            ),
        }
    }
}

/// Finds the key of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The maximum length of a name that is compared with the known ones: the time grows with it, and no known name is half as long.
const LONGEST_COMPARED: usize = 80;

/// The edit distance between a wrong name and a known one; `None` where it is too large to be a typing error.
fn distance(name: &str, known: &str) -> Option<usize> {
    let far = (name.len() <= LONGEST_COMPARED)
        .then(|| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()));
    far.filter(|far| *far <= 1 + known.len() / 4)
}

/// Whether a wrong name may be meant as a known one.
#[must_use]
pub fn is_near(name: &str, known: &str) -> bool {
    distance(name, known).is_some()
}

/// Names that KEDA 1 and Kafka's own clients have for what is meant, with the keys to write.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("authMode", "sasl and tls"),
    ("brokerList", "bootstrapServers"),
    ("brokers", "bootstrapServers"),
    ("bootstrap.servers", "bootstrapServers"),
    ("group.id", "consumerGroup"),
    ("groupId", "consumerGroup"),
    ("region", "awsRegion"),
];

/// What to write instead of an unknown key, if that can be guessed.
pub(super) fn hint(name: &str, value: &str, reader: Reader) -> Option<String> {
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == name);
    let other = other.map(|(_, keys)| format!("write {keys}"));
    other.or_else(|| nearest(name, value, reader).map(|near| format!("did you mean {near}?")))
}

/// The word that is nearest to a wrong one, or else contains it.
pub(super) fn nearest_word(wrong: &str, words: &[&'static str]) -> Option<&'static str> {
    let near = words.iter().filter_map(|word| distance(wrong, word).map(|far| (far, *word)));
    let within = |word: &&&str| wrong.len() >= SHORTEST_PART && word.contains(&wrong.to_lowercase());
    near.min_by_key(|(far, _)| *far).map(|(_, word)| word).or_else(|| words.iter().find(within).copied())
}

/// The minimum length of a wrong word that is looked for inside of others.
const SHORTEST_PART: usize = 3;

/// The known key whose name is nearest to a wrong one, if any is near and could have this value.
fn nearest(name: &str, value: &str, reader: Reader) -> Option<&'static str> {
    let near = |key: &'static Key| distance(name, key.name).map(|far| (far, key));
    let mut near: Vec<_> = KEYS
        .iter()
        .filter(|key| matches!(reader, Reader::Connection(_)) || key.owner != Owner::Connection)
        .filter_map(near)
        .collect();
    near.sort_by_key(|(far, _)| *far);
    near.into_iter().map(|(_, key)| key).find(|key| key.values.allow(value)).map(|key| key.name)
}
