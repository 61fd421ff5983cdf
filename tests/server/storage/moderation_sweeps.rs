//! The end of the records of moderation, and of their subjects: rooms, old messages, guests.

use super::moderation::{HOUR_MS, act, action, add_account, all, now, purge, removal, restraint, room, say, seqs_of, uid};
use super::{Opened, add_rooms, contract, now_ms};
use roomcast::domain::{
    change::{Pinned, RestraintKind, Rev},
    id::Seq,
};
use roomcast::server::storage::moderation::{ActQueries, GrantedRole, NoteRow, PurgeRow, PurgeState, ReportRow};
use roomcast::server::storage::{ApiKeyRow, Store};
use uuid::Uuid;

contract!(
    what_has_ended_is_swept_in_batches,
    a_deleted_room_takes_its_records_along_and_leaves_the_log,
    old_messages_take_their_texts_reports_and_pin_along,
    a_guest_that_is_restrained_or_noted_is_not_idle,
    a_key_keeps_its_rooms,
);

const DAY_MS: u64 = 24 * HOUR_MS;

fn note(user: &str, until: u64) -> NoteRow {
    NoteRow { id: Uuid::now_v7(), room: room("1"), uid: uid(user), by: "m".into(), at: 5, text: "a note".into(), until }
}

fn report(seq: u64, of: &str, at: u64) -> ReportRow {
    ReportRow { room: room("1"), seq: Seq(seq), by: uid("w"), uid: uid(of), reason: "spam".into(), at }
}

/// Stores of each kind of record one that ended long ago, and one that did not. Returns the acts of removal: ended, kept.
async fn put_ended_and_kept(store: &Store, start: u64) -> (Uuid, Uuid) {
    let old = 5;
    let mut acting = act(store, "1").await;
    let (ended, kept) = (Uuid::now_v7(), Uuid::now_v7());
    for (action, seq, until) in [(ended, 1, old), (ended, 2, old), (kept, 3, start + HOUR_MS)] {
        let removal = roomcast::server::storage::moderation::NewRemoval { until, ..removal(action, seq) };
        acting.remove(removal, &seqs_of([seq])).await.unwrap();
        acting.add_change("{}").await.unwrap();
    }
    for (state, until) in [(PurgeState::Done, old), (PurgeState::Restoring, old), (PurgeState::Done, start + HOUR_MS)] {
        acting.put_purge(&PurgeRow { state, until, ..purge(Uuid::now_v7(), "v", 1, 1, 1) }).await.unwrap();
    }
    for (n, until) in [(1, old), (2, start + HOUR_MS)] {
        acting.put_action(&action("1", n, "m", None)).await.unwrap();
        acting.put_action_text(Uuid::now_v7(), "reason", None, "x", &[1], until).await.unwrap();
        acting.put_note(&note("u", until)).await.unwrap();
    }
    acting.put_report(&report(1, "u", old)).await.unwrap();
    acting.put_report(&report(2, "u", start)).await.unwrap();
    for (user, until) in [("past", Some(old)), ("now", None)] {
        acting.put_restraint(&restraint(Some("1"), user, RestraintKind::Ban, until)).await.unwrap();
    }
    let lifted = restraint(Some("1"), "lifted", RestraintKind::Ban, None);
    acting.put_restraint(&lifted).await.unwrap();
    acting.lift(lifted.id, old).await.unwrap();
    acting.commit().await.unwrap();
    store.note_network(&room("1"), &uid("u"), [1; 12], start - 8 * DAY_MS).await.unwrap();
    store.note_network(&room("1"), &uid("u"), [2; 12], start).await.unwrap();
    (ended, kept)
}

