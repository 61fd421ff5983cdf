//! The page's reading of JSON from the server: pushes, replies, and the data that the chat panel is built from. Serde's derived
//! readers, which the server uses, take 40 kB more of wasm; a test holds both together.

use crate::domain::{
    change::{Changed, Pinned, Purged, Removed, Restraint, RestraintKind, Rev, RoomModes, RoomState, Seqs, Why, case_of},
    draft::Rules,
    id::{Epoch, Seq, Uid},
    message::{Message, ReplyTo, Role},
    push::Push,
    rank::Rank,
    refusal::Refusal,
    reply::{BindReply, HistoryReply, ReturnedForm, SendReply, SignInReply},
    room::{Person, RoomCard, Snapshot},
};
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
            role: Role::from_word(&text(json, "role")?),
            text: text(json, "text")?,
            at: number(json, "at")?,
            re: json.field("re").and_then(|re| Some(ReplyTo { seq: seq(&re, "seq")?, nickname: text(&re, "nickname")? })),
            mentions: uids(json, "mentions"),
            removed: json.field("removed").and_then(|removed| Removed::from_json(&removed)),
        })
    }
}

impl FromJson for Removed {
    fn from_json(json: &impl Json) -> Option<Self> {
        Some(Self { why: Why::from_word(&text(json, "why")?), rev: rev(json)? })
    }
}

impl FromJson for Restraint {
    fn from_json(json: &impl Json) -> Option<Self> {
        restraint_of(json, &text(json, "kind")?)
    }
}

fn restraint_of(json: &impl Json, kind: &str) -> Option<Restraint> {
    let kind = match kind {
        "ban" | "banned" => RestraintKind::Ban,
        "warning" => RestraintKind::Warning,
        _ => RestraintKind::Timeout,
    };
    let reason = text(json, "reason").unwrap_or_default();
    Some(Restraint { kind, until: number(json, "until"), reason, case: case_of(&text(json, "case")?)? })
}

impl FromJson for RoomState {
    fn from_json(json: &impl Json) -> Option<Self> {
        let modes = json.field("modes")?;
        let modes = RoomModes {
            slow_ms: number(&modes, "slow_ms")?,
            accounts: flag(&modes, "accounts")?,
            closed: flag(&modes, "closed")?,
            ..RoomModes::default()
        };
        let pinned = json.field("pinned");
        let pinned = pinned.and_then(|pin| Some(Pinned { seq: seq(&pin, "seq")?, until: number(&pin, "until") }));
        Some(Self { modes, raid: None, pinned, poll: None, title: text(json, "title")? })
    }
}

impl FromJson for Changed {
    fn from_json(json: &impl Json) -> Option<Self> {
        let purged = json.field("purged");
        Some(Self {
            room: text(json, "room")?.try_into().ok()?,
            rev: rev(json)?,
            at: number(json, "at")?,
            why: Why::from_word(&text(json, "why")?),
            removed: list(json, "removed"),
            purged: purged.and_then(|purged| {
                let user = text(&purged, "user")?.try_into().ok()?;
                Some(Purged { user, from: seq(&purged, "from")?, upto: seq(&purged, "upto")? })
            }),
            restored: list(json, "restored"),
            reread: flag(json, "reread").unwrap_or_default(),
        })
    }
}

impl FromJson for Seqs {
    fn from_json(json: &impl Json) -> Option<Self> {
        if let Some(seq) = json.number().map(Seq) {
            return Some(Self { from: seq, to: seq });
        }
        let [from, to] = json.items()?.try_into().ok()?;
        Some(Self { from: Seq(from.number()?), to: Seq(to.number()?) })
    }
}

fn restraint(json: &impl Json, name: &str) -> Option<Restraint> {
    Restraint::from_json(&json.field(name)?)
}

fn rev(json: &impl Json) -> Option<Rev> {
    number(json, "rev").map(Rev)
}

