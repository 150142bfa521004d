//! The promises of docs/security.md are tests that there are, and its limits are those of the command line.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::process::run;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("docs/security.md")).unwrap()
}

#[test]
fn every_row_of_the_threats_names_a_test_that_there_is() {
    let page = page();
    let rows = page.lines().filter(|line| line.starts_with('|') && line.contains("::"));
    let mut named = 0;
    for row in rows {
        let test = row.trim_end_matches(" |").rsplit('`').nth(1).unwrap();
        let (module, name) = test.rsplit_once("::").unwrap();
        let there = files_of(module).iter().any(|file| {
            let text = fs::read_to_string(file).unwrap();
            let function = text.split(&format!("fn {name}(")).next().filter(|before| before.len() < text.len());
            function.is_some_and(|before| before.lines().rev().take(4).any(|line| line.contains("test")))
        });
        assert!(there, "there is no test {test}");
        named += 1;
    }
    assert!(named > 20, "{named} rows");
}

/// The files in which a module's tests may be.
fn files_of(module: &str) -> Vec<PathBuf> {
    let mut found = vec![root().join(format!("tests/it/{module}.rs"))];
    let mut folders = vec![root().join("core/src"), root().join("service/src"), root().join("cli/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_stem().is_some_and(|stem| stem == module) {
                found.push(path);
            }
        }
    }
    found.retain(|file| file.exists());
    found
}

#[tokio::test]
async fn the_limits_are_those_of_the_command_line_with_their_defaults() {
    let help = run(&["serve", "--help"]).await.stdout;
    let page = page();
    let mut rows = 0;
    for row in page.lines().filter(|line| line.starts_with("| `--max-")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let (flag, default) = (cells[1].trim_matches('`'), cells[2]);
        let (_, rest) = help.split_once(&format!("{flag} <")).unwrap_or_else(|| panic!("{flag} is no flag"));
        let described = rest.split("\n      --").next().unwrap();
        assert!(described.contains(&format!("[default: {default}]")), "{flag}: {described}");
        rows += 1;
    }
    let limits = help.matches("--max-").count() - help.matches("--max-connection-age").count();
    assert_eq!(rows, limits);
}
