//! The transaction of an act of moderation. It takes the room's place in the commit order, or the person's lock for the whole site,
//! before it reads: the lock of the row in `heads`, and the advisory lock that `append_2` shares for each sender. What it reads
//! after that is what holds when it commits. Locks are taken in the order rooms, persons, chain.

mod audit;
mod erase;
mod messages;
mod people;
mod purges;
mod restraints;
mod room;

use super::raw::SITE;
use super::settings::SettingsCache;
use super::transaction::OpenTransaction;
use super::{PostgresStore, from_sql, to_sql};
use crate::domain::{
    change::Rev,
    id::{RoomId, Seq, Uid},
    message::Message,
};
use crate::server::storage::moderation::{
    ActQueries, ActionRow, ChainHead, GrantedRole, NetworkHash, NewRemoval, NoteRow, Of, PurgeRow, ReportRow, RestraintRow,
    RoomRecord, SetPin, Standing, StoredMessage,
};
use crate::server::storage::{Result, SetModes};
use std::sync::Arc;
use tokio::sync::Notify;
use uuid::Uuid;

/// The class of the advisory locks of persons: "roomcast" of another hash than the keeper's.
const PERSONS: i32 = 1_919_902_817;

/// The transaction of an act.
pub struct PostgresAct {
    transaction: OpenTransaction,
    /// `None` on the site.
    room: Option<RoomId>,
    /// PostgreSQL's clock after the locks were taken.
    now: u64,
    settings: SettingsCache,
    written: Arc<Notify>,
}

impl PostgresStore {
    /// An act in a room has the connection of its lane, which stores nothing meanwhile.
    pub(in crate::server::storage) async fn begin_act(&self, of: Of, _now: u64) -> Result<PostgresAct> {
        let pool = if matches!(of, Of::Room(_)) { &self.lanes } else { &self.writers };
        let mut transaction = OpenTransaction::begin(pool).await?;
        let room = match of {
            Of::Room(room) => {
                let lock = async |db: &mut sqlx::PgConnection| {
                    sqlx::query!("SELECT 1 AS one FROM roomcast.heads WHERE room = $1 FOR UPDATE", room.as_str())
                        .fetch_optional(db)
                        .await
                };
                transaction.run(lock).await?;
                Some(room)
            }
            Of::Site(uid) => {
                let lock = async |db: &mut sqlx::PgConnection| {
                    let lock = "SELECT pg_advisory_xact_lock($1, hashtext($2 COLLATE \"C\") & 127)";
                    sqlx::query(lock).bind(PERSONS).bind(uid.as_str()).execute(db).await
                };
                transaction.run(lock).await?;
                None
            }
        };
        // A new statement: its snapshot has all that was committed before the lock was free.
        let id = room.as_ref().map_or(SITE, RoomId::as_str);
        let clock = async |db: &mut sqlx::PgConnection| {
            sqlx::query_scalar!(
                r#"SELECT greatest(
                    floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint,
                    (SELECT at FROM roomcast.messages WHERE room = $1 ORDER BY seq DESC LIMIT 1)
                ) AS "now!""#,
                id
            )
            .fetch_one(db)
            .await
        };
        let now = from_sql(transaction.run(clock).await?)?;
        Ok(PostgresAct { transaction, room, now, settings: self.settings.clone(), written: self.written.clone() })
    }
}

impl PostgresAct {
    pub(crate) async fn commit(self) -> Result<()> {
        let Self { transaction, room, settings, written, .. } = self;
        let committed = transaction.commit().await;
        // Also after a lost answer: it may be committed.
        written.notify_one();
        if let Some(room) = room {
            settings.forget(room.as_str());
        }
        committed
    }

    /// The room's id, or that of the whole site.
    fn id(&self) -> String {
        self.room.as_ref().map_or(SITE, RoomId::as_str).to_owned()
    }

    fn now_sql(&self) -> i64 {
        to_sql(self.now)
    }
}

/// The seqs as PostgreSQL takes them.
fn seqs_sql(seqs: &[Seq]) -> Vec<i64> {
    seqs.iter().map(|seq| to_sql(seq.0)).collect()
}

/// Each query is a method of its own of this type.
impl ActQueries for PostgresAct {
    async fn now(&mut self) -> Result<u64> {
        Ok(self.now)
    }

    async fn room(&mut self) -> Result<Option<RoomRecord>> {
        self.read_room().await
    }

    async fn standing(&mut self, uid: &Uid) -> Result<Option<Standing>> {
        self.read_standing(uid).await
    }

    async fn message(&mut self, seq: Seq) -> Result<Option<StoredMessage>> {
        self.read_message(seq).await
    }

    async fn remove(&mut self, removal: NewRemoval, seqs: &[Seq]) -> Result<Vec<Seq>> {
        self.remove_messages(removal, seqs).await
    }

