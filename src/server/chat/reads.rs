//! Reads of a room: older messages, and the data of its page.

use super::tails::Window;
use super::{Chat, MAX_COUNTED_NOW, position};
use crate::domain::{
    change::{Restraint, Rev},
    id::{RoomId, Seq},
    message::Message,
    paging::{MAX_PAGE_MESSAGES, PAGE_MESSAGES},
    rank::Rank,
    refusal::Refusal,
    reply::HistoryReply,
    room::{HostTools, MAX_SLOW_MS, Person, RoomCard, RoomView, Snapshot},
};
use crate::server::incident::refusal_of;
use crate::server::moderation::{state_of, told_restraints};
use crate::server::storage::moderation::RoomNow;

/// A person in a room; all is `None` for a reader.
#[derive(Default)]
pub(super) struct You {
    pub(super) rank: Option<Rank>,
    pub(super) restraint: Option<Restraint>,
    pub(super) warning: Option<Restraint>,
}

impl Chat {
    /// Returns up to `limit` messages (50, at most 100) with a seq below `before`, newest last.
    pub async fn history(&self, room: &str, before: &str, limit: Option<&str>) -> Result<HistoryReply, Refusal> {
        let room: RoomId = room.parse()?;
        let before = position(before, "before")?;
        let limit = limit.map(|limit| limit.parse::<u32>().map_err(|_| Refusal::malformed("limit"))).transpose()?;
        metrics::counter!("roomcast_history_reads_total").increment(1);
        let (now, limit) = (self.room_now(&room, None, 0).await?, limit.unwrap_or(PAGE_MESSAGES).min(MAX_PAGE_MESSAGES));
        let messages = self.messages(&now, Seq::default(), Some(before), limit).await?;
        Ok(HistoryReply { messages, oldest: now.oldest })
    }

    /// Returns a room and its last page of messages, for the first HTML of its page. The room's host also gets the values of its forms; the
    /// caller fills in the site's address.
    pub async fn view(&self, person: Option<&Person>, room: &str) -> Result<RoomView, Refusal> {
        // The id comes from a path: one that is not well formed is a page that does not exist.
        let room: RoomId = room.parse().map_err(|_| Refusal::NoSuchRoom)?;
        let now = self.room_now(&room, None, 0).await?;
        let messages = self.messages(&now, Seq::default(), None, PAGE_MESSAGES).await?;
        let is_host = person.is_some_and(|person| now.record.host.as_ref() == Some(&person.uid));
        let slow_ms = now.record.slow_ms.min(MAX_SLOW_MS);
        let host_tools = is_host.then_some(HostTools { slow_ms, site: String::new() });
        Ok(RoomView { snapshot: self.snapshot(person, now, messages).await?, host_tools })
    }

    /// Returns the data of a room's page with these messages.
    pub(super) async fn snapshot(
        &self,
        person: Option<&Person>,
        now: RoomNow,
        messages: Vec<Message>,
    ) -> Result<Snapshot, Refusal> {
        let RoomNow { record, oldest, .. } = now;
        let row = self.room(&record.room).await?;
        let online = self.online_now(&record.room).await;
        let card = RoomCard { online, title: record.title.clone(), ..self.card(row) };
        let You { rank, restraint, warning } = self.you(&record.room, person).await?;
        let seq = messages.last().map_or(record.newest, |last| last.seq.max(record.newest));
        let (rev, state) = (record.rev, state_of(&record, self.clock.now_ms()));
        let (rules, epoch) = (self.rules(), record.epoch);
        Ok(Snapshot { card, rules, epoch, seq, oldest, messages, rev, state, rank, restraint, warning })
    }

    /// Returns the number of people in a room: counted now where they are few, and else the last count, of at most a second ago.
    async fn online_now(&self, room: &RoomId) -> u32 {
        let last = self.presence.count(room);
        if last > MAX_COUNTED_NOW {
            return last;
        }
        self.presence.count_now(room).await
    }

    /// Reads a room at one moment, with at most `most` changes after `rev`.
    pub(super) async fn room_now(&self, room: &RoomId, rev: Option<Rev>, most: u32) -> Result<RoomNow, Refusal> {
        let now = self.store.room_now(room, rev, most).await.map_err(|error| refusal_of(&error, "room"))?;
        if now.is_none() {
            self.rooms.invalidate(room);
        }
        now.ok_or(Refusal::NoSuchRoom)
    }

    /// Reads rank and restraints of a person in a room.
    pub(super) async fn you(&self, room: &RoomId, person: Option<&Person>) -> Result<You, Refusal> {
        let Some(person) = person else { return Ok(You::default()) };
        let during = |error| refusal_of(&error, "person");
        let rank = self.store.standing(room, &person.uid).await.map_err(during)?.map(|standing| standing.rank());
        let rows = self.store.restraints_of(room, &person.uid, self.clock.now_ms()).await.map_err(during)?;
        let (restraint, warning) = told_restraints(&rows);
        Ok(You { rank, restraint, warning })
    }

    /// Reads the last `limit` messages above `after` and below `before`. `now` was read just now.
    pub(super) async fn messages(
        &self,
        now: &RoomNow,
        after: Seq,
        before: Option<Seq>,
        limit: u32,
    ) -> Result<Vec<Message>, Refusal> {
        let messages = self.tails.messages(&self.store, now, Window { after, before, limit });
        messages.await.map_err(|error| refusal_of(&error, "messages"))
    }
}
