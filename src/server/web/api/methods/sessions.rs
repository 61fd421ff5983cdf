//! What a back end keeps with a connection.

use crate::domain::refusal::Refusal;
use crate::server::accounts::Scope::{Admin, Query};
use crate::server::gateway::{ClientSession, Gateway, MAX_SESSION_BYTES, Selection, SessionError};
use crate::server::web::api::method::{Method, NotDone, method};
use crate::server::web::api::params::{Client, Keep, KeepText, KeptSession, MaybeGroup, OfGroup, of};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub fn all() -> Vec<Method> {
    let of_all = async |gateway: Gateway, p: MaybeGroup| sessions_of(&gateway, of(p.group)).await;
    let of_group = async |gateway: Gateway, p: OfGroup| sessions_of(&gateway, Selection::Groups(vec![p.group.0])).await;
    vec![
        method(
            "setSession",
            Admin,
            "What is kept with the connection, in place of what was. False: not online.",
            async |gateway: Gateway, p: Keep| Ok(gateway.set_session(p.client_id.0, Some(session(p.session)?)).await),
        ),
        method(
            "updateSession",
            Admin,
            "Merges into what is kept: keys are replaced, arrays within merged, nothing is removed. False: not online.",
            async |gateway: Gateway, p: Keep| match gateway.update_session(p.client_id.0, session(p.session)?).await {
                None => Ok(false),
                Some(merged) => merged.map(|()| true).map_err(not_a_session),
            },
        ),
        method(
            "setSocketSession",
            Admin,
            "setSession, given as the object's JSON text. Another text is kept as it is, for PHP: what it serialized.",
            async |gateway: Gateway, p: KeepText| {
                let session = match serde_json::from_str(&p.session) {
                    Ok(object) => ClientSession::new(&Value::Object(object)).map(Some),
                    Err(_) => ClientSession::php(p.session.as_bytes()),
                };
                Ok(gateway.set_session(p.client_id.0, session.map_err(not_a_session)?).await)
            },
        ),
        method(
            "getSession",
            Query,
            "What is kept with the connection: an empty object if nothing was, null if it is offline.",
            async |gateway: Gateway, p: Client| {
                let session = gateway.look(p.client_id.0, |member| member.session().cloned()).await;
                Ok(session.map(object))
            },
        ),
        method("getAllClientSessions", Query, "What is kept with each connection, of all or of a group.", of_all),
        method("getAllClientInfo", Query, "The same, by its old name.", of_all),
        method("getClientSessionsByGroup", Query, "What is kept with each connection of a group.", of_group),
        method("getClientInfoByGroup", Query, "The same, by its old name.", of_group),
    ]
}

async fn sessions_of(gateway: &Gateway, selection: Selection) -> Result<BTreeMap<String, Map<String, Value>>, NotDone> {
    let sessions = gateway.select(selection, |id, member| (id, member.session().cloned())).await;
    Ok(sessions.into_iter().map(|(id, session)| (id.to_string(), object(session))).collect())
}

fn session(kept: KeptSession) -> Result<ClientSession, NotDone> {
    let value = match kept {
        KeptSession::Object(object) => Value::Object(object),
        KeptSession::Empty(items) => Value::Array(items),
    };
    ClientSession::new(&value).map_err(not_a_session)
}

fn not_a_session(error: SessionError) -> NotDone {
    match error {
        // A PHP back end keeps something with this connection that is no array.
        SessionError::NoObject | SessionError::NotMerged(_) => NotDone::malformed("session", error.to_string()),
        SessionError::TooLong | SessionError::TooLongForPhp => {
            NotDone { refusal: Refusal::TooLong { max: MAX_SESSION_BYTES as u32 }, detail: error.to_string() }
        }
    }
}

fn object(session: Option<ClientSession>) -> Map<String, Value> {
    match session.map(|session| session.to_value()) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}
