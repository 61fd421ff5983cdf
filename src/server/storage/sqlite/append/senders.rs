//! The records of the senders of a batch and of their rooms, read in the batch's transaction: numbering and modes of the
//! rooms, ranks, restraints, and the messages that are answered.

use super::super::raw::{SITE, granted_role, parse, restraint_kind, uuid};
use super::super::{corrupt, from_sql, to_sql};
use crate::domain::{
    change::{Restraint, RestraintKind},
    id::{RoomId, Seq, Uid},
    rank::Rank,
};
use crate::server::storage::moderation::{GrantedRole, NetworkHash};
use crate::server::storage::{NewMessage, Result};
use serde::Serialize;
use sqlx::SqliteConnection;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

/// The numbering and the modes of a room.
pub(super) struct Head {
    pub(super) newest: Seq,
    pub(super) is_closed: bool,
    /// Whether only accounts send.
    pub(super) accounts: bool,
    /// Slow mode in milliseconds; 0 is off.
    pub(super) slow_ms: u64,
    host: Option<Uid>,
}

/// A person in a room.
#[derive(Default)]
pub(super) struct Sender {
    is_owner: bool,
    role: Option<GrantedRole>,
    /// The first restraint that is in force.
    restraint: Option<Restraint>,
}

/// The rooms and the senders of a batch. A room that does not exist, or is being deleted, is missing.
pub(super) struct Senders {
    pub(super) heads: HashMap<RoomId, Head>,
    senders: HashMap<(RoomId, Uid), Sender>,
    /// Restraints of networks, by room and hash.
    networks: HashMap<(RoomId, NetworkHash), Restraint>,
    /// Nicknames of the answered messages that are kept.
    answered: HashMap<(RoomId, Seq), String>,
}

impl Senders {
    /// One statement for all senders and their rooms; one more each for networks and for answers, if the batch has some.
    pub(super) async fn read(connection: &mut SqliteConnection, batch: &[NewMessage], now: u64) -> Result<Self> {
        let mut read =
            Self { heads: HashMap::new(), senders: HashMap::new(), networks: HashMap::new(), answered: HashMap::new() };
        read.read_people(connection, batch, now).await?;
        read.read_networks(connection, batch, now).await?;
        read.read_answered(connection, batch).await?;
        Ok(read)
    }

    async fn read_people(&mut self, connection: &mut SqliteConnection, batch: &[NewMessage], now: u64) -> Result<()> {
        let wanted: BTreeSet<_> = batch.iter().map(|new| (new.room.as_str(), new.user.as_str())).collect();
        let (wanted, now) = (serde_json::to_string(&wanted).map_err(corrupt)?, to_sql(now));
        let rows = sqlx::query!(
            r#"SELECT rooms.room AS "room!", rooms.newest_seq AS "newest_seq!: i64", rooms.closed_at IS NOT NULL AS "is_closed!: bool",
                rooms.accounts AS "accounts!: bool", rooms.slow_ms AS "slow_ms!: i64", rooms.host,
                wanted.value ->> 1 AS "uid!: String", people.is_owner AS "is_owner?: bool", roles.role AS "role?: String",
                r.id AS "case?: String", r.kind AS "kind?: String", r.until AS "until?: i64", r.reason AS "reason?: String"
            FROM json_each(?1) AS wanted CROSS JOIN rooms ON rooms.room = wanted.value ->> 0 AND rooms.deleted_at IS NULL
            LEFT JOIN people ON people.uid = wanted.value ->> 1
            LEFT JOIN roles ON roles.room = rooms.room AND roles.uid = wanted.value ->> 1
            LEFT JOIN restraints AS r ON r.uid = wanted.value ->> 1 AND r.room IN (rooms.room, ?2)
                AND r.lifted_at IS NULL AND (r.until IS NULL OR r.until > ?3)"#,
            wanted,
            SITE,
            now
        );
        for row in rows.fetch_all(connection).await? {
            let (room, uid): (RoomId, Uid) = (parse(&row.room, "room")?, parse(&row.uid, "uid")?);
            if !self.heads.contains_key(&room) {
                let host = row.host.map(|uid| parse(&uid, "host")).transpose()?;
                let (newest, slow_ms) = (Seq(from_sql(row.newest_seq)?), from_sql(row.slow_ms)?);
                let head = Head { newest, is_closed: row.is_closed, accounts: row.accounts, slow_ms, host };
                self.heads.insert(room.clone(), head);
            }
            let sender = self.senders.entry((room, uid)).or_default();
            sender.is_owner = row.is_owner.unwrap_or_default();
            sender.role = row.role.map(|role| granted_role(&role)).transpose()?;
            if let (Some(case), Some(kind)) = (row.case, row.kind) {
                let restraint = restraint(&case, &kind, row.until, row.reason.unwrap_or_default())?;
                sender.restraint = first(sender.restraint.take(), Some(restraint));
            }
        }
        Ok(())
    }

