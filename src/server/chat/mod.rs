//! The use cases of a live room (floor 3 of ARCHITECTURE.md): bind, send, history, opening a room, the lobby.
//!
//! A send passes through [`Chat::send`] (text checked), [`commit`] (cooldown checked, stored, numbered) and the gateway
//! (pushed), in this order. A failure of a lower floor is logged once and returned as a [`Refusal`].
//!
//! ```no_run
//! # async fn example(
//! #     chat: roomcast::server::chat::Chat,
//! #     person: roomcast::domain::room::Person,
//! # ) -> Result<(), roomcast::domain::refusal::Refusal> {
//! // The message is durable and numbered when this returns.
//! let sent = chat.send(&person, "1", "大家好", Some("a-nonce")).await?;
//! let before_it = chat.history("1", &sent.seq.0.to_string(), Some("10")).await?;
//! assert!(before_it.messages.len() <= 10);
//! # Ok(())
//! # }
//! ```

mod commit;
mod cooldown;
mod presence;

use crate::domain::{
    draft::{Draft, Rules},
    id::{ClientId, Epoch, Nonce, RoomId, Seq},
    message::Role,
    name,
    paging::{CATCH_UP_MESSAGES, MAX_PAGE_MESSAGES, PAGE_MESSAGES},
    refusal::Refusal,
    reply::{BindReply, HistoryReply, OpenRoomReply, SendReply},
    room::{Person, RoomCard, Snapshot},
};
use crate::server::{
    clock::Clock,
    config::ChatSettings as Settings,
    gateway::{BindOutcome, Gateway, Group, SocketOwner},
    incident::refusal_of,
    storage::{NewMessage, RoomRow, StorageError, Store},
};
use commit::Commits;
use moka::sync::Cache;
use presence::Presence;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Most rooms in the lobby: the newest ones.
const LOBBY: u32 = 200;
/// Cache lifetime of a room row. A title or host changed by the command line is visible after this time at the latest.
const ROOM_CACHED_FOR: Duration = Duration::from_secs(2);

/// The chat of this node. Cheap to clone; all clones are one chat.
#[derive(Clone)]
pub struct Chat {
    settings: Settings,
    store: Store,
    gateway: Gateway,
    clock: Clock,
    commits: Commits,
    presence: Presence,
    rooms: Cache<RoomId, RoomRow>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// The fields of a `bind` request, not yet parsed.
pub struct BindRequest<'a> {
    /// The socket, as 20 hex digits.
    pub client_id: &'a str,
    /// The room's id.
    pub room: &'a str,
    /// The newest seq that the page holds.
    pub since: Option<&'a str>,
    /// The epoch that `since` belongs to.
    pub epoch: Option<&'a str>,
}

impl Chat {
    /// Starts the commit, push and presence tasks; [`Chat::close`] ends them. Fails if the store cannot be read.
    pub async fn start(settings: Settings, store: Store, gateway: Gateway, clock: Clock) -> Result<Self, StorageError> {
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let rules = rules(&settings);
        let commits = Commits::start(&tasks, closing.clone(), store.clone(), gateway.clone(), clock.clone(), rules).await?;
        let presence = Presence::default();
        tasks.spawn(presence.clone().run(gateway.clone(), closing.clone()));
        let rooms = Cache::builder().max_capacity(10_000).time_to_live(ROOM_CACHED_FOR).build();
        Ok(Self { settings, store, gateway, clock, commits, presence, rooms, tasks, closing })
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
    }

    /// The rules of a message, for pages: length, cooldown.
    pub fn rules(&self) -> Rules {
        rules(&self.settings)
    }

    /// Binds a socket to its person, joins it to the room's group, and returns the messages after `since`, or the last page
    /// of messages. The join comes before the read, so that no message is missed. A message that arrives by push and in the
    /// reply has the same seq in both.
    ///
    /// Fails with `malformed`, `no_such_room`, `no_such_client`, and `not_yours` if another session opened the socket.
    pub async fn bind(&self, person: &Person, owner: SocketOwner, request: BindRequest<'_>) -> Result<BindReply, Refusal> {
        let client: ClientId = request.client_id.parse()?;
        let room: RoomId = request.room.parse()?;
        let since = request.since.map(|since| position(since, "since")).transpose()?;
        let epoch = request.epoch.map(str::parse::<Epoch>).transpose()?;
        let row = self.room(&room).await?;
        let group = Group::new(room.as_str());
        match self.gateway.bind(client, owner, (&person.uid).into(), group).await {
            BindOutcome::Bound => {}
            BindOutcome::NotOwner => return Err(Refusal::NotYours),
            BindOutcome::NotFound => return Err(Refusal::NoSuchClient),
        }

        let newest = self.newest(&room).await?;
        let same_history = epoch.is_none_or(|epoch| epoch == row.epoch);
        let since = since.filter(|since| same_history && *since <= newest);
        let had_since = request.since.is_some();
        let messages = match since {
            Some(since) => self.messages(&room, since, None, CATCH_UP_MESSAGES).await?,
            None => self.messages(&room, Seq::default(), None, PAGE_MESSAGES).await?,
        };
        let gap = match (since, messages.first()) {
            (Some(since), Some(first)) => first.seq > since.next(),
            (Some(_), None) => false,
            (None, _) => had_since,
        };
        let seq = messages.last().map_or(newest, |last| last.seq.max(newest));
        let message = "Group Success".to_owned();
        Ok(BindReply { code: person.uid.clone(), status: true, message, epoch: row.epoch, seq, messages, gap })
    }

