//! The transaction of an act of moderation. It has the room's place in the commit order, or the person's lock for the whole
//! site, so what it reads is what holds when it commits. The moderation floor decides; a store reads and writes.

use super::rows::{
    ActionRow, ChainHead, GrantedRole, NetworkHash, NewRemoval, NoteRow, PurgeRow, ReportRow, RestraintRow, RoomRecord, SetPin,
    Standing, StoredMessage,
};
use crate::domain::{
    change::Rev,
    id::{RoomId, Seq, Uid},
    message::Message,
};
use crate::server::storage::postgres::PostgresAct;
use crate::server::storage::sqlite::SqliteAct;
use crate::server::storage::{Result, SetModes};
use std::future::Future;
use uuid::Uuid;

/// Declares the queries once: the contract that each store implements, and the dispatch of [`ActTransaction`].
macro_rules! act_queries {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)+) => {
        /// The queries of an act. The comment of a method holds for every store.
        pub trait ActQueries: Send {
            $($(#[$doc])* fn $name(&mut self, $($arg: $type),*) -> impl Future<Output = Result<$out>> + Send;)+
        }

        impl ActQueries for ActTransaction {
            $(async fn $name(&mut self, $($arg: $type),*) -> Result<$out> {
                match self {
                    ActTransaction::Sqlite(act) => act.$name($($arg),*).await,
                    ActTransaction::Postgres(act) => act.$name($($arg),*).await,
                }
            })+
        }
    };
}

/// A transaction that has begun. Dropped without [`ActTransaction::commit`], it changes nothing.
pub enum ActTransaction {
    /// In the embedded database.
    Sqlite(SqliteAct),
    /// In PostgreSQL.
    Postgres(PostgresAct),
}

impl ActTransaction {
    /// Commits. Fails with [`Uncertain`](crate::server::storage::StorageError::Uncertain) if it may be committed: the nonce of
    /// the act tells.
    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(act) => act.commit().await,
            Self::Postgres(act) => act.commit().await,
        }
    }
}

