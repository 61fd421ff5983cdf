//! Acts of moderation on a store: the tools of its tests, and the transaction itself.

use super::{Opened, add_rooms, contract, message, now_ms, seqs};
use futures_util::FutureExt;
use futures_util::future::join_all;
use roomcast::domain::{
    change::{Pinned, RestraintKind, Rev, Why},
    id::{RoomId, Seq, Uid},
    message::Message,
};
use roomcast::server::storage::moderation::{
    ActQueries, ActTransaction, ActionRow, NewRemoval, PurgeRow, PurgeState, RestraintRow, RoomNow,
};
use roomcast::server::storage::{NewPerson, Store};
use std::panic::AssertUnwindSafe;
use uuid::Uuid;

contract!(
    an_act_that_is_dropped_changes_nothing,
    revs_have_no_holes_whatever_is_at_once,
    a_room_is_read_at_one_moment_with_the_changes_that_are_kept,
    the_log_is_only_appended_to,
    an_act_is_found_by_its_nonce,
    an_act_sets_what_a_room_is,
);

pub const HOUR_MS: u64 = 3_600_000;

pub fn room(id: &str) -> RoomId {
    id.parse().unwrap()
}

pub fn uid(id: &str) -> Uid {
    id.parse().unwrap()
}

pub async fn act(store: &Store, id: &str) -> ActTransaction {
    store.begin_act(&room(id), now_ms()).await.unwrap()
}

pub async fn add_account(store: &Store, name: &str) {
    let new = NewPerson { uid: &uid(name), nickname: name, account: name, password: "hash", created_at: 5 };
    store.put_account(new).await.unwrap();
}

pub fn removal(action: Uuid, rev: u64) -> NewRemoval {
    NewRemoval { action, why: Why::Moderator, rev: Rev(rev), until: now_ms() + HOUR_MS }
}

pub fn purge(action: Uuid, user: &str, from: u64, upto: u64, rev: u64) -> PurgeRow {
    PurgeRow {
        action,
        room: room("1"),
        uid: uid(user),
        from: Seq(from),
        upto: Seq(upto),
        rev: Rev(rev),
        why: Why::Moderator,
        state: PurgeState::Blanking,
        next: Seq(from),
        until: now_ms() + HOUR_MS,
    }
}

/// A restraint that begins now; of the whole site without a room.
pub fn restraint(of: Option<&str>, user: &str, kind: RestraintKind, until: Option<u64>) -> RestraintRow {
    RestraintRow {
        id: Uuid::now_v7(),
        room: of.map(room),
        uid: uid(user),
        kind,
        since: now_ms(),
        until,
        reason: format!("the reason of {user}"),
        by: "owner".into(),
        lifted_at: None,
    }
}

pub fn seqs_of(of: impl IntoIterator<Item = u64>) -> Vec<Seq> {
    of.into_iter().map(Seq).collect()
}

pub async fn all(store: &Store, id: &str) -> Vec<Message> {
    store.messages_between(&room(id), Seq(0), None, 1000).await.unwrap()
}

/// The texts of a room; empty ones are of removed messages.
pub async fn texts(store: &Store, id: &str) -> Vec<String> {
    let messages = all(store, id).await;
    for message in &messages {
        let is_empty = message.text.is_empty() && message.nickname.is_empty() && message.mentions.is_empty();
        assert_eq!(message.removed.is_some(), is_empty, "{message:?}");
    }
    messages.into_iter().map(|message| message.text).collect()
}

pub async fn now(store: &Store, id: &str) -> RoomNow {
    store.room_now(&room(id), None, 0).await.unwrap().unwrap()
}

/// Stores messages of these people, whose texts are their seqs.
pub async fn say(store: &Store, id: &str, users: &[&str]) {
    let newest = store.seq_range(&room(id)).await.unwrap().newest.0;
    let batch = users.iter().zip(newest + 1..).map(|(user, seq)| message(id, user, &seq.to_string(), None)).collect();
    seqs(&store.append(batch, 0).await.unwrap());
}

async fn an_act_that_is_dropped_changes_nothing(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    say(store, "1", &["a"]).await;
    for _ in 0..3 {
        let mut act = act(store, "1").await;
        assert_eq!(act.remove(removal(Uuid::now_v7(), 1), &[Seq(1)]).await.unwrap(), [Seq(1)]);
        assert_eq!(act.add_change("{}").await.unwrap(), Rev(1));
        act.set_title("another").await.unwrap();
        drop(act);
    }
    let now = now(store, "1").await;
    assert_eq!((now.record.rev, now.record.title.as_str(), texts(store, "1").await), (Rev(0), "1", vec!["1".to_owned()]));
    say(store, "1", &["b"]).await;
    assert!(act(store, "nowhere").await.room().await.unwrap().is_none());
    store.delete_room(&room("1"), 0).await.unwrap();
    assert!(act(store, "1").await.room().await.unwrap().is_none());
    assert!(store.room_now(&room("1"), None, 0).await.unwrap().is_none());
    let mut on_site = store.begin_act_on_site(&uid("a"), now_ms()).await.unwrap();
    assert_eq!((on_site.room().await.unwrap(), on_site.chain().await.unwrap().chain.as_str()), (None, "*"));
}

