//! Checks the dashboard `docs/grafana.json` against the source: each panel has a query, each queried metric exists, and each
//! metric has a panel. No Prometheus is needed.

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

/// The concatenated files of `src/`.
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

/// Returns the metrics that a text names. The suffixes of a histogram are removed.
fn metrics(text: &str) -> BTreeSet<String> {
    let whole = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let own = |name: String| {
        let parts = ["_bucket", "_count", "_sum"];
        parts.iter().find_map(|part| name.strip_suffix(part).map(str::to_owned)).unwrap_or(name)
    };
    text.split("roomcast_").skip(1).map(|rest| format!("roomcast_{}", own(whole(rest)))).collect()
}

#[test]
fn every_panel_has_a_query_and_a_unique_id() {
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
fn every_shown_metric_exists_and_every_metric_is_shown() {
    let (text, _) = dashboard();
    let (shown, source) = (metrics(&text), source());
    assert!(shown.len() > 10, "{shown:?}");
    let missing: Vec<_> = shown.iter().filter(|name| !source.contains(&format!("\"{name}\""))).collect();
    assert!(missing.is_empty(), "not in the source: {missing:?}");
    // Each metric is created by one of these macros, with its name as a literal.
    let counted = ["counter!(\"", "gauge!(\"", "histogram!(\""].iter().flat_map(|made| source.split(made).skip(1));
    let counted: BTreeSet<_> = counted.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect();
    let hidden: Vec<_> = counted.difference(&shown).collect();
    assert!(hidden.is_empty(), "without a panel: {hidden:?}");
}
