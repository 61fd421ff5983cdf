//! Presence: the number of people in a room, on all nodes, pushed to its pages at most once per second and only when it changed. The
//! first change after a quiet second is pushed at once, so that the page that just opened is counted before its reader looks.
//!
//! In a cluster each node tells its people on the subject `here`, and counts its own and those it heard of. While NATS is away, and
//! when a node is gone, what it told is forgotten after 3.5 s.

mod crowd;
mod due;
mod heard;
mod own;
mod ranking;

use crate::domain::{id::RoomId, id::Uid, push::Push};
use crate::server::bus::{Subject, Subscription};
use crate::server::cluster::Cluster;
use crate::server::gateway::{Except, Frame, Gateway, Group, PeopleKey, Publication};
use crate::server::storage::Store;
use due::Due;
use heard::{Heard, Run};
use own::Own;
use ranking::Ranking;
use std::collections::HashSet;
use std::iter;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// Shortest time between two counts of a room, and the longest between a change and its count.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Shortest time between two passes over the changed rooms, however many sockets are bound.
const PASS_EVERY: Duration = Duration::from_millis(100);
/// Time between two looks at which nodes live, in a cluster.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Subject of the people of each node.
const HERE: &str = "here";
/// Key in the table `facts` of the key of the hashes of uids, which all nodes share.
const KEY_FACT: &str = "people_key";

/// The last count of each room. Counting asks every shard, so pages and the lobby read this copy.
#[derive(Clone)]
pub(super) struct Presence(Arc<Shared>);

struct Shared {
    gateway: Gateway,
    cluster: Cluster,
    /// In a cluster it is known when the store has answered.
    key: OnceLock<PeopleKey>,
    counts: Mutex<Counts>,
    /// Notified when a socket was bound, and when another node told something.
    changed: Notify,
}

#[derive(Default)]
struct Counts {
    ranking: Ranking,
    /// The people of this node; nothing without a cluster.
    own: Own,
    heard: Heard,
    /// Rooms whose people on other nodes changed.
    changed_elsewhere: HashSet<RoomId>,
}

impl Presence {
    pub(super) fn new(gateway: Gateway, cluster: Cluster) -> Self {
        let key = if cluster.is_alone() { OnceLock::from(PeopleKey::new(&rand::random())) } else { OnceLock::new() };
        Self(Arc::new(Shared { gateway, cluster, key, counts: Mutex::default(), changed: Notify::new() }))
    }

    /// Returns the last count; 0 for a room without people.
    pub(super) fn count(&self, room: &RoomId) -> u32 {
        self.counts().ranking.count(room)
    }

    /// Returns the number of people in a room, those of this node counted now.
    pub(super) async fn count_now(&self, room: &RoomId) -> u32 {
        let Some(key) = self.0.key.get() else { return self.count(room) };
        let people = self.0.gateway.people(vec![Group::new(room.as_str())], *key).await.pop().unwrap_or_default();
        if self.0.cluster.is_alone() {
            return people.count();
        }
        let here = people.into();
        crowd::union(iter::once(&here).chain(self.counts().heard.crowds(room)))
    }

    /// Whether a uid is in a room on another node. Of a node with more than 1,024 people in the room only the staff is known.
    pub(super) fn is_elsewhere(&self, room: &RoomId, uid: &Uid) -> bool {
        let Some(key) = self.0.key.get() else { return false };
        let hash = key.hash(&uid.into());
        self.counts().heard.crowds(room).any(|crowd| crowd.has(hash))
    }

    /// Returns up to 1,000 rooms with people, most people first. Some may be groups of a back end that only look like rooms.
    pub(super) fn busiest(&self) -> Vec<RoomId> {
        self.counts().ranking.busiest().to_vec()
    }

    /// Asks for a count of the rooms that changed, in [`PASS_EVERY`] at the latest. Does not wait.
    pub(super) fn count_soon(&self) {
        self.0.changed.notify_one();
    }

    /// Counts, ranks and pushes until `closing` is cancelled.
    pub(super) async fn run(self, store: Store, closing: CancellationToken) {
        let work = async {
            let key = self.key(&store).await;
            match self.0.cluster.bus() {
                // This node hears before it speaks: the others answer a new voice with all that they know.
                Some(bus) => _ = tokio::join!(self.listen(bus.subscribe(Subject::from(HERE)).await), self.count_rooms(key)),
                None => self.count_rooms(key).await,
            }
        };
        tokio::select! {
            () = work => {}
            () = closing.cancelled() => {}
        }
    }

    /// Returns the key of the hashes of uids. The nodes of a cluster have it from the store, which is asked until it answers.
    async fn key(&self, store: &Store) -> PeopleKey {
        loop {
            if let Some(key) = self.0.key.get() {
                return *key;
            }
            match store.fact_or_set(KEY_FACT, &rand::random::<[u8; 16]>()).await {
                Ok(key) => _ = self.0.key.set(PeopleKey::new(&key.try_into().unwrap_or_default())),
                Err(_) => sleep(COUNT_EVERY).await,
            }
        }
    }

