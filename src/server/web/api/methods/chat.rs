//! Methods that read the messages of a room, and send to it as a bot.

use crate::server::accounts::Scope::{ChatRead, ChatSend};
use crate::server::chat::SendRequest;
use crate::server::web::api::method::{Caller, Method, room_method};
use crate::server::web::api::room_params::{ReadHistory, SendMessage};
use crate::server::web::api::room_results::{HistoryResult, SentResult};

/// Returns the methods of this file.
pub(super) fn all() -> Vec<Method> {
    vec![
        room_method(
            "chat.history",
            ChatRead,
            "Returns the messages of a room before a seq, newest last: 50 without a limit. Removed ones are tombstones.",
            async |caller: Caller, params: ReadHistory| {
                caller.check_room(&params.room.0)?;
                let before = params.before.map_or(i64::MAX as u64, |before| before.0).to_string();
                let limit = params.limit.map(|limit| limit.0.to_string());
                Ok(HistoryResult(caller.chat.history(params.room.0.as_str(), &before, limit.as_deref()).await?))
            },
        ),
        room_method(
            "chat.send",
            ChatSend,
            "Sends a message to a room as the bot of the key, which has the role bot and the key's name. Restraints, modes and the \
             cooldown hold for it as for every sender.",
            async |caller: Caller, params: SendMessage| {
                caller.check_room(&params.room.0)?;
                let (nonce, re) = (params.nonce.map(|nonce| nonce.0), params.re.map(|re| re.0.to_string()));
                let request = SendRequest {
                    room: params.room.0.as_str(),
                    message: &params.message,
                    nonce: nonce.as_ref().map(|nonce| nonce.as_str()),
                    re: re.as_deref(),
                    address: None,
                };
                Ok(SentResult::from(caller.chat.send_as_bot(&caller.key.name, request).await?))
            },
        ),
    ]
}
