//! `roomcast mod log` and `verify`: reads the audit log, exports it, follows it, verifies it. It holds a page of each chain at
//! most, however long the log is.

use super::json_lines::{finish_file, private_file, write_line};
use super::operator_act::carry_out;
use super::{Outcome, record};
use roomcast::domain::{calendar, id::RoomId, text::escape_controls};
use roomcast::server::{
    clock::Clock,
    config::Config,
    control::CommandAct,
    moderation::{REASON, Verified, hex, verify as verify_chains},
    security_log::{Act, Event},
    storage::{
        Store,
        moderation::{ActionRow, ChainHead},
    },
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// Rows of a chain without `--since`.
const NEWEST_ROWS: u64 = 100;
/// Rows that are read at a time; fewer of each where there are many chains.
const ROWS_PER_PAGE: u32 = 100;
const ROWS_PER_SMALL_PAGE: u32 = 10;
/// Chains from which on pages are small.
const MANY_CHAINS: usize = 100;
/// Interval at which `--follow` looks for new rows.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// The options of `roomcast mod log`.
pub(super) struct LogOptions {
    /// One room only.
    pub room: Option<RoomId>,
    /// How far back.
    pub since: Option<Duration>,
    /// Go on with new rows.
    pub follow: bool,
    /// Export into this file.
    pub export: Option<PathBuf>,
}

/// Parses `CHAIN:N:HASH`.
pub(super) fn head(text: &str) -> Result<ChainHead, String> {
    let parse = || {
        let (rest, hash) = text.rsplit_once(':')?;
        let (chain, n) = rest.rsplit_once(':')?;
        let bytes: Option<Vec<u8>> =
            (0..hash.len()).step_by(2).map(|at| u8::from_str_radix(hash.get(at..at + 2)?, 16).ok()).collect();
        Some(ChainHead { chain: chain.to_owned(), n: n.parse().ok()?, hash: bytes?.try_into().ok()? })
    };
    parse().ok_or_else(|| format!("`{text}` is not CHAIN:N:HASH, as `roomcast mod verify` prints it"))
}

/// Verifies every chain, and prints their heads or the first bad row of each.
pub(super) async fn verify(store: &Store, printed: &[ChainHead]) -> Outcome {
    let Verified { whole, bad } = verify_chains(store, printed).await?;
    if !bad.is_empty() {
        bad.iter().for_each(|bad| println!("{bad}"));
        return Err(format!("the log is not whole: {} of {} chains are bad", bad.len(), bad.len() + whole.len()).into());
    }
    let rows: u64 = whole.iter().map(|head| head.n).sum();
    whole.iter().for_each(|ChainHead { chain, n, hash }| println!("{chain}:{n}:{}", hex(hash)));
    println!("whole: {} chains, {rows} rows", whole.len());
    Ok(())
}

/// Prints the log, or exports it.
pub(super) async fn log(config: &Config, store: &Store, options: LogOptions) -> Outcome {
    if let Some(file) = &options.export {
        return export(config, store, options.room.as_ref(), options.since, file).await;
    }
    let mut seen = BTreeMap::new();
    let mut reader = Reader::new(store, options.room.as_ref(), options.since).await?;
    loop {
        while let Some(row) = reader.next().await? {
            print_row(store, &row).await?;
            seen.insert(row.chain, row.n);
        }
        if !options.follow {
            return Ok(());
        }
        seen.extend(reader.ends());
        tokio::time::sleep(FOLLOW_EVERY).await;
        reader = Reader::after(store, options.room.as_ref(), &seen).await?;
    }
}

/// Reads the rows of several chains, in the order of their times.
struct Reader<'a> {
    store: &'a Store,
    chains: Vec<ChainReader>,
    rows_per_page: u32,
}

struct ChainReader {
    chain: String,
    /// Number of the last row that was read.
    last: u64,
    page: VecDeque<ActionRow>,
    is_at_end: bool,
}

