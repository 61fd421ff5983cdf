//! The panel's socket: opened by the browser, bound, read, and opened again after a disconnect until the panel is gone. The
//! page only receives through it; it sends by ordinary requests.

use super::conversation::{ConnectionState, Conversation};
use crate::app::api::{bind, with_timeout};
use crate::domain::{
    backoff::Backoff,
    id::ClientId,
    push::{CloseCode, Push, SUBPROTOCOL},
    refusal::Refusal,
};
use futures_util::future::{Either, select};
use futures_util::{FutureExt, StreamExt};
use gloo_net::websocket::{Message, WebSocketError, futures::WebSocket};
use gloo_timers::future::TimeoutFuture;
use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Milliseconds before the page shows that the connection is lost; shorter interruptions are not shown.
const LOST_NOTICE_DELAY_MS: u32 = 2_000;
/// Milliseconds between two flushes in a hidden tab, which gets no animation frames.
const HIDDEN_FLUSH_MS: u64 = 500;

/// Starts the connection of a conversation. It ends when the panel is removed.
pub fn start(conversation: Conversation) {
    // In an effect, because effects do not run on the server.
    Effect::new(move || {
        let lifetime = Lifetime::default();
        let wake = {
            let lifetime = lifetime.clone();
            move || lifetime.wake()
        };
        let online = window_event_listener(ev::online, {
            let wake = wake.clone();
            move |_| wake()
        });
        let visible = on_visible(wake);
        // The browser reports a lost network at once, the socket only after a timeout.
        let offline = window_event_listener(ev::offline, {
            let lifetime = lifetime.clone();
            move |_| show_lost_after_delay(conversation, &lifetime)
        });
        spawn_local(reconnect_loop(conversation, lifetime.clone()));
        let owned = StoredValue::new_local(Some((lifetime, [online, visible, offline])));
        on_cleanup(move || {
            if let Some((lifetime, listeners)) = owned.try_update_value(Option::take).flatten() {
                lifetime.end();
                listeners.into_iter().for_each(WindowListenerHandle::remove);
            }
        });
    });
}

fn on_visible(wake: impl Fn() + 'static) -> WindowListenerHandle {
    window_event_listener(ev::visibilitychange, move |_| {
        if !document().hidden() {
            wake();
        }
    })
}

/// Ends the reconnect loop with the panel, and wakes it when it should not wait any longer: the network or the tab is back.
#[derive(Clone, Default)]
struct Lifetime(Rc<LifetimeState>);

