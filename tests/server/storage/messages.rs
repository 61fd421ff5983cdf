//! Messages: numbering, nonces, roles, and the windows in which they are read.

use super::{Opened, add_rooms, contract, guest, message, now_ms, seqs, set_closed, set_host, token_of};
use futures_util::future::join_all;
use roomcast::domain::{id::Seq, message::Role};
use roomcast::server::storage::{Appended, SeqRange};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

contract!(
    a_batch_is_numbered_per_room_without_gaps,
    a_repeated_nonce_returns_the_first_message,
    ids_are_compared_byte_by_byte,
    a_refused_message_leaves_the_others_of_its_batch,
    the_role_is_that_of_the_moment_of_the_commit,
    a_message_comes_back_as_it_was_sent,
    every_text_comes_back,
    windows_are_the_newest_between_two_seqs,
    senders_at_once_are_numbered_without_holes,
    f14_a_message_and_a_crowd_of_guests_are_stored,
    f14_messages_do_not_wait_for_a_crowd_of_guests,
);

async fn a_batch_is_numbered_per_room_without_gaps(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "2"]).await;
    let batch = vec![message("1", "u", "a", None), message("2", "u", "b", None), message("1", "v", "c", None)];
    assert_eq!(seqs(&store.append(batch, 0).await.unwrap()), [(true, 1), (true, 1), (true, 2)]);
    assert_eq!(seqs(&store.append(vec![message("1", "u", "d", None)], 0).await.unwrap()), [(true, 3)]);
    let stored = store.messages_between(&"1".parse().unwrap(), Seq(1), None, 10).await.unwrap();
    assert_eq!(stored.iter().map(|message| (message.seq.0, message.text.as_str())).collect::<Vec<_>>(), [(2, "c"), (3, "d")]);
    assert_eq!(store.seq_range(&"1".parse().unwrap()).await.unwrap(), SeqRange { oldest: Seq(1), newest: Seq(3) });
    assert_eq!(store.append(vec![], 0).await.unwrap(), []);
    for room in ["3", "nowhere"] {
        assert_eq!(store.seq_range(&room.parse().unwrap()).await.unwrap(), SeqRange { oldest: Seq(1), newest: Seq(0) });
        add_rooms(store, &["3"]).await;
        store.delete_room(&"3".parse().unwrap(), 0).await.unwrap();
        while store.sweep_deleted_rooms(10).await.unwrap() > 0 {}
    }
}

async fn a_repeated_nonce_returns_the_first_message(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "2"]).await;
    let batch = vec![
        message("1", "u", "a", Some("n")),
        message("1", "u", "a", Some("n")),
        message("1", "v", "b", Some("n")),
        message("2", "u", "c", Some("n")),
    ];
    let first = store.append(batch, 0).await.unwrap();
    assert_eq!(seqs(&first), [(true, 1), (false, 1), (true, 2), (true, 1)]);
    let (Appended::Stored(stored), Appended::Repeated { id, .. }) = (&first[0], &first[1]) else { panic!("{first:?}") };
    assert_eq!(stored.id, *id);
    let again = store.append(vec![message("1", "u", "another text", Some("n"))], 0).await.unwrap();
    assert_eq!(again, [Appended::Repeated { id: *id, seq: Seq(1) }]);
    let sent_before = async |user: &str, nonce: &str, room: &str| {
        store.sent_before(&user.parse().unwrap(), &nonce.parse().unwrap(), &room.parse().unwrap()).await.unwrap()
    };
    assert_eq!(sent_before("u", "n", "1").await, Some((*id, Seq(1))));
    assert_eq!((sent_before("u", "m", "1").await, sent_before("w", "n", "1").await), (None, None));
    // It holds in a closed room too, and not in a deleted one.
    set_closed(store, &"1".parse().unwrap(), true).await;
    assert_eq!(seqs(&store.append(vec![message("1", "u", "a", Some("n"))], 0).await.unwrap()), [(false, 1)]);
}

