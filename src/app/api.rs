//! Every request a page makes. On the server each body is one call of [`Caller`](crate::server::web::caller::Caller); in
//! the browser it is the fetch. Paths and fields are a contract (README, “The requests”): pages of other sites post them by hand.

use crate::domain::{
    refusal::Refusal,
    reply::{BindReply, Done, HistoryReply, OpenRoomReply, SendReply, SignInReply},
    room::{Page, RoomCard, Snapshot},
};
use futures_util::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};

const RESPONSE_TIMEOUT_MS: u32 = 10_000;

impl FromServerFnError for Refusal {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Args(text) | ServerFnErrorErr::MissingArg(text) => {
                // "missing field `room`": the only thing said to a person is the field's own name.
                Self::malformed(text.split('`').nth(1).unwrap_or("form").to_owned())
            }
            _ => Self::Unreachable,
        }
    }
}

/// A request that hangs is one that was not answered: a phone that changed networks does not say so.
pub async fn with_timeout<T>(request: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    match select(std::pin::pin!(request), TimeoutFuture::new(RESPONSE_TIMEOUT_MS)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(Refusal::Unreachable),
    }
}

#[server(prefix = "/session", endpoint = "guest")]
pub async fn enter_as_guest(nickname: String) -> Result<SignInReply, Refusal> {
    use crate::server::web::caller::Caller;
    Caller::current()?.enter_as_guest(&nickname).await
}

/// `owner` is the token of the console's one-time link.
#[server(prefix = "/session", endpoint = "register")]
pub async fn register(
    name: String,
    password: String,
    nickname: Option<String>,
    owner: Option<String>,
) -> Result<SignInReply, Refusal> {
    use crate::server::web::caller::Caller;
    Caller::current()?.register(&name, &password, nickname.as_deref().unwrap_or_default(), owner.as_deref()).await
}

#[server(prefix = "/session", endpoint = "login")]
pub async fn log_in(name: String, password: String) -> Result<SignInReply, Refusal> {
    use crate::server::web::caller::Caller;
    Caller::current()?.log_in(&name, &password).await
}

#[server(prefix = "/session", endpoint = "logout")]
pub async fn log_out() -> Result<Done, Refusal> {
    use crate::server::web::caller::Caller;
    Caller::current()?.log_out().await
}

#[server(prefix = "/session", endpoint = "preferences")]
pub async fn prefer(lang: Option<String>, theme: Option<String>) -> Result<Done, Refusal> {
    use crate::server::web::caller::Caller;
    Caller::current()?.prefer(lang.as_deref(), theme.as_deref())
}

/// Numbers travel as text, so that one that is none is refused under its own name.
#[server(prefix = "/gateway", endpoint = "bind")]
pub async fn bind(client_id: String, room: String, since: Option<String>, epoch: Option<String>) -> Result<BindReply, Refusal> {
    use crate::server::web::caller::Caller;
    Caller::current()?.bind(&client_id, &room, since.as_deref(), epoch.as_deref()).await
}

#[server(name = SendRequest, prefix = "/gateway", endpoint = "send")]
pub async fn send(room: String, message: String, nonce: Option<String>) -> Result<SendReply, Refusal> {
    use crate::server::web::caller::Caller;
    Caller::current()?.send(&room, &message, nonce.as_deref()).await
}

#[server(name = HistoryRequest, prefix = "/gateway", endpoint = "history")]
pub async fn history(room: String, before: String, limit: Option<String>) -> Result<HistoryReply, Refusal> {
    use crate::server::web::caller::Caller;
    Caller::current()?.history(&room, &before, limit.as_deref()).await
}

#[server(prefix = "/gateway", endpoint = "rooms")]
pub async fn open_room(title: String) -> Result<OpenRoomReply, Refusal> {
    use crate::server::web::caller::Caller;
    Caller::current()?.open_room(&title).await
}

#[server(prefix = "/page", endpoint = "lobby")]
pub async fn lobby_page() -> Result<Page<Vec<RoomCard>>, Refusal> {
    use crate::server::web::caller::Caller;
    let caller = Caller::current()?;
    Ok(Page { content: caller.lobby().await?, you: caller.person(), returned: caller.returned_form() })
}

#[server(prefix = "/page", endpoint = "room")]
pub async fn room_page(room: String) -> Result<Page<Snapshot>, Refusal> {
    use crate::server::web::caller::Caller;
    let caller = Caller::current()?;
    Ok(Page { content: caller.snapshot(&room).await?, you: caller.person(), returned: caller.returned_form() })
}

#[server(prefix = "/page", endpoint = "sign-in")]
pub async fn sign_in_page() -> Result<Page<()>, Refusal> {
    use crate::server::web::caller::Caller;
    let caller = Caller::current()?;
    Ok(Page { content: (), you: caller.person(), returned: caller.returned_form() })
}