    /// Takes in what other nodes tell.
    async fn listen(&self, mut here: Subscription) {
        while let Some(received) = here.next().await {
            let Some((by, process, rooms)) = own::read(&received.payload) else {
                dropped("unreadable");
                continue;
            };
            let (now, mut counts) = (Instant::now(), self.counts());
            if counts.heard.meet(by, process, now) {
                counts.own.tell_all();
            }
            for (room, crowd) in rooms {
                match counts.heard.hear(by, &room, crowd, now) {
                    Ok(true) => _ = counts.changed_elsewhere.insert(room),
                    Ok(false) => {}
                    Err(heard::Full) => dropped("full"),
                }
            }
            drop(counts);
            self.count_soon();
        }
    }

    async fn count_rooms(&self, key: PeopleKey) {
        let (mut due, mut looked) = (Due::default(), Looked::default());
        let (mut is_ranked, mut ranked_at) = (true, None::<Instant>);
        let longest = if self.0.cluster.is_alone() { COUNT_EVERY } else { LOOK_EVERY };
        loop {
            if !is_ranked && ranked_at.is_none_or(|at| at.elapsed() >= COUNT_EVERY) {
                self.counts().ranking.rank();
                (is_ranked, ranked_at) = (true, Some(Instant::now()));
            }
            let passed = Instant::now();
            let next = due.next().map_or(passed + longest, |next| next.min(passed + longest)).max(passed + PASS_EVERY);
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.0.changed.notified() => sleep_until(passed + PASS_EVERY).await,
            }
            self.look_at_nodes(&mut looked);
            is_ranked &= !self.pass(&mut due, key).await;
            self.tell();
        }
    }

    /// Counts the changed rooms that were not counted within the last second, and pushes the counts that differ. The others wait.
    /// Returns whether any differs.
    async fn pass(&self, due: &mut Due, key: PeopleKey) -> bool {
        // A group whose name is no room id belongs to a back end.
        let groups = self.0.gateway.take_changed_groups().await;
        due.changed_here(groups.iter().filter_map(|group| group.as_text().parse().ok()));
        due.changed_elsewhere(mem::take(&mut self.counts().changed_elsewhere));
        let (recount, remerge) = due.take(Instant::now());
        let people = self.0.gateway.people(recount.iter().map(|room| Group::new(room.as_str())).collect(), key).await;
        let mut changed = Vec::new();
        for (room, people) in recount.into_iter().zip(people) {
            let mut counts = self.counts();
            let count = if self.0.cluster.is_alone() {
                people.count()
            } else {
                counts.own.set(&room, people.into());
                counts.merged(&room)
            };
            changed.extend(counts.ranking.update(&room, count).then_some((room, count)));
        }
        let mut differs = !changed.is_empty();
        for room in remerge {
            let mut counts = self.counts();
            let count = counts.merged(&room);
            let is_changed = counts.ranking.update(&room, count);
            differs |= is_changed;
            // Without members here nobody would receive it.
            changed.extend((is_changed && counts.own.crowd(&room).is_some()).then_some((room, count)));
        }
        for (room, count) in changed {
            let group = Group::new(room.as_str());
            let online = Frame::text(Push::Online { room, count }.to_json().as_bytes());
            drop(self.0.gateway.send_to_group(vec![group], Except::default(), Publication::v1(online)).await);
        }
        differs
    }

    /// Forgets the people of nodes that are gone, and tells each second those of this one whose turn it is.
    fn look_at_nodes(&self, looked: &mut Looked) {
        if self.0.cluster.is_alone() || looked.at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        let now = Instant::now();
        let live: Vec<Run> = self.0.cluster.others().iter().map(|node| (node.name, node.incarnation)).collect();
        let mut counts = self.counts();
        let gone = counts.heard.forget_gone(&live, now);
        counts.changed_elsewhere.extend(gone);
        if looked.turned_at.is_none_or(|at| at.elapsed() >= COUNT_EVERY) {
            counts.own.next_turn();
            looked.turned_at = Some(now);
        }
        looked.at = Some(now);
    }

    /// Tells the other nodes which people are here.
    fn tell(&self) {
        let cluster = &self.0.cluster;
        let (Some(bus), Some(me)) = (cluster.bus(), cluster.me().zip(cluster.incarnation())) else { return };
        let messages = self.counts().own.take_messages(me);
        messages.into_iter().for_each(|message| bus.publish(&Subject::from(HERE), message));
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When something was done last.
#[derive(Default)]
struct Looked {
    /// A look at which nodes live.
    at: Option<Instant>,
    /// A turn.
    turned_at: Option<Instant>,
}

impl Counts {
    /// The people of a room on all nodes.
    fn merged(&self, room: &RoomId) -> u32 {
        crowd::union(self.own.crowd(room).into_iter().chain(self.heard.crowds(room)))
    }
}

fn dropped(why: &'static str) {
    metrics::counter!("roomcast_here_dropped_total", "why" => why).increment(1);
}
