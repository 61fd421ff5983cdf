//! Sending a message.

use super::send_limits::Sender;
use super::{Chat, position};
use crate::domain::{
    draft::Draft,
    id::{Nonce, RoomId, Seq},
    refusal::Refusal,
    reply::SendReply,
    room::Person,
};
use crate::server::incident::refusal_of;
use crate::server::storage::{NewMessage, RoomRow};
use std::net::IpAddr;
use uuid::Uuid;

/// The fields of a `send` request, not yet parsed, and its origin.
#[derive(Clone, Copy)]
pub struct SendRequest<'a> {
    /// The room's id.
    pub room: &'a str,
    /// The text.
    pub message: &'a str,
    /// The sender's key of the attempt.
    pub nonce: Option<&'a str>,
    /// The seq of the message that this one answers.
    pub re: Option<&'a str>,
    /// The client's address. `None`: the limits per address do not concern the send.
    pub address: Option<IpAddr>,
}

impl Chat {
    /// Sends a message to a room and returns its id and seq once it is durable; it is pushed after that.
    ///
    /// Fails with `blank`, `too_long`, `too_fast`, `no_such_room`, `muted`, `banned`, `room_mode`, `busy`, `uncertain`. A repeated nonce
    /// returns the first result again.
    pub async fn send(&self, person: &Person, request: SendRequest<'_>) -> Result<SendReply, Refusal> {
        let sent = self.try_send(person, request).await;
        let outcome = sent.as_ref().map_or_else(Refusal::code, |_| "accepted");
        metrics::counter!("roomcast_sends_total", "outcome" => outcome).increment(1);
        if let Err(Refusal::Muted(restraint) | Refusal::Banned(restraint)) = &sent {
            metrics::counter!("roomcast_restrained_sends_total", "kind" => restraint.kind.as_str()).increment(1);
        }
        sent
    }

    async fn try_send(&self, person: &Person, request: SendRequest<'_>) -> Result<SendReply, Refusal> {
        let room: RoomId = request.room.parse()?;
        let nonce = request.nonce.map(str::parse::<Nonce>).transpose()?;
        let re = request.re.map(|re| position(re, "re")).transpose()?;
        let draft = Draft::new(request.message);
        draft.check(&self.rules())?;
        let row = self.room(&room).await?;
        // Early, from the cache; `append` decides. A nonce may be that of a message stored before the room was closed.
        if row.is_closed && nonce.is_none() {
            return Err(self.refusal_of_closed(&room, person).await?);
        }
        self.check_re(&room, re).await?;
        let mut sender = Sender::new(person, request.address);
        sender.is_exempt = self.is_exempt(&row, person).await?;
        let text = draft.into_text();
        let new = NewMessage {
            id: Uuid::now_v7(),
            user: person.uid.clone(),
            nickname: person.nickname.clone(),
            // The commit task sets it.
            at: 0,
            nonce,
            has_account: person.account.is_some(),
            re,
            mentions: self.mentions(&room, &text).await?,
            networks: self.networks.of_send(&room, person, sender, self.clock.now_ms()).await?,
            is_bot: person.uid.is_bot(),
            room,
            text,
        };
        match self.commits.commit(new, sender).await {
            // The commit task checks the cooldown first, in memory.
            Err(Refusal::TooFast { .. }) if row.is_closed => Err(Refusal::room_closed()),
            sent => sent,
        }
    }

    /// A restraint is told before the closed room, as in the store.
    async fn refusal_of_closed(&self, room: &RoomId, person: &Person) -> Result<Refusal, Refusal> {
        let you = self.you(room, Some(person)).await?;
        Ok(you.restraint.or(you.warning).map_or_else(Refusal::room_closed, Refusal::from))
    }

    /// Fails with `malformed` for a message that does not exist yet.
    async fn check_re(&self, room: &RoomId, re: Option<Seq>) -> Result<(), Refusal> {
        let Some(re) = re else { return Ok(()) };
        if re != Seq::default() && self.tails.reaches(room, re) {
            return Ok(());
        }
        let newest = self.store.seq_range(room).await.map_err(|error| refusal_of(&error, "seqs"))?.newest;
        if re > newest || re == Seq::default() { Err(Refusal::malformed("re")) } else { Ok(()) }
    }

    /// Whether the room's slow mode leaves the person alone. Only accounts have such a rank.
    async fn is_exempt(&self, row: &RoomRow, person: &Person) -> Result<bool, Refusal> {
        if row.slow_ms == 0 || person.account.is_none() {
            return Ok(false);
        }
        let key = (row.room.clone(), person.uid.clone());
        if let Some(is_exempt) = self.exempt.get(&key) {
            return Ok(is_exempt);
        }
        let standing = self.store.standing(&row.room, &person.uid).await.map_err(|error| refusal_of(&error, "person"))?;
        let is_exempt = standing.is_some_and(|standing| standing.rank().is_exempt());
        self.exempt.insert(key, is_exempt);
        Ok(is_exempt)
    }
}
