//! Reads the repository's files, and takes the comments out of a source file.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository: its path below the root, with `/`, and its text.
pub struct SourceFile {
    pub path: String,
    pub text: String,
}

/// The folder of Cargo.toml.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Folders of installed or built files.
const FOREIGN: [&str; 4] = ["node_modules", "target", "playwright-report", "test-results"];

/// The files of `folder` and of the folders in it whose names end in one of `endings`, ordered by path.
pub fn files_in(folder: &str, endings: &[&str]) -> Vec<SourceFile> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    let below_root = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
    let mut found: Vec<_> = paths
        .iter()
        .filter(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)))
        .map(|path| SourceFile { path: below_root(path), text: fs::read_to_string(path).unwrap() })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(path: &Path, found: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        found.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if !FOREIGN.iter().any(|name| entry.file_name() == *name) {
            collect(&entry.path(), found);
        }
    }
}

/// The Rust files of `src/`.
pub fn sources() -> Vec<SourceFile> {
    let found = files_in("src", &[".rs"]);
    assert!(found.len() > 40, "the source was not found");
    found
}

/// The prose of a file, one entry per line that holds any: line number from 1, text.
pub fn prose(file: &SourceFile) -> Vec<(usize, &str)> {
    let ending = file.path.rsplit('.').next().unwrap_or_default();
    match ending {
        "md" => markdown(&file.text),
        "sh" | "py" | "toml" => marked(&file.text, "#"),
        _ => marked(&file.text, "//"),
    }
}

/// Everything but code blocks, fenced or indented by four.
fn markdown(text: &str) -> Vec<(usize, &str)> {
    let mut in_code = false;
    let mut lines = Vec::new();
    for (number, line) in numbered(text) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code && !line.starts_with("    ") {
            lines.push((number, line));
        }
    }
    lines
}

/// Comments to the end of the line, and with `//` also those between `/*` and `*/`. A mark inside of a word or a URL is none.
fn marked<'a>(text: &'a str, mark: &str) -> Vec<(usize, &'a str)> {
    let mut in_block = false;
    let mut lines = Vec::new();
    for (number, line) in numbered(text) {
        let comment = if in_block {
            Some(line)
        } else {
            let starts = |mark: &str| line.match_indices(mark).map(|(at, _)| at).find(|at| is_start_of_word(line, *at));
            let block = if mark == "//" { starts("/*") } else { None };
            in_block = block.is_some();
            block.or_else(|| starts(mark).filter(|at| !line[*at..].starts_with("#!"))).map(|at| &line[at..])
        };
        in_block = in_block && !line.contains("*/");
        lines.extend(comment.map(|comment| (number, comment.trim_matches(|c| "/!*# ".contains(c)))));
    }
    lines
}

fn is_start_of_word(line: &str, at: usize) -> bool {
    line[..at].chars().next_back().is_none_or(char::is_whitespace)
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn lines_of(path: &str, text: &str) -> Vec<(usize, String)> {
    let file = SourceFile { path: path.into(), text: text.into() };
    prose(&file).into_iter().map(|(number, line)| (number, line.to_owned())).collect()
}

#[test]
fn comments_are_found_and_code_and_urls_are_not() {
    let text = "//! Head.\nlet url = \"https://a.example\"; // tail\n/// Doc.\nfn f() {}\n/* one\ntwo */ x();\ny();\n";
    let expected = [(1, "Head."), (2, "tail"), (3, "Doc."), (5, "one"), (6, "two */ x();")];
    assert_eq!(lines_of("a.rs", text), expected.map(|(number, line)| (number, line.to_owned())));
}

#[test]
fn shell_comments_are_found_and_the_interpreter_line_is_not() {
    assert_eq!(lines_of("a.sh", "#!/bin/sh\n# Word.\necho \"$#\"\n"), [(2, "Word.".to_owned())]);
}

#[test]
fn code_blocks_of_a_document_are_not_prose() {
    assert_eq!(lines_of("a.md", "One.\n```\nlet x;\n```\n    make\nTwo."), [(1, "One.".to_owned()), (6, "Two.".to_owned())]);
}
