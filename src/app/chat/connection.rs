//! The panel's socket: opened by the browser, bound, read, and opened again after a disconnect until the panel is gone. The
//! page only receives through it; it sends by ordinary requests.

use super::conversation::{ConnectionState, Conversation, SessionEnd};
use super::person;
use super::tab_title::tell;
use crate::app::api::{bind, history, parse, with_timeout};
use crate::app::reactive::effect;
use crate::domain::{
    backoff::Backoff,
    id::ClientId,
    push::{CloseCode, Push, SUBPROTOCOL},
    rank::Rank,
    refusal::Refusal,
    room::Person,
    timeline::Timeline,
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
/// Milliseconds until a socket that is not open yet is given up.
const OPEN_TIMEOUT_MS: u32 = 10_000;
/// Attempts without a socket after which the page fetches new messages between the attempts.
const ATTEMPTS_BEFORE_POLLING: u32 = 2;
/// Milliseconds between two fetches: the first and the last.
const POLL_MS: [u32; 2] = [5_000, 15_000];
/// Milliseconds between two looks at a list that a moderator holds.
const HELD_FLUSH_MS: u64 = 100;
/// Milliseconds between two flushes in a hidden tab, which gets no animation frames.
const HIDDEN_FLUSH_MS: u64 = 500;

/// Starts the connection of a conversation. It ends when the panel is removed.
pub fn start(conversation: Conversation) {
    // In an effect, because effects do not run on the server.
    effect(move |_| {
        let lifetime = Lifetime::default();
        let wake = {
            let lifetime = lifetime.clone();
            move || lifetime.wake()
        };
        // Hints that something changed. Each starts a check of the socket; none of them is believed.
        let hints = [
            window_event_listener(ev::online, {
                let wake = wake.clone();
                move |_| wake()
            }),
            window_event_listener(ev::offline, {
                let wake = wake.clone();
                move |_| wake()
            }),
            on_visible(wake.clone()),
        ];
        effect(move |_| {
            if conversation.rebind.get() != 0 {
                wake();
            }
        });
        spawn_local(reconnect_loop(conversation, lifetime.clone()));
        let owned = StoredValue::new_local(Some((lifetime, hints)));
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
    let mut attempts = 0;
    let mut poll_ms = POLL_MS[0];
    while !lifetime.has_ended() {
        attempts += 1;
        let disconnect = run_socket(conversation, &lifetime, &mut backoff, &mut attempts).await;
        if lifetime.has_ended() {
            return;
        }
        let Disconnect::Retry(delay_ms) = disconnect else {
            conversation.connection.set(ConnectionState::Ended);
            return;
        };
        let mut wait_ms = delay_ms.unwrap_or_else(|| backoff.next_ms(js_sys::Math::random()));
        if attempts >= ATTEMPTS_BEFORE_POLLING && poll(conversation).await {
            conversation.connection.set(ConnectionState::Polling);
            wait_ms = poll_ms;
            poll_ms = (poll_ms + 1_000).min(POLL_MS[1]);
        } else {
            poll_ms = POLL_MS[0];
            show_lost_after_delay(conversation, &lifetime);
        }
        select(TimeoutFuture::new(wait_ms), lifetime.woken()).await;
    }
}

/// Fetches the newest messages, where no socket comes through. Returns false if no answer came.
async fn poll(conversation: Conversation) -> bool {
    let (room, read_at) = (conversation.room().to_string(), conversation.timeline.with_untracked(Timeline::rev));
    // The highest position that a database takes.
    let Ok(reply) = with_timeout(history(room, i64::MAX.to_string(), None)).await else { return false };
    conversation.apply_poll(reply, read_at);
    conversation.retry.set(true);
    true
}

/// Runs one connection from its opening to its end. Sets `attempts` to 0 when its first push arrives.
async fn run_socket(conversation: Conversation, lifetime: &Lifetime, backoff: &mut Backoff, attempts: &mut u32) -> Disconnect {
    let Ok(socket) = WebSocket::open_with_protocol(&socket_url(), SUBPROTOCOL) else { return Disconnect::Retry(None) };
    let mut socket = socket.fuse();
    let mut client: Option<ClientId> = None;
    let mut retry_ms = None;
    let is_open = Rc::new(Cell::new(false));
    give_up_opening(lifetime.clone(), is_open.clone());
    loop {
        match select(socket.next(), lifetime.woken()).await {
            Either::Left((Some(Ok(Message::Text(text))), _)) => {
                let Some(push) = parse(&text) else { continue };
                match push {
                    Push::Init { client_id } => {
                        client = Some(client_id);
                        is_open.set(true);
                        *attempts = 0;
                        if let Err(disconnect) = rebind(conversation, client_id).await {
                            return disconnect;
                        }
                        backoff.reset();
                    }
                    Push::Bye { reconnect_after_ms } => retry_ms = Some(u32::try_from(reconnect_after_ms).unwrap_or(u32::MAX)),
                    // Of the staff, for its script.
                    Push::Data => tell("roomcast:staff", &js_sys::JSON::parse(&text).unwrap_or_default()),
                    push => {
                        if conversation.receive(push) {
                            schedule_flush(conversation);
                        }
                    }
                }
            }
            Either::Left((Some(Ok(Message::Bytes(_))), _)) => {}
            Either::Left((end, _)) => {
                is_open.set(true);
                return disconnected(conversation, end, retry_ms);
            }
            Either::Right(_) => {
                if lifetime.has_ended() {
                    return Disconnect::Final;
                }
                // A hint, or another person. Bind again: it fails if the socket died without an event while the device
                // slept, and it returns the missed messages.
                let Some(client) = client else {
                    // The timer of this attempt must not wake the next one.
                    is_open.set(true);
                    return Disconnect::Retry(Some(0));
                };
                if let Err(disconnect) = rebind(conversation, client).await {
                    return match disconnect {
                        Disconnect::Retry(None) => Disconnect::Retry(Some(0)),
                        disconnect => disconnect,
                    };
                }
            }
        }
    }
}

/// Wakes the page's look at its socket if that is not open after [`OPEN_TIMEOUT_MS`]: something on the way may swallow the
/// handshake.
fn give_up_opening(lifetime: Lifetime, is_open: Rc<Cell<bool>>) {
    spawn_local(TimeoutFuture::new(OPEN_TIMEOUT_MS).map(move |()| {
        if !is_open.get() {
            lifetime.wake();
        }
    }));
}

/// Decides after the last event of a socket whether the page reconnects; `retry_ms` is the delay that the server asked for.
fn disconnected(conversation: Conversation, end: Option<Result<Message, WebSocketError>>, retry_ms: Option<u32>) -> Disconnect {
    let Some(Err(WebSocketError::ConnectionClose(close))) = end else { return Disconnect::Retry(retry_ms) };
    match CloseCode(close.code) {
        // The page goes on as that of a reader.
        CloseCode::SIGNED_OUT => {
            person::left(conversation, SessionEnd::SignedOut);
            Disconnect::Retry(None)
        }
        code if code.allows_reconnect() => Disconnect::Retry(retry_ms),
        _ => Disconnect::Final,
    }
}

/// Binds the socket to the page's person and adds the messages since the newest known one to the timeline.
async fn rebind(conversation: Conversation, client: ClientId) -> Result<(), Disconnect> {
    let (since, epoch, rev) =
        conversation.timeline.with_untracked(|timeline| (timeline.newest(), timeline.epoch().to_string(), timeline.rev().0));
    let asked_as = conversation.uid();
    let room = conversation.room().to_string();
    match with_timeout(bind(client.to_string(), room, Some(since.to_string()), Some(epoch), Some(rev.to_string()))).await {
        Ok(mut bound) => {
            // A node of an older version names the person by `code` alone.
            let is_named = |you: &Person| bound.code.as_ref() == Some(&you.uid);
            let you = bound.you.take().or_else(|| conversation.you.get_untracked().filter(is_named));
            person::confirm(conversation, asked_as, you);
            conversation.flush();
            conversation.apply_bind(since, bound);
            conversation.connection.set(ConnectionState::Connected);
            conversation.retry.set(true);
            if conversation.notice.with_untracked(|notice| matches!(notice, Some(Refusal::Unreachable))) {
                conversation.notice.set(None);
            }
            Ok(())
        }
        Err(Refusal::NoSuchRoom) => Err(Disconnect::Final),
        Err(Refusal::NotSignedIn) => {
            person::confirm(conversation, asked_as, None);
            Err(Disconnect::Retry(None))
        }
        Err(Refusal::TooFast { retry_after_ms }) => {
            Err(Disconnect::Retry(Some(u32::try_from(retry_after_ms).unwrap_or(u32::MAX))))
        }
        Err(_) => Err(Disconnect::Retry(None)),
    }
}

/// Shows the connection as lost, unless it is back within [`LOST_NOTICE_DELAY_MS`].
fn show_lost_after_delay(conversation: Conversation, lifetime: &Lifetime) {
    if conversation.connection.get_untracked() == ConnectionState::Lost {
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
        let is_waiting = if is_held(conversation) {
            conversation.count_held();
            true
        } else {
            conversation.flush()
        };
        if is_waiting {
            schedule_flush(conversation);
        }
    };
    let wait_ms = match () {
        () if document().hidden() => HIDDEN_FLUSH_MS,
        () if is_held(conversation) => HELD_FLUSH_MS,
        () => return request_animation_frame(show),
    };
    set_timeout(show, std::time::Duration::from_millis(wait_ms));
}

/// Returns true while `public/mod.js` holds the list, so that a moderator acts on a row that does not move.
fn is_held(conversation: Conversation) -> bool {
    conversation.standing.try_with_untracked(|standing| standing.rank.is_some_and(Rank::is_staff)) == Some(true)
        && document().query_selector(".list__scroller[data-hold]").ok().flatten().is_some()
}

/// Returns the address of the socket: `/ws` of the page's own host.
fn socket_url() -> String {
    let location = window().location();
    let scheme = if location.protocol().is_ok_and(|protocol| protocol == "https:") { "wss" } else { "ws" };
    format!("{scheme}://{}/ws", location.host().unwrap_or_default())
}
