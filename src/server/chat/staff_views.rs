//! The views of the staff: the page of a message, the card of a person, a room's moderation page. Each checks the rank of its reader
//! first, and is bounded.

use super::{Chat, position};
use crate::domain::{
    id::{RoomId, Seq, Uid},
    message::Message,
    rank::{Rank, Verb, may},
    refusal::Refusal,
    room::Person,
    staff::{Member, MessagePage, ModerationPage, Note, PersonCard, Reported, Restrained, StaffMessage, StaffPart},
};
use crate::server::incident::refusal_of;
use crate::server::moderation::{Actor, restraint_of};
use crate::server::storage::StorageError;
use crate::server::storage::moderation::{Granted, WithText};
use uuid::Uuid;

/// Messages on each side of the one that a page is about.
const AROUND: u64 = 3;
/// Newest messages of the moderation page.
const NEWEST: u32 = 20;
/// Rows of a list.
const ROWS: u32 = 100;
/// Open reports that are read: several concern one message.
const REPORTS: u32 = 500;
/// Pages of the log that are searched for the act that removed a message.
const LOG_PAGES: u32 = 3;
/// Messages and notes of a card.
const CARD_ROWS: u32 = 50;

fn failed(error: StorageError) -> Refusal {
    refusal_of(&error, "staff")
}

impl Chat {
    /// Returns the page of one message. Fails with `no_such_room` also for a seq that is not kept.
    pub async fn message_page(&self, person: Option<&Person>, room: &str, seq: &str) -> Result<MessagePage, Refusal> {
        // Both come from a path: one that is not well formed is a page that does not exist.
        let room: RoomId = room.parse().map_err(|_| Refusal::NoSuchRoom)?;
        let seq = position(seq, "seq").map_err(|_| Refusal::NoSuchRoom)?;
        let now = self.room_now(&room, None, 0).await?;
        let (after, before) = (Seq(seq.0.saturating_sub(AROUND + 1)), Seq(seq.0.saturating_add(AROUND + 1)));
        let most = u32::try_from(AROUND * 2 + 1).unwrap_or(u32::MAX);
        let messages = self.store.messages_between(&room, after, Some(before), most).await.map_err(failed)?;
        let message = messages.iter().find(|message| message.seq == seq).cloned().ok_or(Refusal::NoSuchRoom)?;
        let is_own = person.is_some_and(|person| person.uid == message.user);
        let snapshot = self.snapshot(person, now, messages).await?;
        let staff = match (person, snapshot.rank) {
            (Some(person), Some(rank)) if rank.is_staff() => {
                let actor = Actor::Person(person.uid.clone());
                let texts = self.store.with_texts(&room, after, before, most).await.map_err(failed)?;
                let card = match message.user == Uid::nobody() {
                    true => None,
                    false => self.card_of(&room, Some(rank), &message.user).await?,
                };
                let undo = if message.removed.is_some() { self.removal_of(&actor, &room, &message).await? } else { None };
                Some(StaffPart { messages: texts.into_iter().map(staff_message).collect(), card, undo })
            }
            _ => None,
        };
        Ok(MessagePage { snapshot, seq, staff, is_own })
    }

    /// Returns the moderation page of a room. Fails with `not_allowed` for everyone but its staff.
    pub async fn moderation_page(&self, person: &Person, room: &str) -> Result<ModerationPage, Refusal> {
        let id: RoomId = room.parse().map_err(|_| Refusal::NoSuchRoom)?;
        let now = self.room_now(&id, None, 0).await?;
        let actor = Actor::Person(person.uid.clone());
        self.staff_rank(&actor, &id).await?;
        let messages = self.messages(&now, Seq::default(), None, NEWEST).await?;
        let granted = self.store.granted(&id).await.map_err(failed)?;
        let member =
            |granted: Granted| Member { user: granted.uid, nickname: granted.nickname, role: granted.role.as_str().to_owned() };
        Ok(ModerationPage {
            snapshot: self.snapshot(Some(person), now, messages).await?,
            reports: self.reports(&actor, room).await?,
            restraints: self.restraints(&actor, room).await?,
            staff: granted.into_iter().map(member).collect(),
            log: self.log(&actor, Some(room), None).await?,
        })
    }

    /// Returns the card of a person in a room, for its staff.
    pub async fn person_card(&self, actor: &Actor, room: &str, user: &str) -> Result<PersonCard, Refusal> {
        let room: RoomId = room.parse()?;
        let user: Uid = user.parse().map_err(|_| Refusal::malformed("user"))?;
        self.room(&room).await?;
        let rank = self.staff_rank(actor, &room).await?;
        self.card_of(&room, rank, &user).await?.ok_or(Refusal::malformed("user"))
    }