act_queries! {
    /// Returns the time by the store's clock, unix milliseconds. It is the same during the whole transaction, and not before
    /// that of the room's newest message.
    fn now() -> u64;

    /// Returns the room that the transaction is of; `None` if it does not exist, or is being deleted.
    fn room() -> Option<RoomRecord>;

    /// Returns a person's standing in the room, or on the site for an act of the site; `None` for an unknown uid.
    fn standing(uid: &Uid) -> Option<Standing>;

    /// Returns a message of the room.
    fn message(seq: Seq) -> Option<StoredMessage>;

    /// Blanks those messages that are not removed, keeps nickname and text apart, and returns their seqs, ascending. Removes
    /// the pin from them, and settles their reports.
    fn remove(removal: NewRemoval, seqs: &[Seq]) -> Vec<Seq>;

    /// Restores at most `limit` messages that the act removed, and returns them, ascending. Their texts must be kept still.
    fn restore(action: Uuid, limit: u32) -> Vec<Message>;

    /// Returns the number of messages that the act removed and that can be restored.
    fn restorable(action: Uuid) -> u64;

    /// Returns the lowest seq of the person's messages in the room at or after the time `since`, and the highest of all.
    fn range_of(uid: &Uid, since: u64) -> Option<(Seq, Seq)>;

    /// Adds a purge, or sets state and `next` of one.
    fn put_purge(purge: &PurgeRow) -> ();

    /// Returns a purge of the room.
    fn purge(action: Uuid) -> Option<PurgeRow>;

    /// Returns a purge of the person's messages in the room that is blanking or restoring.
    fn unfinished_purge(uid: &Uid) -> Option<Uuid>;

    /// Looks at the next `limit` messages of a purge that is blanking, and blanks those that were not removed before. Moves its
    /// `next`, and ends the blanking if there were fewer. Returns the number of messages that were blanked.
    fn blank_next(purge: &PurgeRow, limit: u32) -> u64;

    /// Adds a change of the room, and returns its number. `body` is JSON.
    fn add_change(body: &str) -> Rev;

    /// Sets modes of the room. `by_operator`: closing is by the operator.
    fn set_modes(set: SetModes, by_operator: bool) -> ();

    /// Sets the room's title.
    fn set_title(title: &str) -> ();

    /// Sets the pin.
    fn set_pin(pin: SetPin) -> ();

    /// Sets or removes the role of a person in the room.
    fn set_role(uid: &Uid, role: Option<GrantedRole>, by: &str) -> ();

    /// Makes an account the room's host.
    fn set_host(uid: &Uid) -> ();

    /// Adds a restraint.
    fn put_restraint(restraint: &RestraintRow) -> ();

    /// Returns the restraints of a person that are in force, of the room (of the site for an act of the site) and, if `with_site`,
    /// of the whole site, bans first.
    fn restraints_of(uid: &Uid, with_site: bool) -> Vec<RestraintRow>;

    /// Returns a restraint of any room.
    fn restraint(case: Uuid) -> Option<RestraintRow>;

    /// Ends a restraint. The restraints of networks that follow from it count only while it is in force.
    fn lift(case: Uuid, at: u64) -> ();

    /// Puts a lifted restraint in force again, with those of networks that follow from it.
    fn restrain_again(case: Uuid) -> ();

    /// Adds a note.
    fn put_note(note: &NoteRow) -> ();

    /// Removes a note. Returns false if there was none.
    fn remove_note(id: Uuid) -> bool;

    /// Adds a report. Returns false if the person reported the message before.
    fn put_report(report: &ReportRow) -> bool;

    /// Returns the number of reports that a person made since.
    fn reports_by(uid: &Uid, since: u64) -> u64;

    /// Settles the reports of a message.
    fn settle_reports(seq: Seq) -> ();

    /// Returns the networks that a guest sent from in the room, and adds a restraint of each, until a time.
    fn restrain_networks(uid: &Uid, case: Uuid, until: u64) -> Vec<NetworkHash>;

    /// Returns the newest row of the chain: that of the room, or that of the site. Locks it.
    fn chain() -> ChainHead;

    /// Appends a row to the chain, and moves its head.
    fn put_action(row: &ActionRow) -> ();

    /// Returns a row of any chain.
    fn action(id: Uuid) -> Option<ActionRow>;

    /// Returns the row that an actor added under a nonce, in any chain.
    fn action_by_nonce(actor: &str, nonce: &str) -> Option<ActionRow>;

    /// Erases at most `limit` messages of a person in the room: the uid becomes `-`, the nonce the message's id, nickname and text go,
    /// also where they were kept apart. Returns their seqs, ascending.
    fn erase_messages_of(uid: &Uid, removal: NewRemoval, limit: u32) -> Vec<Seq>;

    /// Takes the uid of a person without messages in the room out of the purges, out of the changes that told them, which become
    /// `reread`, and out of the mentions of at most `limit` messages of others. Returns the number of rows.
    fn erase_traces_of(uid: &Uid, limit: u32) -> u64;

    /// Destroys the kept text of a removed message. Returns false if none was kept.
    fn erase_text(seq: Seq) -> bool;

    /// Returns a text of an act; `None` if it has ended.
    fn action_text(action: Uuid, kind: &str) -> Option<String>;

    /// Keeps a text of an act, with the salt of its hash.
    fn put_action_text(action: Uuid, kind: &str, uid: Option<&Uid>, text: &str, salt: &[u8], until: u64) -> ();
}

/// The room, or the whole site, that a transaction is of.
#[derive(Clone, Debug)]
pub(in crate::server::storage) enum Of {
    /// A room: its place in the commit order is taken.
    Room(RoomId),
    /// The site: the lock of the person is taken.
    Site(Uid),
}
