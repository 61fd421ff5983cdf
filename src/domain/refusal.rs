//! Refusals: the reasons for which a person's request is not done, with code, HTTP status and text. They never carry an
//! internal error text; the log has the cause of [`Refusal::Internal`] under its incident.

mod sentences;

pub use sentences::whole_seconds;

use crate::domain::change::{Restraint, RestraintKind, case_of};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A refusal. On the wire it is `{"status":false,"code":"too_long","message":"…","max":140}`; `server/web` adds `status` and
/// `message`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "FlatRefusal", into = "FlatRefusal")]
pub enum Refusal {
    /// The request has no valid session, or name or password is wrong.
    NotSignedIn,
    /// The client_id belongs to another session.
    NotYours,
    /// The person, the origin or the API key lacks the right.
    NotAllowed,
    /// The room does not take this message as long as a mode of it is on.
    RoomMode {
        /// Name of the mode: `closed` if the room takes no messages at all, `accounts` if it takes those of accounts only.
        mode: Cow<'static, str>,
    },
    /// A timeout of the person is in force, or a warning waits to be acknowledged.
    Muted(Restraint),
    /// A ban of the person is in force.
    Banned(Restraint),
    /// The act was done before, or its opposite.
    AlreadyDecided,
    /// The act can be taken back no more.
    TooLate,
    /// The room does not exist.
    NoSuchRoom,
    /// The connection does not exist on this node, or is closed.
    NoSuchClient,
    /// The HTTP API has no such method, or is off.
    NoSuchMethod,
    /// The browser returned none of the cookies that the site set, and the form results in nothing but a cookie. Only pages
    /// without JavaScript get it.
    NoCookies,
    /// Another account has the name.
    NameTaken,
    /// A text is too long.
    TooLong {
        /// The limit, in characters; in bytes for a request body.
        max: u32,
    },
    /// A required text shows nothing.
    Blank {
        /// Name of the form's field.
        field: Cow<'static, str>,
    },
    /// A field cannot be parsed or breaks its rules.
    Malformed {
        /// Name of the form's field.
        field: Cow<'static, str>,
    },
    /// A cooldown or a rate limit is exceeded.
    TooFast {
        /// Milliseconds until the request may succeed.
        retry_after_ms: u64,
    },
    /// The disk is full or the database is locked. Nothing was stored; the same request may succeed soon.
    Busy,
    /// The answer of the database was lost, so it is not known whether the request was stored. A message is repeated under its
    /// nonce.
    Uncertain,
    /// An internal error.
    Internal {
        /// Number under which the log has the cause.
        incident: String,
    },
    /// Made in the page from a code that this version does not know: final, and the person reads the server's sentence.
    Other {
        /// The code.
        code: String,
        /// The sentence.
        message: String,
    },
    /// Made in the page, never sent by the server: no response arrived, so the outcome is unknown. The nonce makes a
    /// repetition safe.
    Unreachable,
}

/// A refusal on the wire, with the fields of all codes. Serde's code for tagged enums would make the wasm larger.
#[derive(Serialize, Deserialize)]
struct FlatRefusal {
    code: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// When a restraint ends; `Some(None)` is one without an end, null on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    until: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<String>,
    /// The restraint's kind, where it does not follow from the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
}

/// Reads a field that may be null as present.
fn present<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(input).map(Some)
}

impl FlatRefusal {
    /// Returns the restraint of the codes `muted` and `banned`.
    fn restraint(&self) -> Option<Restraint> {
        let kind = match (&*self.code, self.kind.as_deref()) {
            ("banned", _) => RestraintKind::Ban,
            (_, Some("warning")) => RestraintKind::Warning,
            _ => RestraintKind::Timeout,
        };
        let reason = self.reason.clone().unwrap_or_default();
        Some(Restraint { kind, until: self.until.flatten(), reason, case: case_of(self.case.as_deref()?)? })
    }
}

impl From<Refusal> for FlatRefusal {
    fn from(refusal: Refusal) -> Self {
        let code = refusal.code().into();
        let mut flat = Self {
            code,
            max: None,
            field: None,
            mode: None,
            retry_after_ms: None,
            incident: None,
            message: None,
            until: None,
            reason: None,
            case: None,
            kind: None,
        };
        match refusal {
            Refusal::TooLong { max } => flat.max = Some(max),
            Refusal::Blank { field } | Refusal::Malformed { field } => flat.field = Some(field),
            Refusal::RoomMode { mode } => flat.mode = Some(mode),
            Refusal::TooFast { retry_after_ms } => flat.retry_after_ms = Some(retry_after_ms),
            Refusal::Internal { incident } => flat.incident = Some(incident),
            Refusal::Muted(restraint) | Refusal::Banned(restraint) => {
                let Restraint { kind, until, reason, case } = restraint;
                flat.until = Some(until);
                flat.reason = Some(reason);
                flat.case = Some(case.to_string());
                flat.kind = (kind == RestraintKind::Warning).then(|| kind.as_str().to_owned());
            }
            Refusal::Other { code, message } => {
                flat.code = code.into();
                flat.message = Some(message);
            }
            _ => {}
        }
        flat
    }
}

