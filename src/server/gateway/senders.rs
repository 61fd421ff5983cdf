//! The back ends that sent to a group lately, counted: a flood of theirs is one line for the staff of the group. In memory, of this node
//! since its start, and bounded.

use super::{Gateway, Group};
use moka::sync::Cache;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Groups that are counted; those that were not sent to for longest make way.
const MAX_GROUPS: u64 = 4_096;
/// Back ends of a group; further ones are not counted.
const MAX_SENDERS: usize = 32;
/// Time without a send after which a group's counts end.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// A back end that sent to a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupSender {
    /// Its word: `bot:` and the name of the key, or `php`.
    pub by: String,
    /// Its sends.
    pub count: u64,
    /// When the first one was.
    pub first: Instant,
    /// When the last one was.
    pub last: Instant,
}

/// The counts of a node.
pub(super) struct Senders(Cache<Group, Arc<Mutex<Vec<GroupSender>>>>);

impl Default for Senders {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MAX_GROUPS).time_to_idle(KEPT_FOR).build())
    }
}

impl Senders {
    fn note(&self, by: &str, group: &Group, now: Instant) {
        // A copy: the group's name may be a part of a large packet.
        let senders = self.0.get(group).unwrap_or_else(|| self.0.get_with(group.to_owned_copy(), Arc::default));
        let mut senders = senders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = senders.iter_mut().find(|sender| sender.by == by) {
            (sender.count, sender.last) = (sender.count + 1, now);
        } else if senders.len() < MAX_SENDERS {
            senders.push(GroupSender { by: by.to_owned(), count: 1, first: now, last: now });
        }
    }

    fn of(&self, group: &Group) -> Vec<GroupSender> {
        let senders = self.0.get(group);
        senders.map(|senders| senders.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }
}

impl Gateway {
    /// Counts a send of a back end to groups. The API and the PHP gateway protocol call it beside the send.
    pub fn note_sender(&self, by: &str, groups: &[Group]) {
        let now = Instant::now();
        groups.iter().for_each(|group| self.0.senders.note(by, group, now));
    }

    /// Returns the back ends that sent to a group lately.
    pub fn senders_of(&self, group: &Group) -> Vec<GroupSender> {
        self.0.senders.of(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_are_counted_for_each_back_end_of_a_group_and_bounded() {
        let (senders, now) = (Senders::default(), Instant::now());
        let (group, other) = (Group::new("1"), Group::new("2"));
        for n in 0..MAX_SENDERS + 5 {
            senders.note(&format!("bot:{n}"), &group, now);
        }
        senders.note("bot:0", &group, now + KEPT_FOR);
        senders.note("bot:99", &group, now);
        senders.note("php", &other, now);
        let of_group = senders.of(&group);
        assert_eq!(of_group.len(), MAX_SENDERS);
        assert_eq!(of_group[0], GroupSender { by: "bot:0".into(), count: 2, first: now, last: now + KEPT_FOR });
        assert_eq!((senders.of(&other).len(), senders.of(&Group::new("3")).len()), (1, 0));
    }
}
