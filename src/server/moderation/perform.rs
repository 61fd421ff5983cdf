//! An act in a transaction of its own: begun, carried out, committed. If the answer of the commit is lost, the store is asked for
//! the act's row.

use super::act::{Act, ActKind, Outcome};
use super::carry_out::{Failure, Rules, carry_out};
use crate::domain::{
    id::{RoomId, Uid},
    refusal::Refusal,
};
use crate::server::incident::refusal_of;
use crate::server::storage::moderation::{ActQueries, ActTransaction};
use crate::server::storage::{Result as StorageResult, StorageError, Store};
use std::time::Duration;
use uuid::Uuid;

/// Attempts to learn whether an act was committed, and the pause before each.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(300);

/// Sets the room of an act that names a case or an earlier act and has no room. Returns the person of an act on the whole site.
///
/// # Errors
/// `malformed` for an unknown case or act, and for an act on the whole site of a kind that is of a room; errors of the store.
pub async fn locate(store: &Store, act: &mut Act) -> Result<Option<Uid>, Failure> {
    if act.room.is_some() {
        return Ok(None);
    }
    match &act.kind {
        ActKind::Ban(user) => Ok(Some(user.clone())),
        ActKind::ExportLog => Ok(Some(Uid::nobody())),
        ActKind::Lift(case) | ActKind::Acknowledge(case) => {
            let row = store.restraint(*case).await?.ok_or(Refusal::malformed("case"))?;
            act.room = row.room;
            Ok(act.room.is_none().then_some(row.uid))
        }
        ActKind::Undo(action) => {
            let row = store.action(*action).await?.ok_or(Refusal::malformed("action"))?;
            act.room = row.chain.parse().ok();
            let target = || row.target.and_then(|uid| uid.parse().ok()).unwrap_or_else(Uid::nobody);
            Ok(act.room.is_none().then(target))
        }
        _ => Err(Refusal::malformed("room").into()),
    }
}

/// Why it is not known that an act is done.
#[derive(Debug)]
pub enum NotDone {
    /// It is not: it is refused, or the store failed.
    Refused(Refusal),
    /// The answer of the commit was lost, and the store did not tell.
    Unknown {
        /// The answer for the caller: `uncertain`.
        refusal: Refusal,
        /// The outcome, if the act is committed.
        outcome: Box<Outcome>,
    },
}

impl From<Failure> for NotDone {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure.into())
    }
}

impl From<NotDone> for Refusal {
    fn from(not_done: NotDone) -> Self {
        match not_done {
            NotDone::Refused(refusal) | NotDone::Unknown { refusal, .. } => refusal,
        }
    }
}

/// Does an act whose place [`locate`] found, under a new id.
///
/// # Errors
/// [`NotDone`]: the errors of [`carry_out`], and a lost answer of the commit.
pub async fn perform(store: &Store, act: &Act, subject: Option<&Uid>, rules: &Rules, now: u64) -> Result<Outcome, NotDone> {
    let id = Uuid::now_v7();
    let begin = async || begin(store, act.room.as_ref(), subject, now).await;
    let mut tx = begin().await.map_err(Failure::from)?;
    let outcome = carry_out(&mut tx, act, id, rules).await?;
    match tx.commit().await {
        Ok(()) => Ok(outcome),
        Err(StorageError::Uncertain(error)) => {
            for _ in 0..ATTEMPTS {
                tokio::time::sleep(PAUSE).await;
                let Ok(mut tx) = begin().await else { continue };
                // This transaction has the place of the lost one, which has ended therefore: the row is there, or never will be.
                match tx.action(id).await {
                    Ok(Some(_)) => return Ok(outcome),
                    Ok(None) => return Err(NotDone::Refused(Refusal::Busy)),
                    Err(_) => {}
                }
            }
            let refusal = refusal_of(&StorageError::Uncertain(error), "act");
            Err(NotDone::Unknown { refusal, outcome: Box::new(outcome) })
        }
        Err(error) => Err(Failure::from(error).into()),
    }
}

/// Returns whether an act in a room is committed, whose answer was lost.
///
/// # Errors
/// Those of the store, which does not tell now.
pub async fn is_committed(store: &Store, room: &RoomId, action: Uuid, now: u64) -> StorageResult<bool> {
    // As above: the transaction has the place of the lost one.
    Ok(store.begin_act(room, now).await?.action(action).await?.is_some())
}

async fn begin(store: &Store, room: Option<&RoomId>, subject: Option<&Uid>, now: u64) -> StorageResult<ActTransaction> {
    match room {
        Some(room) => store.begin_act(room, now).await,
        None => store.begin_act_on_site(subject.unwrap_or(&Uid::nobody()), now).await,
    }
}
