//! The audit log as the staff reads it: with nicknames, with the reasons that are kept, and with what can be undone still.

use super::Chat;
use crate::domain::{
    id::{RoomId, Seq, Uid},
    rank::{Rank, Verb, may},
    refusal::Refusal,
    staff::{LogReply, LogRow, PushedBy},
};
use crate::server::gateway::{Group, GroupSender};
use crate::server::incident::refusal_of;
use crate::server::moderation::{Actor, Body, Part, REASON, TITLE_AFTER, TITLE_BEFORE, is_undoable};
use crate::server::storage::StorageError;
use crate::server::storage::moderation::{ActionRow, Standing};
use std::collections::HashMap;
use std::time::Instant;
use uuid::Uuid;

/// Rows of a page.
const ROWS: u32 = 100;
/// Newest rows that are searched for what was undone since.
const LATER_ROWS: u32 = 300;
/// Messages that a row names.
const SEQS: usize = 100;
/// The command line, and the begin of an API key's word, as actors.
const CLI: &str = "cli";
const KEY: &str = "bot:";
/// The chain of the site.
const SITE: &str = "*";

fn failed(error: StorageError) -> Refusal {
    refusal_of(&error, "log")
}

impl Chat {
    /// Returns the rows of a room's log before number `before`, for its staff; of the site's log (no room) for the owner.
    pub async fn log(&self, actor: &Actor, room: Option<&str>, before: Option<&str>) -> Result<LogReply, Refusal> {
        let before = before.map(|before| before.parse::<u64>().map_err(|_| Refusal::malformed("before"))).transpose()?;
        let room = room.map(str::parse::<RoomId>).transpose()?;
        let rank = match &room {
            Some(room) => {
                self.room(room).await?;
                self.staff_rank(actor, room).await?
            }
            None => {
                self.check_owner(actor).await?;
                Some(Rank::Owner)
            }
        };
        let chain = room.as_ref().map_or(SITE, RoomId::as_str);
        let mut rows = self.store.newest_actions(chain, before, ROWS + 1).await.map_err(failed)?;
        let has_more = rows.len() > ROWS as usize;
        rows.truncate(ROWS as usize);
        let next = rows.last().filter(|_| has_more).map(|last| last.n);
        let later = match before {
            Some(_) => self.store.newest_actions(chain, None, LATER_ROWS).await.map_err(failed)?,
            None => Vec::new(),
        };
        let reader = Reader { word: actor.word(), rank };
        let rows = self.log_rows(&reader, room.as_ref(), &rows, &later).await?;
        let pushed = room.as_ref().filter(|_| before.is_none()).map(|room| self.pushed_to(room)).unwrap_or_default();
        Ok(LogReply { status: true, rows, next, pushed })
    }

