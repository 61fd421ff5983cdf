//! Pages read everything as the server writes it.

use crate::domain::{
    change::{Changed, Pinned, Purged, Removed, Restraint, RestraintKind, Rev, RoomModes, RoomState, Seqs, Why},
    draft::Rules,
    id::{Epoch, RoomId, Seq, Uid},
    lang::Lang,
    message::{Message, ReplyTo, Role},
    push::Push,
    rank::Rank,
    reading::{FromJson, Json},
    refusal::Refusal,
    reply::{BindReply, HistoryReply, ReturnedForm, SendReply, SignInReply},
    room::{Person, RoomCard, Snapshot},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::fmt::Debug;
use uuid::Uuid;

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
    Message {
        room,
        seq: Seq(42),
        id: Uuid::nil(),
        user,
        nickname,
        role: Role::Host,
        text,
        at: 1_700_000_000_000,
        re: Some(ReplyTo { seq: Seq(40), nickname: "小李".into() }),
        mentions: vec!["u2".parse().unwrap()],
        removed: None,
    }
}

fn restraint(kind: RestraintKind, until: Option<u64>) -> Option<Restraint> {
    Some(Restraint { kind, until, reason: "刷屏".into(), case: Uuid::from_u128(7) })
}

fn state() -> RoomState {
    let modes = RoomModes { slow_ms: 30_000, accounts: true, closed: true, ..RoomModes::default() };
    RoomState { modes, raid: None, pinned: Some(Pinned { seq: Seq(4), until: Some(5) }), poll: None, title: "一".into() }
}

/// One change of each form.
fn changes() -> Vec<Push> {
    let change = |rev| Changed {
        room: "1".parse().unwrap(),
        rev: Rev(rev),
        at: 5,
        why: Why::Rule,
        removed: vec![],
        purged: None,
        restored: vec![],
        reread: false,
    };
    let removed = Seqs::of([4, 7, 8, 9].map(Seq));
    let purged = Purged { user: "u1".parse().unwrap(), from: Seq(1), upto: Seq(9) };
    vec![
        Push::Changed(Changed { removed, ..change(5) }),
        Push::Changed(Changed { purged: Some(purged), ..change(6) }),
        Push::Changed(Changed { restored: vec![message()], why: Why::Undo, ..change(7) }),
        Push::Changed(Changed { reread: true, why: Why::Undo, ..change(8) }),
        Push::Room { room: "1".parse().unwrap(), rev: Rev(9), state: RoomState { pinned: None, ..state() } },
    ]
}

#[test]
fn p4_pages_read_every_reply_as_the_server_does() {
    let (epoch, uid): (Epoch, Uid) = ("e".parse().unwrap(), "u1".parse().unwrap());
    let person = |account| Person { uid: uid.clone(), nickname: "阿明".into(), account };
    check(message());
    let removed = Some(Removed { why: Why::Author, rev: Rev(3) });
    check(Message { nickname: String::new(), text: String::new(), mentions: vec![], removed, ..message() });
    check(person(None));
    check(person(Some("ming".into())));
    check(SignInReply { uid: uid.clone(), nickname: "阿明".into() });
    check(SendReply { status: true, id: Uuid::nil(), seq: Seq(7), cooldown_ms: Some(3000) });
    check(HistoryReply { messages: vec![message()], oldest: Seq(3) });
    for (code, you) in [(None, None), (Some(uid.clone()), Some(person(None)))] {
        let (epoch, message) = (epoch.clone(), "Group Success".to_owned());
        let messages = vec![self::message()];
        check(BindReply {
            code,
            status: true,
            message,
            epoch,
            seq: Seq(42),
            oldest: Seq(1),
            messages,
            you,
            gap: true,
            rev: Rev(9),
            state: Some(state()),
            changes: changes(),
            stale: true,
            rank: Some(Rank::Moderator),
            restraint: restraint(RestraintKind::Ban, None),
            warning: restraint(RestraintKind::Warning, None),
        });
    }
}

#[test]
fn p4_pages_read_their_data_pushes_and_refusals_as_the_server_does() {
    for host in [None, Some("主播".to_owned())] {
        let card = RoomCard { room: "1".parse().unwrap(), title: "一".into(), host, online: 9 };
        let (epoch, messages) = ("e".parse().unwrap(), vec![message()]);
        check(Snapshot {
            card,
            rules: Rules::default(),
            epoch,
            seq: Seq(42),
            oldest: Seq(1),
            messages,
            rev: Rev(9),
            state: state(),
            rank: Some(Rank::Host),
            restraint: restraint(RestraintKind::Timeout, Some(5)),
            warning: None,
        });
    }
    check(Push::Message(message()));
    changes().into_iter().for_each(check);
    let room: RoomId = "1".parse().unwrap();
    let timeout = restraint(RestraintKind::Timeout, Some(5));
    check(Push::You { room: room.clone(), restraint: timeout.clone(), warning: None });
    check(Push::You { room, restraint: None, warning: timeout });
    let refusal = Refusal::Blank { field: "message".into() };
    check(refusal.clone());
    check(Refusal::TooFast { retry_after_ms: 9 });
    check(Refusal::room_closed());
    check(Refusal::accounts_only());
    for (kind, until) in [(RestraintKind::Ban, None), (RestraintKind::Timeout, Some(5)), (RestraintKind::Warning, None)] {
        check(restraint(kind, until).map_or(Refusal::Busy, Refusal::from));
    }
    check(ReturnedForm { form: "/gateway/send".into(), refusal, text: "a".into(), more: "b".into() });
    let judged =
        [Refusal::NotSignedIn, Refusal::NotYours, Refusal::NoSuchRoom, Refusal::NoCookies, Refusal::Busy, Refusal::Uncertain];
    judged.into_iter().for_each(check);
    check(Refusal::TooLong { max: 140 });
    check(Refusal::Internal { incident: "i".into() });
}

#[test]
fn pages_say_what_they_do_not_judge_in_the_servers_words() {
    for refusal in [Refusal::NotAllowed, Refusal::NameTaken, Refusal::malformed("nickname"), Refusal::blank("nickname")] {
        let read = refusal.clone().for_panel(Lang::En);
        assert_eq!(read, Refusal::Other { code: refusal.code().into(), message: refusal.message(Lang::En) });
        assert_eq!(read.panel_message(Lang::En), refusal.message(Lang::En));
        assert_eq!(Refusal::from_json(&serde_json::to_value(&read).unwrap()), Some(read));
        // The answer of a request has the sentence beside the fields.
        let mut answer = serde_json::to_value(&refusal).unwrap();
        answer["message"] = refusal.message(Lang::Zh).into();
        assert_eq!(Refusal::from_json(&answer), Some(refusal.for_panel(Lang::Zh)));
    }
    let timeout = Refusal::from(restraint(RestraintKind::Timeout, Some(5)).unwrap());
    assert_eq!(timeout.clone().for_panel(Lang::En), timeout);
    assert_eq!(timeout.panel_message(Lang::En), timeout.message(Lang::En));
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
