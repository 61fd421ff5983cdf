//! The reads that export a person's data. Each returns a page, so that an export needs little memory.

use super::moderation::ActionRow;
use super::store::on_store;
use super::{Result, Store};
use crate::domain::id::Uid;
use uuid::Uuid;

/// The tables with rows of a person, apart from messages and acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PersonalTable {
    /// The person: uid, nickname, account, owner, first visit.
    Person,
    /// Login sessions: kind of browser and times, without hashes.
    Sessions,
    /// Devices that signed in: the time of the last use.
    Devices,
    /// Roles in rooms.
    Roles,
    /// Restraints, ended ones included.
    Restraints,
    /// Notes of the staff about the person.
    Notes,
    /// Reports that the person made.
    Reports,
    /// Networks of a guest, as keyed hashes.
    Networks,
}

impl PersonalTable {
    /// Every table, in the order of an export.
    pub const ALL: [Self; 8] =
        [Self::Person, Self::Sessions, Self::Devices, Self::Roles, Self::Restraints, Self::Notes, Self::Reports, Self::Networks];
}

impl Store {
    /// Returns rows of a person in a table as JSON objects, after the first `skip` of them. They never hold a password, a token or
    /// a hash of one.
    pub async fn personal_rows(&self, uid: &Uid, table: PersonalTable, skip: u32, limit: u32) -> Result<Vec<String>> {
        on_store!(self.personal_rows(uid, table, skip, limit).await)
    }

    /// Returns the acts on and by a person in all chains, in the order of their ids, after the act `after`.
    pub async fn actions_with(&self, uid: &Uid, after: Option<Uuid>, limit: u32) -> Result<Vec<ActionRow>> {
        on_store!(self.actions_with(uid, after, limit).await)
    }
}
