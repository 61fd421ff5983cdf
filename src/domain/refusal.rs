//! Refusals: the reasons for which a person's request is not done, with code, HTTP status and text. They never carry an
//! internal error text; the log has the cause of [`Refusal::Internal`] under its incident.

use crate::domain::lang::Lang;
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
        /// Name of the mode: `closed` if the room takes no messages at all.
        mode: Cow<'static, str>,
    },
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
pub(super) struct FlatRefusal {
    pub(super) code: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) incident: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
}

impl From<Refusal> for FlatRefusal {
    fn from(refusal: Refusal) -> Self {
        let code = refusal.code().into();
        let mut flat = Self { code, max: None, field: None, mode: None, retry_after_ms: None, incident: None, message: None };
        match refusal {
            Refusal::TooLong { max } => flat.max = Some(max),
            Refusal::Blank { field } | Refusal::Malformed { field } => flat.field = Some(field),
            Refusal::RoomMode { mode } => flat.mode = Some(mode),
            Refusal::TooFast { retry_after_ms } => flat.retry_after_ms = Some(retry_after_ms),
            Refusal::Internal { incident } => flat.incident = Some(incident),
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
        let field = flat.field.unwrap_or_default();
        match &*flat.code {
            "not_signed_in" => Self::NotSignedIn,
            "not_yours" => Self::NotYours,
            "not_allowed" => Self::NotAllowed,
            "room_mode" if flat.mode.as_deref() == Some("closed") => Self::room_closed(),
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

    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotSignedIn => 401,
            Self::NotYours | Self::NotAllowed | Self::RoomMode { .. } | Self::NoCookies | Self::Other { .. } => 403,
            Self::NoSuchRoom | Self::NoSuchClient | Self::NoSuchMethod => 404,
            Self::NameTaken => 409,
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

    /// Returns the sentence that the person reads.
    pub fn message(&self, lang: Lang) -> String {
        match (lang, self) {
            (Lang::Zh, Self::NotSignedIn) => "请先登录".into(),
            (Lang::En, Self::NotSignedIn) => "Please sign in first".into(),
            (Lang::Zh, Self::NotYours) => "此页面属于另一个会话，请刷新".into(),
            (Lang::En, Self::NotYours) => "This page belongs to another session: load it again".into(),
            (Lang::Zh, Self::NotAllowed) => "没有权限".into(),
            (Lang::En, Self::NotAllowed) => "You are not allowed to do this".into(),
            (Lang::Zh, Self::RoomMode { .. }) => "该房间已关闭，不能发言".into(),
            (Lang::En, Self::RoomMode { .. }) => "This room is closed: nothing can be sent".into(),
            (Lang::Zh, Self::NoSuchRoom) => "房间不存在".into(),
            (Lang::En, Self::NoSuchRoom) => "There is no such room".into(),
            (Lang::Zh, Self::NoSuchClient) => "连接已断开".into(),
            (Lang::En, Self::NoSuchClient) => "This connection is gone".into(),
            (Lang::Zh, Self::NoSuchMethod) => "没有这个接口".into(),
            (Lang::En, Self::NoSuchMethod) => "There is no such method".into(),
            (Lang::Zh, Self::NoCookies) => "浏览器没有保存 Cookie，请允许本站使用 Cookie 后再试".into(),
            (Lang::En, Self::NoCookies) => "Your browser kept no cookie: allow cookies for this site, then try again".into(),
            (Lang::Zh, Self::NameTaken) => "该用户名已被使用".into(),
            (Lang::En, Self::NameTaken) => "This name is taken".into(),
            (Lang::Zh, Self::TooLong { max }) => format!("不能超过{max}个字符"),
            (Lang::En, Self::TooLong { max }) => format!("No more than {max} characters"),
            (Lang::Zh, Self::Blank { field: of }) if of == "message" => "不能发送空消息".into(),
            (Lang::En, Self::Blank { field: of }) if of == "message" => "An empty message cannot be sent".into(),
            (Lang::Zh, Self::Blank { field: of }) => format!("{}不能为空", field_name(of, lang)),
            (Lang::En, Self::Blank { field: of }) => format!("The {} must not be empty", field_name(of, lang)),
            (Lang::Zh, Self::Malformed { field: of }) if of == "password" => "密码太短或太常见，请换一个（至少 8 位）".into(),
            (Lang::En, Self::Malformed { field: of }) if of == "password" => {
                "This password is too short or too common (8 characters or more)".into()
            }
            (Lang::Zh, Self::Malformed { field: of }) if of == "current" => "当前密码不正确".into(),
            (Lang::En, Self::Malformed { field: of }) if of == "current" => "The current password is wrong".into(),
            (Lang::Zh, Self::Malformed { field: of }) if of == "nickname" => {
                "这个昵称不能用：它像主播或系统的标记，请换一个".into()
            }
            (Lang::En, Self::Malformed { field: of }) if of == "nickname" => {
                "This nickname is reserved: it looks like a host's or the system's".into()
            }
            (Lang::Zh, Self::Malformed { field: of }) if of == "name" => {
                "用户名需 2–32 个字，只能用文字、数字和 _ - .，不能有空格".into()
            }
            (Lang::En, Self::Malformed { field: of }) if of == "name" => {
                "A username has 2 to 32 letters, digits, _ - . and no spaces".into()
            }
            (Lang::Zh, Self::Malformed { field: of }) => format!("{}格式不正确", field_name(of, lang)),
            (Lang::En, Self::Malformed { field: of }) => format!("The {} is not valid", field_name(of, lang)),
            (Lang::Zh, Self::TooFast { retry_after_ms }) => format!("太快了，请 {} 秒后再试", whole_seconds(*retry_after_ms)),
            (Lang::En, Self::TooFast { retry_after_ms }) => {
                format!("Too fast: try again in {} s", whole_seconds(*retry_after_ms))
            }
            (_, Self::Busy) => busy(lang).into(),
            (_, Self::Uncertain) => uncertain(lang).into(),
            (Lang::Zh, Self::Internal { incident }) => format!("服务器出错了（编号 {incident}）"),
            (Lang::En, Self::Internal { incident }) => format!("Something went wrong here (incident {incident})"),
            (_, Self::Other { code, message }) if message.is_empty() => code.clone(),
            (_, Self::Other { message, .. }) => message.clone(),
            (Lang::Zh, Self::Unreachable) => "网络不通，消息可能没有发出".into(),
            (Lang::En, Self::Unreachable) => "No answer from the server: it may not have been sent".into(),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl std::error::Error for Refusal {}

/// Returns milliseconds as whole seconds, rounded up.
pub fn whole_seconds(ms: u64) -> u64 {
    ms.div_ceil(1000)
}

fn busy(lang: Lang) -> &'static str {
    match lang {
        Lang::Zh => "服务器繁忙，请稍后再试",
        Lang::En => "The server is busy: please try again soon",
    }
}

fn uncertain(lang: Lang) -> &'static str {
    match lang {
        Lang::Zh => "不确定是否已保存，请再发一次",
        Lang::En => "It is not known whether this was stored: please send it again",
    }
}

fn field_name(field: &str, lang: Lang) -> Cow<'_, str> {
    match (lang, field) {
        (Lang::Zh, "nickname") => "昵称".into(),
        (Lang::Zh, "name") => "用户名".into(),
        (Lang::Zh, "password") => "密码".into(),
        (Lang::Zh, "title") => "标题".into(),
        (Lang::Zh, "message") => "消息".into(),
        (Lang::Zh, "owner") => "链接".into(),
        (Lang::En, "owner") => "link".into(),
        (_, other) => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t1_an_unknown_code_is_a_final_refusal_with_the_servers_sentence() {
        for (wire, code, sentence) in [
            (
                r#"{"status":false,"code":"muted","message":"禁言至 12:00","until":5,"reason":"spam","case":[1]}"#,
                "muted",
                "禁言至 12:00",
            ),
            (r#"{"code":"room_mode","mode":"links","message":"No links here"}"#, "room_mode", "No links here"),
            (r#"{"code":"of_tomorrow"}"#, "of_tomorrow", "of_tomorrow"),
        ] {
            let refusal: Refusal = serde_json::from_str(wire).unwrap();
            assert!(matches!(&refusal, Refusal::Other { code: kept, .. } if kept == code), "{refusal:?}");
            assert_eq!(refusal.message(Lang::En), sentence);
        }
    }

    #[test]
    fn every_refusal_has_its_wire_form() {
        let field = || Cow::Borrowed("room");
        let refusals = [
            Refusal::NotSignedIn,
            Refusal::NotYours,
            Refusal::NotAllowed,
            Refusal::room_closed(),
            Refusal::NoSuchRoom,
            Refusal::NoSuchClient,
            Refusal::NoSuchMethod,
            Refusal::NoCookies,
            Refusal::NameTaken,
            Refusal::TooLong { max: 140 },
            Refusal::Blank { field: field() },
            Refusal::Malformed { field: field() },
            Refusal::TooFast { retry_after_ms: 2990 },
            Refusal::Busy,
            Refusal::Uncertain,
            Refusal::Internal { incident: "i".into() },
            Refusal::Unreachable,
        ];
        insta::assert_json_snapshot!(refusals);
        for refusal in refusals {
            assert_eq!(serde_json::from_str::<Refusal>(&serde_json::to_string(&refusal).unwrap()).unwrap(), refusal);
        }
    }
}