async fn revs_have_no_holes_whatever_is_at_once(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "2"]).await;
    let acts = join_all((0..24).map(async |n| {
        let mut act = act(store, "1").await;
        let rev = act.add_change(&format!(r#"{{"n":{n}}}"#)).await.unwrap();
        if n % 4 == 0 {
            return None;
        }
        act.commit().await.unwrap();
        Some(rev.0)
    }));
    let sends = join_all((0..24).map(async |_| say(store, "1", &["a"]).await));
    let (revs, _) = tokio::join!(acts, sends);
    let mut revs: Vec<_> = revs.into_iter().flatten().collect();
    revs.sort_unstable();
    assert_eq!(revs, (1..=18).collect::<Vec<_>>());
    let now = store.room_now(&room("1"), Some(Rev(0)), 500).await.unwrap().unwrap();
    assert_eq!(now.changes.iter().map(|change| change.rev.0).collect::<Vec<_>>(), revs);
    assert!(now.changes.is_sorted_by_key(|change| change.seq) && now.has_all_changes, "{now:?}");
    assert_eq!((now.record.rev, now.record.newest), (Rev(18), Seq(24)));
    assert_eq!(store.room_now(&room("2"), None, 0).await.unwrap().unwrap().record.rev, Rev(0));
}

async fn a_room_is_read_at_one_moment_with_the_changes_that_are_kept(opened: &mut Opened) {
    let store = &opened.store;
    add_rooms(store, &["1"]).await;
    for n in 0..5 {
        say(store, "1", &["a"]).await;
        let mut act = act(store, "1").await;
        // The text as it is: with its blanks and in its order.
        act.add_change(&format!(r#"{{"z": {n},  "a":"\u00e9"}}"#)).await.unwrap();
        act.commit().await.unwrap();
    }
    let read = async |after: u64, most: u32| store.room_now(&room("1"), Some(Rev(after)), most).await.unwrap().unwrap();
    let revs = |now: &RoomNow| now.changes.iter().map(|change| (change.rev.0, change.seq.0)).collect::<Vec<_>>();
    let now = read(0, 5).await;
    assert_eq!((revs(&now), now.has_all_changes), (vec![(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)], true));
    assert_eq!(now.changes[3].body, r#"{"z": 3,  "a":"\u00e9"}"#);
    assert_eq!((now.oldest, now.record.newest, now.record.rev), (Seq(1), Seq(5), Rev(5)));
    let now = read(3, 5).await;
    assert_eq!((revs(&now), now.has_all_changes), (vec![(4, 4), (5, 5)], true));
    assert!(!read(0, 4).await.has_all_changes, "more than wanted");
    let now = read(5, 5).await;
    assert_eq!((revs(&now), now.has_all_changes), (vec![], true));
    assert!(!read(6, 5).await.has_all_changes, "above the newest");
    assert_eq!(store.room_now(&room("1"), None, 5).await.unwrap().unwrap().changes, []);
    opened.place.sql("DELETE FROM {}changes WHERE rev <= 2").await;
    let store = &opened.store;
    let read = async |after: u64| store.room_now(&room("1"), Some(Rev(after)), 5).await.unwrap().unwrap().has_all_changes;
    assert_eq!((read(1).await, read(2).await), (false, true), "swept");
}

pub fn action(chain: &str, n: u64, actor: &str, nonce: Option<&str>) -> ActionRow {
    ActionRow {
        chain: chain.into(),
        n,
        id: Uuid::now_v7(),
        at: now_ms(),
        actor: actor.into(),
        verb: "remove".into(),
        target: Some("a".into()),
        nonce: nonce.map(str::to_owned),
        body: format!(r#"{{"v":1,  "n":{n}}}"#),
        hash: [n as u8; 32],
    }
}

/// Whether the database refuses a statement.
async fn is_refused(opened: &Opened, statement: &str) -> bool {
    AssertUnwindSafe(opened.place.sql(statement)).catch_unwind().await.is_err()
}

async fn the_log_is_only_appended_to(opened: &mut Opened) {
    let store = &opened.store;
    add_rooms(store, &["1"]).await;
    let rows = [action("1", 1, "m", None), action("1", 2, "m", Some("n")), action("*", 1, "cli", None)];
    let mut act = act(store, "1").await;
    assert_eq!(act.chain().await.unwrap().n, 0);
    for row in &rows[..2] {
        act.put_action(row).await.unwrap();
    }
    let head = act.chain().await.unwrap();
    assert_eq!((head.chain.as_str(), head.n, head.hash), ("1", 2, [2; 32]));
    act.put_action_text(rows[0].id, "reason", Some(&uid("a")), "spam", &[7; 16], u64::MAX).await.unwrap();
    act.commit().await.unwrap();
    let mut on_site = store.begin_act_on_site(&uid("a"), now_ms()).await.unwrap();
    on_site.put_action(&rows[2]).await.unwrap();
    on_site.commit().await.unwrap();
    for statement in [
        "UPDATE {}actions SET actor = 'x'",
        "UPDATE {}actions SET hash = hash WHERE n = 2",
        "DELETE FROM {}actions WHERE n = 1",
        "DELETE FROM {}actions",
    ] {
        assert!(is_refused(opened, statement).await, "{statement}");
    }
    let store = &opened.store;
    assert_eq!(store.newest_actions("1", None, 9).await.unwrap(), [rows[1].clone(), rows[0].clone()]);
    assert_eq!(store.newest_actions("1", Some(2), 9).await.unwrap(), [rows[0].clone()]);
    assert_eq!(store.actions_after("1", 0, 1).await.unwrap(), [rows[0].clone()]);
    assert_eq!(store.actions_after("1", 1, 9).await.unwrap(), [rows[1].clone()]);
    let ids = [rows[0].id, rows[1].id];
    assert_eq!(store.action_texts(&ids).await.unwrap(), [(rows[0].id, "reason".into(), "spam".into(), vec![7; 16])]);
    let heads = async || {
        let mut heads: Vec<_> = store.chain_heads().await.unwrap().into_iter().map(|head| (head.chain, head.n)).collect();
        heads.sort();
        heads
    };
    assert_eq!(heads().await, [("*".into(), 1), ("1".into(), 2)]);
    opened.place.sql("DELETE FROM {}chains WHERE chain = '1'").await;
    assert_eq!(heads().await, [("*".into(), 1), ("1".into(), 0)], "rows without a head are told");
}

async fn an_act_is_found_by_its_nonce(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "2"]).await;
    let row = action("1", 1, "m", Some("n"));
    let mut first = act(store, "1").await;
    first.put_action(&row).await.unwrap();
    first.commit().await.unwrap();
    let mut other = act(store, "2").await;
    assert_eq!(other.action_by_nonce("m", "n").await.unwrap(), Some(row.clone()), "in any chain");
    assert_eq!(other.action_by_nonce("m", "N").await.unwrap(), None);
    assert_eq!(other.action_by_nonce("M", "n").await.unwrap(), None);
    assert_eq!(other.action(row.id).await.unwrap(), Some(row));
    assert_eq!(other.action(Uuid::now_v7()).await.unwrap(), None);
    assert!(other.put_action(&action("2", 1, "m", Some("n"))).await.is_err(), "a nonce is used once");
    drop(other);
    let mut other = act(store, "2").await;
    other.put_action(&action("2", 1, "k", Some("n"))).await.unwrap();
    other.commit().await.unwrap();
}

async fn an_act_sets_what_a_room_is(Opened { store, .. }: &mut Opened) {
    use roomcast::server::storage::SetModes;
    add_rooms(store, &["1"]).await;
    say(store, "1", &["a", "a"]).await;
    let none = SetModes { slow_ms: None, closed: None, accounts: None };
    let set = async |modes: SetModes, by_operator: bool| {
        let mut act = act(store, "1").await;
        act.set_modes(modes, by_operator).await.unwrap();
        let inside = act.room().await.unwrap().unwrap();
        act.commit().await.unwrap();
        let record = now(store, "1").await.record;
        assert_eq!(inside, record, "the act sees its own changes");
        (record.slow_ms, record.accounts, record.is_closed, record.closed_by_operator)
    };
    assert_eq!(set(SetModes { slow_ms: Some(5000), accounts: Some(true), ..none }, false).await, (5000, true, false, false));
    assert_eq!(set(SetModes { closed: Some(true), ..none }, false).await, (5000, true, true, false));
    assert_eq!(set(SetModes { closed: Some(true), ..none }, true).await, (5000, true, true, true));
    assert_eq!(set(SetModes { closed: Some(true), ..none }, false).await, (5000, true, true, true), "the operator's stays");
    assert_eq!(set(SetModes { slow_ms: Some(0), ..none }, false).await, (0, true, true, true));
    assert_eq!(set(SetModes { closed: Some(false), accounts: Some(false), ..none }, false).await, (0, false, false, false));
    for pin in [Some(Pinned { seq: Seq(2), until: Some(9) }), Some(Pinned { seq: Seq(1), until: None }), None] {
        let mut act = act(store, "1").await;
        act.set_pin(pin).await.unwrap();
        act.set_title("新标题").await.unwrap();
        act.commit().await.unwrap();
        let record = now(store, "1").await.record;
        assert_eq!((record.pinned, record.title.as_str()), (pin, "新标题"));
    }
}
