//! What stands on what: a module that reaches upward fails here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and what of ours it may import. The order is from the ground up.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("telemetry", &[]),
    ("page", &[]),
    ("network", &[]),
    ("tls", &["telemetry"]),
    ("trigger", &[]),
    ("limits", &["telemetry"]),
    ("lag", &["trigger"]),
    ("scaling", &["trigger", "lag"]),
    ("resize", &["trigger", "lag", "scaling"]),
    ("tenancy", &["trigger", "lag"]),
    ("source", &["trigger", "lag", "network", "telemetry", "tenancy"]),
    ("probe", &["trigger", "lag", "network", "telemetry", "tenancy", "source"]),
    ("recording", &["trigger", "lag"]),
    ("sampler", &["trigger", "lag", "limits", "scaling", "telemetry"]),
    ("keda", &["trigger", "lag", "limits", "scaling", "sampler", "telemetry", "tls"]),
    ("admin", &["trigger", "lag", "limits", "page", "scaling", "sampler", "telemetry"]),
    ("controller", &["trigger", "lag", "resize", "sampler", "source", "telemetry"]),
    (
        "app",
        &[
            "admin",
            "controller",
            "keda",
            "lag",
            "limits",
            "recording",
            "sampler",
            "source",
            "telemetry",
            "tenancy",
            "tls",
            "trigger",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "controller",
            "keda",
            "lag",
            "limits",
            "network",
            "probe",
            "recording",
            "resize",
            "sampler",
            "scaling",
            "source",
            "telemetry",
            "tenancy",
            "tls",
            "trigger",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// The folders of the crates' sources.
const CRATES: [&str; 2] = ["core/src", "src"];
/// What the standard library has of clocks and I/O. The dependencies of the crate `core` have none.
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "std::time::Instant",
    "std::time::SystemTime",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
];

/// A file longer than this, its tests left out, does too much.
const LONGEST: usize = 500;

#[test]
fn no_module_imports_one_above_it() {
    let allowed: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    for (file, text) in CRATES.into_iter().flat_map(sources) {
        let module = module_of(&file);
        let may = allowed.get(module.as_str()).unwrap_or_else(|| panic!("{module} is not on the floor plan"));
        for other in allowed.keys().filter(|other| **other != module && !may.contains(other)) {
            for path in [format!("crate::{other}::"), format!("crate::{other};"), format!("crate::{{{other}")] {
                assert!(!without_tests(&text).contains(&path), "{} imports {other}", file.display());
            }
        }
    }
}

#[test]
fn the_rules_have_no_clock_and_no_io() {
    for (file, text) in sources("core/src") {
        for name in IMPURE {
            assert!(!without_tests(&text).contains(name), "{} uses {name}", file.display());
        }
    }
}

#[test]
fn every_file_can_be_read_at_a_sitting() {
    for (file, text) in CRATES.into_iter().chain(["playground/src"]).flat_map(sources) {
        let lines = without_tests(&text).lines().count();
        assert!(lines <= LONGEST, "{} has {lines} lines", file.display());
    }
}

/// Hand-written sources of `folder` with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("gen") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

fn module_of(file: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let below = CRATES.iter().find_map(|folder| file.strip_prefix(root.join(folder)).ok()).unwrap();
    below.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}
