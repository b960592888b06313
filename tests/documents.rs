//! The documents agree with each other: each Chinese page has the content of its English page, links and paths lead
//! somewhere, and no document is too long.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The Chinese page of `X.md` is `X.zh-CN.md`.
const CHINESE: &str = "zh-CN.md";
/// Lines and bytes of a README.
const README_MOST: (usize, usize) = (150, 9 * 1024);
/// Lines of any document.
const MOST_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The parts of a document that do not depend on its language.
#[derive(Debug, Default)]
struct Shape {
    /// The level of each heading.
    headings: Vec<usize>,
    /// Commands, samples of configuration, answers. Of a diagram, whose labels are text, only its first line.
    blocks: Vec<String>,
    /// For each row of a table: its number of cells, and the code in its first; languages differ in its order.
    rows: Vec<(usize, BTreeSet<String>)>,
    /// Items of lists.
    items: usize,
    /// Everything between backticks.
    code: BTreeSet<String>,
}

impl Shape {
    fn of(text: &str) -> Self {
        let mut shape = Self::default();
        let mut block: Option<String> = None;
        let mut prose = String::new();
        for line in text.lines() {
            let is_fence = line.trim_start().starts_with("```");
            match (&mut block, is_fence) {
                (Some(_), true) => shape.blocks.extend(block.take()),
                (Some(block), false) if block.starts_with("```mermaid") => {}
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
        } else if line.starts_with("* ") || line.starts_with("- ") || is_numbered(line) {
            self.items += 1;
        }
    }
}

fn is_numbered(line: &str) -> bool {
    line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}

/// Everything between backticks.
fn code(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(|code| code.replace('\n', " ")).collect()
}

/// The documents that exist in both languages, by the path of the English one.
fn pairs() -> Vec<PathBuf> {
    let is_english = |path: &PathBuf| !path.to_string_lossy().ends_with(CHINESE);
    let guide = markdown_in(&root().join("docs/guide"), false).into_iter().filter(is_english);
    let others = ["README.md", "docs/operate/operations.md", "docs/operate/security.md"];
    let others = others.map(|path| root().join(path));
    guide.chain(others).collect()
}

#[test]
fn chinese_pages_have_the_content_of_the_english_ones() {
    let pairs = pairs();
    assert!(pairs.len() >= 7, "{pairs:?}");
    for path in pairs {
        let (english, chinese) =
            (Shape::of(&read(&path)), Shape::of(&read(path.with_extension(CHINESE))));
        let page = path.display();
        assert_eq!(english.headings, chinese.headings, "headings of {page}");
        for (english, chinese) in english.blocks.iter().zip(&chinese.blocks) {
            assert_eq!(english, chinese, "a block of code of {page}");
        }
        assert_eq!(english.blocks.len(), chinese.blocks.len(), "blocks of code of {page}");
        for (english, chinese) in english.rows.iter().zip(&chinese.rows) {
            assert_eq!(english, chinese, "a row of a table of {page}");
        }
        assert_eq!(english.rows.len(), chinese.rows.len(), "rows of tables of {page}");
        assert_eq!(english.items, chinese.items, "items of lists of {page}");
        let missing: Vec<_> = english.code.symmetric_difference(&chinese.code).collect();
        assert!(missing.is_empty(), "only one language of {page} has {missing:?}");
    }
}

#[test]
fn documents_are_short() {
    for path in documents() {
        let text = read(&path);
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{}: {lines} lines", path.display());
        let name = path.file_name().expect("a name").to_string_lossy();
        if name.starts_with("README.") {
            assert!(
                lines <= README_MOST.0 && text.len() <= README_MOST.1,
                "{name}: {lines} lines, {} bytes",
                text.len()
            );
        }
    }
}

/// Paths of files in that folder, or below it, in order.
fn files_in(folder: &Path, is_deep: bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_file() {
            files.push(path);
        } else if is_deep && name != "target" && name != "__pycache__" {
            files.extend(files_in(&path, true));
        }
    }
    files.sort();
    files
}

fn markdown_in(folder: &Path, is_deep: bool) -> Vec<PathBuf> {
    let is_markdown = |path: &PathBuf| path.extension().is_some_and(|it| it == "md");
    files_in(folder, is_deep).into_iter().filter(is_markdown).collect()
}

fn documents() -> Vec<PathBuf> {
    let mut all = markdown_in(root(), false);
    for folder in ["docs", "benches"] {
        all.extend(markdown_in(&root().join(folder), true));
    }
    assert!(all.len() > 40, "{all:?}");
    all
}

/// The targets of `[text](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// A heading's anchor, as repository hosts derive it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = read(&document);
        for link in links(&text).filter(|link| !link.contains("://") && !link.contains(' ')) {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let folder = document.parent().expect("a folder");
            let target = if path.is_empty() { document.clone() } else { folder.join(path) };
            let has_heading = || {
                let target = read(&target);
                let mut headings = target.lines().filter_map(|line| line.strip_prefix('#'));
                headings.any(|line| anchor(line.trim_matches(['#', ' '])) == fragment)
            };
            if !target.exists() || (!fragment.is_empty() && !has_heading()) {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The documents that code, samples and scripts name by their path from the root.
#[test]
fn documents_that_other_files_name_are_there() {
    let mut files = files_in(root(), false);
    for folder in ["src", "actors", "tests", "benches", "config", "fuzz/fuzz_targets", ".ci"] {
        files.extend(files_in(&root().join(folder), true));
    }
    let mut named = BTreeSet::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for rest in text.split("docs/").skip(1) {
            let is_part = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            let path = rest[..end].trim_end_matches('.');
            if [".md", ".svg", ".png"].iter().any(|end| path.ends_with(end)) {
                named.insert((format!("docs/{path}"), file.clone()));
            }
        }
    }
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|(path, _)| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
