//! The storage contract. The comment of a method holds for every store; the variants implement it.

use super::error::corrupt;
use super::postgres::PostgresStore;
use super::sqlite::SqliteStore;
use super::{
    ApiKeyRow, Appended, NewMessage, NewPassword, NewPerson, NewSessionRow, PersonRow, Result, RoomRow, RoomSettings, SeqRange,
    SessionRow,
};
use crate::domain::id::{Nonce, RoomId, Seq, Uid};
use crate::domain::message::Message;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// An open store. Cheap to clone; all clones are one store.
///
/// An enum and not a trait: no dynamic dispatch and no boxed futures, and callers see one type.
#[derive(Clone)]
pub enum Store {
    /// The embedded database in the data folder.
    Sqlite(SqliteStore),
    /// A PostgreSQL database.
    Postgres(PostgresStore),
}

/// Calls the same method on whichever store this is.
macro_rules! on_store {
    ($this:ident.$($call:tt)+) => {
        match $this {
            Store::Sqlite(store) => store.$($call)+,
            Store::Postgres(store) => store.$($call)+,
        }
    };
}

pub(in crate::server::storage) use on_store;

impl Store {
    /// Returns the value stored under `name` about the installation as a whole.
    pub async fn fact(&self, name: &str) -> Result<Option<Vec<u8>>> {
        on_store!(self.fact(name).await)
    }

    /// Stores a value under `name`, in place of an earlier one.
    pub async fn set_fact(&self, name: &str, value: &[u8]) -> Result<()> {
        on_store!(self.set_fact(name, value).await)
    }

    /// Returns the value under `name`, and stores `value` first if there is none.
    pub async fn fact_or_set(&self, name: &str, value: &[u8]) -> Result<Vec<u8>> {
        on_store!(self.fact_or_set(name, value).await)
    }

    // Messages

    /// Returns the number of batches that it appends at the same time. The messages of a room must not be in two of them.
    pub fn lanes(&self) -> usize {
        on_store!(self.lanes())
    }

    /// Appends a batch in one transaction: when this returns, either every message of the batch is durable or none is.
    /// Numbers each room's messages without holes and answers in the order of the batch.
    ///
    /// Each message is judged in that transaction, with room and sender as they are then, in this order: a repeated nonce is
    /// answered with the first message, whatever else holds; a room that does not exist gets none; a restraint of the sender; a
    /// closed room; a room for accounts only, to which guests do not send; the cooldown. So none is stored after the room was
    /// closed, or after the sender was banned. The role is that of the sender's rank. Two messages of a person in a room are
    /// `cooldown_ms` apart, or the room's slow mode if that is longer and the person's rank is below a guest of honour's; so the
    /// second one within a batch is too fast.
    ///
    /// Fails with [`Uncertain`](super::StorageError::Uncertain) if the batch may be stored: the same ids and nonces may be
    /// appended again.
    pub async fn append(&self, batch: Vec<NewMessage>, cooldown_ms: u64) -> Result<Vec<Appended>> {
        on_store!(self.append(batch, cooldown_ms).await)
    }

    /// Returns the message that `user` stored in `room` under `nonce`.
    pub async fn sent_before(&self, user: &Uid, nonce: &Nonce, room: &RoomId) -> Result<Option<(Uuid, Seq)>> {
        on_store!(self.sent_before(user, nonce, room).await)
    }

    /// Returns the oldest and the newest seq of the room; those of a new room if there is none with this id.
    pub async fn seq_range(&self, room: &RoomId) -> Result<SeqRange> {
        on_store!(self.seq_range(room).await)
    }

    /// Returns the last `limit` messages with a seq above `after` and below `before`, newest last.
    pub async fn messages_between(&self, room: &RoomId, after: Seq, before: Option<Seq>, limit: u32) -> Result<Vec<Message>> {
        on_store!(self.messages_between(room, after, before, limit).await)
    }

    // Rooms

    /// Returns the room, or `None` if there is none with this id.
    pub async fn room(&self, room: &RoomId) -> Result<Option<RoomRow>> {
        on_store!(self.room(room).await)
    }

    /// Returns the newest `limit` rooms, newest first.
    pub async fn rooms(&self, limit: u32) -> Result<Vec<RoomRow>> {
        on_store!(self.rooms(limit).await)
    }

