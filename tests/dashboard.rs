//! The dashboard `docs/grafana.json`: it is whole JSON, each of its panels asks for something, and what it asks for is
//! counted somewhere in the source. It never asks a Prometheus.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn dashboard() -> (String, Value) {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/grafana.json")).unwrap();
    let value = serde_json::from_str(&text).unwrap();
    (text, value)
}

/// All of `src/` as one text.
fn source() -> String {
    fn walk(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, text);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut text = String::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
    text
}

/// The metrics a text names; a histogram by its own name, not by those of its parts.
fn metrics(text: &str) -> BTreeSet<String> {
    let whole = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let own = |name: String| {
        let parts = ["_bucket", "_count", "_sum"];
        parts.iter().find_map(|part| name.strip_suffix(part).map(str::to_owned)).unwrap_or(name)
    };
    text.split("roomcast_").skip(1).map(|rest| format!("roomcast_{}", own(whole(rest)))).collect()
}

#[test]
fn every_panel_asks_for_something_and_has_an_id_of_its_own() {
    let (_, dashboard) = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            assert!(target["expr"].as_str().is_some_and(|expr| expr.contains("roomcast_")), "{}", panel["title"]);
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        }
    }
}

#[test]
fn what_it_shows_is_counted_and_what_is_counted_it_shows() {
    let (text, _) = dashboard();
    let (shown, source) = (metrics(&text), source());
    assert!(shown.len() > 10, "{shown:?}");
    let missing: Vec<_> = shown.iter().filter(|name| !source.contains(&format!("\"{name}\""))).collect();
    assert!(missing.is_empty(), "nothing counts {missing:?}");
    // Each metric is made by one of the macros, by its name.
    let counted = ["counter!(\"", "gauge!(\"", "histogram!(\""].iter().flat_map(|made| source.split(made).skip(1));
    let counted: BTreeSet<_> = counted.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect();
    let hidden: Vec<_> = counted.difference(&shown).collect();
    assert!(hidden.is_empty(), "no panel shows {hidden:?}");
}
