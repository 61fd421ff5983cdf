//! Persons that a command names: by account, by `uid:…`, or by the nickname of a recent message in a room.

use roomcast::domain::{
    id::{RoomId, Seq, Uid},
    text::escape_controls,
};
use roomcast::server::storage::Store;
use std::collections::BTreeMap;
use std::error::Error;

/// Messages of a room whose nicknames count.
const RECENT_MESSAGES: u32 = 500;
/// Candidates that an error lists.
const LISTED: usize = 10;

/// Returns the uid of the person that `name` means. A name that fits several persons, as that of an account and the nickname of
/// somebody else, is an error that lists them: an act must not hit another person.
pub(super) async fn find_person(store: &Store, room: Option<&RoomId>, name: &str) -> Result<Uid, Box<dyn Error>> {
    if let Some(uid) = name.strip_prefix("uid:") {
        return uid.parse().map_err(|_| format!("`{}` is not a uid", escape_controls(uid)).into());
    }
    let mut candidates = BTreeMap::new();
    if let Some(account) = store.person_by_account(name).await? {
        candidates.insert(account.person.uid, format!("account {name}"));
    }
    if let Some(room) = room {
        for (uid, nickname) in recent_people(store, room).await? {
            if nickname.to_lowercase() == name.to_lowercase() {
                candidates.entry(uid).or_insert(format!("nickname {nickname}"));
            }
        }
    }
    if candidates.len() > 1 {
        let listed = candidates.iter().take(LISTED).map(|(uid, known_as)| format!("\n  uid:{uid}  {known_as}"));
        let listed = escape_lines(&listed.collect::<String>());
        return Err(
            format!("{} is the name of {} persons; name one by uid:{listed}", escape_controls(name), candidates.len()).into()
        );
    }
    candidates.into_keys().next().ok_or_else(|| {
        let place = room.map_or(String::new(), |room| format!(", and nobody of this nickname sent lately in room {room}"));
        format!("no account {}{place}", escape_controls(name)).into()
    })
}

/// The authors of the newest messages of a room, with their nicknames; those of removed messages, too, while they are kept.
async fn recent_people(store: &Store, room: &RoomId) -> Result<Vec<(Uid, String)>, Box<dyn Error>> {
    let newest = store.seq_range(room).await?.newest;
    let after = Seq(newest.0.saturating_sub(RECENT_MESSAGES.into()));
    let messages = store.with_texts(room, after, newest.next(), RECENT_MESSAGES).await?;
    let people = messages.into_iter().filter(|with_text| with_text.message.user != Uid::nobody());
    Ok(people
        .map(|with_text| {
            let nickname = with_text.removed.map_or(with_text.message.nickname, |(nickname, _)| nickname);
            (with_text.message.user, nickname)
        })
        .collect())
}

fn escape_lines(text: &str) -> String {
    text.split('\n').map(escape_controls).collect::<Vec<_>>().join("\n")
}
