//! Tails against the store: whatever happens between reads, a window has the messages that the store has.

use super::*;
use crate::server::config::StorageSettings;
use crate::server::storage::{Appended, NewMessage};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use uuid::Uuid;

const MANY: u32 = 1000;

async fn open() -> (TempDir, Store, RoomId, Epoch) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&StorageSettings { data_dir: folder.path().into(), ..StorageSettings::default() }).await.unwrap();
    let room: RoomId = "tails".parse().unwrap();
    store.add_room(&room, "a room", None, 0).await.unwrap();
    let epoch = store.room(&room).await.unwrap().unwrap().epoch;
    (folder, store, room, epoch)
}

fn at<'a>(room: &'a RoomId, epoch: &'a Epoch, range: SeqRange) -> Now<'a> {
    Now { room, epoch, rev: Rev::default(), range }
}

/// Stores messages whose time is their place, as the commit task does; a tail that is not told of them misses them.
async fn append(store: &Store, tails: Option<&Tails>, room: &RoomId, places: impl Iterator<Item = u64>, text: &str) -> Vec<Seq> {
    let new = |at| NewMessage {
        room: room.clone(),
        id: Uuid::now_v7(),
        user: "u".parse().unwrap(),
        nickname: "u".into(),
        text: text.into(),
        at,
        nonce: None,
        has_account: false,
        re: None,
        mentions: vec![],
        networks: vec![],
        is_bot: false,
    };
    let stored = store.append(places.map(new).collect(), 0).await.unwrap();
    let stored = stored.into_iter().map(|appended| match appended {
        Appended::Stored(message) => message,
        other => panic!("{other:?}"),
    });
    let stored: Vec<Message> = stored.collect();
    if let Some(tails) = tails {
        stored.iter().for_each(|message| tails.push(message));
    }
    stored.iter().map(|message| message.seq).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Append { count: u64, is_told: bool, is_long: bool },
    RemoveBefore(u64),
    Forget,
    Read { after: u64, before: Option<u64>, limit: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let read = (0..300u64, prop::option::of(0..300u64), 1..201u32);
    prop_oneof![
        5 => (1..60u64, prop::bool::weighted(0.8), prop::bool::weighted(0.2))
            .prop_map(|(count, is_told, is_long)| Step::Append { count, is_told, is_long }),
        1 => (0..200u64).prop_map(Step::RemoveBefore),
        1 => Just(Step::Forget),
        8 => read.prop_map(|(after, before, limit)| Step::Read { after, before, limit }),
        4 => prop_oneof![Just(50), Just(200)].prop_map(|limit| Step::Read { after: 0, before: None, limit }),
    ]
}

async fn run(steps: Vec<Step>) -> std::result::Result<(), TestCaseError> {
    let (_folder, store, room, epoch) = open().await;
    let (tails, mut place) = (Tails::default(), 0);
    for step in steps {
        match step {
            Step::Append { count, is_told, is_long } => {
                let text = if is_long { "x".repeat(4000) } else { "x".to_owned() };
                append(&store, is_told.then_some(&tails), &room, place + 1..=place + count, &text).await;
                place += count;
            }
            Step::RemoveBefore(at) => _ = store.remove_messages_before(&room, at, MANY).await.unwrap(),
            Step::Forget => tails.forget(&room),
            Step::Read { after, before, limit } => {
                let range = store.seq_range(&room).await.unwrap();
                let window = Window { after: Seq(after), before: before.map(Seq), limit };
                let read = tails.messages(&store, at(&room, &epoch, range), window).await.unwrap();
                let expected = store.messages_between(&room, window.after, window.before, limit).await.unwrap();
                prop_assert_eq!(read, expected, "{:?} of {:?}", window, range);
            }
        }
        for tail in tails.table().rooms.values() {
            prop_assert!(tail.messages.len() <= MAX_MESSAGES as usize && tail.bytes <= MAX_BYTES);
            prop_assert_eq!(tail.bytes, tail.messages.iter().map(bytes).sum::<usize>());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn p1_a_window_is_what_the_store_has(steps in prop::collection::vec(step(), 1..40)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps))?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_no_window_lacks_a_message_that_was_acknowledged_before() {
    const MESSAGES: u64 = 300;
    let (_folder, store, room, epoch) = open().await;
    let (tails, acknowledged) = (Tails::default(), Arc::new(AtomicU64::new(0)));
    let sender = {
        let (store, tails, room, acknowledged) = (store.clone(), tails.clone(), room.clone(), acknowledged.clone());
        tokio::spawn(async move {
            for n in 1..=MESSAGES {
                let seqs = append(&store, Some(&tails), &room, n..=n, "x").await;
                acknowledged.store(seqs[0].0, Ordering::SeqCst);
            }
        })
    };
    let mut before = 0;
    while before < MESSAGES {
        before = acknowledged.load(Ordering::SeqCst);
        let range = store.seq_range(&room).await.unwrap();
        let window = Window { after: Seq(0), before: None, limit: 50 };
        let messages = tails.messages(&store, at(&room, &epoch, range), window).await.unwrap();
        let seqs: Vec<u64> = messages.iter().map(|message| message.seq.0).collect();
        let newest = seqs.last().copied().unwrap_or(0);
        assert!(newest >= before, "{newest} of {before} messages");
        assert_eq!(seqs, (newest.saturating_sub(49).max(1)..=newest).collect::<Vec<_>>());
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn p1_rooms_with_a_tail_are_bounded_and_another_epoch_has_none() {
    let (_folder, store, room, epoch) = open().await;
    let tails = Tails::default();
    append(&store, None, &room, 1..=3, "x").await;
    let range = store.seq_range(&room).await.unwrap();
    let window = Window { after: Seq(0), before: None, limit: 50 };
    tails.messages(&store, at(&room, &epoch, range), window).await.unwrap();
    assert_eq!(tails.read(at(&room, &epoch, range), window), None, "the first read makes no tail");
    let messages = tails.messages(&store, at(&room, &epoch, range), window).await.unwrap();
    assert_eq!(tails.read(at(&room, &epoch, range), window), Some(messages.clone()));
    for n in 0..MAX_ROOMS * 2 {
        tails.keep(at(&format!("r{n}").parse().unwrap(), &epoch, range), &messages, 0);
    }
    assert_eq!(tails.table().rooms.len(), MAX_ROOMS);
    tails.keep(at(&room, &epoch, range), &messages, 0);
    let other: Epoch = "another".parse().unwrap();
    assert_eq!(tails.read(at(&room, &other, range), window), None);
}

#[tokio::test]
async fn p4_a_read_that_began_before_the_room_was_deleted_is_not_kept() {
    let (_folder, store, room, epoch) = open().await;
    let tails = Tails::default();
    append(&store, None, &room, 1..=3, "x").await;
    let messages = store.messages_between(&room, Seq(0), None, MAX_MESSAGES).await.unwrap();
    assert_eq!(tails.begin(&room), None);
    let begun = tails.begin(&room).unwrap();
    tails.forget(&room);
    let range = store.seq_range(&room).await.unwrap();
    tails.keep(at(&room, &epoch, range), &messages, begun);
    assert!(tails.table().rooms.is_empty());
}

#[tokio::test]
async fn p4_a_message_whose_push_is_under_way_costs_no_tail() {
    let (_folder, store, room, epoch) = open().await;
    let tails = Tails::default();
    append(&store, None, &room, 1..=3, "x").await;
    let window = Window { after: Seq(0), before: None, limit: 50 };
    for _ in 0..2 {
        let range = store.seq_range(&room).await.unwrap();
        tails.messages(&store, at(&room, &epoch, range), window).await.unwrap();
    }
    append(&store, None, &room, 4..=4, "x").await;
    let range = store.seq_range(&room).await.unwrap();
    assert_eq!(tails.read(at(&room, &epoch, range), window), None);
    assert_eq!(tails.begin(&room), None, "and no read of a whole one");
    let messages = store.messages_between(&room, Seq(0), None, 50).await.unwrap();
    tails.push(&messages[3]);
    assert_eq!(tails.read(at(&room, &epoch, range), window), Some(messages));
}

#[tokio::test]
async fn a_tail_from_before_the_newest_change_is_not_read() {
    let (_folder, store, room, epoch) = open().await;
    let tails = Tails::default();
    append(&store, None, &room, 1..=3, "x").await;
    let window = Window { after: Seq(0), before: None, limit: 50 };
    let range = store.seq_range(&room).await.unwrap();
    let now = at(&room, &epoch, range);
    for _ in 0..2 {
        tails.messages(&store, now, window).await.unwrap();
    }
    assert!(tails.read(now, window).is_some());
    let later = Now { rev: Rev(1), ..now };
    assert_eq!(tails.read(later, window), None, "a message of it may be removed");
    tails.messages(&store, later, window).await.unwrap();
    assert!(tails.read(later, window).is_some(), "one read makes it anew");
    assert_eq!(tails.read(now, window), None, "a read that began before the change");
}
