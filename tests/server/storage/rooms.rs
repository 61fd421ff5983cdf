//! Rooms: numbering, modes, hosts, and the lists of the lobby.

use super::moderation::{act, room, uid};
use super::{Opened, add_rooms, contract, message, seqs, set_closed, set_slow_mode};
use roomcast::domain::id::Seq;
use roomcast::server::storage::moderation::ActQueries;
use roomcast::server::storage::{RoomRow, Store};
use std::collections::HashSet;

contract!(
    rooms_are_numbered_and_a_number_is_given_once,
    f26_an_id_that_the_operator_chose_does_not_move_the_numbering,
    stored_data_survives_reopening,
    a_host_opens_as_many_rooms_as_it_may,
    titles_modes_and_hosts_are_set,
    a_deleted_room_is_not_found,
    heads_are_those_of_the_rooms_that_exist,
    lists_are_newest_first,
    f10_rooms_by_id_keep_the_order_of_the_ids,
    rooms_opened_at_once_have_numbers_of_their_own,
    facts_are_replaced,
);

fn ids(rooms: &[RoomRow]) -> Vec<&str> {
    rooms.iter().map(|room| room.room.as_str()).collect()
}

async fn people(store: &Store, uids: &[&str]) {
    for uid in uids {
        store.put_nickname(&uid.parse().unwrap(), &format!("nickname of {uid}"), 0).await.unwrap();
    }
}

async fn rooms_are_numbered_and_a_number_is_given_once(Opened { store, .. }: &mut Opened) {
    assert!(!store.has_numbered_rooms().await.unwrap());
    for room in ["1", "2"] {
        assert_eq!(store.open_room("a title", None, 7).await.unwrap().as_str(), room);
    }
    assert!(store.has_numbered_rooms().await.unwrap());
    let found = store.room(&"2".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(
        (found.title.as_str(), &found.host, &found.host_nickname, found.slow_ms, found.is_closed),
        ("a title", &None, &None, 0, false)
    );
    assert_ne!(found.epoch, store.room(&"1".parse().unwrap()).await.unwrap().unwrap().epoch);
    assert!(store.delete_room(&"2".parse().unwrap(), 0).await.unwrap());
    assert!(!store.add_room(&"2".parse().unwrap(), "not swept yet", None, 0).await.unwrap());
    while store.sweep_deleted_rooms(10).await.unwrap() > 0 {}
    assert_eq!(store.open_room("next", None, 0).await.unwrap().as_str(), "3");
    assert!(store.add_room(&"2".parse().unwrap(), "by the operator", None, 0).await.unwrap());
    assert!(!store.add_room(&"2".parse().unwrap(), "again", None, 0).await.unwrap());
    assert_eq!(store.room(&"2".parse().unwrap()).await.unwrap().unwrap().title, "by the operator");
}

async fn heads_are_those_of_the_rooms_that_exist(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "2", "3"]).await;
    people(store, &["u"]).await;
    store.append((0..3).map(|n| message("2", "u", &n.to_string(), None)).collect(), 0).await.unwrap();
    let mut act = super::moderation::act(store, "2").await;
    act.add_change("{}").await.unwrap();
    act.commit().await.unwrap();
    store.delete_room(&"3".parse().unwrap(), 0).await.unwrap();
    let mut heads = store.heads(["1", "2", "3", "4"].map(|room| room.parse().unwrap()).into()).await.unwrap();
    heads.sort_by_key(|head| head.room.clone());
    let numbers: Vec<_> = heads.iter().map(|head| (head.room.as_str(), head.seq.0, head.rev.0)).collect();
    assert_eq!(numbers, [("1", 0, 0), ("2", 3, 1)]);
    for head in heads {
        assert_eq!(store.room_now(&head.room, None, 0).await.unwrap().unwrap().record.epoch, head.epoch);
    }
    assert!(store.heads(Vec::new()).await.unwrap().is_empty());
}

