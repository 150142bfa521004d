//! The commands of the docs, run in a folder with the files that the same page shows, and with `docs` and `k8s`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::manifests::whole;
use super::page::{Page, pages, root, updating};
use super::world::{self, BROKERS};
use crate::support::process::{Ended, run_at};
use crate::support::scripted_aws::ScriptedAws;

/// Commands that need nothing but files and the servers of [`world`].
const RUN: [&str; 3] = ["validate", "explain", "replay"];

/// A command of a console block, and what the page says that it prints.
pub struct Shown<'a> {
    pub command: &'a str,
    pub output: &'a str,
}

/// The commands of a block: each begins with `$ ` and goes on in the next line behind a backslash.
pub fn shown(block: &str) -> impl Iterator<Item = Shown<'_>> {
    let begins: Vec<_> =
        block.match_indices("$ ").map(|(at, _)| at).filter(|at| block[..*at].ends_with('\n') || *at == 0).collect();
    let ends = begins.clone().into_iter().skip(1).chain([block.len()]);
    begins.into_iter().zip(ends).map(|(begin, end)| {
        let text = &block[begin + 2..end];
        let mut end = 0;
        for line in text.split_inclusive('\n') {
            end += line.len();
            if !line.trim_end().ends_with('\\') {
                break;
            }
        }
        let (command, output) = text.split_at(end);
        Shown { command: command.trim_end(), output }
    })
}

/// Commands for a shell, with pipes and the like, are for people.
fn can_run(command: &str) -> bool {
    let runs = |name: &&str| command.starts_with(&format!("keda-stream-scaler {name} "));
    RUN.iter().any(runs) && !command.contains(['|', '<', '>', '&', ';', '$', '*', '"', '\''])
}

/// The files that a page shows: YAML whose first line is a comment with nothing but a name.
fn write_files(page: &Page, folder: &Path, brokers: &str) {
    for block in page.blocks().filter(|block| block.language == "yaml") {
        let name = block.text.lines().next().and_then(|line| line.strip_prefix("# ")?.strip_suffix(".yaml"));
        if let Some(name) = name.filter(|name| !name.contains(' ')) {
            let text = if block.text.contains("triggers:") { whole(block.text) } else { block.text.to_owned() };
            fs::write(folder.join(format!("{name}.yaml")), text.replace(BROKERS, brokers)).unwrap();
        }
    }
}

/// Where ages are told, numbers change from run to run: those of ages, and what holds a time, as names of shards do.
fn without_times(text: &str) -> Cow<'_, str> {
    if !text.contains(" s old") {
        return text.into();
    }
    let mut masked = String::new();
    for letter in text.chars() {
        let (letter, inside) = if letter.is_ascii_digit() { ('#', masked.ends_with('#')) } else { (letter, false) };
        if !inside {
            masked.push(letter);
        }
    }
    // a whole number of seconds has no digits behind a point
    masked.replace("#.#", "#").into()
}

async fn printed(command: &str, folder: &Path, brokers: &str, aws: &ScriptedAws) -> String {
    let words: Vec<_> = command.split_whitespace().filter(|word| *word != "\\").skip(1).collect();
    let endpoint = aws.endpoint();
    let environment =
        [("AWS_ENDPOINT_URL", &*endpoint), ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "a-secret")];
    let Ended { code, stdout, stderr } = run_at(folder, &environment, &words).await;
    assert_eq!((code, &*stderr), (Some(0), ""), "{command}: {stdout}");
    stdout.replace(brokers, BROKERS)
}

/// The blocks that do not show what their commands print, each with what it should be.
async fn stale(page: &Page, brokers: &str) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    write_files(page, folder.path(), brokers);
    for shared in ["docs", "k8s"] {
        symlink(root().join(shared), folder.path().join(shared)).unwrap();
    }
    let mut stale = Vec::new();
    for block in page.blocks().filter(|block| block.language == "console") {
        let mut fresh = String::new();
        for Shown { command, output } in shown(block.text) {
            let seen = if can_run(command) {
                printed(command, folder.path(), brokers, &world::aws().await).await
            } else {
                output.into()
            };
            let seen = if without_times(&seen) == without_times(output) { output } else { &seen };
            write!(fresh, "$ {command}\n{seen}").unwrap();
        }
        if fresh != block.text {
            stale.push((block.text.to_owned(), fresh));
        }
    }
    stale
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_print_what_the_docs_show() {
    let brokers = world::kafka().await;
    for page in pages() {
        let stale = stale(&page, &brokers).await;
        if updating() {
            let replaced = |text: &str| stale.iter().fold(text.to_owned(), |text, (old, new)| text.replace(old, new));
            page.rewrite(replaced);
            continue;
        }
        assert!(
            stale.is_empty(),
            "{}: UPDATE_GENERATED=1 cargo test --test it docs:: writes what is seen now: {stale:#?}",
            page.name
        );
    }
}

#[test]
fn a_block_is_taken_apart_into_commands_and_what_they_print() {
    let block = "$ one a \\\n    b\nprinted for 3 $ \nby one\n$ two\n";
    let all: Vec<_> = shown(block).map(|shown| (shown.command, shown.output)).collect();
    assert_eq!(all, [("one a \\\n    b", "printed for 3 $ \nby one\n"), ("two", "")]);
    assert_eq!(without_times("shard-017: 1.5 s old, value 1.5"), without_times("shard-238: 2 s old, value 2"));
    assert_ne!(without_times("lag 3"), without_times("lag 4"));
}
