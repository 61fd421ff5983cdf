//! The tables of one shard: who is connected, under which uid and in which groups, and what was kept with them. Plain
//! data, no streams; [`super::shard`] is the only one that changes it.

use super::{ClientSession, Group, LogicalTime, Uid};
use slab::Slab;
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// A connection's place in this shard's tables, used again after it left.
pub type Slot = usize;

struct Entry {
    /// The connection id of its client_id.
    id: u32,
    since: LogicalTime,
    uid: Option<Uid>,
    /// Since when it has its uid.
    bound: LogicalTime,
    /// It was in a group, if only once.
    was_member: bool,
    /// It is leaving: nobody can name it any more, and its slot waits for its stream to end.
    retired: bool,
    /// In the order it joined them.
    joined: Vec<Joined>,
    session: Option<ClientSession>,
}

/// A group a connection is in, by its place in the table, and where in its list: leaving looks nowhere else.
struct Joined {
    group: u32,
    place: u32,
}

struct GroupEntry {
    name: Group,
    since: LogicalTime,
    members: Vec<Membership>,
}

#[derive(Clone, Copy)]
struct Membership {
    slot: u32,
    since: LogicalTime,
}

/// One connection, as whoever asks may see it.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    registry: &'a Registry,
    entry: &'a Entry,
}

impl<'a> Member<'a> {
    pub fn id(self) -> u32 {
        self.entry.id
    }

    pub fn uid(self) -> Option<&'a Uid> {
        self.entry.uid.as_ref()
    }

    pub fn session(self) -> Option<&'a ClientSession> {
        self.entry.session.as_ref()
    }

    /// In the order it joined them.
    pub fn groups(self) -> impl Iterator<Item = &'a Group> {
        self.registry.names(self.entry)
    }

    /// Whether it ever was in a group.
    pub fn was_member(self) -> bool {
        self.entry.was_member
    }
}

#[derive(Default)]
pub struct Registry {
    entries: Slab<Entry>,
    ids: HashMap<u32, u32>,
    /// Most people have one connection: a second still needs no memory of its own.
    uids: HashMap<Uid, SmallVec<[u32; 2]>>,
    groups: Slab<GroupEntry>,
    group_ids: HashMap<Group, u32>,
    /// Groups whose people may be others than when this was last taken.
    changed: HashSet<Group>,
    retired: usize,
}

/// The people of a group as one shard knows them; those of all shards make [`People::count`].
#[derive(Default)]
pub struct People {
    /// Hashes, since a uid may have connections on several shards and counts once.
    uids: HashSet<u64>,
    /// Connections without uid count as one each.
    without_uid: u32,
}

impl People {
    pub fn merge(&mut self, other: Self) {
        self.uids.extend(other.uids);
        self.without_uid += other.without_uid;
    }

    pub fn count(&self) -> u32 {
        self.uids.len() as u32 + self.without_uid
    }
}

impl Registry {
    pub fn len(&self) -> usize {
        self.entries.len() - self.retired
    }

    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    pub fn insert(&mut self, id: u32, since: LogicalTime) -> Slot {
        let entry =
            Entry { id, since, uid: None, bound: since, was_member: false, retired: false, joined: Vec::new(), session: None };
        let slot = self.entries.insert(entry);
        self.ids.insert(id, slot as u32);
        slot
    }

    /// Takes its names away, and what was kept with it, which is answered: from here on it is nobody. Its slot stays taken
    /// until it is removed. `None`: it was nobody already.
    pub fn retire(&mut self, slot: Slot) -> Option<Option<ClientSession>> {
        let entry = self.entries.get_mut(slot).filter(|entry| !entry.retired)?;
        entry.retired = true;
        let (id, joined, uid, session) = (entry.id, std::mem::take(&mut entry.joined), entry.uid.take(), entry.session.take());
        self.retired += 1;
        self.ids.remove(&id);
        for joined in joined {
            self.strike(joined);
        }
        if let Some(uid) = &uid {
            self.forget_uid(slot, uid);
        }
        Some(session)
    }

    pub fn remove(&mut self, slot: Slot) {
        self.retire(slot);
        if self.entries.try_remove(slot).is_some() {
            self.retired -= 1;
        }
    }

    pub fn slot_of(&self, id: u32) -> Option<Slot> {
        self.ids.get(&id).map(|slot| *slot as Slot)
    }

