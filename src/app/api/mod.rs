//! Every request that a page makes, by area. On the server each body calls one method of
//! [`Actions`](crate::server::web::actions::Actions); in the browser the panel's four are a `fetch`. Paths and field names are a
//! contract (docs/protocol-pages.md): pages of other sites post them by hand.

mod fetch;
mod moderation;
mod room;
mod session;
mod staff;

pub use fetch::{bind, enter_as_guest, history, parse, send};
pub use room::{lobby_page, room_page};
pub use session::{account_page, sign_in_page};
pub use staff::{message_page, moderation_page};

/// The server functions that pages call by posting a form, or through the functions above of the same name.
pub mod forms {
    pub use super::moderation::{
        acknowledge, ban, erase, lift, note, pin, purge, remove, report, retract, set_mode, set_role, set_title, settle,
        time_out, undo, unnote, unpin, warn,
    };
    pub use super::moderation::{log, person, reports, restraints};
    pub use super::room::{bind, history, open_room, send};
    pub use super::session::{
        change_password, end_other_sessions, end_session, enter_as_guest, log_in, log_out, register, set_preferences,
    };
}

use crate::domain::refusal::Refusal;
use futures_util::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};

/// Milliseconds until a request without a response counts as failed.
const RESPONSE_TIMEOUT_MS: u32 = 10_000;

impl FromServerFnError for Refusal {
    type Encoder = JsonEncoding;

    /// Turns an error of the transport into a refusal, without its internal text.
    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Args(text) | ServerFnErrorErr::MissingArg(text) => {
                // "missing field `room`": the refusal names the field and nothing else of the error.
                Self::malformed(text.split('`').nth(1).unwrap_or("form").to_owned())
            }
            _ => Self::Unreachable,
        }
    }
}

/// Returns the request's result, or [`Refusal::Unreachable`] after 10 s: after a change of networks a request can hang
/// without an error.
pub async fn with_timeout<T>(request: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    match select(std::pin::pin!(request), TimeoutFuture::new(RESPONSE_TIMEOUT_MS)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(Refusal::Unreachable),
    }
}

#[cfg(test)]
mod tests {
    use super::{fetch, moderation, room, session};
    use crate::domain::paths;
    use leptos::server_fn::ServerFn;
    use serde::Serialize;

    #[test]
    fn p4_the_panels_requests_have_the_fields_of_the_server_functions() {
        fn check(form: impl Serialize, names: &[&str]) {
            let mut fields: Vec<_> = serde_json::to_value(form).unwrap().as_object().unwrap().keys().cloned().collect();
            let mut names = names.to_vec();
            fields.sort();
            names.sort_unstable();
            assert_eq!(fields, names);
        }
        let (text, none) = (String::new, None);
        check(
            room::Bind { client_id: text(), room: text(), since: none.clone(), epoch: none.clone(), rev: none.clone() },
            &fetch::BIND_FIELDS,
        );
        check(
            room::SendRequest { room: text(), message: text(), nonce: none.clone(), user: none.clone(), re: none.clone() },
            &fetch::SEND_FIELDS,
        );
        check(room::HistoryRequest { room: text(), before: text(), limit: none }, &fetch::HISTORY_FIELDS);
        check(session::EnterAsGuest { nickname: text() }, &fetch::GUEST_FIELDS);
    }

    /// `#[server]` takes literals only, so the paths stand twice; this holds them together.
    #[test]
    fn endpoints_have_the_paths_of_the_forms() {
        assert_eq!(session::EnterAsGuest::PATH, paths::GUEST);
        assert_eq!(session::Register::PATH, paths::REGISTER);
        assert_eq!(session::LogIn::PATH, paths::LOGIN);
        assert_eq!(session::LogOut::PATH, paths::LOGOUT);
        assert_eq!(session::SetPreferences::PATH, paths::PREFERENCES);
        assert_eq!(session::ChangePassword::PATH, paths::PASSWORD);
        assert_eq!(session::EndSession::PATH, paths::END_SESSION);
        assert_eq!(session::EndOtherSessions::PATH, paths::END_OTHER_SESSIONS);
        assert_eq!(room::Bind::PATH, paths::BIND);
        assert_eq!(room::SendRequest::PATH, paths::SEND);
        assert_eq!(room::HistoryRequest::PATH, paths::HISTORY);
        let acts = [
            moderation::Remove::PATH,
            moderation::Purge::PATH,
            moderation::Undo::PATH,
            moderation::TimeOut::PATH,
            moderation::Ban::PATH,
            moderation::Lift::PATH,
            moderation::Warn::PATH,
            moderation::Note::PATH,
            moderation::Unnote::PATH,
            moderation::Pin::PATH,
            moderation::Unpin::PATH,
            moderation::SetMode::PATH,
            moderation::SetTitle::PATH,
            moderation::SetRole::PATH,
            moderation::Settle::PATH,
            moderation::Erase::PATH,
            moderation::Retract::PATH,
            moderation::Report::PATH,
            moderation::Acknowledge::PATH,
        ];
        assert_eq!(acts, paths::ACTS);
        let reads = [moderation::Log::PATH, moderation::Person::PATH, moderation::Restraints::PATH, moderation::Reports::PATH];
        assert_eq!(reads, paths::STAFF_READS);
        assert_eq!(room::OpenRoom::PATH, paths::OPEN_ROOM);
    }
}
