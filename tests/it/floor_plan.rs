//! What stands on what: a module that reaches upward fails here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A module, and the modules that it may import.
type Module = (&'static str, &'static [&'static str]);

/// The modules of each crate, and which of them each may import; other crates are in its manifest. The order is from the ground up.
const MAY_IMPORT: &[(&str, &[Module])] = &[
    (
        "core/src",
        &[
            ("trigger", &[]),
            ("lag", &["trigger"]),
            ("scaling", &["trigger", "lag"]),
            ("resize", &["trigger", "lag", "scaling"]),
            ("recording", &["trigger", "lag"]),
        ],
    ),
    (
        "service/src",
        &[
            ("telemetry", &[]),
            ("page", &[]),
            ("network", &[]),
            ("tls", &["telemetry"]),
            ("limits", &["telemetry"]),
            ("tenancy", &[]),
            ("source", &["network", "telemetry", "tenancy"]),
            ("sampler", &["limits", "telemetry"]),
            ("keda", &["limits", "sampler", "telemetry", "tls"]),
            ("admin", &["limits", "page", "sampler", "telemetry"]),
            ("app", &["admin", "keda", "limits", "sampler", "source", "telemetry", "tenancy", "tls"]),
        ],
    ),
    ("cli/src", &[("probe", &[]), ("manifest", &[]), ("commands", &["manifest", "probe"])]),
];

/// The folders of the crates' sources.
const CRATES: [&str; 6] = ["cli/src", "controller/src", "core/src", "playground/src", "service/src", "src"];
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
    for (folder, modules) in MAY_IMPORT {
        let allowed: BTreeMap<_, _> = modules.iter().copied().collect();
        for (file, text) in sources(folder) {
            let module = module_of(folder, &file);
            if module == "lib" {
                continue;
            }
            let may = allowed.get(module.as_str()).unwrap_or_else(|| panic!("{module} is not on the floor plan"));
            for other in allowed.keys().filter(|other| **other != module && !may.contains(other)) {
                for path in [format!("crate::{other}::"), format!("crate::{other};"), format!("crate::{{{other}")] {
                    assert!(!without_tests(&text).contains(&path), "{} imports {other}", file.display());
                }
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
    for (file, text) in CRATES.into_iter().flat_map(sources) {
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

fn module_of(folder: &str, file: &Path) -> String {
    let below = file.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    below.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}
