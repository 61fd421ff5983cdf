//! A shard's queue of commands, in FIFO order, and the rule of when to wake the shard.

use super::sync::{Mutex, MutexGuard, PoisonError};

/// Result of posting a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Posted {
    /// The mailbox was empty: the shard may be asleep and must be woken by this poster.
    Wake,
    /// Commands were queued already: the poster of the first one wakes the shard.
    Queued,
    /// The shard has ended; the command was dropped.
    Closed,
}

/// A mailbox. Its lock is held for a push or a swap only.
pub(super) struct Mailbox<C> {
    /// `None` once closed.
    commands: Mutex<Option<Vec<C>>>,
}

impl<C> Mailbox<C> {
    /// Returns an empty, open mailbox.
    pub(super) fn new() -> Self {
        Self { commands: Mutex::new(Some(Vec::new())) }
    }

    /// Appends a command.
    pub(super) fn post(&self, command: C) -> Posted {
        let mut commands = self.commands();
        let Some(commands) = commands.as_mut() else { return Posted::Closed };
        commands.push(command);
        if commands.len() == 1 { Posted::Wake } else { Posted::Queued }
    }

    /// Swaps the queued commands into `emptied`, an empty vector whose capacity is reused.
    pub(super) fn take(&self, emptied: &mut Vec<C>) {
        if let Some(commands) = self.commands().as_mut() {
            std::mem::swap(commands, emptied);
        }
    }

    /// Closes the mailbox and returns the queued commands, so that they are dropped outside of the lock.
    pub(super) fn close(&self) -> Vec<C> {
        self.commands().take().unwrap_or_default()
    }

    fn commands(&self) -> MutexGuard<'_, Option<Vec<C>>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
