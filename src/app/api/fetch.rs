//! The requests of the chat panel in the browser. Leptos' own client does the same in more than twice the bytes of wasm.

use crate::domain::{
    paths,
    reading::{FromJson, Json},
    refusal::Refusal,
    reply::{BindReply, HistoryReply, SendReply, SignInReply},
};
use js_sys::futures::JsFuture;
use js_sys::{Array, Promise, Reflect};
use leptos::prelude::window;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{RequestInit, Response, UrlSearchParams};

/// Names of the fields of each form, those of its server function; a test holds both together.
pub(super) const BIND_FIELDS: [&str; 5] = ["client_id", "room", "since", "epoch", "rev"];
pub(super) const SEND_FIELDS: [&str; 5] = ["room", "message", "nonce", "user", "re"];
pub(super) const HISTORY_FIELDS: [&str; 3] = ["room", "before", "limit"];
pub(super) const GUEST_FIELDS: [&str; 1] = ["nickname"];

/// Binds the socket `client_id`; see [`forms::bind`](super::forms::bind).
pub async fn bind(
    client_id: String,
    room: String,
    since: Option<String>,
    epoch: Option<String>,
    rev: Option<String>,
) -> Result<BindReply, Refusal> {
    read(post(paths::BIND, &BIND_FIELDS, &[Some(client_id), Some(room), since, epoch, rev]).await)
}

/// Sends a message; see [`forms::send`](super::forms::send).
pub async fn send(
    room: String,
    message: String,
    nonce: Option<String>,
    user: Option<String>,
    re: Option<String>,
) -> Result<SendReply, Refusal> {
    read(post(paths::SEND, &SEND_FIELDS, &[Some(room), Some(message), nonce, user, re]).await)
}

/// Fetches a page of messages; see [`forms::history`](super::forms::history).
pub async fn history(room: String, before: String, limit: Option<String>) -> Result<HistoryReply, Refusal> {
    read(post(paths::HISTORY, &HISTORY_FIELDS, &[Some(room), Some(before), limit]).await)
}

/// Signs in a guest or changes their nickname; see [`forms::enter_as_guest`](super::forms::enter_as_guest).
pub async fn enter_as_guest(nickname: String) -> Result<SignInReply, Refusal> {
    read(post(paths::GUEST, &GUEST_FIELDS, &[Some(nickname)]).await)
}

/// Posts a form. Returns whether it succeeded, and the body; nothing without a response in JSON.
async fn post(path: &str, names: &[&str], values: &[Option<String>]) -> Option<(bool, JsValue)> {
    let form = UrlSearchParams::new().ok()?;
    for (name, value) in names.iter().zip(values) {
        if let Some(value) = value {
            form.append(name, value);
        }
    }
    let request = RequestInit::new();
    request.set_method("POST");
    request.set_body(&form);
    let response: Response = wait(window().fetch_with_str_and_init(path, &request)).await?.unchecked_into();
    Some((response.ok(), wait(response.json().ok()?).await?))
}

async fn wait(promise: Promise) -> Option<JsValue> {
    JsFuture::from(promise).await.ok()
}

/// Reads a reply or a refusal. A body that is none of ours, as from a proxy, counts as no response.
fn read<T: FromJson>(response: Option<(bool, JsValue)>) -> Result<T, Refusal> {
    match response {
        Some((true, body)) => T::from_json(&body).ok_or(Refusal::Unreachable),
        Some((false, body)) => Err(Refusal::from_json(&body).unwrap_or(Refusal::Unreachable)),
        None => Err(Refusal::Unreachable),
    }
}

/// Parses JSON with the browser's parser.
pub fn parse<T: FromJson>(text: &str) -> Option<T> {
    T::from_json(&js_sys::JSON::parse(text).ok()?)
}

impl Json for JsValue {
    fn field(&self, name: &str) -> Option<Self> {
        Reflect::get(self, &name.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
    }

    fn text(&self) -> Option<String> {
        self.as_string()
    }

    fn number(&self) -> Option<u64> {
        self.as_f64().map(|number| number as u64)
    }

    fn flag(&self) -> Option<bool> {
        self.as_bool()
    }

    fn items(&self) -> Option<Vec<Self>> {
        Array::is_array(self).then(|| Array::from(self).iter().collect())
    }
}
