//! The reads of moderation, and the beginning of an act. The comment of a method holds for every store.

use super::acts::{ActTransaction, Of};
use super::rows::{
    ActionRow, ChainHead, Granted, NetworkHash, NoteRow, PersonHistory, PurgeRow, ReportRow, RestraintRow, RoomNow, Standing,
    WithText,
};
use crate::domain::{
    change::Rev,
    id::{RoomId, Seq, Uid},
    message::Message,
};
use crate::server::storage::store::on_store;
use crate::server::storage::{Result, RoomHead, Store};
use uuid::Uuid;

impl Store {
    /// Begins an act in a room: takes the room's place in the commit order. `now` is the time by the node's clock.
    pub async fn begin_act(&self, room: &RoomId, now: u64) -> Result<ActTransaction> {
        self.begin(Of::Room(room.clone()), now).await
    }

    /// Begins an act on a person on the whole site: no message of the person is being stored meanwhile.
    pub async fn begin_act_on_site(&self, uid: &Uid, now: u64) -> Result<ActTransaction> {
        self.begin(Of::Site(uid.clone()), now).await
    }

    async fn begin(&self, of: Of, now: u64) -> Result<ActTransaction> {
        Ok(match self {
            Self::Sqlite(store) => ActTransaction::Sqlite(store.begin_act(of, now).await?),
            Self::Postgres(store) => ActTransaction::Postgres(store.begin_act(of, now).await?),
        })
    }

    /// Returns a room at one moment, with at most `most` changes after the rev `after`, if one is given. `None`: there is no such room, or it is
    /// being deleted.
    pub async fn room_now(&self, room: &RoomId, after: Option<Rev>, most: u32) -> Result<Option<RoomNow>> {
        on_store!(self.room_now(room, after, most).await)
    }

    /// Returns the newest numbers of those rooms that exist, in any order.
    pub async fn heads(&self, rooms: Vec<RoomId>) -> Result<Vec<RoomHead>> {
        on_store!(self.heads(rooms).await)
    }

    /// Returns those of the messages that are kept, ascending; removed ones as tombstones.
    pub async fn messages_at(&self, room: &RoomId, seqs: &[Seq]) -> Result<Vec<Message>> {
        on_store!(self.messages_at(room, seqs).await)
    }

    /// Returns a person's standing in a room; `None` for an unknown uid.
    pub async fn standing(&self, room: &RoomId, uid: &Uid) -> Result<Option<Standing>> {
        on_store!(self.standing(room, uid).await)
    }

    /// Returns the standings of those of the persons that are known.
    pub async fn standings(&self, room: &RoomId, uids: &[Uid]) -> Result<Vec<(Uid, Standing)>> {
        on_store!(self.standings(room, uids).await)
    }

    /// Returns the restraints of a person that are in force in the room or on the whole site: bans first, then timeouts, then warnings.
    pub async fn restraints_of(&self, room: &RoomId, uid: &Uid, now: u64) -> Result<Vec<RestraintRow>> {
        on_store!(self.restraints_of(room, uid, now).await)
    }

    /// Returns a restraint of any room.
    pub async fn restraint(&self, case: Uuid) -> Result<Option<RestraintRow>> {
        on_store!(self.restraint(case).await)
    }

    /// Returns the newest restraints of a room (`None`: of the site) that are in force, with the nicknames of the persons.
    pub async fn restraints_in(&self, room: Option<&RoomId>, now: u64, limit: u32) -> Result<Vec<(RestraintRow, String)>> {
        on_store!(self.restraints_in(room, now, limit).await)
    }

    /// Returns the moderators and the guests of honour of a room, by role and nickname; at most 500.
    pub async fn granted(&self, room: &RoomId) -> Result<Vec<Granted>> {
        on_store!(self.granted(room).await)
    }

    /// Returns the numbers of a person in a room; `None` for an unknown uid.
    pub async fn person_history(&self, room: &RoomId, uid: &Uid, now: u64) -> Result<Option<PersonHistory>> {
        on_store!(self.person_history(room, uid, now).await)
    }

