//! The panel's socket: opened after hydration, bound, read, and opened again for as long as the page lives. One-way: what
//! the page has to say goes by ordinary requests.

use super::conversation::{Conversation, Link};
use crate::app::api::{answered, bind};
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

/// Nobody is told about a loss that is over sooner.
const CALM_MS: u32 = 2_000;
/// What is hidden is not painted, so no frame comes: what arrived is shown this often.
const HIDDEN_FLUSH_MS: u64 = 500;

/// Keeps the conversation connected from hydration until the panel is gone.
pub fn keep(conversation: Conversation) {
    // An effect: the server renders and never runs it.
    Effect::new(move || {
        let life = Life::default();
        let wake = {
            let life = life.clone();
            move || life.wake()
        };
        let came_online = window_event_listener(ev::online, {
            let wake = wake.clone();
            move |_| wake()
        });
        let came_back = on_visible(wake);
        // A socket does not notice that the network went; the browser does.
        let went_offline = window_event_listener(ev::offline, {
            let life = life.clone();
            move |_| say_lost_if_it_lasts(conversation, &life)
        });
        spawn_local(stay_connected(conversation, life.clone()));
        let ended = StoredValue::new_local(Some((life, [came_online, came_back, went_offline])));
        on_cleanup(move || {
            if let Some((life, listeners)) = ended.try_update_value(Option::take).flatten() {
                life.end();
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

/// The page's side of the loop: it ends with the panel, and is woken by what makes waiting pointless.
#[derive(Clone, Default)]
struct Life(Rc<LifeState>);

#[derive(Default)]
struct LifeState {
    ended: Cell<bool>,
    woken: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Life {
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

    fn is_over(&self) -> bool {
        self.0.ended.get()
    }

    /// Resolves at the next wake, or at once if one came since the last.
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

/// How one connection ended.
enum Loss {
    /// Come back after this, or after the back-off.
    ComeBack(Option<u32>),
    StayAway,
}

async fn stay_connected(conversation: Conversation, life: Life) {
    let mut backoff = Backoff::default();
    while !life.is_over() {
        let loss = converse(conversation, &life, &mut backoff).await;
        if life.is_over() {
            return;
        }
        let Loss::ComeBack(told_ms) = loss else {
            conversation.link.set(Link::Ended);
            return;
        };
        let wait_ms = told_ms.unwrap_or_else(|| backoff.next_ms(js_sys::Math::random()));
        say_lost_if_it_lasts(conversation, &life);
        select(TimeoutFuture::new(wait_ms), life.woken()).await;
    }
}

/// One connection, from its opening to its end.
async fn converse(conversation: Conversation, life: &Life, backoff: &mut Backoff) -> Loss {
    let Ok(socket) = WebSocket::open_with_protocol(&address(), SUBPROTOCOL) else { return Loss::ComeBack(None) };
    let mut socket = socket.fuse();
    let mut client: Option<ClientId> = None;
    let mut told_ms = None;
    loop {
        match select(socket.next(), life.woken()).await {
            Either::Left((Some(Ok(Message::Text(text))), _)) => {
                let Ok(push) = serde_json::from_str::<Push>(&text) else { continue };
                match push {
                    Push::Init { client_id } => {
                        client = Some(client_id);
                        if let Err(loss) = bind_again(conversation, client_id).await {
                            return loss;
                        }
                        backoff.succeeded();
                    }
                    Push::Bye { reconnect_after_ms } => told_ms = Some(u32::try_from(reconnect_after_ms).unwrap_or(u32::MAX)),
                    push => {
                        if conversation.receive(push) {
                            show_soon(conversation);
                        }
                    }
                }
            }
            Either::Left((Some(Ok(Message::Bytes(_))), _)) => {}
            Either::Left((Some(Err(WebSocketError::ConnectionClose(close))), _)) => {
                return if CloseCode(close.code).may_come_back() { Loss::ComeBack(told_ms) } else { Loss::StayAway };
            }
            Either::Left(_) => return Loss::ComeBack(told_ms),
            Either::Right(_) => {
                if life.is_over() {
                    return Loss::StayAway;
                }
                // The tab came back or the network did: ask whether we are still there, and for what we missed. A socket
                // that died in its sleep does not say so by itself.
                let Some(client) = client else { return Loss::ComeBack(Some(0)) };
                if bind_again(conversation, client).await.is_err() {
                    return Loss::ComeBack(Some(0));
                }
            }
        }
    }
}

async fn bind_again(conversation: Conversation, client: ClientId) -> Result<(), Loss> {
    let (since, epoch) = conversation.timeline.with_untracked(|timeline| (timeline.newest(), timeline.epoch().to_string()));
    let room = conversation.room().to_string();
    match answered(bind(client.to_string(), room, Some(since.to_string()), Some(epoch))).await {
        Ok(bound) => {
            conversation.flush();
            conversation.bound(since, bound);
            // An answer that was on its way when the network went says nothing of now.
            if window().navigator().on_line() {
                conversation.link.set(Link::Up);
            }
            Ok(())
        }
        Err(Refusal::NotSignedIn | Refusal::NoSuchRoom) => Err(Loss::StayAway),
        Err(Refusal::TooFast { retry_after_ms }) => Err(Loss::ComeBack(Some(u32::try_from(retry_after_ms).unwrap_or(u32::MAX)))),
        Err(_) => Err(Loss::ComeBack(None)),
    }
}

fn say_lost_if_it_lasts(conversation: Conversation, life: &Life) {
    if matches!(conversation.link.get_untracked(), Link::Lost | Link::Ended) {
        return;
    }
    conversation.link.set(Link::Starting);
    let life = life.clone();
    spawn_local(TimeoutFuture::new(CALM_MS).map(move |()| {
        if !life.is_over() && conversation.link.get_untracked() == Link::Starting {
            conversation.link.set(Link::Lost);
        }
    }));
}

/// Once a frame, however many came.
fn show_soon(conversation: Conversation) {
    thread_local!(static ASKED: Cell<bool> = const { Cell::new(false) });
    if ASKED.replace(true) {
        return;
    }
    let show = move || {
        ASKED.set(false);
        if conversation.timeline.is_disposed() {
            return;
        }
        if conversation.flush() {
            show_soon(conversation);
        }
    };
    if document().hidden() {
        set_timeout(show, std::time::Duration::from_millis(HIDDEN_FLUSH_MS));
    } else {
        request_animation_frame(show);
    }
}

fn address() -> String {
    let location = window().location();
    let scheme = if location.protocol().is_ok_and(|protocol| protocol == "https:") { "wss" } else { "ws" };
    format!("{scheme}://{}/ws", location.host().unwrap_or_default())
}
