//! The schema of the connections file gives the verdict of the parser: for chosen files, for those of the docs, and for random ones.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use keda_stream_scaler::tenancy::{Connections, connections_schema};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::manifests::{documents, files, root};
use crate::support::process::{Ended, run};

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft202012::new(&connections_schema()).unwrap());

const ROLE: &str = "arn:aws:iam::111122223333:role/reader";

/// The error of the parser, if there is one; `secret` is a file beside the connections file.
fn refusal(file: &Value) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "s3cret\n").unwrap();
    let path = folder.path().join("connections.yaml");
    // JSON is YAML
    fs::write(&path, file.to_string()).unwrap();
    Connections::read(&path).err().map(|error| error.to_string())
}

fn complaints(file: &Value) -> Vec<String> {
    SCHEMA.iter_errors(file).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn of_kafka(parameters: &Value) -> Value {
    json!({"connections": {"a": {"namespaces": ["shop"], "kafka": parameters}}})
}

fn of_aws(parameters: &Value) -> Value {
    json!({"connections": {"a": {"namespaces": ["shop"], "aws": parameters}}})
}

#[test]
fn it_is_a_schema_itself() {
    assert!(jsonschema::meta::is_valid(&connections_schema()));
}

#[test]
fn chosen_files_are_judged_as_the_parser_does() {
    let kafka = |mut parameters: Value| {
        parameters["bootstrapServers"] = "b1:9092, b2:9092".into();
        of_kafka(&parameters)
    };
    let aws = |mut parameters: Value| {
        parameters["awsRegion"] = "eu-west-1".into();
        of_aws(&parameters)
    };
    let rule = |rule: Value| json!({"metadata": [rule]});
    let good = [
        json!({}),
        json!({"metadata": []}),
        json!({"connections": {}, "resize": []}),
        kafka(json!({})),
        of_kafka(&json!({"bootstrapServers": "[fd00::1]:9092"})),
        kafka(
            json!({"sasl": "scram_sha512", "username": "u", "passwordFile": "secret", "tls": "enable", "caFile": "secret"}),
        ),
        kafka(json!({"sasl": "plaintext", "username": 7, "password": 12345})),
        kafka(json!({"tls": "enable", "cert": "c", "keyFile": "secret", "unsafeSsl": true})),
        kafka(json!({"cert": "without TLS it has no effect"})),
        kafka(json!({"sasl": "aws_msk_iam", "tls": "enable", "awsRegion": "eu-west-1", "awsRoleArn": ROLE})),
        kafka(
            json!({"sasl": "oauthbearer", "saslTokenProvider": "aws_msk_iam", "tls": "enable", "awsRegion": "eu-west-1"}),
        ),
        kafka(json!({"sasl": "oauthbearer", "username": "u", "password": "p", "oauthTokenEndpointUri": "https://t",
            "oauthExtensions": "a=b,,c="})),
        kafka(json!({"sasl": "gssapi", "username": "u", "realm": "r", "kerberosConfig": "k", "keytab": "t"})),
        of_kafka(&json!({"bootstrapServers": ["b1", "b2:9093"]})),
        aws(json!({})),
        aws(json!({"awsRoleArn": ROLE, "awsExternalId": "x", "awsEndpoint": "http://localhost:4566"})),
        aws(json!({"awsAccessKeyID": "a", "awsSecretAccessKeyFile": "secret", "awsSessionToken": "t"})),
        rule(
            json!({"namespaces": ["*"], "bootstrapServers": ["*:9092"], "awsRoleArns": [], "awsEndpoints": [], "awsResources": []}),
        ),
        json!({"resize": [{"namespaces": ["shop"], "streams": ["orders*"], "maxShards": 64}]}),
    ];
    let bad = [
        json!([]),
        json!({"conections": {}}),
        json!({"connections": {"a": {"kafka": {"bootstrapServers": "b"}}}}),
        json!({"connections": {"a": {"namespaces": ["shop"]}}}),
        json!({"connections": {"a": {"namespaces": "shop", "kafka": {"bootstrapServers": "b"}}}}),
        json!({"connections": {"a": {"namespaces": [], "kafka": {"bootstrapServers": "b"}, "aws": {"awsRegion": "eu"}}}}),
        of_kafka(&json!({"tls": "enable"})),
        of_kafka(&json!({"bootstrapServers": ""})),
        of_kafka(&json!({"bootstrapServers": "b1;b2"})),
        of_kafka(&json!({"bootstrapServers": ["b1;b2"]})),
        kafka(json!({"username": ["u"]})),
        kafka(json!({"topic": "a key of triggers"})),
        kafka(json!({"pasword": "p"})),
        kafka(json!({"password": "p", "username": "u"})),
        kafka(json!({"sasl": "plaintext", "username": "u"})),
        kafka(json!({"sasl": "scram"})),
        kafka(json!({"tls": true})),
        kafka(json!({"unsafeSsl": "yes"})),
        kafka(json!({"password": "p", "passwordFile": "secret", "sasl": "plaintext", "username": "u"})),
        kafka(json!({"tls": "enable", "cert": "c"})),
        kafka(json!({"sasl": "aws_msk_iam", "awsRegion": "eu-west-1"})),
        kafka(json!({"sasl": "aws_msk_iam", "tls": "enable"})),
        kafka(json!({"sasl": "aws_msk_iam", "tls": "enable", "awsRegion": "eu-west-1", "awsAccessKeyID": "a"})),
        kafka(json!({"sasl": "oauthbearer", "username": "u", "password": "p"})),
        kafka(
            json!({"sasl": "oauthbearer", "username": "u", "password": "p", "oauthTokenEndpointUri": "t", "oauthExtensions": "=b"}),
        ),
        kafka(json!({"sasl": "gssapi", "username": "u", "realm": "r", "kerberosConfig": "k"})),
        of_aws(&json!({"awsEndpoint": "http://localhost:4566"})),
        aws(json!({"awsEndpoint": "localhost:4566"})),
        aws(json!({"awsExternalId": "x"})),
        aws(json!({"awsRoleArn": "reader"})),
        aws(json!({"awsRoleArn": ROLE, "awsAccessKeyID": "a", "awsSecretAccessKey": "s"})),
        aws(json!({"awsSessionToken": "t"})),
        rule(json!({"bootstrapServers": ["*"]})),
        rule(json!({"namespaces": ["*"], "brokers": ["*"]})),
        json!({"resize": [{"namespaces": ["shop"], "streams": ["orders"]}]}),
        json!({"resize": [{"namespaces": ["shop"], "streams": ["orders"], "maxShards": -1}]}),
    ];
    for (files, expected) in [(&good[..], true), (&bad[..], false)] {
        for file in files {
            let (complaints, refusal) = (complaints(file), refusal(file));
            assert_eq!(
                (complaints.is_empty(), refusal.is_none()),
                (expected, expected),
                "{file}: {complaints:?} {refusal:?}"
            );
        }
    }
}

#[test]
fn the_connections_files_of_docs_and_examples_follow_it() {
    let mut found = 0;
    let mut check = |file: &Value| {
        assert_eq!(complaints(file), Vec::<String>::new(), "{file}");
        found += 1;
    };
    for path in files("k8s/examples", ".yaml") {
        let objects = documents(&fs::read_to_string(path).unwrap());
        let texts = objects.iter().filter_map(|object| object["stringData"]["connections.yaml"].as_str());
        texts.for_each(|text| documents(text).iter().for_each(&mut check));
    }
    let docs = fs::read_to_string(root().join("docs/connections.md")).unwrap();
    let blocks = docs.split("```yaml\n# connections.yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.for_each(|block| documents(block).iter().for_each(&mut check));
    assert!(found >= 8, "{found}");
}

/// Values that a key may have, and some that it may not.
fn samples(key: &str) -> Vec<Value> {
    match key {
        "bootstrapServers" => vec![json!("b:9092"), json!("b1, [::1]:9093"), json!("b1;b2")],
        "tls" => ["enable", "enable", "disable", "on"].map(Value::from).to_vec(),
        "sasl" => "none plaintext scram_sha256 scram_sha512 oauthbearer gssapi aws_msk_iam scram"
            .split(' ')
            .map(Value::from)
            .collect(),
        "saslTokenProvider" => ["bearer", "aws_msk_iam", "none"].map(Value::from).to_vec(),
        "unsafeSsl" => vec![json!(true), json!("F"), json!(1), json!(2), json!("yes")],
        "awsRegion" => vec![json!("eu-west-1"), json!("EU")],
        "awsEndpoint" => vec![json!("https://kinesis.internal"), json!("kinesis")],
        "awsRoleArn" => vec![json!(ROLE), json!("reader")],
        "oauthExtensions" => ["a=b", "a=b, c=", " , a=", "a", "=b", "a=b,c"].map(Value::from).to_vec(),
        _ => vec![json!("text"), json!("text"), json!(7), json!(false), json!(["text"])],
    }
}

fn any_parameters(keys: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let one = prop::sample::select(keys).prop_flat_map(|key| {
        let plain = prop::sample::select(samples(key)).prop_map(move |value| (key.to_owned(), value));
        // what is in a file is not checked
        let text = samples(key).contains(&json!("text")) && !["pasword", "topic"].contains(&key);
        let file = Just((format!("{key}File"), json!("secret")));
        prop_oneof![3 => plain, u32::from(text) => file]
    });
    prop::collection::vec(one, 0..9).prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
}

const KAFKA: &[&str] = &[
    "bootstrapServers",
    "bootstrapServers",
    "bootstrapServers",
    "tls",
    "tls",
    "sasl",
    "sasl",
    "saslTokenProvider",
    "unsafeSsl",
    "username",
    "username",
    "password",
    "password",
    "cert",
    "key",
    "ca",
    "oauthTokenEndpointUri",
    "oauthExtensions",
    "realm",
    "kerberosConfig",
    "keytab",
    "awsRegion",
    "awsRoleArn",
    "awsAccessKeyID",
    "awsSecretAccessKey",
    "awsSessionToken",
    "topic",
    "pasword",
];
const AWS: &[&str] = &[
    "awsRegion",
    "awsRegion",
    "awsRegion",
    "awsEndpoint",
    "awsRoleArn",
    "awsExternalId",
    "awsAccessKeyID",
    "awsSecretAccessKey",
    "awsSessionToken",
    "topic",
    "pasword",
];

/// Whether the schema may refuse what the parser accepts: it checks keys that have no effect with this login.
fn checks_more(parameters: &Value) -> bool {
    let token = parameters["sasl"] == "oauthbearer" && parameters["saslTokenProvider"] == "aws_msk_iam";
    let msk = parameters["sasl"] == "aws_msk_iam" || token;
    (!msk && parameters["awsRoleArn"] == "reader")
        || (parameters["sasl"] == "aws_msk_iam"
            && (parameters["saslTokenProvider"] == "none"
                || ["2", "\"yes\""].contains(&&*parameters["unsafeSsl"].to_string())))
}

fn agree(file: &Value, may_check_more: bool) -> Result<(), TestCaseError> {
    let (complaints, refusal) = (complaints(file), refusal(file));
    let same = complaints.is_empty() == refusal.is_none();
    prop_assert!(same || (may_check_more && refusal.is_none()), "{file}: {complaints:?} {refusal:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_connections_are_judged_as_the_parser_does(kafka in any_parameters(KAFKA), aws in any_parameters(AWS)) {
        agree(&of_kafka(&kafka), checks_more(&kafka))?;
        agree(&of_aws(&aws), false)?;
    }
}

#[tokio::test]
async fn the_schema_that_is_checked_in_is_the_one_that_is_printed() {
    let Ended { code, stdout, .. } = run(&["schema", "--connections"]).await;
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), connections_schema());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/schema/connections.schema.json");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, &stdout).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == stdout, "the schema is stale: run UPDATE_GENERATED=1 cargo test --test it schema");
}
