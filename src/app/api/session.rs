//! Requests about the person: sign in and out, preferences, and the data of the sign-in page.

use crate::domain::{
    refusal::Refusal,
    reply::{Done, OwnSession, SignInReply},
    room::Page,
};
use leptos::prelude::*;

/// Signs in a new guest; if a person is signed in, changes their nickname. Sets the session cookie.
#[server(prefix = "/session", endpoint = "guest")]
pub async fn enter_as_guest(nickname: String) -> Result<SignInReply, Refusal> {
    crate::server::web::actions::Actions::current()?.enter_as_guest(&nickname).await
}

/// Registers an account and sets the session cookie. A guest keeps their uid. `owner` is the token of the one-time link that
/// the console prints; its account owns the installation.
#[server(prefix = "/session", endpoint = "register")]
pub async fn register(
    name: String,
    password: String,
    nickname: Option<String>,
    owner: Option<String>,
) -> Result<SignInReply, Refusal> {
    let nickname = nickname.as_deref().unwrap_or_default();
    crate::server::web::actions::Actions::current()?.register(&name, &password, nickname, owner.as_deref()).await
}

/// Signs in to an account and sets the session cookie. A wrong name or password is [`Refusal::NotSignedIn`].
#[server(prefix = "/session", endpoint = "login")]
pub async fn log_in(name: String, password: String) -> Result<SignInReply, Refusal> {
    crate::server::web::actions::Actions::current()?.log_in(&name, &password).await
}

/// Ends the session, closes its sockets and removes the cookie.
#[server(prefix = "/session", endpoint = "logout")]
pub async fn log_out() -> Result<Done, Refusal> {
    crate::server::web::actions::Actions::current()?.log_out().await
}

/// Sets the cookies of language and theme, for pages without JavaScript. An absent field stays as it is.
#[server(prefix = "/session", endpoint = "preferences")]
pub async fn set_preferences(lang: Option<String>, theme: Option<String>) -> Result<Done, Refusal> {
    crate::server::web::actions::Actions::current()?.set_preferences(lang.as_deref(), theme.as_deref())
}

/// Returns the data of the sign-in page.
#[server(prefix = "/page", endpoint = "sign-in")]
pub async fn sign_in_page() -> Result<Page<()>, Refusal> {
    let actions = crate::server::web::actions::Actions::current()?;
    actions.count_page()?;
    Ok(Page { content: (), you: actions.person(), returned: actions.returned_form().await })
}

/// Changes the password of the account, ends its other sessions and closes their sockets. A wrong `current` password is
/// [`Refusal::Malformed`] with that field.
#[server(prefix = "/session", endpoint = "password")]
pub async fn change_password(current: String, password: String) -> Result<Done, Refusal> {
    crate::server::web::actions::Actions::current()?.change_password(&current, &password).await
}

/// Ends one of the person's own sessions, by its id in the list of the account's page.
#[server(prefix = "/session", endpoint = "end")]
pub async fn end_session(id: String) -> Result<Done, Refusal> {
    crate::server::web::actions::Actions::current()?.end_session(&id).await
}

/// Ends the person's sessions except the one of this request.
#[server(prefix = "/session", endpoint = "end-others")]
pub async fn end_other_sessions() -> Result<Done, Refusal> {
    crate::server::web::actions::Actions::current()?.end_other_sessions().await
}

/// Returns the data of the account's page: the person's sessions. Guests are refused with [`Refusal::NotAllowed`].
#[server(prefix = "/page", endpoint = "account")]
pub async fn account_page() -> Result<Page<Vec<OwnSession>>, Refusal> {
    let actions = crate::server::web::actions::Actions::current()?;
    Ok(Page { content: actions.own_sessions().await?, you: actions.person(), returned: actions.returned_form().await })
}
