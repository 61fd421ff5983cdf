//! Carries an act out: judges it, changes the store, and adds its row to the audit log, in the caller's transaction.

use super::act::{Act, ActKind, Actor, Outcome};
use super::audit::{Body, SITE};
use super::judge::Power;
use super::state::state_of;
use crate::domain::{change::RoomState, id::RoomId, rank::Verb, refusal::Refusal, reply::ActReply, text};
use crate::server::config::{ModerationSettings, Switch};
use crate::server::incident::refusal_of;
use crate::server::storage::StorageError;
use crate::server::storage::moderation::{ActQueries, ActionRow, RoomRecord};
use uuid::Uuid;

const DAY_MS: u64 = 24 * 3600 * 1000;
/// Longest reason, in graphemes and in bytes.
const MAX_REASON: u32 = 500;
const MAX_REASON_BYTES: usize = 4096;

/// The operator's rules of moderation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Moderators ban and lift bans.
    pub moderators_ban: bool,
    /// Restraints of guests concern new guests of the same network.
    pub network_bans: bool,
    /// Time for which removed texts are kept, in milliseconds.
    pub keep_removed_ms: u64,
    /// Time for which notes and reasons are kept, in milliseconds.
    pub keep_notes_ms: u64,
}

impl From<&ModerationSettings> for Rules {
    fn from(settings: &ModerationSettings) -> Self {
        Self {
            moderators_ban: settings.moderators_ban == Switch::On,
            network_bans: settings.network_bans == Switch::On,
            keep_removed_ms: u64::from(settings.keep_removed_days) * DAY_MS,
            keep_notes_ms: u64::from(settings.keep_notes_days) * DAY_MS,
        }
    }
}

/// Why an act was not done. The transaction must be dropped.
#[derive(Debug)]
pub enum Failure {
    /// It is refused.
    Refused(Refusal),
    /// The store failed.
    Store(StorageError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Store(error) => refusal_of(&error, "act"),
        }
    }
}

/// An act under way.
pub(super) struct Doing<'a, T> {
    pub(super) tx: &'a mut T,
    pub(super) act: &'a Act,
    pub(super) rules: &'a Rules,
    /// Id of the act and, if it restrains a person, of the case.
    pub(super) id: Uuid,
    pub(super) now: u64,
    /// The actor's word in the log.
    pub(super) actor: String,
    pub(super) power: Power,
    /// The cleaned reason.
    pub(super) reason: String,
    /// `None` for an act on the whole site.
    pub(super) room: Option<RoomRecord>,
}

