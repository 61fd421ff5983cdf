//! The registry against a model: random commands leave both with the same content.

use super::*;
use crate::server::gateway::PeopleKey;
use crate::server::gateway::live_groups::LiveGroups;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
enum Command {
    Connect(u32),
    Remove(u32),
    Unlink(u32),
    Bind(u32, u8),
    Unbind(u32),
    Join(u32, u8),
    Read(u32, u8),
    Leave(u32, u8),
    Ungroup(u8),
    Keep(u32, u8),
    JoinStaff(u32, u8, u8),
    LeaveStaff(u32, u8),
}

fn command() -> impl Strategy<Value = Command> {
    let (id, name) = (1..6u32, 0..3u8);
    prop_oneof![
        3 => id.clone().prop_map(Command::Connect),
        1 => id.clone().prop_map(Command::Remove),
        1 => id.clone().prop_map(Command::Unlink),
        3 => (id.clone(), name.clone()).prop_map(|(c, n)| Command::Bind(c, n)),
        1 => id.clone().prop_map(Command::Unbind),
        4 => (id.clone(), name.clone()).prop_map(|(c, n)| Command::Join(c, n)),
        3 => (id.clone(), name.clone()).prop_map(|(c, n)| Command::Read(c, n)),
        2 => (id.clone(), name.clone()).prop_map(|(c, n)| Command::Leave(c, n)),
        1 => name.clone().prop_map(Command::Ungroup),
        1 => (id.clone(), name.clone()).prop_map(|(c, n)| Command::Keep(c, n)),
        4 => (id.clone(), name.clone(), name.clone()).prop_map(|(c, u, n)| Command::JoinStaff(c, u, n)),
        1 => (id, name).prop_map(|(c, n)| Command::LeaveStaff(c, n)),
    ]
}

/// The model: one list of connections with everything known of each.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Known {
    uid: Option<u8>,
    /// Each with the time of joining.
    groups: BTreeMap<u8, LogicalTime>,
    /// Those of the groups that it joined as a reader only.
    reads: BTreeSet<u8>,
    /// Groups of whose staff it is.
    staff: BTreeSet<u8>,
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

type Model = BTreeMap<u32, Known>;

/// Groups that a connection of the model reads at most.
const MAX_READS: usize = 2;

/// The visitor of a connection: some have none, and some share one.
fn visitor(c: u32) -> Option<Visitor> {
    (!c.is_multiple_of(3)).then_some(Visitor([c as u8 % 3; 32]))
}

/// Runs a command on both, and compares their results.
fn apply(command: Command, now: LogicalTime, registry: &mut Registry, model: &mut Model) -> Result<(), TestCaseError> {
    let slot = |registry: &Registry, id: u32| registry.slot_of(id);
    match command {
        Command::Connect(c) => {
            if let Some(slot) = slot(registry, c) {
                registry.remove(slot);
            }
            model.insert(c, Known::default());
            registry.insert(c, visitor(c), now);
        }
        Command::Remove(c) => {
            let known = model.remove(&c).is_some();
            prop_assert_eq!(slot(registry, c).map(|slot| registry.remove(slot)).is_some(), known);
        }
        Command::Unlink(c) => {
            let known = model.remove(&c).is_some();
            prop_assert_eq!(slot(registry, c).is_some_and(|slot| registry.unlink(slot)), known);
        }
        Command::Ungroup(n) => {
            model.values_mut().for_each(|known| _ = known.staff.remove(&n));
            let left = model.values_mut().filter_map(|known| (known.reads.remove(&n), known.groups.remove(&n)).1).count();
            prop_assert_eq!(registry.ungroup(&group(n)), left);
        }
        Command::Bind(c, ..)
        | Command::Unbind(c)
        | Command::Join(c, ..)
        | Command::Read(c, ..)
        | Command::Leave(c, ..)
        | Command::JoinStaff(c, ..)
        | Command::LeaveStaff(c, ..)
        | Command::Keep(c, ..) => {
            if let (Some(slot), Some(known)) = (slot(registry, c), model.get_mut(&c)) {
                apply_to_one(command, now, registry, slot, known)?;
            }
        }
    }
    Ok(())
}

