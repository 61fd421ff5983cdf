//! The rows of large purges: blanked, or restored by an undo, in batches between the sends of the room. Each batch is guarded by the
//! purge's own row, so that it is done once, whichever server does it and however often it is begun.

use super::act::Outcome;
use super::changes::tell_restored;
use crate::domain::change::Why;
use crate::server::storage::Result;
use crate::server::storage::moderation::{ActQueries, PurgeState};
use uuid::Uuid;

/// Messages of a batch.
pub(super) const BATCH: u32 = 500;

/// A batch that was done.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Batch {
    /// Whether there is a further one.
    pub has_more: bool,
    /// The push at the end of a restoration.
    pub outcome: Outcome,
}

/// Counts the rows of a batch.
pub(super) fn count(work: &'static str, rows: u64) {
    metrics::counter!("roomcast_purge_rows_total", "work" => work).increment(rows);
}

/// Does the next batch of a purge in `tx`, a transaction in its room, which the caller commits.
///
/// # Errors
/// Those of the store.
pub async fn next_batch<T: ActQueries>(tx: &mut T, action: Uuid) -> Result<Batch> {
    let Some(mut purge) = tx.purge(action).await? else { return Ok(Batch::default()) };
    match purge.state {
        PurgeState::Done => Ok(Batch::default()),
        PurgeState::Blanking => {
            count("blanking", tx.blank_next(&purge, BATCH).await?);
            let has_more = tx.purge(action).await?.is_some_and(|purge| purge.state == PurgeState::Blanking);
            Ok(Batch { has_more, outcome: Outcome::default() })
        }
        PurgeState::Restoring => {
            let restored = tx.restore(action, BATCH).await?;
            count("restoring", restored.len() as u64);
            if restored.len() == BATCH as usize {
                return Ok(Batch { has_more: true, outcome: Outcome::default() });
            }
            purge.state = PurgeState::Done;
            tx.put_purge(&purge).await?;
            let at = tx.now().await?;
            let head = tx.room().await?.map(|room| room.newest).unwrap_or_default();
            let changed = tell_restored(tx, &purge.room, at, Why::Undo, None).await?;
            Ok(Batch { has_more: false, outcome: Outcome { head, changed: Some(changed), ..Outcome::default() } })
        }
    }
}
