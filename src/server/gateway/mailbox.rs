//! The only thing threads share with a shard: its commands, in the order they were posted, and when to ring its bell.

use super::sync::{Mutex, MutexGuard, PoisonError};

/// What became of a command that was posted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Posted {
    /// The mailbox was empty: its owner may be asleep and must be woken.
    Ring,
    /// Others wait already, and whoever posted the first of them rings.
    Waits,
    /// The owner is gone; the command was dropped.
    Closed,
}

pub struct Mailbox<C> {
    /// `None`: closed.
    commands: Mutex<Option<Vec<C>>>,
}

impl<C> Mailbox<C> {
    pub fn new() -> Self {
        Self { commands: Mutex::new(Some(Vec::new())) }
    }

    pub fn post(&self, command: C) -> Posted {
        let mut commands = self.commands();
        let Some(commands) = commands.as_mut() else { return Posted::Closed };
        commands.push(command);
        if commands.len() == 1 { Posted::Ring } else { Posted::Waits }
    }

    /// Everything that waits, in the place of `emptied`, whose room is used again.
    pub fn take(&self, emptied: &mut Vec<C>) {
        if let Some(commands) = self.commands().as_mut() {
            std::mem::swap(commands, emptied);
        }
    }

    /// Nothing is taken in any more; what waits is handed back, to be dropped outside of the lock.
    pub fn close(&self) -> Vec<C> {
        self.commands().take().unwrap_or_default()
    }

    fn commands(&self) -> MutexGuard<'_, Option<Vec<C>>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
