//! Saying no when there is no room, even when the system gives out no more file descriptors: one is held back for that.

use std::fs::File;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The body is the refusal `busy`; nobody's language is known yet.
const BUSY_RESPONSE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 2\r\nconnection: close\r\n\
content-length: 79\r\n\r\n{\"code\":\"busy\",\"message\":\"The server is busy: please try again\",\"status\":false}";
/// Nobody is waited for longer while being refused.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(100);

pub struct ReservedFd(Option<File>);

impl ReservedFd {
    pub fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Takes one waiting connection with the descriptor held back, refuses it, and holds one back again.
    pub async fn refuse_next(&mut self, listener: &TcpListener) {
        self.0 = None;
        if let Ok(Ok((stream, _))) = tokio::time::timeout(REFUSAL_TIMEOUT, listener.accept()).await {
            refuse(stream).await;
        }
        self.0 = File::open("/dev/null").ok();
    }
}

pub async fn refuse(mut stream: TcpStream) {
    metrics::counter!("roomcast_connections_refused_total").increment(1);
    let respond = async {
        stream.write_all(BUSY_RESPONSE).await?;
        stream.shutdown().await?;
        // What is unread when it is closed would reset the connection, and the answer with it.
        stream.read(&mut [0; 2048]).await
    };
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, respond).await;
}
