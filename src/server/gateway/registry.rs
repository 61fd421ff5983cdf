//! The tables of one shard: connections, their uids, groups and sessions. Plain data without streams; changed only on
//! the shard's thread, by [`super::shard`] and by the closures of [`super::handle`].

mod view;

pub use view::ConnectionView;

use super::live_groups::ShardGroups;
use super::staff::Staff;
use super::{ClientSession, Group, LogicalTime, Uid, Visitor};
use slab::Slab;
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU64;

/// Index of a connection in its shard's tables. It is reused after the connection is removed.
pub(super) type Slot = usize;

struct ConnectionEntry {
    /// The connection id of its client_id.
    id: u32,
    opened_at: LogicalTime,
    /// [`Visitor::number`] of its handshake.
    visitor: Option<NonZeroU64>,
    uid: Option<Uid>,
    /// When it was bound to its uid.
    bound_at: LogicalTime,
    /// Whether it has ever joined a group.
    has_joined: bool,
    /// The connection is closing: it is in no index any more, and its slot stays in use until its stream ends.
    unlinked: bool,
    /// In joining order.
    joined: Vec<Joined>,
    session: Option<ClientSession>,
}

/// A group that a connection is in: the index of the group, and the connection's index in the group's member list. The cost
/// of leaving depends on the number of the connection's groups, not on the number of the group's members.
struct Joined {
    group: u32,
    index: u32,
    /// By a `bind` without a session, and by nothing else.
    as_reader: bool,
}

struct GroupEntry {
    name: Group,
    created_at: LogicalTime,
    members: Vec<Membership>,
}

#[derive(Clone, Copy)]
struct Membership {
    slot: u32,
    joined_at: LogicalTime,
}

/// The tables of one shard: entries by slot, and indices by connection id, uid and group.
#[derive(Default)]
pub(super) struct Registry {
    entries: Slab<ConnectionEntry>,
    ids: HashMap<u32, u32>,
    /// Inline capacity of two: most people have one or two connections.
    uids: HashMap<Uid, SmallVec<[u32; 2]>>,
    groups: Slab<GroupEntry>,
    group_ids: HashMap<Group, u32>,
    /// Groups whose people may have changed since [`Registry::take_changed`].
    changed: HashSet<Group>,
    /// The groups' names, for other threads.
    live: ShardGroups,
    pub(super) staff: Staff,
    unlinked: usize,
}

impl Registry {
    /// Returns empty tables that note their groups in `live`.
    pub(super) fn new(live: ShardGroups) -> Self {
        live.clear();
        Self { live, ..Self::default() }
    }

