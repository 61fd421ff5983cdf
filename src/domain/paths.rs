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

/// The field of a page's address with the key of a form that waits for the page without a cookie.
pub const COOKIES_FIELD: &str = "cookies";

/// A form of the sign-in page; the page has one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignInTab {
    /// A nickname, and nothing else.
    Guest,
    /// Name and password of an account.
    LogIn,
    /// A new account.
    Register,
}

impl SignInTab {
    /// Returns the value in the page's address.
    pub fn code(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::LogIn => "login",
            Self::Register => "register",
        }
    }

    /// Parses the value in the page's address.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Guest, Self::LogIn, Self::Register].into_iter().find(|tab| tab.code() == code)
    }
}

/// Returns the address of a tab of the sign-in page; afterwards the person comes to the path `next`.
pub fn sign_in_page(tab: SignInTab, next: Option<&str>) -> String {
    let mut page = format!("{SIGN_IN_PAGE}?tab={}", tab.code());
    if let Some(next) = next {
        page.push_str("&next=");
        push_encoded(&mut page, next);
    }
    page
}

/// Appends a value of a query, percent-encoded (RFC 3986, 2.1).
pub fn push_encoded(address: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => address.push(char::from(byte)),
            _ => {
                address.push('%');
                address.push(char::from(HEX[usize::from(byte >> 4)]));
                address.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
}

/// Returns the path of a room's page.
pub fn room_page(room: &RoomId) -> String {
    format!("/rooms/{room}")
}
