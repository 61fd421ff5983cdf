//! The text box: what is typed is never lost. A form first; with JavaScript the line goes out in place.

use super::conversation::{Conversation, Outgoing};
use crate::app::api::{send, with_timeout};
use crate::app::i18n::lang;
use crate::domain::{
    draft::Draft,
    id::RoomId,
    paths,
    refusal::{Refusal, whole_seconds},
    reply::{ReturnedForm, SendReply},
};
use crate::t;
use gloo_timers::future::TimeoutFuture;
use leptos::ev::{KeyboardEvent, SubmitEvent};
use leptos::html::Textarea;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// The counter shows when this many characters are left.
const COUNTER_SHOWN_AT: u32 = 20;
/// How often the countdown looks at the clock.
const TICK_MS: u32 = 100;
/// Without an answer the same attempt is made again, under the same nonce, after each of these.
const RETRY_DELAYS_MS: [u32; 3] = [500, 1_500, 3_000];

#[component]
pub fn Composer(conversation: Conversation, returned: Option<ReturnedForm>) -> impl IntoView {
    let textarea = NodeRef::<Textarea>::new();
    let rules = conversation.rules();
    let length = RwSignal::new(0u32);
    // A line that may have been stored though no answer came, and its nonce: sent again unchanged it is the same line.
    let unconfirmed = StoredValue::new(None::<(String, String)>);
    let cooldown = Cooldown::default();
    let (text, refusal) =
        returned.filter(|returned| returned.form == paths::SEND).map(|returned| (returned.text, returned.refusal)).unzip();
    if let Some(refusal) = refusal {
        conversation.notice.set(Some(refusal));
    }

    let typed = move || textarea.get_untracked().map(|node| node.value()).unwrap_or_default();
    let draft_key = move || format!("draft:{}", conversation.room());
    let measure = move |text: &str| {
        length.set(Draft::new(text).graphemes() as u32);
        if let Some(storage) = storage() {
            // A tab without storage keeps drafts as long as its page.
            let _ = if text.is_empty() { storage.remove_item(&draft_key()) } else { storage.set_item(&draft_key(), text) };
        }
    };
    let set_text = move |text: &str| {
        if let Some(node) = textarea.get_untracked() {
            node.set_value(text);
        }
        measure(text);
    };
    // What was typed before the wasm came is the page's, not ours to clear; an empty box gets back what it held before this
    // tab loaded another page, in another language for instance.
    Effect::new(move || {
        let kept = storage().and_then(|storage| storage.get_item(&draft_key()).ok().flatten());
        match kept.filter(|_| typed().is_empty()) {
            Some(kept) => set_text(&kept),
            None => measure(&typed()),
        }
    });

    let submit = move || {
        if conversation.outgoing.with_untracked(|outgoing| outgoing.as_ref().is_some_and(|outgoing| outgoing.seq.is_none()))
            || cooldown.is_running()
        {
            return;
        }
        let raw = typed();
        let draft = Draft::new(&raw);
        if let Err(refusal) = draft.check(&rules) {
            conversation.notice.set(Some(refusal));
            return;
        }
        conversation.notice.set(None);
        conversation.follow();
        conversation.outgoing.set(Some(Outgoing { text: draft.as_str().to_owned(), seq: None }));
        set_text("");
        let nonce = unconfirmed
            .try_update_value(Option::take)
            .flatten()
            .filter(|(text, _)| text == draft.as_str())
            .map_or_else(new_nonce, |(_, nonce)| nonce);
        spawn_local(async move {
            match send_with_retry(conversation.room(), draft.as_str(), &nonce).await {
                Ok(accepted) => {
                    conversation.outgoing.set(Some(Outgoing { text: draft.into_text(), seq: Some(accepted.seq) }));
                    conversation.clear_delivered_outgoing();
                    cooldown.start(rules.cooldown_ms);
                }
                Err(refusal) => {
                    conversation.outgoing.set(None);
                    if refusal == Refusal::Unreachable {
                        unconfirmed.set_value(Some((draft.into_text(), nonce)));
                    }
                    if let Refusal::TooFast { retry_after_ms } = refusal {
                        cooldown.start(retry_after_ms);
                    }
                    conversation.notice.set(Some(refusal));
                    let since = typed();
                    set_text(&if since.is_empty() { raw } else { format!("{raw}\n{since}") });
                }
            }
        });
    };
    let on_submit = move |event: SubmitEvent| {
        event.prevent_default();
        submit();
    };
    let on_keydown = move |event: KeyboardEvent| {
        // 229: the key belongs to an input method, which some browsers say only this way.
        if event.key() == "Enter" && !event.shift_key() && !event.is_composing() && event.key_code() != 229 {
            event.prevent_default();
            submit();
        }
    };
    let left = move || i64::from(rules.max_graphemes) - i64::from(length.get());
    let send_label = t!(send);
    let label = move || match cooldown.seconds.get() {
        0 => send_label.to_owned(),
        seconds => format!("{seconds} S"),
    };
    view! {
        <Notice conversation/>
        <form class="composer" method="post" action=paths::SEND on:submit=on_submit>
            <input type="hidden" name="room" value=conversation.room().to_string()/>
            <textarea
                class="composer__text" name="message" rows="1" enterkeyhint="send" autocomplete="off"
                aria-label=t!(placeholder) placeholder=t!(placeholder)
                node_ref=textarea on:keydown=on_keydown
                on:input=move |_| measure(&typed())
            >{text.unwrap_or_default()}</textarea>
            <Show when=move || left() <= i64::from(COUNTER_SHOWN_AT)>
                <span class="composer__left" class:composer__left--over=move || left() < 0 aria-live="polite">{left}</span>
            </Show>
            <button class="button composer__send" class:composer__send--waiting=move || cooldown.seconds.get() != 0>{label}</button>
        </form>
    }
}

