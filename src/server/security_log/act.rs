//! The acts that the security log records.

use serde::Serialize;

/// The acts that are recorded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// An account was registered, or added by the command line.
    Registered,
    /// An account signed in.
    SignedIn,
    /// A wrong password for an account, or an unknown account.
    SignInFailed,
    /// A log-in was refused because of a limit.
    SignInRefused,
    /// A session was ended by its own person.
    SignedOut,
    /// A password was changed.
    PasswordChanged,
    /// Other sessions of an account were ended.
    SessionsEnded,
    /// The owner's link made an account the owner.
    OwnerLinkUsed,
    /// A wrong, used or expired owner's link.
    OwnerLinkRefused,
    /// An API key was created.
    KeyAdded,
    /// An API key was removed.
    KeyRemoved,
    /// A request with an unknown, removed or expired API key.
    KeyRefused,
    /// Calls of the API: with the scope `admin`, and those that failed.
    ApiCalls,
    /// A room was created by the command line.
    RoomAdded,
    /// A room's title or host was changed, or a closed room was opened, by the command line.
    RoomChanged,
    /// A room was closed.
    RoomClosed,
    /// A room was deleted.
    RoomDeleted,
    /// The database was copied by the command line.
    BackedUp,
    /// A backup took the place of the database.
    Restored,
    /// The database was copied to another store.
    Moved,
    /// An act of moderation by the command line.
    Moderated,
    /// The audit log was exported.
    LogExported,
    /// A person's data was exported.
    PersonExported,
    /// A person's data was erased.
    PersonErased,
}
