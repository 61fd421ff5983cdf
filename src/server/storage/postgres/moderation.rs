//! The reads of moderation: rooms, restraints, and the audit log.

use super::PostgresStore;
use super::raw::{
    RawAction, RawHead, RawNote, RawPurge, RawRecord, RawReport, RawRestraint, RawShown, SITE, granted_role, messages, parse,
};
use super::{from_sql, to_sql};
use crate::domain::{
    change::Rev,
    id::{RoomId, Seq, Uid},
    message::Message,
};
use crate::server::storage::moderation::{
    ActionRow, ChainHead, Granted, NetworkHash, NoteRow, PurgeRow, ReportRow, RestraintRow, RoomNow, StoredChange,
};
use crate::server::storage::{Result, RoomHead};
use uuid::Uuid;

/// Roles of a room that are listed.
const MOST_ROLES: i64 = 500;

impl PostgresStore {
    /// One statement, so one snapshot: the room's row stands beside each change.
    pub(crate) async fn room_now(&self, room: &RoomId, after: Option<Rev>, most: u32) -> Result<Option<RoomNow>> {
        let (room, wanted, most) = (room.as_str(), after.map(|rev| to_sql(rev.0)), i64::from(most));
        let rows = self.readers.read(async |db| {
            sqlx::query!(
                r#"SELECT rooms.room, title, host, epoch || '.' || (SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)) AS "epoch!",
                    heads.seq, heads.rev, slow_ms, accounts, closed_at IS NOT NULL AS "is_closed!", closed_by_operator,
                    pinned_seq, pinned_until, (SELECT min(seq) FROM roomcast.messages WHERE room = $1) AS "oldest?",
                    change.rev AS "change_rev?", change.seq AS "change_seq?", change.at AS "change_at?", change.body AS "change_body?"
                FROM roomcast.rooms JOIN roomcast.heads ON heads.room = rooms.room
                LEFT JOIN LATERAL (
                    SELECT rev, seq, at, body FROM roomcast.changes WHERE room = $1 AND rev > $2 ORDER BY rev LIMIT $3
                ) AS change ON true
                WHERE rooms.room = $1 AND deleted_at IS NULL ORDER BY change.rev"#,
                room,
                wanted,
                most
            )
            .fetch_all(db)
            .await
        });
        let (mut changes, mut first) = (Vec::new(), None);
        for row in rows.await? {
            if let (Some(rev), Some(seq), Some(at), Some(body)) = (row.change_rev, row.change_seq, row.change_at, row.change_body)
            {
                changes.push(StoredChange { rev: Rev(from_sql(rev)?), seq: Seq(from_sql(seq)?), at: from_sql(at)?, body });
            }
            let record = RawRecord {
                room: row.room,
                title: row.title,
                host: row.host,
                epoch: row.epoch,
                seq: row.seq,
                rev: row.rev,
                slow_ms: row.slow_ms,
                accounts: row.accounts,
                is_closed: row.is_closed,
                closed_by_operator: row.closed_by_operator,
                pinned_seq: row.pinned_seq,
                pinned_until: row.pinned_until,
            };
            first = first.or(Some((record, row.oldest)));
        }
        let Some((record, oldest)) = first else { return Ok(None) };
        let record = record.into_record()?;
        let oldest = oldest.map(from_sql).transpose()?.map_or(record.newest.next(), Seq);
        // They are numbered without holes.
        let has_all_changes = after.is_none_or(|after| after.0.checked_add(changes.len() as u64) == Some(record.rev.0));
        Ok(Some(RoomNow { record, oldest, changes, has_all_changes }))
    }

    pub(crate) async fn heads(&self, rooms: Vec<RoomId>) -> Result<Vec<RoomHead>> {
        let rooms: Vec<&str> = rooms.iter().map(RoomId::as_str).collect();
        let rows = self.readers.read(async |db| {
            sqlx::query!(
                r#"SELECT rooms.room, epoch || '.' || (SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)) AS "epoch!",
                    heads.seq, heads.rev
                FROM roomcast.rooms JOIN roomcast.heads ON heads.room = rooms.room
                WHERE rooms.room = ANY ($1) AND deleted_at IS NULL"#,
                &rooms as &[&str]
            )
            .fetch_all(db)
            .await
        });
        let head = |room: &str, epoch: &str, seq, rev| -> Result<RoomHead> {
            let (room, epoch) = (parse(room, "room")?, parse(epoch, "epoch")?);
            Ok(RoomHead { room, epoch, seq: Seq(from_sql(seq)?), rev: Rev(from_sql(rev)?) })
        };
        rows.await?.into_iter().map(|row| head(&row.room, &row.epoch, row.seq, row.rev)).collect()
    }

