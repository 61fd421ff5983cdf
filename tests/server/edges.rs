//! The edge of the server: HTTP connections and their shares, proxies and their headers, origins, limits of cheap requests.

mod connections;
mod headers;
mod requests;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Opens a TCP connection from one of the machine's loopback addresses.
async fn connect_from(address: &str, server: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(format!("{address}:0").parse().unwrap())?;
    socket.connect(server.parse().unwrap()).await
}

/// Sends a request without a body, with these header lines, and returns the head of the response; empty if there is none.
async fn request(stream: &mut TcpStream, target: &str, lines: &str) -> String {
    let sent = stream.write_all(format!("{target} HTTP/1.1\r\nhost: chat.example\r\n{lines}\r\n").as_bytes()).await;
    let mut head = Vec::new();
    while sent.is_ok() && !head.ends_with(b"\r\n\r\n") {
        match tokio::time::timeout(crate::support::DEADLINE, stream.read_u8()).await {
            Ok(Ok(byte)) => head.push(byte),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}
