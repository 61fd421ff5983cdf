//! A line that is said to Register (protocol.md, 2.2 and 2.3).

use serde_json::Value;

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
    Refused,
    /// It ends with a line that says why.
    Nonsense,
}

impl Request {
    /// A line without its end.
    pub fn read(line: &[u8], is_key: impl Fn(&str) -> bool) -> Self {
        let Ok(said) = serde_json::from_slice::<Value>(line) else { return Self::Nonsense };
        let event = match said.get("event") {
            None | Some(Value::Null) => return Self::Nonsense,
            Some(event) => event.as_str().unwrap_or_default(),
        };
        // A missing key is the empty one; a number is none.
        let knows_key = match said.get("secret_key") {
            None | Some(Value::Null) => is_key(""),
            Some(key) => key.as_str().is_some_and(&is_key),
        };
        match event {
            "gateway_connect" => match said.get("address").and_then(Value::as_str) {
                Some(address) if knows_key && !matches!(address, "" | "0") && address.len() <= MAX_ADDRESS => {
                    Self::Gateway { address: address.to_owned() }
                }
                _ => Self::Refused,
            },
            "worker_connect" if knows_key => Self::Worker,
            "ping" => Self::Ping,
            _ => Self::Refused,
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
        check(r#"{"event":"worker_connect","secret_key":"other"}"#, "k", Request::Refused);
        check(r#"{"event":"worker_connect","secret_key":0}"#, "0", Request::Refused);
        check(r#"{"event":"gateway_connect", "address":"a:1", "secret_key":""}"#, "", gateway("a:1"));
        check(r#"{"event":"gateway_connect", "address":"a:1", "secret_key":"x"}"#, "", Request::Refused);
        check(r#"{"event":"gateway_connect"}"#, "", Request::Refused);
        check(r#"{"event":"gateway_connect","address":""}"#, "", Request::Refused);
        check(r#"{"event":"ping","secret_key":"wrong"}"#, "k", Request::Ping);
        check(r#"{"event":"who"}"#, "", Request::Refused);
        check(r#"{"event":5}"#, "", Request::Refused);
        for nonsense in ["", "hello", "{}", "[]", "5", "\"ping\"", r#"{"event":null}"#, "\u{ff}"] {
            check(nonsense, "", Request::Nonsense);
        }
    }
}