    pub(crate) async fn messages_at(&self, room: &RoomId, seqs: &[Seq]) -> Result<Vec<Message>> {
        let (room, seqs) = (room.as_str(), seqs.iter().map(|seq| to_sql(seq.0)).collect::<Vec<_>>());
        let rows = self.readers.read(async |db| {
            sqlx::query_as!(
                RawShown,
                "SELECT * FROM roomcast.shown_messages WHERE room = $1 AND seq = ANY ($2) ORDER BY seq",
                room,
                &seqs
            )
            .fetch_all(db)
            .await
        });
        messages(rows.await?)
    }

    pub(crate) async fn restraints_of(&self, room: &RoomId, uid: &Uid, now: u64) -> Result<Vec<RestraintRow>> {
        let (room, uid, now) = (room.as_str(), uid.as_str(), to_sql(now));
        let rows = self.readers.read(async |db| {
            sqlx::query_as!(
                RawRestraint,
                "SELECT id, room, uid, kind, since, until, reason, by_uid, lifted_at FROM roomcast.restraints
                WHERE uid = $1 AND room IN ($2, '*') AND lifted_at IS NULL AND (until IS NULL OR until > $3)
                ORDER BY kind, until DESC NULLS FIRST, id",
                uid,
                room,
                now
            )
            .fetch_all(db)
            .await
        });
        rows.await?.into_iter().map(RawRestraint::into_restraint).collect()
    }

    pub(crate) async fn restraint(&self, case: Uuid) -> Result<Option<RestraintRow>> {
        let row = self.readers.read(async |db| {
            sqlx::query_as!(
                RawRestraint,
                "SELECT id, room, uid, kind, since, until, reason, by_uid, lifted_at
                FROM roomcast.restraints WHERE id = $1",
                case
            )
            .fetch_optional(db)
            .await
        });
        row.await?.map(RawRestraint::into_restraint).transpose()
    }

    pub(crate) async fn restraints_in(&self, room: Option<&RoomId>, now: u64, limit: u32) -> Result<Vec<(RestraintRow, String)>> {
        let (room, now, limit) = (room.map_or(SITE, RoomId::as_str), to_sql(now), i64::from(limit));
        let rows = self.readers.read(async |db| {
            sqlx::query!(
                r#"SELECT id, room, uid, kind, since, until, reason, by_uid, lifted_at,
                    (SELECT nickname FROM roomcast.people WHERE people.uid = restraints.uid) AS "nickname?"
                FROM roomcast.restraints
                WHERE room = $1 AND lifted_at IS NULL AND (until IS NULL OR until > $2) ORDER BY since DESC, id DESC LIMIT $3"#,
                room,
                now,
                limit
            )
            .fetch_all(db)
            .await
        });
        let restraint = |id, room, uid, kind, since, until, reason, by_uid, lifted_at| {
            RawRestraint { id, room, uid, kind, since, until, reason, by_uid, lifted_at }.into_restraint()
        };
        let rows = rows.await?.into_iter().map(|row| {
            let (since, until, lifted_at) = (row.since, row.until, row.lifted_at);
            let restraint = restraint(row.id, row.room, row.uid, row.kind, since, until, row.reason, row.by_uid, lifted_at)?;
            Ok((restraint, row.nickname.unwrap_or_default()))
        });
        rows.collect()
    }

    pub(crate) async fn granted(&self, room: &RoomId) -> Result<Vec<Granted>> {
        let room = room.as_str();
        let rows = self.readers.read(async |db| {
            sqlx::query!(
                r#"SELECT roles.uid, nickname, role FROM roomcast.roles JOIN roomcast.people ON people.uid = roles.uid
                WHERE room = $1 ORDER BY role, nickname COLLATE "C", roles.uid LIMIT $2"#,
                room,
                MOST_ROLES
            )
            .fetch_all(db)
            .await
        });
        let granted = |row: (String, String, String)| {
            Ok(Granted { uid: parse(&row.0, "uid")?, nickname: row.1, role: granted_role(&row.2)? })
        };
        rows.await?.into_iter().map(|row| granted((row.uid, row.nickname, row.role))).collect()
    }

    pub(crate) async fn notes_of(&self, room: &RoomId, uid: &Uid, limit: u32) -> Result<Vec<NoteRow>> {
        let (room, uid, limit) = (room.as_str(), uid.as_str(), i64::from(limit));
        let rows = self.readers.read(async |db| {
            sqlx::query_as!(
                RawNote,
                "SELECT id, room, uid, by_uid, at, text, until
                FROM roomcast.notes WHERE room = $1 AND uid = $2 ORDER BY at DESC, id DESC LIMIT $3",
                room,
                uid,
                limit
            )
            .fetch_all(db)
            .await
        });
        rows.await?.into_iter().map(RawNote::into_note).collect()
    }