impl From<FlatRefusal> for Refusal {
    fn from(flat: FlatRefusal) -> Self {
        let restraint = flat.restraint();
        let field = flat.field.unwrap_or_default();
        match &*flat.code {
            "not_signed_in" => Self::NotSignedIn,
            "not_yours" => Self::NotYours,
            "not_allowed" => Self::NotAllowed,
            "room_mode" if flat.mode.as_deref() == Some("closed") => Self::room_closed(),
            "room_mode" if flat.mode.as_deref() == Some("accounts") => Self::accounts_only(),
            "muted" | "banned" => match restraint {
                Some(restraint) => restraint.into(),
                None => Self::Other { code: flat.code.into_owned(), message: flat.message.unwrap_or_default() },
            },
            "already_decided" => Self::AlreadyDecided,
            "too_late" => Self::TooLate,
            "no_such_room" => Self::NoSuchRoom,
            "no_such_client" => Self::NoSuchClient,
            "no_such_method" => Self::NoSuchMethod,
            "no_cookies" => Self::NoCookies,
            "name_taken" => Self::NameTaken,
            "too_long" => Self::TooLong { max: flat.max.unwrap_or_default() },
            "blank" => Self::Blank { field },
            "malformed" => Self::Malformed { field },
            "too_fast" => Self::TooFast { retry_after_ms: flat.retry_after_ms.unwrap_or_default() },
            "busy" => Self::Busy,
            "internal" => Self::Internal { incident: flat.incident.unwrap_or_default() },
            "uncertain" => Self::Uncertain,
            "unreachable" => Self::Unreachable,
            _ => Self::Other { code: flat.code.into_owned(), message: flat.message.unwrap_or_default() },
        }
    }
}

impl Refusal {
    /// Returns [`Refusal::Malformed`] for a field.
    pub fn malformed(field: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed { field: field.into() }
    }

    /// Returns [`Refusal::Blank`] for a field.
    pub fn blank(field: impl Into<Cow<'static, str>>) -> Self {
        Self::Blank { field: field.into() }
    }

    /// Returns the refusal of a room that takes no messages.
    pub fn room_closed() -> Self {
        Self::RoomMode { mode: "closed".into() }
    }

    /// Returns the refusal of a room that takes messages of accounts only.
    pub fn accounts_only() -> Self {
        Self::RoomMode { mode: "accounts".into() }
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotSignedIn => 401,
            Self::NotYours
            | Self::NotAllowed
            | Self::RoomMode { .. }
            | Self::Muted(_)
            | Self::Banned(_)
            | Self::NoCookies
            | Self::Other { .. } => 403,
            Self::NoSuchRoom | Self::NoSuchClient | Self::NoSuchMethod => 404,
            Self::NameTaken | Self::AlreadyDecided | Self::TooLate => 409,
            Self::TooLong { .. } => 413,
            Self::Blank { .. } | Self::Malformed { .. } => 422,
            Self::TooFast { .. } => 429,
            Self::Internal { .. } => 500,
            Self::Busy | Self::Unreachable => 503,
            Self::Uncertain => 504,
        }
    }

    /// Returns the code on the wire, in logs and in metric labels.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn => "not_signed_in",
            Self::NotYours => "not_yours",
            Self::NotAllowed => "not_allowed",
            Self::RoomMode { .. } => "room_mode",
            Self::Muted(_) => "muted",
            Self::Banned(_) => "banned",
            Self::AlreadyDecided => "already_decided",
            Self::TooLate => "too_late",
            Self::NoSuchRoom => "no_such_room",
            Self::NoSuchClient => "no_such_client",
            Self::NoSuchMethod => "no_such_method",
            Self::NoCookies => "no_cookies",
            Self::NameTaken => "name_taken",
            Self::TooLong { .. } => "too_long",
            Self::Blank { .. } => "blank",
            Self::Malformed { .. } => "malformed",
            Self::TooFast { .. } => "too_fast",
            Self::Busy => "busy",
            Self::Uncertain => "uncertain",
            Self::Internal { .. } => "internal",
            Self::Other { .. } => "other",
            Self::Unreachable => "unreachable",
        }
    }
}

impl From<Restraint> for Refusal {
    fn from(restraint: Restraint) -> Self {
        if restraint.kind == RestraintKind::Ban { Self::Banned(restraint) } else { Self::Muted(restraint) }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;
