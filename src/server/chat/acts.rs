//! Acts of moderation at their place between the sends of a room, and the pushes that follow from them.

use super::Chat;
use super::pushes::{RoomPush, You};
use crate::domain::{
    id::{RoomId, Uid},
    refusal::Refusal,
    reply::ActReply,
};
use crate::server::gateway::Selection;
use crate::server::moderation::{Act, ActKind, Outcome, locate, perform, told_restraints};
use crate::server::storage::Result as StorageResult;
use std::collections::BTreeSet;

/// Rooms whose pages of one person are told of an act on the whole site, at most.
const MAX_TOLD_ROOMS: usize = 200;

impl Chat {
    /// Carries out an act, and pushes its changes. See [`Act`] for the rules.
    ///
    /// Fails with `not_allowed` for an actor whose rank does not permit it, with `no_such_room`, `malformed`, `blank`, `too_long`,
    /// `already_decided`, `too_late`, `room_mode`, `busy`, `uncertain`. A repeated nonce returns the first answer again.
    pub async fn act(&self, act: Act) -> Result<ActReply, Refusal> {
        let verb = act.kind.word();
        let done = self.try_act(act).await;
        let outcome = done.as_ref().map_or_else(Refusal::code, |_| "done");
        metrics::counter!("roomcast_acts_total", "verb" => verb, "outcome" => outcome).increment(1);
        done
    }

    async fn try_act(&self, mut act: Act) -> Result<ActReply, Refusal> {
        let subject = locate(&self.store, &mut act).await?;
        let (verb, actor, is_report) = (act.kind.word(), act.actor.word(), matches!(act.kind, ActKind::Report(_)));
        let Some(room) = act.room.clone() else {
            let outcome = perform(&self.store, &act, subject.as_ref(), &self.rules, self.clock.now_ms()).await?;
            // After a repeated act, too: the first may have been lost on the way back.
            if let Some(uid) = &subject
                && let Err(error) = self.tell_everywhere(uid).await
            {
                tracing::warn!(%error, "a person is not told of a restraint: the page learns it at its next send or bind");
            }
            if verb == "erase_person" {
                self.deleted.notify_one();
            }
            tracing::info!(verb, actor, action = ?outcome.reply.action, "an act on the whole site");
            return Ok(outcome.reply);
        };
        // Most refusals of an unknown room are answered here, without the lane.
        self.room(&room).await?;
        let Outcome { reply, state, has_batches, .. } = self.commits.act(&room, act).await?;
        if state.is_some() || matches!(verb, "role" | "host" | "undo") {
            self.forget_room(&room);
            self.store.forget_room_settings();
            self.exempt.invalidate_all();
        }
        if let Some(action) = reply.action.filter(|_| has_batches) {
            self.purging.begin(room.clone(), action);
        }
        if verb == "erase" {
            // The retention task overwrites the text in the database's files.
            self.deleted.notify_one();
        }
        if !is_report {
            tracing::info!(%room, verb, actor, action = ?reply.action, "an act of moderation");
        }
        Ok(reply)
    }

    /// Tells all pages of a person on this node, in whichever rooms they are, the restraint that is in force there: one of the room
    /// stays when one of the whole site ends.
    ///
    /// # Errors
    /// A failed query: the pages learn it at their next send or bind.
    pub(super) async fn tell_everywhere(&self, uid: &Uid) -> StorageResult<()> {
        let rooms = self
            .gateway
            .select(Selection::Uids(vec![uid.into()]), |_, connection| {
                connection.groups().filter_map(|group| group.as_text().parse::<RoomId>().ok()).collect::<Vec<_>>()
            })
            .await;
        let rooms: BTreeSet<RoomId> = rooms.into_iter().flatten().collect();
        let mut told = Ok(());
        for room in rooms.into_iter().take(MAX_TOLD_ROOMS) {
            told = self.tell_in(room, uid).await.and(told);
        }
        told
    }

    /// The same for one room.
    pub(super) async fn tell_in(&self, room: RoomId, uid: &Uid) -> StorageResult<()> {
        let rows = self.store.restraints_of(&room, uid, self.clock.now_ms()).await?;
        let (restraint, warning) = told_restraints(&rows);
        self.pusher.send(RoomPush::You(Box::new(You { room, uid: uid.clone(), restraint, warning }))).await;
        Ok(())
    }
}
