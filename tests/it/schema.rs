//! The schemas say what `validate` says: for the rows of the case tables, and for random metadata.

mod connections;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use keda_stream_scaler::trigger::keys::{KEYS, Owner, find};
use keda_stream_scaler::trigger::schema::{json_schema, keda_schema};
use keda_stream_scaler::trigger::{Decimal, Problem, Trigger, Values, parse_duration};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::process::{Ended, run};

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft202012::new(&json_schema()).unwrap());

type Metadata = HashMap<String, String>;

fn scaled_object(trigger: &Value) -> Value {
    json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "orders"},
        "spec": {"scaleTargetRef": {"name": "orders"}, "triggers": [trigger]}})
}

fn complaints(metadata: &Metadata) -> Vec<String> {
    let object = scaled_object(&json!({"type": "external", "metadata": metadata}));
    SCHEMA.iter_errors(&object).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// What only the parser sees: ranges of durations and numbers, numbers of more than 64 bits, ranges of partitions that run backwards, two names of topics, the
/// region of a table's ARN, and values from the environment.
fn is_beyond_a_schema(metadata: &Metadata, problem: &Problem) -> bool {
    let value = metadata.get(&problem.key).map_or("", |value| value.trim());
    let of_range = problem.message.contains("from ") || problem.message.contains("at least 0.001");
    (of_range && (parse_duration(value).is_some() || Decimal::parse(value).is_some()))
        || value.parse::<i128>().is_ok_and(|number| i64::try_from(number).is_err())
        || problem.message.contains("must be whole seconds")
        || problem.message.contains("is the ARN of a table in")
        || problem.message.contains("is not the region of streamARN")
        || (!metadata.contains_key(&problem.key) && metadata.contains_key(&format!("{}FromEnv", problem.key)))
        || problem.message.contains("runs backwards")
        || (problem.key == "topic" && matches!(value, "." | ".."))
}

/// What only the schema refuses: it wants values without blanks around them and no empty ones.
fn is_trimmed(metadata: &Metadata) -> bool {
    let free = |key: &str| find(key).is_some_and(|key| matches!(key.values, Values::Text(_)) && key.name != "topic");
    metadata.iter().all(|(key, value)| !value.trim().is_empty() && (free(key) || value.trim() == value))
}

/// Whether both judge alike; else what each says.
fn agree(metadata: &Metadata) -> Result<(), String> {
    let (complaints, parsed) = (complaints(metadata), Trigger::parse(metadata));
    match &parsed {
        Ok(_) if complaints.is_empty() || !is_trimmed(metadata) => Ok(()),
        Ok(_) => Err(format!("the schema refuses what is good: {metadata:?}\n{complaints:?}")),
        Err(error) => {
            let visible: Vec<_> = error.problems.iter().filter(|one| !is_beyond_a_schema(metadata, one)).collect();
            let missed = complaints.is_empty() && !visible.is_empty();
            if missed { Err(format!("the schema takes {metadata:?}\n{visible:?}")) } else { Ok(()) }
        }
    }
}

/// The metadata of every row of a table of cases, for the sources that it is about.
fn rows() -> Vec<Metadata> {
    let table = |text: &str| serde_json::from_str::<Vec<Value>>(text).unwrap();
    let kafka = table(include_str!("../../core/src/trigger/cases/kafka.json"));
    let aws = table(include_str!("../../core/src/trigger/cases/aws.json"));
    let kafka_base = json!({"bootstrapServers": "b:9092", "consumerGroup": "g", "topic": "t"});
    let aws_base = json!({"NAME": "test", "awsRegion": "eu-west-1"});
    let of = |source: &str, name: &str, base: &Value, case: &Value| {
        let mut metadata = base.as_object().unwrap().clone();
        metadata.extend([("source".to_owned(), json!(source)), ("scalerAddress".to_owned(), json!("s:1"))]);
        if !case["connection"].is_null() {
            metadata.insert("connection".into(), json!("somewhere"));
        }
        metadata.extend(case["metadata"].as_object().unwrap().clone());
        let given = metadata.into_iter().filter(|(_, value)| !value.is_null());
        given.map(|(key, value)| (key.replace("NAME", name), value.as_str().unwrap().to_owned())).collect()
    };
    let kafka = kafka.iter().flat_map(|case| ["kafka", "apache-kafka"].map(|source| of(source, "", &kafka_base, case)));
    let aws = aws.iter().flat_map(|case| {
        let named = [("aws-kinesis-stream", "streamName"), ("aws-dynamodb-streams", "tableName")];
        named.map(|(source, name)| of(source, name, &aws_base, case))
    });
    kafka.chain(aws).collect()
}

#[test]
fn each_row_of_the_tables_of_cases_is_judged_as_validate_does() {
    let rows = rows();
    assert!(rows.len() > 200, "{}", rows.len());
    let taken = rows.iter().filter(|row| complaints(row).is_empty()).count();
    assert!((50..rows.len() - 50).contains(&taken), "{taken} of {} are taken", rows.len());
    let disagreements: Vec<_> = rows.iter().filter_map(|row| agree(row).err()).collect();
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}

/// Values that a key may have, and some that it may not.
fn samples(key: &str) -> Vec<String> {
    let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match find(key).unwrap().values {
        Values::OneOf(words) | Values::OneOfSome(_, words) => [texts(words), texts(&["neither"])].concat(),
        Values::Flag => texts(&["true", "False", "0", "t", "yes"]),
        Values::Integer | Values::AtLeast(_) => texts(&["0", "1", "37", "-1", "-0", "+1", "007", "1.5", "many"]),
        Values::Text(_) => texts(&["a", "a.b-c_1", "x,y", "with a blank"]),
        Values::Form(..) => texts(&[
            "arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
            "arn:aws:dynamodb:eu-west-1:123456789012:table/orders",
            "{application}:{stream}:{shard}",
            "{shard}{shard}",
            "30s",
            "1m30s",
            ".5h",
            "90",
            "0",
            "0.5",
            "0.1234",
            "1000",
            "1001",
            "1-4,8",
            "3-1",
            "1-2-3",
            "+1",
            "01-2",
            "+2.8.0",
            "02.8.0",
            "2.8.0",
            "0.11.0.2",
            "1.2.3.4",
            "2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00.5+01:00",
            "yesterday",
            "b1:9092, [::1]:9093",
            "b1:9092/x",
            "eu-west-1",
            "EU",
            "http://b:4566/",
            "http://a@b",
            "arn:aws:iam::1:role/r",
            "12x",
            "-1",
        ]),
    }
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    let bases = [
        &[("source", "kafka"), ("bootstrapServers", "b:9092"), ("consumerGroup", "g"), ("topic", "t")][..],
        &[("source", "apache-kafka"), ("bootstrapServers", "b:9092"), ("consumerGroup", "g")],
        &[
            ("source", "aws-kinesis-stream"),
            ("streamName", "s"),
            ("awsRegion", "eu-west-1"),
            ("applicationName", "app"),
            ("scaleOn", "age"),
        ],
        &[
            ("source", "aws-dynamodb-streams"),
            ("tableName", "invoices"),
            ("awsRegion", "eu-west-1"),
            ("applicationName", "app"),
            ("scaleOn", "catchUp"),
        ],
        &[("source", "aws-kinesis-stream"), ("streamName", "s"), ("connection", "c")],
    ];
    let names: Vec<_> = KEYS.iter().filter(|key| key.owner != Owner::Connection).map(|key| key.name).collect();
    let change = prop::sample::select(names).prop_flat_map(|name| {
        let free = matches!(find(name).unwrap().values, Values::Text(_)) && name != "topic";
        let value = prop::option::weighted(0.8, prop::sample::select(samples(name)));
        (Just(name), value, prop::bool::weighted(if free { 0.2 } else { 0.0 }))
    });
    (prop::sample::select(bases.to_vec()), prop::collection::vec(change, 0..5)).prop_map(|(base, changes)| {
        let texts = base.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut metadata: Metadata = texts.collect();
        for (name, value, from_env) in changes {
            metadata.remove(name);
            if let Some(value) = value {
                metadata.insert(if from_env { format!("{name}FromEnv") } else { name.to_owned() }, value);
            }
        }
        // KEDA asks for it, the scaler does not
        metadata.insert("scalerAddress".into(), "s:1".into());
        metadata.remove("scalerAddressFromEnv");
        metadata
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_metadata_is_judged_as_validate_does(metadata in any_metadata()) {
        if let Err(disagreement) = agree(&metadata) {
            prop_assert!(false, "{}", disagreement);
        }
    }
}

#[test]
fn what_a_share_group_cannot_have_is_refused() {
    let group = [("source", "kafka"), ("bootstrapServers", "b:9092"), ("consumerGroup", "g"), ("topic", "t")];
    let share = group.into_iter().chain([("groupType", "share"), ("scalerAddress", "s:1")]);
    let others = ["limitToPartitionsWithLag", "ensureEvenDistributionOfPartitions"].map(|key| (key, "true"));
    for (key, value) in others.into_iter().chain([("compat", "strict")]) {
        let metadata =
            share.clone().chain([(key, value)]).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        assert!(!complaints(&metadata).is_empty() && Trigger::parse(&metadata).is_err(), "{key}");
        assert_eq!(agree(&metadata), Ok(()));
    }
}

#[test]
fn it_is_a_schema_itself() {
    assert!(jsonschema::meta::is_valid(&json_schema()));
}

#[test]
fn the_schema_is_about_external_triggers_of_scaled_objects_only() {
    let wrong = json!({"source": "kafka"});
    let cases = [
        (scaled_object(&json!({"type": "external-push", "metadata": wrong})), false),
        (scaled_object(&json!({"type": "kafka", "metadata": wrong})), true),
        (scaled_object(&json!({"type": "cpu", "metricType": "Utilization", "metadata": {"value": "80"}})), true),
        (json!({"kind": "ScaledJob", "spec": {"triggers": [{"type": "external", "metadata": wrong}]}}), false),
        (
            json!({"kind": "List", "items": [{"kind": "ScaledJob", "spec": {"triggers": [{"type": "external", "metadata": wrong}]}}]}),
            false,
        ),
        (json!({"kind": "List", "items": [{"kind": "ConfigMap", "spec": {"triggers": 1}}]}), true),
        (json!({"kind": "ScaledObject", "spec": {}}), false),
        (json!({"kind": "Deployment", "spec": {"triggers": "no"}}), true),
    ];
    for (object, good) in cases {
        assert_eq!(SCHEMA.is_valid(&object), good, "{object}");
    }
}

#[test]
fn the_type_of_the_metric_must_fit_the_policy() {
    let good = json!({"source": "kafka", "bootstrapServers": "b", "consumerGroup": "g", "scalerAddress": "s:1"});
    let mut catch_up = good.clone();
    catch_up["scaleOn"] = "catchUp".into();
    let cases = [
        (&good, "Value", true),
        (&good, "Utilization", false),
        (&catch_up, "AverageValue", true),
        (&catch_up, "Value", false),
    ];
    for (metadata, metric_type, taken) in cases {
        let object = scaled_object(&json!({"type": "external", "metricType": metric_type, "metadata": metadata}));
        assert_eq!(SCHEMA.is_valid(&object), taken, "{object}");
    }
}

#[tokio::test]
async fn the_schema_that_is_checked_in_is_the_one_that_is_printed() {
    let Ended { code, stdout, .. } = run(&["schema"]).await;
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), json_schema());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/schema/scaledobject.schema.json");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &stdout).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept == stdout, "the schema is stale: run UPDATE_GENERATED=1 cargo test --test it schema");
}

#[tokio::test]
async fn kedas_format_has_each_source_with_its_parameters() {
    let Ended { code, stdout, .. } = run(&["schema", "--format", "keda"]).await;
    assert_eq!(code, Some(0));
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(told, serde_json::to_value(keda_schema()).unwrap());
    assert_eq!((&told["kedaVersion"], &told["schemaVersion"]), (&json!("2.21"), &json!(1)));
    let scalers: BTreeMap<_, _> = told["scalers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|scaler| {
            let parameters = scaler["parameters"].as_array().unwrap();
            let named = parameters.iter().map(|parameter| (parameter["name"].as_str().unwrap(), parameter));
            (scaler["type"].as_str().unwrap(), named.collect::<BTreeMap<_, _>>())
        })
        .collect();
    let names: BTreeSet<_> = scalers.keys().copied().collect();
    assert_eq!(names, BTreeSet::from(["kafka", "apache-kafka", "aws-kinesis-stream", "aws-dynamodb-streams"]));
    let readable = json!({"name": "lagThreshold", "type": "string", "default": "10", "metadataVariableReadable": true,
        "envVariableReadable": true});
    assert_eq!(*scalers["kafka"]["lagThreshold"], readable);
    assert_eq!(
        scalers["aws-kinesis-stream"]["scaleOn"]["allowedValue"],
        json!(["shardCount", "age", "catchUp", "writeUtilization"])
    );
    assert_eq!(scalers["aws-dynamodb-streams"]["scaleOn"]["allowedValue"], json!(["shardCount", "age", "catchUp"]));
    assert_eq!(scalers["apache-kafka"]["sasl"]["allowedValue"][5], json!("aws_msk_iam"));
    assert!(!scalers["kafka"].contains_key("password") && !scalers["kafka"].contains_key("streamName"));
    let certificate =
        json!({"name": "caCert", "type": "string", "optional": true, "triggerAuthenticationVariableReadable": true});
    assert_eq!(*scalers["kafka"]["caCert"], certificate);
    // no field that KEDA's own file has not
    let fields = [
        "name",
        "type",
        "optional",
        "default",
        "allowedValue",
        "metadataVariableReadable",
        "envVariableReadable",
        "triggerAuthenticationVariableReadable",
    ];
    let written =
        scalers.values().flat_map(BTreeMap::values).flat_map(|parameter| parameter.as_object().unwrap().keys());
    assert!(written.into_iter().all(|field| fields.contains(&field.as_str())));
}
