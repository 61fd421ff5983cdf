//! The use cases of a live room (floor 3 of ARCHITECTURE.md): bind, send, history; the lobby and a room's modes have files of
//! their own.
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
//! let request = roomcast::server::chat::SendRequest { room: "1", message: "大家好", nonce: Some("a-nonce"), address: None };
//! let sent = chat.send(&person, request).await?;
//! let before_it = chat.history("1", &sent.seq.0.to_string(), Some("10")).await?;
//! assert!(before_it.messages.len() <= 10);
//! # Ok(())
//! # }
//! ```

mod admission;
mod commit;
mod lobby;
mod modes;
mod new_epoch;
mod operator;
mod presence;
mod retention;
mod room_search;
mod send_limits;
mod tails;
mod token_bucket;
mod unsettled;

use crate::domain::{
    draft::{Draft, Rules},
    id::{ClientId, Epoch, Nonce, RoomId, Seq},
    message::Message,
    paging::{CATCH_UP_MESSAGES, MAX_PAGE_MESSAGES, PAGE_MESSAGES},
    refusal::Refusal,
    reply::{BindReply, HistoryReply, SendReply},
    room::{HostTools, MAX_SLOW_MS, Person, RoomCard, RoomView, Snapshot},
};
use crate::server::{
    clock::Clock,
    config::{ChatSettings as Settings, LimitsSettings},
    gateway::{BindOutcome, Credentials, Gateway, Group},
    incident::refusal_of,
    storage::{NewMessage, RoomRow, SeqRange, Store},
};
use admission::Admission;
use commit::Commits;
pub use modes::ModeRequest;
use moka::sync::Cache;
use presence::Presence;
use retention::Retention;
use room_search::RoomSearch;
use send_limits::{SendLimits, Sender};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tails::{Tails, Window};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Cache lifetime of a room row. A title or host changed by the command line is visible after this time at the latest.
const ROOM_CACHED_FOR: Duration = Duration::from_secs(2);

/// People of a room up to whom a page load counts them anew.
const MAX_COUNTED_NOW: u32 = 500;
/// `retry_after_ms` for a socket that a session would take over, and which is at its limit of sockets.
const SESSION_LIMIT_RETRY_MS: u64 = 5_000;

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
    tails: Tails,
    search: RoomSearch,
    /// Wakes the retention task.
    deleted: Arc<Notify>,
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

/// The fields of a `send` request, not yet parsed, and its origin.
#[derive(Clone, Copy)]
pub struct SendRequest<'a> {
    /// The room's id.
    pub room: &'a str,
    /// The text.
    pub message: &'a str,
    /// The sender's key of the attempt.
    pub nonce: Option<&'a str>,
    /// The client's address. `None`: the limits per address do not concern the send.
    pub address: Option<IpAddr>,
}

