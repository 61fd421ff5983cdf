//! Acts of a lane whose commit has no answer, and of which the store did not tell in time. Such an act may be committed: then its room
//! has a change that no page was told. The lane asks again until the store tells, also when nobody repeats the act.

use crate::domain::id::RoomId;
use crate::server::moderation::Outcome;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Acts of a lane, at most; the oldest makes way.
const MAX_ACTS: usize = 256;
/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// The lost acts of a lane, oldest first.
#[derive(Default)]
pub(super) struct LostActs {
    acts: VecDeque<(RoomId, Uuid, Outcome)>,
    /// The next look.
    look_at: Option<Instant>,
}

impl LostActs {
    /// Adds an act with the outcome that it has if it is committed. An act without a row of the log has no change.
    pub(super) fn add(&mut self, room: RoomId, outcome: Outcome) {
        let Some(action) = outcome.reply.action else { return };
        if self.acts.len() == MAX_ACTS {
            self.acts.pop_front();
            metrics::counter!("roomcast_pushes_forgotten_total").increment(1);
        }
        self.acts.push_back((room, action, outcome));
        self.look_at = self.look_at.or(Some(Instant::now() + PAUSE));
    }

    /// When the next look is due. `None`: no act is lost.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at.filter(|_| !self.acts.is_empty())
    }

    /// The acts to be asked for now: all if it is time, else those of `room`.
    pub(super) fn due(&self, room: Option<&RoomId>) -> Vec<(RoomId, Uuid)> {
        let is_time = self.look_at().is_some_and(|at| at <= Instant::now());
        let due = self.acts.iter().filter(|(of, ..)| is_time || room == Some(of));
        due.map(|(room, action, _)| (room.clone(), *action)).collect()
    }

    /// Takes an act out, because the store told of it.
    pub(super) fn remove(&mut self, action: Uuid) -> Option<Outcome> {
        let at = self.acts.iter().position(|(_, id, _)| *id == action)?;
        let (_, _, outcome) = self.acts.remove(at)?;
        self.look_at = self.look_at.filter(|_| !self.acts.is_empty());
        Some(outcome)
    }

    /// Puts the looks off, because the store did not tell.
    pub(super) fn failed(&mut self) {
        self.look_at = Some(Instant::now() + PAUSE);
    }
}
