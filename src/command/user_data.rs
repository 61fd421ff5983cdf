//! `roomcast user export` and `user erase`: everything that is stored about a person, as JSON Lines; and its end.

use super::json_lines::{finish_file, private_file, write_line};
use super::mod_log::{Texts, texts_of};
use super::operator_act::carry_out;
use super::person::find_person;
use super::user::{SignedOut, sign_out};
use super::{Outcome, record};
use roomcast::domain::{
    id::{RoomId, Seq, Uid},
    message::Message,
    text::escape_controls,
};
use roomcast::server::{
    config::Config,
    control::CommandAct,
    moderation::{TITLE_AFTER, hex},
    security_log::{Act, Event},
    storage::{PersonalTable, Store},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::error::Error;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// Rows that are read at a time.
const ROWS_PER_PAGE: u32 = 500;
/// Attempts to overwrite the remains of erased texts while readers keep a part of them, and the pause between two.
const SCRUB_ATTEMPTS: u32 = 40;
const SCRUB_PAUSE: Duration = Duration::from_millis(250);

/// A message in the export. A removed one has the nickname and the text that are kept.
#[derive(Serialize)]
struct ExportedMessage<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    room: &'a RoomId,
    seq: Seq,
    id: Uuid,
    at: u64,
    nickname: &'a str,
    role: &'static str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Seq>,
    #[serde(skip_serializing_if = "<[Uid]>::is_empty")]
    mentions: &'a [Uid],
}

/// An act on the person: the whole row with its texts.
#[derive(Serialize)]
struct ExportedAct<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    chain: &'a str,
    n: u64,
    act: &'a RawValue,
    hash: String,
    #[serde(flatten)]
    texts: Texts,
}

/// An act by the person: person acted on and reason are data of others.
#[derive(Serialize)]
struct ExportedOwnAct<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    chain: &'a str,
    n: u64,
    at: u64,
    verb: &'a str,
    /// The title that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

/// Writes everything that is stored about a person to a new file, or to standard output.
pub(super) async fn export(config: &Config, store: &Store, name: &str, to: Option<&Path>) -> Outcome {
    let uid = find_person(store, None, name).await?;
    let rows = match to {
        Some(file) => {
            let mut output = private_file(file)?;
            let rows = write_all(store, &uid, &mut output).await?;
            finish_file(output)?;
            println!("{rows} rows written to {}", file.display());
            rows
        }
        None => write_all(store, &uid, &mut std::io::stdout()).await?,
    };
    if rows == 0 {
        return Err(format!("nothing is stored about uid:{}", escape_controls(uid.as_str())).into());
    }
    record(config, &[Event::by_command(Act::PersonExported).uid(&uid).count(rows)]);
    Ok(())
}

async fn write_all(store: &Store, uid: &Uid, output: &mut impl Write) -> Result<u64, Box<dyn Error>> {
    let mut written = 0_u64;
    for table in PersonalTable::ALL {
        let mut skip = 0;
        loop {
            let rows = store.personal_rows(uid, table, skip, ROWS_PER_PAGE).await?;
            for row in &rows {
                writeln!(output, "{row}")?;
            }
            written += rows.len() as u64;
            skip += ROWS_PER_PAGE;
            if rows.len() < ROWS_PER_PAGE as usize {
                break;
            }
        }
    }
    for room in store.rooms_of_person(uid).await? {
        written += write_messages(store, &room, uid, output).await?;
    }
    Ok(written + write_acts(store, uid, output).await?)
}

/// Writes the messages of a person in a room, newest first.
async fn write_messages(store: &Store, room: &RoomId, uid: &Uid, output: &mut impl Write) -> Result<u64, Box<dyn Error>> {
    let (mut written, mut before) = (0, None);
    loop {
        let page = store.messages_of(room, uid, before, ROWS_PER_PAGE).await?;
        for with_text in &page {
            let Message { room, seq, id, nickname, role, text, at, re, mentions, removed, .. } = &with_text.message;
            let (nickname, text) = with_text.removed.as_ref().map_or((nickname, text), |(nickname, text)| (nickname, text));
            let (removed, answers) = (removed.map(|removed| removed.why.as_str()), re.as_ref().map(|re| re.seq));
            let (kind, role) = ("message", role.as_str());
            let (seq, id, at) = (*seq, *id, *at);
            write_line(output, &ExportedMessage { kind, room, seq, id, at, nickname, role, text, removed, answers, mentions })?;
        }
        written += page.len() as u64;
        match page.last() {
            Some(last) if page.len() == ROWS_PER_PAGE as usize => before = Some(last.message.seq),
            _ => return Ok(written),
        }
    }
}

