//! The house rules: dependencies between modules, forbidden code, sizes and language. A violation is reported with its file and
//! line.

#![expect(unreachable_pub, reason = "a test program exports nothing")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod house {
    pub mod language;
    pub mod size;
    pub mod source;
}

use house::source::{root, sources};
use std::collections::BTreeSet;
use std::fs;

/// Each module, and the modules it may use. A new edge needs a sentence in ARCHITECTURE.md.
const EDGES: [(&str, &[&str]); 20] = [
    ("domain", &["domain"]),
    ("server/bus", &["domain", "server/config"]),
    ("server/cluster", &["domain", "server/bus", "server/clock", "server/config", "server/storage"]),
    ("server/clock", &[]),
    ("server/config", &[]),
    ("server/php", &[]),
    ("server/gateway", &["domain", "server/config", "server/php"]),
    ("server/payload", &["domain", "server/gateway"]),
    ("server/gatewayworker", &["domain", "server/config", "server/gateway", "server/payload", "server/php"]),
    (
        "server/control",
        &["domain", "server/accounts", "server/cluster", "server/gateway", "server/kicks", "server/moderation", "server/storage"],
    ),
    ("server/kicks", &["domain", "server/cluster", "server/gateway"]),
    ("server/allocator", &[]),
    ("server/names", &["domain"]),
    ("server/security_log", &["domain", "server/clock", "server/config"]),
    ("server/storage", &["domain", "server/config", "server/names"]),
    ("server/incident", &["domain", "server/storage"]),
    ("server/accounts", &["domain", "server/clock", "server/incident", "server/names", "server/security_log", "server/storage"]),
    (
        "server/chat",
        &[
            "domain",
            "server/bus",
            "server/clock",
            "server/cluster",
            "server/config",
            "server/gateway",
            "server/incident",
            "server/moderation",
            "server/names",
            "server/storage",
        ],
    ),
    ("server/moderation", &["domain", "server/clock", "server/config", "server/incident", "server/names", "server/storage"]),
    // `t` is the macro of app/i18n.rs.
    ("app", &["app", "domain", "server/web/actions", "t"]),
];
/// The web server may use every module below it, and not the pages.
const WEB: &str = "server/web";

/// Paths below `src/` and texts of its files, except `*_tests.rs`.
fn files() -> Vec<(String, String)> {
    let code = sources().into_iter().filter(|file| !file.path.ends_with("_tests.rs"));
    code.map(|file| (file.path.trim_start_matches("src/").to_owned(), file.text)).collect()
}

/// The code before the unit tests at the end of a file.
fn without_tests(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests {").next().unwrap_or(source)
}

/// Every path after `crate::`, with grouped imports expanded.
fn used_paths(source: &str) -> BTreeSet<String> {
    let code: String = without_tests(source)
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
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
fn modules_use_only_the_modules_below_them() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (file, source) in files() {
        let module = EDGES.iter().find(|(module, _)| file.starts_with(&format!("{module}/")) || file == format!("{module}.rs"));
        for path in used_paths(&source) {
            seen += 1;
            let allowed = match module {
                Some((module, edges)) => {
                    let is_in = |module: &str| path == module || path.starts_with(&format!("{module}/"));
                    is_in(module) || edges.iter().any(|edge| is_in(edge))
                }
                None if file.starts_with(WEB) => !path.starts_with("app"),
                None => !file.starts_with("server/") || file == "server/mod.rs",
            };
            if !allowed {
                wrong.push(format!("{file} uses crate::{}", path.replace('/', "::")));
            }
        }
    }
    assert!(seen > 100, "only {seen} paths were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn grouped_imports_are_expanded() {
    let source = "use crate::domain::{\n    id::{RoomId, Seq},\n    message::Message,\n};\nuse crate::server::clock::Clock;\nfn f(_: crate::app::App) {}";
    let paths: Vec<_> = used_paths(source).into_iter().collect();
    assert_eq!(paths, ["app/App", "domain/id", "domain/message", "server/clock/Clock"]);
}

#[test]
fn code_depends_on_the_target_in_two_places_only() {
    let of_feature = |source: &str| source.matches("cfg(feature").count() + source.matches("cfg_attr(feature").count();
    let found: Vec<_> =
        files().iter().map(|(file, source)| (file.clone(), of_feature(source))).filter(|(_, count)| *count > 0).collect();
    assert_eq!(found, [("lib.rs".to_owned(), 2)]);
}

#[test]
fn forbidden_code_is_absent() {
    let forbidden =
        ["inner_html", ".unwrap()", ".expect(", "todo!(", "unimplemented!(", "unreachable!(", "dbg!(", "panic!(", "#[allow("];
    let mut wrong = Vec::new();
    for (file, source) in files() {
        for (number, line) in without_tests(&source).lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("src/{file}:{}: {word}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Trap 20: text of people reaches a page as text nodes only, also through the scripts outside of the wasm.
#[test]
fn scripts_of_pages_write_no_html() {
    let scripts = house::source::files_in("public", &[".js"]);
    assert!(scripts.iter().any(|script| script.path.ends_with("mod.js")), "the scripts were not found");
    let forbidden =
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "createContextualFragment", "eval(", "new Function"];
    let mut wrong = Vec::new();
    for script in scripts {
        for (number, line) in script.text.lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{}: {word}", script.path, number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_begins_with_its_documentation() {
    let silent: Vec<_> = files().into_iter().filter(|(_, source)| !source.starts_with("//!")).map(|(file, _)| file).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn the_gateway_is_independent_of_chat_axum_and_sql() {
    for (file, source) in files().into_iter().filter(|(file, _)| file.starts_with("server/gateway/")) {
        for word in ["axum", "sqlx", "server::chat", "server::web"] {
            assert!(
                !without_tests(&source).lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word)),
                "{file}: {word}"
            );
        }
    }
}

#[test]
fn the_architecture_document_is_short() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() < 250, "{} lines", text.lines().count());
    assert!(text.contains("Architecture Invariant:"));
}