    /// Connections that are not closing.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.unlinked
    }

    /// Groups with at least one member.
    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Adds a connection.
    pub(super) fn insert(&mut self, id: u32, visitor: Option<Visitor>, opened_at: LogicalTime) -> Slot {
        let entry = ConnectionEntry {
            id,
            opened_at,
            visitor: visitor.and_then(|visitor| NonZeroU64::new(visitor.number())),
            uid: None,
            bound_at: opened_at,
            has_joined: false,
            unlinked: false,
            joined: Vec::new(),
            session: None,
        };
        let slot = self.entries.insert(entry);
        self.ids.insert(id, slot as u32);
        slot
    }

    /// Removes the connection from the indices of ids, uids and groups, and drops its session. The slot stays in use until
    /// [`Registry::remove`]. Returns false if the connection was unlinked before.
    pub(super) fn unlink(&mut self, slot: Slot) -> bool {
        let Some(entry) = self.entries.get_mut(slot).filter(|entry| !entry.unlinked) else { return false };
        entry.unlinked = true;
        entry.session = None;
        let (id, joined, uid) = (entry.id, std::mem::take(&mut entry.joined), entry.uid.take());
        self.unlinked += 1;
        self.ids.remove(&id);
        self.staff.leave_all(slot);
        for joined in joined {
            self.remove_from_group(joined);
        }
        if let Some(uid) = &uid {
            self.remove_uid(slot, uid);
        }
        true
    }

    /// Removes a connection and frees its slot.
    pub(super) fn remove(&mut self, slot: Slot) {
        self.unlink(slot);
        if self.entries.try_remove(slot).is_some() {
            self.unlinked -= 1;
        }
    }

    /// Returns the slot of a connection id.
    pub(super) fn slot_of(&self, id: u32) -> Option<Slot> {
        self.ids.get(&id).map(|slot| *slot as Slot)
    }

    /// Returns a connection that is not closing.
    pub(super) fn get(&self, slot: Slot) -> Option<ConnectionView<'_>> {
        self.entries.get(slot).filter(|entry| !entry.unlinked).map(|entry| ConnectionView { registry: self, entry })
    }

    /// Binds a connection to a uid, in place of an earlier one. A uid may have many connections.
    pub(super) fn bind_uid(&mut self, slot: Slot, uid: &Uid, now: LogicalTime) {
        // One copy of the name per shard, shared by the connections of the uid.
        let name = self.uids.get_key_value(uid).map_or_else(|| uid.to_owned_copy(), |(name, _)| name.clone());
        if self.replace_uid(slot, Some(name.clone())) {
            self.uids.entry(name).or_default().push(slot as u32);
        }
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.bound_at = now;
        }
    }

    /// Removes the connection's uid.
    pub(super) fn unbind_uid(&mut self, slot: Slot) {
        self.replace_uid(slot, None);
    }

    /// Replaces the uid; returns false if nothing changed.
    fn replace_uid(&mut self, slot: Slot, uid: Option<Uid>) -> bool {
        let changes = |entry: &&mut ConnectionEntry| !entry.unlinked && entry.uid != uid;
        let Some(entry) = self.entries.get_mut(slot).filter(changes) else { return false };
        let before = std::mem::replace(&mut entry.uid, uid);
        self.staff.leave_all(slot);
        let groups = entry.joined.iter().filter_map(|joined| self.groups.get(joined.group as usize));
        self.changed.extend(groups.map(|group| group.name.clone()));
        if let Some(before) = before {
            self.remove_uid(slot, &before);
        }
        true
    }

    /// Adds a connection to a group; returns false if it is a member already.
    pub(super) fn join_group(&mut self, slot: Slot, group: &Group, now: LogicalTime) -> bool {
        self.join(slot, group, false, now)
    }

    /// Adds a connection to a group as a reader. Returns false, and adds it not, if it is a reader of `max` other groups.
    pub(super) fn join_as_reader(&mut self, slot: Slot, group: &Group, max: usize, now: LogicalTime) -> bool {
        let id = self.group_ids.get(group);
        let joined = self.entries.get(slot).map(|entry| &*entry.joined).unwrap_or_default();
        let others = joined.iter().filter(|joined| joined.as_reader && Some(&joined.group) != id).count();
        if others < max {
            self.join(slot, group, true, now);
        }
        others < max
    }

    fn join(&mut self, slot: Slot, group: &Group, as_reader: bool, now: LogicalTime) -> bool {
        let id = self.group_ids.get(group).copied();
        let Some(entry) = self.entries.get_mut(slot).filter(|entry| !entry.unlinked) else { return false };
        if let Some(joined) = entry.joined.iter_mut().find(|joined| Some(joined.group) == id) {
            joined.as_reader &= as_reader;
            return false;
        }
        let id = id.unwrap_or_else(|| {
            let name = group.to_owned_copy();
            let id = self.groups.insert(GroupEntry { name: name.clone(), created_at: now, members: Vec::new() }) as u32;
            self.live.add(&name);
            self.group_ids.insert(name, id);
            id
        });
        let GroupEntry { name, members, .. } = &mut self.groups[id as usize];
        entry.joined.reserve_exact(1);
        entry.joined.push(Joined { group: id, index: members.len() as u32, as_reader });
        entry.has_joined = true;
        members.push(Membership { slot: slot as u32, joined_at: now });
        self.changed.insert(name.clone());
        true
    }

    /// Removes a connection from a group; returns false if it is not a member.
    pub(super) fn leave_group(&mut self, slot: Slot, group: &Group) -> bool {
        let (Some(id), Some(entry)) = (self.group_ids.get(group), self.entries.get_mut(slot)) else { return false };
        let Some(at) = entry.joined.iter().position(|joined| joined.group == *id) else { return false };
        let joined = entry.joined.remove(at);
        self.staff.leave(slot, group);
        self.remove_from_group(joined);
        true
    }

    /// Removes all members from a group and returns their number.
    pub(super) fn ungroup(&mut self, group: &Group) -> usize {
        self.staff.dissolve(group);
        let Some(id) = self.group_ids.remove(group) else { return 0 };
        let GroupEntry { name, members, .. } = self.groups.remove(id as usize);
        for member in &members {
            if let Some(entry) = self.entries.get_mut(member.slot as Slot) {
                entry.joined.retain(|joined| joined.group != id);
            }
        }
        self.live.remove(&name);
        self.changed.insert(name);
        members.len()
    }

    /// Returns the session of a connection, to set, change or clear it. The inner `None` is no session.
    pub(super) fn session_of(&mut self, slot: Slot) -> Option<&mut Option<ClientSession>> {
        self.entries.get_mut(slot).filter(|entry| !entry.unlinked).map(|entry| &mut entry.session)
    }

    /// All connections that are not closing.
    pub(super) fn all(&self) -> impl Iterator<Item = Slot> {
        self.all_with_opened_at().map(|(slot, _)| slot)
    }

    /// All connections with the time they were opened.
    pub(super) fn all_with_opened_at(&self) -> impl Iterator<Item = (Slot, LogicalTime)> {
        self.entries.iter().filter(|(_, entry)| !entry.unlinked).map(|(slot, entry)| (slot, entry.opened_at))
    }

    /// The members of a group.
    pub(super) fn of_group(&self, group: &Group) -> impl Iterator<Item = Slot> {
        self.of_group_with_joined_at(group).map(|(slot, _)| slot)
    }

    /// The members of a group with the time they joined.
    pub(super) fn of_group_with_joined_at(&self, group: &Group) -> impl Iterator<Item = (Slot, LogicalTime)> {
        let found = self.group_ids.get(group).and_then(|id| self.groups.get(*id as usize));
        found.into_iter().flat_map(|group| &group.members).map(|member| (member.slot as Slot, member.joined_at))
    }

    /// The connections of a uid.
    pub(super) fn of_uid(&self, uid: &Uid) -> impl Iterator<Item = Slot> {
        self.uids.get(uid).into_iter().flatten().map(|slot| *slot as Slot)
    }

    /// The connections of a uid with the time they were bound.
    pub(super) fn of_uid_with_bound_at(&self, uid: &Uid) -> impl Iterator<Item = (Slot, LogicalTime)> {
        self.of_uid(uid).filter_map(|slot| Some((slot, self.entries.get(slot)?.bound_at)))
    }

    /// All groups with their number of members and the time the first member joined.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&Group, usize, LogicalTime)> {
        self.groups.iter().map(|(_, group)| (&group.name, group.members.len(), group.created_at))
    }

    /// Returns and clears the set of groups whose people may have changed.
    pub(super) fn take_changed(&mut self) -> HashSet<Group> {
        std::mem::take(&mut self.changed)
    }

    fn names<'a>(&'a self, entry: &'a ConnectionEntry) -> impl Iterator<Item = &'a Group> {
        entry.joined.iter().filter_map(|joined| self.groups.get(joined.group as usize)).map(|group| &group.name)
    }

    /// Removes a member from a group's list; the last member moves to its index.
    fn remove_from_group(&mut self, Joined { group: id, index, .. }: Joined) {
        let Some(group) = self.groups.get_mut(id as usize) else { return };
        group.members.swap_remove(index as usize);
        let moved = group.members.get(index as usize).and_then(|moved| self.entries.get_mut(moved.slot as Slot));
        if let Some(joined) = moved.and_then(|entry| entry.joined.iter_mut().find(|joined| joined.group == id)) {
            joined.index = index;
        }
        self.changed.insert(group.name.clone());
        if group.members.is_empty() {
            let GroupEntry { name, .. } = self.groups.remove(id as usize);
            self.live.remove(&name);
            self.group_ids.remove(&name);
        }
    }

    fn remove_uid(&mut self, slot: Slot, uid: &Uid) {
        if let Some(slots) = self.uids.get_mut(uid) {
            slots.retain(|bound| *bound != slot as u32);
            if slots.is_empty() {
                self.uids.remove(uid);
            }
        }
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
