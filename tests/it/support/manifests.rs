//! Kubernetes' objects, as Helm and kustomize render them; `tests/services/k8s/fetch.sh` brings both.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;

use serde_json::Value;

/// Fetched where `make test` has not done so.
static FETCHED: Once = Once::new();

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where Helm and kustomize are.
pub fn tools() -> PathBuf {
    let (services, directory) = (root().join("tests/services/k8s"), root().join("target/services/k8s"));
    FETCHED.call_once(|| {
        let fetched = Command::new(services.join("fetch.sh")).arg(&directory).status().unwrap();
        assert!(fetched.success(), "the tools could not be fetched");
    });
    directory.join("bin")
}

/// The chart with these arguments of `helm template`, as a release of the name that the base has; or what Helm says against it.
pub fn helm(arguments: &[&str]) -> Result<Vec<Value>, String> {
    let chart = root().join("k8s/chart").into_os_string();
    let mut all: Vec<OsString> = vec!["template".into(), "keda-stream-scaler".into(), chart];
    all.extend(arguments.iter().map(OsString::from));
    if !arguments.contains(&"--namespace") {
        all.extend(["--namespace".into(), "keda".into()]);
    }
    let output = Command::new(tools().join("helm")).args(all).output().unwrap();
    text(&output).map(|text| documents(&text))
}

/// What kustomize makes of a folder.
pub fn kustomize(folder: &Path) -> Vec<Value> {
    let output = Command::new(tools().join("kustomize")).arg("build").arg(folder).output().unwrap();
    documents(&text(&output).unwrap())
}

/// A copy of `k8s/` to work in.
pub fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(root().join("k8s")).arg(folder.path()).status().unwrap();
    assert!(copied.success());
    folder
}

/// The files of a folder with this ending.
pub fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_str().unwrap().ends_with(ending));
    files.sort();
    assert!(!files.is_empty(), "{folder} has *{ending}");
    files
}

/// Every YAML document.
pub fn documents(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// The one object of the scaler of that kind that is no part of a test.
pub fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let of_controller = |object: &Value| object["metadata"]["labels"]["app.kubernetes.io/component"] == "controller";
    let mut found = objects.iter().filter(|object| {
        let test = !object["metadata"]["annotations"]["helm.sh/hook"].is_null();
        object["kind"] == kind && !test && !of_controller(object)
    });
    let object = found.next().unwrap_or_else(|| panic!("a {kind}"));
    assert!(found.next().is_none(), "one {kind}");
    object
}

fn text(output: &Output) -> Result<String, String> {
    if output.status.success() {
        Ok(String::from_utf8(output.stdout.clone()).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
