//! The messages that are written here against Kafka's own definitions of them, which are in the jar of its Java client.

use std::path::Path;
use std::process::Command;

use keda_stream_scaler::source::kafka::protocol::{
    ApiVersions, ConsumerGroupDescribe, DescribeGroups, DescribeShareGroupOffsets, Encoding, FindCoordinator,
    ListGroups, ListOffsets, Metadata, OffsetFetch, Request, SaslAuthenticate, SaslHandshake, ShareGroupDescribe,
};

/// What a definition says: the request's number, its versions, and the first flexible one.
#[derive(Debug)]
struct Definition {
    key: i16,
    versions: (i16, i16),
    flexible_from: Option<i16>,
}

/// The definitions, unpacked.
fn definitions() -> tempfile::TempDir {
    let libs = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/services/kafka/libs");
    let jars = std::fs::read_dir(&libs).unwrap().map(|entry| entry.unwrap().path());
    let jar = jars.filter(|path| path.to_string_lossy().contains("kafka-clients-")).last().expect("Kafka's client");
    let into = tempfile::tempdir().unwrap();
    let unpacked = Command::new("jar").arg("xf").arg(jar).arg("common/message").current_dir(&into).status();
    assert!(unpacked.expect("the JDK's jar").success());
    into
}

fn definition(folder: &Path, name: &str) -> Definition {
    let text = std::fs::read_to_string(folder.join(format!("common/message/{name}Request.json"))).unwrap();
    let value = |key: &str| {
        let (_, rest) = text.split_once(&format!("\"{key}\":"))?;
        Some(rest.split([',', '\n']).next()?.trim().trim_matches('"').to_owned())
    };
    let versions = value("validVersions").unwrap();
    let (least, most) = versions.split_once('-').unwrap_or((&versions, &versions));
    Definition {
        key: value("apiKey").unwrap().parse().unwrap(),
        versions: (least.parse().unwrap(), most.parse().unwrap()),
        flexible_from: value("flexibleVersions").unwrap().strip_suffix('+').map(|from| from.parse().unwrap()),
    }
}

fn check<R: Request>(folder: &Path) {
    let Definition { key, versions, flexible_from } = definition(folder, R::NAME);
    assert_eq!(R::KEY.0, key, "{}", R::NAME);
    let (least, most) = R::VERSIONS.into_inner();
    assert!(versions.0 <= least && most <= versions.1, "{}: {least} to {most} of {versions:?}", R::NAME);
    for version in least..=most {
        let flexible = R::encoding(version) == Encoding::Flexible;
        assert_eq!(flexible, flexible_from.is_some_and(|from| version >= from), "{} {version}", R::NAME);
    }
}

#[test]
fn numbers_versions_and_encodings_are_those_of_kafkas_definitions() {
    let folder = definitions();
    let folder = folder.path();
    check::<ApiVersions>(folder);
    check::<SaslHandshake<'_>>(folder);
    check::<SaslAuthenticate<'_>>(folder);
    check::<Metadata<'_>>(folder);
    check::<FindCoordinator<'_>>(folder);
    check::<OffsetFetch<'_>>(folder);
    check::<ListOffsets<'_>>(folder);
    check::<DescribeGroups<'_>>(folder);
    check::<ListGroups>(folder);
    check::<ConsumerGroupDescribe<'_>>(folder);
    check::<ShareGroupDescribe<'_>>(folder);
    check::<DescribeShareGroupOffsets<'_>>(folder);
}
