//! Binding a socket to its person and room, and the messages and changes that its page missed.

use super::Chat;
use super::position;
use crate::domain::{
    change::Rev,
    id::{ClientId, Epoch, RoomId, Seq},
    message::Message,
    paging::{CATCH_UP_MESSAGES, PAGE_MESSAGES},
    push::Push,
    refusal::Refusal,
    reply::BindReply,
    room::Person,
};
use crate::server::{
    cluster::Place,
    gateway::{BindOutcome, Credentials, Group},
    incident::refusal_of,
    moderation::{pushes, state_of},
    storage::moderation::RoomNow,
};

/// `retry_after_ms` for a socket that a session would take over, and which is at its limit of sockets.
const SESSION_LIMIT_RETRY_MS: u64 = 5_000;
/// Reads of a room for one answer, at most. The second one is not early.
const MAX_READS: u32 = 3;
/// Changes of an answer, at most.
const MAX_CHANGES: u32 = 500;

/// The fields of a `bind` request, not yet parsed.
pub struct BindRequest<'a> {
    /// The socket, as 20 hex digits.
    pub client_id: &'a str,
    /// The room's id.
    pub room: &'a str,
    /// The newest seq that the page holds.
    pub since: Option<&'a str>,
    /// The epoch that `since` and `rev` belong to.
    pub epoch: Option<&'a str>,
    /// The newest change that the page has.
    pub rev: Option<&'a str>,
}

impl Chat {
    /// Carries `bind` out on the node that holds the socket, which answers from its own position in the room. Fails as
    /// [`bind_here`](Self::bind_here) does, and with `busy` if that node is silent: the page repeats the request.
    pub async fn bind(&self, person: Option<&Person>, by: Credentials, request: BindRequest<'_>) -> Result<BindReply, Refusal> {
        match self.cluster.place(request.client_id.parse()?) {
            Place::Node(node) => self.bind_elsewhere(node, person, by, request).await,
            Place::Here | Place::Nowhere => self.bind_here(person, by, request).await,
        }
    }

    /// Binds a socket to its person, joins it to the room's group, and returns the messages after `since`, or the last page
    /// of messages. Without a person the socket joins as a reader. The join comes before the read, so that no message is missed.
    /// A message that arrives by push and in the reply has the same seq in both, and a change the same rev. `by` holds the
    /// credentials of the request. The socket of a moderator also joins the room's staff.
    ///
    /// Fails with `malformed`, `no_such_room`, `no_such_client`; `not_yours` if the socket is another's; `not_allowed` if it reads
    /// four other rooms; `too_fast` if the session holds `gateway.max_per_session` sockets.
    pub(super) async fn bind_here(
        &self,
        person: Option<&Person>,
        by: Credentials,
        request: BindRequest<'_>,
    ) -> Result<BindReply, Refusal> {
        let client: ClientId = request.client_id.parse()?;
        let room: RoomId = request.room.parse()?;
        let since = request.since.map(|since| position(since, "since")).transpose()?;
        let epoch = request.epoch.map(str::parse::<Epoch>).transpose()?;
        let rev = request.rev.map(|rev| rev.parse().map(Rev).map_err(|_| Refusal::malformed("rev"))).transpose()?;
        self.room(&room).await?;
        let group = Group::new(room.as_str());
        match self.gateway.bind(client, by, person.map(|person| (&person.uid).into()), group.clone()).await {
            BindOutcome::Bound => {}
            BindOutcome::NotOwner => return Err(Refusal::NotYours),
            BindOutcome::NotFound => return Err(Refusal::NoSuchClient),
            BindOutcome::TooManyGroups => return Err(Refusal::NotAllowed),
            BindOutcome::SessionLimit => return Err(Refusal::TooFast { retry_after_ms: SESSION_LIMIT_RETRY_MS }),
        }
        // The room may have been deleted before the join, and its group dissolved. Everything of it is read after the join.
        let now = match self.window(&room, rev).await {
            Ok(now) => now,
            Err(refusal) => {
                self.gateway.leave_group(client, group).await;
                return Err(refusal);
            }
        };
        self.presence.count_soon();
        let you = self.you(&room, person).await?;
        if let Some(person) = person.filter(|_| you.rank.is_some_and(|rank| rank.is_staff())) {
            self.join_staff(client, &room, person).await?;
        }

        let same_history = epoch.as_ref().is_none_or(|epoch| *epoch == now.record.epoch);
        let changes = match rev.filter(|rev| same_history && *rev <= now.record.rev) {
            Some(_) if now.has_all_changes => {
                pushes(&self.store, &room, &now.changes).await.map_err(|error| refusal_of(&error, "changes"))?
            }
            _ => None,
        };
        let (messages, gap) = self.missed(&now, since.filter(|_| same_history), request.since.is_some()).await?;
        Ok(self.bind_reply(person, now, you, messages, gap, changes))
    }

