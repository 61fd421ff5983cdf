//! A line that is said to Register (protocol.md, 2.2 and 2.3).

use serde_json::value::RawValue;
use std::collections::HashMap;

/// Bytes of an address of another gateway.
const MAX_ADDRESS: usize = 256;

/// What it asks for.
#[derive(PartialEq, Eq, Debug)]
pub enum Request {
    Gateway {
        address: String,
    },
    Worker,
    Ping,
    /// The connection ends, with nothing said.
    Rejected,
    /// It ends with a line that says why.
    Malformed,
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

impl Request {
    /// A line without its end.
    pub fn read(line: &[u8], is_key: impl Fn(&str) -> bool) -> Self {
        // Of two values under one name the last counts; what they are is looked at where it matters. Null counts as missing.
        let Ok(mut take) = serde_json::from_slice::<HashMap<String, Option<&RawValue>>>(line) else { return Self::Malformed };
        let mut take = |name: &str| take.remove(name).flatten();
        // PHP counts these as missing, too.
        const NOTHING: [&str; 7] = ["\"\"", "\"0\"", "0", "0.0", "false", "[]", "{}"];
        let Some(event) = take("event").filter(|event| !NOTHING.contains(&event.get())) else { return Self::Malformed };
        // A missing key is the empty one; a number is none.
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
    fn every_row_of_odd_input_has_its_reaction() {
        let check = |line: &str, key: &str, expected: Request| {
            assert_eq!(Request::read(line.as_bytes(), |shown| shown == key), expected, "{line}");
        };
        let gateway = |address: &str| Request::Gateway { address: address.into() };
        check(r#"{"event":"worker_connect","secret_key":"k"}"#, "k", Request::Worker);
        check(r#"{"event":"worker_connect"}"#, "", Request::Worker);
        check(r#"{"event":"worker_connect","secret_key":null}"#, "", Request::Worker);
        check(r#"{"event":"worker_connect","secret_key":"other"}"#, "k", Request::Rejected);
        check(r#"{"event":"worker_connect","secret_key":0}"#, "0", Request::Rejected);
        check(r#"{"event":"gateway_connect", "address":"a:1", "secret_key":""}"#, "", gateway("a:1"));
        check(r#"{"event":"gateway_connect", "address":"a:1", "secret_key":"x"}"#, "", Request::Rejected);
        check(r#"{"event":"gateway_connect"}"#, "", Request::Rejected);
        check(r#"{"event":"gateway_connect","address":""}"#, "", Request::Rejected);
        check(r#"{"event":"ping","secret_key":"wrong"}"#, "k", Request::Ping);
        check(r#"{"event":"who","event":"worker_connect","secret_key":5,"secret_key":"k"}"#, "k", Request::Worker);
        check(r#"{"event":"who"}"#, "", Request::Rejected);
        check(r#"{"event":5}"#, "", Request::Rejected);
        for malformed in
            ["", "hello", "{}", "[]", "5", "\"ping\"", r#"{"event":null}"#, r#"{"event":""}"#, r#"{"event":0}"#, "\u{ff}"]
        {
            check(malformed, "", Request::Malformed);
        }
    }
}
