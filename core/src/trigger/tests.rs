//! The rules of KEDA's Kafka triggers, row by row, and properties that hold for any metadata.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// A row of `cases/kafka.json`: changes to a valid trigger, the outcome for each source, and the meaning of a valid one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    #[serde(default, rename = "note")]
    _note: String,
    /// A null removes the key.
    metadata: BTreeMap<String, Option<String>>,
    /// Parameters of the connection that the trigger names, in addition to its address.
    connection: Option<HashMap<String, String>>,
    kafka: String,
    #[serde(rename = "apache-kafka")]
    apache_kafka: String,
    #[serde(default)]
    expect: BTreeMap<String, serde_json::Value>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("cases/kafka.json")).expect("the cases can be read")
}

fn base(source: &str) -> HashMap<String, String> {
    let base = [
        ("source", source),
        ("bootstrapServers", "foobar:9092"),
        ("consumerGroup", "my-group"),
        ("topic", "my-topic"),
        ("scalerAddress", "scaler:50051"),
    ];
    base.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

impl Case {
    fn metadata(&self, source: &str) -> HashMap<String, String> {
        let mut metadata = base(source);
        if self.connection.is_some() {
            metadata.insert("connection".into(), "somewhere".into());
        }
        for (key, value) in &self.metadata {
            match value {
                Some(value) => drop(metadata.insert(key.clone(), value.clone())),
                None => drop(metadata.remove(key)),
            }
        }
        metadata
    }

    /// The result of the metadata and, where there is one, the connection.
    fn outcome(&self, source: &str) -> Result<(Trigger, Option<KafkaSecurity>), TriggerError> {
        let trigger = Trigger::parse(&self.metadata(source))?;
        let SourceRef::Kafka(kafka) = &trigger.source else { panic!("a Kafka source") };
        let mut connection = self.connection.clone();
        if let Some(connection) = &mut connection {
            connection.insert("bootstrapServers".into(), "foobar:9092".into());
        }
        let security =
            connection.map(|connection| resolve(&kafka.cluster.security, kafka.cluster.dialect, &connection));
        Ok((trigger.clone(), security.transpose()?))
    }

    fn check(&self, source: &str, expected: &str) {
        let Self { id, metadata, connection, .. } = self;
        let about = format!("{id} for {source}: {metadata:?} {connection:?}");
        match (self.outcome(source), expected) {
            (Ok((trigger, security)), "ok") => {
                for (what, value) in &self.expect {
                    let seen = seen(&trigger, security.as_ref(), &self.metadata(source), what);
                    assert_eq!(&seen, value, "{about}: {what}");
                }
            }
            (Ok(_), problem) => panic!("{about}: was taken, but has a problem: {problem}"),
            (Err(error), "ok") => panic!("{about}: was refused: {error}"),
            (Err(error), problem) => {
                assert!(error.to_string().contains(problem), "{about}: {error}\nlacks: {problem}");
                assert!(!error.to_string().contains("s3cret"), "{about}: shows a secret: {error}");
            }
        }
    }
}

/// The meaning of a valid trigger, in the words of the cases.
fn seen(
    trigger: &Trigger,
    security: Option<&KafkaSecurity>,
    metadata: &HashMap<String, String>,
    what: &str,
) -> serde_json::Value {
    let (SourceRef::Kafka(kafka), Policy::Lag(policy)) = (&trigger.source, &trigger.policy) else { panic!("Kafka") };
    let first_word = |debug: String| debug.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
    match what {
        "partitions" => match &kafka.partitions {
            PartitionSelection::All => "all".into(),
            PartitionSelection::Limited(ranges) => serde_json::json!(ranges),
        },
        "threshold" => {
            assert_eq!(metric_target(metadata), policy.threshold, "the spec has the same target");
            policy.threshold.get().into()
        }
        "activation" => policy.activation_threshold.into(),
        "servers" => kafka.cluster.bootstrap_servers.iter().map(ToString::to_string).collect(),
        "reset" => format!("{:?}", policy.offset_reset).into(),
        "cap" => format!("{:?}", policy.cap).into(),
        "topics" => match &kafka.topics {
            TopicSelection::Named(topics) => topics.iter().map(ToString::to_string).collect(),
            TopicSelection::OfGroup { .. } => "all".into(),
        },
        "name" => {
            assert_eq!(metric_name(metadata), trigger.metric, "the spec has the same name");
            trigger.metric.to_string().into()
        }
        "sasl" => first_word(format!("{:?}", security.expect("a connection").sasl)).into(),
        "tls" => first_word(format!("{:?}", security.expect("a connection").tls)).into(),
        other => panic!("the cases have no word {other}"),
    }
}

#[test]
fn each_row_is_judged_as_keda_does_for_source_kafka() {
    for case in cases() {
        case.check("kafka", &case.kafka);
    }
}

#[test]
fn each_row_is_judged_as_keda_does_for_source_apache_kafka() {
    for case in cases() {
        case.check("apache-kafka", &case.apache_kafka);
    }
}

#[test]
fn no_row_is_missing() {
    let seen: BTreeSet<_> = cases().into_iter().map(|case| case.id).collect();
    let wanted = (1..=25).map(|row| format!("K{row}")).chain((1..=19).map(|row| format!("S{row}")));
    assert_eq!(seen, wanted.collect(), "a new row has the next number, which this test counts up to");
}

fn parse(changes: &[(&str, &str)]) -> Result<Trigger, TriggerError> {
    let mut metadata = base("kafka");
    metadata.extend(changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    Trigger::parse(&metadata)
}

fn problems(changes: &[(&str, &str)]) -> String {
    parse(changes).expect_err("a problem").to_string()
}

#[test]
fn every_problem_is_told_at_once_with_the_nearest_key() {
    let text = problems(&[("lagTreshold", "5"), ("lagThreshold", "x"), ("tls", "maybe"), ("topic", "")]);
    assert_eq!(
        text,
        "lagThreshold: \"x\" must be a whole number of at least 1; \
         lagTreshold: is not a known key, did you mean lagThreshold?; \
         tls: \"maybe\" must be one of enable, disable"
    );
    assert_eq!(problems(&[("zzzzzzzzzzzz", "1")]), "zzzzzzzzzzzz: is not a known key");
    assert!(problems(&[("source", "kafak")]).contains("source: \"kafak\" must be one of kafka, apache-kafka"));
}

#[test]
fn a_secret_in_metadata_is_refused_and_not_repeated() {
    for key in ["password", "passwordFromEnv", "awsSecretAccessKeyFromEnv", "key"] {
        let text = problems(&[(key, "s3cret")]);
        assert!(text.contains("belongs in a connection") && !text.contains("s3cret"), "{text}");
    }
    assert!(problems(&[("sasl", "scram_sha512")]).contains("sasl: needs credentials"));
}

#[test]
fn a_value_from_the_environment_counts_unless_the_plain_key_is_there() {
    let group = |changes: &[(&str, &str)]| {
        let SourceRef::Kafka(kafka) = parse(changes).expect("good").source else { panic!("a Kafka source") };
        kafka.group.to_string()
    };
    assert_eq!(group(&[("consumerGroup", ""), ("consumerGroupFromEnv", " env ")]), "env");
    assert_eq!(group(&[("consumerGroup", "plain"), ("consumerGroupFromEnv", "env")]), "plain");
}

#[test]
fn a_huge_value_is_shown_in_part_and_on_one_line() {
    let text = problems(&[("tls", &format!("a\nb{}", "x".repeat(10_000)))]);
    assert!(text.len() < 200 && !text.contains('\n'), "{text}");
}

#[test]
fn more_keys_than_any_trigger_has_are_refused() {
    let mut metadata = base("kafka");
    metadata.extend((0..10_000).map(|number| (format!("key{number}"), "x".to_owned())));
    let error = Trigger::parse(&metadata).expect_err("too many");
    assert!(error.to_string().contains("metadata: has more than 100 keys"), "{error}");
    assert!(error.problems.len() <= 110);
}

#[test]
fn keys_of_keda_itself_are_no_problem() {
    let of_keda = ["scalerAddress", "enableTLS", "unsafeSsl", "caCert", "tlsClientCert", "tlsClientKey"];
    parse(&of_keda.map(|key| (key, "true"))).expect("no problem");
}

#[test]
fn pace_has_defaults_and_bounds() {
    let pace = |changes: &[(&str, &str)]| parse(changes).expect("good").pace;
    let seconds = |pace: Pace| (pace.poll_interval.as_secs(), pace.max_staleness.as_secs());
    assert_eq!(seconds(pace(&[])), (10, 60));
    assert_eq!(seconds(pace(&[("pollInterval", "5m")])), (300, 600), "an answer outlives its interval");
    assert_eq!(seconds(pace(&[("pollInterval", "2"), ("maxStaleness", "90s")])), (2, 90));
    assert!(problems(&[("pollInterval", "1s")]).contains("from 2s to 10m"));
    assert!(problems(&[("pollInterval", "1m"), ("maxStaleness", "119s")]).contains("from 2m to 1h"));
}

#[test]
fn a_stall_window_holds_two_readings() {
    let stall_window = |changes: &[(&str, &str)]| {
        let changes = [&[("excludePersistentLag", "true")], changes].concat();
        let Policy::Lag(policy) = parse(&changes).expect("good").policy else { panic!("a lag policy") };
        policy.persistent_lag
    };
    let seconds = |seconds| PersistentLag::Excluded { stall_window: Duration::from_secs(seconds) };
    assert_eq!(stall_window(&[]), seconds(120));
    assert_eq!(stall_window(&[("pollInterval", "2s"), ("stallWindow", "10s")]), seconds(10));
    assert_eq!(stall_window(&[("pollInterval", "60s"), ("stallWindow", "2m")]), seconds(120));
    assert_eq!(stall_window(&[("pollInterval", "10m")]), seconds(1200), "the default grows with the interval");
}

#[test]
fn a_range_that_runs_backwards_is_a_problem_or_empty_as_in_keda() {
    let selected = |source: &str, changes: &[(&str, &str)]| {
        let mut metadata = base(source);
        metadata.extend(changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        match Trigger::parse(&metadata).map(|trigger| trigger.source) {
            Ok(SourceRef::Kafka(source)) => Ok(source.partitions),
            Ok(other) => panic!("{other:?} is not Kafka"),
            Err(error) => Err(error.to_string()),
        }
    };
    let five = PartitionSelection::Limited(vec![(5, 5)]);
    for source in ["kafka", "apache-kafka"] {
        for limit in ["3-1", "3-1,5"] {
            let refused = selected(source, &[("partitionLimitation", limit)]).expect_err(limit);
            assert_eq!(refused, "partitionLimitation: the range \"3-1\" runs backwards");
        }
        let strict = |changes: &[(&str, &str)]| selected(source, &[&[("compat", "strict")], changes].concat());
        assert_eq!(strict(&[("partitionLimitation", "3-1,5")]), Ok(five.clone()), "{source}");
        assert_eq!(strict(&[("partitionLimitation", "3-1"), ("topic", "")]), Ok(PartitionSelection::All), "{source}");
    }
    let strict = [("partitionLimitation", "3-1"), ("compat", "strict")];
    assert_eq!(selected("apache-kafka", &strict), Ok(PartitionSelection::All));
    let nothing = selected("kafka", &strict).expect_err("no partition is left");
    assert_eq!(nothing, "partitionLimitation: selects no partition: each range in \"3-1\" runs backwards");
}

/// KEDA's apache-kafka accepts any int64, but no partition has a number above 31 bits.
#[test]
fn a_partition_number_of_more_than_31_bits_is_refused() {
    for source in ["kafka", "apache-kafka"] {
        for limit in ["2147483648", "0-2147483648", "99999999999999999999"] {
            let mut metadata = base(source);
            metadata.insert("partitionLimitation".into(), limit.into());
            let error = Trigger::parse(&metadata).expect_err(limit).to_string();
            assert!(error.contains(&format!("{limit:?} must be a partition")), "{source}: {error}");
        }
    }
}

#[test]
fn a_version_has_numbers_of_64_bits() {
    assert!(parse(&[("version", "1.18446744073709551615.0")]).is_ok());
    assert!(problems(&[("version", "1.18446744073709551616.0")]).contains("must be a version"));
}

/// Go trims any white space around a number, JSON only its own kinds.
#[test]
fn blanks_in_a_range_are_what_the_built_in_takes() {
    for (source, taken) in [("kafka", true), ("apache-kafka", false)] {
        for (limit, taken) in [("\u{a0}1 - 4\u{a0}", true), ("1\u{a0}-\u{a0}4", taken)] {
            let mut metadata = base(source);
            metadata.insert("partitionLimitation".into(), limit.into());
            assert_eq!(Trigger::parse(&metadata).is_ok(), taken, "{source}: {limit:?}");
        }
    }
}

/// The law calculates with floats: numbers that they cannot represent are rejected, not rounded.
#[test]
fn catch_up_refuses_an_activation_threshold_that_a_float_cannot_hold() {
    let catch_up = |threshold: &str| parse(&[("scaleOn", "catchUp"), ("activationLagThreshold", threshold)]);
    let Policy::CatchUp(policy) = catch_up("9007199254740992").expect("exact").policy else { panic!("catchUp") };
    assert_eq!(policy.activation, Activation::Lag(1 << 53));
    assert_eq!(
        catch_up("9007199254740993").expect_err("not exact").to_string(),
        "activationLagThreshold: \"9007199254740993\" must be a whole number from 0 to 9007199254740992 with scaleOn catchUp"
    );
}

#[test]
fn thresholds_are_no_part_of_what_is_observed() {
    let one = parse(&[("lagThreshold", "5"), ("pollInterval", "2s")]).expect("good");
    let other = parse(&[("lagThreshold", "7"), ("allowIdleConsumers", "true")]).expect("good");
    assert_eq!(one.source, other.source);
    assert_ne!(one.policy, other.policy);
}

#[test]
fn the_names_of_metrics_are_keda_s() {
    let name = |source: &str, key: &str, value: &str| {
        let metadata = [("source", source), (key, value)];
        metric_name(&metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into()).to_string()
    };
    // KEDA replaces exactly these six characters
    let (given, in_name) = ("a.b/c:d%e(f) ?#\\[g]{h},ä注\u{3000}|\"'\t", "a-b-c-d-e-f- ?#\\[g]{h},ä注\u{3000}|\"'");
    assert_eq!(name("kafka", "topic", given), format!("kafka-{in_name}"));
    assert_eq!(name("apache-kafka", "topic", given), format!("kafka-{in_name}"));
    assert_eq!(name("apache-kafka", "topic", " a , b,,c "), "kafka-a,b,,c");
    assert_eq!(name("kafka", "topic", " a , b,,c "), "kafka-a , b,,c");
    assert_eq!(name("kafka", "consumerGroup", given), format!("kafka-{in_name}-topics"));
    assert_eq!(name("aws-kinesis-stream", "streamName", given), format!("aws-kinesis-{in_name}"));
    assert_eq!(name("aws-dynamodb-streams", "tableName", given), format!("aws-dynamodb-streams-{in_name}"));
    assert_eq!(
        name("aws-dynamodb-streams", "tableName", "arn:aws:dynamodb:eu-west-1:123456789012:table/in.voices"),
        "aws-dynamodb-streams-arn-aws-dynamodb-eu-west-1-123456789012-table-in-voices"
    );
    assert_eq!(metric_name(&HashMap::new()).to_string(), "kafka");
}

/// A source, its `scaleOn`, and the other keys that it needs.
type Kind = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const STREAM: [(&str, &str); 2] = [("awsRegion", "eu-west-1"), ("streamName", "orders")];
const APPLICATION: [(&str, &str); 3] = [STREAM[0], STREAM[1], ("applicationName", "orders-app")];
/// A trigger of each kind.
const KINDS: [Kind; 6] = [
    ("kafka", "lag", &[("excludePersistentLag", "true")]),
    ("kafka", "catchUp", &[]),
    ("aws-kinesis-stream", "shardCount", &STREAM),
    ("aws-kinesis-stream", "age", &APPLICATION),
    ("aws-kinesis-stream", "catchUp", &APPLICATION),
    ("aws-kinesis-stream", "writeUtilization", &STREAM),
];

fn parse_kind((source, scale_on, more): Kind, key: &str, value: Option<&str>) -> Result<Trigger, TriggerError> {
    let mut all = base(source);
    if source != "kafka" {
        all.retain(|key, _| key == "source");
    }
    all.insert("scaleOn".into(), scale_on.into());
    all.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    all.remove(key);
    all.extend(value.map(|value| (key.to_owned(), value.to_owned())));
    Trigger::parse(&all)
}

/// A word that the table lacks would be refused by schema and docs, and taken by the parser.
#[test]
fn the_words_of_the_table_are_those_of_the_parser() {
    let wrong = "no such word";
    let mut compared = Vec::new();
    for key in keys::KEYS {
        let Values::OneOf(words) = key.values else { continue };
        let texts = KINDS.iter().filter_map(|kind| Some(parse_kind(*kind, key.name, Some(wrong)).err()?.to_string()));
        for text in texts.filter(|text| text.contains(&format!("{}: \"{wrong}\" must be one of", key.name))) {
            assert!(text.contains(&format!("must be one of {}", words.join(", "))), "{}: {text}", key.name);
            compared.push(key.name);
        }
    }
    for key in ["checkpointStore", "initialPosition", "groupType", "offsetResetPolicy", "compat"] {
        assert!(compared.contains(&key), "{key}: {compared:?}");
    }
}

/// Docs and schemas show the defaults of the table, and the parser has its own.
#[test]
fn the_defaults_of_the_table_are_those_of_the_parser() {
    let mut without_effect = Vec::new();
    // a connection may set those that it has
    for key in keys::KEYS.iter().filter(|key| !keys::ConnectionKind::Kafka.has(key)) {
        let Absence::Value(default) = key.default else { continue };
        let words = if let Values::OneOf(words) | Values::OneOfSome(_, words) = key.values { words } else { &[] };
        let others = ["61s", "3h", "7", "0.8", "0.05", "true", "false"].iter().chain(words);
        let mut read = false;
        for kind in KINDS {
            let absent = parse_kind(kind, key.name, None).expect("a good trigger");
            if others.clone().any(|other| parse_kind(kind, key.name, Some(other)).is_ok_and(|other| other != absent)) {
                assert_eq!(parse_kind(kind, key.name, Some(default)), Ok(absent), "{} of {kind:?}", key.name);
                read = true;
            }
        }
        if !read {
            without_effect.push(key.name);
        }
    }
    // KEDA has them, and they change nothing here
    assert_eq!(without_effect, ["version", "fullMetadata"], "KINDS needs a trigger that reads each other key");
}

#[test]
fn every_key_of_the_table_is_read_and_shown_once() {
    let mut names: Vec<_> = keys::KEYS.iter().map(|key| key.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "a key stands twice");
    for key in keys::KEYS.iter().filter(|key| matches!(key.owner, keys::Owner::Everyone | keys::Owner::Kafka)) {
        if matches!(key.name, "consumerGroup" | "bootstrapServers" | "connection" | "awsRegion") {
            continue;
        }
        // a value that no key accepts: a key that is not read would raise no problem
        let text = parse(&[(key.name, "no such value!")]).expect_err(key.name).to_string();
        assert!(text.contains(key.name), "{}: {text}", key.name);
    }
}

proptest! {
    #[test]
    fn any_metadata_has_a_legal_and_stable_name_and_a_positive_target(
        map in proptest::collection::hash_map("(topic|consumerGroup|source|lagThreshold|[a-z]{1,4})", ".*", 0..6)
    ) {
        let name = metric_name(&map).to_string();
        prop_assert_eq!(&name, &metric_name(&map.clone()).to_string());
        prop_assert!(name.starts_with("kafka"));
        // Kubernetes requires this of a path segment
        prop_assert!(!name.contains(['/', '%']), "{}", name);
        prop_assert!(metric_target(&map).get() >= 1);
        drop(Trigger::parse(&map));
    }

    #[test]
    fn an_unknown_key_is_always_named(key in "x[a-z]{1,12}") {
        let text = problems(&[(&key, "value")]);
        prop_assert!(text.contains(&key), "{}", text);
    }
}

/// K7: YAML's folded and literal text keeps line ends and tabs between entries.
#[test]
fn entries_of_a_list_may_stand_on_lines_of_their_own() {
    let parsed = |changes: &[(&str, &str)]| {
        let base = [("source", "apache-kafka"), ("consumerGroup", "g"), ("bootstrapServers", "b:9092"), ("topic", "t")];
        let all = base.iter().chain(changes).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Trigger::parse(&all.collect())
    };
    let plain =
        parsed(&[("bootstrapServers", "b1:9092,b2:9092"), ("topic", "t1,t2"), ("partitionLimitation", "0,2-3")]);
    let lines = parsed(&[
        ("bootstrapServers", "b1:9092,\n\tb2:9092\n"),
        ("topic", "t1 ,\r\n t2"),
        ("partitionLimitation", "0,\n2-3"),
    ]);
    assert_eq!(lines.expect("good").source, plain.expect("good").source);
    for (key, value) in [("topic", "t1\nt2"), ("bootstrapServers", "b1:9092\nb2:9092"), ("consumerGroup", "g,\nh")] {
        let error = parsed(&[(key, value)]).expect_err(value).to_string();
        assert!(error.contains("control character"), "{error}");
    }
}