    /// Returns up to `limit` rooms that are not closed and not among `rooms`, newest first, after the first `skip` of them.
    pub async fn open_rooms_without(&self, rooms: Vec<RoomId>, limit: u32, skip: u32) -> Result<Vec<RoomRow>> {
        on_store!(self.open_rooms_without(rooms, limit, skip).await)
    }

    /// Returns the first `limit` of those rooms that exist and are not closed, in the given order.
    pub async fn rooms_by_id(&self, rooms: Vec<RoomId>, limit: u32) -> Result<Vec<RoomRow>> {
        on_store!(self.rooms_by_id(rooms, limit).await)
    }

    /// Returns the settings that a commit needs, of those rooms that exist. A store may have kept them for up to 250 ms.
    pub async fn room_settings(&self, rooms: HashSet<RoomId>) -> Result<HashMap<RoomId, RoomSettings>> {
        on_store!(self.room_settings(rooms).await)
    }

    /// Reads the settings again. `None`: the store keeps none, so [`Store::room_settings`] read them.
    pub async fn read_kept_settings(&self, rooms: HashSet<RoomId>) -> Result<Option<HashMap<RoomId, RoomSettings>>> {
        on_store!(self.read_kept_settings(rooms).await)
    }

    /// Forgets the settings of rooms that the store keeps for a moment: another process changed some.
    pub fn forget_room_settings(&self) {
        on_store!(self.forget_room_settings());
    }

    /// Returns whether a room ever got its id by number.
    pub async fn has_numbered_rooms(&self) -> Result<bool> {
        on_store!(self.has_numbered_rooms().await)
    }

    /// Adds a room under the next number and returns its id. Numbers are given once, also after the room is deleted.
    pub async fn open_room(&self, title: &str, host: Option<&Uid>, now: u64) -> Result<RoomId> {
        on_store!(self.open_room(title, host, None, now).await)?.ok_or_else(|| corrupt("room"))
    }

    /// The same for a host. Returns `None`, and adds nothing, if the host has `most` rooms.
    pub async fn open_hosted_room(&self, title: &str, host: &Uid, most: u32, now: u64) -> Result<Option<RoomId>> {
        on_store!(self.open_room(title, Some(host), Some(most), now).await)
    }

    /// Adds a room under an id that the operator chose. Returns false if the id is in use.
    pub async fn add_room(&self, room: &RoomId, title: &str, host: Option<&Uid>, now: u64) -> Result<bool> {
        on_store!(self.add_room(room, title, host, now).await)
    }

    /// Deletes the room: from now on it is not found and takes no messages. [`Store::sweep_deleted_rooms`] removes those that it
    /// has; an operator may use the id again after that. Returns false if there is no such room.
    pub async fn delete_room(&self, room: &RoomId, now: u64) -> Result<bool> {
        on_store!(self.delete_room(room, now).await)
    }

    // People

    /// Returns the account of this name, compared without regard to case, width, composition and blanks around it.
    pub async fn person_by_account(&self, account: &str) -> Result<Option<PersonRow>> {
        on_store!(self.person_by_account(account).await)
    }

    /// Returns all accounts, oldest first.
    pub async fn accounts(&self) -> Result<Vec<PersonRow>> {
        on_store!(self.accounts().await)
    }

    /// Returns uid and nickname of every person who hosts a room.
    pub async fn host_nicknames(&self) -> Result<Vec<(Uid, String)>> {
        on_store!(self.host_nicknames().await)
    }

    /// Adds a guest with the session `new`, in one step that shares its transaction with other writes.
    pub async fn put_guest(&self, nickname: &str, new: NewSessionRow<'_>) -> Result<()> {
        on_store!(self.put_guest(nickname, new).await)
    }

    /// Adds a guest, or sets the nickname of a person that is already stored.
    pub async fn put_nickname(&self, uid: &Uid, nickname: &str, now: u64) -> Result<()> {
        on_store!(self.put_nickname(uid, nickname, now).await)
    }

    /// Adds an account, or turns a guest into one. Fails with [`NameTaken`](super::StorageError::NameTaken) if the account
    /// name is in use, or if the uid is an account already.
    pub async fn put_account(&self, new: NewPerson<'_>) -> Result<()> {
        on_store!(self.put_account(new).await)
    }

    /// Replaces the password hash and removes the account's devices, in one transaction.
    pub async fn set_password(&self, uid: &Uid, password: &str) -> Result<()> {
        on_store!(self.set_password(uid, password).await)
    }

