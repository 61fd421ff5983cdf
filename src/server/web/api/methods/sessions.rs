//! Methods of client sessions: the data that a back end keeps with a connection.

use crate::domain::refusal::Refusal;
use crate::server::accounts::Scope::{Admin, Query};
use crate::server::gateway::{ClientSession, Gateway, MAX_SESSION_BYTES, Selection, SessionError};
use crate::server::web::api::method::{ApiError, Method, method};
use crate::server::web::api::params::{
    ClientParams, GroupParams, OptionalGroupParams, SessionInput, SetSession, SetSessionText, selection,
};
use crate::server::web::api::reach::Merge::{Each, First};
use crate::server::web::api::reach::Reach::{Client, Everyone};
use crate::server::web::api::results::{SessionsById, session_object};
use serde_json::Value;

/// Returns the methods of this file.
pub(super) fn all() -> Vec<Method> {
    let mut all = of_one();
    all.extend(of_many());
    all
}

/// Returns the methods about the session of one connection.
fn of_one() -> Vec<Method> {
    vec![
        method(
            "setSession",
            Admin,
            Client,
            "Replaces the connection's session. Returns false if the connection is offline.",
            async |gateway: Gateway, params: SetSession| {
                Ok(gateway.set_session(params.client_id.0, Some(client_session(params.session)?)).await)
            },
        ),
        method(
            "updateSession",
            Admin,
            Client,
            "Merges into the connection's session: arrays are merged recursively, other keys are replaced, no key is removed. Returns \
             false if the connection is offline.",
            async |gateway: Gateway, params: SetSession| match gateway
                .update_session(params.client_id.0, client_session(params.session)?)
                .await
            {
                None => Ok(false),
                Some(merged) => merged.map(|()| true).map_err(session_error),
            },
        ),
        method(
            "setSocketSession",
            Admin,
            Client,
            "Replaces the connection's session with an object given as JSON text. Other text is stored unchanged, as the output of \
             PHP's serialize(). Returns false if the connection is offline.",
            async |gateway: Gateway, params: SetSessionText| {
                let session = match serde_json::from_str(&params.session) {
                    Ok(object) => ClientSession::new(&Value::Object(object)).map(Some),
                    Err(_) => ClientSession::serialized(params.session.as_bytes()),
                };
                Ok(gateway.set_session(params.client_id.0, session.map_err(session_error)?).await)
            },
        ),
        method(
            "getSession",
            Query,
            Client,
            "Returns the connection's session: an empty object if none was set, null if the connection is offline.",
            async |gateway: Gateway, params: ClientParams| {
                let session = gateway.inspect(params.client_id.0, |member| member.session().cloned()).await;
                Ok(session.map(|session| session_object(session.as_ref())))
            },
        ),
    ]
}

/// Returns the methods about the sessions of many connections.
fn of_many() -> Vec<Method> {
    let sessions = async |gateway: Gateway, params: OptionalGroupParams| sessions_of(&gateway, selection(params.group)).await;
    let group_sessions =
        async |gateway: Gateway, params: GroupParams| sessions_of(&gateway, Selection::Groups(vec![params.group.0])).await;
    vec![
        method(
            "getAllClientSessions",
            Query,
            Everyone(Each(&First)),
            "Returns the sessions of all connections, or of the members of a group.",
            sessions,
        ),
        method("getAllClientInfo", Query, Everyone(Each(&First)), "Same as getAllClientSessions, by its older name.", sessions),
        method(
            "getClientSessionsByGroup",
            Query,
            Everyone(Each(&First)),
            "Returns the sessions of the members of a group.",
            group_sessions,
        ),
        method(
            "getClientInfoByGroup",
            Query,
            Everyone(Each(&First)),
            "Same as getClientSessionsByGroup, by its older name.",
            group_sessions,
        ),
    ]
}

async fn sessions_of(gateway: &Gateway, selection: Selection) -> Result<SessionsById, ApiError> {
    let sessions = gateway.select(selection, |id, member| (id, member.session().cloned())).await;
    Ok(SessionsById::new(sessions.into_iter().map(|(id, session)| (id.to_string(), session)).collect()))
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
        // NotMerged: PHP stored a value with this connection that is not an array.
        SessionError::NoObject | SessionError::NotMerged(_) => ApiError::malformed("session", error.to_string()),
        SessionError::TooLong | SessionError::SerializedTooLong => {
            ApiError { refusal: Refusal::TooLong { max: MAX_SESSION_BYTES as u32 }, detail: error.to_string() }
        }
    }
}
