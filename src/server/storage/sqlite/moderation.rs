//! The reads of moderation: rooms at one moment, restraints, roles, notes, reports, the audit log.

use super::act::{action_by_id, record, restraint_by_case, restraints_in_force, standing_in};
use super::messages::{shown_at, with_texts_at};
use super::raw::{
    RawAction, RawChange, RawHead, RawNote, RawPurge, RawReport, RawRestraint, RawStanding, SITE, granted_role, json_of, parse,
    room_or_site, seqs, uuid,
};
use super::{SqliteStore, corrupt, from_sql, to_sql};
use crate::domain::{
    change::Rev,
    id::{RoomId, Seq, Uid},
    message::Message,
};
use crate::server::storage::moderation::{
    ActionRow, ChainHead, Granted, NoteRow, PurgeRow, ReportRow, RestraintRow, RoomNow, Standing, WithText,
};
use crate::server::storage::{Result, RoomHead};
use uuid::Uuid;

/// Roles that a list of a room has, at most.
const MAX_GRANTED: i64 = 500;

impl SqliteStore {
    /// One transaction, so one snapshot.
    pub(crate) async fn room_now(&self, room: &RoomId, after: Option<Rev>, most: u32) -> Result<Option<RoomNow>> {
        let mut snapshot = self.readers.begin().await?;
        let Some(record) = record(&mut snapshot, room.as_str()).await? else { return Ok(None) };
        let room = room.as_str();
        let oldest = sqlx::query_scalar!(r#"SELECT min(seq) AS "oldest?: i64" FROM messages WHERE room = ?"#, room);
        let oldest = oldest.fetch_one(&mut *snapshot).await?.map(from_sql).transpose()?.map_or(record.newest.next(), Seq);
        let Some(after) = after else {
            return Ok(Some(RoomNow { record, oldest, changes: Vec::new(), has_all_changes: true }));
        };
        let wanted = to_sql(after.0);
        let changes = sqlx::query_as!(
            RawChange,
            r#"SELECT rev AS "rev!: i64", seq AS "seq!: i64", at AS "at!: i64", body AS "body!" FROM changes
            WHERE room = ? AND rev > ? ORDER BY rev LIMIT ?"#,
            room,
            wanted,
            most
        );
        let changes = changes.fetch_all(&mut *snapshot).await?;
        let changes = changes.into_iter().map(RawChange::into_change).collect::<Result<Vec<_>>>()?;
        // Revs have no holes: the number of changes tells whether some were swept or are too many.
        let has_all_changes = after.0.checked_add(changes.len() as u64) == Some(record.rev.0);
        Ok(Some(RoomNow { record, oldest, changes, has_all_changes }))
    }

    pub(crate) async fn heads(&self, rooms: Vec<RoomId>) -> Result<Vec<RoomHead>> {
        let rooms = serde_json::to_string(&rooms).map_err(corrupt)?;
        let rows = sqlx::query!(
            r#"SELECT rooms.room AS "room!", epoch AS "epoch!", newest_seq AS "newest_seq!: i64", rev AS "rev!: i64"
            FROM json_each(?) AS asked JOIN rooms ON rooms.room = asked.value WHERE deleted_at IS NULL"#,
            rooms
        );
        let head = |room: &str, epoch: &str, seq, rev| -> Result<RoomHead> {
            let (room, epoch) = (parse(room, "room")?, parse(epoch, "epoch")?);
            Ok(RoomHead { room, epoch, seq: Seq(from_sql(seq)?), rev: Rev(from_sql(rev)?) })
        };
        let rows = rows.fetch_all(&self.readers).await?;
        rows.into_iter().map(|row| head(&row.room, &row.epoch, row.newest_seq, row.rev)).collect()
    }

    pub(crate) async fn messages_at(&self, room: &RoomId, seqs: &[Seq]) -> Result<Vec<Message>> {
        shown_at(&mut *self.readers.acquire().await?, room.as_str(), seqs).await
    }

    pub(crate) async fn standing(&self, room: &RoomId, uid: &Uid) -> Result<Option<Standing>> {
        standing_in(&mut *self.readers.acquire().await?, room.as_str(), uid).await
    }

    pub(crate) async fn standings(&self, room: &RoomId, uids: &[Uid]) -> Result<Vec<(Uid, Standing)>> {
        let (room, uids) = (room.as_str(), json_of(uids)?);
        let rows = sqlx::query!(
            r#"SELECT p.uid AS "uid!", p.nickname AS "nickname!", p.account, p.is_owner AS "is_owner!: bool",
                EXISTS (SELECT 1 FROM rooms WHERE rooms.room = ?1 AND rooms.host = p.uid) AS "is_host!: bool",
                (SELECT role FROM roles WHERE roles.room = ?1 AND roles.uid = p.uid) AS "role?: String",
                p.created_at AS "created_at!: i64"
            FROM people AS p WHERE p.uid IN (SELECT value FROM json_each(?2))"#,
            room,
            uids
        );
        let standing = |uid: String, raw: RawStanding| Ok((parse(&uid, "uid")?, raw.into_standing()?));
        let rows = rows.fetch_all(&self.readers).await?.into_iter().map(|row| {
            let (nickname, account, is_owner, is_host, role) = (row.nickname, row.account, row.is_owner, row.is_host, row.role);
            standing(row.uid, RawStanding { nickname, account, is_owner, is_host, role, created_at: row.created_at })
        });
        rows.collect()
    }

    pub(crate) async fn restraints_of(&self, room: &RoomId, uid: &Uid, now: u64) -> Result<Vec<RestraintRow>> {
        restraints_in_force(&mut *self.readers.acquire().await?, [room.as_str(), SITE], uid, now).await
    }

    pub(crate) async fn restraint(&self, case: Uuid) -> Result<Option<RestraintRow>> {
        restraint_by_case(&mut *self.readers.acquire().await?, case).await
    }

    pub(crate) async fn restraints_in(&self, room: Option<&RoomId>, now: u64, limit: u32) -> Result<Vec<(RestraintRow, String)>> {
        let (room, now) = (room_or_site(room), to_sql(now));
        let rows = sqlx::query!(
            r#"SELECT r.id AS "id!", r.room AS "room!", r.uid AS "uid!", r.kind AS "kind!", r.since AS "since!: i64",
                r.until AS "until?: i64", r.reason AS "reason!", r.by_uid AS "by_uid!", r.lifted_at AS "lifted_at?: i64",
                coalesce((SELECT nickname FROM people WHERE people.uid = r.uid), '') AS "nickname!: String"
            FROM restraints AS r WHERE r.room = ? AND r.lifted_at IS NULL AND (r.until IS NULL OR r.until > ?)
            ORDER BY r.since DESC, r.id DESC LIMIT ?"#,
            room,
            now,
            limit
        );
        let rows = rows.fetch_all(&self.readers).await?;
        rows.into_iter()
            .map(|row| {
                let restraint = RawRestraint {
                    id: row.id,
                    room: row.room,
                    uid: row.uid,
                    kind: row.kind,
                    since: row.since,
                    until: row.until,
                    reason: row.reason,
                    by_uid: row.by_uid,
                    lifted_at: row.lifted_at,
                };
                Ok((restraint.into_restraint()?, row.nickname))
            })
            .collect()
    }

    pub(crate) async fn granted(&self, room: &RoomId) -> Result<Vec<Granted>> {
        let room = room.as_str();
        // In the order of the alphabet: moderator, vip.
        let rows = sqlx::query!(
            r#"SELECT r.uid AS "uid!", r.role AS "role!", p.nickname AS "nickname!" FROM roles AS r
            JOIN people AS p ON p.uid = r.uid WHERE r.room = ? ORDER BY r.role, p.nickname, r.uid LIMIT ?"#,
            room,
            MAX_GRANTED
        );
        let rows = rows.fetch_all(&self.readers).await?;
        rows.into_iter()
            .map(|row| Ok(Granted { uid: parse(&row.uid, "uid")?, nickname: row.nickname, role: granted_role(&row.role)? }))
            .collect()
    }

    pub(crate) async fn messages_of(&self, room: &RoomId, uid: &Uid, before: Option<Seq>, limit: u32) -> Result<Vec<WithText>> {
        let (room, uid, before) = (room.as_str(), uid.as_str(), before.map_or(i64::MAX, |seq| to_sql(seq.0)));
        let mut snapshot = self.readers.begin().await?;
        let newest = sqlx::query_scalar!(
            r#"SELECT seq AS "seq!: i64" FROM messages INDEXED BY messages_of
            WHERE uid = ?1 AND room = ?2 AND seq > 0 AND seq < ?3 ORDER BY seq DESC LIMIT ?4"#,
            uid,
            room,
            before,
            limit
        );
        let newest = seqs(newest.fetch_all(&mut *snapshot).await?)?;
        let mut messages = with_texts_at(&mut snapshot, room, &newest).await?;
        messages.reverse();
        Ok(messages)
    }

    pub(crate) async fn with_texts(&self, room: &RoomId, after: Seq, before: Seq, limit: u32) -> Result<Vec<WithText>> {
        let (room, after, before) = (room.as_str(), to_sql(after.0), to_sql(before.0));
        let mut snapshot = self.readers.begin().await?;
        let first = sqlx::query_scalar!(
            r#"SELECT seq AS "seq!: i64" FROM messages WHERE room = ? AND seq > ? AND seq < ? ORDER BY seq LIMIT ?"#,
            room,
            after,
            before,
            limit
        );
        let first = seqs(first.fetch_all(&mut *snapshot).await?)?;
        with_texts_at(&mut snapshot, room, &first).await
    }

    pub(crate) async fn notes_of(&self, room: &RoomId, uid: &Uid, limit: u32) -> Result<Vec<NoteRow>> {
        let (room, uid) = (room.as_str(), uid.as_str());
        let rows = sqlx::query_as!(
            RawNote,
            r#"SELECT id AS "id!", room AS "room!", uid AS "uid!", by_uid AS "by_uid!", at AS "at!: i64", text AS "text!",
                until AS "until!: i64" FROM notes WHERE room = ? AND uid = ? ORDER BY at DESC, id DESC LIMIT ?"#,
            room,
            uid,
            limit
        );
        rows.fetch_all(&self.readers).await?.into_iter().map(RawNote::into_note).collect()
    }

    pub(crate) async fn open_reports(&self, room: &RoomId, limit: u32) -> Result<Vec<ReportRow>> {
        let room = room.as_str();
        let rows = sqlx::query_as!(
            RawReport,
            r#"SELECT room AS "room!", seq AS "seq!: i64", by_uid AS "by_uid!", uid AS "uid!", reason AS "reason!", at AS "at!: i64"
            FROM reports WHERE room = ? AND settled_at IS NULL ORDER BY at, seq, by_uid LIMIT ?"#,
            room,
            limit
        );
        rows.fetch_all(&self.readers).await?.into_iter().map(RawReport::into_report).collect()
    }

    pub(crate) async fn action(&self, id: Uuid) -> Result<Option<ActionRow>> {
        action_by_id(&mut *self.readers.acquire().await?, id).await
    }

    pub(crate) async fn newest_actions(&self, chain: &str, before: Option<u64>, limit: u32) -> Result<Vec<ActionRow>> {
        let before = before.map_or(i64::MAX, to_sql);
        let rows = sqlx::query_as!(
            RawAction,
            r#"SELECT chain AS "chain!", n AS "n!: i64", id AS "id!", at AS "at!: i64", actor AS "actor!", verb AS "verb!", target,
                nonce, body AS "body!", hash AS "hash!: Vec<u8>" FROM actions WHERE chain = ? AND n < ? ORDER BY n DESC LIMIT ?"#,
            chain,
            before,
            limit
        );
        rows.fetch_all(&self.readers).await?.into_iter().map(RawAction::into_action).collect()
    }

    pub(crate) async fn actions_after(&self, chain: &str, after: u64, limit: u32) -> Result<Vec<ActionRow>> {
        let after = to_sql(after);
        let rows = sqlx::query_as!(
            RawAction,
            r#"SELECT chain AS "chain!", n AS "n!: i64", id AS "id!", at AS "at!: i64", actor AS "actor!", verb AS "verb!", target,
                nonce, body AS "body!", hash AS "hash!: Vec<u8>" FROM actions WHERE chain = ? AND n > ? ORDER BY n LIMIT ?"#,
            chain,
            after,
            limit
        );
        rows.fetch_all(&self.readers).await?.into_iter().map(RawAction::into_action).collect()
    }

    pub(crate) async fn chain_heads(&self) -> Result<Vec<ChainHead>> {
        let rows = sqlx::query_as!(
            RawHead,
            r#"SELECT chain AS "chain!", n AS "n!: i64", hash AS "hash!: Vec<u8>" FROM chains
            UNION ALL SELECT DISTINCT chain, 0, zeroblob(32) FROM actions WHERE chain NOT IN (SELECT chain FROM chains)
            ORDER BY 1"#
        );
        rows.fetch_all(&self.readers).await?.into_iter().map(RawHead::into_head).collect()
    }

    pub(crate) async fn action_texts(&self, actions: &[Uuid]) -> Result<Vec<(Uuid, String, String, Vec<u8>)>> {
        let actions = serde_json::to_string(actions).map_err(corrupt)?;
        let rows = sqlx::query!(
            r#"SELECT action AS "action!", kind AS "kind!", text AS "text!", salt AS "salt!: Vec<u8>" FROM action_texts
            WHERE action IN (SELECT value FROM json_each(?)) ORDER BY action, kind"#,
            actions
        );
        let rows = rows.fetch_all(&self.readers).await?;
        rows.into_iter().map(|row| Ok((uuid(&row.action)?, row.kind, row.text, row.salt))).collect()
    }

    pub(crate) async fn open_purges(&self) -> Result<Vec<PurgeRow>> {
        let rows = sqlx::query_as!(
            RawPurge,
            r#"SELECT action AS "action!", room AS "room!", uid AS "uid!", from_seq AS "from_seq!: i64", upto_seq AS "upto_seq!: i64",
                rev AS "rev!: i64", why AS "why!", state AS "state!", next_seq AS "next_seq!: i64", until AS "until!: i64"
            FROM purges WHERE state <> 'done' ORDER BY room, rev"#
        );
        rows.fetch_all(&self.readers).await?.into_iter().map(RawPurge::into_purge).collect()
    }
}
