//! Sending a message: check, show it as outgoing, send it until the server answers, and give the text back if it is refused.

use super::conversation::{ConnectionState, Conversation, SessionEnd};
use super::cooldown::Cooldown;
use super::draft_box::{DraftBox, load, store, take_focus_of_actions};
use super::outgoing::{Outgoing, OutgoingState};
use super::person;
use super::reply;
use crate::app::api::{send, with_timeout};
use crate::app::reactive::effect;
use crate::domain::{
    backoff::Backoff,
    draft::{Draft, Rules},
    id::Uid,
    refusal::Refusal,
    reply::SendReply,
    text::is_blank,
};
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Milliseconds before each repetition of a request without a response; after the last one the message shows as unsent.
const RETRY_DELAYS_MS: [u32; 3] = [500, 1_500, 3_000];
/// Milliseconds between two looks whether an unsent message should be sent at once.
const LOOK_MS: u32 = 100;

/// Sends the text of the box. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Submit {
    conversation: Conversation,
    /// The text box.
    pub draft: DraftBox,
    /// The countdown.
    pub cooldown: Cooldown,
    rules: Rules,
    /// True if the text is sent by itself as soon as that is possible.
    pub armed: RwSignal<bool>,
    /// True until the server answered. The push of a message may arrive before the answer, which has the cooldown.
    is_sending: RwSignal<bool>,
    /// The text that the server may have stored although it refused it, and its nonce. The same text gets it again.
    unconfirmed: StoredValue<Option<(String, String)>>,
}

/// Creates the action of the send button. A message that this tab could not send before it was reloaded, or before its person
/// left, is sent again when that person is here, under the nonce that it had.
pub fn use_submit(conversation: Conversation, draft: DraftBox, cooldown: Cooldown) -> Submit {
    let (armed, unconfirmed) = (RwSignal::new(false), StoredValue::new(None));
    let is_sending = RwSignal::new(false);
    let submit = Submit { conversation, draft, cooldown, rules: conversation.rules(), armed, is_sending, unconfirmed };
    effect(move |was: Option<Option<Uid>>| {
        let uid = conversation.you.with(|you| you.as_ref().map(|you| you.uid.clone()));
        if was.as_ref() == Some(&uid) {
            return uid;
        }
        armed.set(false);
        match load(conversation, "unsent").as_deref().and_then(|stored| stored.split_once('\n')) {
            Some((nonce, text)) if !is_sending.get_untracked() => submit.send(text.to_owned(), nonce.to_owned(), true),
            // Another person's, from before the page was loaded.
            None if was.is_none() => store(conversation, "unsent", ""),
            _ => {}
        }
        uid
    });
    effect(move |_| {
        let is_blocked = cooldown.seconds.get() != 0 || is_sending.get();
        if armed.get() && !is_blocked {
            untrack(|| submit.run());
        }
    });
    submit
}

impl Submit {
    /// Sends the text of the box. While a message is outgoing or the cooldown runs, the text waits in the box and is sent by
    /// itself afterwards. A text that breaks the rules stays in the box, with a notice.
    pub fn run(self) {
        let Self { conversation, draft: draft_box, .. } = self;
        if conversation.uid().is_none() || conversation.shut().is_some() {
            return;
        }
        let draft = Draft::new(&draft_box.text());
        let is_blocked = self.cooldown.seconds.get_untracked() != 0 || self.is_sending.get_untracked();
        self.armed.set(false);
        if is_blocked && is_blank(draft.as_str()) {
            // The second tap of a double tap.
            return;
        }
        if let Err(refusal) = draft.check(&self.rules) {
            conversation.notice.set(Some(refusal));
            return;
        }
        if is_blocked {
            self.armed.set(true);
            return;
        }
        conversation.notice.set(None);
        conversation.follow();
        draft_box.set_text("");
        let unconfirmed = self.unconfirmed.try_update_value(Option::take).flatten();
        let nonce = unconfirmed.filter(|(text, _)| text == draft.as_str()).map(|(_, nonce)| nonce);
        let is_open = nonce.is_some();
        let nonce = nonce.unwrap_or_else(|| [&new_nonce(), " ", &reply::take()].concat());
        self.send(draft.into_text(), nonce, is_open);
    }

    /// Shows the message as outgoing, and sends it until an answer comes. Until then it is stored in the tab. `is_open`: an earlier
    /// attempt with this nonce may have stored it. After a blank the nonce has the seq of the message that this one answers.
    fn send(self, text: String, nonce: String, mut is_open: bool) {
        let Some(author) = self.conversation.uid() else { return };
        store(self.conversation, "unsent", &[&nonce, "\n", &text].concat());
        let (shown, key) = (text.clone(), nonce.clone());
        self.conversation.add_outgoing(Outgoing { text: shown, nonce: key, state: OutgoingState::Sending });
        self.is_sending.set(true);
        spawn_local(async move {
            let answer = self.send_until_answered(&author, &text, &nonce, &mut is_open).await;
            if self.is_sending.is_disposed() {
                return;
            }
            let is_deleted = self.conversation.deleted.with_value(|deleted| *deleted == nonce);
            let is_theirs = self.conversation.uid().is_none_or(|uid| uid == author);
            if is_deleted || matches!(answer, Some(Ok(_))) || (is_theirs && answer.is_some()) {
                store(self.conversation, "unsent", "");
            }
            match answer {
                Some(answer) if is_theirs && !is_deleted => match answer {
                    Ok(reply) => self.accepted(&nonce, reply),
                    Err(refusal) => self.refused(refusal, text, nonce, is_open),
                },
                // Neither the box nor the countdown of another person is touched.
                _ => self.conversation.remove_outgoing(&nonce),
            }
            self.is_sending.set(false);
        });
    }

