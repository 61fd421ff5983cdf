//! What may be asked of the gateway: who is here, under which name, in which group. Each shard answers for its own; the
//! answers are laid together here.

use super::handle::Gateway;
use super::metrics::ShardStats;
use super::registry::{Member, People, Slot};
use super::shard::Shard;
use super::stream::Socket;
use super::{Dialect, Group, LogicalTime, Uid};
use crate::domain::id::ClientId;
use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;

/// Which connections; each is counted once, however often it is named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    All,
    /// Members of any of them.
    Groups(Vec<Group>),
    /// Connections of any of these people.
    Uids(Vec<Uid>),
    Clients(Vec<ClientId>),
}

impl Selection {
    /// No name twice: each brings all who have it.
    fn each_once(self) -> Self {
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

/// A line of `roomcast connections`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectionLine {
    pub client_id: ClientId,
    pub shard: usize,
    pub address: IpAddr,
    pub dialect: String,
    pub uid: Option<String>,
    pub groups: Vec<String>,
    pub queued_bytes: usize,
    pub sent_bytes: u64,
    pub age_s: u64,
}

/// A line of `roomcast status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShardLine {
    pub connections: usize,
    pub groups: usize,
    #[serde(flatten)]
    pub counted: ShardStats,
}

impl Gateway {
    /// Of each of them whatever `pick` takes, so that nothing is copied that nobody wants. In PHP's order: everyone by when
    /// they came, groups and people as they are named, and within by when they joined or were bound.
    pub async fn select<T: Send + 'static>(
        &self,
        selection: Selection,
        pick: impl Fn(ClientId, Member<'_>) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let (now, selection) = (self.logical_now(), selection.each_once());
        let found = self.all(move |shard, _| {
            let pick = |(rank, slot)| Some((rank, pick(shard.client_id(slot)?, shard.registry.get(slot)?)));
            ranked(shard, &selection, now).into_iter().filter_map(pick).collect::<Vec<_>>()
        });
        let mut rows: Vec<_> = found.await.into_iter().flatten().collect();
        rows.sort_by_key(|(rank, _)| *rank);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// The same of one. `None`: no such connection here.
    pub async fn look<T: Send + 'static>(
        &self,
        client: ClientId,
        pick: impl FnOnce(Member<'_>) -> T + Send + 'static,
    ) -> Option<T> {
        self.on(client, |shard, slot, _| shard.registry.get(slot).map(pick)).await.flatten()
    }

    pub async fn client_ids(&self, selection: Selection) -> Vec<ClientId> {
        self.select(selection, |id, _| id).await
    }

    pub async fn client_count(&self, selection: Selection) -> usize {
        let selection = selection.each_once();
        self.sum(move |shard, _| match &selection {
            Selection::All => shard.registry.len(),
            selection => slots(shard, selection).len(),
        })
        .await
    }

    /// Each asked uid with its connections, none if it is offline; in the order in which they were asked.
    pub async fn client_ids_by_uid(&self, uids: Vec<Uid>) -> IndexMap<Uid, Vec<ClientId>> {
        let mut found: IndexMap<_, _> = uids.iter().map(|uid| (uid.clone(), Vec::new())).collect();
        for (id, uid) in self.select(Selection::Uids(uids), |id, member| (id, member.uid().cloned())).await {
            if let Some(clients) = uid.and_then(|uid| found.get_mut(&uid)) {
                clients.push(id);
            }
        }
        found
    }

    pub async fn is_uid_online(&self, uid: Uid) -> bool {
        self.client_count(Selection::Uids(vec![uid])).await > 0
    }

    /// The distinct people among them; connections without uid are left out.
    pub async fn uids(&self, selection: Selection) -> BTreeSet<Uid> {
        let selection = selection.each_once();
        let uids = self.all(move |shard, _| {
            let uid = |slot| shard.registry.get(slot).and_then(|member| member.uid().cloned());
            slots(shard, &selection).into_iter().filter_map(uid).collect::<HashSet<_>>()
        });
        uids.await.into_iter().flatten().collect()
    }

    /// Every group with its number of connections, by when the first of them joined.
    pub async fn groups(&self) -> IndexMap<Group, usize> {
        let now = self.logical_now();
        let groups = move |shard: &mut Shard<Socket>, _| -> Vec<_> {
            shard.registry.groups().map(|(group, count, since)| (rank(0, since, now), group.clone(), count)).collect()
        };
        let mut found = self.all(groups).await.concat();
        found.sort_by_key(|(rank, ..)| *rank);
        let mut all = IndexMap::new();
        for (_, group, count) in found {
            *all.entry(group).or_default() += count;
        }
        all
    }

    pub async fn client_count_by_group(&self, groups: Vec<Group>) -> Vec<(Group, usize)> {
        let asked = groups.clone();
        let count = move |shard: &mut Shard<Socket>, _| -> Vec<_> {
            asked.iter().map(|group| shard.registry.of_group(group).count()).collect()
        };
        let counts: Vec<Vec<usize>> = self.all(count).await;
        let sum = |place: usize| counts.iter().filter_map(|counts| counts.get(place)).sum();
        groups.into_iter().enumerate().map(|(place, group)| (group, sum(place))).collect()
    }

    pub async fn groups_of(&self, client: ClientId) -> Option<Vec<Group>> {
        self.look(client, |member| member.groups().cloned().collect()).await
    }

    /// Groups whose people may have changed since the last call, each with how many they are now: a uid counts once
    /// however many connections it has, a connection without uid counts as one.
    pub async fn take_changed_groups(&self) -> HashMap<Group, u32> {
        let changed: HashSet<_> = self.all(|shard, _| shard.registry.take_changed()).await.into_iter().flatten().collect();
        if changed.is_empty() {
            return HashMap::new();
        }
        let (groups, hasher): (Vec<_>, _) = (changed.into_iter().collect(), self.hasher().clone());
        let asked = groups.clone();
        let people =
            self.all(move |shard, _| asked.iter().map(|group| shard.registry.people(group, &hasher)).collect::<Vec<_>>());
        let mut counts: Vec<People> = groups.iter().map(|_| People::default()).collect();
        for people in people.await {
            counts.iter_mut().zip(people).for_each(|(all, of_shard)| all.merge(of_shard));
        }
        groups.into_iter().zip(counts).map(|(group, people)| (group, people.count())).collect()
    }

    pub async fn shard_lines(&self) -> Vec<ShardLine> {
        self.all(|shard, _| ShardLine {
            connections: shard.registry.len(),
            groups: shard.registry.group_count(),
            counted: shard.figures.counted,
        })
        .await
    }

    /// At most `limit` of each shard.
    pub async fn connection_lines(&self, limit: usize) -> Vec<ConnectionLine> {
        let lines = self.all(move |shard, now| {
            let line = |slot: Slot| {
                let (member, connection) = (shard.registry.get(slot)?, shard.get(slot)?);
                Some(ConnectionLine {
                    client_id: shard.client_id(slot)?,
                    shard: shard.index(),
                    address: connection.permit.address,
                    dialect: if connection.dialect == Dialect::V1 { "v1".into() } else { "plain".into() },
                    uid: member.uid().map(|uid| uid.as_text().into_owned()),
                    groups: member.groups().map(|group| group.as_text().into_owned()).collect(),
                    queued_bytes: connection.outbox.unsent_bytes(),
                    sent_bytes: connection.sent_bytes,
                    age_s: shard.age(connection, now).as_secs(),
                })
            };
            shard.registry.all().take(limit).filter_map(line).collect::<Vec<_>>()
        });
        lines.await.into_iter().flatten().collect()
    }
}

/// Each once.
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

/// A place in an answer: which of the names it was found under, and then the oldest first.
type Rank = (usize, u32);

fn rank(which: usize, since: LogicalTime, now: LogicalTime) -> Rank {
    (which, u32::MAX - since.age(now))
}

/// Each once, where it is found first.
fn ranked(shard: &Shard<Socket>, selection: &Selection, now: LogicalTime) -> Vec<(Rank, Slot)> {
    let registry = &shard.registry;
    let rank = |which: usize| move |(slot, since): (Slot, LogicalTime)| (rank(which, since, now), slot);
    let (found, names): (Vec<_>, usize) = match selection {
        Selection::All => (registry.all_since().map(rank(0)).collect(), 1),
        Selection::Groups(groups) => {
            let members = |(which, group)| registry.of_group_since(group).map(rank(which));
            (groups.iter().enumerate().flat_map(members).collect(), groups.len())
        }
        Selection::Uids(uids) => {
            let bound = |(which, uid)| registry.of_uid_since(uid).map(rank(which));
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
