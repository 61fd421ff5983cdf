//! The contract of the store: one suite, which runs on SQLite and on PostgreSQL. `contract!` makes the tests `sqlite::name` and
//! `postgres::name` of each function. Facts of one store alone are in a file of their own.

mod cooldown;
mod faults;
mod messages;
mod moderation;
mod moderation_log;
mod moderation_model;
mod moderation_removal;
mod moderation_restraints;
mod moderation_sweeps;
mod moderation_undo;
mod people;
mod rooms;
mod sqlite_file;
mod sweeps;

use crate::support::{Place, eventually};
use roomcast::domain::id::{RoomId, Uid};
use roomcast::server::storage::moderation::ActQueries;
use roomcast::server::storage::{Appended, NewMessage, NewSessionRow, OpenError, SetModes, StorageError, Store};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Runs each function on an empty store of each kind.
macro_rules! contract {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&mut crate::storage::Opened::at(crate::support::Place::sqlite()).await).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                let Some(place) = crate::support::Place::postgres() else { return };
                super::$name(&mut crate::storage::Opened::at(place).await).await;
            })+
        }
    };
}

use contract;

/// An open store, and its place.
struct Opened {
    store: Store,
    place: Place,
}

impl Opened {
    async fn at(place: Place) -> Self {
        Self { store: Store::open(&place.settings()).await.unwrap(), place }
    }

    /// Closes the store and opens it again, as a restart does.
    async fn reopen(&mut self) {
        self.store.close().await;
        // The one before holds the data folder's lock until it is dropped.
        self.store = Store::open_unlocked(&self.place.settings()).await.unwrap();
        // A process that another test starts at this moment has the lock until it is another program.
        eventually("the data folder's lock is free", async || match Store::open(&self.place.settings()).await {
            Err(OpenError::InUse { .. }) => false,
            opened => {
                self.store = opened.unwrap();
                true
            }
        })
        .await;
    }
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn message(room: &str, user: &str, text: &str, nonce: Option<&str>) -> NewMessage {
    NewMessage {
        room: room.parse().unwrap(),
        id: Uuid::now_v7(),
        user: user.parse().unwrap(),
        nickname: user.into(),
        text: text.into(),
        at: now_ms(),
        nonce: nonce.map(|nonce| nonce.parse().unwrap()),
        has_account: false,
        re: None,
        mentions: vec![],
        networks: vec![],
        is_bot: false,
    }
}

/// Whether each message is new, and its seq.
fn seqs(appended: &[Appended]) -> Vec<(bool, u64)> {
    appended
        .iter()
        .map(|one| match one {
            Appended::Stored(message) => (true, message.seq.0),
            Appended::Repeated { seq, .. } => (false, seq.0),
            refused => panic!("{refused:?}"),
        })
        .collect()
}

/// Adds rooms without a host.
async fn add_rooms(store: &Store, rooms: &[&str]) {
    for room in rooms {
        assert!(store.add_room(&room.parse().unwrap(), room, None, 0).await.unwrap());
    }
}

/// Sets modes of a room as the operator.
async fn set_modes(store: &Store, room: &RoomId, modes: SetModes) {
    let mut act = store.begin_act(room, now_ms()).await.unwrap();
    act.set_modes(modes, true).await.unwrap();
    act.commit().await.unwrap();
}

pub async fn set_closed(store: &Store, room: &RoomId, closed: bool) {
    set_modes(store, room, SetModes { closed: Some(closed), slow_ms: None, accounts: None }).await;
}

pub async fn set_slow_mode(store: &Store, room: &RoomId, slow_ms: u64) {
    set_modes(store, room, SetModes { slow_ms: Some(slow_ms), closed: None, accounts: None }).await;
}

pub async fn set_title(store: &Store, room: &RoomId, title: &str) {
    let mut act = store.begin_act(room, now_ms()).await.unwrap();
    act.set_title(title).await.unwrap();
    act.commit().await.unwrap();
}

pub async fn set_host(store: &Store, room: &RoomId, host: &Uid) {
    let mut act = store.begin_act(room, now_ms()).await.unwrap();
    act.set_host(host).await.unwrap();
    act.commit().await.unwrap();
}

async fn put_session(store: &Store, token_hash: &[u8], uid: &str, expires_at: u64) -> Result<(), StorageError> {
    let uid = uid.parse().unwrap();
    store.put_session(NewSessionRow { token_hash, uid: &uid, label: "", created_at: 0, expires_at }).await
}

/// The SHA-256 that stands for the session of guest `n`.
fn token_of(n: u16) -> [u8; 32] {
    let mut token = [0; 32];
    token[..2].copy_from_slice(&n.to_be_bytes());
    token
}

async fn guest(store: &Store, n: u16) -> Result<(), StorageError> {
    let uid = format!("guest-{n}").parse().unwrap();
    let new = NewSessionRow { token_hash: &token_of(n), uid: &uid, label: "Firefox", created_at: 0, expires_at: 10 };
    store.put_guest("n", new).await
}
