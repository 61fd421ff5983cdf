//! The arguments of commands: raw names, or JSON of PHP's `json_encode`, in which names were the keys or values of an array
//! (protocol.md, 5).

use crate::server::gateway::{Group, Uid};
use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error, IgnoredAny};

/// Bytes of a uid or a group name. GatewayWorker has no such limit.
pub(crate) const MAX_NAME_BYTES: usize = 4096;

/// Names in one command. All connections to the inner port wait while they are looked up.
pub(crate) const MAX_NAMES: usize = 100_000;

/// Fields of a `SELECT`.
pub(crate) const MAX_FIELDS: usize = 16;

/// A JSON list, or an object whose values are used.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Values {
    /// A PHP array with the keys 0, 1, 2 and so on.
    List(Vec<Scalar>),
    /// Any other PHP array.
    Object(IndexMap<String, Scalar>),
}

/// A name. An array is an error; GatewayWorker's process exits on it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Scalar {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number with a fraction, or too large for an integer.
    Float(f64),
    /// A string.
    Text(String),
}

/// One name, or several.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrValues {
    /// An array.
    Several(Values),
    /// A scalar.
    One(Scalar),
}

/// The clients that do not receive a message.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Excluded {
    /// Their connection numbers.
    Clients(Values),
    /// Any value that is not an array excludes no client.
    Nothing(IgnoredAny),
}

/// The arguments of `SEND_TO_GROUP`.
#[derive(Deserialize)]
pub(crate) struct SendToGroupArgs {
    /// The groups.
    pub group: OneOrValues,
    /// Clients of the groups that receive nothing.
    #[serde(default)]
    pub exclude: Option<Excluded>,
}

/// The arguments of `SEND_TO_ALL`.
#[derive(Default, Deserialize)]
pub(crate) struct SendToAllArgs {
    /// The receivers; all clients if absent.
    #[serde(default)]
    pub connections: Option<Values>,
    /// Clients that receive nothing.
    #[serde(default)]
    pub exclude: Option<Excluded>,
}

/// The arguments of `SELECT`.
#[derive(Deserialize)]
pub(crate) struct SelectArgs {
    /// The fields of each client in the reply.
    #[serde(default)]
    pub fields: Option<Values>,
    /// The clients in the reply.
    #[serde(default, rename = "where")]
    pub filters: Filters,
}

/// The filters of a `SELECT`. Clients that match any of them are selected.
#[derive(Default, Deserialize)]
#[serde(untagged)]
pub(crate) enum Filters {
    /// Accepted values by field.
    By(IndexMap<String, OneOrValues>),
    /// A list: `[]` selects all clients, any other list none.
    Unnamed(Vec<IgnoredAny>),
    /// `null`, or absent: all clients are selected.
    #[default]
    None,
}

/// Reads an object as `json_decode` reads it: of two values under one name the last is used. Returns an error for other JSON.
pub(crate) fn read_object<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    // Serde would accept a list, and assign its items to the fields in their order.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(serde_json::Error::custom("not an object"));
    }
    serde_json::from_slice(json).or_else(|_| serde_json::from_value(serde_json::from_slice(json)?))
}

impl Excluded {
    /// Returns the connection numbers of the clients.
    pub(crate) fn into_vec(self) -> Vec<Scalar> {
        match self {
            Self::Clients(values) => values.into_vec(),
            Self::Nothing(_) => Vec::new(),
        }
    }
}

impl Values {
    /// Returns the names in their order.
    pub(crate) fn into_vec(self) -> Vec<Scalar> {
        match self {
            Self::List(list) => list,
            Self::Object(object) => object.into_values().collect(),
        }
    }
}

impl OneOrValues {
    /// Returns the names in their order.
    pub(crate) fn into_vec(self) -> Vec<Scalar> {
        match self {
            Self::Several(values) => values.into_vec(),
            Self::One(one) => vec![one],
        }
    }
}

impl Scalar {
    /// Returns the name as PHP writes it as an array key: floats are truncated, `null` is the empty text.
    pub(crate) fn name(&self) -> Vec<u8> {
        match self {
            Self::Null => Vec::new(),
            Self::Bool(value) => i32::from(*value).to_string().into(),
            Self::Int(value) => value.to_string().into(),
            // A number that does not fit wraps around, as in PHP.
            Self::Float(value) => (*value as i128 as i64).to_string().into(),
            Self::Text(text) => text.clone().into(),
        }
    }

    /// Returns the name as a connection number, if it is one.
    pub(crate) fn connection(&self) -> Option<u32> {
        match self {
            Self::Int(value) => u32::try_from(*value).ok(),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// Converts names to group names.
pub(crate) fn groups(scalars: &[Scalar]) -> Vec<Group> {
    scalars.iter().map(|scalar| Group::new(scalar.name())).collect()
}

/// Converts names to uids.
pub(crate) fn uids(scalars: &[Scalar]) -> Vec<Uid> {
    scalars.iter().map(|scalar| Uid::new(scalar.name())).collect()
}

/// Returns true for the names that PHP regards as empty. No client can be bound to them, or join them.
pub(crate) fn is_empty_name(name: &[u8]) -> bool {
    matches!(name, b"" | b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_values_become_names_as_php_writes_array_keys() {
        let values: Values =
            serde_json::from_str(r#"[1001,"1001","用户",true,false,null,1.9,-2.5,"007",18446744073709551615]"#).unwrap();
        let names: Vec<_> = values.into_vec().iter().map(|scalar| String::from_utf8(scalar.name()).unwrap()).collect();
        assert_eq!(names, ["1001", "1001", "用户", "1", "0", "", "1", "-2", "007", "0"]);
        let object: Values = serde_json::from_str(r#"{"y":"b","x":"a"}"#).unwrap();
        assert_eq!(object.into_vec(), [Scalar::Text("b".into()), Scalar::Text("a".into())]);
        assert!(serde_json::from_str::<Values>("[[1]]").is_err() && serde_json::from_str::<Values>("1").is_err());
    }

    #[test]
    fn objects_are_read_as_php_reads_them() {
        let groups = |json: &str| {
            let SendToGroupArgs { group, exclude } = read_object(json.as_bytes()).ok()?;
            Some((group.into_vec().len(), exclude.map_or(0, |exclude| exclude.into_vec().len())))
        };
        assert_eq!(groups(r#"{"group":["a","b"],"exclude":null}"#), Some((2, 0)));
        assert_eq!(groups(r#"{"group":"a","exclude":{"7":7}}"#), Some((1, 1)));
        // As GatewayClient 2.0.7 writes it.
        assert_eq!(groups(r#" {"group":["a"],"exclude":[7,8]}"#), Some((1, 2)));
        assert_eq!(groups(r#"{"group":["x"],"group":["a","b"],"exclude":5}"#), Some((2, 0)));
        for json in ["[\"a\"]", "[[\"a\"],null]", "5", "", "{}"] {
            assert_eq!(groups(json), None, "{json}");
        }
    }
}
