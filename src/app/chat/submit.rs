//! Sending a message: check, show it as outgoing, send it with retries, and give the text back if it is refused.

use super::conversation::{Conversation, Outgoing};
use super::cooldown::Cooldown;
use super::draft_box::DraftBox;
use crate::app::api::{send, with_timeout};
use crate::domain::{
    draft::{Draft, Rules},
    id::RoomId,
    refusal::Refusal,
    reply::SendReply,
};
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Milliseconds before each repetition of a request without a response; after the last one the send has failed.
const RETRY_DELAYS_MS: [u32; 3] = [500, 1_500, 3_000];

/// A text whose outcome is unknown, because no response came, and its nonce.
type Unconfirmed = Option<(String, String)>;

/// Sends the text of the box. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Submit {
    conversation: Conversation,
    draft: DraftBox,
    cooldown: Cooldown,
    rules: Rules,
    /// If the same text is sent again, it gets the same nonce, so that it is stored once.
    unconfirmed: StoredValue<Unconfirmed>,
}

/// Creates the action of the send button.
pub fn use_submit(conversation: Conversation, draft: DraftBox, cooldown: Cooldown) -> Submit {
    Submit { conversation, draft, cooldown, rules: conversation.rules(), unconfirmed: StoredValue::new(None) }
}

impl Submit {
    /// Sends the text of the box. Does nothing while a message is outgoing or the cooldown runs; a text that breaks the
    /// rules stays in the box, with a notice.
    pub fn run(self) {
        let Self { conversation, draft: draft_box, .. } = self;
        if self.is_blocked() {
            return;
        }
        let raw = draft_box.text();
        let draft = Draft::new(&raw);
        if let Err(refusal) = draft.check(&self.rules) {
            conversation.notice.set(Some(refusal));
            return;
        }
        conversation.notice.set(None);
        conversation.follow();
        conversation.outgoing.set(Some(Outgoing { text: draft.as_str().to_owned(), seq: None }));
        draft_box.set_text("");
        let nonce = self.nonce_for(draft.as_str());
        spawn_local(async move {
            match send_with_retry(conversation.room(), draft.as_str(), &nonce).await {
                Ok(reply) => self.accepted(draft, reply),
                Err(refusal) => self.refused(refusal, &raw, draft, nonce),
            }
        });
    }

    fn is_blocked(self) -> bool {
        let is_outgoing = |outgoing: &Option<Outgoing>| outgoing.as_ref().is_some_and(|outgoing| outgoing.seq.is_none());
        self.conversation.outgoing.with_untracked(is_outgoing) || self.cooldown.is_running()
    }

    fn nonce_for(self, text: &str) -> String {
        let unconfirmed = self.unconfirmed.try_update_value(Option::take).flatten();
        unconfirmed.filter(|(unconfirmed, _)| unconfirmed == text).map_or_else(new_nonce, |(_, nonce)| nonce)
    }

    fn accepted(self, draft: Draft, reply: SendReply) {
        self.conversation.outgoing.set(Some(Outgoing { text: draft.into_text(), seq: Some(reply.seq) }));
        self.conversation.clear_delivered_outgoing();
        self.cooldown.start(reply.cooldown_ms);
    }

    /// Shows the refusal and returns the text to the box, before anything typed since.
    fn refused(self, refusal: Refusal, raw: &str, draft: Draft, nonce: String) {
        self.conversation.outgoing.set(None);
        if refusal == Refusal::Unreachable {
            self.unconfirmed.set_value(Some((draft.into_text(), nonce)));
        }
        if let Refusal::TooFast { retry_after_ms } = refusal {
            self.cooldown.start(retry_after_ms);
        }
        self.conversation.notice.set(Some(refusal));
        let since = self.draft.text();
        self.draft.set_text(&if since.is_empty() { raw.to_owned() } else { format!("{raw}\n{since}") });
    }
}

/// Sends a message; repeats the request while no response comes. The nonce makes repetitions safe: the server stores the
/// message once.
async fn send_with_retry(room: RoomId, text: &str, nonce: &str) -> Result<SendReply, Refusal> {
    let mut delays_ms = RETRY_DELAYS_MS.into_iter();
    loop {
        match with_timeout(send(room.to_string(), text.to_owned(), Some(nonce.to_owned()))).await {
            Err(Refusal::Unreachable) => match delays_ms.next() {
                Some(delay_ms) => TimeoutFuture::new(delay_ms).await,
                None => return Err(Refusal::Unreachable),
            },
            answer => return answer,
        }
    }
}

fn new_nonce() -> String {
    format!("{:x}-{:x}", js_sys::Date::now() as u64, (js_sys::Math::random() * 2f64.powi(52)) as u64)
}
