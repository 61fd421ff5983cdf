//! The staff of a group among its members. A table of its own beside the groups: no verb that takes, lists or counts groups can
//! reach it, so no back end can join it, read its size or send to it.
//!
//! A staff connection is bound to a uid and is in the group. It leaves the staff when it loses its uid, leaves the group or
//! closes. Only `roomcast.v1` receives what is sent to the staff.

use super::publish::Target;
use super::registry::{Registry, Slot};
use super::{Except, Frame, Gateway, Group, Publication, Uid};
use crate::domain::id::ClientId;
use std::collections::{HashMap, HashSet};

/// The staff connections of one shard. Few: two plain lists an entry.
#[derive(Default)]
pub(super) struct Staff {
    by_group: HashMap<Group, Vec<Slot>>,
    by_slot: HashMap<Slot, Vec<Group>>,
}

impl Staff {
    /// Returns the staff connections of a group.
    pub(super) fn of_group(&self, group: &Group) -> impl Iterator<Item = Slot> {
        self.by_group.get(group).into_iter().flatten().copied()
    }

    fn join(&mut self, slot: Slot, group: &Group) {
        let groups = self.by_slot.entry(slot).or_default();
        if !groups.contains(group) {
            let group = group.to_owned_copy();
            groups.push(group.clone());
            self.by_group.entry(group).or_default().push(slot);
        }
    }

    /// Removes a connection from the staff of a group; returns false if it was not in it.
    pub(super) fn leave(&mut self, slot: Slot, group: &Group) -> bool {
        let Some(groups) = self.by_slot.get_mut(&slot) else { return false };
        let before = groups.len();
        groups.retain(|joined| joined != group);
        let has_left = groups.len() < before;
        if groups.is_empty() {
            self.by_slot.remove(&slot);
        }
        self.remove_from_group(slot, group);
        has_left
    }

    /// Removes a connection from the staff of all groups.
    pub(super) fn leave_all(&mut self, slot: Slot) {
        for group in self.by_slot.remove(&slot).unwrap_or_default() {
            self.remove_from_group(slot, &group);
        }
    }

    /// Removes all staff of a group.
    pub(super) fn dissolve(&mut self, group: &Group) {
        for slot in self.by_group.get(group).cloned().unwrap_or_default() {
            self.leave(slot, group);
        }
    }

    fn remove_from_group(&mut self, slot: Slot, group: &Group) {
        if let Some(slots) = self.by_group.get_mut(group) {
            slots.retain(|joined| *joined != slot);
            if slots.is_empty() {
                self.by_group.remove(group);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_group.is_empty() && self.by_slot.is_empty()
    }
}

impl Registry {
    /// Adds a connection to the staff of a group. Returns false, and adds it not, if it is not bound to `uid` or not in the
    /// group.
    pub(super) fn join_staff(&mut self, slot: Slot, uid: &Uid, group: &Group) -> bool {
        let is_member =
            |member: super::ConnectionView<'_>| member.uid() == Some(uid) && member.groups().any(|joined| joined == group);
        let is_permitted = self.get(slot).is_some_and(is_member);
        if is_permitted {
            self.staff.join(slot, group);
        }
        is_permitted
    }
}

impl Gateway {
    /// Adds the connection to the staff of a group. Returns false, and adds it not, if it is not bound to `uid` or not in the
    /// group. The caller has checked the rank of the uid, and checks it once more afterwards: a rank that is revoked in between
    /// is followed by [`Gateway::leave_staff`], which may have come too early for this connection.
    pub async fn join_staff(&self, client: ClientId, uid: Uid, group: Group) -> bool {
        self.on_client(client, move |shard, slot, _| shard.registry.join_staff(slot, &uid, &group)).await.unwrap_or(false)
    }

    /// Adds every connection of a uid that is in a group to the staff of that group, and returns their number. The caller calls this and
    /// [`Gateway::leave_staff`] in the order in which the rank was granted and revoked.
    pub async fn join_staff_of_uid(&self, uid: Uid, group: Group) -> usize {
        self.sum_over_shards(move |shard, _| {
            let slots = shard.of_uid(&uid);
            slots.into_iter().filter(|slot| shard.registry.join_staff(*slot, &uid, &group)).count()
        })
        .await
    }

    /// Removes every connection of a uid from the staff of a group and returns their number.
    pub async fn leave_staff(&self, uid: Uid, group: Group) -> usize {
        self.sum_over_shards(move |shard, _| {
            let slots = shard.of_uid(&uid);
            slots.into_iter().filter(|slot| shard.registry.staff.leave(*slot, &group)).count()
        })
        .await
    }

    /// Returns every uid of the staff with its group, each once.
    pub async fn staff(&self) -> HashSet<(Uid, Group)> {
        let staff = self.on_all_shards(|shard, _| {
            let registry = &shard.registry;
            let of_slot = |(slot, groups): (&Slot, &Vec<Group>)| {
                let uid = registry.get(*slot).and_then(|member| member.uid().cloned());
                uid.into_iter().flat_map(|uid| groups.iter().map(move |group| (uid.clone(), group.clone()))).collect::<Vec<_>>()
            };
            registry.staff.by_slot.iter().flat_map(of_slot).collect::<Vec<_>>()
        });
        staff.await.into_iter().flatten().collect()
    }

    /// Sends a frame to the staff of a group, on `roomcast.v1` only. It is not forwarded to the old process after a reload, which would
    /// not learn of a moderator that is revoked; its sockets bind again soon.
    pub async fn send_to_staff(&self, group: Group, frame: Frame) -> super::Sent {
        self.publish_here(Target::Staff(group), Except::default(), Publication::v1(frame)).await
    }
}
