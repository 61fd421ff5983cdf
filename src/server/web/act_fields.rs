//! The fields of an act of moderation, as forms and the API give them: their bounds, and the act that they make. The moderation floor
//! decides whether the act is done.

use crate::domain::{
    id::{Seq, Uid},
    refusal::Refusal,
    room::MAX_SLOW_MS,
    text,
};
use crate::server::moderation::ActKind;
use crate::server::storage::SetModes;
use crate::server::storage::moderation::GrantedRole;
use std::ops::RangeInclusive;
use uuid::Uuid;

/// Messages of one removal.
pub(super) const MAX_SEQS: usize = 100;
/// Seconds of a timeout: two weeks.
pub(super) const TIMEOUT_SECONDS: RangeInclusive<u64> = 1..=1_209_600;
/// Seconds of a pin with an end.
pub(super) const PIN_SECONDS: RangeInclusive<u64> = 30..=86_400;
/// Seconds of a purge, if none are given.
pub(super) const PURGE_SECONDS: u64 = 86_400;
/// Longest reason or note, in characters.
pub(super) const MAX_REASON_CHARS: u32 = 500;

/// Modes of a later version, each with the values that are off.
pub(super) const LATER_MODES: [(&str, &[&str]); 6] = [
    ("emoji", &["false"]),
    ("unique_s", &["0"]),
    ("delay_ms", &["0"]),
    ("links", &["off"]),
    ("regulars", &["false"]),
    ("until_ms", &["0"]),
];

/// Parses a field.
pub(super) fn parse<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, Refusal> {
    text.trim().parse().map_err(|_| Refusal::malformed(field))
}

/// Parses the uid of the person acted on.
pub(super) fn user(text: &str) -> Result<Uid, Refusal> {
    text.parse().map_err(|_| Refusal::malformed("user"))
}

/// Parses the seq of a message.
pub(super) fn seq(text: &str) -> Result<Seq, Refusal> {
    seq_of(parse(text, "seq")?)
}

/// Checks the seq of a message. The first message has 1; a number beyond the stores' integers is none of any message.
pub(super) fn seq_of(seq: u64) -> Result<Seq, Refusal> {
    if (1..=i64::MAX as u64).contains(&seq) { Ok(Seq(seq)) } else { Err(Refusal::malformed("seq")) }
}

/// Returns the removal of messages: at least one, at most [`MAX_SEQS`].
pub(super) fn remove(seqs: Vec<Seq>) -> Result<ActKind, Refusal> {
    if (1..=MAX_SEQS).contains(&seqs.len()) { Ok(ActKind::Remove(seqs)) } else { Err(Refusal::malformed("seq")) }
}

/// Parses the seqs of a removal, with commas between them.
pub(super) fn remove_from_text(seqs: &str) -> Result<ActKind, Refusal> {
    remove(seqs.split(',').take(MAX_SEQS + 1).map(seq).collect::<Result<_, _>>()?)
}

/// Returns the purge of a person.
pub(super) fn purge(user: Uid, seconds: Option<u64>) -> Result<ActKind, Refusal> {
    let seconds = seconds.unwrap_or(PURGE_SECONDS);
    if seconds <= i64::MAX as u64 / 1000 { Ok(ActKind::Purge { user, seconds }) } else { Err(Refusal::malformed("seconds")) }
}

/// Returns a timeout.
pub(super) fn timeout(user: Uid, seconds: u64) -> Result<ActKind, Refusal> {
    let is_valid = TIMEOUT_SECONDS.contains(&seconds);
    if is_valid { Ok(ActKind::Timeout { user, seconds }) } else { Err(Refusal::malformed("seconds")) }
}

/// Returns a pin.
pub(super) fn pin(seq: Seq, seconds: Option<u64>) -> Result<ActKind, Refusal> {
    let is_valid = seconds.is_none_or(|seconds| PIN_SECONDS.contains(&seconds));
    if is_valid { Ok(ActKind::Pin { seq, seconds }) } else { Err(Refusal::malformed("seconds")) }
}

/// Returns the setting of modes. At least one is given.
pub(super) fn mode(set: SetModes) -> Result<ActKind, Refusal> {
    match set {
        SetModes { slow_ms: None, accounts: None, closed: None } => Err(Refusal::malformed("slow_ms")),
        SetModes { slow_ms: Some(slow_ms), .. } if slow_ms > MAX_SLOW_MS => Err(Refusal::malformed("slow_ms")),
        set => Ok(ActKind::Mode(set)),
    }
}

/// Parses modes: `slow_ms`, `accounts`, `closed`.
pub(super) fn mode_from_text([slow_ms, accounts, closed]: [Option<&str>; 3]) -> Result<ActKind, Refusal> {
    mode(SetModes {
        slow_ms: slow_ms.map(|text| parse(text, "slow_ms")).transpose()?,
        accounts: accounts.map(|text| parse(text, "accounts")).transpose()?,
        closed: closed.map(|text| parse(text, "closed")).transpose()?,
    })
}

/// Refuses a mode of a later version, unless it is off.
pub(super) fn check_later_mode(name: &'static str, value: &str) -> Result<(), Refusal> {
    let is_off = LATER_MODES.iter().any(|(mode, off)| *mode == name && off.contains(&value));
    if is_off { Ok(()) } else { Err(Refusal::malformed(name)) }
}

/// Parses a role to grant; `none` revokes.
pub(super) fn role(user: Uid, word: &str) -> Result<ActKind, Refusal> {
    let role = match word {
        "moderator" => Some(GrantedRole::Moderator),
        "vip" => Some(GrantedRole::Vip),
        "none" => None,
        _ => return Err(Refusal::malformed("role")),
    };
    Ok(ActKind::Role { user, role })
}

/// Parses the id of an act, a case or a note.
pub(super) fn id(text: &str, field: &'static str) -> Result<Uuid, Refusal> {
    parse(text, field)
}

/// Cleans a reason or a note, as one line. `field` is its name in the refusal of one that is too long, or, if it is required, blank.
pub(super) fn reason(raw: &str, field: &'static str, is_required: bool) -> Result<String, Refusal> {
    // A longer one is refused by its bytes, before its characters are counted.
    let is_long = |text: &str| text.len() > 8 * MAX_REASON_CHARS as usize || text::graphemes(text) > MAX_REASON_CHARS as usize;
    let line = if raw.len() > 64 * 1024 { raw.to_owned() } else { text::clean_line(raw) };
    match () {
        () if is_long(&line) => Err(Refusal::TooLong { max: MAX_REASON_CHARS }),
        () if text::is_blank(&line) && is_required => Err(Refusal::blank(field)),
        () if text::is_blank(&line) => Ok(String::new()),
        () => Ok(line),
    }
}