    /// Returns the newest messages of a person in a room below `before`, newest first, with the removed texts that are kept.
    pub async fn messages_of(&self, room: &RoomId, uid: &Uid, before: Option<Seq>, limit: u32) -> Result<Vec<WithText>> {
        on_store!(self.messages_of(room, uid, before, limit).await)
    }

    /// Returns the first messages of a room between two seqs, both excluded, with the removed texts that are kept; for the staff only.
    pub async fn with_texts(&self, room: &RoomId, after: Seq, before: Seq, limit: u32) -> Result<Vec<WithText>> {
        on_store!(self.with_texts(room, after, before, limit).await)
    }

    /// Returns the newest notes about a person in a room, newest first.
    pub async fn notes_of(&self, room: &RoomId, uid: &Uid, limit: u32) -> Result<Vec<NoteRow>> {
        on_store!(self.notes_of(room, uid, limit).await)
    }

    /// Returns the oldest reports of a room that are not settled.
    pub async fn open_reports(&self, room: &RoomId, limit: u32) -> Result<Vec<ReportRow>> {
        on_store!(self.open_reports(room, limit).await)
    }

    /// Returns a row of any chain.
    pub async fn action(&self, id: Uuid) -> Result<Option<ActionRow>> {
        on_store!(self.action(id).await)
    }

    /// Returns the newest rows of a chain with a number below `before`, newest first.
    pub async fn newest_actions(&self, chain: &str, before: Option<u64>, limit: u32) -> Result<Vec<ActionRow>> {
        on_store!(self.newest_actions(chain, before, limit).await)
    }

    /// Returns the next rows of a chain, oldest first.
    pub async fn actions_after(&self, chain: &str, after: u64, limit: u32) -> Result<Vec<ActionRow>> {
        on_store!(self.actions_after(chain, after, limit).await)
    }

    /// Returns the heads of all chains: of those with a head, and of those that have rows without one (number 0).
    pub async fn chain_heads(&self) -> Result<Vec<ChainHead>> {
        on_store!(self.chain_heads().await)
    }

    /// Returns the texts of acts that are kept: act, kind, text, salt.
    pub async fn action_texts(&self, actions: &[Uuid]) -> Result<Vec<(Uuid, String, String, Vec<u8>)>> {
        on_store!(self.action_texts(actions).await)
    }

    /// Returns the purges whose rows are being blanked or restored.
    pub async fn open_purges(&self) -> Result<Vec<PurgeRow>> {
        on_store!(self.open_purges().await)
    }

    /// Notes the network that a guest sends from.
    pub async fn note_network(&self, room: &RoomId, uid: &Uid, hash: NetworkHash, now: u64) -> Result<()> {
        on_store!(self.note_network(room, uid, hash, now).await)
    }

    /// Removes what has ended: removed texts, purges whose texts have ended, texts of acts, notes, networks, reports of 30 days ago, reasons of
    /// restraints that ended 30 days ago, and changes older than 24 hours, at most `limit` rows of each. Returns the number of rows.
    pub async fn sweep_moderation(&self, now: u64, limit: u32) -> Result<u64> {
        on_store!(self.sweep_moderation(now, limit).await)
    }

    /// Returns the rooms that have messages, restraints, notes, roles, purges or mentions of a person.
    pub async fn rooms_of_person(&self, uid: &Uid) -> Result<Vec<RoomId>> {
        on_store!(self.rooms_of_person(uid).await)
    }

    /// Removes a person whose messages were erased: sessions, devices, roles, notes, texts of acts about the person, reports by and about the
    /// person, networks, and the row itself. Restraints keep the uid and lose the reason. Returns false, and changes nothing, for a host, for the owner,
    /// and for an unknown uid.
    pub async fn forget_person(&self, uid: &Uid) -> Result<bool> {
        on_store!(self.forget_person(uid).await)
    }
}
