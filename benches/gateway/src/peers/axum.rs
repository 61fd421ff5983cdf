//! The peer on axum and tungstenite, in the usual form: one task per connection, one broadcast channel per room. `--tuned`: 1 KiB
//! buffers instead of tungstenite's 128 KiB, the one setting that its manual recommends to change.

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use tokio::net::TcpSocket;
use tokio::sync::broadcast;

/// Messages per room that a slow task may be behind before it loses some.
const CAPACITY: usize = 1024;
const BUFFER: usize = 1024;

#[derive(Clone)]
struct Rooms {
    channels: Arc<RwLock<HashMap<String, broadcast::Sender<Utf8Bytes>>>>,
    tuned: bool,
}

impl Rooms {
    fn channel(&self, room: &str) -> broadcast::Sender<Utf8Bytes> {
        if let Some(channel) = self.channels.read().expect("no panic").get(room) {
            return channel.clone();
        }
        let mut channels = self.channels.write().expect("no panic");
        channels.entry(room.into()).or_insert_with(|| broadcast::channel(CAPACITY).0).clone()
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    gateway_bench::files::raise_limit();
    let rooms = Rooms { channels: Arc::default(), tuned: std::env::args().any(|argument| argument == "--tuned") };
    let router = Router::new().route("/ws", get(open)).route("/publish", post(publish)).with_state(rooms);
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse().expect("an address"))?;
    // The longest backlog that Linux grants by default: all viewers may connect at once.
    let listener = socket.listen(4096)?;
    println!("listening on {}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // Pushes are small and urgent.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await
}

async fn publish(State(rooms): State<Rooms>, Query(query): Query<HashMap<String, String>>, body: String) -> &'static str {
    // A room without viewers is not an error.
    let _ = rooms.channel(query.get("room").map_or("", String::as_str)).send(body.into());
    "ok"
}

async fn open(State(rooms): State<Rooms>, Query(query): Query<HashMap<String, String>>, upgrade: WebSocketUpgrade) -> Response {
    let receiver = rooms.channel(query.get("room").map_or("", String::as_str)).subscribe();
    let upgrade = if rooms.tuned { upgrade.read_buffer_size(BUFFER).write_buffer_size(BUFFER) } else { upgrade };
    upgrade.on_upgrade(move |socket| view(socket, receiver))
}

async fn view(mut socket: WebSocket, mut receiver: broadcast::Receiver<Utf8Bytes>) {
    loop {
        tokio::select! {
            pushed = receiver.recv() => match pushed {
                Ok(text) => if socket.send(Message::Text(text)).await.is_err() { return },
                // The client counts skipped messages as lost.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
            received = socket.recv() => if !matches!(received, Some(Ok(_))) { return },
        }
    }
}
