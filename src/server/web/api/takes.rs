//! What the methods take, under the names GatewayClient's arguments have, and what the gateway calls it.

use super::method::NotDone;
use super::names::{Code, GroupName, MaybeGroupName, OneOrMany, UidName, Who};
use super::payload;
use crate::domain::{id::Uid, push::CloseCode};
use crate::server::gateway::{Except, Group, Kick, Publication, Selection};
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
        #[schemars(extend("format" = "json", "contentMediaType" = "application/json", "contentSchema" = {"type": "object"}))]
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

pub fn payload_of(message: &Value, raw: bool, base64: bool) -> Result<Publication, NotDone> {
    match (raw, base64) {
        (false, false) => Ok(payload::publication(message)),
        (false, true) => Err(NotDone::malformed("base64", "base64 goes with raw")),
        (true, base64) => payload::raw(message, base64)
            .ok_or_else(|| NotDone::malformed("message", "raw bytes are a text, in base64 if it says so")),
    }
}

pub fn kick(code: Option<Code>, reason: Option<String>) -> Kick {
    let code = code.map_or(CloseCode::KICKED, |Code(code)| code);
    Kick { reason: reason.unwrap_or_else(|| code.reason().into()), code }
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