    /// Returns the open reports of a room, for its staff.
    pub async fn reports(&self, actor: &Actor, room: &str) -> Result<Vec<Reported>, Refusal> {
        let room: RoomId = room.parse()?;
        self.room(&room).await?;
        self.staff_rank(actor, &room).await?;
        let open = self.store.open_reports(&room, REPORTS).await.map_err(failed)?;
        let mut seqs: Vec<Seq> = Vec::new();
        for report in &open {
            if !seqs.contains(&report.seq) && seqs.len() < ROWS as usize {
                seqs.push(report.seq);
            }
        }
        let messages = self.store.messages_at(&room, &seqs).await.map_err(failed)?;
        let reported = |seq: Seq| {
            let message = messages.iter().find(|message| message.seq == seq)?.clone();
            let of: Vec<_> = open.iter().filter(|report| report.seq == seq).collect();
            let mut reasons: Vec<String> = of.iter().map(|report| report.reason.clone()).collect();
            reasons.sort_unstable();
            reasons.dedup();
            let at = of.iter().map(|report| report.at).min()?;
            Some(Reported { message: StaffMessage { message, removed: None }, reasons, count: of.len() as u64, at })
        };
        Ok(seqs.iter().copied().filter_map(reported).collect())
    }

    /// Returns the newest restraints of a room that are in force, at most 100, for its staff.
    pub async fn restraints(&self, actor: &Actor, room: &str) -> Result<Vec<Restrained>, Refusal> {
        let room: RoomId = room.parse()?;
        self.room(&room).await?;
        self.staff_rank(actor, &room).await?;
        let rows = self.store.restraints_in(Some(&room), self.clock.now_ms(), ROWS).await.map_err(failed)?;
        let restrained = rows.into_iter().map(|(row, nickname)| Restrained {
            user: row.uid,
            nickname,
            kind: row.kind,
            since: row.since,
            until: row.until,
            reason: row.reason,
            by: row.by,
            case: row.id,
        });
        Ok(restrained.collect())
    }

    /// Returns the rank of a reader in a room; `None` for the command line, which is above all. Fails with `not_allowed` unless it is of
    /// the staff.
    pub(super) async fn staff_rank(&self, actor: &Actor, room: &RoomId) -> Result<Option<Rank>, Refusal> {
        let uid = match actor {
            Actor::Cli => return Ok(None),
            Actor::Key(_, rank) => return Ok(Some(*rank)),
            Actor::Person(uid) => uid,
        };
        let standing = self.store.standing(room, uid).await.map_err(failed)?;
        let rank = standing.map(|standing| standing.rank()).filter(|rank| rank.is_staff());
        rank.map(Some).ok_or(Refusal::NotAllowed)
    }

    /// Returns the card of a person for a reader of the rank `reader`. `None`: the uid is unknown.
    async fn card_of(&self, room: &RoomId, reader: Option<Rank>, user: &Uid) -> Result<Option<PersonCard>, Refusal> {
        let now = self.clock.now_ms();
        let Some(history) = self.store.person_history(room, user, now).await.map_err(failed)? else { return Ok(None) };
        let in_force = self.store.restraints_of(room, user, now).await.map_err(failed)?;
        let last = self.store.messages_of(room, user, None, CARD_ROWS).await.map_err(failed)?;
        let notes = self.store.notes_of(room, user, CARD_ROWS).await.map_err(failed)?;
        let rank = history.standing.rank();
        Ok(Some(PersonCard {
            uid: user.clone(),
            nickname: history.standing.nickname,
            account: history.standing.account.is_some(),
            rank,
            since: history.standing.created_at,
            seen: history.seen,
            messages: history.messages,
            removed: history.removed,
            restraints: history.restraints,
            in_force: in_force.iter().map(restraint_of).collect(),
            nicknames: history.nicknames,
            last: last.into_iter().map(staff_message).collect(),
            notes: notes.into_iter().map(|note| Note { id: note.id, by: note.by, at: note.at, text: note.text }).collect(),
            shares_network: history.shares_network,
            may_act: reader.is_none_or(|reader| may(reader, Verb::Timeout, Some(rank))),
        }))
    }

    /// Returns the act that removed a message, if it can be undone.
    async fn removal_of(&self, actor: &Actor, room: &RoomId, message: &Message) -> Result<Option<Uuid>, Refusal> {
        let mut before: Option<String> = None;
        for _ in 0..LOG_PAGES {
            let log = self.log(actor, Some(room.as_str()), before.as_deref()).await?;
            let of_message = log.rows.iter().find(|row| match row.verb.as_str() {
                "remove" | "retract" => row.seqs.contains(&message.seq),
                "purge" => {
                    let (first, last) = (row.seqs.first(), row.seqs.last());
                    let is_in_range = first <= Some(&message.seq) && last >= Some(&message.seq);
                    is_in_range && row.target.as_deref() == Some(message.user.as_str())
                }
                _ => false,
            });
            if let Some(row) = of_message {
                return Ok(row.can_undo.then_some(row.action));
            }
            let Some(next) = log.next else { break };
            before = Some(next.to_string());
        }
        Ok(None)
    }
}

fn staff_message(with_text: WithText) -> StaffMessage {
    StaffMessage { message: with_text.message, removed: with_text.removed }
}
