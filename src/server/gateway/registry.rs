//! The tables of one shard: who is connected, under which uid and in which groups, and what was kept with them. Plain
//! data, no streams; [`super::shard`] is the only one that changes it.

use super::{Group, Session};
use crate::domain::id::Uid;
use slab::Slab;
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// A connection's place in this shard's tables, used again after it left.
pub type Slot = usize;

pub struct Member {
    /// The connection id of its client_id.
    pub id: u32,
    pub uid: Option<Uid>,
    joined: Vec<Joined>,
    pub session: Option<Session>,
}

/// A group a connection is in, and where in its list: leaving looks nowhere else.
struct Joined {
    group: Group,
    place: u32,
}

impl Member {
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.joined.iter().map(|joined| &joined.group)
    }
}

#[derive(Default)]
pub struct Registry {
    members: Slab<Member>,
    ids: HashMap<u32, u32>,
    /// Most people have one connection: a second still needs no memory of its own.
    uids: HashMap<Uid, SmallVec<[u32; 2]>>,
    groups: HashMap<Group, Vec<u32>>,
    /// Groups whose people may be others than when this was last taken.
    changed: HashSet<Group>,
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
        self.members.len()
    }

    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    pub fn insert(&mut self, id: u32) -> Slot {
        let slot = self.members.insert(Member { id, uid: None, joined: Vec::new(), session: None });
        self.ids.insert(id, slot as u32);
        slot
    }

    pub fn remove(&mut self, slot: Slot) {
        let Some(member) = self.members.try_remove(slot) else { return };
        self.ids.remove(&member.id);
        for Joined { group, place } in &member.joined {
            self.strike(group, *place);
        }
        if let Some(uid) = &member.uid {
            self.forget_uid(slot, uid);
        }
    }

    pub fn slot_of(&self, id: u32) -> Option<Slot> {
        self.ids.get(&id).map(|slot| *slot as Slot)
    }

    pub fn get(&self, slot: Slot) -> Option<&Member> {
        self.members.get(slot)
    }

    /// One uid a client, the last one wins; many clients a uid.
    pub fn bind_uid(&mut self, slot: Slot, uid: &Uid) {
        let Some(member) = self.members.get_mut(slot) else { return };
        if member.uid.as_ref() == Some(uid) {
            return;
        }
        // The table's own copy of the name, shared by all its connections.
        let name = self.uids.get_key_value(uid).map_or_else(|| uid.apart(), |(name, _)| name.clone());
        let before = member.uid.replace(name.clone());
        self.changed.extend(member.groups().cloned());
        if let Some(before) = before {
            self.forget_uid(slot, &before);
        }
        self.uids.entry(name).or_default().push(slot as u32);
    }

    /// Takes the uid away, whatever it is.
    pub fn unbind_uid(&mut self, slot: Slot) {
        let Some(member) = self.members.get_mut(slot) else { return };
        let Some(before) = member.uid.take() else { return };
        self.changed.extend(member.groups().cloned());
        self.forget_uid(slot, &before);
    }

    /// False: it was in already.
    pub fn join_group(&mut self, slot: Slot, group: &Group) -> bool {
        let Some(member) = self.members.get_mut(slot).filter(|member| !member.groups().any(|joined| joined == group)) else {
            return false;
        };
        // The table's own copy of the name, shared by all who are in.
        let name = self.groups.get_key_value(group).map_or_else(|| Group::new(group.as_str()), |(name, _)| name.clone());
        let slots = self.groups.entry(name.clone()).or_default();
        member.joined.reserve_exact(1);
        member.joined.push(Joined { group: name.clone(), place: slots.len() as u32 });
        slots.push(slot as u32);
        self.changed.insert(name);
        true
    }

    /// False: it was not in.
    pub fn leave_group(&mut self, slot: Slot, group: &Group) -> bool {
        let Some(member) = self.members.get_mut(slot) else { return false };
        let Some(at) = member.groups().position(|joined| joined == group) else { return false };
        let Joined { place, .. } = member.joined.swap_remove(at);
        self.strike(group, place);
        true
    }

    /// Everyone leaves the group. How many were in it.
    pub fn ungroup(&mut self, group: &Group) -> usize {
        let Some(slots) = self.groups.remove(group) else { return 0 };
        for slot in &slots {
            if let Some(member) = self.members.get_mut(*slot as Slot) {
                member.joined.retain(|joined| joined.group != *group);
            }
        }
        self.changed.insert(group.clone());
        slots.len()
    }

    /// The session, to be put in, changed or taken away.
    pub fn session_of(&mut self, slot: Slot) -> Option<&mut Option<Session>> {
        self.members.get_mut(slot).map(|member| &mut member.session)
    }

    pub fn all(&self) -> impl Iterator<Item = Slot> {
        self.members.iter().map(|(slot, _)| slot)
    }

    pub fn of_group(&self, group: &Group) -> impl Iterator<Item = Slot> {
        self.groups.get(group).into_iter().flatten().map(|slot| *slot as Slot)
    }

    pub fn of_uid(&self, uid: &Uid) -> impl Iterator<Item = Slot> {
        self.uids.get(uid).into_iter().flatten().map(|slot| *slot as Slot)
    }

    pub fn groups(&self) -> impl Iterator<Item = (&Group, usize)> {
        self.groups.iter().map(|(group, slots)| (group, slots.len()))
    }

    /// `hasher` is the same on every shard.
    pub fn people(&self, group: &Group, hasher: &RandomState) -> People {
        let mut people = People::default();
        for member in self.of_group(group).filter_map(|slot| self.members.get(slot)) {
            match &member.uid {
                Some(uid) => _ = people.uids.insert(hasher.hash_one(uid)),
                None => people.without_uid += 1,
            }
        }
        people
    }

    pub fn take_changed(&mut self) -> HashSet<Group> {
        std::mem::take(&mut self.changed)
    }

    /// Takes a place out of a group's list; the last in the list gets it.
    fn strike(&mut self, group: &Group, place: u32) {
        let Some(slots) = self.groups.get_mut(group) else { return };
        slots.swap_remove(place as usize);
        let moved = slots.get(place as usize).and_then(|moved| self.members.get_mut(*moved as Slot));
        if let Some(joined) = moved.and_then(|member| member.joined.iter_mut().find(|joined| joined.group == *group)) {
            joined.place = place;
        }
        if slots.is_empty() {
            self.groups.remove(group);
        }
        self.changed.insert(group.clone());
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
        groups: BTreeSet<u8>,
        session: Option<u8>,
    }

    fn uid(n: u8) -> Uid {
        format!("u{n}").parse().unwrap()
    }

    fn group(n: u8) -> Group {
        Group::new(&n.to_string())
    }

    fn session(n: u8) -> Session {
        Session::new(&serde_json::json!({ "n": n })).unwrap()
    }

    proptest! {
        #[test]
        fn the_tables_agree_with_the_model(commands in prop::collection::vec(command(), 0..80)) {
            let (mut registry, mut model) = (Registry::default(), BTreeMap::<u32, Known>::new());
            for command in commands {
                let slot = |registry: &Registry, id: u32| registry.slot_of(id);
                match command {
                    Command::Connect(c) => {
                        if let Some(slot) = slot(&registry, c) { registry.remove(slot); }
                        model.insert(c, Known::default());
                        registry.insert(c);
                    }
                    Command::Remove(c) => {
                        let known = model.remove(&c).is_some();
                        prop_assert_eq!(slot(&registry, c).map(|slot| registry.remove(slot)).is_some(), known);
                    }
                    Command::Bind(c, n) => if let Some(slot) = slot(&registry, c) {
                        registry.bind_uid(slot, &uid(n));
                        model.get_mut(&c).unwrap().uid = Some(n);
                    },
                    Command::Unbind(c) => if let Some(slot) = slot(&registry, c) {
                        registry.unbind_uid(slot);
                        model.get_mut(&c).unwrap().uid = None;
                    },
                    Command::Join(c, n) => if let Some(slot) = slot(&registry, c) {
                        prop_assert_eq!(registry.join_group(slot, &group(n)), model.get_mut(&c).unwrap().groups.insert(n));
                    },
                    Command::Leave(c, n) => if let Some(slot) = slot(&registry, c) {
                        prop_assert_eq!(registry.leave_group(slot, &group(n)), model.get_mut(&c).unwrap().groups.remove(&n));
                    },
                    Command::Ungroup(n) => {
                        let left = model.values_mut().filter_map(|known| known.groups.remove(&n).then_some(())).count();
                        prop_assert_eq!(registry.ungroup(&group(n)), left);
                    }
                    Command::Keep(c, n) => if let Some(slot) = slot(&registry, c) {
                        *registry.session_of(slot).unwrap() = Some(session(n));
                        model.get_mut(&c).unwrap().session = Some(n);
                    },
                }
                prop_assert_eq!(registry.len(), model.len());
                let ids = |slots: &mut dyn Iterator<Item = Slot>| -> BTreeSet<u32> {
                    slots.map(|slot| registry.get(slot).unwrap().id).collect()
                };
                let where_ = |wanted: &dyn Fn(&Known) -> bool| -> BTreeSet<u32> {
                    model.iter().filter(|(_, known)| wanted(known)).map(|(id, _)| *id).collect()
                };
                prop_assert_eq!(ids(&mut registry.all()), where_(&|_| true));
                let hasher = RandomState::new();
                let mut groups = 0;
                for n in 0..3 {
                    let in_it = where_(&|known| known.groups.contains(&n));
                    groups += usize::from(!in_it.is_empty());
                    let uids: BTreeSet<_> = in_it.iter().filter_map(|id| model[id].uid).collect();
                    let without = in_it.iter().filter(|id| model[id].uid.is_none()).count();
                    prop_assert_eq!(registry.people(&group(n), &hasher).count() as usize, uids.len() + without);
                    prop_assert_eq!(registry.of_group(&group(n)).count(), in_it.len());
                    prop_assert_eq!(ids(&mut registry.of_group(&group(n))), in_it);
                    prop_assert_eq!(ids(&mut registry.of_uid(&uid(n))), where_(&|known| known.uid == Some(n)));
                }
                prop_assert_eq!(registry.group_count(), groups);
                for (id, known) in &model {
                    let member = registry.get(registry.slot_of(*id).unwrap()).unwrap();
                    prop_assert_eq!(&member.uid, &known.uid.map(uid));
                    let groups: HashSet<_> = known.groups.iter().map(|n| group(*n)).collect();
                    prop_assert_eq!(member.groups().cloned().collect::<HashSet<_>>(), groups);
                    prop_assert_eq!(&member.session, &known.session.map(session));
                }
            }
            for slot in registry.all().collect::<Vec<_>>() { registry.remove(slot); }
            prop_assert!(registry.groups.is_empty() && registry.uids.is_empty() && registry.ids.is_empty());
        }
    }
}
