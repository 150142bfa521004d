//! Faults planted in an AWS account, each of which `doctor` must name: a real IAM, and scripted services for a wrong clock.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification,
};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::aws_rights::{told_rights, world};
use crate::support::checkup::{Checkup, Files, doctor};
use crate::support::endpoint::{Endpoint, says};
use crate::support::iam::{Iam, UserKey};
use crate::support::process::run_in;
use crate::support::scripted_aws::ScriptedAws;

const REGION: &str = "eu-west-1";
const KINESIS: [(&str, &str); 2] = [("source", "aws-kinesis-stream"), ("streamName", "orders")];
const DYNAMODB: [(&str, &str); 2] = [("source", "aws-dynamodb-streams"), ("tableName", "invoices")];
const AGE: [(&str, &str); 2] = [("scaleOn", "age"), ("applicationName", "app")];
/// What comes before the first call.
const TO_THE_CALLS: [&str; 5] = ["metadata", "rules", "clock", "credentials", "identity"];

/// An account with a stream, a table with a stream, and an application whose worker renews its leases; a user who may assume a role.
struct Account {
    iam: Iam,
    user: UserKey,
    role: String,
    dynamodb: aws_sdk_dynamodb::Client,
    _worker: AbortOnDropHandle<()>,
}

impl Account {
    async fn start() -> Self {
        let iam = Iam::start().await;
        world(&iam).await;
        let (user, role) = (iam.user("scaler", &["sts:AssumeRole"]).await, iam.role("reader", "audit").await);
        let worker = iam.user("worker", &["dynamodb:PutItem"]).await;
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new(worker.id, worker.secret, None, None, "tests"))
            .endpoint_url(iam.endpoint())
            .load()
            .await;
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        let streams = aws_sdk_dynamodbstreams::Client::new(&config);
        let arn =
            streams.list_streams().table_name("invoices").send().await.unwrap().streams.unwrap().remove(0).stream_arn;
        let described = streams.describe_stream().set_stream_arn(arn).send().await.unwrap().stream_description.unwrap();
        let shards = described.shards.unwrap().into_iter().filter_map(|shard| shard.shard_id);
        let leases = shards.map(|shard| ("app-of-invoices", shard)).chain([("app", "shardId-000000000000".to_owned())]);
        let attribute =
            AttributeDefinition::builder().attribute_name("leaseKey").attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name("leaseKey").key_type(KeyType::Hash).build().unwrap();
        let table = dynamodb.create_table().table_name("app-of-invoices").billing_mode(BillingMode::PayPerRequest);
        table.attribute_definitions(attribute.build().unwrap()).key_schema(key).send().await.unwrap();
        let worker = tokio::spawn(renew(dynamodb.clone(), leases.collect()));
        Self { iam, user, role, dynamodb, _worker: AbortOnDropHandle::new(worker) }
    }

    /// From now on the role may do this, and rights count.
    async fn allow(&self, rights: &[&str]) {
        self.iam.enforce(false).await;
        self.iam.let_role("reader", rights).await;
        self.iam.enforce(true).await;
    }

    fn connections(&self, external_id: &str) -> Value {
        let aws = json!({"awsRegion": REGION, "awsRoleArn": self.role, "awsExternalId": external_id});
        json!({"connections": {"audit": {"namespaces": ["shop"], "aws": aws}}})
    }

    /// What is said of a trigger that uses the role.
    async fn doctor(&self, metadata: &[(&str, &str)]) -> Checkup {
        self.doctor_with("audit", metadata).await
    }

    async fn doctor_with(&self, external_id: &str, metadata: &[(&str, &str)]) -> Checkup {
        let environment = [
            ("AWS_ACCESS_KEY_ID", &*self.user.id),
            ("AWS_SECRET_ACCESS_KEY", &self.user.secret),
            ("AWS_ENDPOINT_URL", self.iam.endpoint()),
        ];
        let metadata = [metadata, &[("connection", "audit")]].concat();
        let checkup = doctor(&environment, &self.connections(external_id), &metadata).await;
        assert!(!checkup.written.contains(&self.user.secret), "{}", checkup.written);
        checkup
    }
}

