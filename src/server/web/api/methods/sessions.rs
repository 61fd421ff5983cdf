//! What a back end keeps with a connection.

use crate::domain::refusal::Refusal;
use crate::server::accounts::Scope::{Admin, Query};
use crate::server::gateway::{ClientSession, Gateway, MAX_SESSION_BYTES, Selection, SessionError};
use crate::server::web::api::method::{ApiError, Method, method};
use crate::server::web::api::params::{
    ClientParams, GroupParams, OptionalGroupParams, SessionInput, SetSession, SetSessionText, selection,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub fn all() -> Vec<Method> {
    let sessions = async |gateway: Gateway, p: OptionalGroupParams| sessions_of(&gateway, selection(p.group)).await;
    let group_sessions = async |gateway: Gateway, p: GroupParams| sessions_of(&gateway, Selection::Groups(vec![p.group.0])).await;
    vec![
        method(
            "setSession",
            Admin,
            "What is kept with the connection, in place of what was. False: not online.",
            async |gateway: Gateway, p: SetSession| {
                Ok(gateway.set_session(p.client_id.0, Some(client_session(p.session)?)).await)
            },
        ),
        method(
            "updateSession",
            Admin,
            "Merges into what is kept: keys are replaced, arrays within merged, nothing is removed. False: not online.",
            async |gateway: Gateway, p: SetSession| match gateway.update_session(p.client_id.0, client_session(p.session)?).await
            {
                None => Ok(false),
                Some(merged) => merged.map(|()| true).map_err(session_error),
            },
        ),
        method(
            "setSocketSession",
            Admin,
            "setSession, given as the object's JSON text. Another text is kept as it is, for PHP: what it serialized.",
            async |gateway: Gateway, p: SetSessionText| {
                let session = match serde_json::from_str(&p.session) {
                    Ok(object) => ClientSession::new(&Value::Object(object)).map(Some),
                    Err(_) => ClientSession::php(p.session.as_bytes()),
                };
                Ok(gateway.set_session(p.client_id.0, session.map_err(session_error)?).await)
            },
        ),
        method(
            "getSession",
            Query,
            "What is kept with the connection: an empty object if nothing was, null if it is offline.",
            async |gateway: Gateway, p: ClientParams| {
                let session = gateway.look(p.client_id.0, |member| member.session().cloned()).await;
                Ok(session.map(object_of))
            },
        ),
        method("getAllClientSessions", Query, "What is kept with each connection, of all or of a group.", sessions),
        method("getAllClientInfo", Query, "The same, by its old name.", sessions),
        method("getClientSessionsByGroup", Query, "What is kept with each connection of a group.", group_sessions),
        method("getClientInfoByGroup", Query, "The same, by its old name.", group_sessions),
    ]
}

async fn sessions_of(gateway: &Gateway, selection: Selection) -> Result<BTreeMap<String, Map<String, Value>>, ApiError> {
    let sessions = gateway.select(selection, |id, member| (id, member.session().cloned())).await;
    Ok(sessions.into_iter().map(|(id, session)| (id.to_string(), object_of(session))).collect())
}

fn client_session(input: SessionInput) -> Result<ClientSession, ApiError> {
    let value = match input {
        SessionInput::Object(object) => Value::Object(object),
        SessionInput::Empty(items) => Value::Array(items),
    };
    ClientSession::new(&value).map_err(session_error)
}

fn session_error(error: SessionError) -> ApiError {
    match error {
        // A PHP back end keeps something with this connection that is no array.
        SessionError::NoObject | SessionError::NotMerged(_) => ApiError::malformed("session", error.to_string()),
        SessionError::TooLong | SessionError::TooLongForPhp => {
            ApiError { refusal: Refusal::TooLong { max: MAX_SESSION_BYTES as u32 }, detail: error.to_string() }
        }
    }
}

fn object_of(session: Option<ClientSession>) -> Map<String, Value> {
    match session.map(|session| session.to_value()) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}
