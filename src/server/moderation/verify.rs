//! Verifies the audit log: a fold over the rows of each chain, which names the first row that is not as it was written. It reads
//! alone, and never repairs.

use super::audit::{Body, hash_of, text_hash};
use crate::server::storage::moderation::{ActionRow, ChainHead};
use crate::server::storage::{Result, Store};
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

/// Rows that are read at a time.
const ROWS_PER_PAGE: u32 = 500;

/// Why a row is bad.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// Another number was due: rows before it are missing, or the order was changed.
    Missing,
    /// The hash is not that of the row before and of the body: one of them was changed.
    Hash,
    /// The body is not JSON of an act.
    Body,
    /// A column is not as in the body.
    Column(&'static str),
    /// A text that is kept, a reason or a title, is not the one that was given.
    Text,
    /// The chain ends before its head, or before a head that was printed: its end was cut off.
    Cut,
    /// The head is not the last row's.
    Head,
    /// At this number the chain had another hash when a head was printed: it was written anew.
    PrintedHead,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the row is missing, or stands at another place"),
            Self::Hash => f.write_str("the hash is not that of the row before and of the body"),
            Self::Body => f.write_str("the body is not that of an act"),
            Self::Column(name) => write!(f, "the column {name} is not as in the body"),
            Self::Text => f.write_str("a kept text is not the one that was given"),
            Self::Cut => f.write_str("the row is missing: the end of the chain was cut off"),
            Self::Head => f.write_str("the head of the chain is not its last row"),
            Self::PrintedHead => f.write_str("the hash is not that of the printed head"),
        }
    }
}

/// The first bad row of a chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadRow {
    /// The chain.
    pub chain: String,
    /// Its number.
    pub n: u64,
    /// Its act; `None` for a row that is missing.
    pub id: Option<Uuid>,
    /// Why it is bad.
    pub flaw: Flaw,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, n, id, flaw } = self;
        let id = id.map_or("none".into(), |id| id.to_string());
        write!(f, "chain {chain}, row {n}, act {id}: {flaw}")
    }
}

/// Result of [`verify`]: every chain with the head that it was verified up to, or with its first bad row.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    /// The whole chains.
    pub whole: Vec<ChainHead>,
    /// The first bad row of each other chain.
    pub bad: Vec<BadRow>,
}

/// The fold over the rows of one chain.
#[derive(Clone, Debug)]
struct ChainCheck {
    /// The last row that was seen, or the beginning.
    last: ChainHead,
    /// The act of the last row.
    last_id: Option<Uuid>,
    /// Heads that were printed: hash by number.
    printed: BTreeMap<u64, [u8; 32]>,
}

/// A kept text of an act: its kind, itself, and its salt.
type Kept<'a> = (&'a str, &'a str, &'a [u8]);

/// Returns the name of the first column that is not as in the body.
fn other_column(body: &Body, row: &ActionRow) -> Option<&'static str> {
    let columns = [
        ("chain", body.chain == row.chain),
        ("n", body.n == row.n),
        ("id", body.id == row.id),
        ("at", body.at == row.at),
        ("actor", body.actor == row.actor),
        ("verb", body.verb == row.verb),
        ("target", body.target == row.target),
    ];
    columns.into_iter().find(|(_, is_same)| !is_same).map(|(name, _)| name)
}

impl ChainCheck {
    fn new(chain: &str, printed: &[ChainHead]) -> Self {
        let printed = printed.iter().filter(|head| head.chain == chain && head.n > 0).map(|head| (head.n, head.hash)).collect();
        Self { last: ChainHead { chain: chain.to_owned(), n: 0, hash: [0; 32] }, last_id: None, printed }
    }

