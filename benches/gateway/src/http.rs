//! HTTP/1.1 (RFC 9112), as far as a publisher and a handshake need it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

pub struct Message<'a> {
    /// Request or status line and fields, including the empty line.
    pub head: &'a str,
    pub body: &'a [u8],
    /// Bytes of the whole message.
    pub length: usize,
}

/// Returns the first message in `bytes`, or `None` if it is incomplete. The body has a Content-Length, is chunked, or is empty.
pub fn read(bytes: &[u8]) -> Option<Message<'_>> {
    let end = head_length(bytes)?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    if field(head, "transfer-encoding").is_some() {
        // No response here exceeds one chunk.
        let after = &bytes[end..];
        let stop = after.windows(5).position(|part| part == b"0\r\n\r\n")? + 5;
        return Some(Message { head, body: &after[..stop], length: end + stop });
    }
    let length = field(head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    Some(Message { head, body: bytes.get(end..end + length)?, length: end + length })
}

/// Returns the bytes of the head, including the empty line, or `None` if it is incomplete.
pub fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|part| part == b"\r\n\r\n").map(|at| at + 4)
}

/// Returns a field's value; names are case-insensitive.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.split_once(':').filter(|(field, _)| field.eq_ignore_ascii_case(name)))
        .map(|(_, value)| value.trim())
}

impl Message<'_> {
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

/// A response.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// A kept-alive connection that sends one request at a time and waits for the response.
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    received: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, received: vec![] }
    }

    /// Sends a request. If a kept-alive connection fails, since the server closed it when idle, retries on a new one.
    pub fn request(&mut self, request: &[u8]) -> io::Result<Answer> {
        let kept = self.stream.is_some();
        match self.try_request(request) {
            Err(_) if kept => {
                self.stream = None;
                self.try_request(request)
            }
            other => other,
        }
    }

    fn try_request(&mut self, request: &[u8]) -> io::Result<Answer> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(open(self.address)?),
        };
        stream.write_all(request)?;
        self.received.clear();
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = stream.read(&mut buffer)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.received.extend_from_slice(&buffer[..length]);
            if let Some(answer) = read(&self.received) {
                return Ok(Answer { status: answer.status(), head: answer.head.into(), body: answer.body.into() });
            }
        }
    }
}

pub fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Returns a POST request. `fields`: header lines, each with its CRLF.
pub fn post(path: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_when_it_is_complete() {
        let bytes = b"HTTP/1.1 201 Created\r\ncontent-length: 3\r\n\r\nabcHTTP";
        let message = read(bytes).unwrap();
        assert_eq!((message.status(), message.body, message.length), (201, &b"abc"[..], bytes.len() - 4));
        assert!(read(&bytes[..bytes.len() - 5]).is_none());
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        assert_eq!(read(chunked).unwrap().length, chunked.len());
    }
}
