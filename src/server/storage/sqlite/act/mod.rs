//! The transaction of an act of moderation. It holds the one connection that writes, so no other write is between what it reads
//! and its commit. It is committed, or rolled back when it is dropped.

mod audit;
mod erase;
mod messages;
mod notes;
mod purges;
mod restraints;
mod room;

pub(super) use audit::action_by_id;
pub(super) use restraints::{restraint_by_case, restraints_in_force};
pub(super) use room::{record, standing_in};

use super::high_water::count_commit;
use super::raw::SITE;
use super::{SqliteStore, from_sql};
use crate::domain::{
    change::Rev,
    id::{Seq, Uid},
    message::Message,
};
use crate::server::storage::moderation::{
    ActQueries, ActionRow, ChainHead, GrantedRole, NetworkHash, NewRemoval, NoteRow, Of, PurgeRow, ReportRow, RestraintRow,
    RoomRecord, SetPin, Standing, StoredMessage,
};
use crate::server::storage::{Result, SetModes, StorageError};
use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection};
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;

/// The transaction of an act.
pub struct SqliteAct {
    /// `None` after the end.
    connection: Option<PoolConnection<Sqlite>>,
    of: Of,
    now: u64,
    /// Takes the number of the commit, for the file `high-water`.
    commits: Arc<watch::Sender<u64>>,
}

impl SqliteStore {
    /// The transaction is begun by a plain statement and not by the driver, whose record would be wrong after a failed write.
    pub(in crate::server::storage) async fn begin_act(&self, of: Of, now: u64) -> Result<SqliteAct> {
        let connection = Some(self.writer.acquire().await?);
        let mut act = SqliteAct { connection, of, now, commits: self.writes.act_commits() };
        sqlx::query("BEGIN IMMEDIATE").execute(act.connection()?).await?;
        act.now = act.time_of_newest().await?.map_or(now, |newest| newest.max(now));
        Ok(act)
    }
}

impl SqliteAct {
    fn connection(&mut self) -> Result<&mut SqliteConnection> {
        // It is there until `commit`, which takes the act.
        self.connection.as_deref_mut().ok_or_else(|| StorageError::Failed(Arc::new(sqlx::Error::PoolClosed)))
    }

    /// The room of the act in the database: `*` for the whole site.
    fn place(&self) -> String {
        match &self.of {
            Of::Room(room) => room.to_string(),
            Of::Site(_) => SITE.into(),
        }
    }

    /// The connection, the room and the time of the act.
    fn parts(&mut self) -> Result<(&mut SqliteConnection, String, u64)> {
        let (place, now) = (self.place(), self.now);
        Ok((self.connection()?, place, now))
    }

    async fn time_of_newest(&mut self) -> Result<Option<u64>> {
        let (connection, room, _) = self.parts()?;
        let newest = sqlx::query_scalar!("SELECT at FROM messages WHERE room = ? ORDER BY seq DESC LIMIT 1", room);
        newest.fetch_optional(connection).await?.map(from_sql).transpose()
    }

    /// The act counts as a write batch: an earlier copy of the database would give its rev a second time.
    pub(crate) async fn commit(mut self) -> Result<()> {
        let connection = self.connection()?;
        let commits = count_commit(connection).await?;
        sqlx::query("COMMIT").execute(connection).await?;
        self.connection.take();
        self.commits.send_modify(|newest| *newest = commits.max(*newest));
        Ok(())
    }
}

impl Drop for SqliteAct {
    /// Rolls back. A connection without a transaction had its transaction rolled back by SQLite, and is closed: it may have failed.
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => _ = runtime.spawn(roll_back(connection)),
            Err(_) => connection.close_on_drop(),
        }
    }
}

async fn roll_back(mut connection: PoolConnection<Sqlite>) {
    if sqlx::query("ROLLBACK").execute(&mut *connection).await.is_err() {
        connection.close_on_drop();
    }
}

impl ActQueries for SqliteAct {
    async fn now(&mut self) -> Result<u64> {
        Ok(self.now)
    }

    async fn room(&mut self) -> Result<Option<RoomRecord>> {
        room::room(self).await
    }

    async fn standing(&mut self, uid: &Uid) -> Result<Option<Standing>> {
        room::standing(self, uid).await
    }

    async fn message(&mut self, seq: Seq) -> Result<Option<StoredMessage>> {
        messages::message(self, seq).await
    }

    async fn remove(&mut self, removal: NewRemoval, seqs: &[Seq]) -> Result<Vec<Seq>> {
        messages::remove(self, removal, seqs).await
    }

