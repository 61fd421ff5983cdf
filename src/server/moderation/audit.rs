//! The audit log: one chain of rows per room, and one of the site. A row's body is canonical JSON, and its hash covers the hash of
//! the row before it. The body names no text: reasons and titles are kept apart, and the body has their salted hashes.

use super::act::{Outcome, Told};
use super::carry_out::{Doing, Failure};
use super::verify::hex;
use crate::domain::{
    change::{Pinned, Rev, Seqs},
    id::{RoomId, Uid},
    rank::Verb,
};
use crate::server::storage::moderation::{ActQueries, ActionRow};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The chain of acts on the whole site.
pub(super) const SITE: &str = "*";
/// Verbs of rows that are not in the table of ranks.
pub(super) const ACKNOWLEDGE: &str = "acknowledge";
pub(super) const REMOVE_NOTE: &str = "remove_note";
pub(super) const SETTLE: &str = "settle";
pub(super) const HOST: &str = "host";
/// Kind of the text that is kept of an act's reason.
pub const REASON: &str = "reason";
/// Kind of the title that an act replaced.
pub const TITLE_BEFORE: &str = "title_before";
/// Kind of the title that an act set.
pub const TITLE_AFTER: &str = "title_after";

/// The body of a row. The order of the fields is the order in the hash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Body {
    /// Version of this form.
    pub v: u8,
    /// The room's id, or `*`.
    pub chain: String,
    /// The number of the row in its chain.
    pub n: u64,
    /// The act.
    pub id: Uuid,
    /// When, unix milliseconds.
    pub at: u64,
    /// The actor.
    pub actor: String,
    /// The verb's word.
    pub verb: String,
    /// The person acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomId>,
    /// Messages that the act concerns: first and last of each range.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seqs: Vec<(u64, u64)>,
    /// When the restraint or the pin ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The restraint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Uuid>,
    /// The first change of the room that the act made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<Rev>,
    /// The act that this one takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<Uuid>,
    /// The state before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// Hex of the salted hash of the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_hash: Option<String>,
}

/// The state that an act replaced, for its undoing, and the one that it left.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Detail {
    /// Before the act.
    pub before: Part,
    /// After it.
    pub after: Part,
}

/// The parts of a room that acts replace; each act has its own.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Part {
    /// Slow mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_ms: Option<u64>,
    /// Only accounts send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<bool>,
    /// The room is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<bool>,
    /// The operator closed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_operator: Option<bool>,
    /// Hex of the salted hash of the title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title_hash: Option<String>,
    /// The pin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pinned>,
    /// The word of the role of the person acted on; empty for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The uid of the room's host; empty for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// A timeout that the act replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<Uuid>,
}

impl Body {
    /// Returns the hash of the text of a kind; `None` if the act has no such text.
    pub(super) fn hash_of_text(&self, kind: &str) -> Option<&str> {
        let title = |part: fn(&Detail) -> &Part| self.detail.as_ref().and_then(|detail| part(detail).title_hash.as_deref());
        match kind {
            REASON => self.reason_hash.as_deref(),
            TITLE_BEFORE => title(|detail| &detail.before),
            TITLE_AFTER => title(|detail| &detail.after),
            _ => None,
        }
    }
}

/// Whether a row's act can be taken back at `now` (unix ms) as far as its row tells. It may have been undone already.
pub fn is_undoable(verb: &str, at: u64, now: u64) -> bool {
    let verb = Verb::from_word(verb);
    let is_inverted = verb.is_some_and(|verb| !matches!(verb, Verb::Retract | Verb::Undo | Verb::Note | Verb::Log | Verb::Erase));
    is_inverted && now < at.saturating_add(super::undo::UNDONE_WITHIN_MS)
}

/// The parts of a row that its act decides.
#[derive(Clone, Default, Debug)]
pub(super) struct Entry {
    pub(super) verb: &'static str,
    pub(super) target: Option<Uid>,
    pub(super) seqs: Vec<Seqs>,
    pub(super) until: Option<u64>,
    pub(super) case: Option<Uuid>,
    pub(super) rev: Option<Rev>,
    pub(super) undoes: Option<Uuid>,
    pub(super) detail: Option<Detail>,
    /// The titles before and after, of an act on the title. The detail gets their hashes.
    pub(super) titles: Option<(String, String)>,
    /// The text whose hash the row has is not kept with it.
    pub(super) drops_text: bool,
}