async fn f26_an_id_that_the_operator_chose_does_not_move_the_numbering(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["999999999999999", "99999999999999999999", "2", "007"]).await;
    for room in ["1", "3", "4"] {
        assert_eq!(store.open_room("next", None, 0).await.unwrap().as_str(), room);
    }
}

async fn stored_data_survives_reopening(opened: &mut Opened) {
    let store = &opened.store;
    let room = store.open_room("first", None, 0).await.unwrap();
    store.append(vec![message("1", "u", "a", Some("n"))], 0).await.unwrap();
    let epoch = store.room(&room).await.unwrap().unwrap().epoch;
    opened.reopen().await;
    let store = &opened.store;
    assert_eq!(store.messages_between(&room, Seq(0), None, 10).await.unwrap().len(), 1);
    assert_eq!(store.room(&room).await.unwrap().unwrap().epoch, epoch);
    assert_eq!(seqs(&store.append(vec![message("1", "u", "a", Some("n"))], 0).await.unwrap()), [(false, 1)]);
    assert_eq!(seqs(&store.append(vec![message("1", "u", "b", Some("m"))], 0).await.unwrap()), [(true, 2)]);
    assert_eq!(store.open_room("next", None, 1).await.unwrap().as_str(), "2");
    store.add_room(&"9x".parse().unwrap(), "a name", None, 2).await.unwrap();
    assert_eq!(store.open_room("next", None, 3).await.unwrap().as_str(), "3");
}

async fn a_host_opens_as_many_rooms_as_it_may(Opened { store, .. }: &mut Opened) {
    people(store, &["u", "v"]).await;
    let (host, other) = ("u".parse().unwrap(), "v".parse().unwrap());
    for room in ["1", "2"] {
        assert_eq!(store.open_hosted_room("t", &host, 2, 0).await.unwrap().unwrap().as_str(), room);
    }
    assert_eq!(store.open_hosted_room("t", &host, 2, 0).await.unwrap(), None);
    assert_eq!(store.open_hosted_room("t", &other, 2, 0).await.unwrap().unwrap().as_str(), "3");
    assert!(store.delete_room(&"1".parse().unwrap(), 0).await.unwrap());
    assert_eq!(store.open_hosted_room("t", &host, 2, 0).await.unwrap().unwrap().as_str(), "4", "a deleted one does not count");
    let nobody = store.open_hosted_room("t", &"nobody".parse().unwrap(), 2, 0).await;
    assert!(nobody.is_err(), "a host is a person");
}

async fn titles_modes_and_hosts_are_set(Opened { store, .. }: &mut Opened) {
    people(store, &["u"]).await;
    let (room, nowhere, host) = (room("1"), room("nowhere"), uid("u"));
    add_rooms(store, &["1"]).await;
    for room in [&room, &nowhere] {
        let mut act = act(store, room.as_str()).await;
        act.set_title("标题").await.unwrap();
        act.set_host(&host).await.unwrap();
        act.commit().await.unwrap();
        set_slow_mode(store, room, 5000).await;
        set_closed(store, room, true).await;
    }
    assert!(store.room(&nowhere).await.unwrap().is_none());
    let found = store.room(&room).await.unwrap().unwrap();
    assert_eq!((found.title.as_str(), found.host, found.slow_ms, found.is_closed), ("标题", Some(host.clone()), 5000, true));
    assert_eq!(found.host_nickname.as_deref(), Some("nickname of u"));
    store.put_nickname(&host, "renamed", 0).await.unwrap();
    assert_eq!(store.room(&room).await.unwrap().unwrap().host_nickname.as_deref(), Some("renamed"));
    assert_eq!(store.host_nicknames().await.unwrap(), [(host.clone(), "renamed".to_owned())]);
    set_closed(store, &room, false).await;
    assert!(!store.room(&room).await.unwrap().unwrap().is_closed);
    let settings = store.room_settings(HashSet::from([room.clone(), nowhere])).await.unwrap();
    assert_eq!((settings.len(), settings[&room].slow_ms, settings[&room].host.as_ref()), (1, 5000, Some(&host)));
    assert!(store.room_settings(HashSet::new()).await.unwrap().is_empty());
}

