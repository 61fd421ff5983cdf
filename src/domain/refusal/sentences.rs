//! The sentences of refusals in both languages.

use super::Refusal;
use crate::domain::{
    change::{Restraint, RestraintKind},
    lang::Lang,
};
use std::borrow::Cow;

impl Refusal {
    /// Returns the sentence that the person reads.
    pub fn message(&self, lang: Lang) -> String {
        if let Some((zh, en)) = self.of_server() {
            return if lang == Lang::Zh { zh } else { en }.into();
        }
        match (lang, self) {
            (_, Self::Blank { field }) if field == "message" => self.panel_message(lang),
            (Lang::Zh, Self::Blank { field: of }) => format!("{}不能为空", field_name(of, lang)),
            (Lang::En, Self::Blank { field: of }) => format!("The {} must not be empty", field_name(of, lang)),
            (Lang::Zh, Self::Malformed { field: of }) => format!("{}格式不正确", field_name(of, lang)),
            (Lang::En, Self::Malformed { field: of }) => format!("The {} is not valid", field_name(of, lang)),
            _ => self.panel_message(lang),
        }
    }

    /// Returns the sentence of a refusal that the chat panel has: one that it makes or judges, or [`Refusal::Other`]. The wasm
    /// carries only these; see [`Refusal::for_panel`].
    pub fn panel_message(&self, lang: Lang) -> String {
        let number = |before: &str, number: u64, after: &str| [before, &number.to_string(), after].concat();
        let (zh, en) = match (lang, self) {
            (Lang::Zh, Self::TooLong { max }) => return number("不能超过", (*max).into(), "个字符"),
            (Lang::En, Self::TooLong { max }) => return number("No more than ", (*max).into(), " characters"),
            (Lang::Zh, Self::TooFast { retry_after_ms }) => {
                return number("太快了，请 ", whole_seconds(*retry_after_ms), " 秒后再试");
            }
            (Lang::En, Self::TooFast { retry_after_ms }) => {
                return number("Too fast: try again in ", whole_seconds(*retry_after_ms), " s");
            }
            (Lang::Zh, Self::Internal { incident }) => return ["服务器出错了（编号 ", incident, "）"].concat(),
            (Lang::En, Self::Internal { incident }) => return ["Something went wrong here (incident ", incident, ")"].concat(),
            (_, Self::Other { code, message }) if message.is_empty() => return code.clone(),
            (_, Self::Other { message, .. }) => return message.clone(),
            (_, Self::NotSignedIn) => ("请先登录", "Please sign in first"),
            (_, Self::NotYours) => ("此页面属于另一个会话，请刷新", "This page belongs to another session: load it again"),
            (_, Self::RoomMode { mode }) if mode == "accounts" => {
                ("该房间只有注册用户可以发言", "Only accounts can send in this room")
            }
            (_, Self::RoomMode { .. }) => ("该房间已关闭，不能发言", "This room is closed: nothing can be sent"),
            (_, Self::Muted(Restraint { kind: RestraintKind::Warning, .. })) => {
                ("请先确认房管的警告", "Acknowledge the moderators' warning first")
            }
            (_, Self::Muted(_)) => ("你已被暂时禁言", "You cannot send for a while: a moderator timed you out"),
            (_, Self::Banned(_)) => ("你已被禁止发言", "You are banned: you can read, and cannot send"),
            (_, Self::NoSuchRoom) => ("房间不存在", "There is no such room"),
            (_, Self::NoCookies) => (
                "浏览器没有保存 Cookie，请允许本站使用 Cookie 后再试",
                "Your browser kept no cookie: allow cookies for this site, then try again",
            ),
            (_, Self::Blank { .. }) => ("不能发送空消息", "An empty message cannot be sent"),
            (_, Self::Busy) => ("服务器繁忙，请稍后再试", "The server is busy: please try again soon"),
            (_, Self::Uncertain) => {
                ("不确定是否已保存，请再发一次", "It is not known whether this was stored: please send it again")
            }
            (_, Self::Unreachable) => ("网络不通，消息可能没有发出", "No answer from the server: it may not have been sent"),
            _ => ("", ""),
        };
        if lang == Lang::Zh { zh } else { en }.into()
    }

    /// Returns the refusal in the form in which the chat panel reads it: one that it does not judge has the server's sentence.
    pub fn for_panel(self, lang: Lang) -> Self {
        let is_said_by_server = match &self {
            Self::Blank { field } => field != "message",
            Self::Malformed { .. } => true,
            refusal => refusal.of_server().is_some(),
        };
        if !is_said_by_server {
            return self;
        }
        Self::Other { code: self.code().to_owned(), message: self.message(lang) }
    }

    /// The sentence in Chinese and English of a refusal that only the server says, if it holds no value.
    fn of_server(&self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::NotAllowed => ("没有权限", "You are not allowed to do this"),
            Self::AlreadyDecided => ("已经处理过了", "This was done already"),
            Self::TooLate => ("已超过可撤销的时间", "It is too late to take this back"),
            Self::NoSuchClient => ("连接已断开", "This connection is gone"),
            Self::NoSuchMethod => ("没有这个接口", "There is no such method"),
            Self::NameTaken => ("该用户名已被使用", "This name is taken"),
            Self::Malformed { field } => return malformed(field),
            _ => return None,
        })
    }
}

/// The sentence of a field with a rule of its own.
fn malformed(field: &str) -> Option<(&'static str, &'static str)> {
    Some(match field {
        "password" => {
            ("密码太短或太常见，请换一个（至少 8 位）", "This password is too short or too common (8 characters or more)")
        }
        "current" => ("当前密码不正确", "The current password is wrong"),
        "nickname" => (
            "这个昵称不能用：它像主播或系统的标记，请换一个",
            "This nickname is reserved: it looks like a host's or the system's",
        ),
        "name" => (
            "用户名需 2–32 个字，只能用文字、数字和 _ - .，不能有空格",
            "A username has 2 to 32 letters, digits, _ - . and no spaces",
        ),
        _ => return None,
    })
}

/// Returns milliseconds as whole seconds, rounded up.
pub fn whole_seconds(ms: u64) -> u64 {
    ms.div_ceil(1000)
}

fn field_name(field: &str, lang: Lang) -> Cow<'_, str> {
    let (zh, en) = match field {
        "nickname" => ("昵称", "nickname"),
        "name" => ("用户名", "username"),
        "password" => ("密码", "password"),
        "title" => ("标题", "title"),
        "message" => ("消息", "message"),
        "owner" => ("链接", "link"),
        "user" => ("用户", "person"),
        "text" | "note" => ("备注", "note"),
        "reason" => ("理由", "reason"),
        "seconds" => ("时长", "duration"),
        "slow_ms" => ("慢速模式", "slow mode"),
        "action" => ("操作", "act"),
        "case" => ("限制编号", "case"),
        "seq" => ("消息编号", "message number"),
        "nonce" => ("请求编号", "request number"),
        "role" => ("身份", "role"),
        "re" => ("回复的消息", "answered message"),
        "before" => ("页码", "page"),
        other => return other.into(),
    };
    if lang == Lang::Zh { zh } else { en }.into()
}