    pub fn get(&self, slot: Slot) -> Option<Member<'_>> {
        self.entries.get(slot).filter(|entry| !entry.retired).map(|entry| Member { registry: self, entry })
    }

    /// One uid a client, the last one wins; many clients a uid.
    pub fn bind_uid(&mut self, slot: Slot, uid: &Uid, now: LogicalTime) {
        // The table's own copy of the name, shared by all its connections.
        let name = self.uids.get_key_value(uid).map_or_else(|| uid.to_owned_copy(), |(name, _)| name.clone());
        if self.take_uid(slot, Some(name.clone())) {
            self.uids.entry(name).or_default().push(slot as u32);
        }
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.bound = now;
        }
    }

    /// Takes the uid away, whatever it is.
    pub fn unbind_uid(&mut self, slot: Slot) {
        self.take_uid(slot, None);
    }

    /// False: nothing changed.
    fn take_uid(&mut self, slot: Slot, uid: Option<Uid>) -> bool {
        let changes = |entry: &&mut Entry| !entry.retired && entry.uid != uid;
        let Some(entry) = self.entries.get_mut(slot).filter(changes) else { return false };
        let before = std::mem::replace(&mut entry.uid, uid);
        let groups = entry.joined.iter().filter_map(|joined| self.groups.get(joined.group as usize));
        self.changed.extend(groups.map(|group| group.name.clone()));
        if let Some(before) = before {
            self.forget_uid(slot, &before);
        }
        true
    }

    /// False: it was in already.
    pub fn join_group(&mut self, slot: Slot, group: &Group, now: LogicalTime) -> bool {
        let id = self.group_ids.get(group).copied();
        let is_in = |entry: &Entry| entry.joined.iter().any(|joined| Some(joined.group) == id);
        let Some(entry) = self.entries.get_mut(slot).filter(|entry| !entry.retired && !is_in(entry)) else { return false };
        let id = id.unwrap_or_else(|| {
            let name = group.to_owned_copy();
            let id = self.groups.insert(GroupEntry { name: name.clone(), since: now, members: Vec::new() }) as u32;
            self.group_ids.insert(name, id);
            id
        });
        let GroupEntry { name, members, .. } = &mut self.groups[id as usize];
        entry.joined.reserve_exact(1);
        entry.joined.push(Joined { group: id, place: members.len() as u32 });
        entry.was_member = true;
        members.push(Membership { slot: slot as u32, since: now });
        self.changed.insert(name.clone());
        true
    }

    /// False: it was not in.
    pub fn leave_group(&mut self, slot: Slot, group: &Group) -> bool {
        let (Some(id), Some(entry)) = (self.group_ids.get(group), self.entries.get_mut(slot)) else { return false };
        let Some(at) = entry.joined.iter().position(|joined| joined.group == *id) else { return false };
        let joined = entry.joined.remove(at);
        self.strike(joined);
        true
    }

    /// Everyone leaves the group. How many were in it.
    pub fn ungroup(&mut self, group: &Group) -> usize {
        let Some(id) = self.group_ids.remove(group) else { return 0 };
        let GroupEntry { name, members, .. } = self.groups.remove(id as usize);
        for member in &members {
            if let Some(entry) = self.entries.get_mut(member.slot as Slot) {
                entry.joined.retain(|joined| joined.group != id);
            }
        }
        self.changed.insert(name);
        members.len()
    }

    /// The session, to be put in, changed or taken away.
    pub fn session_of(&mut self, slot: Slot) -> Option<&mut Option<ClientSession>> {
        self.entries.get_mut(slot).filter(|entry| !entry.retired).map(|entry| &mut entry.session)
    }

    pub fn all(&self) -> impl Iterator<Item = Slot> {
        self.all_since().map(|(slot, _)| slot)
    }

    /// The same, with when they came.
    pub fn all_since(&self) -> impl Iterator<Item = (Slot, LogicalTime)> {
        self.entries.iter().filter(|(_, entry)| !entry.retired).map(|(slot, entry)| (slot, entry.since))
    }

    pub fn of_group(&self, group: &Group) -> impl Iterator<Item = Slot> {
        self.of_group_since(group).map(|(slot, _)| slot)
    }

    /// The same, with when they joined.
    pub fn of_group_since(&self, group: &Group) -> impl Iterator<Item = (Slot, LogicalTime)> {
        let found = self.group_ids.get(group).and_then(|id| self.groups.get(*id as usize));
        found.into_iter().flat_map(|group| &group.members).map(|member| (member.slot as Slot, member.since))
    }

    pub fn of_uid(&self, uid: &Uid) -> impl Iterator<Item = Slot> {
        self.uids.get(uid).into_iter().flatten().map(|slot| *slot as Slot)
    }

    /// The same, with when they were bound.
    pub fn of_uid_since(&self, uid: &Uid) -> impl Iterator<Item = (Slot, LogicalTime)> {
        self.of_uid(uid).filter_map(|slot| Some((slot, self.entries.get(slot)?.bound)))
    }

    /// With how many are in each, and since when there is one.
    pub fn groups(&self) -> impl Iterator<Item = (&Group, usize, LogicalTime)> {
        self.groups.iter().map(|(_, group)| (&group.name, group.members.len(), group.since))
    }

    /// `hasher` is the same on every shard.
    pub fn people(&self, group: &Group, hasher: &RandomState) -> People {
        let mut people = People::default();
        for member in self.of_group(group).filter_map(|slot| self.get(slot)) {
            match member.uid() {
                Some(uid) => _ = people.uids.insert(hasher.hash_one(uid)),
                None => people.without_uid += 1,
            }
        }
        people
    }

    pub fn take_changed(&mut self) -> HashSet<Group> {
        std::mem::take(&mut self.changed)
    }

    fn names<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = &'a Group> {
        entry.joined.iter().filter_map(|joined| self.groups.get(joined.group as usize)).map(|group| &group.name)
    }

    /// Takes a place out of a group's list; the last in the list gets it.
    fn strike(&mut self, Joined { group: id, place }: Joined) {
        let Some(group) = self.groups.get_mut(id as usize) else { return };
        group.members.swap_remove(place as usize);
        let moved = group.members.get(place as usize).and_then(|moved| self.entries.get_mut(moved.slot as Slot));
        if let Some(joined) = moved.and_then(|entry| entry.joined.iter_mut().find(|joined| joined.group == id)) {
            joined.place = place;
        }
        self.changed.insert(group.name.clone());
        if group.members.is_empty() {
            let GroupEntry { name, .. } = self.groups.remove(id as usize);
            self.group_ids.remove(&name);
        }
    }

    fn forget_uid(&mut self, slot: Slot, uid: &Uid) {
        if let Some(slots) = self.uids.get_mut(uid) {
            slots.retain(|bound| *bound != slot as u32);
            if slots.is_empty() {
                self.uids.remove(uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[derive(Clone, Debug)]
    enum Command {
        Connect(u32),
        Remove(u32),
        Retire(u32),
        Bind(u32, u8),
        Unbind(u32),
        Join(u32, u8),
        Leave(u32, u8),
        Ungroup(u8),
        Keep(u32, u8),
    }

    fn command() -> impl Strategy<Value = Command> {
        let (id, name) = (1..6u32, 0..3u8);
        prop_oneof![
            3 => id.clone().prop_map(Command::Connect),
            1 => id.clone().prop_map(Command::Remove),
            1 => id.clone().prop_map(Command::Retire),
            3 => (id.clone(), name.clone()).prop_map(|(c, n)| Command::Bind(c, n)),
            1 => id.clone().prop_map(Command::Unbind),
            4 => (id.clone(), name.clone()).prop_map(|(c, n)| Command::Join(c, n)),
            2 => (id.clone(), name.clone()).prop_map(|(c, n)| Command::Leave(c, n)),
            1 => name.clone().prop_map(Command::Ungroup),
            1 => (id, name).prop_map(|(c, n)| Command::Keep(c, n)),
        ]
    }

    /// The simplest thing that could be right: one list of connections with all that is known of each.
    #[derive(Clone, Default, PartialEq, Eq, Debug)]
    struct Known {
        uid: Option<u8>,
        /// With when it joined.
        groups: BTreeMap<u8, LogicalTime>,
        session: Option<u8>,
    }

    fn uid(n: u8) -> Uid {
        Uid::new(format!("u{n}"))
    }

    fn group(n: u8) -> Group {
        Group::new(n.to_string())
    }

    fn session(n: u8) -> ClientSession {
        ClientSession::new(&serde_json::json!({ "n": n })).unwrap()
    }

    proptest! {
        #[test]
        fn the_tables_agree_with_the_model(commands in prop::collection::vec(command(), 0..80)) {
            let (mut registry, mut model) = (Registry::default(), BTreeMap::<u32, Known>::new());
            for (now, command) in commands.into_iter().enumerate() {
                let now = LogicalTime(now as u32);
                let slot = |registry: &Registry, id: u32| registry.slot_of(id);
                match command {
                    Command::Connect(c) => {
                        if let Some(slot) = slot(&registry, c) { registry.remove(slot); }
                        model.insert(c, Known::default());
                        registry.insert(c, now);
                    }
                    Command::Remove(c) => {
                        let known = model.remove(&c).is_some();
                        prop_assert_eq!(slot(&registry, c).map(|slot| registry.remove(slot)).is_some(), known);
                    }
                    Command::Retire(c) => {
                        let known = model.remove(&c).is_some();
                        prop_assert_eq!(slot(&registry, c).and_then(|slot| registry.retire(slot)).is_some(), known);
                    }
                    Command::Bind(c, n) => if let Some(slot) = slot(&registry, c) {
                        registry.bind_uid(slot, &uid(n), now);
                        model.get_mut(&c).unwrap().uid = Some(n);
                    },
                    Command::Unbind(c) => if let Some(slot) = slot(&registry, c) {
                        registry.unbind_uid(slot);
                        model.get_mut(&c).unwrap().uid = None;
                    },
                    Command::Join(c, n) => if let Some(slot) = slot(&registry, c) {
                        let groups = &mut model.get_mut(&c).unwrap().groups;
                        prop_assert_eq!(registry.join_group(slot, &group(n), now), !groups.contains_key(&n));
                        groups.entry(n).or_insert(now);
                    },
                    Command::Leave(c, n) => if let Some(slot) = slot(&registry, c) {
                        prop_assert_eq!(registry.leave_group(slot, &group(n)), model.get_mut(&c).unwrap().groups.remove(&n).is_some());
                    },
                    Command::Ungroup(n) => {
                        let left = model.values_mut().filter_map(|known| known.groups.remove(&n)).count();
                        prop_assert_eq!(registry.ungroup(&group(n)), left);
                    }
                    Command::Keep(c, n) => if let Some(slot) = slot(&registry, c) {
                        *registry.session_of(slot).unwrap() = Some(session(n));
                        model.get_mut(&c).unwrap().session = Some(n);
                    },
                }
                prop_assert_eq!(registry.len(), model.len());
                let ids = |slots: &mut dyn Iterator<Item = Slot>| -> BTreeSet<u32> {
                    slots.map(|slot| registry.get(slot).unwrap().id()).collect()
                };
                let where_ = |wanted: &dyn Fn(&Known) -> bool| -> BTreeSet<u32> {
                    model.iter().filter(|(_, known)| wanted(known)).map(|(id, _)| *id).collect()
                };
                prop_assert_eq!(ids(&mut registry.all()), where_(&|_| true));
                let hasher = RandomState::new();
                let mut groups = 0;
                for n in 0..3 {
                    let in_it = where_(&|known| known.groups.contains_key(&n));
                    groups += usize::from(!in_it.is_empty());
                    let uids: BTreeSet<_> = in_it.iter().filter_map(|id| model[id].uid).collect();
                    let without = in_it.iter().filter(|id| model[id].uid.is_none()).count();
                    prop_assert_eq!(registry.people(&group(n), &hasher).count() as usize, uids.len() + without);
                    prop_assert_eq!(registry.of_group(&group(n)).count(), in_it.len());
                    for (slot, since) in registry.of_group_since(&group(n)) {
                        prop_assert_eq!(model[&registry.get(slot).unwrap().id()].groups[&n], since);
                    }
                    prop_assert_eq!(ids(&mut registry.of_group(&group(n))), in_it);
                    prop_assert_eq!(ids(&mut registry.of_uid(&uid(n))), where_(&|known| known.uid == Some(n)));
                }
                prop_assert_eq!(registry.group_count(), groups);
                for (id, known) in &model {
                    let member = registry.get(registry.slot_of(*id).unwrap()).unwrap();
                    prop_assert_eq!(member.uid().cloned(), known.uid.map(uid));
                    let mut groups: Vec<_> = known.groups.iter().map(|(n, since)| (since.0, group(*n))).collect();
                    groups.sort();
                    let groups: Vec<_> = groups.into_iter().map(|(_, group)| group).collect();
                    prop_assert_eq!(member.groups().cloned().collect::<Vec<_>>(), groups);
                    prop_assert_eq!(member.session().cloned(), known.session.map(session));
                }
            }
            for slot in registry.all().collect::<Vec<_>>() { registry.remove(slot); }
            prop_assert!(registry.groups.is_empty() && registry.group_ids.is_empty() && registry.uids.is_empty() && registry.ids.is_empty());
        }
    }
}