#[derive(Default)]
struct LifetimeState {
    ended: Cell<bool>,
    woken: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Lifetime {
    fn wake(&self) {
        self.0.woken.set(true);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }

    fn end(&self) {
        self.0.ended.set(true);
        self.wake();
    }

    fn has_ended(&self) -> bool {
        self.0.ended.get()
    }

    /// Resolves at the next [`Lifetime::wake`], or at once if there was one since the last resolution.
    fn woken(&self) -> impl Future<Output = ()> + Unpin + '_ {
        futures_util::future::poll_fn(|context| {
            if self.0.woken.take() {
                return Poll::Ready(());
            }
            *self.0.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
    }
}

/// The end of one connection.
enum Disconnect {
    /// Reconnect after these milliseconds; `None`: after the back-off.
    Retry(Option<u32>),
    /// Do not reconnect.
    Final,
}

/// Reconnects until the panel is gone or the server ends the connection for good.
async fn reconnect_loop(conversation: Conversation, lifetime: Lifetime) {
    let mut backoff = Backoff::default();
    while !lifetime.has_ended() {
        let disconnect = run_socket(conversation, &lifetime, &mut backoff).await;
        if lifetime.has_ended() {
            return;
        }
        let Disconnect::Retry(delay_ms) = disconnect else {
            conversation.connection.set(ConnectionState::Ended);
            return;
        };
        let wait_ms = delay_ms.unwrap_or_else(|| backoff.next_ms(js_sys::Math::random()));
        show_lost_after_delay(conversation, &lifetime);
        select(TimeoutFuture::new(wait_ms), lifetime.woken()).await;
    }
}

/// Runs one connection from its opening to its end.
async fn run_socket(conversation: Conversation, lifetime: &Lifetime, backoff: &mut Backoff) -> Disconnect {
    let Ok(socket) = WebSocket::open_with_protocol(&socket_url(), SUBPROTOCOL) else { return Disconnect::Retry(None) };
    let mut socket = socket.fuse();
    let mut client: Option<ClientId> = None;
    let mut retry_ms = None;
    loop {
        match select(socket.next(), lifetime.woken()).await {
            Either::Left((Some(Ok(Message::Text(text))), _)) => {
                let Ok(push) = serde_json::from_str::<Push>(&text) else { continue };
                match push {
                    Push::Init { client_id } => {
                        client = Some(client_id);
                        if let Err(disconnect) = rebind(conversation, client_id).await {
                            return disconnect;
                        }
                        backoff.reset();
                    }
                    Push::Bye { reconnect_after_ms } => retry_ms = Some(u32::try_from(reconnect_after_ms).unwrap_or(u32::MAX)),
                    push => {
                        if conversation.receive(push) {
                            schedule_flush(conversation);
                        }
                    }
                }
            }
            Either::Left((Some(Ok(Message::Bytes(_))), _)) => {}
            Either::Left((Some(Err(WebSocketError::ConnectionClose(close))), _)) => {
                return if CloseCode(close.code).allows_reconnect() { Disconnect::Retry(retry_ms) } else { Disconnect::Final };
            }
            Either::Left(_) => return Disconnect::Retry(retry_ms),
            Either::Right(_) => {
                if lifetime.has_ended() {
                    return Disconnect::Final;
                }
                // The network or the tab is back. Bind again: it fails if the socket died without an event while the device
                // slept, and it returns the missed messages.
                let Some(client) = client else { return Disconnect::Retry(Some(0)) };
                if rebind(conversation, client).await.is_err() {
                    return Disconnect::Retry(Some(0));
                }
            }
        }
    }
}

/// Binds the socket and adds the messages since the newest known one to the timeline.
async fn rebind(conversation: Conversation, client: ClientId) -> Result<(), Disconnect> {
    let (since, epoch) = conversation.timeline.with_untracked(|timeline| (timeline.newest(), timeline.epoch().to_string()));
    let room = conversation.room().to_string();
    match with_timeout(bind(client.to_string(), room, Some(since.to_string()), Some(epoch))).await {
        Ok(bound) => {
            conversation.flush();
            conversation.apply_bind(since, bound);
            // The response may have arrived just before the network was lost.
            if window().navigator().on_line() {
                conversation.connection.set(ConnectionState::Connected);
            }
            Ok(())
        }
        Err(Refusal::NotSignedIn | Refusal::NoSuchRoom) => Err(Disconnect::Final),
        Err(Refusal::TooFast { retry_after_ms }) => {
            Err(Disconnect::Retry(Some(u32::try_from(retry_after_ms).unwrap_or(u32::MAX))))
        }
        Err(_) => Err(Disconnect::Retry(None)),
    }
}

/// Shows the connection as lost, unless it is back within [`LOST_NOTICE_DELAY_MS`].
fn show_lost_after_delay(conversation: Conversation, lifetime: &Lifetime) {
    if matches!(conversation.connection.get_untracked(), ConnectionState::Lost | ConnectionState::Ended) {
        return;
    }
    conversation.connection.set(ConnectionState::Connecting);
    let lifetime = lifetime.clone();
    spawn_local(TimeoutFuture::new(LOST_NOTICE_DELAY_MS).map(move |()| {
        if !lifetime.has_ended() && conversation.connection.get_untracked() == ConnectionState::Connecting {
            conversation.connection.set(ConnectionState::Lost);
        }
    }));
}

/// Shows the received messages in the next animation frame, all in one update.
fn schedule_flush(conversation: Conversation) {
    thread_local!(static SCHEDULED: Cell<bool> = const { Cell::new(false) });
    if SCHEDULED.replace(true) {
        return;
    }
    let show = move || {
        SCHEDULED.set(false);
        if conversation.timeline.is_disposed() {
            return;
        }
        if conversation.flush() {
            schedule_flush(conversation);
        }
    };
    if document().hidden() {
        set_timeout(show, std::time::Duration::from_millis(HIDDEN_FLUSH_MS));
    } else {
        request_animation_frame(show);
    }
}

/// Returns the address of the socket: `/ws` of the page's own host.
fn socket_url() -> String {
    let location = window().location();
    let scheme = if location.protocol().is_ok_and(|protocol| protocol == "https:") { "wss" } else { "ws" };
    format!("{scheme}://{}/ws", location.host().unwrap_or_default())
}