async fn what_has_ended_is_swept_in_batches(opened: &mut Opened) {
    let (store, start) = (&opened.store, now_ms());
    add_rooms(store, &["1"]).await;
    say(store, "1", &["u", "u", "u", "u"]).await;
    let (ended, kept) = put_ended_and_kept(store, start).await;
    opened.place.sql(&format!("UPDATE {{}}changes SET at = {} WHERE rev = 1", start - 25 * HOUR_MS)).await;
    let store = &opened.store;
    let mut swept = vec![];
    while let rows @ 1.. = store.sweep_moderation(start, 1).await.unwrap() {
        swept.push(rows);
    }
    // Texts 2, purge, text of an act, note, network, report, two reasons, change.
    assert_eq!((swept.iter().sum::<u64>(), swept.len()), (10, 2), "{swept:?}");
    let count = async |table: &str| opened.place.count(&format!("SELECT count(*) FROM {{}}{table}")).await;
    for (table, rows) in [
        ("removed_texts", 1),
        ("purges", 2),
        ("action_texts", 1),
        ("notes", 1),
        ("networks", 1),
        ("reports", 1),
        ("changes", 2),
        ("actions", 2),
        ("restraints WHERE reason <> ''", 1),
        ("restraints", 3),
    ] {
        assert_eq!(count(table).await, rows, "{table}");
    }
    let mut undoing = act(&opened.store, "1").await;
    assert_eq!((undoing.restorable(ended).await.unwrap(), undoing.restorable(kept).await.unwrap()), (0, 1));
    assert_eq!(undoing.message(Seq(1)).await.unwrap().unwrap().action, None, "its text has ended");
    drop(undoing);
    assert!(all(&opened.store, "1").await[0].removed.is_some(), "the tombstone stays");
    assert!(!opened.store.room_now(&room("1"), Some(Rev(0)), 9).await.unwrap().unwrap().has_all_changes);
}

async fn a_deleted_room_takes_its_records_along_and_leaves_the_log(opened: &mut Opened) {
    let store = &opened.store;
    add_rooms(store, &["1", "2"]).await;
    add_account(store, "m").await;
    say(store, "1", &["u", "u", "v"]).await;
    say(store, "2", &["u"]).await;
    let ban = restraint(Some("1"), "u", RestraintKind::Ban, None);
    for id in ["1", "2"] {
        let mut acting = act(store, id).await;
        acting.remove(removal(Uuid::now_v7(), 1), &seqs_of([1])).await.unwrap();
        acting.add_change("{}").await.unwrap();
        acting.set_role(&uid("m"), Some(GrantedRole::Moderator), "host").await.unwrap();
        acting.put_action(&action(id, 1, "m", None)).await.unwrap();
        if id == "1" {
            acting.put_purge(&purge(Uuid::now_v7(), "u", 1, 2, 1)).await.unwrap();
            acting.put_restraint(&ban).await.unwrap();
            acting.put_note(&note("u", u64::MAX)).await.unwrap();
            acting.put_report(&report(2, "u", 5)).await.unwrap();
        }
        acting.commit().await.unwrap();
        store.note_network(&room(id), &uid("u"), [1; 12], 5).await.unwrap();
    }
    let mut acting = act(store, "1").await;
    acting.restrain_networks(&uid("u"), ban.id, u64::MAX / 4).await.unwrap();
    acting.commit().await.unwrap();
    store.delete_room(&room("1"), 0).await.unwrap();
    while let rows @ 1.. = store.sweep_deleted_rooms(2).await.unwrap() {
        assert!(rows <= 2, "a batch is bounded: {rows}");
    }
    for table in ["messages", "removed_texts", "changes", "roles", "networks"] {
        let left = opened.place.count(&format!("SELECT count(*) FROM {{}}{table}")).await;
        assert_eq!(left, 1, "{table}: that of the other room");
    }
    for table in ["purges", "restraints", "notes", "reports", "network_restraints"] {
        assert_eq!(opened.place.count(&format!("SELECT count(*) FROM {{}}{table}")).await, 0, "{table}");
    }
    let store = &opened.store;
    assert_eq!(store.actions_after("1", 0, 9).await.unwrap().len(), 1, "the log stays");
    add_rooms(store, &["1"]).await;
    say(store, "1", &["u"]).await;
    let mut acting = act(store, "1").await;
    assert_eq!((acting.chain().await.unwrap().n, acting.add_change("{}").await.unwrap()), (1, Rev(1)), "its log goes on");
    acting.commit().await.unwrap();
}

