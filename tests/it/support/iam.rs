//! A real IAM and STS, moto's, with its own Kinesis and DynamoDB behind the rights that it gives.

use std::process::Child;

use serde_json::json;

use super::aws_services::{free_ports, guarded, logged, programs, run_directory, wait_until_open};

/// A server with users and roles of its own; it ends when dropped, or with the test process.
pub struct Iam {
    address: String,
    server: Child,
}

/// The key of a user.
pub struct UserKey {
    pub id: String,
    pub secret: String,
}

impl Iam {
    pub async fn start() -> Self {
        let moto = programs().join("moto");
        let [port] = free_ports();
        let mut command = guarded(&run_directory().join(format!("moto-{port}.pid")));
        command.arg(moto.join("bin/python")).arg(moto.join("serve.py")).arg(port.to_string());
        let log = run_directory().join(format!("moto-{port}.log"));
        let server = tokio::task::spawn_blocking(move || {
            let server = logged(&mut command, &log);
            wait_until_open(port, &log);
            server
        });
        Self { address: format!("http://127.0.0.1:{port}"), server: server.await.unwrap() }
    }

    /// Of STS and all else.
    pub fn endpoint(&self) -> &str {
        &self.address
    }

    /// A user who may do these actions.
    pub async fn user(&self, name: &str, actions: &[&str]) -> UserKey {
        self.ask("CreateUser", &[("UserName", name)]).await;
        self.ask("PutUserPolicy", &[("UserName", name), ("PolicyName", "all"), ("PolicyDocument", &allow(actions))])
            .await;
        let answer = self.ask("CreateAccessKey", &[("UserName", name)]).await;
        UserKey { id: between(&answer, "AccessKeyId"), secret: between(&answer, "SecretAccessKey") }
    }

    /// A role that anybody of the account may assume who knows the external id; its ARN.
    pub async fn role(&self, name: &str, external_id: &str) -> String {
        let condition = json!({"StringEquals": {"sts:ExternalId": external_id}});
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole", "Condition": condition,
        }]});
        let trust = trust.to_string();
        between(&self.ask("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust)]).await, "Arn")
    }

    /// From now on the role may do these actions and nothing else.
    pub async fn let_role(&self, name: &str, actions: &[&str]) {
        let policy = allow(actions);
        self.ask("PutRolePolicy", &[("RoleName", name), ("PolicyName", "all"), ("PolicyDocument", &policy)]).await;
    }

    /// Checks signatures and rights, or, as at first, does not.
    pub async fn enforce(&self, enforce: bool) {
        let unchecked = if enforce { "0" } else { "inf" };
        let answer = reqwest::Client::new().post(format!("{}/moto-api/reset-auth", self.address)).body(unchecked);
        assert!(answer.send().await.unwrap().status().is_success());
    }

    async fn ask(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        // the server looks here for the service that is meant
        let scope =
            "AWS4-HMAC-SHA256 Credential=setup/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0";
        let form = [("Action", action), ("Version", "2010-05-08")].into_iter().chain(parameters.iter().copied());
        let request = reqwest::Client::new().post(&self.address).header("authorization", scope);
        let answer = request.form(&form.collect::<Vec<_>>()).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{action}: {text}");
        text
    }
}

impl Drop for Iam {
    fn drop(&mut self) {
        // the guard kills the server when its stdin closes
        drop(self.server.stdin.take());
        self.server.wait().unwrap();
    }
}

fn allow(actions: &[&str]) -> String {
    // there must be an action, and this one needs no right
    let actions = [actions, &["sts:GetCallerIdentity"]].concat();
    let statement = json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn between(xml: &str, tag: &str) -> String {
    let text = xml.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split_once("</"));
    text.expect(xml).0.to_owned()
}
