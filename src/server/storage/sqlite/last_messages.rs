//! The last message of each person per room, in the memory of the writer task, so that a batch costs no statement for its
//! cooldowns. A room's messages are read when a batch first names the room, and again if its cooldown becomes longer than the
//! time that was read.

use super::{from_sql, to_sql};
use crate::domain::id::{RoomId, Seq, Uid};
use crate::server::storage::{Cooldowns, Reservation, Result};
use sqlx::SqliteConnection;
use std::collections::HashMap;

/// Messages that are read of a room, at most.
const RECENT_MESSAGES: u64 = 1000;
/// A slow mode looks back further than the cooldown, so more messages are read in such a room.
const SLOW_MODE_FACTOR: u64 = 20;
/// Rooms whose messages were read, at most; beyond it all are forgotten and read again when they are named.
const MAX_ROOMS: usize = 100_000;

/// The cooldowns of all rooms, which a transaction changes and may roll back.
#[derive(Default)]
pub(super) struct LastMessages {
    cooldowns: Cooldowns,
    /// How far back the messages of each room were read, in milliseconds.
    read: HashMap<RoomId, u64>,
    /// Cooldowns that were started since the last commit.
    started: Vec<Reservation>,
}

/// A point of a transaction to which it can be rolled back.
#[derive(Clone, Copy, Default)]
pub(super) struct Savepoint(usize);

impl LastMessages {
    /// Begins a batch at `now` (unix ms). After a sweep the rooms are read again: a short cooldown's message was forgotten, and a slow
    /// mode may concern it.
    pub(super) fn begin(&mut self, now: u64) {
        if self.cooldowns.sweep(now) {
            self.read.clear();
        }
    }

    /// Reads the messages that a cooldown of up to `longest_ms` concerns at `now` (unix ms), unless they are known. `newest` is the
    /// newest seq of the room; `is_slow`, if it has a slow mode that is longer than the site's cooldown.
    pub(super) async fn read(
        &mut self,
        connection: &mut SqliteConnection,
        room: &RoomId,
        (newest, is_slow): (Seq, bool),
        longest_ms: u64,
        now: u64,
    ) -> Result<()> {
        if self.read.get(room).copied().unwrap_or_default() >= longest_ms {
            return Ok(());
        }
        let most = if is_slow { RECENT_MESSAGES * SLOW_MODE_FACTOR } else { RECENT_MESSAGES };
        let (id, above, since) = (room.as_str(), to_sql(newest.0.saturating_sub(most)), to_sql(now.saturating_sub(longest_ms)));
        let rows = sqlx::query!(
            r#"SELECT uid AS "uid!", at AS "at!: i64" FROM messages WHERE room = ? AND seq > ? AND at >= ? ORDER BY seq DESC"#,
            id,
            above,
            since
        )
        .fetch_all(&mut *connection)
        .await?;
        for row in rows {
            // A stored value that is not valid concerns no sender of this batch.
            if let (Ok(uid), Ok(at)) = (row.uid.parse::<Uid>(), from_sql(row.at)) {
                self.cooldowns.restore(room.clone(), uid, at);
            }
        }
        if self.read.len() >= MAX_ROOMS {
            self.read.clear();
        }
        self.read.insert(room.clone(), longest_ms);
        Ok(())
    }

    /// Starts a cooldown in the transaction. Fails with the milliseconds that are left of the last one.
    pub(super) fn try_acquire(&mut self, room: &RoomId, uid: &Uid, cooldown_ms: u64, now: u64) -> std::result::Result<(), u64> {
        self.started.push(self.cooldowns.try_acquire(room, uid, cooldown_ms, now)?);
        Ok(())
    }

    pub(super) fn savepoint(&self) -> Savepoint {
        Savepoint(self.started.len())
    }

    /// Undoes the cooldowns that were started since `savepoint`, or all of the transaction.
    pub(super) fn rollback(&mut self, savepoint: Savepoint) {
        // The newest first: each restores the message before it.
        for reservation in self.started.drain(savepoint.0..).rev() {
            self.cooldowns.rollback(reservation);
        }
    }

    /// Keeps the cooldowns of a transaction that was committed.
    pub(super) fn commit(&mut self) {
        self.started.clear();
    }
}
