//! A page of the docs: its headings, links and blocks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A page as it is written.
pub struct Page {
    /// Relative to the repository: `docs/kafka.md`.
    pub name: String,
    pub text: String,
}

/// A fenced block.
pub struct Block<'a> {
    /// What stands behind the opening fence: `yaml`.
    pub language: &'a str,
    pub text: &'a str,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page that a user or contributor reads.
pub fn pages() -> Vec<Page> {
    let ends_in = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "md");
    let in_folder = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(ends_in);
    let mut paths: Vec<_> = in_folder(root().to_owned()).chain(in_folder(root().join("docs"))).collect();
    paths.sort();
    let page = |path: PathBuf| Page {
        name: path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(),
        text: fs::read_to_string(&path).unwrap(),
    };
    paths.into_iter().map(page).collect()
}

/// Whether what is generated is to be written, instead of compared.
pub fn updating() -> bool {
    std::env::var_os("UPDATE_GENERATED").is_some()
}

impl Page {
    /// Changes the file, whatever other tests have written to it in the meantime.
    pub fn rewrite(&self, change: impl FnOnce(&str) -> String) {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap();
        let path = root().join(&self.name);
        let text = change(&fs::read_to_string(&path).unwrap());
        fs::write(path, text).unwrap();
    }

    pub fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        self.fences().filter(|(inside, _)| *inside).map(|(_, part)| {
            let (language, text) = part.split_once('\n').unwrap_or((part, ""));
            Block { language, text }
        })
    }

    /// All that is in no block.
    pub fn prose(&self) -> String {
        self.fences().filter(|(inside, _)| !inside).map(|(_, part)| part).collect()
    }

    /// The parts before, in and after blocks, by turns.
    fn fences(&self) -> impl Iterator<Item = (bool, &str)> {
        let mut inside = true;
        self.text.split("```").map(move |part| {
            inside = !inside;
            (inside, part)
        })
    }

    /// What stands between single backticks.
    pub fn code_spans(&self) -> Vec<String> {
        self.prose().lines().flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned)).collect()
    }

    /// Where its links lead, as written.
    pub fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let ends = prose.split("](").skip(1);
        ends.map(|rest| rest.split([')', ' ']).next().unwrap().to_owned()).collect()
    }

    /// The anchors of its headings, as GitHub makes them.
    pub fn anchors(&self) -> Vec<String> {
        let prose = self.prose();
        let headings = prose.lines().filter(|line| line.starts_with('#'));
        headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
    }
}

fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn a_page_is_taken_apart_into_prose_blocks_and_links() {
    let text = "# A B: c\n[a](x.md#b) `--flag`\n```yaml\n# no heading\n`no span` [no](link)\n```\n## `d`\n";
    let page = Page { name: "a.md".into(), text: text.into() };
    assert_eq!(page.anchors(), ["a-b-c", "d"]);
    assert_eq!(page.links(), ["x.md#b"]);
    assert_eq!(page.code_spans(), ["--flag", "d"]);
    let blocks: Vec<_> = page.blocks().map(|block| (block.language, block.text)).collect();
    assert_eq!(blocks, [("yaml", "# no heading\n`no span` [no](link)\n")]);
}
