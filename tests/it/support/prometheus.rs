//! What Prometheus makes of the scaler: its own checker, and the series of a text.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/services/promtool/promtool");
    assert!(program.exists(), "make test builds it: tests/services/promtool/fetch.sh target/services/promtool");
    program
}

/// Runs promtool in the project's directory with this input; what it says if it is content, else a panic with that.
pub fn promtool(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program())
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

/// The series of a text, each with its value; a series that is there twice is a panic, as it is for Prometheus.
pub fn series(text: &str) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let before = all.insert(series.to_owned(), value.parse().unwrap());
        assert_eq!(before, None, "{series} is there twice");
    }
    all
}

/// The names of the families of a text in Prometheus' own format, and what kind each is.
pub fn families(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}