async fn write_acts(store: &Store, uid: &Uid, output: &mut impl Write) -> Result<u64, Box<dyn Error>> {
    let (mut written, mut after) = (0, None);
    loop {
        let page = store.actions_with(uid, after, ROWS_PER_PAGE).await?;
        let ids: Vec<Uuid> = page.iter().map(|row| row.id).collect();
        let mut texts = texts_of(store, &ids).await?;
        for row in &page {
            let (chain, n) = (&*row.chain, row.n);
            let mut texts = texts.remove(&row.id).unwrap_or_default();
            if row.target.as_deref() == Some(uid.as_str()) {
                let (act, hash) = (serde_json::from_str(&row.body)?, hex(&row.hash));
                write_line(output, &ExportedAct { kind: "act", chain, n, act, hash, texts })?;
            } else {
                let (kind, at, verb, title) = ("own_act", row.at, &*row.verb, texts.remove(TITLE_AFTER));
                write_line(output, &ExportedOwnAct { kind, chain, n, at, verb, title })?;
            }
        }
        written += page.len() as u64;
        after = page.last().map(|row| row.id);
        if page.len() < ROWS_PER_PAGE as usize {
            return Ok(written);
        }
    }
}

/// Erases a person: sessions and sockets, then the messages of each room in batches, then every other row. Repeated after it was cut
/// short, it goes on; a name may be gone by then, but `uid:` and the uid still mean the person.
pub(super) async fn erase(config: &Config, store: &Store, name: &str, yes: bool) -> Outcome {
    let uid = find_person(store, None, name).await?;
    require_erasable(store, &uid).await?;
    if !yes {
        confirm(name)?;
    }
    let SignedOut { sessions, sockets } = sign_out(config, store, &uid).await?;
    let mut batches = erase_messages(config, store, &uid).await?;
    let is_forgotten = store.forget_person(&uid).await?;
    // A message that was being stored meanwhile. From here on the person is gone, and sends nothing.
    batches += erase_messages(config, store, &uid).await?;
    scrub(store).await?;
    if !is_forgotten && batches == 0 {
        return Err(format!("nothing was left to erase of uid:{}", escape_controls(uid.as_str())).into());
    }
    println!("uid:{} erased, {sessions} sessions ended, {} sockets closed", escape_controls(uid.as_str()), sockets.unwrap_or(0));
    record(config, &[Event::by_command(Act::PersonErased).uid(&uid)]);
    Ok(())
}

/// Erases the messages of a person in every room, and returns the number of batches.
async fn erase_messages(config: &Config, store: &Store, uid: &Uid) -> Result<u64, Box<dyn Error>> {
    let mut batches = 0;
    for room in store.rooms_of_person(uid).await? {
        while carry_out(config, store, Some(&room), "", CommandAct::ErasePerson { user: uid.clone() }).await?.rev.is_some() {
            batches += 1;
        }
    }
    Ok(batches)
}

/// Fails for a host and for the owner: their rooms would be without one.
async fn require_erasable(store: &Store, uid: &Uid) -> Outcome {
    if store.is_owner(uid).await? {
        return Err("this is the owner of the site: the owner is not erased".into());
    }
    let rooms = store.rooms(u32::MAX).await?;
    let hosted: Vec<_> = rooms.iter().filter(|row| row.host.as_ref() == Some(uid)).map(|row| row.room.as_str()).collect();
    if hosted.is_empty() {
        return Ok(());
    }
    let rooms = hosted.join(", ");
    Err(format!("this is the host of room {rooms}: first give it another host (`roomcast room host ROOM NAME`), or delete it")
        .into())
}

/// Returns an error unless the operator types the name again.
fn confirm(name: &str) -> Outcome {
    if !std::io::stdin().is_terminal() {
        return Err("this erases the person and their messages for good: add --yes".into());
    }
    eprint!("This erases {} and all their messages for good. Type the name: ", escape_controls(name));
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    if typed.trim() == name { Ok(()) } else { Err("nothing was erased".into()) }
}

/// Overwrites the remains of erased texts in the database's files.
pub(super) async fn scrub(store: &Store) -> Outcome {
    for _ in 0..SCRUB_ATTEMPTS {
        if store.scrub().await? {
            return Ok(());
        }
        tokio::time::sleep(SCRUB_PAUSE).await;
    }
    eprintln!("roomcast: a reader of the database keeps the write-ahead log, which still has erased texts: repeat this later");
    Ok(())
}