impl<'a> Reader<'a> {
    /// Reads from the time `since` ago on, or the newest rows.
    async fn new(store: &'a Store, room: Option<&RoomId>, since: Option<Duration>) -> Result<Self, Box<dyn Error>> {
        let since = since.map(ago);
        let mut chains = Vec::new();
        for head in heads(store, room).await? {
            let last = match since {
                Some(since) => last_before(store, &head.chain, since).await?,
                None => head.n.saturating_sub(NEWEST_ROWS),
            };
            chains.push((head.chain, last));
        }
        Ok(Self::of(store, chains))
    }

    /// Reads the rows after those that were seen.
    async fn after(store: &'a Store, room: Option<&RoomId>, seen: &BTreeMap<String, u64>) -> Result<Self, Box<dyn Error>> {
        let heads = heads(store, room).await?.into_iter();
        let with_seen = heads.map(|head| (seen.get(&head.chain).copied().unwrap_or_default(), head));
        Ok(Self::of(store, with_seen.filter(|(last, head)| head.n > *last).map(|(last, head)| (head.chain, last)).collect()))
    }

    fn of(store: &'a Store, chains: Vec<(String, u64)>) -> Self {
        let rows_per_page = if chains.len() > MANY_CHAINS { ROWS_PER_SMALL_PAGE } else { ROWS_PER_PAGE };
        let new = |(chain, last)| ChainReader { chain, last, page: VecDeque::new(), is_at_end: false };
        Self { store, chains: chains.into_iter().map(new).collect(), rows_per_page }
    }

    /// The last row that was read of each chain.
    fn ends(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        self.chains.iter().map(|chain| (chain.chain.clone(), chain.last))
    }

    async fn next(&mut self) -> Result<Option<ActionRow>, Box<dyn Error>> {
        for chain in self.chains.iter_mut().filter(|chain| chain.page.is_empty() && !chain.is_at_end) {
            chain.page = self.store.actions_after(&chain.chain, chain.last, self.rows_per_page).await?.into();
            chain.is_at_end = chain.page.len() < self.rows_per_page as usize;
            chain.last = chain.page.back().map_or(chain.last, |row| row.n);
        }
        let earliest = self.chains.iter_mut().filter(|chain| !chain.page.is_empty());
        let earliest = earliest.min_by_key(|chain| chain.page.front().map_or(u64::MAX, |row| row.at));
        Ok(earliest.and_then(|chain| chain.page.pop_front()))
    }
}

/// The heads of all chains, or of a room's. Fails if there is no such room and no chain of it.
async fn heads(store: &Store, room: Option<&RoomId>) -> Result<Vec<ChainHead>, Box<dyn Error>> {
    let mut heads = store.chain_heads().await?;
    if let Some(room) = room {
        heads.retain(|head| head.chain == room.as_str());
        if heads.is_empty() && store.room(room).await?.is_none() {
            return Err(format!("no room {room}").into());
        }
    }
    Ok(heads)
}

/// The time that is so far back.
fn ago(duration: Duration) -> u64 {
    Clock::system().now_ms().saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// The number of the last row of a chain before a time; 0 without one.
async fn last_before(store: &Store, chain: &str, time: u64) -> Result<u64, Box<dyn Error>> {
    let mut before = None;
    loop {
        let rows = store.newest_actions(chain, before, ROWS_PER_PAGE).await?;
        if let Some(row) = rows.iter().find(|row| row.at < time) {
            return Ok(row.n);
        }
        match rows.last() {
            Some(last) if last.n > 1 => before = Some(last.n),
            _ => return Ok(0),
        }
    }
}

/// The fields of a body that are printed.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    seqs: Vec<(u64, u64)>,
    #[serde(default)]
    until: Option<u64>,
    #[serde(default)]
    case: Option<Uuid>,
    #[serde(default)]
    undoes: Option<Uuid>,
}

