//! Acts of moderation of the signed-in person, and the reads of the staff.

use super::{Actions, non_empty};
use crate::domain::{
    id::{Nonce, RoomId, Uid},
    name,
    refusal::Refusal,
    reply::{ActReply, TitleReply},
    staff::{CardReply, LogReply, Reported, Restrained, Rows},
};
use crate::server::incident::refusal_of;
use crate::server::moderation::{Act, ActKind, Actor};
use crate::server::web::act_fields as fields;
use crate::server::web::rate_limit::RequestKind;

/// A field that may be left out.
type Field<'a> = Option<&'a str>;

/// The fields that every act has: room, reason, nonce.
type Common<'a> = (Field<'a>, Reason<'a>, Field<'a>);

/// The reason of an act, and the form's field that holds it.
enum Reason<'a> {
    /// None is given.
    None,
    /// It may be left out.
    May(Field<'a>),
    /// It is required, in this field.
    Must(&'static str, &'a str),
}

impl Reason<'_> {
    fn parse(self) -> Result<String, Refusal> {
        match self {
            Self::None | Self::May(None) => Ok(String::new()),
            Self::May(Some(reason)) => fields::reason(reason, "reason", false),
            Self::Must(field, reason) => fields::reason(reason, field, true),
        }
    }
}

impl Actions {
    /// Removes messages.
    pub async fn remove(&self, room: &str, seq: &str, reason: Field<'_>, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        self.act((Some(room), Reason::May(reason), nonce), || fields::remove_from_text(seq)).await
    }

    /// Removes the messages of a person.
    pub async fn purge(
        &self,
        room: &str,
        user: &str,
        seconds: Field<'_>,
        reason: Field<'_>,
        nonce: Field<'_>,
    ) -> Result<ActReply, Refusal> {
        let kind = || fields::purge(fields::user(user)?, seconds_of(seconds)?);
        self.act((Some(room), Reason::May(reason), nonce), kind).await
    }

    /// Takes an act back.
    pub async fn undo(&self, action: &str, room: Field<'_>, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        self.act((non_empty(room), Reason::None, nonce), || Ok(ActKind::Undo(fields::id(action, "action")?))).await
    }

    /// Takes a person the right to send for a time.
    pub async fn time_out(
        &self,
        room: &str,
        user: &str,
        seconds: &str,
        reason: Field<'_>,
        nonce: Field<'_>,
    ) -> Result<ActReply, Refusal> {
        let kind = || fields::timeout(fields::user(user)?, fields::parse(seconds, "seconds")?);
        self.act((Some(room), Reason::May(reason), nonce), kind).await
    }

    /// Takes a person the right to send for good, in a room or on the whole site.
    pub async fn ban(
        &self,
        room: Field<'_>,
        user: &str,
        site: Field<'_>,
        reason: Field<'_>,
        nonce: Field<'_>,
    ) -> Result<ActReply, Refusal> {
        let is_site: Result<bool, Refusal> = non_empty(site).map_or(Ok(false), |site| fields::parse(site, "site"));
        let room = non_empty(room).filter(|_| is_site != Ok(true));
        let kind = || {
            let is_site = is_site?;
            if room.is_none() && !is_site {
                return Err(Refusal::malformed("room"));
            }
            Ok(ActKind::Ban(fields::user(user)?))
        };
        self.act((room, Reason::May(reason), nonce), kind).await
    }

    /// Ends a restraint.
    pub async fn lift(&self, case: &str, room: Field<'_>, reason: Field<'_>, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        self.act((non_empty(room), Reason::May(reason), nonce), || Ok(ActKind::Lift(fields::id(case, "case")?))).await
    }

    /// Warns a person.
    pub async fn warn(&self, room: &str, user: &str, reason: &str, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        self.act((Some(room), Reason::Must("reason", reason), nonce), || Ok(ActKind::Warn(fields::user(user)?))).await
    }

    /// Adds a note about a person.
    pub async fn note(&self, room: &str, user: &str, text: &str, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        self.act((Some(room), Reason::Must("text", text), nonce), || Ok(ActKind::Note(fields::user(user)?))).await
    }

    /// Removes a note.
    pub async fn unnote(&self, room: &str, note: &str, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        self.act((Some(room), Reason::None, nonce), || Ok(ActKind::RemoveNote(fields::id(note, "note")?))).await
    }

    /// Pins a message.
    pub async fn pin(&self, room: &str, seq: &str, seconds: Field<'_>, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        let kind = || fields::pin(fields::seq(seq)?, seconds_of(seconds)?);
        self.act((Some(room), Reason::None, nonce), kind).await
    }

    /// Removes the pin.
    pub async fn unpin(&self, room: &str, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        self.act((Some(room), Reason::None, nonce), || Ok(ActKind::Unpin)).await
    }

