//! Queries: connections, uids, groups and their counts. Each shard answers for its own connections, and the answers are
//! merged here.

use super::handle::Gateway;
use super::metrics::ShardStats;
use super::people::{People, PeopleKey};
use super::registry::{ConnectionView, Slot};
use super::shard::Shard;
use super::stream::Socket;
use super::{Dialect, Group, LogicalTime, Uid};
use crate::domain::id::ClientId;
use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;
use std::net::IpAddr;

/// The connections of a query; each is returned once, however often it is named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// All connections of the node.
    All,
    /// Members of any of these groups.
    Groups(Vec<Group>),
    /// Connections of any of these uids.
    Uids(Vec<Uid>),
    /// These connections.
    Clients(Vec<ClientId>),
}

impl Selection {
    /// Removes repeated names.
    fn deduplicated(self) -> Self {
        fn once<T: Hash + Eq>(names: Vec<T>) -> Vec<T> {
            names.into_iter().collect::<IndexSet<_>>().into_iter().collect()
        }
        match self {
            Self::All => Self::All,
            Self::Groups(groups) => Self::Groups(once(groups)),
            Self::Uids(uids) => Self::Uids(once(uids)),
            Self::Clients(clients) => Self::Clients(once(clients)),
        }
    }
}

/// One connection in `roomcast connections`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// The connection.
    pub client_id: ClientId,
    /// Index of its shard.
    pub shard: usize,
    /// The peer's address.
    pub address: IpAddr,
    /// `v1` or `plain`.
    pub dialect: String,
    /// The uid, if it is bound.
    pub uid: Option<String>,
    /// Its groups, in joining order.
    pub groups: Vec<String>,
    /// Unsent bytes.
    pub queued_bytes: usize,
    /// Bytes sent since it was opened.
    pub sent_bytes: u64,
    /// Seconds since it was opened.
    pub age_s: u64,
}

/// One shard in `roomcast status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShardStatus {
    /// Open connections.
    pub connections: usize,
    /// Groups with members on this shard.
    pub groups: usize,
    /// The shard's counters.
    #[serde(flatten)]
    pub stats: ShardStats,
}