/// Carries an act out under the id `id`, a new uuid v7. `tx` is a transaction in the act's room, or on the person for an act on
/// the whole site; the caller commits it. An act with the nonce of an earlier one returns the answer of that, and changes nothing.
///
/// # Errors
/// The refusals that [`ActKind`] implies, and errors of the store.
pub async fn carry_out<T: ActQueries>(tx: &mut T, act: &Act, id: Uuid, rules: &Rules) -> Result<Outcome, Failure> {
    if let Some(nonce) = &act.nonce
        && let Some(row) = tx.action_by_nonce(&act.actor.word(), nonce.as_str()).await?
    {
        if !is_of(act, &row) {
            return Err(Refusal::malformed("nonce").into());
        }
        return repeated(tx, &row).await;
    }
    let room = match &act.room {
        Some(_) => Some(tx.room().await?.ok_or(Refusal::NoSuchRoom)?),
        None => None,
    };
    let (now, power) = (tx.now().await?, Power::read(tx, &act.actor).await?);
    let (actor, reason) = (act.actor.word(), clean_reason(&act.reason)?);
    // The transaction has the room's place in the commit order: no message is stored meanwhile.
    let head = room.as_ref().map(|room| room.newest).unwrap_or_default();
    let mut doing = Doing { tx, act, rules, id, now, actor, power, reason, room };
    let outcome = match &act.kind {
        ActKind::Remove(seqs) => doing.remove(seqs).await,
        ActKind::Purge { user, seconds } => doing.purge(user, *seconds).await,
        ActKind::Retract(seq) => doing.retract(*seq).await,
        ActKind::EraseText(seq) => doing.erase_text(*seq).await,
        ActKind::Undo(action) => doing.undo(*action).await,
        ActKind::Warn(user) => doing.warn(user).await,
        ActKind::Timeout { user, seconds } => doing.time_out(user, *seconds).await,
        ActKind::Ban(user) => doing.ban(user).await,
        ActKind::Lift(case) => doing.lift(*case).await,
        ActKind::Acknowledge(case) => doing.acknowledge(*case).await,
        ActKind::Note(user) => doing.note(user).await,
        ActKind::RemoveNote(note) => doing.remove_note(*note).await,
        ActKind::Report(seq) => doing.report(*seq).await,
        ActKind::SettleReports(seq) => doing.settle_reports(*seq).await,
        ActKind::Pin { seq, seconds } => doing.pin(*seq, *seconds).await,
        ActKind::Unpin => doing.unpin().await,
        ActKind::Mode(set) => doing.set_modes(*set).await,
        ActKind::Title(title) => doing.set_title(title).await,
        ActKind::Role { user, role } => doing.set_role(user, *role).await,
        ActKind::Host(user) => doing.set_host(user).await,
        ActKind::ErasePerson(user) => doing.erase_person(user).await,
        ActKind::ExportLog => doing.export_log().await,
    };
    Ok(Outcome { head, ..outcome? })
}

/// Whether a row is that of such an act: of its verb, in its room. Under a nonce that is in use for another act nothing was done.
fn is_of(act: &Act, row: &ActionRow) -> bool {
    row.verb == act.logged_verb() && row.chain == act.room.as_ref().map_or(SITE, RoomId::as_str)
}

/// The answer of an act that was done before under the same nonce.
async fn repeated<T: ActQueries>(tx: &mut T, row: &ActionRow) -> Result<Outcome, Failure> {
    let body = serde_json::from_str::<Body>(&row.body).ok();
    let mut reply = ActReply { status: true, action: Some(row.id), ..ActReply::default() };
    if let Some(body) = body {
        (reply.case, reply.until, reply.rev) = (body.case, body.until, body.rev);
    }
    let verb = Verb::from_word(&row.verb);
    if matches!(verb, Some(Verb::Mode | Verb::Title | Verb::Pin | Verb::Unpin)) {
        let now = tx.now().await?;
        reply.state = tx.room().await?.map(|record| state_of(&record, now));
    }
    Ok(Outcome { reply, ..Outcome::default() })
}

fn clean_reason(raw: &str) -> Result<String, Refusal> {
    let reason = text::clean_lines(raw);
    if text::is_blank(&reason) {
        return Ok(String::new());
    }
    // Bytes first, because they limit the work of counting graphemes.
    if reason.len() > MAX_REASON_BYTES || text::graphemes(&reason) > MAX_REASON as usize {
        return Err(Refusal::TooLong { max: MAX_REASON });
    }
    Ok(reason)
}

impl<T: ActQueries> Doing<'_, T> {
    /// The act's room. Fails with `malformed` for an act on the whole site.
    pub(super) fn record(&self) -> Result<&RoomRecord, Refusal> {
        self.room.as_ref().ok_or(Refusal::malformed("room"))
    }

    pub(super) fn act_room(&self) -> Option<RoomId> {
        self.room.as_ref().map(|record| record.room.clone())
    }

    /// The chain of the act's place.
    pub(super) fn chain_name(&self) -> &str {
        self.room.as_ref().map_or(SITE, |record| record.room.as_str())
    }

    /// Whether the command line acts.
    pub(super) fn is_operator(&self) -> bool {
        self.act.actor == Actor::Cli
    }

    /// The state of the room as the record has it.
    pub(super) fn state(&self) -> Result<RoomState, Refusal> {
        Ok(state_of(self.record()?, self.now))
    }
}
