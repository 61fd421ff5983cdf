//! The environment variables of settings: their names, their lists, and warnings for names that no setting has.

use config::Value;
use std::collections::HashMap;

/// Prefix of all variables.
const PREFIX: &str = "ROOMCAST_";
/// Short names; each also has its long name `ROOMCAST_<TABLE>_<KEY>`.
const SHORT_NAMES: [(&str, &str); 5] = [
    ("ROOMCAST_DATA_DIR", "storage.data_dir"),
    ("ROOMCAST_LAN_ADDR", "gateway.lan_addr"),
    ("ROOMCAST_REGISTER_ADDR", "gateway.register_addr"),
    ("ROOMCAST_SECRET_KEY", "gateway.secret_key"),
    ("ROOMCAST_API_KEY", "gateway.api_key"),
];
/// Variables that are no settings: a reload and a restore set them for the process that takes over.
const OTHER_NAMES: [&str; 2] = ["ROOMCAST_SUCCEEDS", "ROOMCAST_RESTORES"];
/// The keys whose values are lists.
const LISTS: [&str; 4] = ["web.allowed_origins", "web.frame_ancestors", "web.trusted_proxies", "web.metrics_from"];

/// Returns the value that the environment sets for a key, by its short name or else by its long one.
pub(super) fn value_of<'a>(key: &str, environment: &'a HashMap<String, String>) -> Option<&'a String> {
    let short = SHORT_NAMES.iter().find(|(_, of)| *of == key).and_then(|(name, _)| environment.get(*name));
    short.or_else(|| environment.get(&long_name(key)))
}

/// One sentence per variable that begins with `ROOMCAST_` and sets nothing, in alphabetical order. Such a variable is no error:
/// container platforms set some by themselves.
pub(super) fn unknown_variables(environment: &HashMap<String, String>, known: &[String]) -> Vec<String> {
    let mut names: Vec<String> = known.iter().map(|key| long_name(key)).collect();
    names.extend(SHORT_NAMES.map(|(name, _)| name.to_owned()));
    let is_known = |name: &String| names.contains(name) || OTHER_NAMES.contains(&name.as_str());
    let mut unknown: Vec<&String> = environment.keys().filter(|name| name.starts_with(PREFIX) && !is_known(name)).collect();
    unknown.sort();
    let line = |name: &String| {
        let nearest =
            super::nearest(name, &names).map_or(String::new(), |nearest| format!("; the nearest known one is {nearest}"));
        format!("the environment variable {name} sets nothing{nearest}")
    };
    unknown.into_iter().map(line).collect()
}

/// The value of a flag or variable: text, or for the keys of a list its items, separated by commas or written as a JSON list.
pub(super) fn list_or_text(key: &str, text: &str) -> Value {
    if !LISTS.contains(&key) {
        return Value::from(text);
    }
    if let Ok(items) = serde_json::from_str::<Vec<String>>(text) {
        return Value::from(items);
    }
    Value::from(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<String>>())
}

fn long_name(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}
