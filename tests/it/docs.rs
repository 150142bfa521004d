//! What the docs tell is there: links, flags, metrics, targets of make; manifests are good, commands print what is shown.
//!
//! Blocks of YAML and of a console are checked. One that shows what is wrong, or what cannot be had here, has another word behind its
//! language: `yaml wrong`.

mod commands;
mod decision;
mod manifests;
pub mod page;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use self::page::{pages, root};
use crate::support::process::run;

#[test]
fn every_relative_link_and_anchor_leads_somewhere() {
    let pages = pages();
    let mut broken = Vec::new();
    for page in &pages {
        let folder = Path::new(&page.name).parent().unwrap();
        for link in page.links().into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').map_or((&*link, None), |(file, anchor)| (file, Some(anchor)));
            let name = if file.is_empty() { page.name.clone() } else { normal(&folder.join(file)) };
            let there = match (pages.iter().find(|page| page.name == name), anchor) {
                (Some(to), Some(anchor)) => to.anchors().iter().any(|heading| heading == anchor),
                _ => root().join(&name).exists(),
            };
            if !there {
                broken.push(format!("{}: {link}", page.name));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
}

#[test]
fn the_readme_is_short_and_every_page_is_in_the_index() {
    let pages = pages();
    let named = |name: &str| pages.iter().find(|page| page.name == name).unwrap();
    assert!(named("README.md").text.lines().count() <= 400, "the README has at most 400 lines");
    let index = named("docs/README.md").links();
    for page in pages.iter().filter_map(|page| page.name.strip_prefix("docs/")).filter(|page| *page != "README.md") {
        assert!(index.iter().any(|link| link == page), "docs/README.md does not name {page}");
    }
}

/// Without `..` in between.
fn normal(path: &Path) -> String {
    let mut normal = PathBuf::new();
    for part in path {
        if part == ".." {
            assert!(normal.pop(), "{} leaves the repository", path.display());
        } else {
            normal.push(part);
        }
    }
    normal.to_str().unwrap().to_owned()
}

/// The commands that there are, each with its `--help`.
async fn helps() -> Vec<(String, String)> {
    let all = run(&["--help"]).await.stdout;
    let list = all.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let mut helps = Vec::new();
    for name in names.map(|line| line.split_whitespace().next().unwrap()) {
        helps.push((name.to_owned(), run(&[name, "--help"]).await.stdout));
    }
    helps
}

fn has(help: &str, flag: &str) -> bool {
    help.split(|letter: char| !letter.is_alphanumeric() && letter != '-').any(|word| word == flag)
}

/// The words of a command that stand behind the program's name, for every mention of one; `commands` are those that there are.
fn mentions(page: &page::Page, commands: &[&str]) -> Vec<Vec<String>> {
    let spans = page.code_spans();
    let blocks = page.blocks().filter(|block| block.language == "console");
    let shown = blocks.flat_map(|block| commands::shown(block.text)).map(|shown| shown.command.to_owned());
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let ours = |words: Vec<String>| {
        let program = words.iter().position(|word| word == "keda-stream-scaler")?;
        let first = words.get(program + 1)?;
        first.starts_with(|letter: char| letter.is_ascii_lowercase()).then(|| words[program + 1..].to_vec())
    };
    let told = |span: String| {
        let words = words(span);
        // `serve --record DIR` in a sentence
        (words.len() > 1 && words[1].starts_with("--") && commands.contains(&&*words[0])).then_some(words)
    };
    let sentences = spans.iter().cloned().filter_map(|span| ours(words(span.clone())).or_else(|| told(span)));
    let blocks =
        shown.filter(|command| command.starts_with("keda-stream-scaler ")).filter_map(|text| ours(words(text)));
    sentences.chain(blocks).collect()
}

#[tokio::test]
async fn commands_and_flags_that_are_told_of_are_there() {
    let helps = helps().await;
    let commands: Vec<_> = helps.iter().map(|(name, _)| &**name).collect();
    let mut unknown = BTreeSet::new();
    for page in pages() {
        for words in mentions(&page, &commands) {
            let command = &words[0];
            if !commands.contains(&&**command) {
                unknown.insert(format!("{}: {command}", page.name));
            }
            let Some((_, help)) = helps.iter().find(|(name, _)| name == command) else { continue };
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                if !has(help, flag) {
                    unknown.insert(format!("{}: {command} {flag}", page.name));
                }
            }
        }
        for flag in page.code_spans().iter().filter(|span| span.starts_with("--")) {
            let flag = flag.split_whitespace().next().unwrap();
            if !helps.iter().any(|(_, help)| has(help, flag)) {
                unknown.insert(format!("{}: {flag}", page.name));
            }
        }
    }
    assert!(unknown.is_empty(), "commands and flags that nobody has: {unknown:#?}");
}

/// All code, in one text.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { sources(&path) } else { fs::read_to_string(path).unwrap_or_default() })
        .collect()
}

#[test]
fn metrics_that_are_told_of_are_there() {
    const ENDINGS: [&str; 5] = ["_total", "_bucket", "_count", "_sum", "_info"];
    let code = ["service/src", "controller/src"].map(|folder| sources(&root().join(folder))).concat();
    for page in pages() {
        // crates are named alike
        let text = page.text.replace("keda_stream_scaler_", "");
        for rest in text.split("stream_scaler_").skip(1) {
            let name = rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next().unwrap();
            let without = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
            let there = [name, without].iter().any(|name| code.contains(&format!("\"{name}\"")));
            assert!(there, "{}: there is no metric stream_scaler_{name}", page.name);
        }
    }
}

#[test]
fn targets_of_make_that_are_told_of_are_there() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let is_target = |word: &str| makefile.lines().any(|line| line.starts_with(&format!("{word}:")));
    for page in pages() {
        let blocks = page.blocks().filter(|block| block.language == "console");
        let shown = blocks.flat_map(|block| commands::shown(block.text)).map(|shown| shown.command.to_owned());
        for command in page.code_spans().into_iter().chain(shown) {
            let Some(targets) = command.strip_prefix("make ") else { continue };
            for target in targets.split_whitespace().take_while(|word| *word != "#" && !word.contains('=')) {
                assert!(is_target(target), "{}: make has no target {target}", page.name);
            }
        }
    }
}
