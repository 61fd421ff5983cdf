//! Refuses connections with a 503, also when the process has no file descriptors left: one is reserved for that.

use std::fs::File;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The whole response. Its body is the refusal `busy`, in English, as the request is not read.
const BUSY_RESPONSE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 2\r\nconnection: close\r\n\
content-length: 79\r\n\r\n{\"code\":\"busy\",\"message\":\"The server is busy: please try again\",\"status\":false}";
/// Longest time spent on refusing one connection.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(100);

/// A file descriptor that is kept open, to be given up for an accept that would otherwise fail.
pub(super) struct ReservedFd(Option<File>);

impl ReservedFd {
    /// Reserves a descriptor if there is one.
    pub(super) fn new() -> Self {
        Self(open_placeholder())
    }

    /// Accepts the next connection in the backlog with the reserved descriptor, refuses it, and reserves one again.
    pub(super) async fn refuse_next(&mut self, listener: &TcpListener) {
        self.0 = None;
        if let Ok(Ok((stream, _))) = tokio::time::timeout(REFUSAL_TIMEOUT, listener.accept()).await {
            metrics::counter!("roomcast_connections_refused_total", "limit" => "files").increment(1);
            refuse(stream).await;
        }
        self.0 = open_placeholder();
    }
}

fn open_placeholder() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Writes a 503 and closes the connection, within 100 ms.
pub(super) async fn refuse(mut stream: TcpStream) {
    let respond = async {
        stream.write_all(BUSY_RESPONSE).await?;
        stream.shutdown().await?;
        // A close with unread input would reset the connection, and the client could lose the response.
        stream.read(&mut [0; 2048]).await
    };
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, respond).await;
}