async fn ids_are_compared_byte_by_byte(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["room", "Room", "ROOM"]).await;
    let users = ["u", "U", "ü", "u\u{308}", "ｕ", "u ", "ß", "ss"];
    let batch = users.iter().map(|user| message("room", user, "x", Some("n"))).collect();
    let stored = store.append(batch, 0).await.unwrap();
    assert!(stored.iter().all(|one| matches!(one, Appended::Stored(_))), "{stored:?}");
    let batch = ["n", "N"].map(|nonce| message("Room", "u", "x", Some(nonce))).to_vec();
    assert_eq!(seqs(&store.append(batch, 0).await.unwrap()), [(true, 1), (true, 2)]);
    assert_eq!(store.seq_range(&"ROOM".parse().unwrap()).await.unwrap().newest, Seq(0));
}

async fn a_refused_message_leaves_the_others_of_its_batch(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "closed", "deleted"]).await;
    set_closed(store, &"closed".parse().unwrap(), true).await;
    assert!(store.delete_room(&"deleted".parse().unwrap(), 0).await.unwrap());
    let batch = ["nowhere", "closed", "1", "deleted", "1"].map(|room| message(room, "u", "x", None)).to_vec();
    let appended = store.append(batch, 0).await.unwrap();
    assert!(
        matches!(
            &appended[..],
            [Appended::NoSuchRoom, Appended::RoomClosed, Appended::Stored(_), Appended::NoSuchRoom, Appended::Stored(_)]
        ),
        "{appended:?}"
    );
    assert_eq!(store.seq_range(&"1".parse().unwrap()).await.unwrap(), SeqRange { oldest: Seq(1), newest: Seq(2) });
    set_closed(store, &"closed".parse().unwrap(), false).await;
    assert_eq!(seqs(&store.append(vec![message("closed", "u", "x", None)], 0).await.unwrap()), [(true, 1)]);
}

async fn the_role_is_that_of_the_moment_of_the_commit(Opened { store, .. }: &mut Opened) {
    let (host, next) = ("host".parse().unwrap(), "next".parse().unwrap());
    for uid in [&host, &next] {
        store.put_nickname(uid, "n", 0).await.unwrap();
    }
    let room = store.open_room("one", Some(&host), 0).await.unwrap();
    let send = || async {
        let batch = ["host", "next"].map(|user| message("1", user, "x", None)).to_vec();
        let appended = store.append(batch, 0).await.unwrap();
        let role = |one: &Appended| match one {
            Appended::Stored(message) => message.role,
            refused => panic!("{refused:?}"),
        };
        appended.iter().map(role).collect::<Vec<_>>()
    };
    assert_eq!(send().await, [Role::Host, Role::Viewer]);
    set_host(store, &room, &next).await;
    assert_eq!(send().await, [Role::Viewer, Role::Host]);
    let stored = store.messages_between(&room, Seq(0), None, 10).await.unwrap();
    let roles: Vec<_> = stored.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::Host, Role::Viewer, Role::Viewer, Role::Host]);
}

async fn a_message_comes_back_as_it_was_sent(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    let (mut new, before) = (message("1", "u", "a text", Some("n")), now_ms());
    new.nickname = "小鱼".into();
    let appended = store.append(vec![new.clone()], 0).await.unwrap();
    let Appended::Stored(stored) = &appended[0] else { panic!("{appended:?}") };
    assert_eq!((stored.id, &stored.user, &stored.nickname, &stored.text), (new.id, &new.user, &new.nickname, &new.text));
    assert!((before - 1000..=now_ms() + 1000).contains(&stored.at), "{} is not now", stored.at);
    assert_eq!(store.messages_between(&"1".parse().unwrap(), Seq(0), None, 10).await.unwrap(), std::slice::from_ref(stored));
}

async fn every_text_comes_back(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    let texts = [
        "",
        " ",
        "NULL",
        "null",
        "\"quoted\" 'quoted' \\ \\n {a,b} {} [1] $1 $$ ? :x -- /* */",
        "two\nlines\tand\u{7f}\u{1}",
        "👨‍👩‍👧‍👦 \u{202e}rtl\u{200d}\u{feff}\u{fffe}\u{ffff}\u{10ffff}",
        "ﷺ中文ẞ",
    ];
    let long = "字".repeat(5000);
    let texts: Vec<_> = texts.into_iter().chain([long.as_str()]).collect();
    let batch = texts.iter().map(|text| message("1", "u", text, None)).collect();
    assert_eq!(store.append(batch, 0).await.unwrap().len(), texts.len());
    let stored = store.messages_between(&"1".parse().unwrap(), Seq(0), None, 100).await.unwrap();
    assert_eq!(stored.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), texts);
}

