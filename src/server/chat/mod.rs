//! The use cases of a live room (floor 3 of ARCHITECTURE.md): bind, send, history, the lobby, acts of moderation. Each has a file.
//!
//! A send passes through [`Chat::send`] (text checked), [`commit`] (cooldown and limits checked by [`admission`], stored,
//! numbered) and the gateway (pushed), in this order. A failure of a lower floor is logged once and returned as a [`Refusal`].
//!
//! ```no_run
//! # async fn example(
//! #     chat: roomcast::server::chat::Chat,
//! #     person: roomcast::domain::room::Person,
//! # ) -> Result<(), roomcast::domain::refusal::Refusal> {
//! // The message is durable and numbered when this returns.
//! let request = roomcast::server::chat::SendRequest { room: "1", message: "大家好", nonce: Some("a-nonce"), re: None, address: None };
//! let sent = chat.send(&person, request).await?;
//! let before_it = chat.history("1", &sent.seq.0.to_string(), Some("10")).await?;
//! assert!(before_it.messages.len() <= 10);
//! # Ok(())
//! # }
//! ```

mod acts;
mod admission;
mod bind;
mod bind_elsewhere;
mod bots;
mod commit;
mod lanes;
mod lobby;
mod lost_acts;
mod mentions;
mod networks;
mod new_epoch;
mod news;
mod operator;
mod order;
mod presence;
mod purging;
mod pushes;
mod reads;
mod retention;
mod room_search;
mod send;
mod send_limits;
mod staff_log;
mod staff_pushes;
mod staff_views;
mod sweep;
mod tails;
mod token_bucket;
mod unsettled;

use crate::domain::{
    draft::Rules as MessageRules,
    id::{RoomId, Seq, Uid},
    refusal::Refusal,
    room::RoomCard,
};
use crate::server::{
    clock::Clock,
    cluster::Cluster,
    config::{ChatSettings as Settings, LimitsSettings, ModerationSettings},
    gateway::Gateway,
    incident::refusal_of,
    moderation::Rules,
    storage::{RoomRow, Store},
};
use admission::Admission;
pub use bind::BindRequest;
use lanes::{Commits, Pushing};
use moka::sync::Cache;
use networks::Networks;
use order::Order;
use presence::Presence;
use purging::Purging;
use pushes::Pusher;
use retention::Retention;
use room_search::RoomSearch;
pub use send::SendRequest;
use send_limits::SendLimits;
use staff_pushes::StaffPushes;
use std::sync::Arc;
use std::time::Duration;
use sweep::Sweep;
use tails::Tails;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Cache lifetime of a room row. A title or host changed by the command line is visible after this time at the latest.
const ROOM_CACHED_FOR: Duration = Duration::from_secs(2);

/// Time after which the person of a key that sends is stored anew.
const BOT_CACHED_FOR: Duration = Duration::from_secs(3600);

/// People of a room up to whom a page load counts them anew.
const MAX_COUNTED_NOW: u32 = 500;

