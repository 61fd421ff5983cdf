//! Paths that pages, forms and the server share. The path of a form is also its id: a refused form comes back to the page
//! under it ([`ReturnedForm::form`](crate::domain::reply::ReturnedForm::form)).

use crate::domain::id::{RoomId, Seq};

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
/// Removes messages.
pub const REMOVE: &str = "/gateway/mod/remove";
/// Removes a person's messages.
pub const PURGE: &str = "/gateway/mod/purge";
/// Takes an act back.
pub const UNDO: &str = "/gateway/mod/undo";
/// Takes a person the right to send for a time.
pub const TIMEOUT: &str = "/gateway/mod/timeout";
/// Takes a person the right to send for good.
pub const BAN: &str = "/gateway/mod/ban";
/// Ends a restraint.
pub const LIFT: &str = "/gateway/mod/lift";
/// Warns a person.
pub const WARN: &str = "/gateway/mod/warn";
/// Adds a note about a person.
pub const NOTE: &str = "/gateway/mod/note";
/// Removes a note.
pub const UNNOTE: &str = "/gateway/mod/unnote";
/// Pins a message.
pub const PIN: &str = "/gateway/mod/pin";
/// Removes the pin.
pub const UNPIN: &str = "/gateway/mod/unpin";
/// Sets a room's modes.
pub const MODE: &str = "/gateway/mod/mode";
/// Sets a room's title.
pub const TITLE: &str = "/gateway/mod/title";
/// Grants or revokes a role.
pub const ROLE: &str = "/gateway/mod/role";
/// Settles the reports of a message.
pub const SETTLE: &str = "/gateway/mod/settle";
/// Destroys the kept text of a removed message.
pub const ERASE: &str = "/gateway/mod/erase";
/// Removes a message of one's own.
pub const RETRACT: &str = "/gateway/retract";
/// Reports a message to the staff.
pub const REPORT: &str = "/gateway/report";
/// Acknowledges a warning of one's own.
pub const ACKNOWLEDGE: &str = "/gateway/acknowledge";
/// Every act of moderation.
pub const ACTS: [&str; 19] = [
    REMOVE,
    PURGE,
    UNDO,
    TIMEOUT,
    BAN,
    LIFT,
    WARN,
    NOTE,
    UNNOTE,
    PIN,
    UNPIN,
    MODE,
    TITLE,
    ROLE,
    SETTLE,
    ERASE,
    RETRACT,
    REPORT,
    ACKNOWLEDGE,
];
/// Returns the audit log of a room.
pub const LOG: &str = "/gateway/mod/log";
/// Returns the card of a person.
pub const PERSON: &str = "/gateway/mod/person";
/// Returns the restraints of a room.
pub const RESTRAINTS: &str = "/gateway/mod/restraints";
/// Returns the open reports of a room.
pub const REPORTS: &str = "/gateway/mod/reports";
/// Every read of the staff.
pub const STAFF_READS: [&str; 4] = [LOG, PERSON, RESTRAINTS, REPORTS];
/// Opens a room.
pub const OPEN_ROOM: &str = "/gateway/rooms";

/// The field of a page's address with the act that a form without JavaScript has just done, so that the page offers to take it back.
pub const DONE_FIELD: &str = "done";
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

/// Returns the path of an act of moderation: of a verb's word.
pub fn act(verb: &str) -> String {
    format!("/gateway/mod/{verb}")
}

/// Returns the path of the page of one message.
pub fn message_page(room: &RoomId, seq: Seq) -> String {
    format!("/rooms/{room}/messages/{}", seq.0)
}

/// Returns the path of a room's moderation page.
pub fn moderation_page(room: &RoomId) -> String {
    format!("/rooms/{room}/moderate")
}

/// Returns the path of a room's page.
pub fn room_page(room: &RoomId) -> String {
    format!("/rooms/{room}")
}