    /// Reads the room after the join. With other nodes its pushes begin where this ends. If the room was placed meanwhile further on
    /// than what was read, it is read again.
    async fn window(&self, room: &RoomId, rev: Option<Rev>) -> Result<RoomNow, Refusal> {
        for _ in 0..MAX_READS {
            let now = self.room_now(room, rev, MAX_CHANGES).await?;
            match &self.order {
                Some(order) if !order.begin(&now).await => {}
                _ => return Ok(now),
            }
        }
        Err(Refusal::Busy)
    }

    fn bind_reply(
        &self,
        person: Option<&Person>,
        now: RoomNow,
        you: super::reads::You,
        messages: Vec<Message>,
        gap: bool,
        changes: Option<Vec<Push>>,
    ) -> BindReply {
        let state = state_of(&now.record, self.clock.now_ms());
        BindReply {
            code: person.map(|person| person.uid.clone()),
            you: person.cloned(),
            status: true,
            message: "Group Success".to_owned(),
            seq: messages.last().map_or(now.record.newest, |last| last.seq.max(now.record.newest)),
            oldest: now.oldest,
            messages,
            gap,
            rev: now.record.rev,
            state: Some(state),
            stale: changes.is_none(),
            changes: changes.unwrap_or_default(),
            rank: you.rank,
            restraint: you.restraint,
            warning: you.warning,
            epoch: now.record.epoch,
        }
    }

    /// Returns the messages after `since`, or the last page, and whether some are missing between.
    async fn missed(&self, now: &RoomNow, since: Option<Seq>, had_since: bool) -> Result<(Vec<Message>, bool), Refusal> {
        let Some(since) = since.filter(|since| *since <= now.record.newest) else {
            return Ok((self.messages(now, Seq::default(), None, PAGE_MESSAGES).await?, had_since));
        };
        let messages = self.messages(now, since, None, CATCH_UP_MESSAGES).await?;
        let first = messages.first().map(|first| first.seq);
        let gap = match first {
            // Below `oldest` nothing is missing. The retention may have raised it since it was read, so a gap is checked again.
            Some(first) if first > since.next().max(now.oldest) => {
                let range = self.store.seq_range(&now.record.room).await;
                first > since.next().max(range.map_err(|error| refusal_of(&error, "seqs"))?.oldest)
            }
            _ => false,
        };
        Ok((messages, gap))
    }

    /// Joins a moderator's socket to the staff. The role is read again after that: it may have been revoked meanwhile, and then the
    /// revocation did not find the socket.
    async fn join_staff(&self, client: ClientId, room: &RoomId, person: &Person) -> Result<(), Refusal> {
        let group = Group::new(room.as_str());
        self.gateway.join_staff(client, (&person.uid).into(), group.clone()).await;
        if !self.you(room, Some(person)).await?.rank.is_some_and(|rank| rank.is_staff()) {
            self.gateway.leave_staff((&person.uid).into(), group).await;
        }
        Ok(())
    }
}
