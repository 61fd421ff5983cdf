//! What the methods take, under the names GatewayClient's arguments have, and what the gateway calls it.

use super::method::NotDone;
use super::param_types::{Code, GroupName, MaybeGroupName, OneOrMany, UidName, Who};
use crate::domain::push::CloseCode;
use crate::server::gateway::{Except, Group, Kick, Publication, Selection, Uid};
use crate::server::payload;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A struct of what goes in: nothing but what is named, and what has a default may be left out.
macro_rules! takes {
    ($($(#[$of:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$of])*
        pub struct $name { $($(#[$meta])* pub $field: $type,)* }
    )*};
}

takes! {
    Nothing {}
    Client { client_id: Who, }
    Uids { uids: Vec<UidName>, }
    OfUid { uid: UidName, }
    OfGroups { group: OneOrMany<GroupName>, }
    OfGroup { group: GroupName, }
    Groups { groups: Vec<GroupName>, }
    MaybeGroup {
        #[serde(default)] group: MaybeGroupName,
    }
    #[schemars(transform = raw_is_text)]
    ToAll {
        message: Value,
        #[serde(default)] client_id_array: Option<Vec<Who>>,
        #[serde(default)] exclude_client_id: Option<OneOrMany<Who>>,
        #[serde(default)] exclude_uid: Option<OneOrMany<UidName>>,
        #[serde(default)] raw: bool,
        #[serde(default)] base64: bool,
    }
    #[schemars(transform = raw_is_text)]
    ToClient {
        client_id: Who,
        message: Value,
        #[serde(default)] raw: bool,
        #[serde(default)] base64: bool,
    }
    #[schemars(transform = raw_is_text)]
    ToUid {
        uid: OneOrMany<UidName>,
        message: Value,
        #[serde(default)] exclude_client_id: Option<OneOrMany<Who>>,
        #[serde(default)] raw: bool,
        #[serde(default)] base64: bool,
    }
    #[schemars(transform = raw_is_text)]
    ToGroup {
        group: OneOrMany<GroupName>,
        message: Value,
        #[serde(default)] exclude_client_id: Option<OneOrMany<Who>>,
        #[serde(default)] exclude_uid: Option<OneOrMany<UidName>>,
        #[serde(default)] raw: bool,
        #[serde(default)] base64: bool,
    }
    Close {
        client_id: Who,
        /// Said before the close, if it is given and not null.
        #[serde(default)] message: Option<Value>,
        #[serde(default)] code: Option<Code>,
        /// Of a longer one than 123 bytes the beginning is said.
        #[serde(default)] reason: Option<String>,
    }
    CloseUid {
        uid: UidName,
        #[serde(default)] message: Option<Value>,
        #[serde(default)] code: Option<Code>,
        /// Of a longer one than 123 bytes the beginning is said.
        #[serde(default)] reason: Option<String>,
    }
    Bind { client_id: Who, uid: UidName, }
    Unbind {
        client_id: Who,
        /// Not compared: the client's uid is taken away, whatever it is.
        #[serde(default)] #[expect(dead_code, reason = "taken in for the original's sake")] uid: Option<UidName>,
    }
    Membership { client_id: Who, group: GroupName, }
    Keep { client_id: Who, session: KeptSession, }
    KeepText {
        client_id: Who,
        session: String,
    }
}

/// What [`payload_of`] refuses, in the description.
fn raw_is_text(schema: &mut Schema) {
    let base64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";
    schema.insert(
        "anyOf".into(),
        json!([
            {"properties": {"raw": {"const": false}, "base64": {"const": false}}},
            {
                "properties": {"raw": {"const": true}, "base64": {"const": false}, "message": {"type": "string", "minLength": 1}},
                "required": ["raw"],
            },
            {
                "properties": {
                    "raw": {"const": true},
                    "base64": {"const": true},
                    "message": {"type": "string", "minLength": 1, "contentEncoding": "base64", "pattern": base64},
                },
                "required": ["raw", "base64"],
            },
        ]),
    );
}

/// An object; PHP's empty array counts as an empty one.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum KeptSession {
    Object(Map<String, Value>),
    Empty(#[schemars(length(max = 0))] Vec<Value>),
}

/// Texts go as they are; numbers and the rest as their JSON.
pub fn publication(message: &Value) -> Publication {
    match message {
        Value::String(text) => payload::publication(text.as_bytes(), || message.to_string()),
        other => {
            let json = other.to_string();
            payload::publication(json.as_bytes(), || json.clone())
        }
    }
}

pub fn payload_of(message: &Value, raw: bool, base64: bool) -> Result<Publication, NotDone> {
    let bytes = match (raw, base64, message) {
        (false, false, message) => return Ok(publication(message)),
        (false, true, _) => return Err(NotDone::malformed("base64", "base64 goes with raw")),
        (true, false, Value::String(text)) => Some(Bytes::copy_from_slice(text.as_bytes())),
        (true, true, Value::String(text)) => BASE64_STANDARD.decode(text).ok().map(Bytes::from),
        (true, _, _) => None,
    };
    let publication = bytes.and_then(payload::raw);
    publication.ok_or_else(|| NotDone::malformed("message", "raw bytes are a text, in base64 if it says so"))
}

pub fn kick(code: Option<Code>, reason: Option<String>) -> Kick {
    let code = code.map_or(CloseCode::KICKED, |Code(code)| code);
    Kick { reason: reason.unwrap_or_else(|| code.reason().into()), code, silent_on_plain: false }
}

pub fn except(clients: Option<OneOrMany<Who>>, people: Option<OneOrMany<UidName>>) -> Except {
    let clients = clients.map(OneOrMany::into_vec).unwrap_or_default().into_iter().map(|Who(client)| client).collect();
    let people = people.map(OneOrMany::into_vec).unwrap_or_default();
    Except { clients, uids: people.into_iter().map(|UidName(uid)| uid).collect() }
}

pub fn of(MaybeGroupName(group): MaybeGroupName) -> Selection {
    group.map_or(Selection::All, |group| Selection::Groups(vec![group]))
}

pub fn uids(names: Vec<UidName>) -> Vec<Uid> {
    names.into_iter().map(|UidName(uid)| uid).collect()
}

pub fn names(names: Vec<GroupName>) -> Vec<Group> {
    names.into_iter().map(|GroupName(group)| group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::gateway::Frame;

    fn check(message: Value, plain: &str, v1: &str) {
        let publication = publication(&message);
        let payload = |frame: Option<Frame>| frame.map(|frame| frame.bytes.slice(2..)).unwrap();
        assert_eq!(payload(publication.plain), plain.as_bytes(), "{message}");
        assert_eq!(payload(publication.v1), v1.as_bytes(), "{message}");
    }

    #[test]
    fn what_json_may_be_pushed() {
        check(json!("hello"), "hello", r#"{"type":"data","data":"hello"}"#);
        check(json!({"type": "x"}), r#"{"type":"x"}"#, r#"{"type":"x"}"#);
        check(json!({"b": 1, "a": 2}), r#"{"b":1,"a":2}"#, r#"{"type":"data","data":{"b":1,"a":2}}"#);
        check(json!([1, 2]), "[1,2]", r#"{"type":"data","data":[1,2]}"#);
        check(json!(7.5), "7.5", r#"{"type":"data","data":7.5}"#);
        check(Value::Null, "null", r#"{"type":"data","data":null}"#);
        check(json!(""), "", r#"{"type":"data","data":""}"#);
        let raw = |message: Value, base64| payload_of(&message, true, base64).ok().map(|raw| raw.plain.unwrap().bytes);
        assert_eq!(&raw(json!("gQJoaQ=="), true).unwrap()[..], b"\x81\x02hi");
        assert!(raw(json!("not base64!"), true).is_none() && raw(json!(1), false).is_none());
    }
}