    /// The back ends that pushed to the pages of a room, those with the newest push first. Their pushes are no rows: a site may push
    /// hundreds in a second.
    fn pushed_to(&self, room: &RoomId) -> Vec<PushedBy> {
        let mut senders = self.gateway.senders_of(&Group::new(room.as_str()));
        senders.sort_by_key(|sender| std::cmp::Reverse(sender.last));
        let (now, instant) = (self.clock.now_ms(), Instant::now());
        let at = |then: Instant| {
            let ago = instant.saturating_duration_since(then).as_millis();
            now.saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX))
        };
        let pushed = |sender: GroupSender| {
            let GroupSender { by, count, first, last } = sender;
            PushedBy { by, count, since: at(first), at: at(last) }
        };
        senders.into_iter().map(pushed).collect()
    }

    async fn check_owner(&self, actor: &Actor) -> Result<(), Refusal> {
        match actor {
            Actor::Cli => Ok(()),
            Actor::Person(uid) if self.store.is_owner(uid).await.map_err(failed)? => Ok(()),
            _ => Err(Refusal::NotAllowed),
        }
    }

    async fn log_rows(
        &self,
        reader: &Reader,
        room: Option<&RoomId>,
        rows: &[ActionRow],
        later: &[ActionRow],
    ) -> Result<Vec<LogRow>, Refusal> {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let texts = if ids.is_empty() { Vec::new() } else { self.store.action_texts(&ids).await.map_err(failed)? };
        let mut texts: Texts = texts.into_iter().map(|(id, kind, text, _)| ((id, kind), text)).collect();
        let people = self.people(room, rows).await?;
        let nickname = |word: &str| people.get(word).map(|person| person.nickname.clone());
        let bodies: Vec<Option<Body>> = rows.iter().map(|row| serde_json::from_str(&row.body).ok()).collect();
        let (mut seen, now) = (Seen::default(), self.clock.now_ms());
        let oldest_shown = rows.first().map_or(0, |row| row.n);
        for row in later.iter().filter(|row| row.n > oldest_shown) {
            if let Ok(body) = serde_json::from_str(&row.body) {
                seen.add(&body);
            }
        }
        let mut shown = Vec::with_capacity(rows.len());
        for (row, body) in rows.iter().zip(bodies) {
            let can_undo = is_undoable(&row.verb, row.at, now)
                && body.as_ref().is_some_and(|body| !seen.ends(body) && !reader.is_kept_closed(body))
                && reader.may_undo(row, &people, self.rules.moderators_ban);
            if let Some(body) = &body {
                seen.add(body);
            }
            shown.push(LogRow {
                n: row.n,
                action: row.id,
                at: row.at,
                actor: row.actor.clone(),
                actor_nickname: nickname(&row.actor),
                verb: row.verb.clone(),
                room: room.cloned(),
                target: row.target.clone(),
                target_nickname: row.target.as_deref().and_then(nickname),
                seqs: body.as_ref().map(seqs).unwrap_or_default(),
                until: body.as_ref().and_then(|body| body.until),
                case: body.as_ref().and_then(|body| body.case),
                undoes: body.as_ref().and_then(|body| body.undoes),
                detail: body.as_ref().and_then(|body| detail_of(body, rows, &texts)),
                reason: texts.remove(&(row.id, REASON.to_owned())),
                can_undo,
            });
        }
        Ok(shown)
    }

    /// The persons of rows: 200 at most.
    async fn people(&self, room: Option<&RoomId>, rows: &[ActionRow]) -> Result<HashMap<String, Standing>, Refusal> {
        // Neither the nickname nor an owner's rank depends on the room.
        let Ok(any) = SITE_READS_AS.parse::<RoomId>() else { return Ok(HashMap::new()) };
        let words = rows.iter().flat_map(|row| [Some(&row.actor), row.target.as_ref()]).flatten();
        let mut uids: Vec<Uid> = words.filter_map(|word| word.parse().ok()).collect();
        uids.sort_unstable();
        uids.dedup();
        if uids.is_empty() {
            return Ok(HashMap::new());
        }
        let people = self.store.standings(room.unwrap_or(&any), &uids).await.map_err(failed)?;
        Ok(people.into_iter().map(|(uid, standing)| (uid.as_str().to_owned(), standing)).collect())
    }
}

/// A room id under which standings of the site are read.
const SITE_READS_AS: &str = "-";

/// The reader of a log.
struct Reader {
    word: String,
    /// `None`: the command line, which is above all ranks.
    rank: Option<Rank>,
}

impl Reader {
    /// Whether the reader may take a row back: a rank that may do the act, and that is not below its actor's. The
    /// person of a restraint or a role must still be below the reader.
    fn may_undo(&self, row: &ActionRow, people: &HashMap<String, Standing>, moderators_ban: bool) -> bool {
        let Some(verb) = Verb::from_word(&row.verb) else { return false };
        let Some(rank) = self.rank else { return true };
        let least = if verb == Verb::Ban && !moderators_ban { Rank::Host } else { verb.least_rank() };
        let actors = match row.actor.as_str() {
            CLI => Rank::Owner,
            word if word.starts_with(KEY) => Rank::Moderator,
            word => people.get(word).map_or(Rank::Guest, Standing::rank),
        };
        let is_on_person = matches!(verb, Verb::Warn | Verb::Timeout | Verb::Ban | Verb::BanSite | Verb::Lift | Verb::Role);
        let target = row.target.as_ref().filter(|_| is_on_person).and_then(|target| people.get(target)).map(Standing::rank);
        may(rank, verb, target) && rank >= least && (self.word == row.actor || rank >= actors)
    }

