//! The page's reading of JSON from the server: pushes, replies, and the data that the chat panel is built from. Serde's derived
//! readers, which the server uses, take 40 kB more of wasm; a test holds both together.

use crate::domain::{
    draft::Rules,
    id::{Epoch, Seq, Uid},
    message::{Message, Role},
    push::Push,
    refusal::{FlatRefusal, Refusal},
    reply::{BindReply, HistoryReply, ReturnedForm, SendReply, SignInReply},
    room::{Person, RoomCard, Snapshot},
};
use std::borrow::Cow;
use uuid::Uuid;

/// A parsed JSON value. The page's is that of the browser's own parser.
pub trait Json: Sized {
    /// Returns a field of an object; `None` if it is absent or null.
    fn field(&self, name: &str) -> Option<Self>;
    /// Returns the content of a string.
    fn text(&self) -> Option<String>;
    /// Returns a whole number, exact up to 2^53.
    fn number(&self) -> Option<u64>;
    /// Returns true or false.
    fn flag(&self) -> Option<bool>;
    /// Returns the values of an array.
    fn items(&self) -> Option<Vec<Self>>;
}

/// A type that pages read. Unknown fields are ignored, so that a page of this version reads what later ones send.
pub trait FromJson: Sized {
    /// Reads a value; `None` if it lacks a field or breaks the rules of one.
    fn from_json(json: &impl Json) -> Option<Self>;
}

fn text(json: &impl Json, name: &str) -> Option<String> {
    json.field(name)?.text()
}

fn number(json: &impl Json, name: &str) -> Option<u64> {
    json.field(name)?.number()
}

fn flag(json: &impl Json, name: &str) -> Option<bool> {
    json.field(name)?.flag()
}

fn small(json: &impl Json, name: &str) -> Option<u32> {
    number(json, name)?.try_into().ok()
}

fn seq(json: &impl Json, name: &str) -> Option<Seq> {
    number(json, name).map(Seq)
}

fn epoch(json: &impl Json) -> Option<Epoch> {
    text(json, "epoch")?.try_into().ok()
}

fn messages(json: &impl Json) -> Option<Vec<Message>> {
    json.field("messages")?.items()?.iter().map(Message::from_json).collect()
}

impl FromJson for Message {
    fn from_json(json: &impl Json) -> Option<Self> {
        Some(Self {
            room: text(json, "room")?.try_into().ok()?,
            seq: seq(json, "seq")?,
            // The page does not use it.
            id: Uuid::nil(),
            user: text(json, "user")?.try_into().unwrap_or_else(|_| Uid::nobody()),
            nickname: text(json, "nickname")?,
            role: if text(json, "role")? == "host" { Role::Host } else { Role::Viewer },
            text: text(json, "text")?,
            at: number(json, "at")?,
        })
    }
}

impl FromJson for Push {
    fn from_json(json: &impl Json) -> Option<Self> {
        Some(match text(json, "type")?.as_str() {
            "init" => Self::Init { client_id: text(json, "client_id")?.parse().ok()? },
            "message" => Self::Message(Message::from_json(json)?),
            "gap" => Self::Gap { room: text(json, "room")?.try_into().ok()?, from: seq(json, "from")?, to: seq(json, "to")? },
            "online" => Self::Online { room: text(json, "room")?.try_into().ok()?, count: small(json, "count")? },
            "bye" => Self::Bye { reconnect_after_ms: number(json, "reconnect_after_ms")? },
            _ => Self::Data,
        })
    }
}

impl FromJson for Refusal {
    fn from_json(json: &impl Json) -> Option<Self> {
        let word = |name| text(json, name).map(Cow::Owned);
        let flat = FlatRefusal {
            code: word("code")?,
            max: small(json, "max"),
            field: word("field"),
            mode: word("mode"),
            retry_after_ms: number(json, "retry_after_ms"),
            incident: text(json, "incident"),
            message: text(json, "message"),
        };
        Some(flat.into())
    }
}

impl FromJson for BindReply {
    fn from_json(json: &impl Json) -> Option<Self> {
        Some(Self {
            code: text(json, "code")?.try_into().ok(),
            status: flag(json, "status")?,
            message: text(json, "message")?,
            epoch: epoch(json)?,
            seq: seq(json, "seq")?,
            oldest: seq(json, "oldest").unwrap_or_default(),
            messages: messages(json)?,
            you: json.field("you").and_then(|you| Person::from_json(&you)),
            gap: flag(json, "gap")?,
        })
    }
}

impl FromJson for SendReply {
    fn from_json(json: &impl Json) -> Option<Self> {
        Some(Self {
            status: flag(json, "status")?,
            // The page does not use it.
            id: Uuid::nil(),
            seq: seq(json, "seq").unwrap_or_default(),
            cooldown_ms: number(json, "cooldown_ms"),
        })
    }
}

impl FromJson for HistoryReply {
    fn from_json(json: &impl Json) -> Option<Self> {
        Some(Self { messages: messages(json)?, oldest: seq(json, "oldest").unwrap_or_default() })
    }
}