/// A worker that has these leases, table and shard, and says so twice a second.
async fn renew(dynamodb: aws_sdk_dynamodb::Client, leases: Vec<(&str, String)>) {
    for counter in 1_u32.. {
        for (table, shard) in &leases {
            let put = dynamodb.put_item().table_name(*table).item("leaseKey", AttributeValue::S(shard.clone()));
            let put = put.item("checkpoint", AttributeValue::S("TRIM_HORIZON".into()));
            let put = put.item("leaseOwner", AttributeValue::S("worker-1".into()));
            put.item("leaseCounter", AttributeValue::N(counter.to_string())).send().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn arguments<'a>(source: &[(&'a str, &'a str)], mode: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut metadata = source.to_vec();
    match mode {
        "shardCount" => {}
        "age, ageFrom: sequenceNumber" => metadata.extend(AGE.iter().chain(&[("ageFrom", "sequenceNumber")])),
        _ => metadata.extend(AGE),
    }
    if metadata.contains(&DYNAMODB[0]) && mode != "shardCount" {
        metadata.push(("leaseTable", "app-of-invoices"));
    }
    metadata
}

const MODES: [(&[(&str, &str)], &str); 5] = [
    (&KINESIS, "shardCount"),
    (&KINESIS, "age, catchUp"),
    (&KINESIS, "age, ageFrom: sequenceNumber"),
    (&DYNAMODB, "shardCount"),
    (&DYNAMODB, "age, catchUp"),
];

// === all is well ===

#[tokio::test(flavor = "multi_thread")]
async fn with_the_rights_of_the_readme_every_call_is_green_and_without_one_its_policy_is_told() {
    let account = Account::start().await;
    for (source, mode) in MODES {
        let rights = told_rights(source[0].1, mode);
        account.allow(&rights).await;
        let checkup = account.doctor(&arguments(source, mode)).await;
        let calls: Vec<_> = rights.iter().map(|right| format!("call {right}")).collect();
        let steps: Vec<_> = TO_THE_CALLS.into_iter().chain(calls.iter().map(String::as_str)).chain(["value"]).collect();
        checkup.assert_green(&steps);
        let seen = checkup.step("identity")["seen"].as_str().unwrap();
        assert_eq!(seen, "arn:aws:iam::123456789012:user/scaler");
        for missing in &rights {
            let others: Vec<_> = rights.iter().copied().filter(|right| right != missing).collect();
            account.allow(&others).await;
            let checkup = account.doctor(&arguments(source, mode)).await;
            let policy = format!(r#"{{"Action":["{missing}"],"Effect":"Allow","Resource":"arn:aws:"#);
            checkup.assert_fault(&format!("call {missing}"), &format!("{missing} is denied: AccessDenied"), &policy);
            let remedy = checkup.step(&format!("call {missing}"))["remedy"].as_str().unwrap();
            let service = missing.split(':').next().unwrap();
            assert!(remedy.contains(&format!(r#""arn:aws:{service}:eu-west-1:123456789012:"#)), "{remedy}");
        }
    }
}

#[tokio::test]
async fn the_printed_policy_is_that_of_the_readme_and_nothing_is_called_for_it() {
    let silent = Endpoint::start(|_| None).await;
    let environment = [("AWS_ENDPOINT_URL", &*silent.url())];
    for (source, mode) in MODES {
        let metadata = [&arguments(source, mode)[..], &[("awsRegion", REGION)]].concat();
        let files = Files::new(&json!({}), &metadata);
        let ended = run_in(&environment, &["doctor", "--print-policy", &files.object()]).await;
        assert_eq!((ended.code, &*ended.stderr), (Some(0), "for the scaler's own identity, in eu-west-1:\n"));
        let policy: Value = serde_json::from_str(&ended.stdout).unwrap();
        let statements = policy["Statement"].as_array().unwrap();
        let mut actions: Vec<_> = statements
            .iter()
            .flat_map(|statement| statement["Action"].as_array().unwrap())
            .map(|action| action.as_str().unwrap())
            .collect();
        let mut told = told_rights(source[0].1, mode);
        actions.sort_unstable();
        told.sort_unstable();
        assert_eq!(actions, told, "{mode}");
        assert!(!ended.stdout.contains(r#""*""#), "{}", ended.stdout);
    }
    assert!(silent.asked().is_empty());

    let role = "arn:aws:iam::123456789012:role/reader";
    let aws = json!({"awsRegion": REGION, "awsRoleArn": role});
    let connections = json!({"connections": {"audit": {"namespaces": ["shop"], "aws": aws}}});
    let files = Files::new(&connections, &[&KINESIS[..], &[("connection", "audit")]].concat());
    let arguments = ["doctor", "--print-policy", "-o", "json", "--connections", &files.connections(), &files.object()];
    let policies: Value = serde_json::from_str(&run_in(&environment, &arguments).await.stdout).unwrap();
    let of = |who: &str| policies.as_array().unwrap().iter().find(|entry| entry["identity"] == who).unwrap();
    let read = &of(role)["policy"]["Statement"][0]["Resource"];
    assert_eq!(read, "arn:aws:kinesis:eu-west-1:123456789012:stream/orders");
    let assume = &of("the scaler's own identity")["policy"]["Statement"][0];
    assert_eq!(*assume, json!({"Action": ["sts:AssumeRole"], "Effect": "Allow", "Resource": role}));
}

// === who asks ===

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_be_assumed_and_a_key_that_nobody_knows_are_named() {
    let account = Account::start().await;
    account.allow(&["kinesis:ListShards"]).await;
    let checkup = account.doctor_with("wrong", &KINESIS).await;
    checkup.assert_fault("role", "could not assume the role", "check that the role trusts the scaler's identity");
    assert!(checkup.step("role")["remedy"].as_str().unwrap().contains(r#"{"Action":["sts:AssumeRole"]"#));

    let why =
        "<Code>InvalidClientTokenId</Code><Message>The security token included in the request is invalid.</Message>";
    let answer = format!("<ErrorResponse><Error><Type>Sender</Type>{why}</Error></ErrorResponse>");
    let refusing = Endpoint::start(move |_| says(403, &answer)).await;
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "an-unknown-key"),
        ("AWS_ENDPOINT_URL", account.iam.endpoint()),
        ("AWS_ENDPOINT_URL_STS", &refusing.url()),
    ];
    let metadata = [&KINESIS[..], &[("awsRegion", REGION)]].concat();
    let checkup = doctor(&environment, &json!({}), &metadata).await;
    checkup.assert_fault("identity", "InvalidClientTokenId", "check the scaler's credentials");
    assert!(!checkup.written.contains("an-unknown-key"), "{}", checkup.written);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credentials_at_all_are_told_with_how_to_give_some() {
    let aws = ScriptedAws::start().await;
    let environment = [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_ENDPOINT_URL", &*aws.endpoint())];
    let metadata = [&KINESIS[..], &[("awsRegion", REGION)]].concat();
    let checkup = doctor(&environment, &json!({}), &metadata).await;
    checkup.assert_fault("credentials", "no credentials found in chain", "give the scaler's service account a role");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_credentials_come_from_is_told() {
    let (iam, aws, token) = (Iam::start().await, ScriptedAws::start().await, tempfile::NamedTempFile::new().unwrap());
    aws.create_stream("orders", 1, aws.now() - 60_000);
    std::fs::write(token.path(), "header.payload.signature").unwrap();
    let temporary = json!({
        "Code": "Success", "Expiration": "2036-01-01T00:00:00Z", "AccessKeyId": "ASIATEMPORARY", "SecretAccessKey": "a-secret", "Token": "t",
    });
    let agent = Endpoint::start(move |_| says(200, &temporary.to_string())).await;
    let (aws_url, agent_url) = (aws.endpoint(), format!("{}/v1/credentials", agent.url()));
    let irsa = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.path().to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/scaler"),
    ];
    let agent = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*agent_url)];
    let key = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "a-secret")];
    let metadata = [&KINESIS[..], &[("awsRegion", REGION)]].concat();
    let cases: [(&[(&str, &str)], &str); 3] = [
        (&irsa, "from a service account's token (IRSA"),
        (&agent, "from a container's agent (EKS Pod Identity"),
        (&key, "from the environment (AWS_ACCESS_KEY_ID)"),
    ];
    for (environment, origin) in cases {
        let endpoints = [("AWS_ENDPOINT_URL_STS", iam.endpoint()), ("AWS_ENDPOINT_URL_KINESIS", &aws_url)];
        let checkup = doctor(&[environment, &endpoints].concat(), &json!({}), &metadata).await;
        checkup.assert_green(&["credentials", "identity", "call", "value"]);
        let seen = checkup.step("credentials")["seen"].as_str().unwrap();
        assert!(seen.starts_with(origin), "{seen}");
        assert!(!checkup.written.contains("a-secret"), "{}", checkup.written);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_go_on_without_sts_and_so_does_doctor() {
    let aws = ScriptedAws::start().await;
    aws.create_stream("orders", 1, aws.now() - 60_000);
    let checkup = of_scripted(&aws, "http://127.0.0.1:9", &KINESIS).await;
    checkup.assert_warning("endpoint sts", "readings do not need it", "nothing listens");
    checkup.assert_warning("identity", "could not get the caller identity from STS", "readings do not need STS");
    assert_eq!(checkup.step("value")["status"], "ok");
}

// === what is asked ===

/// With a key and these services.
async fn of_scripted(aws: &ScriptedAws, sts: &str, metadata: &[(&str, &str)]) -> Checkup {
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "a-secret"),
        ("AWS_ENDPOINT_URL", &*aws.endpoint()),
        ("AWS_ENDPOINT_URL_STS", sts),
    ];
    let metadata = [metadata, &[("awsRegion", REGION)]].concat();
    doctor(&environment, &json!({}), &metadata).await
}

/// An STS that knows everybody.
async fn sts() -> Endpoint {
    let arn = "<Arn>arn:aws:iam::123456789012:user/scaler</Arn><UserId>AIDA</UserId><Account>123456789012</Account>";
    let result = format!("<GetCallerIdentityResult>{arn}</GetCallerIdentityResult>");
    let answer: Arc<str> = format!("<GetCallerIdentityResponse>{result}</GetCallerIdentityResponse>").into();
    Endpoint::start(move |_| says(200, &answer)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_a_little_off_is_a_warning_and_one_that_aws_would_not_take_a_fault() {
    let (aws, sts) = (ScriptedAws::start().await, sts().await);
    aws.create_stream("orders", 1, aws.now() - 60_000);
    of_scripted(&aws, &sts.url(), &KINESIS).await.assert_green(&["clock", "value"]);
    aws.skew_clock(90);
    let behind = of_scripted(&aws, &sts.url(), &KINESIS).await;
    behind.assert_warning("clock", "s behind AWS's", "set this machine's clock by NTP");
    aws.skew_clock(-400);
    let ahead = of_scripted(&aws, &sts.url(), &KINESIS).await;
    ahead.assert_fault("clock", "s ahead of AWS's", "AWS rejects requests whose clock is more than 300 s off");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_stream_table_or_endpoint_is_named() {
    let (aws, sts) = (ScriptedAws::start().await, sts().await);
    of_scripted(&aws, &sts.url(), &KINESIS).await.assert_fault(
        "call kinesis:ListShards",
        "ResourceNotFoundException",
        "check the name, awsRegion",
    );
    of_scripted(&aws, &sts.url(), &DYNAMODB).await.assert_fault(
        "call dynamodb:DescribeTable",
        "ResourceNotFoundException",
        "check the name, awsRegion",
    );
    aws.create_stream("orders", 1, aws.now() - 60_000);
    let no_table = of_scripted(&aws, &sts.url(), &[KINESIS, AGE].concat()).await;
    no_table.assert_warning("call dynamodb:Scan", "there is no table app", "check applicationName, leaseTable");
    assert_eq!(no_table.step("value")["status"], "ok");

    let allowed = json!({"metadata": [{"namespaces": ["shop"], "awsEndpoints": ["*"]}]});
    let metadata = [&KINESIS[..], &[("awsRegion", REGION), ("awsEndpoint", "http://127.0.0.1:9")]].concat();
    let environment = [("AWS_ENDPOINT_URL_STS", &*sts.url())];
    let checkup = doctor(&environment, &allowed, &metadata).await;
    checkup.assert_fault(
        "endpoint kinesis",
        "127.0.0.1:9: connection refused",
        "check awsRegion (eu-west-1) and awsEndpoint",
    );
    let refused = doctor(&environment, &json!({}), &metadata).await;
    refused.assert_fault("rules", "namespace shop may not name the endpoint", "allow it with awsEndpoints");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_stream_is_switched_off_is_named() {
    let account = Account::start().await;
    account.allow(&told_rights("aws-dynamodb-streams", "shardCount")).await;
    account.iam.enforce(false).await;
    let off = StreamSpecification::builder().stream_enabled(false).build().unwrap();
    account.dynamodb.update_table().table_name("invoices").stream_specification(off).send().await.unwrap();
    let checkup = account.doctor(&DYNAMODB).await;
    checkup.assert_fault("call dynamodb:DescribeTable", "has no stream, or it is switched off", "StreamEnabled=true");
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_that_do_not_fit_or_are_not_renewed_are_told() {
    let (aws, sts) = (ScriptedAws::start().await, sts().await);
    let shards = aws.create_stream("orders", 3, aws.now() - 60_000);
    aws.create_table("app", "leaseKey");
    let age = [KINESIS, AGE].concat();
    let empty = of_scripted(&aws, &sts.url(), &age).await;
    empty.assert_warning("leases", "the table has no lease of this stream", "begins at TRIM_HORIZON");

    let lease = |shard: &str, owner: &str| {
        json!({"leaseKey": {"S": shard}, "checkpoint": {"S": "TRIM_HORIZON"}, "leaseOwner": {"S": owner}, "leaseCounter": {"N": "7"},
        "throughputKBps": {"N": "12.5"}})
    };
    aws.put_item("app", &lease(&shards[0], "gone-worker"));
    let mut free = lease(&shards[1], "");
    free.as_object_mut().unwrap().remove("leaseOwner");
    aws.put_item("app", &free);
    aws.put_item("app", &lease("shardId-000000000099", "gone-worker"));
    let odd = of_scripted(&aws, &sts.url(), &age).await;
    let whole = "3 leases of KCL 3, owned by gone-worker (2); ";
    odd.assert_warning("leases", whole, "start workers of the application");
    let seen = odd.step("leases")["seen"].as_str().unwrap();
    for part in [
        format!("{} have no owner", shards[1]),
        "shardId-000000000099 are not among the stream's shards".to_owned(),
        format!("{} have no lease yet", shards[2]),
        format!("{}, shardId-000000000099 not renewed within 5 s", shards[0]),
    ] {
        assert!(seen.contains(&part), "{seen} lacks {part}");
    }

    aws.put_item("app", &json!({"leaseKey": {"S": "orders"}, "total": {"N": "5"}}));
    let other = of_scripted(&aws, &sts.url(), &age).await;
    other.assert_fault(
        "leases",
        "could not read the rows of table app: the row of orders has no checkpoint",
        "check leaseTable and checkpointStore",
    );
}
