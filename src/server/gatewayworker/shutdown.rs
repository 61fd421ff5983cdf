//! How a connection of PHP's ends: why, and how long what is left to do may take.

use super::protocol::reject::NotLetIn;
use std::io;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Who connected and has said nothing when the door closes has this long.
const SPOKEN_WITHIN: Duration = Duration::from_millis(500);
/// What was begun when a connection is ended has this long.
pub const FINISHED_WITHIN: Duration = Duration::from_secs(2);

/// The connection is over.
pub enum End {
    Theirs,
    /// The key was wrong, or not shown.
    Unknown,
    TooLong,
    /// Too many large packets are arriving at once.
    NoRoom,
    /// The rest of a large packet did not come.
    Halfway,
    /// A query that cannot be answered.
    Unanswerable,
    /// Another worker of its name came.
    Replaced,
    /// The door closes.
    Told,
    Io(io::Error),
}

impl From<NotLetIn> for End {
    fn from(why: NotLetIn) -> Self {
        match why {
            NotLetIn::Unknown => Self::Unknown,
            NotLetIn::TooLong => Self::TooLong,
            NotLetIn::NoRoom => Self::NoRoom,
        }
    }
}

/// An end, and what has to be done before it.
pub struct Ending {
    pub end: End,
    since: Instant,
}

impl Ending {
    pub fn now(end: End) -> Self {
        Self { end, since: Instant::now() }
    }

    /// What is left to do has had its time. A peer that has said all it wanted may read as long as it likes, while the door is
    /// open.
    pub async fn finished(&self, stop: &CancellationToken) {
        let mut since = self.since;
        if matches!(self.end, End::Theirs) && !stop.is_cancelled() {
            stop.cancelled().await;
            since = Instant::now();
        }
        tokio::time::sleep_until(since + FINISHED_WITHIN).await;
    }
}

/// The door closes; who has only just connected may say what it came for.
pub async fn stopped(stop: &CancellationToken, has_spoken: bool) {
    stop.cancelled().await;
    if !has_spoken {
        tokio::time::sleep(SPOKEN_WITHIN).await;
    }
}