    /// Repeats the request while no response comes, or one that leaves the outcome open; the nonce makes that safe. Sets `is_open`
    /// after such an attempt: from then on `busy` leaves the outcome open, since it tells of its own attempt alone. The page may get
    /// another person meanwhile: the message of `author` waits while there is none. `None`: there is another one, or the person
    /// deleted the message, or the panel is gone.
    async fn send_until_answered(
        self,
        author: &Uid,
        text: &str,
        nonce: &str,
        is_open: &mut bool,
    ) -> Option<Result<SendReply, Refusal>> {
        let conversation = self.conversation;
        let is_author = || conversation.you.try_with_untracked(|you| you.as_ref().map(|you| you.uid == *author));
        let is_over = || Some(is_author()? == Some(false) || conversation.deleted.try_with_value(|deleted| deleted == nonce)?);
        let mut delays_ms = RETRY_DELAYS_MS.into_iter();
        let mut backoff = Backoff::default();
        loop {
            if is_over()? {
                return None;
            }
            conversation.retry.set(false);
            if is_author()? == Some(true) {
                take_focus_of_actions();
                conversation.set_outgoing(nonce, OutgoingState::Sending);
                let room = conversation.room().to_string();
                let author = Some(author.to_string());
                let (nonce, re) = nonce.split_once(' ').unwrap_or((nonce, ""));
                let re = Some(re.to_owned()).filter(|re| !re.is_empty());
                match with_timeout(send(room, text.to_owned(), Some(nonce.to_owned()), author, re)).await {
                    // The session is another person's: the next `bind` tells whose.
                    Err(Refusal::NotYours) => conversation.rebind.try_update(|count| *count += 1)?,
                    Err(refusal) if leaves_open(&refusal, *is_open) => {
                        *is_open = true;
                        if let Some(delay_ms) = delays_ms.next() {
                            TimeoutFuture::new(delay_ms).await;
                            continue;
                        }
                    }
                    answer => return Some(answer),
                }
            }
            is_author()?;
            conversation.set_outgoing(nonce, OutgoingState::Unsent);
            let mut wait_ms = backoff.next_ms(js_sys::Math::random());
            // Without a connection the page does not know whose its session is: a sign-in elsewhere may have changed it.
            let is_down =
                || matches!(conversation.connection.get_untracked(), ConnectionState::Connecting | ConnectionState::Lost);
            while !conversation.retry.try_get_untracked()? && !is_over()? && (wait_ms > LOOK_MS || is_down()) {
                wait_ms = wait_ms.saturating_sub(LOOK_MS);
                TimeoutFuture::new(LOOK_MS).await;
            }
        }
    }

    fn accepted(self, nonce: &str, reply: SendReply) {
        let conversation = self.conversation;
        let state = if reply.seq.0 == 0 { OutgoingState::Held } else { OutgoingState::Accepted(reply.seq) };
        conversation.set_outgoing(nonce, state);
        conversation.clear_delivered_outgoing();
        conversation.session_proven.set_value(true);
        conversation.notice.set(None);
        self.cooldown.start(reply.cooldown_ms.unwrap_or(self.rules.cooldown_ms));
        reply::sent(true);
    }

    /// Shows the refusal and returns the text to the box, before anything typed since. `is_open`: an earlier attempt may have stored
    /// the message.
    fn refused(self, refusal: Refusal, text: String, nonce: String, is_open: bool) {
        let conversation = self.conversation;
        conversation.remove_outgoing(&nonce);
        self.armed.set(false);
        reply::sent(false);
        let since = self.draft.text();
        let back = if since.is_empty() { text.clone() } else { [&text, "\n", &since].concat() };
        self.draft.set_text(&back);
        if is_open || matches!(refusal, Refusal::Internal { .. }) {
            self.unconfirmed.set_value(Some((text, nonce)));
        }
        match refusal {
            Refusal::NotSignedIn => return person::left(conversation, SessionEnd::Expired),
            Refusal::TooFast { retry_after_ms } => self.cooldown.start(retry_after_ms),
            _ => {}
        }
        conversation.show_refusal(refusal);
    }
}

/// Whether it is not known after this refusal if the message is stored.
fn leaves_open(refusal: &Refusal, was_open: bool) -> bool {
    matches!(refusal, Refusal::Uncertain | Refusal::Unreachable) || (was_open && matches!(refusal, Refusal::Busy))
}

fn new_nonce() -> String {
    format!("{:x}-{:x}", js_sys::Date::now() as u64, (js_sys::Math::random() * 2f64.powi(52)) as u64)
}
