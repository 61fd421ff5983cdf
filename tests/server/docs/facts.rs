//! The documents' tables against the source: keys and defaults, metrics and labels, names of variables, links.

use super::blocks::{documents, read, root};
use roomcast::server::config::{
    ChatSettings, ClusterSettings, GatewaySettings, LimitsSettings, ModerationSettings, StorageSettings, WebSettings,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Every key with its default, as the table writes it.
fn defaults() -> BTreeMap<String, String> {
    let tables = json!({
        "web": WebSettings::default(), "gateway": GatewaySettings::default(), "chat": ChatSettings::default(), "storage": StorageSettings::default(),
        "limits": LimitsSettings::default(), "moderation": ModerationSettings::default(),
        "cluster": ClusterSettings::default(),
    });
    let written = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(|item| item.as_str().unwrap()).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    let tables = tables.as_object().unwrap().iter();
    let keys = tables.flat_map(|(table, keys)| keys.as_object().unwrap().iter().map(move |(key, value)| (table, key, value)));
    keys.map(|(table, key, value)| (format!("{table}.{key}"), written(value))).collect()
}

#[test]
fn docs_configuration_has_a_row_for_each_key_with_its_default() {
    let (mut table, mut rows) = (String::new(), BTreeMap::new());
    for line in read("docs/configuration.md").lines() {
        if let Some(heading) = line.strip_prefix("## [") {
            table = heading.trim_end_matches(']').to_owned();
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let ["", key, default, _unit, _meaning, ""] = cells[..]
            && let Some(key) = key.strip_prefix('`')
        {
            let before = rows.insert(format!("{table}.{}", key.trim_end_matches('`')), default.to_owned());
            assert!(before.is_none(), "{table}.{key} has two rows");
        }
    }
    assert_eq!(rows, defaults());
}

#[test]
fn docs_name_only_variables_that_are_read() {
    let keys = defaults();
    let mut known: BTreeSet<_> = keys.keys().map(|key| format!("ROOMCAST_{}", key.replace('.', "_").to_uppercase())).collect();
    known.extend(["DATA_DIR", "LAN_ADDR", "REGISTER_ADDR", "SECRET_KEY", "API_KEY"].map(|name| format!("ROOMCAST_{name}")));
    // The pattern of the names.
    known.insert("ROOMCAST_TABLE_KEY".into());
    for (name, text) in documents() {
        for rest in text.split("ROOMCAST_").skip(1) {
            let rest: String = rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
            assert!(known.contains(&format!("ROOMCAST_{rest}")), "{name}: nothing reads ROOMCAST_{rest}");
        }
    }
}

/// All of `src/` as one text, without line breaks inside of macros' arguments.
fn source() -> String {
    fn walk(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, text);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut text = String::new();
    walk(&root().join("src"), &mut text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The metrics that the source records, each with the words of its macro call.
fn recorded(source: &str) -> BTreeMap<String, String> {
    let calls = ["counter!(", "gauge!(", "histogram!("].iter().flat_map(|made| source.split(made).skip(1));
    let calls = calls.filter_map(|call| Some((call.trim_start().strip_prefix('"')?, call)));
    let calls = calls.filter_map(|(name, call)| Some((name.split('"').next()?.to_owned(), call.chars().take(160).collect())));
    calls.filter(|(name, _): &(String, String)| name.starts_with("roomcast_")).collect()
}

#[test]
fn docs_operate_lists_every_metric_with_its_labels() {
    let (source, text) = (source(), read("docs/operate.md"));
    let recorded = recorded(&source);
    let mut listed = BTreeSet::new();
    for quoted in text.split('`').skip(1).step_by(2).filter(|quoted| quoted.starts_with("roomcast_") && *quoted != "roomcast_") {
        let (name, labels) = quoted.split_once('{').unwrap_or((quoted, "}"));
        let call = recorded.get(name).unwrap_or_else(|| panic!("nothing records {name}"));
        for label in labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()) {
            let (label, value) = label.split_once('=').unwrap_or((label, ""));
            assert!(call.contains(&format!("\"{label}\" =>")), "{name} has no label {label}");
            let is_number = value.trim_matches('"').chars().all(|c| c.is_ascii_digit());
            assert!(is_number || label == "outcome" || source.contains(value), "{quoted}: no such value");
        }
        listed.insert(name.to_owned());
    }
    assert_eq!(listed, recorded.into_keys().collect());
}

/// The name that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn docs_links_lead_somewhere() {
    let more = ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|name| (name.to_owned(), read(name)));
    for (name, text) in documents().into_iter().chain(more) {
        let folder = Path::new(&name).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)) {
            if target.starts_with("https://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { root().join(&name) } else { root().join(&folder).join(file) };
            assert!(file.exists(), "{name}: {target} does not exist");
            if !heading.is_empty() {
                let there = std::fs::read_to_string(&file).unwrap();
                let mut headings =
                    there.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#')));
                assert!(headings.any(|known| known == heading), "{name}: {target} has no such heading");
            }
        }
    }
}

#[test]
fn docs_name_files_that_exist() {
    let is_path = |quoted: &&str| {
        let ending = quoted.rsplit_once('.').map_or("", |(_, ending)| ending);
        let is_file = ["rs", "ts", "md", "sh", "json", "css", "toml"].contains(&ending) || quoted.ends_with('/');
        is_file && quoted.contains('/') && !quoted.starts_with('/') && !quoted.contains([' ', '<', '*', ':', '~', '\\'])
    };
    let more = ["CONTRIBUTING.md", "SECURITY.md"].map(|name| (name.to_owned(), read(name)));
    // renames.md lists paths of the past.
    let now = documents().into_iter().filter(|(name, _)| name != "docs/renames.md");
    for (name, text) in now.chain(more) {
        for path in text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_path) {
            assert!(root().join(path).exists() || root().join("src").join(path).exists(), "{name}: {path} does not exist");
        }
    }
}

#[test]
fn docs_name_targets_of_the_makefile() {
    let makefile = read("Makefile");
    for (name, text) in documents().into_iter().chain([("CONTRIBUTING.md".to_owned(), read("CONTRIBUTING.md"))]) {
        for target in text.split("`make ").skip(1).filter_map(|rest| rest.split('`').next()).flat_map(str::split_whitespace) {
            assert!(makefile.contains(&format!("\n{target}:")), "{name}: there is no `make {target}`");
        }
    }
}

#[test]
fn p4_docs_name_every_key_that_is_stored_in_the_browser() {
    let privacy = read("docs/privacy.md");
    let mut keys = BTreeSet::new();
    for folder in ["src", "public"] {
        let files = walkdir(&root().join(folder));
        for text in files.iter().filter_map(|path| std::fs::read_to_string(path).ok()) {
            for call in ["setItem(", "store(conversation, ", "store(self.conversation, "] {
                for rest in text.split(call).skip(1) {
                    let quote =
                        rest.chars().next().filter(|quote| "'\"`".contains(*quote)).unwrap_or_else(|| panic!("{call}{rest}"));
                    let key = rest[1..].split([quote, '$']).next().unwrap();
                    keys.insert(key.trim_end_matches(':').to_owned());
                }
            }
        }
    }
    assert!(keys.len() >= 5, "{keys:?}");
    for key in keys {
        assert!(
            privacy.contains(&format!("`{key}`")) || privacy.contains(&format!("`{key}:ROOM`")),
            "privacy.md has no row for {key}"
        );
    }
}

/// All files below a folder.
fn walkdir(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walkdir(&path) } else { vec![path] }).collect()
}