    /// Replaces the password hash, removes the other devices and ends the other sessions, in one transaction. Returns the
    /// hashes of the ended sessions; `None`, and changes nothing, if another password was set meanwhile.
    pub async fn change_password(&self, new: NewPassword<'_>) -> Result<Option<Vec<[u8; 32]>>> {
        on_store!(self.change_password(new).await)
    }

    /// Makes `uid` the owner, and the host of every room without one, if `token_hash` is the hash of the current owner link;
    /// the link is then void. Returns false if the link was used or replaced.
    pub async fn claim_ownership(&self, uid: &Uid, token_hash: &[u8]) -> Result<bool> {
        on_store!(self.claim_ownership(uid, token_hash).await)
    }

    /// Returns whether `uid` is the owner.
    pub async fn is_owner(&self, uid: &Uid) -> Result<bool> {
        on_store!(self.is_owner(uid).await)
    }

    /// Returns whether the installation has an owner.
    pub async fn has_owner(&self) -> Result<bool> {
        on_store!(self.has_owner().await)
    }

    // Login sessions, by the SHA-256 of their token

    /// Adds a session. Fails if the person does not exist.
    pub async fn put_session(&self, new: NewSessionRow<'_>) -> Result<()> {
        on_store!(self.put_session(new).await)
    }

    /// Returns the session, also an expired one.
    pub async fn session(&self, token_hash: &[u8]) -> Result<Option<SessionRow>> {
        on_store!(self.session(token_hash).await)
    }

    /// Returns the newest `limit` sessions of a person, newest first, also expired ones.
    pub async fn sessions_of(&self, uid: &Uid, limit: u32) -> Result<Vec<SessionRow>> {
        on_store!(self.sessions_of(uid, limit).await)
    }

    /// Moves the end of a session that is used at `now`.
    pub async fn extend_session(&self, token_hash: &[u8], now: u64, expires_at: u64) -> Result<()> {
        on_store!(self.extend_session(token_hash, now, expires_at).await)
    }

    /// Removes a session.
    pub async fn end_session(&self, token_hash: &[u8]) -> Result<()> {
        on_store!(self.end_session(token_hash).await)
    }

    /// Removes all sessions of a person except the one with the hash `except`, and returns the hashes of those removed.
    pub async fn end_sessions_of(&self, uid: &Uid, except: Option<&[u8]>) -> Result<Vec<[u8; 32]>> {
        on_store!(self.end_sessions_of(uid, except).await)
    }

    /// Removes the sessions of a person except the newest `keep`, and returns the hashes of those removed.
    pub async fn end_oldest_sessions(&self, uid: &Uid, keep: u32) -> Result<Vec<[u8; 32]>> {
        on_store!(self.end_oldest_sessions(uid, keep).await)
    }

    /// Removes at most `limit` of the sessions that ended before `now` and returns their number.
    pub async fn end_expired_sessions(&self, now: u64, limit: u32) -> Result<u64> {
        on_store!(self.end_expired_sessions(now, limit).await)
    }

    // Devices that signed in before, by the SHA-256 of their cookie

    /// Returns whether the device signed in to the account before.
    pub async fn is_device_of(&self, uid: &Uid, hash: &[u8]) -> Result<bool> {
        on_store!(self.is_device_of(uid, hash).await)
    }

    /// Adds a device of an account, or notes its use at `now`. The account keeps the `keep` devices used last. Returns false,
    /// and adds nothing, if the hash of the account's password is not `password`.
    pub async fn put_device(&self, uid: &Uid, hash: &[u8], password: &str, now: u64, keep: u32) -> Result<bool> {
        on_store!(self.put_device(uid, hash, password, now, keep).await)
    }

    // API keys, by the SHA-256 of their secret

    /// Adds a key. Fails with [`NameTaken`](super::StorageError::NameTaken) if there is a key of this name.
    pub async fn put_api_key(&self, row: &ApiKeyRow, hash: &[u8], now: u64) -> Result<()> {
        on_store!(self.put_api_key(row, hash, now).await)
    }

    /// Returns the key, also an expired one.
    pub async fn api_key(&self, hash: &[u8]) -> Result<Option<ApiKeyRow>> {
        on_store!(self.api_key(hash).await)
    }

    /// Returns all keys, by name.
    pub async fn api_keys(&self) -> Result<Vec<ApiKeyRow>> {
        on_store!(self.api_keys().await)
    }

    /// Removes a key. Returns false if there was none of this name.
    pub async fn remove_api_key(&self, name: &str) -> Result<bool> {
        on_store!(self.remove_api_key(name).await)
    }
}