    /// A restraint of a network tells nobody the reason: it was given to another person.
    async fn read_networks(&mut self, connection: &mut SqliteConnection, batch: &[NewMessage], now: u64) -> Result<()> {
        #[derive(Serialize)]
        struct Wanted<'a>(&'a str, String);
        let wanted = batch.iter().flat_map(|new| new.networks.iter().map(|hash| Wanted(new.room.as_str(), hex(hash))));
        let wanted: Vec<_> = wanted.collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let (wanted, now) = (serde_json::to_string(&wanted).map_err(corrupt)?, to_sql(now));
        let rows = sqlx::query!(
            r#"SELECT n.room AS "room!", n.hash AS "hash!: Vec<u8>", r.id AS "case!", r.kind AS "kind!",
                min(n.until, coalesce(r.until, n.until)) AS "until!: i64"
            FROM json_each(?1) AS wanted CROSS JOIN network_restraints AS n ON n.room = wanted.value ->> 0
                AND n.hash = unhex(wanted.value ->> 1) AND n.until > ?2
            CROSS JOIN restraints AS r ON r.id = n.restraint AND r.lifted_at IS NULL AND (r.until IS NULL OR r.until > ?2)"#,
            wanted,
            now
        );
        for row in rows.fetch_all(connection).await? {
            let key = (parse(&row.room, "room")?, row.hash.try_into().map_err(|_| corrupt("hash"))?);
            let restraint = restraint(&row.case, &row.kind, Some(row.until), String::new())?;
            let before = self.networks.remove(&key);
            self.networks.extend(first(before, Some(restraint)).map(|restraint| (key, restraint)));
        }
        Ok(())
    }

    async fn read_answered(&mut self, connection: &mut SqliteConnection, batch: &[NewMessage]) -> Result<()> {
        let wanted: BTreeSet<_> = batch.iter().filter_map(|new| Some((new.room.as_str(), to_sql(new.re?.0)))).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let wanted = serde_json::to_string(&wanted).map_err(corrupt)?;
        let rows = sqlx::query!(
            r#"SELECT m.room AS "room!", m.seq AS "seq!: i64", m.nickname AS "nickname!: String"
            FROM json_each(?) AS wanted CROSS JOIN shown_messages AS m
            WHERE m.room = wanted.value ->> 0 AND m.seq = wanted.value ->> 1"#,
            wanted
        );
        for row in rows.fetch_all(connection).await? {
            self.answered.insert((parse(&row.room, "room")?, Seq(from_sql(row.seq)?)), row.nickname);
        }
        Ok(())
    }

    /// Returns the rank of a sender: as [`Standing::rank`](crate::server::storage::moderation::Standing::rank) says. A key of the API
    /// sends with the rank of a viewer: the slow mode holds for it.
    pub(super) fn rank(&self, new: &NewMessage) -> Rank {
        let is_host = self.heads.get(&new.room).is_some_and(|head| head.host.as_ref() == Some(&new.user));
        let sender = self.senders.get(&(new.room.clone(), new.user.clone()));
        let role = sender.and_then(|sender| sender.role).filter(|_| new.has_account);
        match role {
            _ if is_host => Rank::Host,
            _ if sender.is_some_and(|sender| sender.is_owner) => Rank::Owner,
            Some(GrantedRole::Moderator) => Rank::Moderator,
            Some(GrantedRole::Vip) => Rank::Vip,
            None if new.has_account => Rank::Viewer,
            None => Rank::Guest,
        }
    }

    /// Returns the first restraint of a sender that is in force: a ban before a timeout before a warning, the longest first.
    pub(super) fn restraint(&self, new: &NewMessage) -> Option<Restraint> {
        let own = self.senders.get(&(new.room.clone(), new.user.clone())).and_then(|sender| sender.restraint.clone());
        let of_networks = new.networks.iter().map(|hash| self.networks.get(&(new.room.clone(), *hash)).cloned());
        of_networks.fold(own, first)
    }

    /// Returns the nickname of a message that is kept; empty for a removed one.
    pub(super) fn answered(&self, room: &RoomId, re: Seq) -> Option<&str> {
        self.answered.get(&(room.clone(), re)).map(String::as_str)
    }
}

fn restraint(case: &str, kind: &str, until: Option<i64>, reason: String) -> Result<Restraint> {
    Ok(Restraint { kind: restraint_kind(kind)?, until: until.map(from_sql).transpose()?, reason, case: uuid(case)? })
}

/// Returns the restraint that is told first; of equal ones, `one`.
fn first(one: Option<Restraint>, other: Option<Restraint>) -> Option<Restraint> {
    let order = |restraint: &Restraint| -> (RestraintKind, Reverse<u64>) {
        (restraint.kind, Reverse(restraint.until.unwrap_or(u64::MAX)))
    };
    match (one, other) {
        (Some(one), Some(other)) => Some(if order(&other) < order(&one) { other } else { one }),
        (one, other) => one.or(other),
    }
}

fn hex(hash: &NetworkHash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