impl Entry {
    pub(super) fn new(verb: Verb, target: Option<&Uid>) -> Self {
        Self::of_word(verb.as_str(), target)
    }

    pub(super) fn of_word(verb: &'static str, target: Option<&Uid>) -> Self {
        Self { verb, target: target.cloned(), ..Self::default() }
    }
}

/// Returns the hash of a row.
pub(super) fn hash_of(before: &[u8; 32], body: &str) -> [u8; 32] {
    Sha256::new().chain_update(before).chain_update(body).finalize().into()
}

/// Returns the hash of a text as it stands in a row: hex of SHA-256 of salt and text.
pub(super) fn text_hash(salt: &[u8], text: &str) -> String {
    hex(&Sha256::new().chain_update(salt).chain_update(text).finalize())
}

impl<T: ActQueries> Doing<'_, T> {
    /// Appends the act's row, and completes its outcome with the act's id.
    pub(super) async fn log(&mut self, entry: Entry, mut outcome: Outcome) -> Result<Outcome, Failure> {
        let reason_hash = self.keep_reason(&entry).await?;
        let titles = self.keep_titles(&entry).await?;
        let head = self.tx.chain().await?;
        let Entry { verb, target, seqs, until, case, rev, undoes, detail, .. } = entry;
        let detail = titles.or(detail);
        let target = target.map(|target| target.as_str().to_owned());
        let body = Body {
            v: 1,
            chain: head.chain.clone(),
            n: head.n + 1,
            id: self.id,
            at: self.now,
            actor: self.actor.clone(),
            verb: verb.to_owned(),
            target: target.clone(),
            room: self.act_room(),
            seqs: seqs.iter().map(|seqs| (seqs.from.0, seqs.to.0)).collect(),
            until,
            case,
            rev,
            undoes,
            detail,
            reason_hash,
        };
        // Serialization fails only for maps whose keys are not strings; a body has none.
        let json = serde_json::to_string(&body).unwrap_or_default();
        let row = ActionRow {
            chain: head.chain,
            n: body.n,
            id: self.id,
            at: self.now,
            actor: self.actor.clone(),
            verb: body.verb,
            target: target.clone(),
            nonce: self.act.nonce.as_ref().map(|nonce| nonce.as_str().to_owned()),
            hash: hash_of(&head.hash, &json),
            body: json,
        };
        self.tx.put_action(&row).await?;
        outcome.told = Some(Told::Action { at: self.now, actor: row.actor, verb, target, seqs });
        outcome.reply.status = true;
        outcome.reply.action = Some(self.id);
        outcome.reply.until = outcome.reply.until.or(until);
        outcome.reply.case = outcome.reply.case.or(case);
        outcome.reply.rev = outcome.reply.rev.or(rev);
        Ok(outcome)
    }

    /// Keeps the act's reason, which is about its target, and returns its hash.
    async fn keep_reason(&mut self, entry: &Entry) -> Result<Option<String>, Failure> {
        if self.reason.is_empty() {
            return Ok(None);
        }
        if entry.drops_text {
            return Ok(Some(text_hash(&rand::random::<[u8; 16]>(), &self.reason)));
        }
        let reason = self.reason.clone();
        self.keep_text(REASON, entry.target.as_ref(), &reason).await.map(Some)
    }

    /// Keeps the act's titles, which go with the actor, and returns their hashes.
    async fn keep_titles(&mut self, entry: &Entry) -> Result<Option<Detail>, Failure> {
        let Some((before, after)) = &entry.titles else { return Ok(None) };
        let actor = self.person().ok().cloned();
        let before = self.keep_text(TITLE_BEFORE, actor.as_ref(), before).await?;
        let after = self.keep_text(TITLE_AFTER, actor.as_ref(), after).await?;
        let part = |hash| Part { title_hash: Some(hash), ..Part::default() };
        Ok(Some(Detail { before: part(before), after: part(after) }))
    }

    /// Keeps a text of the act with a new salt until it ends or its person is erased, and returns its hash.
    async fn keep_text(&mut self, kind: &str, uid: Option<&Uid>, text: &str) -> Result<String, Failure> {
        let salt: [u8; 16] = rand::random();
        let until = self.now.saturating_add(self.rules.keep_notes_ms);
        self.tx.put_action_text(self.id, kind, uid, text, &salt, until).await?;
        Ok(text_hash(&salt, text))
    }
}
