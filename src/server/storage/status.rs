//! The state of a store that another machine may run, as the store's own task saw it last.

use std::fmt;
use std::sync::Arc;
use tokio::time::Instant;

/// The state of the store at its last look at the database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreStatus {
    /// Whether this process may write.
    pub state: StoreState,
    /// Since when it has been so.
    pub since: Instant,
    /// The database's timeline when it was seen last. A promoted standby has another one.
    pub timeline: Option<String>,
}

/// Whether this process may write to the store. In every state but the first its writes fail as busy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreState {
    /// The database takes writes, and no other server serves from it.
    Serving,
    /// The database cannot be reached; the driver's text says why.
    Away(Arc<str>),
    /// The database takes no writes: it is a standby, or it was set so.
    ReadOnly,
    /// Another server serves from the database.
    Taken,
    /// This process stopped its writes for a successor.
    Stopped,
}

impl fmt::Display for StoreState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serving => f.write_str("it answers and takes writes"),
            Self::Away(reason) => write!(f, "it does not answer: {reason}"),
            Self::ReadOnly => f.write_str("it is read-only, as a standby is"),
            Self::Taken => f.write_str("another roomcast serves from it, so this one writes nothing"),
            Self::Stopped => f.write_str("a successor writes to it"),
        }
    }
}
