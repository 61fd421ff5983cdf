//! Messages of the API's keys. A key sends as a bot: its own person in the store, with the key's name as the nickname. A bot passes the
//! restraints, the modes and the cooldown of every sender, with the rank of a viewer.

use super::{Chat, SendRequest};
use crate::domain::{
    id::{RoomId, Uid},
    refusal::Refusal,
    reply::SendReply,
    room::Person,
    text,
};
use crate::server::incident::refusal_of;

impl Chat {
    /// Sends a message of the key with this name, as [`Chat::send`] does. Its role is that of a bot. An operator made the key, so the
    /// mode `accounts` does not concern it.
    ///
    /// Fails with `not_allowed` also for a key whose name is longer than a uid can hold.
    pub async fn send_as_bot(&self, key: &str, request: SendRequest<'_>) -> Result<SendReply, Refusal> {
        let uid = Uid::of_bot(key).ok_or(Refusal::NotAllowed)?;
        let room: RoomId = request.room.parse()?;
        self.room(&room).await?;
        let nickname = nickname(key);
        if !self.bots.contains_key(&uid) {
            let put = self.store.put_nickname(&uid, &nickname, self.clock.now_ms()).await;
            put.map_err(|error| refusal_of(&error, "bot"))?;
            self.bots.insert(uid.clone(), ());
        }
        self.send(&Person { uid, nickname, account: Some(key.to_owned()) }, request).await
    }
}

/// The nickname of a key. The operator chose it, so reserved words are allowed: the badge says that it is a bot.
fn nickname(key: &str) -> String {
    let line = text::clean_line(key);
    if text::is_blank(&line) { "bot".into() } else { line }
}