    /// Whether the row closed the room for the operator, who alone opens it.
    fn is_kept_closed(&self, body: &Body) -> bool {
        self.rank.is_some() && body.detail.as_ref().is_some_and(|detail| detail.after.by_operator == Some(true))
    }
}

/// The kept texts of rows, by act and kind.
type Texts = HashMap<(Uuid, String), String>;

/// Bytes of a value that a row shows.
const DETAIL: usize = 300;

/// Returns the value that an act set; of an undo the number of its row, if the page has it.
fn detail_of(body: &Body, rows: &[ActionRow], texts: &Texts) -> Option<String> {
    let set = |part: fn(&Part) -> Option<String>| {
        let detail = body.detail.as_ref()?;
        part(&detail.after).filter(|after| part(&detail.before).as_ref() != Some(after))
    };
    let mut words = match body.verb.as_str() {
        "undo" => rows.iter().find(|row| Some(row.id) == body.undoes)?.n.to_string(),
        "role" => set(|part| part.role.clone()).map(|role| if role.is_empty() { "none".to_owned() } else { role })?,
        "title" => {
            let title = |kind: &str| texts.get(&(body.id, kind.to_owned()));
            title(TITLE_AFTER).filter(|after| title(TITLE_BEFORE) != Some(after)).cloned()?
        }
        "mode" => {
            let modes = [
                set(|part| part.slow_ms.map(|ms| format!("slow_ms={ms}"))),
                set(|part| part.accounts.map(|on| format!("accounts={on}"))),
                set(|part| part.closed.map(|on| format!("closed={on}"))),
            ];
            modes.into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        _ => return None,
    };
    words.truncate(words.floor_char_boundary(DETAIL));
    Some(words).filter(|words| !words.is_empty())
}

/// The acts and cases that later rows have ended; those are seen first.
#[derive(Default)]
struct Seen {
    undone: Vec<Uuid>,
    ended_cases: Vec<Uuid>,
    /// Verb and target of acts that set a state.
    set: Vec<(&'static str, Option<String>)>,
}

impl Seen {
    fn add(&mut self, body: &Body) {
        self.undone.extend(body.undoes);
        if matches!(body.verb.as_str(), "lift" | "acknowledge") {
            self.ended_cases.extend(body.case);
        }
        self.set.extend(state_of(body));
    }

    fn ends(&self, body: &Body) -> bool {
        let is_restraint = matches!(body.verb.as_str(), "warn" | "timeout" | "ban" | "ban_site");
        self.undone.contains(&body.id)
            || (is_restraint && body.case.is_some_and(|case| self.ended_cases.contains(&case)))
            || state_of(body).is_some_and(|state| self.set.contains(&state))
    }
}

/// The state that an act sets: a later act on it ends the undoing of an earlier one.
fn state_of(body: &Body) -> Option<(&'static str, Option<String>)> {
    match body.verb.as_str() {
        "mode" => Some(("mode", None)),
        "title" => Some(("title", None)),
        "pin" | "unpin" => Some(("pin", None)),
        "role" => Some(("role", body.target.clone())),
        _ => None,
    }
}

/// The messages of a row. Of a purge, the first and the last: those between are not all of its person.
fn seqs(body: &Body) -> Vec<Seq> {
    match (body.verb.as_str(), body.seqs.first(), body.seqs.last()) {
        ("purge", Some((first, _)), Some((_, last))) => vec![Seq(*first), Seq(*last)],
        _ => body.seqs.iter().flat_map(|(from, to)| (*from..=*to).map(Seq)).take(SEQS).collect(),
    }
}
