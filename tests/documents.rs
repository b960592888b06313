//! The documents agree with each other: the two READMEs tell the same, and links lead somewhere.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const ENGLISH: &str = "README.md";
const CHINESE: &str = "README.zh-CN.md";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a document is made of, past the language that it is written in.
#[derive(Debug, Default)]
struct Shape {
    /// The level of each heading.
    headings: Vec<usize>,
    /// Commands, samples of configuration, answers.
    blocks: Vec<String>,
    /// Of each row of a table: how many cells it has, and the code in its first; languages differ in its order.
    rows: Vec<(usize, BTreeSet<String>)>,
    /// Items of lists.
    items: usize,
    /// All that stands between backticks.
    code: BTreeSet<String>,
}

impl Shape {
    fn of(text: &str) -> Self {
        let mut shape = Self::default();
        let mut block: Option<String> = None;
        let mut prose = String::new();
        for line in text.lines() {
            let is_fence = line.starts_with("```");
            match (&mut block, is_fence) {
                (Some(_), true) => shape.blocks.extend(block.take()),
                (Some(block), false) => *block += &format!("{line}\n"),
                (None, true) => block = Some(format!("{line}\n")),
                (None, false) => {
                    prose += &format!("{line}\n");
                    shape.take(line);
                }
            }
        }
        assert!(block.is_none(), "a block of code does not end");
        shape.code = code(&prose);
        shape
    }

    fn take(&mut self, line: &str) {
        if line.starts_with('#') {
            self.headings.push(line.chars().take_while(|&c| c == '#').count());
        } else if line.starts_with('|') {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            self.rows.push((cells.len(), code(cells[0])));
        } else if line.starts_with("* ") || line.starts_with("- ") {
            self.items += 1;
        }
    }
}

/// What stands between backticks.
fn code(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(|code| code.replace('\n', " ")).collect()
}

#[test]
fn the_chinese_readme_tells_what_the_english_one_tells() {
    let (english, chinese) = (Shape::of(&read(ENGLISH)), Shape::of(&read(CHINESE)));
    assert_eq!(english.headings, chinese.headings, "headings");
    for (english, chinese) in english.blocks.iter().zip(&chinese.blocks) {
        assert_eq!(english, chinese, "a block of code");
    }
    assert_eq!(english.blocks.len(), chinese.blocks.len(), "blocks of code");
    for (english, chinese) in english.rows.iter().zip(&chinese.rows) {
        assert_eq!(english, chinese, "a row of a table");
    }
    assert_eq!(english.rows.len(), chinese.rows.len(), "rows of tables");
    assert_eq!(english.items, chinese.items, "items of lists");
    let missing: Vec<_> = english.code.symmetric_difference(&chinese.code).collect();
    assert!(missing.is_empty(), "only one of the two has {missing:?}");
}

fn documents() -> Vec<PathBuf> {
    let in_folder = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
    };
    let all = [".", "docs", "docs/operate", "docs/develop", "docs/develop/decisions", "benches"]
        .iter()
        .flat_map(|folder| in_folder(folder));
    all.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The targets of `[text](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// As hosts of repositories make a heading's anchor.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = documents();
    assert!(documents.len() > 15, "{documents:?}");
    for document in documents {
        let text = fs::read_to_string(&document).expect("a text");
        for link in links(&text).filter(|link| !link.contains("://") && !link.contains(' ')) {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let folder = document.parent().expect("a folder");
            let target = if path.is_empty() { document.clone() } else { folder.join(path) };
            assert!(target.exists(), "{}: nothing at {link}", document.display());
            if !fragment.is_empty() {
                let target = fs::read_to_string(&target).expect("a text");
                let mut headings = target.lines().filter_map(|line| line.strip_prefix('#'));
                let found = headings.any(|line| anchor(line.trim_matches(['#', ' '])) == fragment);
                assert!(found, "{}: no heading for {link}", document.display());
            }
        }
    }
}
