//! `GET /ws`: the WebSocket handshake (RFC 6455, section 4.2). It is done by hand because the raw stream moves to a shard of
//! the gateway afterwards.

use super::middleware::{
    cookies::is_own_cookie, error_response::Refused, headers::header_str, headers::is_bearer_subprotocol, origin,
};
use super::rate_limit::RequestKind;
use super::request_context::RequestContext;
use super::state::AppState;
use super::tls::{ClientStream, into_raw_stream};
use crate::domain::{
    push::{CloseCode, SUBPROTOCOL},
    refusal::Refusal,
};
use crate::server::accounts::Session;
use crate::server::gateway::{ConnectionPermit, Dialect, Handshake, LimitReached, NewConnection, SocketOwner};
use axum::Extension;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tungstenite::handshake::derive_accept_key;

/// `retry_after_ms` for a session or address that is at its limit of sockets.
const CONNECTION_LIMIT_RETRY_MS: u64 = 5_000;

/// Answers a handshake with 101 and hands the connection over to the gateway. Refuses a foreign origin (403), a session or
/// address over its limits (429), and a full or draining node (503); a request that is no handshake gets 426.
pub(super) async fn upgrade(
    State(state): State<AppState>,
    Extension(context): Extension<RequestContext>,
    mut request: Request,
) -> Response {
    let headers = request.headers();
    let checked = origin::check(headers, &state).and_then(|()| state.rate_limits.check(RequestKind::Socket, &context));
    if let Err(refusal) = checked {
        return Refused(refusal).into_response();
    }
    // HTTP/1.0 has no upgrade: hyper would write the 101 and close the connection.
    let can_upgrade = request.method() == Method::GET && request.version() == Version::HTTP_11;
    let Some(key) = websocket_key(headers).filter(|_| can_upgrade) else {
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_VERSION, "13")])
            .into_response();
    };
    let permit = match reserve_connection(&state, &context) {
        Ok(permit) => permit,
        Err(refusal) => return Refused(refusal).into_response(),
    };
    let dialect = if header_values(headers, &header::SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == SUBPROTOCOL) {
        Dialect::V1
    } else {
        Dialect::Plain
    };
    let accept = derive_accept_key(key.as_bytes());
    let Some(slot) = request.extensions_mut().remove::<HandoverSlot>() else {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    };

    let port = request.extensions().get::<ConnectInfo<SocketAddr>>().map_or(0, |ConnectInfo(peer)| peer.port());
    let handshake = state.gateway.has_subscriber().then(|| Box::new(handshake_for_workers(&request)));
    slot.put(Handover { dialect, permit, port, handshake, session: context.session });
    switching_protocols(&accept, dialect)
}

/// Where a handshake that was accepted waits until its response is written. One per connection, in the extensions of its requests.
#[derive(Clone, Default)]
pub(super) struct HandoverSlot(Arc<Mutex<Option<Handover>>>);

impl HandoverSlot {
    fn put(&self, handover: Handover) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(handover);
    }

    /// Takes the handshake that the connection's last request began, if it was one.
    pub(super) fn take(&self) -> Option<Handover> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// An accepted handshake, whose connection moves to the gateway.
pub(super) struct Handover {
    dialect: Dialect,
    permit: ConnectionPermit,
    port: u16,
    handshake: Option<Box<Handshake>>,
    session: Option<Session>,
}

impl Handover {
    /// Hands the stream over to the gateway. `early` holds the bytes that the client sent right after its request.
    pub(super) async fn complete(self, state: &AppState, stream: ClientStream, early: Bytes) {
        let Self { dialect, permit, port, handshake, session } = self;
        match into_raw_stream(stream) {
            Ok(raw) => {
                state.gateway.connect(raw, NewConnection { dialect, permit, early, port, handshake }).await;
                close_if_ended(state, session).await;
            }
            Err(error) => tracing::warn!(%error, "could not hand a socket over"),
        }
    }
}

/// Closes the sockets of a session that ended during the handshake, after its other sockets were closed. If the database does
/// not tell, the client is asked to come again.
async fn close_if_ended(state: &AppState, session: Option<Session>) {
    let Some(session) = session else { return };
    let code = match state.accounts.is_current(&session).await {
        Ok(true) => return,
        Ok(false) => CloseCode::SIGNED_OUT,
        Err(_) => CloseCode::IDLE,
    };
    state.gateway.close_owners([SocketOwner(session.token_hash)], code).await;
}

/// Reserves a place in the gateway for the session, visitor and address, before the handshake is answered.
fn reserve_connection(state: &AppState, context: &RequestContext) -> Result<ConnectionPermit, Refusal> {
    state.gateway.reserve_connection(context.client_addr, context.credentials()).map_err(|limit| match limit {
        LimitReached::Session | LimitReached::Address | LimitReached::Network => {
            Refusal::TooFast { retry_after_ms: CONNECTION_LIMIT_RETRY_MS }
        }
        LimitReached::Draining | LimitReached::Node | LimitReached::Handshakes => Refusal::Busy,
    })
}

/// The response 101, with the subprotocol if the client offered it.
fn switching_protocols(accept: &str, dialect: Dialect) -> Response {
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if dialect == Dialect::V1 {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response
}

/// The handshake as BusinessWorkers receive it, without this site's secrets: its cookies, and tokens among the subprotocols.
fn handshake_for_workers(request: &Request) -> Handshake {
    let path_and_query = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    let headers = request.headers().iter().filter_map(|(name, value)| {
        let value = match *name {
            header::COOKIE => without(value.as_bytes(), b';', is_own_pair)?.into(),
            header::SEC_WEBSOCKET_PROTOCOL => without(value.as_bytes(), b',', is_bearer_subprotocol)?.into(),
            _ => value.as_bytes().into(),
        };
        Some((name.as_str(), value))
    });
    Handshake::new(path_and_query, headers)
}

/// A header's list without the items that are secrets. `None`: nothing is left.
fn without(line: &[u8], separator: u8, is_secret: fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let items: Vec<_> = line.split(|byte| *byte == separator).collect();
    if !items.iter().any(|item| is_secret(item)) {
        return Some(line.to_vec());
    }
    let others = items.into_iter().filter(|item| !is_secret(item)).collect::<Vec<_>>().join(&separator).trim_ascii().to_vec();
    (!others.is_empty()).then_some(others)
}

fn is_own_pair(cookie: &[u8]) -> bool {
    is_own_cookie(cookie.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii())
}

/// Returns `Sec-WebSocket-Key`, if the headers are a valid WebSocket handshake of version 13.
fn websocket_key(headers: &HeaderMap) -> Option<&str> {
    let has = |name: &HeaderName, word: &str| header_values(headers, name).any(|value| value.eq_ignore_ascii_case(word));
    let handshake = has(&header::UPGRADE, "websocket") && has(&header::CONNECTION, "upgrade");
    let version = header_str(headers, &header::SEC_WEBSOCKET_VERSION) == Some("13");
    // 16 bytes in base64 are 22 characters and padding.
    let base64 = |key: &&str| {
        let letters = key.strip_suffix("==").unwrap_or_default();
        letters.len() == 22 && letters.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
    };
    header_str(headers, &header::SEC_WEBSOCKET_KEY).filter(|_| handshake && version).filter(base64)
}

/// The comma-separated values of a header that may be repeated.
fn header_values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}