fn uids(json: &impl Json, name: &str) -> Vec<Uid> {
    let texts = json.field(name).and_then(|list| list.items()).unwrap_or_default();
    texts.iter().filter_map(|uid| uid.text()?.try_into().ok()).collect()
}

/// Reads the entries of a list that can be read; an absent list is empty.
fn list<T: FromJson>(json: &impl Json, name: &str) -> Vec<T> {
    let items = json.field(name).and_then(|list| list.items()).unwrap_or_default();
    items.iter().filter_map(T::from_json).collect()
}

impl FromJson for Push {
    fn from_json(json: &impl Json) -> Option<Self> {
        Some(match text(json, "type")?.as_str() {
            "init" => Self::Init { client_id: text(json, "client_id")?.parse().ok()? },
            "message" => Self::Message(Message::from_json(json)?),
            "gap" => Self::Gap {
                room: text(json, "room")?.try_into().ok()?,
                from: seq(json, "from"),
                to: seq(json, "to"),
                rev: rev(json),
            },
            "changed" => Self::Changed(Changed::from_json(json)?),
            "room" => Self::Room {
                room: text(json, "room")?.try_into().ok()?,
                rev: rev(json)?,
                state: RoomState::from_json(&json.field("state")?)?,
            },
            "you" => Self::You {
                room: text(json, "room")?.try_into().ok()?,
                restraint: restraint(json, "restraint"),
                warning: restraint(json, "warning"),
            },
            "online" => Self::Online { room: text(json, "room")?.try_into().ok()?, count: small(json, "count")? },
            "bye" => Self::Bye { reconnect_after_ms: number(json, "reconnect_after_ms")? },
            _ => Self::Data,
        })
    }
}

/// A page knows the refusals that it judges. Of the others, and of those of later versions, it has the server's sentence.
impl FromJson for Refusal {
    fn from_json(json: &impl Json) -> Option<Self> {
        let code = text(json, "code")?;
        let word = |name| text(json, name).unwrap_or_default();
        let known = match code.as_str() {
            "not_signed_in" => Some(Self::NotSignedIn),
            "not_yours" => Some(Self::NotYours),
            "room_mode" => match word("mode").as_str() {
                "closed" => Some(Self::room_closed()),
                "accounts" => Some(Self::accounts_only()),
                _ => None,
            },
            "banned" => restraint_of(json, &code).map(Self::Banned),
            "muted" => restraint_of(json, &word("kind")).map(Self::Muted),
            "no_such_room" => Some(Self::NoSuchRoom),
            "no_cookies" => Some(Self::NoCookies),
            "too_long" => Some(Self::TooLong { max: small(json, "max").unwrap_or_default() }),
            "blank" if word("field") == "message" => Some(Self::blank("message")),
            "too_fast" => Some(Self::TooFast { retry_after_ms: number(json, "retry_after_ms").unwrap_or_default() }),
            "busy" => Some(Self::Busy),
            "uncertain" => Some(Self::Uncertain),
            "internal" => Some(Self::Internal { incident: word("incident") }),
            "unreachable" => Some(Self::Unreachable),
            _ => None,
        };
        Some(known.unwrap_or_else(|| Self::Other { message: word("message"), code }))
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
            rev: rev(json).unwrap_or_default(),
            state: json.field("state").and_then(|state| RoomState::from_json(&state)),
            changes: list(json, "changes"),
            stale: flag(json, "stale").unwrap_or_default(),
            rank: json.field("rank").and_then(|rank| Rank::from_word(&rank.text()?)),
            restraint: restraint(json, "restraint"),
            warning: restraint(json, "warning"),
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
            rev: rev(json)?,
            state: RoomState::from_json(&json.field("state")?)?,
            rank: json.field("rank").and_then(|rank| Rank::from_word(&rank.text()?)),
            restraint: restraint(json, "restraint"),
            warning: restraint(json, "warning"),
        })
    }
}