async fn a_deleted_room_is_not_found(Opened { store, .. }: &mut Opened) {
    people(store, &["u"]).await;
    let host = "u".parse().unwrap();
    let room = store.open_room("one", Some(&host), 0).await.unwrap();
    assert!(store.delete_room(&room, 0).await.unwrap());
    assert!(store.room(&room).await.unwrap().is_none() && store.rooms(9).await.unwrap().is_empty());
    assert!(store.open_rooms_without(vec![], 9, 0).await.unwrap().is_empty());
    assert!(store.rooms_by_id(vec![room.clone()], 9).await.unwrap().is_empty());
    assert!(store.room_settings(HashSet::from([room.clone()])).await.unwrap().is_empty());
    assert!(!store.delete_room(&room, 0).await.unwrap());
    assert!(store.host_nicknames().await.unwrap().is_empty());
}

async fn lists_are_newest_first(Opened { store, .. }: &mut Opened) {
    // Rooms of the same moment are in an order of their own, which does not change.
    for (room, at) in [("a", 1), ("b", 3), ("c", 2), ("d", 3), ("B", 3)] {
        assert!(store.add_room(&room.parse().unwrap(), room, None, at).await.unwrap());
    }
    let all = store.rooms(9).await.unwrap();
    assert_eq!((ids(&all)[3], ids(&all)[4], all.len()), ("c", "a", 5));
    assert_eq!(ids(&store.rooms(2).await.unwrap()), ids(&all)[..2]);
    set_closed(store, &"c".parse().unwrap(), true).await;
    assert_eq!(ids(&store.rooms(9).await.unwrap()), ids(&all), "closed ones are listed");
    let without = |rooms: &[&str]| rooms.iter().map(|room| room.parse().unwrap()).collect::<Vec<_>>();
    let open = store.open_rooms_without(without(&[]), 9, 0).await.unwrap();
    let expected: Vec<_> = ids(&all).into_iter().filter(|room| *room != "c").collect();
    assert_eq!(ids(&open), expected);
    assert_eq!(ids(&store.open_rooms_without(without(&["a", "nowhere"]), 9, 1).await.unwrap()), expected[1..3]);
    assert_eq!(ids(&store.open_rooms_without(without(&[]), 2, 1).await.unwrap()), expected[1..3]);
    assert!(store.open_rooms_without(without(&[]), 9, 4).await.unwrap().is_empty());
}

async fn f10_rooms_by_id_keep_the_order_of_the_ids(Opened { store, .. }: &mut Opened) {
    for n in 1..=20 {
        store.add_room(&n.to_string().parse().unwrap(), "a title", None, n).await.unwrap();
    }
    set_closed(store, &"20".parse().unwrap(), true).await;
    let asked = ["9", "nowhere", "20", "1", "13", "2", "3"].map(|id| id.parse().unwrap()).to_vec();
    assert_eq!(ids(&store.rooms_by_id(asked, 4).await.unwrap()), ["9", "1", "13", "2"]);
    assert!(store.rooms_by_id(vec![], 4).await.unwrap().is_empty());
}

async fn rooms_opened_at_once_have_numbers_of_their_own(Opened { store, .. }: &mut Opened) {
    let opened = (0..20).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.open_room("t", None, n).await.unwrap() })
    });
    let opened = futures_util::future::join_all(opened).await;
    let rooms: HashSet<String> = opened.into_iter().map(|room| room.unwrap().to_string()).collect();
    assert_eq!(rooms, (1..=20).map(|n: u32| n.to_string()).collect());
}

async fn facts_are_replaced(Opened { store, .. }: &mut Opened) {
    assert_eq!(store.fact("of a test").await.unwrap(), None);
    for value in [b"one".as_slice(), b"", &[0, 255, 1]] {
        store.set_fact("of a test", value).await.unwrap();
        assert_eq!(store.fact("of a test").await.unwrap().as_deref(), Some(value));
    }
    store.ping().await.unwrap();
}