impl Gateway {
    /// Returns the value of `pick` for each connection, so that only the wanted data is copied. In PHP's order: all by opening
    /// time; groups and uids in the order of the selection, and within them by joining or binding time.
    pub async fn select<T: Send + 'static>(
        &self,
        selection: Selection,
        pick: impl Fn(ClientId, ConnectionView<'_>) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let (now, selection) = (self.logical_now(), selection.deduplicated());
        let found = self.on_all_shards(move |shard, _| {
            let pick = |(rank, slot)| Some((rank, pick(shard.client_id(slot)?, shard.registry.get(slot)?)));
            ranked(shard, &selection, now).into_iter().filter_map(pick).collect::<Vec<_>>()
        });
        let mut rows: Vec<_> = found.await.into_iter().flatten().collect();
        rows.sort_by_key(|(rank, _)| *rank);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// Returns the value of `pick` for one connection. `None`: no such connection on this node.
    pub async fn inspect<T: Send + 'static>(
        &self,
        client: ClientId,
        pick: impl FnOnce(ConnectionView<'_>) -> T + Send + 'static,
    ) -> Option<T> {
        self.on_client(client, |shard, slot, _| shard.registry.get(slot).map(pick)).await.flatten()
    }

    /// Returns the ids of the connections.
    pub async fn client_ids(&self, selection: Selection) -> Vec<ClientId> {
        self.select(selection, |id, _| id).await
    }

    /// Returns the number of connections.
    pub async fn client_count(&self, selection: Selection) -> usize {
        let selection = selection.deduplicated();
        self.sum_over_shards(move |shard, _| match &selection {
            Selection::All => shard.registry.len(),
            selection => slots(shard, selection).len(),
        })
        .await
    }

    /// Returns the connections of each uid, in the order of `uids`; an empty list for one that is offline.
    pub async fn client_ids_by_uid(&self, uids: Vec<Uid>) -> IndexMap<Uid, Vec<ClientId>> {
        let mut found: IndexMap<_, _> = uids.iter().map(|uid| (uid.clone(), Vec::new())).collect();
        for (id, uid) in self.select(Selection::Uids(uids), |id, member| (id, member.uid().cloned())).await {
            if let Some(clients) = uid.and_then(|uid| found.get_mut(&uid)) {
                clients.push(id);
            }
        }
        found
    }

    /// Whether the uid has a connection.
    pub async fn is_uid_online(&self, uid: Uid) -> bool {
        self.client_count(Selection::Uids(vec![uid])).await > 0
    }

    /// Returns the distinct uids of the connections; connections without a uid are left out.
    pub async fn uids(&self, selection: Selection) -> BTreeSet<Uid> {
        let selection = selection.deduplicated();
        let uids = self.on_all_shards(move |shard, _| {
            let uid = |slot| shard.registry.get(slot).and_then(|member| member.uid().cloned());
            slots(shard, &selection).into_iter().filter_map(uid).collect::<HashSet<_>>()
        });
        uids.await.into_iter().flatten().collect()
    }

    /// Returns every group with its number of connections, by the joining time of its first member.
    pub async fn groups(&self) -> IndexMap<Group, usize> {
        let now = self.logical_now();
        let groups = move |shard: &mut Shard<Socket>, _| -> Vec<_> {
            shard.registry.groups().map(|(group, count, since)| (rank(0, since, now), group.clone(), count)).collect()
        };
        let mut found = self.on_all_shards(groups).await.concat();
        found.sort_by_key(|(rank, ..)| *rank);
        let mut all = IndexMap::new();
        for (_, group, count) in found {
            *all.entry(group).or_default() += count;
        }
        all
    }

    /// Returns the number of connections of each group, in the order of `groups`.
    pub async fn client_count_by_group(&self, groups: Vec<Group>) -> Vec<(Group, usize)> {
        let names = groups.clone();
        let count = move |shard: &mut Shard<Socket>, _| -> Vec<_> {
            names.iter().map(|group| shard.registry.of_group(group).count()).collect()
        };
        let counts: Vec<Vec<usize>> = self.on_all_shards(count).await;
        let sum = |place: usize| counts.iter().filter_map(|counts| counts.get(place)).sum();
        groups.into_iter().enumerate().map(|(place, group)| (group, sum(place))).collect()
    }

    /// Returns the groups of a connection, in joining order. `None`: no such connection on this node.
    pub async fn groups_of(&self, client: ClientId) -> Option<Vec<Group>> {
        self.inspect(client, |member| member.groups().cloned().collect()).await
    }

    /// Keeps the groups with members for [`Gateway::has_members`]. It is called before the first connection.
    pub fn track_groups(&self) {
        self.0.live_groups.track();
    }

    /// Whether a publish to the group may reach anybody: a member, or the old process after a reload. Does not wait; false before
    /// [`Gateway::track_groups`].
    pub fn has_members(&self, group: &Group) -> bool {
        self.0.live_groups.contains(group) || self.0.relay.is_attached()
    }

    /// Returns the groups with members on this node; none before [`Gateway::track_groups`].
    pub fn live_groups(&self) -> HashSet<Group> {
        self.0.live_groups.names()
    }

    /// Returns the groups whose people may have changed since the last call.
    pub async fn take_changed_groups(&self) -> HashSet<Group> {
        self.on_all_shards(|shard, _| shard.registry.take_changed()).await.into_iter().flatten().collect()
    }

    /// Returns the people of each group, in the order of `groups`. It looks at every member.
    pub async fn people(&self, groups: Vec<Group>, key: PeopleKey) -> Vec<People> {
        if groups.is_empty() {
            return Vec::new();
        }
        let mut merged: Vec<People> = groups.iter().map(|_| People::default()).collect();
        let people =
            self.on_all_shards(move |shard, _| groups.iter().map(|group| shard.registry.people(group, &key)).collect::<Vec<_>>());
        for people in people.await {
            merged.iter_mut().zip(people).for_each(|(all, of_shard)| all.merge(of_shard));
        }
        merged
    }

    /// Returns the state of each shard.
    pub async fn shard_statuses(&self) -> Vec<ShardStatus> {
        self.on_all_shards(|shard, _| ShardStatus {
            connections: shard.registry.len(),
            groups: shard.registry.group_count(),
            stats: shard.metrics.stats,
        })
        .await
    }

    /// Returns the state of at most `limit` connections per shard.
    pub async fn connection_statuses(&self, limit: usize) -> Vec<ConnectionStatus> {
        let lines = self.on_all_shards(move |shard, now| {
            let line = |slot: Slot| {
                let (member, connection) = (shard.registry.get(slot)?, shard.get(slot)?);
                Some(ConnectionStatus {
                    client_id: shard.client_id(slot)?,
                    shard: shard.index(),
                    address: connection.permit.address,
                    dialect: if connection.dialect == Dialect::V1 { "v1".into() } else { "plain".into() },
                    uid: member.uid().map(|uid| uid.as_text().into_owned()),
                    groups: member.groups().map(|group| group.as_text().into_owned()).collect(),
                    queued_bytes: connection.send_queue.unsent_bytes(),
                    sent_bytes: connection.sent_bytes,
                    age_s: shard.age(connection, now).as_secs(),
                })
            };
            shard.registry.all().take(limit).filter_map(line).collect::<Vec<_>>()
        });
        lines.await.into_iter().flatten().collect()
    }
}

/// The slots of a selection, each once.
fn slots(shard: &Shard<Socket>, selection: &Selection) -> Vec<Slot> {
    let registry = &shard.registry;
    match selection {
        Selection::All => registry.all().collect(),
        Selection::Groups(groups) if groups.len() == 1 => registry.of_group(&groups[0]).collect(),
        Selection::Groups(groups) => {
            groups.iter().flat_map(|group| registry.of_group(group)).collect::<BTreeSet<_>>().into_iter().collect()
        }
        Selection::Uids(uids) => uids.iter().flat_map(|uid| registry.of_uid(uid)).collect::<BTreeSet<_>>().into_iter().collect(),
        Selection::Clients(clients) => {
            let slots = clients.iter().filter_map(|client| shard.slot_of(*client));
            slots.collect::<BTreeSet<_>>().into_iter().collect()
        }
    }
}

/// Sort key of a result: index of the name it was found under, then its age, oldest first.
type Rank = (usize, u32);

fn rank(which: usize, since: LogicalTime, now: LogicalTime) -> Rank {
    (which, u32::MAX - since.age(now))
}

/// The slots of a selection with their sort keys, each once, under the first name that matches.
fn ranked(shard: &Shard<Socket>, selection: &Selection, now: LogicalTime) -> Vec<(Rank, Slot)> {
    let registry = &shard.registry;
    let rank = |which: usize| move |(slot, since): (Slot, LogicalTime)| (rank(which, since, now), slot);
    let (found, names): (Vec<_>, usize) = match selection {
        Selection::All => (registry.all_with_opened_at().map(rank(0)).collect(), 1),
        Selection::Groups(groups) => {
            let members = |(which, group)| registry.of_group_with_joined_at(group).map(rank(which));
            (groups.iter().enumerate().flat_map(members).collect(), groups.len())
        }
        Selection::Uids(uids) => {
            let bound = |(which, uid)| registry.of_uid_with_bound_at(uid).map(rank(which));
            (uids.iter().enumerate().flat_map(bound).collect(), uids.len())
        }
        Selection::Clients(clients) => {
            let named = |(which, client): (usize, &ClientId)| Some(((which, 0), shard.slot_of(*client)?));
            (clients.iter().enumerate().filter_map(named).collect(), clients.len())
        }
    };
    if names <= 1 {
        return found;
    }
    let mut seen = HashSet::new();
    found.into_iter().filter(|(_, slot)| seen.insert(*slot)).collect()
}
