//! Acts that meet a purge at work: none takes rows of another.

use super::moderation::{room, say, texts, uid};
use super::{Opened, add_rooms, contract, now_ms};
use roomcast::domain::{id::Seq, refusal::Refusal};
use roomcast::server::config::ModerationSettings;
use roomcast::server::moderation::{Act, ActKind, Actor, Failure, Rules, carry_out, next_batch};
use roomcast::server::storage::Store;
use uuid::Uuid;

contract!(
    a_purge_and_undos_wait_for_a_purge_of_the_same_person,
    a_removal_under_the_mark_of_a_purge_is_not_taken_back_before_its_rows_are_done,
    a_batch_looks_at_no_more_rows_than_its_limit,
);

/// Messages of a large purge: more than two batches.
const MANY: usize = 1100;

/// Carries an act out in room 1, without the batches that follow.
async fn try_act(store: &Store, kind: ActKind) -> Result<Uuid, Refusal> {
    let act = Act { actor: Actor::Cli, room: Some(room("1")), nonce: None, reason: "spam".into(), kind };
    let mut tx = store.begin_act(&room("1"), now_ms()).await.unwrap();
    let (id, rules) = (Uuid::now_v7(), Rules::from(&ModerationSettings::default()));
    match carry_out(&mut tx, &act, id, &rules).await {
        Ok(_) => tx.commit().await.unwrap(),
        Err(Failure::Refused(refusal)) => return Err(refusal),
        Err(Failure::Store(error)) => panic!("{error}"),
    }
    Ok(id)
}

async fn purge(store: &Store, user: &str) -> Result<Uuid, Refusal> {
    try_act(store, ActKind::Purge { user: uid(user), seconds: 0 }).await
}

async fn undo(store: &Store, action: Uuid) -> Result<Uuid, Refusal> {
    try_act(store, ActKind::Undo(action)).await
}

/// Does the batches of a purge, and returns their number.
async fn work(store: &Store, action: Uuid) -> u32 {
    for batches in 1..100 {
        let mut tx = store.begin_act(&room("1"), now_ms()).await.unwrap();
        let has_more = next_batch(&mut tx, action).await.unwrap().has_more;
        tx.commit().await.unwrap();
        if !has_more {
            return batches;
        }
    }
    panic!("the batches do not end");
}

/// The numbers of messages that are shown, by seq from 1 on.
async fn shown(store: &Store) -> Vec<u64> {
    let all = store.messages_between(&room("1"), Seq(0), None, u32::MAX).await.unwrap();
    all.iter().filter(|message| message.removed.is_none()).map(|message| message.seq.0).collect()
}

async fn a_purge_and_undos_wait_for_a_purge_of_the_same_person(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    for user in ["u", "v"] {
        store.put_nickname(&uid(user), user, 0).await.unwrap();
    }
    say(store, "1", &["u"; MANY]).await;
    let first = purge(store, "u").await.unwrap();
    say(store, "1", &["u", "v"]).await;
    assert_eq!(purge(store, "u").await, Err(Refusal::Busy), "it is blanking");
    let of_another = purge(store, "v").await.unwrap();
    work(store, first).await;
    let many = MANY as u64;
    assert_eq!(shown(store).await, [many + 1]);
    let second = purge(store, "u").await.unwrap();
    assert_eq!(undo(store, first).await, Err(Refusal::Busy), "a later one is blanking");
    work(store, second).await;
    assert!(shown(store).await.is_empty());
    undo(store, first).await.unwrap();
    assert_eq!(purge(store, "u").await, Err(Refusal::Busy), "it is restoring");
    assert_eq!(undo(store, second).await, Err(Refusal::Busy), "an earlier one is restoring");
    assert_eq!(undo(store, first).await, Err(Refusal::AlreadyDecided));
    work(store, first).await;
    assert_eq!(shown(store).await, (1..=many).collect::<Vec<_>>());
    undo(store, second).await.unwrap();
    undo(store, of_another).await.unwrap();
    assert_eq!(shown(store).await, (1..=many + 2).collect::<Vec<_>>());
    let again = purge(store, "u").await.unwrap();
    work(store, again).await;
    assert_eq!(shown(store).await, [many + 2]);
}

async fn a_removal_under_the_mark_of_a_purge_is_not_taken_back_before_its_rows_are_done(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    store.put_nickname(&uid("u"), "u", 0).await.unwrap();
    say(store, "1", &["u"; MANY]).await;
    let removed = try_act(store, ActKind::Remove(vec![Seq(900)])).await.unwrap();
    let purged = purge(store, "u").await.unwrap();
    assert_eq!(undo(store, removed).await, Err(Refusal::Busy));
    work(store, purged).await;
    undo(store, removed).await.unwrap();
    assert_eq!(shown(store).await, [900]);
}

/// Also if the rows were removed before.
async fn a_batch_looks_at_no_more_rows_than_its_limit(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    store.put_nickname(&uid("u"), "u", 0).await.unwrap();
    say(store, "1", &["u"; MANY]).await;
    let first = purge(store, "u").await.unwrap();
    work(store, first).await;
    say(store, "1", &["u"]).await;
    let second = purge(store, "u").await.unwrap();
    assert!(shown(store).await.is_empty());
    assert_eq!(work(store, second).await, 2, "500 rows are those of the act, 500 and 101 of the batches");
    assert_eq!(texts(store, "1").await.iter().filter(|text| !text.is_empty()).count(), 0);
}
