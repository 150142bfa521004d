//! The YAML of the docs: manifests of triggers, and connections files.

use std::fs;

use keda_stream_scaler::tenancy::Connections;

use super::page::{Page, pages};
use crate::support::process::{Ended, run};

/// Where the docs have their secrets.
const SECRETS: &str = "/run/secrets/";

/// A manifest as `validate` takes it: a part of one is put where it belongs.
pub fn whole(yaml: &str) -> String {
    if yaml.contains("kind: ScaledObject") {
        return yaml.to_owned();
    }
    let spec: Vec<_> = yaml.lines().map(|line| format!("  {line}")).collect();
    format!("kind: ScaledObject\nmetadata: {{name: part}}\nspec:\n{}\n", spec.join("\n"))
}

fn yaml(pages: &[Page]) -> impl Iterator<Item = (&str, &str)> {
    pages.iter().flat_map(|page| {
        let blocks = page.blocks().filter(|block| block.language == "yaml");
        blocks.map(|block| (&*page.name, block.text))
    })
}

#[tokio::test]
async fn manifests_are_good_and_follow_our_own_advice() {
    let (folder, pages) = (tempfile::tempdir().unwrap(), pages());
    let path = folder.path().join("part.yaml");
    let mut checked = 0;
    for (page, text) in yaml(&pages).filter(|(_, text)| text.contains("triggers:")) {
        fs::write(&path, whole(text)).unwrap();
        let Ended { code, stdout, stderr } = run(&["validate", path.to_str().unwrap()]).await;
        assert_eq!(code, Some(0), "{page}: {stdout}{stderr}{text}");
        assert!(!stdout.contains("advice:"), "{page}: {stdout}{text}");
        checked += 1;
    }
    assert!(checked >= 10, "{checked} manifests");
}

#[test]
fn connections_files_are_good() {
    let (folder, pages) = (tempfile::tempdir().unwrap(), pages());
    let is_connections = |text: &str| {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.next().is_some_and(|line| line.starts_with("connections:") || line.starts_with("metadata:"))
    };
    let mut checked = 0;
    for (page, text) in yaml(&pages).filter(|(_, text)| is_connections(text)) {
        for secret in text.split(SECRETS).skip(1) {
            let name = secret.split([',', '}', '"', '\n']).next().unwrap();
            fs::write(folder.path().join(name), "a secret").unwrap();
        }
        let path = folder.path().join("connections.yaml");
        let here = format!("{}/", folder.path().to_str().unwrap());
        fs::write(&path, text.replace(SECRETS, &here)).unwrap();
        Connections::read(&path).unwrap_or_else(|error| panic!("{page}: {error}\n{text}"));
        checked += 1;
    }
    assert!(checked >= 3, "{checked} files");
}
