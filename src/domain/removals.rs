//! The removals that a page remembers. A message that arrives after its removal, from the history, from a `bind` or from a hidden
//! tab's backlog, becomes a tombstone too. The memory goes by seq and author, never by text, and does not depend on the order in
//! which changes arrive: for each message the change with the highest rev counts.

use crate::domain::{
    change::{Changed, Purged, Removed, Rev, Seqs, Why},
    id::{Seq, Uid},
    message::Message,
};
use std::collections::VecDeque;

/// Entries that are remembered; the oldest leave.
const MAX_ENTRIES: usize = 512;

/// A bounded memory of removals and restorations.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Removals(VecDeque<Entry>);

#[derive(Clone, PartialEq, Debug)]
struct Entry {
    rev: Rev,
    why: Why,
    of: Of,
}

#[derive(Clone, PartialEq, Debug)]
enum Of {
    Removed(Seqs),
    Purged(Purged),
    Restored(Message),
}

impl Of {
    fn covers(&self, seq: Seq, user: &Uid) -> bool {
        match self {
            Self::Removed(seqs) => seqs.from <= seq && seq <= seqs.to,
            Self::Purged(purged) => purged.user == *user && purged.from <= seq && seq <= purged.upto,
            Self::Restored(message) => message.seq == seq,
        }
    }
}

impl Removals {
    /// Remembers a change. A change that is remembered already adds nothing.
    pub fn remember(&mut self, changed: &Changed) {
        let rev = changed.rev;
        if self.0.iter().any(|entry| entry.rev == rev) {
            return;
        }
        changed.removed.iter().for_each(|seqs| self.add(changed, Of::Removed(*seqs)));
        changed.restored.iter().for_each(|message| self.add(changed, Of::Restored(message.clone())));
        if let Some(purged) = &changed.purged {
            self.add(changed, Of::Purged(purged.clone()));
        }
    }

    fn add(&mut self, changed: &Changed, of: Of) {
        if self.0.len() == MAX_ENTRIES {
            self.0.pop_front();
        }
        self.0.push_back(Entry { rev: changed.rev, why: changed.why, of });
    }

    /// Returns the mark of a message that was removed after the change `after`, and not restored since: that of its first removal.
    pub fn mark(&self, seq: Seq, user: &Uid, after: Rev) -> Option<Removed> {
        let after = self.restored(seq, user).map_or(after, |(rev, _)| rev.max(after));
        let removals = self.covering(seq, user).filter(|entry| entry.rev > after && !matches!(entry.of, Of::Restored(_)));
        removals.min_by_key(|entry| entry.rev).map(|entry| Removed { why: entry.why, rev: entry.rev })
    }

    /// Returns a message that was read at the change `read_at`, or after it, as it is after the remembered changes. A tombstone that
    /// was restored since is its message again.
    pub fn applied(&self, message: Message, read_at: Rev) -> Message {
        let (seq, user) = (message.seq, &message.user);
        match (message.removed, self.mark(seq, user, read_at)) {
            (None, Some(mark)) => message.into_tombstone(mark),
            (Some(mark), None) => match self.restored(seq, user) {
                Some((rev, restored)) if rev > mark.rev.max(read_at) => restored.clone(),
                _ => message,
            },
            _ => message,
        }
    }

    /// The newest change that restored a message.
    fn restored(&self, seq: Seq, user: &Uid) -> Option<(Rev, &Message)> {
        let restored = self.covering(seq, user).filter_map(|entry| match &entry.of {
            Of::Restored(message) => Some((entry.rev, message)),
            _ => None,
        });
        restored.max_by_key(|(rev, _)| *rev)
    }

    fn covering(&self, seq: Seq, user: &Uid) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(move |entry| entry.of.covers(seq, user))
    }
}

/// Whether a change removes a message.
pub fn removes(changed: &Changed, message: &Message) -> bool {
    let covers = |of: Of| of.covers(message.seq, &message.user);
    changed.removed.iter().copied().map(Of::Removed).any(covers) || changed.purged.clone().map(Of::Purged).is_some_and(covers)
}
