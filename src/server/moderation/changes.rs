//! Changes of a room as they are stored: JSON without a text of a message. Read back, they are the pushes `changed` and `room` of a
//! page that was away.

use super::act::Outcome;
use super::carry_out::{Doing, Failure};
use crate::domain::{
    change::{Changed, Purged, Rev, RoomState, Seqs, Why},
    id::{RoomId, Seq, Uid},
    message::Message,
    push::Push,
};
use crate::server::storage::moderation::{ActQueries, StoredChange};
use crate::server::storage::{Result as StorageResult, Store};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Restored messages of one change: their number, and their bytes as JSON.
pub(super) const MAX_RESTORED: usize = 32;
const MAX_RESTORED_BYTES: usize = 16 * 1024;
/// Bytes of the changes that a page is given.
const MAX_BYTES: usize = 256 * 1024;
/// Restored messages that are read for a page at once.
const MAX_HYDRATED: usize = 1024;

type Range = (Seq, Seq);

/// The body of a change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Stored {
    /// Messages were removed or restored.
    Changed {
        why: Why,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        removed: Vec<Range>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        purged: Option<(Uid, Seq, Seq)>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        restored: Vec<Range>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        reread: bool,
    },
    /// The room's state.
    Room { state: RoomState },
}

impl Stored {
    fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn into_push(self, room: &RoomId, rev: Rev, at: u64, messages: &HashMap<Seq, Message>) -> Push {
        let room = room.clone();
        let (why, removed, purged, restored, reread) = match self {
            Self::Room { state } => return Push::Room { room, rev, state },
            Self::Changed { why, removed, purged, restored, reread } => (why, removed, purged, restored, reread),
        };
        let removed = removed.into_iter().map(|(from, to)| Seqs { from, to }).collect();
        let purged = purged.map(|(user, from, upto)| Purged { user, from, upto });
        let restored: Vec<Message> = seqs(&restored).filter_map(|seq| messages.get(&seq).cloned()).collect();
        Push::Changed(Changed { room, rev, at, why, removed, purged, restored, reread })
    }
}

fn seqs(ranges: &[Range]) -> impl Iterator<Item = Seq> {
    ranges.iter().flat_map(|(from, to)| (from.0..=to.0).map(Seq))
}

fn ranges(seqs: &[Seqs]) -> Vec<Range> {
    seqs.iter().map(|seqs| (seqs.from, seqs.to)).collect()
}

/// Returns the pushes of stored changes, restored messages as they are now. `None`: they are too large for one answer, or cannot
/// be read, so the page must read its window again.
///
/// # Errors
/// Those of the store.
pub async fn pushes(store: &Store, room: &RoomId, changes: &[StoredChange]) -> StorageResult<Option<Vec<Push>>> {
    let mut bytes: usize = changes.iter().map(|change| change.body.len()).sum();
    let parsed: Result<Vec<Stored>, _> = changes.iter().map(|change| serde_json::from_str(&change.body)).collect();
    let Ok(parsed) = parsed else { return Ok(None) };
    let mut restored: Vec<Seq> = Vec::new();
    for stored in &parsed {
        if let Stored::Changed { restored: ranges, .. } = stored {
            restored.extend(seqs(ranges).take(MAX_HYDRATED));
        }
    }
    restored.sort_unstable();
    restored.dedup();
    if bytes > MAX_BYTES || restored.len() > MAX_HYDRATED {
        return Ok(None);
    }
    let messages = if restored.is_empty() { Vec::new() } else { store.messages_at(room, &restored).await? };
    let messages: HashMap<Seq, Message> = messages.into_iter().map(|message| (message.seq, message)).collect();
    let mut pushes = Vec::with_capacity(parsed.len());
    for (stored, change) in parsed.into_iter().zip(changes) {
        let push = stored.into_push(room, change.rev, change.at, &messages);
        if let Push::Changed(Changed { restored, .. }) = &push {
            bytes += restored.iter().map(json_bytes).sum::<usize>();
        }
        pushes.push(push);
    }
    Ok((bytes <= MAX_BYTES).then_some(pushes))
}

fn json_bytes(message: &Message) -> usize {
    serde_json::to_string(message).map_or(0, |json| json.len())
}

/// Whether restored messages fit into one change.
pub(super) fn fit(messages: &[Message]) -> bool {
    messages.len() <= MAX_RESTORED && messages.iter().map(json_bytes).sum::<usize>() <= MAX_RESTORED_BYTES
}

/// Adds the change of restored messages, and returns it. `None`: pages read their window again.
pub(super) async fn tell_restored<T: ActQueries>(
    tx: &mut T,
    room: &RoomId,
    at: u64,
    why: Why,
    messages: Option<Vec<Message>>,
) -> StorageResult<Changed> {
    let messages = messages.filter(|messages| fit(messages));
    let (reread, restored) = (messages.is_none(), messages.unwrap_or_default());
    let stored = Stored::Changed {
        why,
        removed: Vec::new(),
        purged: None,
        restored: ranges(&Seqs::of(restored.iter().map(|message| message.seq))),
        reread,
    };
    let rev = tx.add_change(&stored.to_json()).await?;
    Ok(Changed { room: room.clone(), rev, at, why, removed: Vec::new(), purged: None, restored, reread })
}

impl<T: ActQueries> Doing<'_, T> {
    /// Adds the change of removed messages, and returns it.
    pub(super) async fn tell_removed(&mut self, why: Why, removed: Vec<Seqs>) -> Result<Changed, Failure> {
        let body = Stored::Changed { why, removed: ranges(&removed), purged: None, restored: Vec::new(), reread: false };
        let rev = self.tx.add_change(&body.to_json()).await?;
        let room = self.record()?.room.clone();
        Ok(Changed { room, rev, at: self.now, why, removed, purged: None, restored: Vec::new(), reread: false })
    }

    /// Adds the change of a purge, and returns it.
    pub(super) async fn tell_purged(&mut self, why: Why, purged: Purged) -> Result<Changed, Failure> {
        let Purged { user, from, upto } = purged.clone();
        let body =
            Stored::Changed { why, removed: Vec::new(), purged: Some((user, from, upto)), restored: Vec::new(), reread: false };
        let rev = self.tx.add_change(&body.to_json()).await?;
        let room = self.record()?.room.clone();
        let (removed, restored) = (Vec::new(), Vec::new());
        Ok(Changed { room, rev, at: self.now, why, removed, purged: Some(purged), restored, reread: false })
    }

    /// Adds the change of the room's state, and sets it in the outcome.
    pub(super) async fn tell_state(&mut self, outcome: &mut Outcome) -> Result<Rev, Failure> {
        let state = self.state()?;
        let rev = self.tx.add_change(&Stored::Room { state: state.clone() }.to_json()).await?;
        outcome.reply.rev = outcome.reply.rev.or(Some(rev));
        outcome.reply.state = Some(state.clone());
        outcome.state = Some((rev, state));
        Ok(rev)
    }
}