    /// Checks the next row, and those of its texts that are kept.
    fn row<'a>(&mut self, row: &ActionRow, mut texts: impl Iterator<Item = Kept<'a>>) -> std::result::Result<(), BadRow> {
        let due = self.last.n + 1;
        let bad = |flaw| BadRow { chain: self.last.chain.clone(), n: row.n, id: Some(row.id), flaw };
        if row.n != due {
            return Err(self.missing(due, Flaw::Missing));
        }
        if hash_of(&self.last.hash, &row.body) != row.hash {
            return Err(bad(Flaw::Hash));
        }
        let body: Body = serde_json::from_str(&row.body).map_err(|_| bad(Flaw::Body))?;
        if let Some(column) = other_column(&body, row) {
            return Err(bad(Flaw::Column(column)));
        }
        if texts.any(|(kind, text, salt)| body.hash_of_text(kind) != Some(&text_hash(salt, text))) {
            return Err(bad(Flaw::Text));
        }
        if self.printed.remove(&row.n).is_some_and(|printed| printed != row.hash) {
            return Err(bad(Flaw::PrintedHead));
        }
        (self.last.n, self.last.hash, self.last_id) = (row.n, row.hash, Some(row.id));
        Ok(())
    }

    /// Ends the fold with the chain's head, which was read after the rows.
    fn end(self, head: Option<&ChainHead>) -> std::result::Result<ChainHead, BadRow> {
        let head_n = head.map_or(0, |head| head.n);
        if head_n > self.last.n || self.printed.keys().any(|n| *n > self.last.n) {
            return Err(self.missing(self.last.n + 1, Flaw::Cut));
        }
        if self.last.n > 0 && head.is_none_or(|head| (head.n, head.hash) != (self.last.n, self.last.hash)) {
            return Err(BadRow { chain: self.last.chain.clone(), n: self.last.n, id: self.last_id, flaw: Flaw::Head });
        }
        Ok(self.last)
    }

    fn missing(&self, n: u64, flaw: Flaw) -> BadRow {
        BadRow { chain: self.last.chain.clone(), n, id: None, flaw }
    }

    /// Checks the rows of the store after the last one, up to number `upto`.
    async fn read(&mut self, store: &Store, upto: u64) -> Result<std::result::Result<(), BadRow>> {
        while self.last.n < upto {
            let rows = store.actions_after(&self.last.chain, self.last.n, ROWS_PER_PAGE).await?;
            let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
            let texts = if ids.is_empty() { Vec::new() } else { store.action_texts(&ids).await? };
            for row in rows.iter().filter(|row| row.n <= upto) {
                let texts = texts.iter().filter(|(of, ..)| *of == row.id);
                let texts = texts.map(|(_, kind, text, salt)| (kind.as_str(), text.as_str(), salt.as_slice()));
                if let Err(bad) = self.row(row, texts) {
                    return Ok(Err(bad));
                }
            }
            if rows.len() < ROWS_PER_PAGE as usize {
                break;
            }
        }
        Ok(Ok(()))
    }
}