    async fn restore(&mut self, action: Uuid, limit: u32) -> Result<Vec<Message>> {
        self.restore_messages(action, limit).await
    }

    async fn restorable(&mut self, action: Uuid) -> Result<u64> {
        self.count_restorable(action).await
    }

    async fn range_of(&mut self, uid: &Uid, since: u64) -> Result<Option<(Seq, Seq)>> {
        self.find_range(uid, since).await
    }

    async fn put_purge(&mut self, purge: &PurgeRow) -> Result<()> {
        self.store_purge(purge).await
    }

    async fn purge(&mut self, action: Uuid) -> Result<Option<PurgeRow>> {
        self.read_purge(action).await
    }

    async fn unfinished_purge(&mut self, uid: &Uid) -> Result<Option<Uuid>> {
        self.read_unfinished_purge(uid).await
    }

    async fn blank_next(&mut self, purge: &PurgeRow, limit: u32) -> Result<u64> {
        self.blank_purged(purge.action, limit).await
    }

    async fn add_change(&mut self, body: &str) -> Result<Rev> {
        self.store_change(body).await
    }

    async fn set_modes(&mut self, set: SetModes, by_operator: bool) -> Result<()> {
        self.store_modes(set, by_operator).await
    }

    async fn set_title(&mut self, title: &str) -> Result<()> {
        self.store_title(title).await
    }

    async fn set_pin(&mut self, pin: SetPin) -> Result<()> {
        self.store_pin(pin).await
    }

    async fn set_role(&mut self, uid: &Uid, role: Option<GrantedRole>, by: &str) -> Result<()> {
        self.store_role(uid, role, by).await
    }

    async fn set_host(&mut self, uid: &Uid) -> Result<()> {
        self.store_host(uid).await
    }

    async fn put_restraint(&mut self, restraint: &RestraintRow) -> Result<()> {
        self.store_restraint(restraint).await
    }

    async fn restraints_of(&mut self, uid: &Uid, with_site: bool) -> Result<Vec<RestraintRow>> {
        self.read_restraints(uid, with_site).await
    }

    async fn restraint(&mut self, case: Uuid) -> Result<Option<RestraintRow>> {
        self.read_restraint(case).await
    }

    async fn lift(&mut self, case: Uuid, at: u64) -> Result<()> {
        self.set_lifted(case, Some(at)).await
    }

    async fn restrain_again(&mut self, case: Uuid) -> Result<()> {
        self.set_lifted(case, None).await
    }

    async fn put_note(&mut self, note: &NoteRow) -> Result<()> {
        self.store_note(note).await
    }

    async fn remove_note(&mut self, id: Uuid) -> Result<bool> {
        self.delete_note(id).await
    }

    async fn put_report(&mut self, report: &ReportRow) -> Result<bool> {
        self.store_report(report).await
    }

    async fn reports_by(&mut self, uid: &Uid, since: u64) -> Result<u64> {
        self.count_reports(uid, since).await
    }

    async fn settle_reports(&mut self, seq: Seq) -> Result<()> {
        self.settle_reports_of(seq).await
    }

    async fn restrain_networks(&mut self, uid: &Uid, case: Uuid, until: u64) -> Result<Vec<NetworkHash>> {
        self.store_networks(uid, case, until).await
    }

    async fn chain(&mut self) -> Result<ChainHead> {
        self.lock_chain().await
    }

    async fn put_action(&mut self, row: &ActionRow) -> Result<()> {
        self.store_action(row).await
    }

    async fn action(&mut self, id: Uuid) -> Result<Option<ActionRow>> {
        self.read_action(id).await
    }

    async fn action_by_nonce(&mut self, actor: &str, nonce: &str) -> Result<Option<ActionRow>> {
        self.find_action(actor, nonce).await
    }

    async fn erase_messages_of(&mut self, uid: &Uid, removal: NewRemoval, limit: u32) -> Result<Vec<Seq>> {
        self.erase_messages(uid, removal, limit).await
    }

    async fn erase_traces_of(&mut self, uid: &Uid, limit: u32) -> Result<u64> {
        self.erase_traces(uid, limit).await
    }

    async fn erase_text(&mut self, seq: Seq) -> Result<bool> {
        self.destroy_text(seq).await
    }

    async fn action_text(&mut self, action: Uuid, kind: &str) -> Result<Option<String>> {
        self.read_action_text(action, kind).await
    }

    async fn put_action_text(
        &mut self,
        action: Uuid,
        kind: &str,
        uid: Option<&Uid>,
        text: &str,
        salt: &[u8],
        until: u64,
    ) -> Result<()> {
        self.store_action_text(action, kind, uid, text, salt, until).await
    }
}
