//! The tables: connections, and by which uid, group and owner they are found. Plain maps; the caller holds the lock.

use super::{Group, Owner, outbox::Outbox};
use crate::domain::id::Uid;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub struct Entry {
    pub outbox: Arc<Outbox>,
    pub owner: Option<Owner>,
    uid: Option<Uid>,
    groups: Vec<Group>,
}

impl Entry {
    pub fn new(outbox: Arc<Outbox>, owner: Option<Owner>) -> Self {
        Self { outbox, owner, uid: None, groups: Vec::new() }
    }
}

#[derive(Default)]
struct Members {
    outboxes: HashMap<u32, Arc<Outbox>>,
    /// Connections of each uid in this group.
    uids: HashMap<Uid, u32>,
    without_uid: u32,
}

#[derive(Default)]
pub struct Registry {
    entries: HashMap<u32, Entry>,
    uids: HashMap<Uid, HashSet<u32>>,
    groups: HashMap<Group, Members>,
    changed: HashSet<Group>,
    draining: bool,
}

impl Registry {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_draining(&self) -> bool {
        self.draining
    }

    pub fn set_draining(&mut self) {
        self.draining = true;
    }

    /// A free connection id that cannot be guessed from another: drawn, not counted.
    pub fn draw_connection(&self, random: impl Fn() -> u32) -> u32 {
        loop {
            let connection = random();
            if connection != 0 && !self.entries.contains_key(&connection) {
                return connection;
            }
        }
    }

    pub fn insert(&mut self, connection: u32, entry: Entry) {
        self.entries.insert(connection, entry);
    }

    pub fn get(&self, connection: u32) -> Option<&Entry> {
        self.entries.get(&connection)
    }

    pub fn remove(&mut self, connection: u32) {
        let Some(entry) = self.entries.remove(&connection) else { return };
        for group in &entry.groups {
            self.leave(connection, group, entry.uid.as_ref());
        }
        if let Some(uid) = &entry.uid {
            self.forget_uid(connection, uid);
        }
    }

    pub fn bind_uid(&mut self, connection: u32, uid: &Uid) -> bool {
        let Some(entry) = self.entries.get_mut(&connection) else { return false };
        if entry.uid.as_ref() == Some(uid) {
            return true;
        }
        let before = entry.uid.replace(uid.clone());
        for group in entry.groups.clone() {
            if let Some(members) = self.groups.get_mut(&group) {
                members.uncount(before.as_ref());
                members.count(Some(uid));
                self.changed.insert(group);
            }
        }
        if let Some(before) = before {
            self.forget_uid(connection, &before);
        }
        self.uids.entry(uid.clone()).or_default().insert(connection);
        true
    }

    pub fn join_group(&mut self, connection: u32, group: &Group) -> bool {
        let Some(entry) = self.entries.get_mut(&connection) else { return false };
        if entry.groups.contains(group) {
            return true;
        }
        entry.groups.push(group.clone());
        let members = self.groups.entry(group.clone()).or_default();
        members.outboxes.insert(connection, entry.outbox.clone());
        members.count(entry.uid.as_ref());
        self.changed.insert(group.clone());
        true
    }

    pub fn leave_group(&mut self, connection: u32, group: &Group) -> bool {
        let Some(entry) = self.entries.get_mut(&connection) else { return false };
        let Some(place) = entry.groups.iter().position(|joined| joined == group) else { return false };
        entry.groups.swap_remove(place);
        let uid = entry.uid.clone();
        self.leave(connection, group, uid.as_ref());
        true
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Outbox>> {
        self.entries.values().map(|entry| &entry.outbox)
    }

    pub fn of_group(&self, group: &Group) -> impl Iterator<Item = &Arc<Outbox>> {
        self.groups.get(group).into_iter().flat_map(|members| members.outboxes.values())
    }

    pub fn of_uid(&self, uid: &Uid) -> impl Iterator<Item = &Arc<Outbox>> {
        let connections = self.uids.get(uid).into_iter().flatten();
        connections.filter_map(|connection| self.entries.get(connection)).map(|entry| &entry.outbox)
    }

    /// A look at every connection: sessions end rarely, so no table is kept for this.
    pub fn of_owner(&self, owner: Owner) -> impl Iterator<Item = &Arc<Outbox>> {
        self.entries.values().filter(move |entry| entry.owner == Some(owner)).map(|entry| &entry.outbox)
    }

    pub fn person_count(&self, group: &Group) -> u32 {
        self.groups.get(group).map_or(0, Members::person_count)
    }

    pub fn take_changed_groups(&mut self) -> HashMap<Group, u32> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|group| {
                let count = self.person_count(&group);
                (group, count)
            })
            .collect()
    }

    fn leave(&mut self, connection: u32, group: &Group, uid: Option<&Uid>) {
        let Some(members) = self.groups.get_mut(group) else { return };
        members.outboxes.remove(&connection);
        members.uncount(uid);
        if members.outboxes.is_empty() {
            self.groups.remove(group);
        }
        self.changed.insert(group.clone());
    }

    fn forget_uid(&mut self, connection: u32, uid: &Uid) {
        if let Some(connections) = self.uids.get_mut(uid) {
            connections.remove(&connection);
            if connections.is_empty() {
                self.uids.remove(uid);
            }
        }
    }
}