impl Chat {
    /// Starts the commit, push, presence and retention tasks; [`Chat::close`] ends them.
    pub fn start(settings: Settings, limits: &LimitsSettings, store: Store, gateway: Gateway, clock: Clock) -> Self {
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let (cooldown_ms, first_message_ms) = (settings.cooldown_ms, settings.first_message_ms);
        let admission = || Admission::new(cooldown_ms, SendLimits::new(limits, first_message_ms));
        let tails = Tails::default();
        let commits =
            Commits::start(&tasks, closing.clone(), store.clone(), gateway.clone(), clock.clone(), admission, tails.clone());
        let presence = Presence::default();
        tasks.spawn(presence.clone().run(gateway.clone(), closing.clone()));
        let deleted = Arc::new(Notify::new());
        let (keep_days, waking) = (settings.keep_days, deleted.clone());
        tasks.spawn(Retention::new(store.clone(), clock.clone(), keep_days, waking, closing.clone()).run());
        let rooms = Cache::builder().max_capacity(10_000).time_to_live(ROOM_CACHED_FOR).build();
        let search = RoomSearch::new(store.clone());
        Self { settings, store, gateway, clock, commits, presence, rooms, tails, search, deleted, tasks, closing }
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
    pub fn rules(&self) -> Rules {
        rules(&self.settings)
    }

    /// Binds a socket to its person, joins it to the room's group, and returns the messages after `since`, or the last page
    /// of messages. Without a person the socket joins as a reader. The join comes before the read, so that no message is missed.
    /// A message that arrives by push and in the reply has the same seq in both. `by` holds the credentials of the request.
    ///
    /// Fails with `malformed`, `no_such_room`, `no_such_client`; `not_yours` if the socket is another's; `not_allowed` if it reads
    /// four other rooms; `too_fast` if the session holds `gateway.max_per_session` sockets.
    pub async fn bind(&self, person: Option<&Person>, by: Credentials, request: BindRequest<'_>) -> Result<BindReply, Refusal> {
        let client: ClientId = request.client_id.parse()?;
        let room: RoomId = request.room.parse()?;
        let since = request.since.map(|since| position(since, "since")).transpose()?;
        let epoch = request.epoch.map(str::parse::<Epoch>).transpose()?;
        self.room(&room).await?;
        let group = Group::new(room.as_str());
        match self.gateway.bind(client, by, person.map(|person| (&person.uid).into()), group.clone()).await {
            BindOutcome::Bound => {}
            BindOutcome::NotOwner => return Err(Refusal::NotYours),
            BindOutcome::NotFound => return Err(Refusal::NoSuchClient),
            BindOutcome::TooManyGroups => return Err(Refusal::NotAllowed),
            BindOutcome::SessionLimit => return Err(Refusal::TooFast { retry_after_ms: SESSION_LIMIT_RETRY_MS }),
        }
        // The room may have been deleted before the join, and its group dissolved. Its epoch, too, is read after the join.
        let row = match self.room(&room).await {
            Ok(row) => row,
            Err(refusal) => {
                self.gateway.leave_group(client, group).await;
                return Err(refusal);
            }
        };
        self.presence.count_soon();

        let range = self.seq_range(&room).await?;
        let SeqRange { oldest, newest } = range;
        let same_history = epoch.is_none_or(|epoch| epoch == row.epoch);
        let since = since.filter(|since| same_history && *since <= newest);
        let had_since = request.since.is_some();
        let messages = match since {
            Some(since) => self.messages(&row, range, since, None, CATCH_UP_MESSAGES).await?,
            None => self.messages(&row, range, Seq::default(), None, PAGE_MESSAGES).await?,
        };
        let gap = match (since, messages.first()) {
            // Below `oldest` nothing is missing. The retention may have raised it since it was read, so a gap is checked again.
            (Some(since), Some(first)) if first.seq > since.next().max(oldest) => {
                first.seq > since.next().max(self.seq_range(&room).await?.oldest)
            }
            (Some(_), _) => false,
            (None, _) => had_since,
        };
        let seq = messages.last().map_or(newest, |last| last.seq.max(newest));
        let message = "Group Success".to_owned();
        Ok(BindReply {
            code: person.map(|person| person.uid.clone()),
            you: person.cloned(),
            status: true,
            message,
            epoch: row.epoch,
            seq,
            oldest,
            messages,
            gap,
        })
    }

    /// Sends a message to a room and returns its id and seq once it is durable; it is pushed after that.
    ///
    /// Fails with `blank`, `too_long`, `too_fast`, `no_such_room`, `room_mode`, `busy`, `uncertain`. A repeated nonce returns the first
    /// result again.
    pub async fn send(&self, person: &Person, request: SendRequest<'_>) -> Result<SendReply, Refusal> {
        let sent = self.try_send(person, request).await;
        let outcome = sent.as_ref().map_or_else(Refusal::code, |_| "accepted");
        metrics::counter!("roomcast_sends_total", "outcome" => outcome).increment(1);
        sent
    }

    async fn try_send(&self, person: &Person, request: SendRequest<'_>) -> Result<SendReply, Refusal> {
        let room: RoomId = request.room.parse()?;
        let nonce = request.nonce.map(str::parse::<Nonce>).transpose()?;
        let draft = Draft::new(request.message);
        draft.check(&self.rules())?;
        // Early, from the cache; `append` decides. A nonce may be that of a message stored before the room was closed.
        if self.room(&room).await?.is_closed && nonce.is_none() {
            return Err(Refusal::room_closed());
        }
        let new = NewMessage {
            room,
            id: Uuid::now_v7(),
            user: person.uid.clone(),
            nickname: person.nickname.clone(),
            text: draft.into_text(),
            // The commit task sets it.
            at: 0,
            nonce,
        };
        self.commits.commit(new, Sender::new(person, request.address)).await
    }

    /// Returns up to `limit` messages (50, at most 100) with a seq below `before`, newest last.
    pub async fn history(&self, room: &str, before: &str, limit: Option<&str>) -> Result<HistoryReply, Refusal> {
        let room: RoomId = room.parse()?;
        let before = position(before, "before")?;
        let limit = limit.map(|limit| limit.parse::<u32>().map_err(|_| Refusal::malformed("limit"))).transpose()?;
        let row = self.room(&room).await?;
        metrics::counter!("roomcast_history_reads_total").increment(1);
        let (range, limit) = (self.seq_range(&room).await?, limit.unwrap_or(PAGE_MESSAGES).min(MAX_PAGE_MESSAGES));
        let messages = self.messages(&row, range, Seq::default(), Some(before), limit).await?;
        Ok(HistoryReply { messages, oldest: range.oldest })
    }

    /// Returns a room and its last page of messages, for the first HTML of its page. The room's host also gets the values of its forms; the
    /// caller fills in the site's address.
    pub async fn view(&self, person: Option<&Person>, room: &str) -> Result<RoomView, Refusal> {
        // The id comes from a path: one that is not well formed is a page that does not exist.
        let room: RoomId = room.parse().map_err(|_| Refusal::NoSuchRoom)?;
        let row = self.room(&room).await?;
        let range = self.seq_range(&room).await?;
        let SeqRange { oldest, newest } = range;
        let messages = self.messages(&row, range, Seq::default(), None, PAGE_MESSAGES).await?;
        let seq = messages.last().map_or(newest, |last| last.seq.max(newest));
        let epoch = row.epoch.clone();
        let is_host = person.is_some_and(|person| row.host.as_ref() == Some(&person.uid));
        let host_tools = is_host.then_some(HostTools { slow_ms: row.slow_ms.min(MAX_SLOW_MS), site: String::new() });
        let (closed, online) = (row.is_closed, self.online_now(&room).await);
        let card = RoomCard { online, ..self.card(row) };
        let snapshot = Snapshot { card, rules: self.rules(), epoch, seq, oldest, messages, closed };
        Ok(RoomView { snapshot, host_tools })
    }

    /// Returns the number of people in a room: counted now where they are few, and else the last count, of at most a second ago.
    async fn online_now(&self, room: &RoomId) -> u32 {
        let last = self.presence.count(room);
        if last > MAX_COUNTED_NOW {
            return last;
        }
        self.gateway.people(vec![Group::new(room.as_str())]).await.first().copied().unwrap_or(last)
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

    async fn seq_range(&self, room: &RoomId) -> Result<SeqRange, Refusal> {
        self.store.seq_range(room).await.map_err(|error| refusal_of(&error, "seqs"))
    }

    async fn messages(
        &self,
        row: &RoomRow,
        range: SeqRange,
        after: Seq,
        before: Option<Seq>,
        limit: u32,
    ) -> Result<Vec<Message>, Refusal> {
        let messages = self.tails.messages(&self.store, (&row.room, &row.epoch), range, Window { after, before, limit });
        messages.await.map_err(|error| refusal_of(&error, "messages"))
    }
}

fn rules(settings: &Settings) -> Rules {
    Rules { max_graphemes: settings.max_graphemes, cooldown_ms: settings.cooldown_ms, ..Rules::default() }
}

fn position(text: &str, field: &'static str) -> Result<Seq, Refusal> {
    text.parse().map(Seq).map_err(|_| Refusal::malformed(field))
}