/// The first visit asks for nothing but a name.
#[component]
pub fn JoinForm(room: RoomId, returned: Option<ReturnedForm>) -> impl IntoView {
    let returned = returned.filter(|returned| matches!(returned.form.as_str(), paths::GUEST | paths::SEND));
    // A message is no nickname.
    let nickname = |returned: &ReturnedForm| if returned.form == paths::GUEST { returned.text.clone() } else { String::new() };
    let (text, refusal) = returned.map(|returned| (nickname(&returned), returned.refusal)).unzip();
    let here = paths::room_page(&room);
    view! {
        {refusal.map(|refusal| view! { <p class="notice" role="alert">{format!("{}: {}", t!(system), refusal.message(lang()))}</p> })}
        <form class="composer composer--join" method="post" action=paths::GUEST>
            <input type="hidden" name="next" value=here.clone()/>
            <input class="field__input" name="nickname" required maxlength="256" autocomplete="nickname" aria-label=t!(nickname) placeholder=t!(pick_nickname) value=text.unwrap_or_default()/>
            <button class="button">{t!(enter)}</button>
            <a class="composer__account" href=format!("{}?next={here}", paths::SIGN_IN_PAGE)>{t!(have_account)}</a>
        </form>
    }
}

/// `系统提示: 不能超过140个字符`
#[component]
fn Notice(conversation: Conversation) -> impl IntoView {
    let (lang, system) = (lang(), t!(system));
    let words = move || conversation.notice.get().map(|refusal| format!("{system}: {}", refusal.message(lang)));
    view! { <div role="alert">{move || words().map(|words| view! { <p class="notice">{words}</p> })}</div> }
}

/// Once it is accepted it is accepted once: a lost answer is asked for again under the same nonce.
async fn send_with_retry(room: RoomId, text: &str, nonce: &str) -> Result<SendReply, Refusal> {
    let mut waits = RETRY_DELAYS_MS.into_iter();
    loop {
        match with_timeout(send(room.to_string(), text.to_owned(), Some(nonce.to_owned()))).await {
            Err(Refusal::Unreachable) => match waits.next() {
                Some(wait_ms) => TimeoutFuture::new(wait_ms).await,
                None => return Err(Refusal::Unreachable),
            },
            answer => return answer,
        }
    }
}

/// The tab's own: gone with it, and no other tab's.
fn storage() -> Option<web_sys::Storage> {
    window().session_storage().ok().flatten()
}

fn new_nonce() -> String {
    format!("{:x}-{:x}", js_sys::Date::now() as u64, (js_sys::Math::random() * 2f64.powi(52)) as u64)
}

/// Counts down what the server said, and gives the button back.
#[derive(Clone, Copy, Default)]
struct Cooldown {
    /// Left, rounded up; 0 is over.
    seconds: RwSignal<u64>,
}

impl Cooldown {
    fn is_running(self) -> bool {
        self.seconds.get_untracked() != 0
    }

    fn start(self, ms: u64) {
        let until = js_sys::Date::now() + ms as f64;
        self.seconds.set(whole_seconds(ms));
        spawn_local(async move {
            loop {
                let left = (until - js_sys::Date::now()).max(0.0);
                if self.seconds.try_set(whole_seconds(left.ceil() as u64)).is_some() || left == 0.0 {
                    return;
                }
                TimeoutFuture::new(TICK_MS).await;
            }
        });
    }
}