/// Prints a row: time, chain and number, actor, verb, person, messages and ids, reason; tabs between.
async fn print_row(store: &Store, row: &ActionRow) -> Outcome {
    let mut more = Vec::new();
    if let Ok(Body { seqs, until, case, undoes }) = serde_json::from_str(&row.body) {
        more.extend(seqs.iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") }));
        more.extend(until.map(|until| format!("until {}", calendar::iso(until))));
        more.extend(case.map(|case| format!("case {case}")));
        more.extend(undoes.map(|undone| format!("undoes {undone}")));
    }
    let reason = texts_of(store, &[row.id]).await?.remove(&row.id).and_then(|mut texts| texts.remove(REASON)).unwrap_or_default();
    let mut output = std::io::stdout().lock();
    writeln!(
        output,
        "{}\t{}#{}\t{}\t{}\t{}\t{}\tact {}\t{}",
        calendar::iso(row.at),
        escape_controls(&row.chain),
        row.n,
        escape_controls(&row.actor),
        escape_controls(&row.verb),
        escape_controls(row.target.as_deref().unwrap_or("-")),
        escape_controls(&more.join(" ")),
        row.id,
        escape_controls(&reason)
    )?;
    Ok(output.flush()?)
}

/// The texts of an act that are kept, by their kind: `reason`, `title_before`, `title_after`.
pub(super) type Texts = BTreeMap<String, String>;

/// Returns the kept texts of acts.
pub(super) async fn texts_of(store: &Store, actions: &[Uuid]) -> Result<BTreeMap<Uuid, Texts>, Box<dyn Error>> {
    let mut texts: BTreeMap<Uuid, Texts> = BTreeMap::new();
    if !actions.is_empty() {
        for (action, kind, text, _) in store.action_texts(actions).await? {
            texts.entry(action).or_default().insert(kind, text);
        }
    }
    Ok(texts)
}

/// A line of the export. `hash` is SHA-256 of the previous row's hash and `body`.
#[derive(Serialize)]
struct ExportedRow<'a> {
    chain: &'a str,
    n: u64,
    body: &'a str,
    hash: String,
    #[serde(flatten)]
    texts: Texts,
}

/// The last line of the export.
#[derive(Serialize)]
struct ExportedHeads {
    heads: Vec<ExportedHead>,
}

#[derive(Serialize)]
struct ExportedHead {
    chain: String,
    n: u64,
    hash: String,
}

/// Writes the rows of a room or of all chains into a new file, chain by chain, and the heads. The row of the export itself is in it.
async fn export(config: &Config, store: &Store, room: Option<&RoomId>, since: Option<Duration>, file: &Path) -> Outcome {
    let mut output = private_file(file)?;
    carry_out(config, store, room, "", CommandAct::ExportLog).await?;
    let since = since.map(ago);
    let (mut rows_written, mut exported) = (0_u64, Vec::new());
    for ChainHead { chain, .. } in heads(store, room).await? {
        let mut last = match since {
            Some(since) => last_before(store, &chain, since).await?,
            None => 0,
        };
        let mut hash = None;
        loop {
            let rows = store.actions_after(&chain, last, ROWS_PER_PAGE).await?;
            let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
            let mut texts = texts_of(store, &ids).await?;
            for row in &rows {
                let (n, hex, texts) = (row.n, hex(&row.hash), texts.remove(&row.id).unwrap_or_default());
                write_line(&mut output, &ExportedRow { chain: &chain, n, body: &row.body, hash: hex.clone(), texts })?;
                (last, hash) = (n, Some(hex));
            }
            rows_written += rows.len() as u64;
            if rows.len() < ROWS_PER_PAGE as usize {
                break;
            }
        }
        exported.extend(hash.map(|hash| ExportedHead { chain, n: last, hash }));
    }
    write_line(&mut output, &ExportedHeads { heads: exported })?;
    finish_file(output)?;
    println!("{rows_written} rows written to {}", file.display());
    record(config, &[Event::by_command(Act::LogExported).count(rows_written)]);
    Ok(())
}