impl Members {
    fn person_count(&self) -> u32 {
        self.uids.len() as u32 + self.without_uid
    }

    fn count(&mut self, uid: Option<&Uid>) {
        match uid {
            Some(uid) => *self.uids.entry(uid.clone()).or_default() += 1,
            None => self.without_uid += 1,
        }
    }

    fn uncount(&mut self, uid: Option<&Uid>) {
        let Some(uid) = uid else {
            self.without_uid = self.without_uid.saturating_sub(1);
            return;
        };
        if let Some(connections) = self.uids.get_mut(uid) {
            *connections -= 1;
            if *connections == 0 {
                self.uids.remove(uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Command {
        Connect(u32),
        Remove(u32),
        Bind(u32, u8),
        Join(u32, u8),
        Leave(u32, u8),
    }

    fn command() -> impl Strategy<Value = Command> {
        let (connection, name) = (1..6u32, 0..3u8);
        prop_oneof![
            3 => connection.clone().prop_map(Command::Connect),
            1 => connection.clone().prop_map(Command::Remove),
            3 => (connection.clone(), name.clone()).prop_map(|(c, n)| Command::Bind(c, n)),
            4 => (connection.clone(), name.clone()).prop_map(|(c, n)| Command::Join(c, n)),
            2 => (connection, name).prop_map(|(c, n)| Command::Leave(c, n)),
        ]
    }

    /// The simplest thing that could be right: one list of connections with a uid and a set of groups each.
    type Model = std::collections::BTreeMap<u32, (Option<u8>, BTreeSet<u8>)>;

    proptest! {
        #[test]
        fn the_tables_agree_with_the_model(commands in prop::collection::vec(command(), 0..80)) {
            let (mut registry, mut model) = (Registry::default(), Model::new());
            let uid = |n: u8| format!("u{n}").parse::<Uid>().unwrap();
            let group = |n: u8| Group::new(&n.to_string());
            for command in commands {
                match command {
                    Command::Connect(c) => if model.insert(c, Default::default()).is_none() {
                        registry.insert(c, Entry::new(Arc::new(Outbox::new(1, Dialect::V1)), None));
                    } else {
                        registry.remove(c);
                        registry.insert(c, Entry::new(Arc::new(Outbox::new(1, Dialect::V1)), None));
                    },
                    Command::Remove(c) => { model.remove(&c); registry.remove(c); }
                    Command::Bind(c, n) => {
                        let known = model.get_mut(&c).map(|entry| entry.0 = Some(n)).is_some();
                        prop_assert_eq!(registry.bind_uid(c, &uid(n)), known);
                    }
                    Command::Join(c, n) => {
                        let known = model.get_mut(&c).map(|entry| entry.1.insert(n)).is_some();
                        prop_assert_eq!(registry.join_group(c, &group(n)), known);
                    }
                    Command::Leave(c, n) => {
                        let left = model.get_mut(&c).is_some_and(|entry| entry.1.remove(&n));
                        prop_assert_eq!(registry.leave_group(c, &group(n)), left);
                    }
                }
                prop_assert_eq!(registry.len(), model.len());
                for n in 0..3 {
                    let members: Vec<_> = model.values().filter(|entry| entry.1.contains(&n)).collect();
                    let persons = members.iter().filter_map(|entry| entry.0).collect::<BTreeSet<_>>().len()
                        + members.iter().filter(|entry| entry.0.is_none()).count();
                    prop_assert_eq!(registry.of_group(&group(n)).count(), members.len());
                    prop_assert_eq!(registry.person_count(&group(n)) as usize, persons);
                    prop_assert_eq!(registry.of_uid(&uid(n)).count(), model.values().filter(|entry| entry.0 == Some(n)).count());
                }
            }
            for c in 0..6 { registry.remove(c); }
            prop_assert!(registry.groups.is_empty() && registry.uids.is_empty());
        }
    }
}
