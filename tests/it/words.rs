//! How texts in the code are written: plain technical English, and doc comments that say something.

use std::fs;
use std::path::{Path, PathBuf};

use regex_lite::Regex;

/// Words and phrases that are old, literal or about persons; each has a plain one.
const AVOIDED: &[&str] = &[
    r"\btells?\b",
    r"\btold\b",
    r"\bwhoever\b",
    r"\blest\b",
    r"\bthereof\b",
    r"\bso (many|much)\b",
    r"\bsuch a\b",
    r"\b(some|no)body\b",
    r"\b(has|have) to do with\b",
    r"\banew\b",
    r"\bask(s|ed|ing)? for\b",
    r"\bbe rid of\b",
    r"\bmade again\b",
    r"\bto and fro\b",
    r"\bmend(s|ed)?\b",
];
/// A doc comment of fewer words says no more than the name of its item.
const FEWEST_WORDS: usize = 3;

#[test]
fn texts_in_the_code_use_plain_words() {
    let avoided = Regex::new(&format!("(?i){}", AVOIDED.join("|"))).unwrap();
    let mut found = Vec::new();
    for (file, number, line) in lines() {
        let text =
            if line.starts_with("//") { line.as_str() } else { line.split_once('"').map_or("", |(_, text)| text) };
        if let Some(word) = avoided.find(text) {
            found.push(format!("{}:{number}: {:?} in {line}", file.display(), word.as_str()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn doc_comments_say_more_than_a_word_or_two() {
    let all: Vec<_> = lines().collect();
    let is_doc = |index: usize| all.get(index).is_some_and(|(_, _, line)| line.starts_with("///"));
    let short = all.iter().enumerate().filter(|(index, (_, _, line))| {
        let alone = is_doc(*index) && !is_doc(index.wrapping_sub(1)) && !is_doc(index + 1);
        // a name as users write it says what is meant
        alone && !line.contains(['`', '<']) && line.split_whitespace().skip(1).count() < FEWEST_WORDS
    });
    let short: Vec<_> = short.map(|(_, (file, number, line))| format!("{}:{number}: {line}", file.display())).collect();
    assert!(short.is_empty(), "{}", short.join("\n"));
}

/// The lines of all hand-written sources, each with its file and number.
fn lines() -> impl Iterator<Item = (PathBuf, usize, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> = ["cli/src", "controller/src", "core/src", "playground/src", "service/src", "src"]
        .map(|folder| root.join(folder))
        .into();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("gen") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push(path);
            }
        }
    }
    files.into_iter().flat_map(|file| {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<_> = text.lines().map(|line| line.trim().to_owned()).collect();
        lines.into_iter().enumerate().map(move |(index, line)| (file.clone(), index + 1, line))
    })
}
