//! Paths that pages, forms and the server share. The path of a form is also its id: a refused form comes back to the page
//! under it ([`ReturnedForm::form`](crate::domain::reply::ReturnedForm::form)).

use crate::domain::id::RoomId;

/// The sign-in page.
pub const SIGN_IN_PAGE: &str = "/sign-in";
/// Signs in a guest by nickname; changes the nickname of a person with a session.
pub const GUEST: &str = "/session/guest";
/// Registers an account.
pub const REGISTER: &str = "/session/register";
/// Signs in to an account.
pub const LOGIN: &str = "/session/login";
/// Ends the session.
pub const LOGOUT: &str = "/session/logout";
/// The page of the own account: password, sessions.
pub const ACCOUNT_PAGE: &str = "/account";
/// [`ACCOUNT_PAGE`] after the password was changed.
pub const PASSWORD_CHANGED_PAGE: &str = "/account?done=password";
/// Changes the own password.
pub const PASSWORD: &str = "/session/password";
/// Ends one of the own sessions.
pub const END_SESSION: &str = "/session/end";
/// Ends the own sessions except the one of the request.
pub const END_OTHER_SESSIONS: &str = "/session/end-others";
/// Sets language and theme.
pub const PREFERENCES: &str = "/session/preferences";
/// Binds a socket to its person and joins it to a room.
pub const BIND: &str = "/gateway/bind";
/// Stores and pushes a message.
pub const SEND: &str = "/gateway/send";
/// Returns stored messages before a position.
pub const HISTORY: &str = "/gateway/history";
/// Sets a room's modes.
pub const MODE: &str = "/gateway/mod/mode";
/// Sets a room's title.
pub const TITLE: &str = "/gateway/mod/title";
/// Opens a room.
pub const OPEN_ROOM: &str = "/gateway/rooms";

/// Returns the path of a room's page.
pub fn room_page(room: &RoomId) -> String {
    format!("/rooms/{room}")
}