/// Verifies every chain of the store, and that it goes on after the heads that were printed earlier. A server may write meanwhile.
pub async fn verify(store: &Store, printed: &[ChainHead]) -> Result<Verified> {
    let mut chains: Vec<String> = store.chain_heads().await?.into_iter().map(|head| head.chain).collect();
    for head in printed {
        if !chains.contains(&head.chain) {
            chains.push(head.chain.clone());
        }
    }
    let mut verified = Verified::default();
    let mut checks = Vec::new();
    for chain in &chains {
        let mut check = ChainCheck::new(chain, printed);
        match check.read(store, u64::MAX).await? {
            Ok(()) => checks.push(check),
            Err(bad) => verified.bad.push(bad),
        }
    }
    // A row and its head commit together: heads that are read now are not behind the rows above.
    let heads: BTreeMap<String, ChainHead> =
        store.chain_heads().await?.into_iter().map(|head| (head.chain.clone(), head)).collect();
    for mut check in checks {
        let head = heads.get(&check.last.chain);
        match check.read(store, head.map_or(0, |head| head.n)).await?.and_then(|()| check.end(head)) {
            Ok(head) => verified.whole.push(head),
            Err(bad) => verified.bad.push(bad),
        }
    }
    Ok(verified)
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(length: u64) -> Vec<ActionRow> {
        let mut hash = [0; 32];
        let rows = (1..=length).map(|n| {
            let id = Uuid::from_u128(n.into());
            let body = format!(r#"{{"v":1,"chain":"1","n":{n},"id":"{id}","at":{n},"actor":"cli","verb":"log","room":"1"}}"#);
            hash = hash_of(&hash, &body);
            let (actor, verb) = ("cli".to_owned(), "log".to_owned());
            ActionRow { chain: "1".into(), n, id, at: n, actor, verb, target: None, nonce: None, body, hash }
        });
        rows.collect()
    }

    fn head(row: &ActionRow) -> ChainHead {
        ChainHead { chain: row.chain.clone(), n: row.n, hash: row.hash }
    }

    /// The number of the first bad row, and why.
    fn checked(rows: &[ActionRow], head: &ChainHead, printed: &[ChainHead]) -> Option<(u64, Flaw)> {
        let mut check = ChainCheck::new("1", printed);
        let found = rows.iter().try_for_each(|row| check.row(row, std::iter::empty())).and_then(|()| check.end(Some(head)));
        found.err().map(|bad| (bad.n, bad.flaw))
    }

    #[test]
    fn a_whole_chain_is_whole() {
        let rows = chain(5);
        assert_eq!(checked(&rows, &head(&rows[4]), &[]), None);
        assert_eq!(checked(&rows, &head(&rows[4]), &[head(&rows[2])]), None);
    }

    /// Trap 21 of the research.
    #[test]
    fn a_changed_chain_is_named_by_its_first_bad_row() {
        let (whole, last) = (chain(5), head(&chain(5)[4]));
        let changed = |change: &dyn Fn(&mut Vec<ActionRow>)| {
            let mut rows = whole.clone();
            change(&mut rows);
            checked(&rows, &last, &[])
        };
        assert_eq!(changed(&|rows| rows[2].body = rows[2].body.replace("\"at\":3", "\"at\":4")), Some((3, Flaw::Hash)));
        assert_eq!(changed(&|rows| rows[2].hash[31] ^= 1), Some((3, Flaw::Hash)));
        assert_eq!(changed(&|rows| rows[2].actor = "x".into()), Some((3, Flaw::Column("actor"))));
        assert_eq!(changed(&|rows| rows[2].target = Some("x".into())), Some((3, Flaw::Column("target"))));
        assert_eq!(changed(&|rows| drop(rows.remove(2))), Some((3, Flaw::Missing)));
        assert_eq!(changed(&|rows| drop(rows.remove(0))), Some((1, Flaw::Missing)));
        assert_eq!(changed(&|rows| drop(rows.pop())), Some((5, Flaw::Cut)));
        assert_eq!(changed(&|rows| rows.clear()), Some((1, Flaw::Cut)));
        let swapped = |rows: &mut Vec<ActionRow>| {
            rows.swap(1, 2);
            (rows[1].n, rows[2].n) = (2, 3);
        };
        assert_eq!(changed(&swapped), Some((2, Flaw::Hash)));
    }

    #[test]
    fn a_cut_with_its_head_is_found_with_a_printed_head() {
        let rows = chain(5);
        assert_eq!(checked(&rows[..3], &head(&rows[2]), &[]), None);
        assert_eq!(checked(&rows[..3], &head(&rows[2]), &[head(&rows[4])]), Some((4, Flaw::Cut)));
        let mut other = head(&rows[1]);
        other.hash[0] ^= 1;
        assert_eq!(checked(&rows, &head(&rows[4]), &[other]), Some((2, Flaw::PrintedHead)));
        assert_eq!(checked(&rows, &head(&rows[3]), &[]), Some((5, Flaw::Head)));
    }
}
