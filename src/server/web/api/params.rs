//! The parameters of the methods, under the names of GatewayClient's arguments, and their conversion into the gateway's types.

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

/// Defines the input structs of methods. Unknown fields are rejected; a field with `#[serde(default)]` is optional.
macro_rules! params {
    ($($(#[$attribute:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$attribute])*
        pub(super) struct $name { $($(#[$meta])* pub $field: $type,)* }
    )*};
}

pub(super) use params;

params! {
    /// No parameters
    NoParams {}
    /// One connection
    ClientParams { client_id: ClientIdParam, }
    /// Several uids
    UidListParams { uids: Vec<UidParam>, }
    /// One uid
    UidParams { uid: UidParam, }
    /// One group or several
    GroupsParams { group: OneOrMany<GroupParam>, }
    /// One group
    GroupParams { group: GroupParam, }
    /// Several groups
    GroupListParams { groups: Vec<GroupParam>, }
    /// One group, or all connections
    OptionalGroupParams {
        #[serde(default)] group: OptionalGroupParam,
    }
    /// A message for all connections
    #[schemars(transform = describe_raw_message)]
    SendToAll {
        /// Sent as it is if it is a string, else as JSON
        message: Value,
        /// Only these connections
        #[serde(default)] client_id_array: Option<Vec<ClientIdParam>>,
        /// All but these connections
        #[serde(default)] exclude_client_id: Option<OneOrMany<ClientIdParam>>,
        /// All but the connections of these uids
        #[serde(default)] exclude_uid: Option<OneOrMany<UidParam>>,
        /// `message` is the bytes of complete WebSocket frames
        #[serde(default)] raw: bool,
        /// A raw `message` is encoded in base64
        #[serde(default)] base64: bool,
    }
    /// A message for one connection
    #[schemars(transform = describe_raw_message)]
    SendToClient {
        client_id: ClientIdParam,
        /// Sent as it is if it is a string, else as JSON
        message: Value,
        /// `message` is the bytes of complete WebSocket frames
        #[serde(default)] raw: bool,
        /// A raw `message` is encoded in base64
        #[serde(default)] base64: bool,
    }
    /// A message for the connections of one or more uids
    #[schemars(transform = describe_raw_message)]
    SendToUid {
        uid: OneOrMany<UidParam>,
        /// Sent as it is if it is a string, else as JSON
        message: Value,
        /// All but these connections
        #[serde(default)] exclude_client_id: Option<OneOrMany<ClientIdParam>>,
        /// `message` is the bytes of complete WebSocket frames
        #[serde(default)] raw: bool,
        /// A raw `message` is encoded in base64
        #[serde(default)] base64: bool,
    }
    /// A message for the members of one or more groups
    #[schemars(transform = describe_raw_message)]
    SendToGroup {
        group: OneOrMany<GroupParam>,
        /// Sent as it is if it is a string, else as JSON
        message: Value,
        /// All but these connections
        #[serde(default)] exclude_client_id: Option<OneOrMany<ClientIdParam>>,
        /// All but the connections of these uids
        #[serde(default)] exclude_uid: Option<OneOrMany<UidParam>>,
        /// `message` is the bytes of complete WebSocket frames
        #[serde(default)] raw: bool,
        /// A raw `message` is encoded in base64
        #[serde(default)] base64: bool,
    }
    /// A connection to close
    CloseClient {
        client_id: ClientIdParam,
        /// Sent before the close, unless it is null
        #[serde(default)] message: Option<Value>,
        #[serde(default)] code: Option<CloseCodeParam>,
        /// Sent in the close frame; cut to 123 bytes
        #[serde(default)] reason: Option<String>,
    }
    /// A uid, all of whose connections are to be closed
    CloseUid {
        uid: UidParam,
        /// Sent before the close, unless it is null
        #[serde(default)] message: Option<Value>,
        #[serde(default)] code: Option<CloseCodeParam>,
        /// Sent in the close frame; cut to 123 bytes
        #[serde(default)] reason: Option<String>,
    }
    /// A connection and its new uid
    BindUid { client_id: ClientIdParam, uid: UidParam, }
    /// A connection that is to lose its uid
    UnbindUid {
        client_id: ClientIdParam,
        /// Ignored: the connection's uid is removed in any case
        #[serde(default)] #[expect(dead_code, reason = "accepted for compatibility with GatewayClient")] uid: Option<UidParam>,
    }
    /// A connection and a group to join or leave
    Membership { client_id: ClientIdParam, group: GroupParam, }
    /// A connection and its new session, or the changes to it
    SetSession { client_id: ClientIdParam, session: SessionInput, }
    /// A connection and its new session as text
    SetSessionText {
        client_id: ClientIdParam,
        /// A JSON object, or the output of PHP's serialize()
        session: String,
    }
}

/// Adds the rules of [`message_publication`] for `raw` and `base64` to a schema.
fn describe_raw_message(schema: &mut Schema) {
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

/// A client session: an object, or PHP's empty array, which counts as an empty object.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum SessionInput {
    /// The session's keys and values.
    Object(Map<String, Value>),
    /// `[]`.
    Empty(#[schemars(length(max = 0))] Vec<Value>),
}

/// Encodes a message for both dialects: a string as it is, any other value as JSON.
pub(super) fn json_publication(message: &Value) -> Publication {
    match message {
        Value::String(text) => payload::publication(text.as_bytes(), || message.to_string()),
        other => {
            let json = other.to_string();
            payload::publication(json.as_bytes(), || json.clone())
        }
    }
}

/// Encodes a message as [`json_publication`] does, or, if `raw`, as the bytes of complete WebSocket frames, in base64 if
/// `base64`. Returns `malformed` for a raw message that is empty, not a string, or not base64, and for base64 without raw.
pub(super) fn message_publication(message: &Value, raw: bool, base64: bool) -> Result<Publication, ApiError> {
    let bytes = match (raw, base64, message) {
        (false, false, message) => return Ok(json_publication(message)),
        (false, true, _) => return Err(ApiError::malformed("base64", "base64 requires raw")),
        (true, false, Value::String(text)) => Some(Bytes::copy_from_slice(text.as_bytes())),
        (true, true, Value::String(text)) => BASE64_STANDARD.decode(text).ok().map(Bytes::from),
        (true, _, _) => None,
    };
    let publication = bytes.and_then(payload::raw);
    publication
        .ok_or_else(|| ApiError::malformed("message", "a raw message is a non-empty string, encoded as base64 if base64 is true"))
}

/// The code and reason of a close: by default [`CloseCode::KICKED`], and the reason that belongs to the code.
pub(super) fn kick(code: Option<CloseCodeParam>, reason: Option<String>) -> Kick {
    let code = code.map_or(CloseCode::KICKED, |CloseCodeParam(code)| code);
    Kick { reason: reason.unwrap_or_else(|| code.reason().into()), code, silent_on_plain: false }
}

/// The connections and uids that a send leaves out.
pub(super) fn except(clients: Option<OneOrMany<ClientIdParam>>, uids: Option<OneOrMany<UidParam>>) -> Except {
    let clients = clients.map(OneOrMany::into_vec).unwrap_or_default().into_iter().map(|ClientIdParam(client)| client).collect();
    let uids = uids.map(OneOrMany::into_vec).unwrap_or_default();
    Except { clients, uids: uids.into_iter().map(|UidParam(uid)| uid).collect() }
}

/// The members of a group, or all connections.
pub(super) fn selection(OptionalGroupParam(group): OptionalGroupParam) -> Selection {
    group.map_or(Selection::All, |group| Selection::Groups(vec![group]))
}

/// Uids in the gateway's type.
pub(super) fn to_uids(names: Vec<UidParam>) -> Vec<Uid> {
    names.into_iter().map(|UidParam(uid)| uid).collect()
}

/// Groups in the gateway's type.
pub(super) fn to_groups(names: Vec<GroupParam>) -> Vec<Group> {
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
    fn strings_are_sent_as_they_are_and_other_values_as_json() {
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
