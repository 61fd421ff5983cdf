//! The reads of the store for the order: the missing pushes of a room, and the newest numbers of the rooms with members here.

use super::item::{Answer, Ask, Found, Head, Item, Kind};
use super::room::{MAX_CHANGES, MAX_MESSAGES};
use crate::domain::{
    change::Rev,
    id::{RoomId, Seq},
    push::Push,
};
use crate::server::moderation::pushes;
use crate::server::storage::moderation::StoredChange;
use crate::server::storage::{Result, Store};
use std::collections::HashMap;

/// Rooms of one query.
const ROOMS_PER_QUERY: usize = 2000;

/// Answers a question.
pub(super) async fn answer(store: &Store, ask: &Ask) -> Answer {
    // A process that was taken over delivers nothing more.
    if !store.is_serving() {
        return Answer::Failed;
    }
    match find(store, ask).await {
        Ok(Some(found)) => Answer::Found(found),
        Ok(None) => Answer::Gone,
        Err(error) => {
            tracing::debug!(%error, room = %ask.room, "the missing pushes of a room could not be read and are asked for again");
            Answer::Failed
        }
    }
}

/// Room and changes are of one snapshot, and the messages of a later one: those up to the room's newest are there.
async fn find(store: &Store, ask: &Ask) -> Result<Option<Found>> {
    let Some(now) = store.room_now(&ask.room, ask.rev, MAX_CHANGES as u32).await? else { return Ok(None) };
    let head = Head { epoch: now.record.epoch, seq: now.record.newest, rev: now.record.rev };
    let upto = ask.after.map_or(head.seq, |after| head.seq.min(Seq(after.0 + MAX_MESSAGES)));
    let mut items = Vec::new();
    if let Some(after) = ask.after.filter(|after| *after < upto) {
        let messages = store.messages_between(&ask.room, after, Some(upto.next()), MAX_MESSAGES as u32).await?;
        items.extend(messages.into_iter().map(Item::from));
    }
    let (changes, upto_rev) = changes(store, &ask.room, &now.changes).await?;
    items.extend(changes);
    // Changes that are kept no more are behind the newest.
    let upto_rev = upto_rev.unwrap_or(head.rev);
    Ok(Some(Found { head, upto, upto_rev, items }))
}

/// Returns the pushes of changes, as many of the first as one answer takes, and the last of these; `None` without changes.
async fn changes(store: &Store, room: &RoomId, stored: &[StoredChange]) -> Result<(Vec<Item>, Option<Rev>)> {
    let mut some = stored;
    loop {
        let last = some.last().map(|change| change.rev);
        match pushes(store, room, some).await? {
            Some(pushes) => {
                let item = |(change, push): (&StoredChange, Push)| {
                    let kind = if matches!(push, Push::Room { .. }) { Kind::State } else { Kind::Changed };
                    Item::of_change(kind, change.rev, change.seq, &push)
                };
                return Ok((some.iter().zip(pushes).map(item).collect(), last));
            }
            // One that cannot be read is told as skipped.
            None if some.len() < 2 => return Ok((Vec::new(), last)),
            None => some = &some[..some.len() / 2],
        }
    }
}

/// Reads the newest numbers of rooms; `None` for those that do not exist.
pub(super) async fn heads(store: &Store, rooms: Vec<RoomId>) -> Result<Vec<(RoomId, Option<Head>)>> {
    let mut found = HashMap::new();
    for some in rooms.chunks(ROOMS_PER_QUERY) {
        for row in store.heads(some.to_vec()).await? {
            found.insert(row.room, Head { epoch: row.epoch, seq: row.seq, rev: row.rev });
        }
    }
    Ok(rooms.into_iter().map(|room| (room.clone(), found.remove(&room))).collect())
}