async fn old_messages_take_their_texts_reports_and_pin_along(opened: &mut Opened) {
    let store = &opened.store;
    add_rooms(store, &["1", "2"]).await;
    say(store, "1", &["u", "u", "u", "u"]).await;
    say(store, "2", &["u"]).await;
    let mut acting = act(store, "1").await;
    for seq in [1, 3] {
        acting.put_report(&report(seq + 1, "u", 5)).await.unwrap();
        acting.remove(removal(Uuid::now_v7(), seq), &seqs_of([seq])).await.unwrap();
    }
    acting.set_pin(Some(Pinned { seq: Seq(2), until: None })).await.unwrap();
    acting.commit().await.unwrap();
    let mut acting = act(store, "2").await;
    acting.remove(removal(Uuid::now_v7(), 1), &seqs_of([1])).await.unwrap();
    acting.commit().await.unwrap();
    opened.place.sql("UPDATE {}messages SET at = 10 * seq WHERE room = '1'").await;
    let store = &opened.store;
    assert_eq!(store.remove_messages_before(&room("1"), 20, 9).await.unwrap(), 1);
    let kept = async || {
        let count = async |table: &str| opened.place.count(&format!("SELECT count(*) FROM {{}}{table}")).await;
        (count("removed_texts").await, count("reports").await, now(store, "1").await.record.pinned.map(|pin| pin.seq.0))
    };
    assert_eq!(kept().await, (2, 2, Some(2)));
    assert_eq!(store.remove_messages_before(&room("1"), 30, 9).await.unwrap(), 1);
    assert_eq!(kept().await, (2, 1, None));
    assert_eq!(now(store, "1").await.oldest, Seq(3));
    assert_eq!(store.remove_messages_before(&room("1"), u64::MAX, 9).await.unwrap(), 2);
    assert_eq!(kept().await, (1, 0, None), "that of the other room");
    assert_eq!(now(store, "1").await.oldest, Seq(5));
}

async fn a_guest_that_is_restrained_or_noted_is_not_idle(Opened { store, .. }: &mut Opened) {
    const NOW: u64 = 1_000_000;
    add_rooms(store, &["1"]).await;
    let guests = ["banned", "on-site", "past", "lifted", "noted", "reported", "idle"];
    for name in guests {
        store.put_nickname(&uid(name), "n", 5).await.unwrap();
    }
    let mut acting = act(store, "1").await;
    let lifted = restraint(Some("1"), "lifted", RestraintKind::Ban, None);
    for row in [
        &restraint(Some("1"), "banned", RestraintKind::Ban, None),
        &restraint(None, "on-site", RestraintKind::Timeout, Some(NOW + 1)),
        &restraint(Some("1"), "past", RestraintKind::Timeout, Some(NOW)),
        &lifted,
    ] {
        acting.put_restraint(row).await.unwrap();
    }
    acting.lift(lifted.id, 5).await.unwrap();
    acting.put_note(&note("noted", u64::MAX / 4)).await.unwrap();
    acting.put_report(&report(1, "reported", 5)).await.unwrap();
    acting.commit().await.unwrap();
    let (idle, _) = store.idle_guests(NOW, NOW, None).await.unwrap();
    assert_eq!(idle, ["idle", "lifted", "past"].map(uid));
    assert_eq!(store.remove_idle_guests(&guests.map(uid), NOW).await.unwrap(), 3, "it is judged again");
    assert!(store.standing(&room("1"), &uid("banned")).await.unwrap().is_some());
}

async fn a_key_keeps_its_rooms(Opened { store, .. }: &mut Opened) {
    for (name, rooms) in [("all", ""), ("some", "1,song")] {
        let row = ApiKeyRow { name: name.into(), scopes: "push".into(), rooms: rooms.into(), expires_at: None };
        store.put_api_key(&row, name.as_bytes(), 5).await.unwrap();
        assert_eq!(store.api_key(name.as_bytes()).await.unwrap().unwrap().rooms, rooms);
    }
    let listed = store.api_keys().await.unwrap();
    assert_eq!(listed.iter().map(|key| key.rooms.as_str()).collect::<Vec<_>>(), ["", "1,song"]);
}
