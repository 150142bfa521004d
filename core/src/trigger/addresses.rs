//! The valid forms of addresses of AWS and Kafka.
//!
//! Addresses are compared with the operator's patterns as text, and become part of other texts: of a host name, of a list of brokers. So an
//! address must not have a second reading there, such as `http://elsewhere/?.allowed.example`.

use std::net::Ipv6Addr;

use super::metadata::{Metadata, shown};

/// AWS's longest region name is half as long.
const LONGEST_REGION: usize = 32;
const LONGEST_HOST: usize = 253;
const LONGEST_ROLE: usize = 2048;

/// Checks the form of each bootstrap server.
pub(super) fn check_brokers(metadata: &Metadata<'_>) {
    for server in metadata.list("bootstrapServers").filter(|server| !is_broker(server)) {
        metadata.problem("bootstrapServers", format!("{} is no broker such as host:9092", shown(server)));
    }
}

/// `host`, `host:port`, `[IPv6]` or `[IPv6]:port`.
fn is_broker(text: &str) -> bool {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (is_host, port) = if let Some((address, port)) = bracketed {
        (address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        (is_host(host), port)
    };
    is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// The region, which becomes a part of the services' host names.
pub(super) fn region<'a>(metadata: &Metadata<'a>) -> Option<&'a str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_region = |text: &str| text.len() <= LONGEST_REGION && text.bytes().all(plain);
    checked(metadata, "awsRegion", is_region, "is no region such as eu-west-1")
}

/// The endpoint: no user, path or query, so that a pattern matches the host that is contacted.
pub(super) fn endpoint<'a>(metadata: &Metadata<'a>) -> Option<&'a str> {
    let is_endpoint = |text: &str| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        rest.is_some_and(|rest| is_broker(rest.strip_suffix('/').unwrap_or(rest)))
    };
    checked(metadata, "awsEndpoint", is_endpoint, "is no address such as https://host:443, with nothing behind it")
}

/// The role to assume.
pub(super) fn role<'a>(metadata: &Metadata<'a>) -> Option<&'a str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_/-".contains(&byte);
    let is_role = |text: &str| {
        let parts: Vec<_> = text.splitn(6, ':').collect();
        let [arn, _, iam, region, account, name] = parts[..] else { return false };
        let account = !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit());
        let name = name.strip_prefix("role/").is_some_and(|name| !name.is_empty() && name.bytes().all(plain));
        (arn, iam, region) == ("arn", "iam", "") && account && name && text.len() <= LONGEST_ROLE
    };
    checked(metadata, "awsRoleArn", is_role, "is no role such as arn:aws:iam::123456789012:role/name")
}

/// The value of `key`, or a problem where it is invalid.
fn checked<'a>(metadata: &Metadata<'a>, key: &str, is_good: impl Fn(&str) -> bool, problem: &str) -> Option<&'a str> {
    let text = metadata.text(key)?;
    if is_good(text) {
        return Some(text);
    }
    metadata.problem(key, format!("{} {problem}", shown(text)));
    None
}

fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=LONGEST_HOST).contains(&text.len()) && text.bytes().all(plain)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::trigger::{Trigger, TriggerError};

    fn refusal(changes: &[(&str, &str)]) -> Result<Trigger, TriggerError> {
        let base: &[(&str, &str)] = if changes.iter().any(|(key, _)| *key == "bootstrapServers") {
            &[("source", "kafka"), ("consumerGroup", "g"), ("topic", "t")]
        } else {
            &[("source", "aws-kinesis-stream"), ("streamName", "s"), ("awsRegion", "eu-west-1")]
        };
        let all = base.iter().chain(changes).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Trigger::parse(&all.collect::<HashMap<_, _>>())
    }

    #[test]
    fn addresses_that_could_be_read_in_two_ways_are_no_addresses() {
        let cases = [
            ("bootstrapServers", "PLAINTEXT://169.254.169.254:80/.kafka:9092"),
            ("bootstrapServers", "b:9092/x"),
            ("bootstrapServers", "user@b:9092"),
            ("bootstrapServers", ":8080"),
            ("bootstrapServers", "b:0"),
            ("bootstrapServers", "b:70000"),
            ("bootstrapServers", "b:+90"),
            ("bootstrapServers", "::1:9092"),
            ("bootstrapServers", "[fe80::1%eth0]:9092"),
            ("bootstrapServers", "b1:9092;b2:9092"),
            ("bootstrapServers", "b1 b2"),
            ("awsRegion", "x.attacker.example/?"),
            ("awsRegion", "attacker.example#"),
            ("awsRegion", "eu-west-1.attacker"),
            ("awsRegion", "EU-WEST-1"),
            ("awsRegion", "a@b"),
            ("awsEndpoint", "https://attacker.example/?.internal"),
            ("awsEndpoint", "https://allowed.internal@attacker.example"),
            ("awsEndpoint", "https://attacker.example#.internal"),
            ("awsEndpoint", "https://attacker.example/kinesis"),
            ("awsEndpoint", "ftp://kinesis.internal"),
            ("awsEndpoint", "kinesis.internal"),
            ("awsRoleArn", "arn:aws:iam::123456789012:user/x"),
            ("awsRoleArn", "arn:aws:iam::*:role/x"),
            ("awsRoleArn", "arn:aws:iam::123456789012:role/x y"),
        ];
        for (key, value) in cases {
            let error = refusal(&[(key, value)]).expect_err(value);
            assert!(error.problems.iter().all(|problem| problem.key == key), "{value}: {error}");
        }
    }

    #[test]
    fn ordinary_addresses_are_addresses() {
        let cases = [
            (
                "bootstrapServers",
                "b-1.msk_cluster.kafka.eu-west-1.amazonaws.com:9094,kafka,10.0.0.1:9092,[fd00::1]:9092",
            ),
            ("awsRegion", "us-gov-west-1"),
            ("awsRegion", "cn-north-1"),
            ("awsEndpoint", "http://localhost:4566/"),
            ("awsEndpoint", "https://vpce-1.kinesis.eu-west-1.vpce.amazonaws.com"),
            ("awsRoleArn", "arn:aws-cn:iam::123456789012:role/team/reader@x"),
        ];
        for (key, value) in cases {
            refusal(&[(key, value)]).unwrap_or_else(|error| panic!("{value}: {error}"));
        }
    }

    #[test]
    fn control_characters_are_in_no_key_and_in_no_value() {
        for value in ["a\nERROR forged", "a\u{1b}[2Jb", "a\u{202e}b", "a\0b", "a\u{85}b", "a\u{2028}b"] {
            let error = refusal(&[("bootstrapServers", "b"), ("consumerGroup", value)]).expect_err(value);
            assert_eq!(error.to_string(), "consumerGroup: holds a control character");
        }
        let error = refusal(&[("bootstrapServers", "b"), ("gr\u{1b}oup\n", "x")]).expect_err("an unknown key");
        assert_eq!(error.to_string(), r"gr\u{1b}oup\n: is not a known key");
    }

    #[test]
    fn the_certificate_of_kedas_own_connection_may_have_lines() {
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        refusal(&[("bootstrapServers", "b"), ("caCert", pem)]).expect("it is not ours to read");
    }
}
