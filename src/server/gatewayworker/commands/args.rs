//! Names as commands carry them: raw text, or JSON that PHP's `json_encode` wrote, in which they were an array's keys or
//! values (protocol.md, 5).

use crate::server::gateway::{Group, Uid};
use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error, IgnoredAny};

/// Bytes of a uid or a group's name; PHP knew no bound.
pub const MAX_NAME_BYTES: usize = 4096;

/// Names in one command. All of the inner port waits while they are looked up.
pub const MAX_NAMES: usize = 100_000;

/// Fields of a row.
pub const MAX_FIELDS: usize = 16;

/// A JSON list, or an object of which the values count.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Values {
    List(Vec<Scalar>),
    Object(IndexMap<String, Scalar>),
}

/// What may be a name. Arrays may not: the original ended at them.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// One, or several.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum OneOrValues {
    Several(Values),
    One(Scalar),
}

/// What is no array excludes nobody.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Excluded {
    Clients(Values),
    Nothing(IgnoredAny),
}

#[derive(Deserialize)]
pub struct SendToGroupArgs {
    pub group: OneOrValues,
    #[serde(default)]
    pub exclude: Option<Excluded>,
}

#[derive(Default, Deserialize)]
pub struct SendToAllArgs {
    #[serde(default)]
    pub connections: Option<Values>,
    #[serde(default)]
    pub exclude: Option<Excluded>,
}

#[derive(Deserialize)]
pub struct SelectArgs {
    #[serde(default)]
    pub fields: Option<Values>,
    #[serde(default, rename = "where")]
    pub filters: Filters,
}

/// `[]` and null are no filters.
#[derive(Default, Deserialize)]
#[serde(untagged)]
pub enum Filters {
    By(IndexMap<String, OneOrValues>),
    Unnamed(Vec<IgnoredAny>),
    #[default]
    None,
}

/// An object as `json_decode` reads it: of two values under one name the last counts.
pub fn read_object<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    // A list would be read into the fields by their places.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(serde_json::Error::custom("no object"));
    }
    serde_json::from_slice(json).or_else(|_| serde_json::from_value(serde_json::from_slice(json)?))
}

impl Excluded {
    pub fn into_vec(self) -> Vec<Scalar> {
        match self {
            Self::Clients(values) => values.into_vec(),
            Self::Nothing(_) => Vec::new(),
        }
    }
}

impl Values {
    pub fn into_vec(self) -> Vec<Scalar> {
        match self {
            Self::List(list) => list,
            Self::Object(object) => object.into_values().collect(),
        }
    }
}

impl OneOrValues {
    pub fn into_vec(self) -> Vec<Scalar> {
        match self {
            Self::Several(values) => values.into_vec(),
            Self::One(one) => vec![one],
        }
    }
}

impl Scalar {
    /// As the text of an array's key: floats are cut, nothing is the empty text.
    pub fn name(&self) -> Vec<u8> {
        match self {
            Self::Null => Vec::new(),
            Self::Bool(value) => i32::from(*value).to_string().into(),
            Self::Int(value) => value.to_string().into(),
            // What does not fit wraps around, there as here.
            Self::Float(value) => (*value as i128 as i64).to_string().into(),
            Self::Text(text) => text.clone().into(),
        }
    }

    pub fn connection(&self) -> Option<u32> {
        match self {
            Self::Int(value) => u32::try_from(*value).ok(),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

pub fn groups(scalars: &[Scalar]) -> Vec<Group> {
    scalars.iter().map(|scalar| Group::new(scalar.name())).collect()
}

pub fn uids(scalars: &[Scalar]) -> Vec<Uid> {
    scalars.iter().map(|scalar| Uid::new(scalar.name())).collect()
}

/// PHP counts these as empty: nobody is bound to them or joins them.
pub fn is_empty_name(name: &[u8]) -> bool {
    matches!(name, b"" | b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_values_are_named_as_array_keys_are() {
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
        // GatewayClient 2.0.7's.
        assert_eq!(groups(r#" {"group":["a"],"exclude":[7,8]}"#), Some((1, 2)));
        assert_eq!(groups(r#"{"group":["x"],"group":["a","b"],"exclude":5}"#), Some((2, 0)));
        for json in ["[\"a\"]", "[[\"a\"],null]", "5", "", "{}"] {
            assert_eq!(groups(json), None, "{json}");
        }
    }
}