    /// Sends a message to a room and returns its id and seq once it is durable; it is pushed after that.
    ///
    /// Fails with `blank`, `too_long`, `too_fast`, `no_such_room`, `busy`. A repeated nonce returns the first result again.
    pub async fn send(&self, person: &Person, room: &str, message: &str, nonce: Option<&str>) -> Result<SendReply, Refusal> {
        let sent = self.try_send(person, room, message, nonce).await;
        let outcome = sent.as_ref().map_or_else(Refusal::code, |_| "accepted");
        metrics::counter!("roomcast_sends_total", "outcome" => outcome).increment(1);
        sent
    }

    async fn try_send(&self, person: &Person, room: &str, message: &str, nonce: Option<&str>) -> Result<SendReply, Refusal> {
        let room: RoomId = room.parse()?;
        let nonce = nonce.map(str::parse::<Nonce>).transpose()?;
        let draft = Draft::new(message);
        draft.check(&self.rules())?;
        let host = self.room(&room).await?.host;
        let new = NewMessage {
            room,
            id: Uuid::now_v7(),
            user: person.uid.clone(),
            nickname: person.nickname.clone(),
            role: if host.as_ref() == Some(&person.uid) { Role::Host } else { Role::Viewer },
            text: draft.into_text(),
            at: self.clock.now_ms(),
            nonce,
        };
        let (id, seq) = self.commits.commit(new).await?;
        Ok(SendReply { status: true, id, seq })
    }

    /// Returns up to `limit` messages (50, at most 100) with a seq below `before`, newest last.
    pub async fn history(&self, room: &str, before: &str, limit: Option<&str>) -> Result<HistoryReply, Refusal> {
        let room: RoomId = room.parse()?;
        let before = position(before, "before")?;
        let limit = limit.map(|limit| limit.parse::<u32>().map_err(|_| Refusal::malformed("limit"))).transpose()?;
        self.room(&room).await?;
        metrics::counter!("roomcast_history_reads_total").increment(1);
        let messages =
            self.messages(&room, Seq::default(), Some(before), limit.unwrap_or(PAGE_MESSAGES).min(MAX_PAGE_MESSAGES)).await?;
        Ok(HistoryReply { messages })
    }

    /// Opens a room and makes the caller its host. Fails with `not_allowed` for guests, and for accounts that host
    /// `chat.rooms_per_account` rooms.
    pub async fn open_room(&self, person: &Person, title: &str) -> Result<OpenRoomReply, Refusal> {
        if person.account.is_none() {
            return Err(Refusal::NotAllowed);
        }
        let title = name::title(title)?;
        let failed = |error| refusal_of(&error, "rooms");
        if self.store.room_count_of(&person.uid).await.map_err(failed)? >= self.settings.rooms_per_account {
            return Err(Refusal::NotAllowed);
        }
        let room = self.store.open_room(&title, Some(&person.uid), self.clock.now_ms()).await.map_err(failed)?;
        tracing::info!(%room, host = %person.uid, "room opened");
        Ok(OpenRoomReply { room })
    }

    /// Returns the newest 200 rooms, newest first.
    pub async fn lobby(&self) -> Result<Vec<RoomCard>, Refusal> {
        let rooms = self.store.rooms(LOBBY).await.map_err(|error| refusal_of(&error, "lobby"))?;
        Ok(rooms.into_iter().map(|row| self.card(row)).collect())
    }

    /// Returns a room and its last page of messages, for the first HTML of its page.
    pub async fn snapshot(&self, room: &str) -> Result<Snapshot, Refusal> {
        // The id comes from a path: one that is not well formed is a page that does not exist.
        let room: RoomId = room.parse().map_err(|_| Refusal::NoSuchRoom)?;
        let row = self.room(&room).await?;
        let messages = self.messages(&room, Seq::default(), None, PAGE_MESSAGES).await?;
        let seq = messages.last().map_or(Seq::default(), |last| last.seq);
        let epoch = row.epoch.clone();
        Ok(Snapshot { card: self.card(row), rules: self.rules(), epoch, seq, messages })
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

    async fn newest(&self, room: &RoomId) -> Result<Seq, Refusal> {
        self.store.newest_seq(room).await.map_err(|error| refusal_of(&error, "newest"))
    }

    async fn messages(
        &self,
        room: &RoomId,
        after: Seq,
        before: Option<Seq>,
        limit: u32,
    ) -> Result<Vec<crate::domain::message::Message>, Refusal> {
        self.store.messages_between(room, after, before, limit).await.map_err(|error| refusal_of(&error, "messages"))
    }
}

fn rules(settings: &Settings) -> Rules {
    Rules { max_graphemes: settings.max_graphemes, cooldown_ms: settings.cooldown_ms, ..Rules::default() }
}

fn position(text: &str, field: &'static str) -> Result<Seq, Refusal> {
    text.parse().map(Seq).map_err(|_| Refusal::malformed(field))
}
