//! Floor 2: the durable records. Messages, rooms, people, login sessions and API keys, behind one contract.
//!
//! [`Store`] is the contract; [`sqlite`] implements it in the data folder. [`rows`] holds the types that go in and come out.
//! Storage decides nothing and logs nothing: each method returns a [`StorageError`], and the caller decides what it means.
//!
//! ```no_run
//! # async fn example(settings: &roomcast::server::config::StorageSettings) -> Result<(), Box<dyn std::error::Error>> {
//! use roomcast::server::storage::Store;
//!
//! let store = Store::open(settings).await?;
//! let newest_rooms = store.rooms(10).await?;
//! store.close().await;
//! # Ok(())
//! # }
//! ```

mod commands_lock;
mod cooldowns;
mod data_dir;
mod error;
mod fail_point;
mod jobs;
pub mod moderation;
mod moving;
mod news;
mod nodes;
mod notice;
mod opening;
mod personal_data;
mod postgres;
mod raw_rows;
mod restoring;
mod rows;
mod short_lived;
mod sqlite;
mod status;
mod store;
mod sweeps;

pub use cooldowns::{Cooldowns, Reservation};
pub use data_dir::DataDirLock;
pub use error::{OpenError, Result, StorageError};
pub use fail_point::fail_point;
pub use jobs::Job;
pub use moving::{Content, MoveError, MoveNews, Moved, MovedTable, move_store};
pub use news::{News, NewsPage, SessionHash};
pub use nodes::NodeClaim;
pub use notice::OpenNotice;
pub use personal_data::PersonalTable;
pub use postgres::PostgresProblem;
pub use rows::{
    ApiKeyRow, Appended, NewMessage, NewPassword, NewPerson, NewSessionRow, PersonRow, RoomHead, RoomRow, RoomSettings, SeqRange,
    SessionRow, SetModes,
};
pub use short_lived::Turns;
pub use sqlite::{
    Backup, BackupError, CopyError, RestoreError, Staged, await_commands, back_up, former_database, put_backup_in_place,
    settle_restore, stage_backup,
};
pub use status::{StoreState, StoreStatus};
pub use store::Store;