async fn windows_are_the_newest_between_two_seqs(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "2"]).await;
    store.append((0..20).map(|n| message("1", "u", &n.to_string(), None)).collect(), 0).await.unwrap();
    store.append(vec![message("2", "u", "other", None)], 0).await.unwrap();
    let window = async |after: u64, before: Option<u64>, limit: u32| {
        let found = store.messages_between(&"1".parse().unwrap(), Seq(after), before.map(Seq), limit).await.unwrap();
        found.iter().map(|message| message.seq.0).collect::<Vec<_>>()
    };
    assert_eq!(window(0, None, 3).await, [18, 19, 20]);
    assert_eq!(window(0, Some(18), 3).await, [15, 16, 17]);
    assert_eq!(window(17, None, 100).await, [18, 19, 20]);
    assert_eq!(window(4, Some(7), 100).await, [5, 6]);
    assert_eq!(window(0, Some(u64::MAX), 1).await, [20]);
    assert_eq!(
        (window(20, None, 9).await, window(u64::MAX, None, 9).await, window(0, Some(0), 9).await),
        (vec![], vec![], vec![])
    );
}

/// Twelve senders repeat every nonce; half of the rooms are the same.
async fn senders_at_once_are_numbered_without_holes(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "2", "3"]).await;
    let senders = (0..12).map(|sender| {
        let store = store.clone();
        async move {
            let mut sent = Vec::new();
            for n in 0..20 {
                let (room, nonce) = (["1", "2", "3"][(sender + n) % 3], format!("{}-{n}", sender / 2));
                // Two senders share a uid and its nonces.
                let batch = vec![message(room, &format!("u{}", sender / 2), &nonce, Some(&nonce))];
                let appended = store.append(batch, 0).await.unwrap();
                sent.push((room, nonce, seqs(&appended)[0].1));
            }
            sent
        }
    });
    let answers = join_all(senders.map(tokio::spawn)).await;
    let mut seq_of = BTreeMap::new();
    for (room, nonce, seq) in answers.into_iter().flat_map(|sent| sent.unwrap()) {
        assert_eq!(*seq_of.entry((room, nonce)).or_insert(seq), seq, "one nonce has one seq");
    }
    for room in ["1", "2", "3"] {
        let stored = store.messages_between(&room.parse().unwrap(), Seq(0), None, 1000).await.unwrap();
        assert!(stored.iter().map(|message| message.seq.0).eq(1..=stored.len() as u64), "{room} has holes");
        let texts: BTreeSet<_> = stored.iter().map(|message| message.text.clone()).collect();
        assert_eq!(texts.len(), stored.len(), "a nonce was stored twice");
        for message in &stored {
            assert_eq!(seq_of.remove(&(room, message.text.clone())), Some(message.seq.0));
        }
    }
    assert!(seq_of.is_empty(), "accepted and not stored: {seq_of:?}");
}

async fn f14_a_message_and_a_crowd_of_guests_are_stored(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    let guests = join_all((0..600).map(|n| guest(store, n)));
    let (guests, appended) = tokio::join!(guests, store.append(vec![message("1", "u", "a", None)], 0));
    assert!(guests.into_iter().all(|guest| guest.is_ok()));
    assert_eq!(seqs(&appended.unwrap()), [(true, 1)]);
    let session = store.session(&token_of(599)).await.unwrap().unwrap();
    assert_eq!((session.person.uid.as_str(), session.label.as_str(), session.expires_at), ("guest-599", "Firefox", 10));
}

async fn f14_messages_do_not_wait_for_a_crowd_of_guests(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    let arrived = AtomicUsize::new(0);
    let guests = join_all((0..4000).map(|n| {
        let (store, arrived) = (&*store, &arrived);
        async move {
            guest(store, n).await.unwrap();
            arrived.fetch_add(1, Ordering::Relaxed);
        }
    }));
    // The message comes last, and does not wait for those before it.
    let message = async {
        store.append(vec![message("1", "u", "a", None)], 0).await.unwrap();
        arrived.load(Ordering::Relaxed)
    };
    let (_, before) = tokio::join!(guests, message);
    assert!(before < 2000, "{before} of 4,000 guests were stored before the message");
}