/// The commands that concern one connection.
fn apply_to_one(
    command: Command,
    now: LogicalTime,
    registry: &mut Registry,
    slot: Slot,
    known: &mut Known,
) -> Result<(), TestCaseError> {
    match command {
        Command::Bind(_, n) => {
            registry.bind_uid(slot, &uid(n), now);
            if known.uid != Some(n) {
                known.staff.clear();
            }
            known.uid = Some(n);
        }
        Command::Unbind(_) => {
            registry.unbind_uid(slot);
            known.uid = None;
            known.staff.clear();
        }
        Command::Join(_, n) => {
            prop_assert_eq!(registry.join_group(slot, &group(n), now), !known.groups.contains_key(&n));
            known.groups.entry(n).or_insert(now);
            known.reads.remove(&n);
        }
        Command::Read(_, n) => {
            let is_permitted = known.reads.len() - usize::from(known.reads.contains(&n)) < MAX_READS;
            prop_assert_eq!(registry.join_as_reader(slot, &group(n), MAX_READS, now), is_permitted);
            if is_permitted && !known.groups.contains_key(&n) {
                known.groups.insert(n, now);
                known.reads.insert(n);
            }
        }
        Command::Leave(_, n) => {
            prop_assert_eq!(registry.leave_group(slot, &group(n)), known.groups.remove(&n).is_some());
            known.reads.remove(&n);
            known.staff.remove(&n);
        }
        Command::JoinStaff(_, u, n) => {
            let is_permitted = known.uid == Some(u) && known.groups.contains_key(&n);
            prop_assert_eq!(registry.join_staff(slot, &uid(u), &group(n)), is_permitted);
            if is_permitted {
                known.staff.insert(n);
            }
        }
        Command::LeaveStaff(_, n) => {
            prop_assert_eq!(registry.staff.leave(slot, &group(n)), known.staff.remove(&n));
        }
        Command::Keep(_, n) => {
            *registry.session_of(slot).unwrap() = Some(session(n));
            known.session = Some(n);
        }
        Command::Connect(_) | Command::Remove(_) | Command::Unlink(_) | Command::Ungroup(_) => {}
    }
    Ok(())
}

fn ids(registry: &Registry, slots: impl Iterator<Item = Slot>) -> BTreeSet<u32> {
    slots.map(|slot| registry.get(slot).unwrap().connection_id()).collect()
}

fn compare_groups_and_uids(registry: &Registry, model: &Model) -> Result<(), TestCaseError> {
    let with = |wanted: &dyn Fn(&Known) -> bool| -> BTreeSet<u32> {
        model.iter().filter(|(_, known)| wanted(known)).map(|(id, _)| *id).collect()
    };
    let key = PeopleKey::new(&[7; 16]);
    let mut groups = 0;
    for n in 0..3 {
        let members = with(&|known| known.groups.contains_key(&n));
        groups += usize::from(!members.is_empty());
        let uids: BTreeSet<_> = members.iter().filter_map(|id| model[id].uid).collect();
        let visitors = |has_uid: bool| -> BTreeSet<_> {
            let members = members.iter().filter(|id| model[id].uid.is_some() == has_uid);
            members.filter_map(|id| visitor(*id)).map(|visitor| visitor.number()).collect()
        };
        let readers = visitors(false).difference(&visitors(true)).count();
        let nobody = members.iter().filter(|id| model[id].uid.is_none() && visitor(**id).is_none()).count();
        prop_assert_eq!(registry.people(&group(n), &key).count() as usize, uids.len() + readers + nobody);
        prop_assert_eq!(registry.of_group(&group(n)).count(), members.len());
        for (slot, since) in registry.of_group_with_joined_at(&group(n)) {
            prop_assert_eq!(model[&registry.get(slot).unwrap().connection_id()].groups[&n], since);
        }
        prop_assert_eq!(ids(registry, registry.of_group(&group(n))), members);
        prop_assert_eq!(ids(registry, registry.staff.of_group(&group(n))), with(&|known| known.staff.contains(&n)));
        prop_assert_eq!(ids(registry, registry.of_uid(&uid(n))), with(&|known| known.uid == Some(n)));
    }
    prop_assert_eq!(registry.group_count(), groups);
    prop_assert_eq!(ids(registry, registry.all()), with(&|_| true));
    Ok(())
}

fn compare_connections(registry: &Registry, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(registry.len(), model.len());
    for (id, known) in model {
        let member = registry.get(registry.slot_of(*id).unwrap()).unwrap();
        prop_assert_eq!(member.uid().cloned(), known.uid.map(uid));
        let is_given = known.uid.is_some() || known.session.is_some() || known.groups.len() > known.reads.len();
        prop_assert_eq!(member.is_given(), is_given);
        let mut groups: Vec<_> = known.groups.iter().map(|(n, since)| (since.0, group(*n))).collect();
        groups.sort();
        let groups: Vec<_> = groups.into_iter().map(|(_, group)| group).collect();
        prop_assert_eq!(member.groups().cloned().collect::<Vec<_>>(), groups);
        prop_assert_eq!(member.session().cloned(), known.session.map(session));
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_tables_equal_the_model(commands in prop::collection::vec(command(), 0..80)) {
        let live = LiveGroups::new(1);
        live.track();
        let (mut registry, mut model) = (Registry::new(live.of_shard(0)), Model::new());
        for (now, command) in commands.into_iter().enumerate() {
            apply(command, LogicalTime(now as u32), &mut registry, &mut model)?;
            compare_groups_and_uids(&registry, &model)?;
            compare_connections(&registry, &model)?;
            prop_assert_eq!(live.names(), registry.group_ids.keys().cloned().collect());
        }
        for slot in registry.all().collect::<Vec<_>>() { registry.remove(slot); }
        prop_assert!(registry.groups.is_empty() && registry.group_ids.is_empty() && registry.uids.is_empty() && registry.ids.is_empty());
        prop_assert!(registry.staff.is_empty());
    }
}
