//! The records of moderation: the rows that go in and come out, and the transaction of an act.

mod acts;
pub(super) mod raw;
mod reads;
mod rows;

pub(super) use acts::Of;
pub use acts::{ActQueries, ActTransaction};
pub use rows::{
    ActionRow, ChainHead, Granted, GrantedRole, NetworkHash, NewRemoval, NoteRow, PersonHistory, PurgeRow, PurgeState, ReportRow,
    RestraintRow, RoomNow, RoomRecord, SetPin, Standing, StoredChange, StoredMessage, WithText,
};
