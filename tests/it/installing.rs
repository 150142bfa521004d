//! The README and the page on installing are followed by their own commands, as far as they need no cluster.

use std::path::Path;
use std::process::Command;

use crate::support::manifests::{copy, documents, root, tools};
use crate::support::process::BINARY;

const RUN: &str = "<!-- run -->\n```sh\n";
const PRINTS: &str = "\n\n<!-- prints -->\n```text\n";

/// Runs every block that is marked for it in `folder`, one after the other, and compares what it prints where the page says so.
fn follow(page: &str, folder: &Path) -> usize {
    let search = std::env::join_paths(
        [tools(), Path::new(BINARY).parent().unwrap().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let search = search.unwrap();
    let blocks: Vec<_> = page.split(RUN).skip(1).collect();
    for block in &blocks {
        let (script, after) = block.split_once("\n```").unwrap();
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(folder)
            .env("PATH", &search)
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
        if let Some(printed) = after.strip_prefix(PRINTS) {
            let expected = printed.split_once("```").unwrap().0;
            assert_eq!(std::str::from_utf8(&output.stdout).unwrap(), expected, "{script}");
        }
    }
    blocks.len()
}

#[test]
fn the_readme_renders_an_install_with_mtls_and_checks_two_scaled_objects_that_use_it() {
    let page = std::fs::read_to_string(root().join("README.md")).unwrap();
    let folder = copy();
    assert_eq!(follow(&page, folder.path()), 1);
    let rendered = std::fs::read_to_string(folder.path().join("rendered.yaml")).unwrap();
    let kinds: Vec<_> = documents(&rendered).iter().map(|object| object["kind"].clone()).collect();
    for kind in ["Deployment", "Certificate", "ClusterTriggerAuthentication"] {
        assert!(kinds.contains(&kind.into()), "{kind} in {kinds:?}");
    }
    assert!(rendered.contains("STREAM_SCALER_TLS_CLIENT_CA") || rendered.contains("--tls-client-ca"), "{rendered}");
}

#[test]
fn from_a_clone_to_a_rendered_install_with_mtls_and_two_scaled_objects() {
    let page = std::fs::read_to_string(root().join("docs/installing.md")).unwrap();
    let folder = copy();
    assert_eq!(follow(&page, folder.path()), page.matches("<!-- run -->").count());
    assert_eq!(
        page.matches(PRINTS).count(),
        page.matches("<!-- prints -->").count(),
        "each belongs to a block that is run"
    );
    let rendered = std::fs::read_to_string(folder.path().join("rendered.yaml")).unwrap();
    let objects = documents(&rendered);
    let account = objects.iter().find(|object| object["kind"] == "ServiceAccount").unwrap();
    assert!(
        account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].is_string(),
        "the last one is kustomize's"
    );
}
