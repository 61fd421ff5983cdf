//! What the methods take, under the names GatewayClient's arguments have, and what the gateway calls it.

use super::method::ApiError;
use super::param_types::{ClientIdParam, CloseCodeParam, GroupParam, OneOrMany, OptionalGroupParam, UidParam};
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
macro_rules! params {
    ($($(#[$of:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$of])*
        pub struct $name { $($(#[$meta])* pub $field: $type,)* }
    )*};
}

params! {
    NoParams {}
    ClientParams { client_id: ClientIdParam, }
    UidListParams { uids: Vec<UidParam>, }
    UidParams { uid: UidParam, }
    GroupsParams { group: OneOrMany<GroupParam>, }
    GroupParams { group: GroupParam, }
    GroupListParams { groups: Vec<GroupParam>, }
    OptionalGroupParams {
        #[serde(default)] group: OptionalGroupParam,
    }
    #[schemars(transform = raw_is_text)]
    SendToAll {
        message: Value,
        #[serde(default)] client_id_array: Option<Vec<ClientIdParam>>,
        #[serde(default)] exclude_client_id: Option<OneOrMany<ClientIdParam>>,
        #[serde(default)] exclude_uid: Option<OneOrMany<UidParam>>,
        #[serde(default)] raw: bool,
        #[serde(default)] base64: bool,
    }
    #[schemars(transform = raw_is_text)]
    SendToClient {
        client_id: ClientIdParam,
        message: Value,
        #[serde(default)] raw: bool,
        #[serde(default)] base64: bool,
    }
    #[schemars(transform = raw_is_text)]
    SendToUid {
        uid: OneOrMany<UidParam>,
        message: Value,
        #[serde(default)] exclude_client_id: Option<OneOrMany<ClientIdParam>>,
        #[serde(default)] raw: bool,
        #[serde(default)] base64: bool,
    }
    #[schemars(transform = raw_is_text)]
    SendToGroup {
        group: OneOrMany<GroupParam>,
        message: Value,
        #[serde(default)] exclude_client_id: Option<OneOrMany<ClientIdParam>>,
        #[serde(default)] exclude_uid: Option<OneOrMany<UidParam>>,
        #[serde(default)] raw: bool,
        #[serde(default)] base64: bool,
    }
    CloseClient {
        client_id: ClientIdParam,
        /// Said before the close, if it is given and not null.
        #[serde(default)] message: Option<Value>,
        #[serde(default)] code: Option<CloseCodeParam>,
        /// Of a longer one than 123 bytes the beginning is said.
        #[serde(default)] reason: Option<String>,
    }
    CloseUid {
        uid: UidParam,
        #[serde(default)] message: Option<Value>,
        #[serde(default)] code: Option<CloseCodeParam>,
        /// Of a longer one than 123 bytes the beginning is said.
        #[serde(default)] reason: Option<String>,
    }
    BindUid { client_id: ClientIdParam, uid: UidParam, }
    UnbindUid {
        client_id: ClientIdParam,
        /// Not compared: the client's uid is taken away, whatever it is.
        #[serde(default)] #[expect(dead_code, reason = "taken in for the original's sake")] uid: Option<UidParam>,
    }
    Membership { client_id: ClientIdParam, group: GroupParam, }
    SetSession { client_id: ClientIdParam, session: SessionInput, }
    SetSessionText {
        client_id: ClientIdParam,
        session: String,
    }
}

/// What [`message_publication`] refuses, in the description.
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
pub enum SessionInput {
    Object(Map<String, Value>),
    Empty(#[schemars(length(max = 0))] Vec<Value>),
}

/// Texts go as they are; numbers and the rest as their JSON.
pub fn json_publication(message: &Value) -> Publication {
    match message {
        Value::String(text) => payload::publication(text.as_bytes(), || message.to_string()),
        other => {
            let json = other.to_string();
            payload::publication(json.as_bytes(), || json.clone())
        }
    }
}

pub fn message_publication(message: &Value, raw: bool, base64: bool) -> Result<Publication, ApiError> {
    let bytes = match (raw, base64, message) {
        (false, false, message) => return Ok(json_publication(message)),
        (false, true, _) => return Err(ApiError::malformed("base64", "base64 goes with raw")),
        (true, false, Value::String(text)) => Some(Bytes::copy_from_slice(text.as_bytes())),
        (true, true, Value::String(text)) => BASE64_STANDARD.decode(text).ok().map(Bytes::from),
        (true, _, _) => None,
    };
    let publication = bytes.and_then(payload::raw);
    publication.ok_or_else(|| ApiError::malformed("message", "raw bytes are a text, in base64 if it says so"))
}

pub fn kick(code: Option<CloseCodeParam>, reason: Option<String>) -> Kick {
    let code = code.map_or(CloseCode::KICKED, |CloseCodeParam(code)| code);
    Kick { reason: reason.unwrap_or_else(|| code.reason().into()), code, silent_on_plain: false }
}

pub fn except(clients: Option<OneOrMany<ClientIdParam>>, uids: Option<OneOrMany<UidParam>>) -> Except {
    let clients = clients.map(OneOrMany::into_vec).unwrap_or_default().into_iter().map(|ClientIdParam(client)| client).collect();
    let uids = uids.map(OneOrMany::into_vec).unwrap_or_default();
    Except { clients, uids: uids.into_iter().map(|UidParam(uid)| uid).collect() }
}

pub fn selection(OptionalGroupParam(group): OptionalGroupParam) -> Selection {
    group.map_or(Selection::All, |group| Selection::Groups(vec![group]))
}

pub fn to_uids(names: Vec<UidParam>) -> Vec<Uid> {
    names.into_iter().map(|UidParam(uid)| uid).collect()
}

pub fn to_groups(names: Vec<GroupParam>) -> Vec<Group> {
    names.into_iter().map(|GroupParam(group)| group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::gateway::Frame;

    fn check(message: Value, plain: &str, v1: &str) {
        let publication = json_publication(&message);
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
        let raw = |message: Value, base64| message_publication(&message, true, base64).ok().map(|raw| raw.plain.unwrap().bytes);
        assert_eq!(&raw(json!("gQJoaQ=="), true).unwrap()[..], b"\x81\x02hi");
        assert!(raw(json!("not base64!"), true).is_none() && raw(json!(1), false).is_none());
    }
}
