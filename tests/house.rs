//! The house rules: who may use whom, and what never stands in the source. A broken rule names its file and line.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod house {
    pub mod language;
    pub mod size;
    pub mod source;
}

use house::source::{root, sources};
use std::collections::BTreeSet;
use std::fs;

/// Each room, and the rooms it may use. Adding an edge wants a sentence in ARCHITECTURE.md.
const EDGES: [(&str, &[&str]); 14] = [
    ("domain", &["domain"]),
    ("server/clock", &[]),
    ("server/config", &[]),
    ("server/php", &[]),
    ("server/gateway", &["domain", "server/config", "server/php"]),
    ("server/payload", &["server/gateway"]),
    ("server/gatewayworker", &["domain", "server/config", "server/gateway", "server/payload", "server/php"]),
    ("server/control", &["domain", "server/gateway"]),
    ("server/allocator", &[]),
    ("server/storage", &["domain", "server/config"]),
    ("server/incident", &["domain", "server/storage"]),
    ("server/accounts", &["domain", "server/clock", "server/incident", "server/storage"]),
    ("server/chat", &["domain", "server/clock", "server/config", "server/gateway", "server/incident", "server/storage"]),
    // `t` is the macro of app/i18n.rs.
    ("app", &["app", "domain", "server/web/actions", "t"]),
];
/// The door may use every floor below it; it must not know the pages.
const DOOR: &str = "server/web";

/// The files of `src/` that run, without those of tests alone: path below `src/`, text.
fn files() -> Vec<(String, String)> {
    let code = sources().into_iter().filter(|file| !file.path.ends_with("_tests.rs"));
    code.map(|file| (file.path.trim_start_matches("src/").to_owned(), file.text)).collect()
}

/// The part that runs: tests stand at the end of a file, or in one of their own.
fn running(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests {").next().unwrap_or(source)
}

/// Every path after `crate::`, with grouped imports written out.
fn used(source: &str) -> BTreeSet<String> {
    let code: String =
        running(source).lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect();
    let mut paths = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(end);
        let head = head.trim_end_matches(':').replace("::", "/");
        match tail.strip_prefix('{') {
            Some(group) if rest[..end].ends_with("::") => {
                let mut depth = 0;
                let group: String = group
                    .chars()
                    .take_while(|c| {
                        depth += i32::from(*c == '{') - i32::from(*c == '}');
                        depth >= 0
                    })
                    .filter(|c| !c.is_whitespace())
                    .collect();
                let mut depth = 0;
                for item in group.split(|c: char| {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    c == ',' && depth == 0
                }) {
                    let name: String = item.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    if !name.is_empty() {
                        paths.insert(format!("{head}/{name}"));
                    }
                }
            }
            _ => {
                paths.insert(head);
            }
        }
    }
    paths
}

#[test]
fn a_floor_uses_only_what_is_below_it() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (file, source) in files() {
        let room = EDGES.iter().find(|(room, _)| file.starts_with(&format!("{room}/")) || file == format!("{room}.rs"));
        for path in used(&source) {
            seen += 1;
            let allowed = match room {
                Some((room, edges)) => {
                    let is_in = |room: &str| path == room || path.starts_with(&format!("{room}/"));
                    is_in(room) || edges.iter().any(|edge| is_in(edge))
                }
                None if file.starts_with(DOOR) => !path.starts_with("app"),
                None => !file.starts_with("server/") || file == "server/mod.rs",
            };
            if !allowed {
                wrong.push(format!("{file} uses crate::{}", path.replace('/', "::")));
            }
        }
    }
    assert!(seen > 100, "the edges were not read: {seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_edge_reader_reads_groups() {
    let source = "use crate::domain::{\n    id::{RoomId, Seq},\n    message::Message,\n};\nuse crate::server::clock::Clock;\nfn f(_: crate::app::App) {}";
    let paths: Vec<_> = used(source).into_iter().collect();
    assert_eq!(paths, ["app/App", "domain/id", "domain/message", "server/clock/Clock"]);
}

#[test]
fn the_targets_part_in_two_places_only() {
    let of_feature = |source: &str| source.matches("cfg(feature").count() + source.matches("cfg_attr(feature").count();
    let found: Vec<_> =
        files().iter().map(|(file, source)| (file.clone(), of_feature(source))).filter(|(_, count)| *count > 0).collect();
    assert_eq!(found, [("lib.rs".to_owned(), 2)]);
}

#[test]
fn nothing_is_written_that_must_not_run() {
    let forbidden =
        ["inner_html", ".unwrap()", ".expect(", "todo!(", "unimplemented!(", "unreachable!(", "dbg!(", "panic!(", "#[allow("];
    let mut wrong = Vec::new();
    for (file, source) in files() {
        for (number, line) in running(&source).lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("src/{file}:{}: {word}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = files().into_iter().filter(|(_, source)| !source.starts_with("//!")).map(|(file, _)| file).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn the_gateway_knows_no_chat_no_axum_no_sql() {
    for (file, source) in files().into_iter().filter(|(file, _)| file.starts_with("server/gateway/")) {
        for word in ["axum", "sqlx", "server::chat", "server::web"] {
            assert!(
                !running(&source).lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word)),
                "{file}: {word}"
            );
        }
    }
}

#[test]
fn the_architecture_fits_one_sitting() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() < 250, "{} lines", text.lines().count());
    assert!(text.contains("Architecture Invariant:"));
}