    /// Sets modes: `slow_ms`, `accounts`, `closed`. `later` are modes of a later version by name, which must be off.
    pub async fn set_mode(
        &self,
        room: &str,
        modes: [Field<'_>; 3],
        later: &[(&'static str, Option<String>)],
        nonce: Field<'_>,
    ) -> Result<ActReply, Refusal> {
        let kind = || {
            for (name, value) in later {
                non_empty(value.as_deref()).map_or(Ok(()), |value| fields::check_later_mode(name, value))?;
            }
            fields::mode_from_text(modes)
        };
        self.act((Some(room), Reason::None, nonce), kind).await
    }

    /// Sets the title of a room, and returns it as it is from now on.
    pub async fn set_title(&self, room: &str, title: &str, nonce: Field<'_>) -> Result<TitleReply, Refusal> {
        let cleaned = name::title(title);
        let reply = self.act((Some(room), Reason::None, nonce), || Ok(ActKind::Title(cleaned.clone()?))).await?;
        Ok(TitleReply { status: true, title: cleaned?, action: reply.action, rev: reply.rev })
    }

    /// Grants or revokes a role. `user` may also be the name of an account.
    pub async fn set_role(&self, room: &str, user: &str, role: &str, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        let account = match uuid::Uuid::parse_str(user) {
            Ok(_) => None,
            Err(_) => self.account_for_role(user).await?,
        };
        // An unknown name is refused after the actor's rank, as a known one is: nobody learns here which accounts there are.
        let kind = || fields::role(account.or_else(|| user.parse().ok()).unwrap_or_else(Uid::nobody), role);
        self.act((Some(room), Reason::None, nonce), kind).await
    }

    /// The uid of an account, for a signed-in person.
    async fn account_for_role(&self, name: &str) -> Result<Option<Uid>, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        self.current_session().await?;
        let row = self.state.store.person_by_account(name).await.map_err(|error| refusal_of(&error, "account"))?;
        Ok(row.map(|row| row.person.uid))
    }

    /// Settles the reports of a message.
    pub async fn settle(&self, room: &str, seq: &str, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        self.act((Some(room), Reason::None, nonce), || Ok(ActKind::SettleReports(fields::seq(seq)?))).await
    }

    /// Destroys the kept text of a removed message.
    pub async fn erase(&self, room: &str, seq: &str, reason: Field<'_>, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        self.act((Some(room), Reason::May(reason), nonce), || Ok(ActKind::EraseText(fields::seq(seq)?))).await
    }

    /// Removes a message of the person's own.
    pub async fn retract(&self, room: &str, seq: &str, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        self.act((Some(room), Reason::None, nonce), || Ok(ActKind::Retract(fields::seq(seq)?))).await
    }

    /// Reports a message to the staff.
    pub async fn report(&self, room: &str, seq: &str, reason: &str, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        self.act((Some(room), Reason::Must("reason", reason), nonce), || Ok(ActKind::Report(fields::seq(seq)?))).await
    }

    /// Acknowledges a warning of the person's own.
    pub async fn acknowledge(&self, case: &str, room: Field<'_>, nonce: Field<'_>) -> Result<ActReply, Refusal> {
        self.act((non_empty(room), Reason::None, nonce), || Ok(ActKind::Acknowledge(fields::id(case, "case")?))).await
    }

    /// Returns rows of the audit log of a room, or of the site.
    pub async fn log(&self, room: Field<'_>, before: Field<'_>) -> Result<LogReply, Refusal> {
        let actor = self.reader().await?;
        self.state.chat.log(&actor, non_empty(room), non_empty(before)).await
    }

    /// Returns the card of a person.
    pub async fn person_card(&self, room: &str, user: &str) -> Result<CardReply, Refusal> {
        let actor = self.reader().await?;
        Ok(CardReply { status: true, card: self.state.chat.person_card(&actor, room, user).await? })
    }

    /// Returns the restraints of a room that are in force.
    pub async fn restraints(&self, room: &str) -> Result<Rows<Restrained>, Refusal> {
        let actor = self.reader().await?;
        Ok(Rows::first(self.state.chat.restraints(&actor, room).await?))
    }

    /// Returns the open reports of a room.
    pub async fn reports(&self, room: &str) -> Result<Rows<Reported>, Refusal> {
        let actor = self.reader().await?;
        Ok(Rows::first(self.state.chat.reports(&actor, room).await?))
    }

    /// Counts a read of the staff, and returns the actor.
    async fn reader(&self) -> Result<Actor, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        Ok(Actor::Person(self.current_session().await?.person.uid.clone()))
    }

    /// Counts an act, and carries it out. Its fields are parsed after the session was found.
    async fn act(
        &self,
        (room, reason, nonce): Common<'_>,
        kind: impl FnOnce() -> Result<ActKind, Refusal>,
    ) -> Result<ActReply, Refusal> {
        self.check_rate_limit(RequestKind::Act)?;
        let actor = Actor::Person(self.current_session().await?.person.uid.clone());
        let room = room.map(str::parse::<RoomId>).transpose()?;
        let nonce = non_empty(nonce).map(str::parse::<Nonce>).transpose()?;
        let kind = kind()?;
        self.state.chat.act(Act { actor, room, nonce, reason: reason.parse()?, kind }).await
    }
}

fn seconds_of(text: Field<'_>) -> Result<Option<u64>, Refusal> {
    non_empty(text).map(|text| fields::parse(text, "seconds")).transpose()
}