impl FromJson for SignInReply {
    fn from_json(json: &impl Json) -> Option<Self> {
        Some(Self { uid: text(json, "uid")?.try_into().ok()?, nickname: text(json, "nickname")? })
    }
}

impl FromJson for Person {
    fn from_json(json: &impl Json) -> Option<Self> {
        let SignInReply { uid, nickname } = SignInReply::from_json(json)?;
        Some(Self { uid, nickname, account: text(json, "account") })
    }
}

impl FromJson for ReturnedForm {
    fn from_json(json: &impl Json) -> Option<Self> {
        Some(Self {
            form: text(json, "form")?,
            refusal: Refusal::from_json(&json.field("refusal")?)?,
            text: text(json, "text")?,
            more: text(json, "more").unwrap_or_default(),
        })
    }
}

impl FromJson for Snapshot {
    fn from_json(json: &impl Json) -> Option<Self> {
        let (card, rules) = (json.field("card")?, json.field("rules")?);
        Some(Self {
            card: RoomCard {
                room: text(&card, "room")?.try_into().ok()?,
                title: text(&card, "title")?,
                host: text(&card, "host"),
                online: small(&card, "online")?,
            },
            rules: Rules {
                max_graphemes: small(&rules, "max_graphemes")?,
                max_bytes: small(&rules, "max_bytes")?,
                cooldown_ms: number(&rules, "cooldown_ms")?,
            },
            epoch: epoch(json)?,
            seq: seq(json, "seq")?,
            oldest: seq(json, "oldest")?,
            messages: messages(json)?,
            closed: flag(json, "closed")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Serialize, de::DeserializeOwned};
    use serde_json::Value;
    use std::fmt::Debug;

    impl Json for Value {
        fn field(&self, name: &str) -> Option<Self> {
            self.get(name).filter(|value| !value.is_null()).cloned()
        }

        fn text(&self) -> Option<String> {
            self.as_str().map(str::to_owned)
        }

        fn number(&self) -> Option<u64> {
            self.as_u64()
        }

        fn flag(&self) -> Option<bool> {
            self.as_bool()
        }

        fn items(&self) -> Option<Vec<Self>> {
            self.as_array().cloned()
        }
    }

    /// Pages read what the server writes, as the server would.
    fn check<T: Serialize + DeserializeOwned + FromJson + PartialEq + Debug>(value: T) {
        let json = serde_json::to_value(&value).unwrap();
        assert_eq!(T::from_json(&json).as_ref(), Some(&value), "{json}");
        assert_eq!(serde_json::from_value::<T>(json).unwrap(), value);
    }

    fn message() -> Message {
        let (room, user) = ("1".parse().unwrap(), "u1".parse().unwrap());
        let (nickname, text) = ("阿明".to_owned(), "大家好".to_owned());
        Message { room, seq: Seq(42), id: Uuid::nil(), user, nickname, role: Role::Host, text, at: 1_700_000_000_000 }
    }

    #[test]
    fn p4_pages_read_every_reply_as_the_server_does() {
        let (epoch, uid): (Epoch, Uid) = ("e".parse().unwrap(), "u1".parse().unwrap());
        let person = |account| Person { uid: uid.clone(), nickname: "阿明".into(), account };
        check(message());
        check(person(None));
        check(person(Some("ming".into())));
        check(SignInReply { uid: uid.clone(), nickname: "阿明".into() });
        check(SendReply { status: true, id: Uuid::nil(), seq: Seq(7), cooldown_ms: Some(3000) });
        check(HistoryReply { messages: vec![message()], oldest: Seq(3) });
        for (code, you) in [(None, None), (Some(uid.clone()), Some(person(None)))] {
            let (epoch, message) = (epoch.clone(), "Group Success".to_owned());
            let messages = vec![self::message()];
            check(BindReply { code, status: true, message, epoch, seq: Seq(42), oldest: Seq(1), messages, you, gap: true });
        }
        for host in [None, Some("主播".to_owned())] {
            let card = RoomCard { room: "1".parse().unwrap(), title: "一".into(), host, online: 9 };
            let (epoch, messages) = (epoch.clone(), vec![message()]);
            check(Snapshot { card, rules: Rules::default(), epoch, seq: Seq(42), oldest: Seq(1), messages, closed: true });
        }
        let refusal = Refusal::Blank { field: "message".into() };
        check(refusal.clone());
        check(Refusal::TooFast { retry_after_ms: 9 });
        check(Refusal::room_closed());
        check(ReturnedForm { form: "/gateway/send".into(), refusal, text: "a".into(), more: "b".into() });
    }

    #[test]
    fn p4_fields_that_older_servers_leave_out_have_their_defaults() {
        let read = |json: &str| SendReply::from_json(&serde_json::from_str::<Value>(json).unwrap());
        let held = read(r#"{"status":true,"held":true,"release_at":5}"#);
        assert_eq!(held, Some(SendReply { status: true, id: Uuid::nil(), seq: Seq(0), cooldown_ms: None }));
        assert_eq!(read(r#"{"seq":7}"#), None);
        let history = HistoryReply::from_json(&serde_json::json!({ "messages": [] }));
        assert_eq!(history, Some(HistoryReply { messages: vec![], oldest: Seq(0) }));
    }
}
