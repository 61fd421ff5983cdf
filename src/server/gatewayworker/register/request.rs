//! A request to Register: one line of JSON (protocol.md, 2.2 and 2.3).

use serde_json::value::RawValue;
use std::collections::HashMap;

/// Bytes of the address of another gateway.
const MAX_ADDRESS: usize = 256;

/// A parsed request.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum RegisterRequest {
    /// Another gateway registers its address.
    Gateway {
        /// The address of its inner port.
        address: String,
    },
    /// A worker subscribes to the addresses of all gateways.
    Worker,
    /// Keeps the connection open.
    Ping,
    /// The key is wrong, or the event is unknown. The connection closes without a reply.
    Rejected,
    /// The line is not a request. The connection closes with a reply that says so.
    Malformed,
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

impl RegisterRequest {
    /// Parses a line without its line end. `is_key` compares the presented key.
    pub(super) fn read(line: &[u8], is_key: impl Fn(&str) -> bool) -> Self {
        // Of two values under one name the last is used. Null counts as absent. Values are parsed only where they are used.
        let Ok(mut fields) = serde_json::from_slice::<HashMap<String, Option<&RawValue>>>(line) else { return Self::Malformed };
        let mut take = |name: &str| fields.remove(name).flatten();
        // PHP regards these as absent, too.
        const EMPTY: [&str; 7] = ["\"\"", "\"0\"", "0", "0.0", "false", "[]", "{}"];
        let Some(event) = take("event").filter(|event| !EMPTY.contains(&event.get())) else { return Self::Malformed };
        // An absent key is the empty key. A number is not a key.
        let knows_key = take("secret_key").map_or_else(|| is_key(""), |key| text(key).is_some_and(|key| is_key(&key)));
        match text(event).unwrap_or_default().as_str() {
            "gateway_connect" => match take("address").and_then(text) {
                Some(address) if knows_key && !matches!(&address[..], "" | "0") && address.len() <= MAX_ADDRESS => {
                    Self::Gateway { address }
                }
                _ => Self::Rejected,
            },
            "worker_connect" if knows_key => Self::Worker,
            "ping" => Self::Ping,
            _ => Self::Rejected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_accepted_rejected_or_malformed() {
        let check = |line: &str, key: &str, expected: RegisterRequest| {
            assert_eq!(RegisterRequest::read(line.as_bytes(), |shown| shown == key), expected, "{line}");
        };
        let gateway = |address: &str| RegisterRequest::Gateway { address: address.into() };
        check(r#"{"event":"worker_connect","secret_key":"k"}"#, "k", RegisterRequest::Worker);
        check(r#"{"event":"worker_connect"}"#, "", RegisterRequest::Worker);
        check(r#"{"event":"worker_connect","secret_key":null}"#, "", RegisterRequest::Worker);
        check(r#"{"event":"worker_connect","secret_key":"other"}"#, "k", RegisterRequest::Rejected);
        check(r#"{"event":"worker_connect","secret_key":0}"#, "0", RegisterRequest::Rejected);
        check(r#"{"event":"gateway_connect", "address":"a:1", "secret_key":""}"#, "", gateway("a:1"));
        check(r#"{"event":"gateway_connect", "address":"a:1", "secret_key":"x"}"#, "", RegisterRequest::Rejected);
        check(r#"{"event":"gateway_connect"}"#, "", RegisterRequest::Rejected);
        check(r#"{"event":"gateway_connect","address":""}"#, "", RegisterRequest::Rejected);
        check(r#"{"event":"ping","secret_key":"wrong"}"#, "k", RegisterRequest::Ping);
        check(r#"{"event":"who","event":"worker_connect","secret_key":5,"secret_key":"k"}"#, "k", RegisterRequest::Worker);
        check(r#"{"event":"who"}"#, "", RegisterRequest::Rejected);
        check(r#"{"event":5}"#, "", RegisterRequest::Rejected);
        for malformed in
            ["", "hello", "{}", "[]", "5", "\"ping\"", r#"{"event":null}"#, r#"{"event":""}"#, r#"{"event":0}"#, "\u{ff}"]
        {
            check(malformed, "", RegisterRequest::Malformed);
        }
    }
}
