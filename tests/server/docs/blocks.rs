//! The fenced blocks of the documents, with their info strings.

use std::fmt;
use std::path::{Path, PathBuf};

/// A fenced block.
pub struct Block {
    /// Where it begins.
    document: String,
    line: usize,
    /// The words behind the fence.
    pub info: String,
    /// The last line before it that is not blank.
    pub before: String,
    /// Its lines, each with its end.
    pub text: String,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.document, self.line)
    }
}

impl Block {
    /// The JavaScript in it.
    pub fn scripts(&self) -> Vec<String> {
        if self.info == "js" {
            return vec![self.text.clone()];
        }
        let script = |rest: &str| rest.split_once("</script>").map(|(script, _)| script.to_owned());
        self.text.split("<script>").skip(1).filter_map(script).collect()
    }
}

/// The repository's folder.
pub fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

pub fn read(document: &str) -> String {
    std::fs::read_to_string(root().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"))
}

/// README.md and docs/*.md: the path from the root, and the text.
pub fn documents() -> Vec<(String, String)> {
    let folder = std::fs::read_dir(root().join("docs")).unwrap();
    let names = folder.map(|entry| format!("docs/{}", entry.unwrap().file_name().into_string().unwrap()));
    let mut names: Vec<_> = names.filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "md")).collect();
    names.push("README.md".into());
    names.sort();
    names.into_iter().map(|name| (name.clone(), read(&name))).collect()
}

pub fn blocks() -> Vec<Block> {
    let found: Vec<_> = documents().iter().flat_map(|(name, text)| blocks_of(name, text)).collect();
    assert!(found.len() > 40, "{} blocks", found.len());
    found
}

fn blocks_of(document: &str, text: &str) -> Vec<Block> {
    let (mut found, mut open, mut before) = (Vec::new(), None::<Block>, "");
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let (document, info, before) = (document.to_owned(), info.to_owned(), before.to_owned());
                open = Some(Block { document, line: number + 1, info, before, text: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => block.text.extend([line, "\n"]),
            (None, None) if line.trim().is_empty() => {}
            (None, None) => before = line,
        }
    }
    found
}