/// The chat of this node. Cheap to clone; all clones are one chat.
#[derive(Clone)]
pub struct Chat {
    settings: Settings,
    rules: Rules,
    store: Store,
    gateway: Gateway,
    cluster: Cluster,
    clock: Clock,
    commits: Commits,
    pusher: Pusher,
    purging: Purging,
    networks: Networks,
    presence: Presence,
    rooms: Cache<RoomId, RoomRow>,
    tails: Tails,
    /// `None` on the only node.
    order: Option<Order>,
    search: RoomSearch,
    /// The keys of the API that were stored as persons lately.
    bots: Cache<Uid, ()>,
    /// Whether a room's slow mode leaves an account alone.
    exempt: Cache<(RoomId, Uid), bool>,
    /// Wakes the retention task.
    deleted: Arc<Notify>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl Chat {
    /// Starts the commit, push, presence and retention tasks; [`Chat::close`] ends them.
    pub fn start(
        (settings, moderation): (Settings, &ModerationSettings),
        limits: &LimitsSettings,
        store: Store,
        gateway: Gateway,
        cluster: Cluster,
        clock: Clock,
    ) -> Self {
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let (cooldown_ms, first_message_ms) = (settings.cooldown_ms, settings.first_message_ms);
        let admission = || Admission::new(cooldown_ms, SendLimits::new(limits, first_message_ms));
        let tails = Tails::default();
        let staff = StaffPushes::new(gateway.clone(), cluster.clone());
        tasks.spawn(staff.clone().receive(closing.clone()));
        let pusher = Pusher { gateway: gateway.clone(), store: store.clone(), staff, plain_changes: settings.plain_changes };
        let rules = Rules::from(moderation);
        let (order, lane) = Order::start(&tasks, &cluster, &pusher, &tails).unzip();
        let pushing = lane.map_or_else(|| Pushing::Alone(pusher.clone()), Pushing::InOrder);
        let commits = Commits::start((&tasks, closing.clone()), pushing, &store, &clock, rules, admission, &tails);
        let purging = Purging::start(&tasks, closing.clone(), store.clone(), commits.clone());
        let presence = Presence::new(gateway.clone(), cluster.clone());
        tasks.spawn(presence.clone().run(store.clone(), closing.clone()));
        let deleted = Arc::new(Notify::new());
        let (keep_days, waking) = (settings.keep_days, deleted.clone());
        tasks.spawn(Retention::new(store.clone(), clock.clone(), keep_days, waking, closing.clone()).run());
        let networks = Networks::new(rules.network_bans, store.clone());
        tasks.spawn(Sweep::new(store.clone(), clock.clone(), closing.clone()).run());
        let rooms = Cache::builder().max_capacity(10_000).time_to_live(ROOM_CACHED_FOR).build();
        let search = RoomSearch::new(store.clone());
        let bots = Cache::builder().max_capacity(1_000).time_to_live(BOT_CACHED_FOR).build();
        let exempt = Cache::builder().max_capacity(10_000).time_to_live(ROOM_CACHED_FOR).build();
        let chat = Self {
            settings,
            rules,
            store,
            gateway,
            cluster,
            clock,
            commits,
            pusher,
            purging,
            networks,
            presence,
            rooms,
            tails,
            order,
            search,
            bots,
            exempt,
            deleted,
            tasks,
            closing,
        };
        chat.answer_binds();
        chat
    }

    /// Goes on with the pushes of the process before this one, after a reload.
    pub async fn go_on(&self, state: &str) {
        if let Some(order) = &self.order {
            order.go_on(state.as_bytes()).await;
        }
    }

    /// Commits and answers the queued sends, then ends the tasks.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Forgets the cached rows of all rooms, because hosts changed: the next message has the role of its sender now.
    pub fn forget_rooms(&self) {
        self.rooms.invalidate_all();
        self.store.forget_room_settings();
    }

    /// The rules of a message, for pages: length, cooldown.
    pub fn rules(&self) -> MessageRules {
        rules(&self.settings)
    }

    fn card(&self, row: RoomRow) -> RoomCard {
        let online = self.presence.count(&row.room);
        RoomCard { room: row.room, title: row.title, host: row.host_nickname, online }
    }

    async fn room(&self, room: &RoomId) -> Result<RoomRow, Refusal> {
        if let Some(row) = self.rooms.get(room) {
            return Ok(row);
        }
        let row = self.store.room(room).await.map_err(|error| refusal_of(&error, "room"))?.ok_or(Refusal::NoSuchRoom)?;
        self.rooms.insert(room.clone(), row.clone());
        Ok(row)
    }
}

fn rules(settings: &Settings) -> MessageRules {
    MessageRules { max_graphemes: settings.max_graphemes, cooldown_ms: settings.cooldown_ms, ..MessageRules::default() }
}

fn position(text: &str, field: &'static str) -> Result<Seq, Refusal> {
    text.parse().map(Seq).map_err(|_| Refusal::malformed(field))
}
