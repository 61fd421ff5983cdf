//! The frames of a viewer: reading, counting, joining, closing.

use super::{News, Stage, Viewers};
use crate::clock;
use crate::complain::complain;
use crate::inner;
use crate::message::Message;
use crate::target::Kind;
use gateway_bench::{frame, http};
use std::io::{self, Read, Write};

/// Start of the push that tells a connection of skipped pushes.
const GAP: &[u8] = br#"{"type":"gap""#;

impl Viewers {
    pub(super) fn read(&mut self, n: usize, buffer: &mut [u8], has_ended: bool) {
        loop {
            let viewer = &mut self.list[n];
            let Some(stream) = &mut viewer.stream else { return };
            let kept = viewer.partial.len();
            let length = match stream.read(&mut buffer[kept..]) {
                Ok(length) if length > 0 => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => return self.mark_closed(n),
            };
            buffer[..kept].copy_from_slice(&viewer.partial);
            viewer.partial.clear();
            let filled = kept + length;
            let used = self.decode(n, &buffer[..filled]);
            self.list[n].partial.extend_from_slice(&buffer[used..filled]);
            // A short read has drained the socket (epoll(7)).
            if filled < buffer.len() && !has_ended {
                return;
            }
        }
    }

    /// Handles all complete frames and returns the bytes consumed; the rest is the start of a frame.
    fn decode(&mut self, n: usize, bytes: &[u8]) -> usize {
        let mut used = 0;
        if self.list[n].stage == Stage::Upgrading {
            let Some(length) = http::head_length(bytes) else { return 0 };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                complain("handshake", &String::from_utf8_lossy(&bytes[..length]));
                self.mark_closed(n);
                return bytes.len();
            }
            used = length;
            match self.target.kind {
                Kind::Plain | Kind::Nchan => self.mark_joined(n),
                Kind::Roomcast | Kind::Chat | Kind::Php | Kind::SocketIo => self.list[n].stage = Stage::Introducing,
            }
        }
        let now = clock::now();
        while let Some(frame) = frame::read(&bytes[used..]) {
            used += frame.length;
            match frame.opcode {
                frame::PING => self.write_frame(n, frame::PONG, frame.payload),
                frame::CLOSE => {
                    self.mark_closed(n);
                    return bytes.len();
                }
                _ => self.handle_payload(n, frame.payload, now),
            }
        }
        used
    }

    fn handle_payload(&mut self, n: usize, payload: &[u8], now: u64) {
        if let Some(message) = Message::find(payload) {
            if !self.pages.is_empty() {
                return self.receive(n, payload, message, now);
            }
            let viewer = &mut self.list[n];
            return self.tally.see((viewer.room, self.target.is_remote(n)), &mut viewer.position, message, now);
        }
        if let Some(changes) = &mut self.changes
            && changes.see(payload, now)
        {
            return;
        }
        if !self.pages.is_empty() && payload.starts_with(GAP) {
            return self.note_gap(n);
        }
        let viewer = &mut self.list[n];
        match self.target.kind {
            Kind::Roomcast | Kind::Chat if viewer.stage == Stage::Introducing => {
                if let Some(client_id) = client_id(payload) {
                    self.arrive(n, client_id);
                }
            }
            Kind::Php if viewer.stage == Stage::Introducing => {
                if let Some(connection) = client_id(payload).as_deref().and_then(inner::connection) {
                    viewer.connection = connection;
                    self.mark_joined(n);
                }
            }
            // Engine.IO 4: open, then Socket.IO's connect; a ping needs an answer.
            Kind::SocketIo => match payload {
                [b'0', ..] => self.write_frame(n, frame::TEXT, b"40"),
                [b'4', b'0', ..] => self.mark_joined(n),
                b"2" => self.write_frame(n, frame::TEXT, b"3"),
                _ => {}
            },
            _ => {}
        }
    }

    pub(super) fn mark_joined(&mut self, n: usize) {
        let viewer = &mut self.list[n];
        viewer.stage = Stage::Joined;
        if viewer.stuck
            && let Some(stream) = &mut viewer.stream
        {
            self.poll.registry().deregister(stream).expect("it was registered");
        }
        self.joined += 1;
        self.news.push(News::Joined(n));
    }

    pub(super) fn mark_closed(&mut self, n: usize) {
        let viewer = &mut self.list[n];
        if viewer.stage == Stage::Leaving {
            self.news.push(News::Left(n));
        } else {
            self.failures += 1;
            self.news.push(News::Lost(n));
        }
        self.joined -= usize::from(viewer.stage == Stage::Joined);
        viewer.stream = None;
        viewer.stage = Stage::Away;
        viewer.visit += 1;
        viewer.partial.clear();
    }

    /// Writes a short frame. A failure is ignored: the next read reports it.
    pub(super) fn write_frame(&mut self, n: usize, opcode: u8, payload: &[u8]) {
        if let Some(stream) = &mut self.list[n].stream {
            let _ = stream.write(&frame::from_client(opcode, payload));
        }
    }
}

fn client_id(payload: &[u8]) -> Option<String> {
    let init: serde_json::Value = serde_json::from_slice(payload).ok()?;
    (init["type"] == "init").then(|| init["client_id"].as_str().map(Into::into))?
}