    async fn restore(&mut self, action: Uuid, limit: u32) -> Result<Vec<Message>> {
        messages::restore(self, action, limit).await
    }

    async fn restorable(&mut self, action: Uuid) -> Result<u64> {
        messages::restorable(self, action).await
    }

    async fn range_of(&mut self, uid: &Uid, since: u64) -> Result<Option<(Seq, Seq)>> {
        purges::range_of(self, uid, since).await
    }

    async fn put_purge(&mut self, purge: &PurgeRow) -> Result<()> {
        purges::put_purge(self, purge).await
    }

    async fn purge(&mut self, action: Uuid) -> Result<Option<PurgeRow>> {
        purges::purge(self, action).await
    }

    async fn unfinished_purge(&mut self, uid: &Uid) -> Result<Option<Uuid>> {
        purges::unfinished_purge(self, uid).await
    }

    async fn blank_next(&mut self, purge: &PurgeRow, limit: u32) -> Result<u64> {
        purges::blank_next(self, purge, limit).await
    }

    async fn add_change(&mut self, body: &str) -> Result<Rev> {
        room::add_change(self, body).await
    }

    async fn set_modes(&mut self, set: SetModes, by_operator: bool) -> Result<()> {
        room::set_modes(self, set, by_operator).await
    }

    async fn set_title(&mut self, title: &str) -> Result<()> {
        room::set_title(self, title).await
    }

    async fn set_pin(&mut self, pin: SetPin) -> Result<()> {
        room::set_pin(self, pin).await
    }

    async fn set_role(&mut self, uid: &Uid, role: Option<GrantedRole>, by: &str) -> Result<()> {
        room::set_role(self, uid, role, by).await
    }

    async fn set_host(&mut self, uid: &Uid) -> Result<()> {
        room::set_host(self, uid).await
    }

    async fn put_restraint(&mut self, restraint: &RestraintRow) -> Result<()> {
        restraints::put_restraint(self, restraint).await
    }

    async fn restraints_of(&mut self, uid: &Uid, with_site: bool) -> Result<Vec<RestraintRow>> {
        restraints::restraints_of(self, uid, with_site).await
    }

    async fn restraint(&mut self, case: Uuid) -> Result<Option<RestraintRow>> {
        restraint_by_case(self.connection()?, case).await
    }

    async fn lift(&mut self, case: Uuid, at: u64) -> Result<()> {
        restraints::lift(self, case, at).await
    }

    async fn restrain_again(&mut self, case: Uuid) -> Result<()> {
        restraints::restrain_again(self, case).await
    }

    async fn put_note(&mut self, note: &NoteRow) -> Result<()> {
        notes::put_note(self, note).await
    }

    async fn remove_note(&mut self, id: Uuid) -> Result<bool> {
        notes::remove_note(self, id).await
    }

    async fn put_report(&mut self, report: &ReportRow) -> Result<bool> {
        notes::put_report(self, report).await
    }

    async fn reports_by(&mut self, uid: &Uid, since: u64) -> Result<u64> {
        notes::reports_by(self, uid, since).await
    }

    async fn settle_reports(&mut self, seq: Seq) -> Result<()> {
        notes::settle_reports(self, seq).await
    }

    async fn restrain_networks(&mut self, uid: &Uid, case: Uuid, until: u64) -> Result<Vec<NetworkHash>> {
        restraints::restrain_networks(self, uid, case, until).await
    }

    async fn chain(&mut self) -> Result<ChainHead> {
        audit::chain(self).await
    }

    async fn put_action(&mut self, row: &ActionRow) -> Result<()> {
        audit::put_action(self, row).await
    }

    async fn action(&mut self, id: Uuid) -> Result<Option<ActionRow>> {
        action_by_id(self.connection()?, id).await
    }

    async fn action_by_nonce(&mut self, actor: &str, nonce: &str) -> Result<Option<ActionRow>> {
        audit::action_by_nonce(self, actor, nonce).await
    }

    async fn erase_messages_of(&mut self, uid: &Uid, removal: NewRemoval, limit: u32) -> Result<Vec<Seq>> {
        erase::erase_messages_of(self, uid, removal, limit).await
    }

    async fn erase_traces_of(&mut self, uid: &Uid, limit: u32) -> Result<u64> {
        erase::erase_traces_of(self, uid, limit).await
    }

    async fn erase_text(&mut self, seq: Seq) -> Result<bool> {
        erase::erase_text(self, seq).await
    }

    async fn action_text(&mut self, action: Uuid, kind: &str) -> Result<Option<String>> {
        audit::action_text(self, action, kind).await
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
        audit::put_action_text(self, action, kind, uid, text, salt, until).await
    }
}
