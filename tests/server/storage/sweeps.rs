//! Sweeps: deletion in bounded batches.

use super::{Opened, contract, message, put_session};
use roomcast::domain::id::Seq;
use roomcast::server::storage::{NewPerson, SeqRange};

contract!(
    f3_a_deleted_room_goes_in_batches,
    f3_a_batch_of_old_messages_ends_at_the_first_that_is_kept,
    f3_guests_that_left_nothing_are_removed,
    f3_a_search_goes_through_all_people,
    f3_a_search_goes_through_all_rooms,
    f26_expired_sessions_are_removed_in_bounded_batches,
);

/// Sets the times of the room's messages, from seq 1 on: a store with a clock of its own gives them others.
async fn set_times(opened: &Opened, room: &str, times: &[u64]) {
    for (before, at) in times.iter().enumerate() {
        let seq = before + 1;
        opened.place.sql(&format!("UPDATE {{}}messages SET at = {at} WHERE room = '{room}' AND seq = {seq}")).await;
    }
}

async fn f3_a_deleted_room_goes_in_batches(Opened { store, .. }: &mut Opened) {
    let (room, kept) = (store.open_room("one", None, 0).await.unwrap(), store.open_room("kept", None, 0).await.unwrap());
    store.append((0..1200).map(|n| message("1", "u", &n.to_string(), None)).collect(), 0).await.unwrap();
    store.append(vec![message("2", "u", "kept", None)], 0).await.unwrap();
    assert_eq!(store.sweep_deleted_rooms(500).await.unwrap(), 0);
    assert!(store.delete_room(&room, 0).await.unwrap());
    assert_eq!(store.sweep_deleted_rooms(500).await.unwrap(), 500, "a batch is bounded");
    assert_eq!(store.sweep_deleted_rooms(500).await.unwrap(), 500);
    assert_eq!(store.sweep_deleted_rooms(500).await.unwrap(), 201, "the rest and the row");
    assert_eq!(store.sweep_deleted_rooms(500).await.unwrap(), 0);
    assert!(store.messages_between(&room, Seq(0), None, 10).await.unwrap().is_empty());
    assert_eq!(store.messages_between(&kept, Seq(0), None, 10).await.unwrap().len(), 1);
    assert!(store.add_room(&room, "another", None, 0).await.unwrap(), "the id is free");
    assert_eq!(store.seq_range(&room).await.unwrap(), SeqRange { oldest: Seq(1), newest: Seq(0) });
}

async fn f3_a_batch_of_old_messages_ends_at_the_first_that_is_kept(opened: &mut Opened) {
    let store = &opened.store;
    let room = store.open_room("one", None, 0).await.unwrap();
    store.append((0..6).map(|_| message("1", "u", "x", None)).collect(), 0).await.unwrap();
    // The clock went back between 4 and 5: what remains has no holes all the same.
    set_times(opened, "1", &[10, 11, 12, 50, 13, 60]).await;
    assert_eq!(store.rooms_with_messages_before(10, None).await.unwrap(), (vec![], None));
    assert_eq!(store.rooms_with_messages_before(20, None).await.unwrap(), (vec![room.clone()], None));
    assert_eq!(store.remove_messages_before(&room, 20, 2).await.unwrap(), 2);
    assert_eq!(store.remove_messages_before(&room, 20, 2).await.unwrap(), 1);
    assert_eq!(store.remove_messages_before(&room, 20, 2).await.unwrap(), 0);
    assert_eq!(store.seq_range(&room).await.unwrap(), SeqRange { oldest: Seq(4), newest: Seq(6) });
    assert_eq!(store.rooms_with_messages_before(20, None).await.unwrap(), (vec![], None));
    assert_eq!(store.rooms_with_messages_before(u64::MAX, Some(&room)).await.unwrap(), (vec![], None));
    assert_eq!(store.remove_messages_before(&room, u64::MAX, 500).await.unwrap(), 3);
    assert_eq!(store.seq_range(&room).await.unwrap(), SeqRange { oldest: Seq(7), newest: Seq(6) });
    let appended = store.append(vec![message("1", "u", "next", None)], 0).await.unwrap();
    assert_eq!(super::seqs(&appended), [(true, 7)], "the numbering goes on");
    assert!(store.scrub().await.unwrap());
}

