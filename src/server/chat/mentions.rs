//! The people that a message mentions: `@` and the nickname of a recent speaker of the room, or of its host. Moderators who are silent
//! stay unknown: a mention would tell everybody their uid.

use super::Chat;
use crate::domain::{
    id::{RoomId, Seq, Uid},
    refusal::Refusal,
};
use crate::server::gateway::Group;

/// Mentions of a message, at most.
const MAX_MENTIONS: usize = 5;
/// Messages whose authors can be mentioned.
const RECENT: u32 = 200;
/// The signs before a nickname.
const SIGNS: [char; 2] = ['@', '＠'];

impl Chat {
    /// Returns the people that a text mentions. Of two with the same nickname, the one that spoke last is meant.
    pub(super) async fn mentions(&self, room: &RoomId, text: &str) -> Result<Vec<Uid>, Refusal> {
        if !text.contains(SIGNS) {
            return Ok(Vec::new());
        }
        // In memory where it can be: a send is looked at before its cooldown is, so a flood of refused ones must cost little.
        // Where there are other nodes, this one gets no messages of a room without members here, so its tail may be old. Then the
        // limits of a session bound the questions to the store.
        let is_followed = self.cluster.is_alone() || self.gateway.has_members(&Group::new(room.as_str()));
        let mut known = match is_followed.then(|| self.tails.speakers(room)).flatten() {
            Some(speakers) => speakers,
            None => self.read_speakers(room).await?,
        };
        let row = self.room(room).await?;
        known.extend(row.host_nickname.zip(row.host));
        Ok(find(text, &known))
    }

    async fn read_speakers(&self, room: &RoomId) -> Result<Vec<(String, Uid)>, Refusal> {
        let now = self.room_now(room, None, 0).await?;
        let messages = self.messages(&now, Seq::default(), None, RECENT).await?;
        let said = messages.into_iter().rev().filter(|message| message.removed.is_none());
        Ok(said.map(|message| (message.nickname, message.user)).collect())
    }
}

/// Finds the mentioned people in the order of the text. `known` has nicknames with uids, those that are preferred first.
fn find(text: &str, known: &[(String, Uid)]) -> Vec<Uid> {
    let mut names: Vec<(Vec<char>, &Uid)> =
        known.iter().filter(|(name, _)| !name.is_empty()).map(|(name, uid)| (folded(name), uid)).collect();
    // Stable: of equal nicknames the preferred one stays first.
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    let text = folded(text);
    let (mut found, mut at) = (Vec::<Uid>::new(), 0);
    while at < text.len() && found.len() < MAX_MENTIONS {
        let is_sign = SIGNS.contains(&text[at]) && !(at > 0 && text[at - 1].is_ascii_alphanumeric());
        at += 1;
        let rest = &text[at.min(text.len())..];
        let named = names.iter().find(|(name, _)| is_sign && rest.starts_with(name) && ends(name, rest.get(name.len())));
        if let Some((name, uid)) = named {
            if !found.contains(*uid) {
                found.push((*uid).clone());
            }
            at += name.len();
        }
    }
    found
}

/// Whether a nickname ends before `next`: `bob` is not mentioned in `@bobby`. Scripts without spaces have no such end.
fn ends(name: &[char], next: Option<&char>) -> bool {
    let is_word = |c: &char| c.is_ascii_alphanumeric();
    !(name.last().is_some_and(is_word) && next.is_some_and(is_word))
}

fn folded(text: &str) -> Vec<char> {
    text.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let known = ["阿明", "阿明明", "bob", "Bob Ross", "小鱼", "bob", "José", "x1"];
        let uid = |at| format!("{at}").parse().unwrap();
        let known: Vec<_> = known.into_iter().enumerate().map(|(at, name)| (name.to_owned(), uid(at))).collect();
        find(text, &known).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_longest_nickname_is_meant_and_of_equal_ones_the_first() {
        assert_eq!(found("@阿明明你好"), ["1"]);
        assert_eq!(found("@阿明你好＠小鱼"), ["0", "4"]);
        assert_eq!(found("@bob ross, look"), ["3"]);
        assert_eq!(found("@BOB: hi @bob"), ["2"]);
        assert_eq!(found("@josé!"), ["6"]);
    }

    #[test]
    fn other_texts_mention_nobody() {
        for text in ["bob", "@bobby", "me@bob.example", "@", "@ bob", "@nobody", "阿明"] {
            assert!(found(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn at_most_five_people_are_mentioned() {
        assert_eq!(found("@阿明 @阿明明 @bob @bob ross @小鱼 @josé @x1").len(), MAX_MENTIONS);
    }
}
