//! Who the scaler is towards AWS: roles of a real STS, and credentials as Kubernetes and machines give them; through the binary.

use std::time::Duration;

use axum::http::{Method, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::endpoint::{Asked, Endpoint, says};
use crate::support::explain::{explain, failure};
use crate::support::iam::{Iam, UserKey};
use crate::support::scripted_aws::{ScriptedAws, Signer};

const SHARD_COUNT: [(&str, &str); 2] = [("source", "aws-kinesis-stream"), ("streamName", "orders")];
type Keys<'a> = &'a [(&'a str, &'a str)];

/// Nobody listens there.
const DEAD: &str = "http://127.0.0.1:9";

/// Kinesis with one stream of two shards.
async fn kinesis() -> ScriptedAws {
    let aws = ScriptedAws::start().await;
    aws.create_stream("orders", 2, aws.now() - 60_000);
    aws
}

/// Who has listed the shards, the only one.
#[track_caller]
fn signer(aws: &ScriptedAws) -> Signer {
    let [signer] = <[_; 1]>::try_from(aws.signers("ListShards")).unwrap();
    signer
}

#[track_caller]
fn assert_counted(explained: &Value) {
    assert_eq!(
        (&explained["outcome"], &explained["decision"]["value"]),
        (&json!("valued"), &json!(2.0)),
        "{explained}"
    );
}

fn key_of(user: &UserKey) -> [(&str, &str); 2] {
    [("AWS_ACCESS_KEY_ID", &user.id), ("AWS_SECRET_ACCESS_KEY", &user.secret)]
}

// === roles ===

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_a_role_asks_with_the_key_that_sts_gives_for_it() {
    let (iam, aws) = (Iam::start().await, kinesis().await);
    let (user, role) = (iam.user("scaler", &["sts:AssumeRole"]).await, iam.role("reader", "audit").await);
    iam.enforce(true).await;
    let connection = |external_id: &str| {
        let aws = json!({"awsRegion": "eu-west-1", "awsRoleArn": role, "awsExternalId": external_id, "awsEndpoint": aws.endpoint()});
        json!({"connections": {"audit": {"namespaces": ["shop"], "aws": aws}}})
    };
    let environment = [&key_of(&user)[..], &[("AWS_ENDPOINT_URL_STS", iam.endpoint())]].concat();
    let metadata = [&SHARD_COUNT[..], &[("connection", "audit")]].concat();
    assert_counted(&explain(&environment, &connection("audit"), &metadata).await);
    let signer = signer(&aws);
    assert!(signer.access_key_id.starts_with("ASIA") && signer.access_key_id != user.id, "{signer:?}");
    assert!(signer.session_token.is_some() && signer.region == "eu-west-1", "{signer:?}");

    aws.forget_calls();
    let explained = explain(&environment, &connection("wrong"), &metadata).await;
    let (code, message) = failure(&explained);
    assert_eq!(code, "FAILED_PRECONDITION", "{message}");
    for part in [&*role, "AccessDenied: User", "sts:AssumeRole; check that the role trusts the scaler"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(aws.calls("ListShards"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_has_a_role_assumed_only_where_the_operator_allows_it() {
    let (iam, aws) = (Iam::start().await, kinesis().await);
    let allowed =
        json!({"metadata": [{"namespaces": ["shop"], "awsRoleArns": ["arn:aws:iam::123456789012:role/shop-*"]}]});
    let kinesis = aws.endpoint();
    let run = async |sts: &str, role: &str| {
        let key = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "a-secret")];
        let environment = [&key[..], &[("AWS_ENDPOINT_URL_STS", sts), ("AWS_ENDPOINT_URL_KINESIS", &kinesis)]].concat();
        let metadata = [&SHARD_COUNT[..], &[("awsRegion", "eu-west-1"), ("awsRoleArn", role)]].concat();
        explain(&environment, &allowed, &metadata).await
    };
    assert_counted(&run(iam.endpoint(), "arn:aws:iam::123456789012:role/shop-reader").await);
    assert!(signer(&aws).access_key_id.starts_with("ASIA"));

    let (sts, other) = (Endpoint::start(|_| says(500, "")).await, "arn:aws:iam::123456789012:role/admin");
    let explained = run(&sts.url(), other).await;
    let (code, message) = failure(&explained);
    assert_eq!(code, "FAILED_PRECONDITION");
    assert!(message.contains(other) && message.contains("allow it with awsRoleArns"), "{message}");
    assert!(sts.asked().is_empty(), "{:?}", sts.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sts_that_is_dead_or_silent_is_an_error_with_the_role_and_what_to_do_before_the_deadline() {
    let (aws, silent, broken) =
        (kinesis().await, Endpoint::start(|_| None).await, Endpoint::start(|_| says(503, "")).await);
    let (endpoint, role) = (aws.endpoint(), "arn:aws:iam::123456789012:role/shop-reader");
    let allowed = json!({"metadata": [{"namespaces": ["shop"], "awsRoleArns": ["*"], "awsEndpoints": ["*"]}]});
    let reach = "check that the scaler can reach STS";
    for (sts, expected, remedy) in [
        (DEAD, "UNAVAILABLE", reach),
        (&silent.url(), "DEADLINE_EXCEEDED", reach),
        (&broken.url(), "INTERNAL", "check the AWS Health Dashboard"),
    ] {
        let environment = [
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "a-secret"),
            ("AWS_ENDPOINT_URL_STS", sts),
        ];
        let more = [("awsRegion", "eu-west-1"), ("awsRoleArn", role), ("awsEndpoint", &endpoint)];
        let begun = Instant::now();
        let explained = explain(&environment, &allowed, &[&SHARD_COUNT[..], &more].concat()).await;
        let (code, message) = failure(&explained);
        println!("{sts}: {code} after {:.1} s: {message}", begun.elapsed().as_secs_f64());
        assert_eq!(code, expected, "{message}");
        assert!(message.contains(&format!("could not assume the role {role}")), "{message}");
        assert!(message.contains(remedy), "{message}");
        assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    }
    assert_eq!(aws.calls("ListShards"), 0);
}

// === the scaler's own identity ===

#[tokio::test(flavor = "multi_thread")]
async fn a_service_accounts_token_is_a_role_by_web_identity() {
    let (iam, aws, token) = (Iam::start().await, kinesis().await, tempfile::NamedTempFile::new().unwrap());
    std::fs::write(token.path(), "header.payload.signature").unwrap();
    let environment = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.path().to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/scaler"),
        ("AWS_ENDPOINT_URL_STS", iam.endpoint()),
        ("AWS_ENDPOINT_URL_KINESIS", &aws.endpoint()),
    ];
    let metadata = [&SHARD_COUNT[..], &[("awsRegion", "eu-west-1")]].concat();
    assert_counted(&explain(&environment, &json!({}), &metadata).await);
    let signer = signer(&aws);
    assert!(signer.access_key_id.starts_with("ASIA") && signer.session_token.is_some(), "{signer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scaler_without_good_credentials_says_what_it_lacks() {
    let (aws, token) = (kinesis().await, tempfile::NamedTempFile::new().unwrap());
    let refusing = Endpoint::start(|_| {
        let why = "<Code>InvalidIdentityToken</Code><Message>No OpenIDConnect provider found</Message>";
        says(400, &format!("<ErrorResponse><Error><Type>Sender</Type>{why}</Error></ErrorResponse>"))
    })
    .await;
    let (aws_url, refusing, role) = (aws.endpoint(), refusing.url(), "arn:aws:iam::123456789012:role/scaler");
    let nothing = [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_ENDPOINT_URL_KINESIS", &aws_url)];
    let refused = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.path().to_str().unwrap()),
        ("AWS_ROLE_ARN", role),
        ("AWS_ENDPOINT_URL_STS", &refusing),
        ("AWS_ENDPOINT_URL_KINESIS", &aws_url),
    ];
    let allowed = json!({"metadata": [{"namespaces": ["shop"], "awsRoleArns": ["*"]}]});
    let (own, assumed) =
        ("could not get the scaler's own credentials: ", format!("could not assume the role {role}: "));
    let cases: [(Keys<'_>, bool, [&str; 3]); 4] = [
        (&nothing, false, [own, "no credentials found in chain", "check the service account's role"]),
        (&nothing, true, [&assumed, "no credentials found in chain", "check the service account's role"]),
        (&refused, false, [own, "InvalidIdentityToken: No OpenIDConnect provider", "check the service account's role"]),
        (&refused, true, [&assumed, "InvalidIdentityToken: No OpenIDConnect", "check the service account's role"]),
    ];
    for (environment, with_role, parts) in cases {
        let mut metadata = [&SHARD_COUNT[..], &[("awsRegion", "eu-west-1")]].concat();
        metadata.extend(with_role.then_some(("awsRoleArn", role)));
        let explained = explain(environment, &allowed, &metadata).await;
        let (code, message) = failure(&explained);
        assert_eq!(code, "FAILED_PRECONDITION", "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    assert_eq!(aws.calls("ListShards"), 0);
}

/// A temporary key, as the agents of Kubernetes and of machines give it.
fn temporary_key() -> String {
    let (id, secret, token) = ("ASIATEMPORARY", "a-secret", "a-session");
    json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", "Expiration": "2036-01-01T00:00:00Z",
        "AccessKeyId": id, "SecretAccessKey": secret, "Token": token,
    })
    .to_string()
}

#[track_caller]
fn assert_temporary(signer: &Signer) {
    let expected = ("ASIATEMPORARY", Some("a-session"));
    assert_eq!((&*signer.access_key_id, signer.session_token.as_deref()), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eks_pod_identity_is_asked_for_with_the_pods_token() {
    let (aws, token) = (kinesis().await, tempfile::NamedTempFile::new().unwrap());
    std::fs::write(token.path(), "a-pods-token").unwrap();
    let agent = Endpoint::start(|_| says(200, &temporary_key())).await;
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*format!("{}/v1/credentials", agent.url())),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.path().to_str().unwrap()),
        ("AWS_ENDPOINT_URL_KINESIS", &aws.endpoint()),
    ];
    let metadata = [&SHARD_COUNT[..], &[("awsRegion", "eu-west-1")]].concat();
    assert_counted(&explain(&environment, &json!({}), &metadata).await);
    assert_temporary(&signer(&aws));
    let asked = agent.asked();
    assert_eq!((&*asked[0].path, asked[0].header("authorization")), ("/v1/credentials", Some("a-pods-token")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machines_role_is_asked_for_in_two_steps() {
    let aws = kinesis().await;
    let machine = Endpoint::start(|asked: &Asked| {
        if (&asked.method, &*asked.path) == (&Method::PUT, "/latest/api/token") {
            let answer = Response::builder().header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
            return Some(answer.body("a-machines-token".to_owned()).unwrap());
        }
        if asked.header("x-aws-ec2-metadata-token") != Some("a-machines-token") {
            return says(401, "");
        }
        match &*asked.path {
            "/latest/meta-data/iam/security-credentials/" => says(200, "scaler"),
            "/latest/meta-data/iam/security-credentials/scaler" => says(200, &temporary_key()),
            _ => says(404, ""),
        }
    })
    .await;
    let environment =
        [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*machine.url()), ("AWS_ENDPOINT_URL_KINESIS", &aws.endpoint())];
    let metadata = [&SHARD_COUNT[..], &[("awsRegion", "eu-west-1")]].concat();
    assert_counted(&explain(&environment, &json!({}), &metadata).await);
    assert_temporary(&signer(&aws));
    assert_eq!(machine.asked()[0].path, "/latest/api/token");
}
