//! An echo server over the gateway's own frame decoder and encoder (`FrameDecoder`, `Frame`): Autobahn's cases, which
//! `tools/conformance.sh` runs, expect an answer, which Roomcast's socket does not give. This server is only for those tests.

use roomcast::server::gateway::{Decoded, Frame, FrameDecoder, InboundLimits};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use tungstenite::handshake::derive_accept_key;

/// The largest of the cases' messages; they may come as fast as they can.
const LIMITS: InboundLimits = InboundLimits { message_bytes: 16 * 1024 * 1024, frames_per_second: usize::MAX };
/// What a shard reads at once, so that messages come in the pieces they come in there.
const SCRATCH_BYTES: usize = 8 * 1024;
/// As long as a shard waits for the peer's end.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || converse(stream).unwrap_or_else(|error| eprintln!("{error}")));
    }
    Ok(())
}

fn converse(mut stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(SCRATCH_BYTES, stream.try_clone()?);
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nServer: roomcast\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key(&mut reader)?.as_bytes())
    )?;
    let (mut incoming, began) = (FrameDecoder::new(LIMITS), Instant::now());
    let mut is_open = true;
    while is_open {
        let bytes = reader.fill_buf()?;
        let count = bytes.len();
        if count == 0 {
            return Ok(());
        }
        let mut answers = Vec::new();
        let fed = incoming.feed(bytes, began.elapsed().as_millis() as u64, |event| match event {
            Decoded::Message { text: true, payload } => answers.push(Frame::text(&payload)),
            Decoded::Message { text: false, payload } => answers.push(Frame::binary(&payload)),
            Decoded::Ping(payload) => answers.push(Frame::pong(&payload)),
            Decoded::Pong => {}
            Decoded::Close(code) => {
                is_open = false;
                answers.push(code.map_or_else(Frame::close_without_code, |code| Frame::close(code, "")));
            }
        });
        reader.consume(count);
        if let Err(code) = fed {
            is_open = false;
            answers.push(Frame::close(code, code.reason()));
        }
        for answer in answers {
            stream.write_all(&answer.bytes)?;
        }
    }
    // Closed whole while bytes are unread, the close frame could be lost with the connection.
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(CLOSE_WITHIN))?;
    while reader.read(&mut [0; SCRATCH_BYTES]).is_ok_and(|count| count > 0) {}
    Ok(())
}

/// The handshake's key; the rest of the request is not looked at.
fn key(reader: &mut impl BufRead) -> io::Result<String> {
    let mut key = None;
    for line in reader.lines() {
        let line = line?;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("sec-websocket-key") => key = Some(value.trim().to_owned()),
            None if line.is_empty() => break,
            _ => {}
        }
    }
    key.ok_or_else(|| io::Error::other("no WebSocket handshake"))
}
