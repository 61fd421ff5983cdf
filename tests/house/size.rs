//! Functions and files have a greatest length.

use crate::house::source::{SourceFile, files_in, sources};

/// Lines from `fn` to the closing brace.
const FUNCTION_LINES: usize = 60;
/// The same for a Leptos view.
const VIEW_LINES: usize = 80;
/// Lines of a file with its unit tests. A file of unit tests alone, `*_tests.rs`, may be longer.
const FILE_LINES: usize = 350;

/// Each function of rustfmt's layout that is longer than it may be. `fn` and the closing brace stand at the same indent.
fn long_functions(file: &SourceFile) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| starts_function(line)) {
        let indent = &line[..line.len() - line.trim_start().len()];
        let is_end = |line: &str, end: &str| line.strip_prefix(indent).is_some_and(|rest| rest.starts_with(end));
        let end = lines[at..].iter().position(|line| is_end(line, "}") || (is_end(line, ")") && line.ends_with(';')));
        let length = end.map_or(1, |end| end + 1);
        let limit = if is_view(&lines[..at]) { VIEW_LINES } else { FUNCTION_LINES };
        if length > limit {
            found.push(format!("{}:{}: {length} lines, at most {limit}: {}", file.path, at + 1, line.trim()));
        }
    }
    found
}

/// Whether a line opens a function with a body of more than this line.
fn starts_function(line: &str) -> bool {
    let before = line.trim_start().split("fn ").next().unwrap_or_default();
    let words_before = before.split_whitespace().all(|word| {
        word.starts_with("pub") || matches!(word, "const" | "async" | "unsafe" | "extern" | "\"C\"" | "in" | "crate)" | "super)")
    });
    line.contains("fn ") && words_before && !line.ends_with(';') && !line.ends_with('}')
}

/// Whether the attributes directly above make a function a Leptos view.
fn is_view(above: &[&str]) -> bool {
    let attributes = above.iter().rev().map(|line| line.trim_start()).take_while(|line| line.starts_with(['#', '/']));
    attributes.into_iter().any(|line| line.starts_with("#[component") || line.starts_with("#[island"))
}

fn long_file(file: &SourceFile) -> Option<String> {
    let lines = file.text.lines().count();
    let is_long = lines > FILE_LINES && !file.path.ends_with("_tests.rs");
    is_long.then(|| format!("{}: {lines} lines, at most {FILE_LINES}", file.path))
}

fn all() -> Vec<SourceFile> {
    let benches = [files_in("benches", &[".rs"]), files_in("fuzz", &[".rs"])];
    sources().into_iter().chain(files_in("tests", &[".rs"])).chain(benches.into_iter().flatten()).collect()
}

#[test]
fn functions_are_short() {
    let long: Vec<_> = all().iter().flat_map(long_functions).collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn files_are_short() {
    let long: Vec<_> = all().iter().filter_map(long_file).collect();
    assert!(long.is_empty(), "{long:#?}");
}

fn function_of(lines: usize, attribute: &str) -> SourceFile {
    let body = "        x();\n".repeat(lines - 2);
    let text = format!(
        "impl A {{\n    fn declared(\n        a: u8,\n    );\n    {attribute}\n    pub async fn f() {{\n{body}    }}\n}}\n"
    );
    SourceFile { path: "src/a.rs".into(), text }
}

#[test]
fn a_long_function_is_found() {
    assert!(long_functions(&function_of(60, "#[inline]")).is_empty());
    let found = long_functions(&function_of(61, "#[inline]"));
    assert_eq!(found, ["src/a.rs:6: 61 lines, at most 60: pub async fn f() {"]);
}

#[test]
fn a_view_may_be_longer_than_a_function() {
    assert!(long_functions(&function_of(80, "#[component]")).is_empty());
    assert_eq!(long_functions(&function_of(81, "#[island(lazy)]")).len(), 1);
}

#[test]
fn a_long_file_is_found() {
    let file = |path: &str, lines| SourceFile { path: path.into(), text: "//\n".repeat(lines) };
    assert_eq!(long_file(&file("src/a.rs", 350)), None);
    assert!(long_file(&file("src/a.rs", 351)).is_some());
    assert_eq!(long_file(&file("src/a_tests.rs", 351)), None);
}