    pub(crate) async fn open_reports(&self, room: &RoomId, limit: u32) -> Result<Vec<ReportRow>> {
        let (room, limit) = (room.as_str(), i64::from(limit));
        let rows = self.readers.read(async |db| {
            sqlx::query_as!(
                RawReport,
                "SELECT room, seq, by_uid, uid, reason, at FROM roomcast.reports
                WHERE room = $1 AND settled_at IS NULL ORDER BY at, seq, by_uid LIMIT $2",
                room,
                limit
            )
            .fetch_all(db)
            .await
        });
        rows.await?.into_iter().map(RawReport::into_report).collect()
    }

    pub(crate) async fn action(&self, id: Uuid) -> Result<Option<ActionRow>> {
        let row = self.readers.read(async |db| {
            sqlx::query_as!(
                RawAction,
                "SELECT chain, n, id, at, actor, verb, target, nonce, body, hash
                FROM roomcast.actions WHERE id = $1",
                id
            )
            .fetch_optional(db)
            .await
        });
        row.await?.map(RawAction::into_action).transpose()
    }

    pub(crate) async fn newest_actions(&self, chain: &str, before: Option<u64>, limit: u32) -> Result<Vec<ActionRow>> {
        let (before, limit) = (before.map_or(i64::MAX, to_sql), i64::from(limit));
        let rows = self.readers.read(async |db| {
            sqlx::query_as!(
                RawAction,
                "SELECT chain, n, id, at, actor, verb, target, nonce, body, hash
                FROM roomcast.actions WHERE chain = $1 AND n < $2 ORDER BY n DESC LIMIT $3",
                chain,
                before,
                limit
            )
            .fetch_all(db)
            .await
        });
        rows.await?.into_iter().map(RawAction::into_action).collect()
    }

    pub(crate) async fn actions_after(&self, chain: &str, after: u64, limit: u32) -> Result<Vec<ActionRow>> {
        let (after, limit) = (to_sql(after), i64::from(limit));
        let rows = self.readers.read(async |db| {
            sqlx::query_as!(
                RawAction,
                "SELECT chain, n, id, at, actor, verb, target, nonce, body, hash
                FROM roomcast.actions WHERE chain = $1 AND n > $2 ORDER BY n LIMIT $3",
                chain,
                after,
                limit
            )
            .fetch_all(db)
            .await
        });
        rows.await?.into_iter().map(RawAction::into_action).collect()
    }

    pub(crate) async fn chain_heads(&self) -> Result<Vec<ChainHead>> {
        let zeros = [0; 32];
        let rows = self.readers.read(async |db| {
            sqlx::query_as!(
                RawHead,
                r#"SELECT chain AS "chain!", n AS "n!", hash AS "hash!" FROM (
                    SELECT chain, n, hash FROM roomcast.chains
                    UNION ALL
                    SELECT DISTINCT chain, 0, $1::bytea FROM roomcast.actions AS a
                    WHERE NOT EXISTS (SELECT 1 FROM roomcast.chains AS c WHERE c.chain = a.chain)
                ) AS heads ORDER BY chain"#,
                &zeros
            )
            .fetch_all(db)
            .await
        });
        rows.await?.into_iter().map(RawHead::into_head).collect()
    }

    pub(crate) async fn action_texts(&self, actions: &[Uuid]) -> Result<Vec<(Uuid, String, String, Vec<u8>)>> {
        let rows = self.readers.read(async |db| {
            sqlx::query!(
                "SELECT action, kind, text, salt FROM roomcast.action_texts WHERE action = ANY ($1) ORDER BY action, kind",
                actions
            )
            .fetch_all(db)
            .await
        });
        Ok(rows.await?.into_iter().map(|row| (row.action, row.kind, row.text, row.salt)).collect())
    }

    pub(crate) async fn open_purges(&self) -> Result<Vec<PurgeRow>> {
        let rows = self.readers.read(async |db| {
            sqlx::query_as!(
                RawPurge,
                "SELECT action, room, uid, from_seq, upto_seq, rev, why, state, next_seq, until
                FROM roomcast.purges WHERE state <> 'done' ORDER BY room, rev"
            )
            .fetch_all(db)
            .await
        });
        rows.await?.into_iter().map(RawPurge::into_purge).collect()
    }

    pub(crate) async fn note_network(&self, room: &RoomId, uid: &Uid, hash: NetworkHash, now: u64) -> Result<()> {
        let (room, uid, now) = (room.as_str(), uid.as_str(), to_sql(now));
        let noted = self.writers.write(async |db| {
            sqlx::query!(
                "INSERT INTO roomcast.networks (room, uid, hash, at) VALUES ($1, $2, $3, $4)
                ON CONFLICT (room, uid, hash) DO UPDATE SET at = greatest(networks.at, $4)",
                room,
                uid,
                hash.as_slice(),
                now
            )
            .execute(db)
            .await
        });
        noted.await.map(|_| ())
    }
}