async fn f3_guests_that_left_nothing_are_removed(Opened { store, .. }: &mut Opened) {
    const NOW: u64 = 1_000_000;
    let uid = |name: &str| name.parse().unwrap();
    for name in ["idle", "here", "young", "spoke", "said", "host", "owner"] {
        store.put_nickname(&uid(name), "n", if name == "young" { NOW } else { 5 }).await.unwrap();
    }
    let account = NewPerson { uid: &uid("account"), nickname: "n", account: "account", password: "hash", created_at: 5 };
    store.put_account(account).await.unwrap();
    put_session(store, &[3; 32], "idle", 100).await.unwrap();
    put_session(store, &[1; 32], "here", u64::MAX).await.unwrap();
    store.set_fact("owner_link", &[7; 32]).await.unwrap();
    assert!(store.claim_ownership(&uid("owner"), &[7; 32]).await.unwrap());
    store.open_room("one", Some(&uid("host")), 0).await.unwrap();
    let batch = vec![message("1", "said", "y", None), message("1", "spoke", "x", Some("n"))];
    store.append(batch, 0).await.unwrap();
    assert_eq!(store.idle_guests(NOW, 100, None).await.unwrap(), (vec![uid("idle")], None));
    assert_eq!(store.idle_guests(NOW, 99, None).await.unwrap(), (vec![], None), "its session is valid");
    // One who came back since the search stays.
    put_session(store, &[2; 32], "idle", u64::MAX).await.unwrap();
    let found = ["idle", "account", "spoke", "said", "host", "owner", "here", "nobody"].map(uid);
    assert_eq!(store.remove_idle_guests(&found, 100).await.unwrap(), 0);
    store.end_session(&[2; 32]).await.unwrap();
    assert_eq!(store.remove_idle_guests(&found, 100).await.unwrap(), 1);
    assert_eq!(store.remove_idle_guests(&[], 100).await.unwrap(), 0);
    assert!(store.session(&[3; 32]).await.unwrap().is_none() && store.session(&[1; 32]).await.unwrap().is_some());
}

async fn f3_a_search_goes_through_all_people(Opened { store, .. }: &mut Opened) {
    let guests = (0..4000_u16).map(|n| super::guest(store, n));
    for guest in futures_util::future::join_all(guests).await {
        guest.unwrap();
    }
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..9 {
        let (idle, last) = store.idle_guests(9, 100, after.as_ref()).await.unwrap();
        assert!(idle.len() <= 2000, "a search is bounded");
        found.extend(idle);
        match last {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    assert_eq!(found.len(), 4000);
    assert_eq!(store.remove_idle_guests(&found, 100).await.unwrap(), 4000);
}

async fn f3_a_search_goes_through_all_rooms(opened: &mut Opened) {
    let store = &opened.store;
    let kept: Vec<String> = (0..2000).map(|n| format!("a{n}")).collect();
    super::add_rooms(store, &kept.iter().map(String::as_str).collect::<Vec<_>>()).await;
    super::add_rooms(store, &["b"]).await;
    store.append(vec![message("b", "u", "x", None)], 0).await.unwrap();
    set_times(opened, "b", &[10]).await;
    let (first, mut after) = store.rooms_with_messages_before(20, None).await.unwrap();
    assert!(first.is_empty() && after.as_ref().is_some_and(|last| last.as_str() < "b"), "a search is bounded: {after:?}");
    let mut found = Vec::new();
    for _ in 0..9 {
        let (rooms, last) = store.rooms_with_messages_before(20, after.as_ref()).await.unwrap();
        found.extend(rooms);
        match last {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    assert_eq!(found, ["b".parse().unwrap()]);
}

async fn f26_expired_sessions_are_removed_in_bounded_batches(Opened { store, .. }: &mut Opened) {
    store.put_nickname(&"u".parse().unwrap(), "n", 0).await.unwrap();
    for n in 0..7 {
        put_session(store, &[n; 32], "u", 10 + u64::from(n)).await.unwrap();
    }
    assert_eq!(store.end_expired_sessions(15, 4).await.unwrap(), 4);
    assert_eq!(store.end_expired_sessions(15, 4).await.unwrap(), 2);
    assert_eq!(store.end_expired_sessions(15, 4).await.unwrap(), 0);
    assert!(store.session(&[6; 32]).await.unwrap().is_some());
}
