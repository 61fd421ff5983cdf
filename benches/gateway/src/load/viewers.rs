//! Thousands of viewers on one thread: they connect, join, count messages and leave. One read per readiness event, so that the
//! client costs less than the server.

use crate::arguments::Arguments;
use crate::clock;
use crate::complain::complain;
use crate::inner;
use crate::joiner::{Arrival, Extras, Joiner};
use crate::message::Message;
use crate::tally::Tally;
use crate::target::{Kind, Target};
use gateway_bench::{frame, http};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, Socket, Type};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const WAKE: Token = Token(usize::MAX);
/// Viewers per local address, which has some 28,000 ports.
const PER_ADDRESS: usize = 20_000;
/// Sleep after each poll. On loopback nearly every write would wake a client blocked in epoll, at the server's expense: up to
/// 1 us of 9. Latencies include up to this sleep.
const NAP: Duration = Duration::from_micros(200);
/// Receive buffer of a stuck viewer in bytes; the kernel raises it to its minimum.
const STUCK_BUFFER: usize = 2_048;
/// Segment size of a stuck viewer in bytes. With loopback's 64 KiB, the server's kernel would buffer more than 1 MB before a
/// write blocks; with Ethernet's, less than 100 kB, as on a real network.
const STUCK_SEGMENT: u32 = 1_448;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Away,
    Connecting,
    Upgrading,
    /// The handshake is done; the client id (Roomcast) or the connect packet (Socket.IO) is still to come.
    Introducing,
    /// The joiner has the client id.
    Joining,
    Joined,
    /// The close frame is sent and not yet answered.
    Leaving,
}

struct Viewer {
    stream: Option<TcpStream>,
    stage: Stage,
    /// Number of its connection, to recognise results for an earlier one.
    visit: u32,
    room: u32,
    /// Connection id of the inner protocol, once joined.
    connection: u32,
    /// Position in its room's order, in this epoch.
    position: u32,
    /// Start of an incomplete frame.
    partial: Vec<u8>,
    /// Never reads once it is joined.
    stuck: bool,
}

pub enum News {
    Joined(usize),
    /// The server answered its close frame.
    Left(usize),
    /// It could not join, or the server closed its connection.
    Lost(usize),
}

pub struct Viewers {
    target: Arc<Target>,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    list: Vec<Viewer>,
    joiner: Option<Joiner>,
    /// Changes since the scenario last took them.
    pub news: Vec<News>,
    pub joined: usize,
    /// Connections that failed or that the server closed.
    pub failures: u64,
    pub tally: Tally,
}

impl Viewers {
    pub fn new(arguments: &Arguments, target: &Arc<Target>, extras: Extras) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let joiner = matches!(target.kind, Kind::Roomcast | Kind::Chat)
            .then(|| Joiner::start(target.clone(), arguments.batch, extras, waker));
        let list = (0..arguments.viewers).map(|n| Viewer {
            stream: None,
            stage: Stage::Away,
            visit: 0,
            room: (n % arguments.rooms) as u32,
            connection: 0,
            position: 0,
            partial: vec![],
            stuck: false,
        });
        Ok(Self {
            target: target.clone(),
            poll,
            events: Events::with_capacity(1024),
            buffer: vec![0; 256 * 1024],
            list: list.collect(),
            joiner,
            news: vec![],
            joined: 0,
            failures: 0,
            tally: Tally::default(),
        })
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns a viewer's connection id of the inner protocol.
    pub fn connection(&self, n: usize) -> u32 {
        self.list[n].connection
    }

    /// Marks one viewer in `every` as stuck from its next connection on.
    pub fn set_stuck(&mut self, every: usize) {
        for viewer in self.list.iter_mut().step_by(every) {
            viewer.stuck = true;
        }
    }

    /// Starts a new tally that counts only messages of `epoch`.
    pub fn begin(&mut self, epoch: u32, rooms: usize) {
        self.tally = Tally::new(epoch, rooms);
        for viewer in &mut self.list {
            viewer.position = 0;
            if viewer.stage == Stage::Joined && !viewer.stuck {
                self.tally.readers[viewer.room as usize] += 1;
            }
        }
    }

    /// Connects and joins all viewers, with at most `connecting` in progress at the same time.
    ///
    /// # Errors
    /// Not all viewers joined within 120 s, or there were more than two failures per viewer.
    pub fn connect_all(&mut self, connecting: usize) -> Result<(), String> {
        self.news.clear();
        let deadline = clock::now() + 120 * clock::SECOND;
        let mut away: Vec<usize> = (0..self.list.len()).filter(|n| self.list[*n].stage == Stage::Away).rev().collect();
        let mut underway = 0;
        let most_failures = self.failures + 2 * self.list.len() as u64;
        while self.joined < self.list.len() {
            while underway < connecting
                && let Some(n) = away.pop()
            {
                self.open(n);
                underway += 1;
            }
            self.poll_once(Duration::from_millis(100));
            for news in std::mem::take(&mut self.news) {
                // A joined viewer that was lost was not counted as in progress.
                underway = underway.saturating_sub(1);
                if let News::Left(n) | News::Lost(n) = news {
                    away.push(n);
                }
            }
            if clock::now() > deadline || self.failures > most_failures {
                return Err(format!("only {} of {} viewers joined, {} failures", self.joined, self.list.len(), self.failures));
            }
        }
        Ok(())
    }

    /// Closes all connections at once, without a close frame.
    pub fn disconnect_all(&mut self) {
        for viewer in &mut self.list {
            viewer.stream = None;
            viewer.stage = Stage::Away;
            viewer.visit += 1;
            viewer.partial = vec![];
        }
        self.joined = 0;
    }

    pub fn open(&mut self, n: usize) {
        let stuck = self.list[n].stuck;
        match self.connect(n, stuck) {
            Ok(mut stream) => {
                // On loopback the connection is mostly established already.
                let greeted = stream.write(&self.target.handshake(n, self.list[n].room as usize)).is_ok();
                let (stage, interest) =
                    if greeted { (Stage::Upgrading, Interest::READABLE) } else { (Stage::Connecting, Interest::WRITABLE) };
                self.poll.registry().register(&mut stream, Token(n), interest).expect("a fresh descriptor");
                self.list[n].stream = Some(stream);
                self.list[n].stage = stage;
            }
            Err(error) => {
                complain("connect", &error.to_string());
                self.mark_closed(n);
            }
        }
    }

    fn connect(&self, n: usize, stuck: bool) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // Close with a reset, which leaves no port in TIME_WAIT.
        socket.set_linger(Some(Duration::ZERO))?;
        socket.set_tcp_nodelay(true)?;
        if stuck {
            socket.set_recv_buffer_size(STUCK_BUFFER)?;
            socket.set_tcp_mss(STUCK_SEGMENT)?;
        }
        if self.list.len() > PER_ADDRESS {
            let from = SocketAddr::from(([127, 0, 0, 2 + (n / PER_ADDRESS) as u8], 0));
            socket.bind(&from.into())?;
        }
        match socket.connect(&self.target.addr.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }

    /// Leaves as a browser does: sends a close frame and waits for the answer.
    pub fn leave(&mut self, n: usize) {
        self.joined -= usize::from(self.list[n].stage == Stage::Joined);
        self.list[n].stage = Stage::Leaving;
        self.write_frame(n, frame::CLOSE, &1000u16.to_be_bytes());
    }

    /// Reads from all readable connections, after waiting at most `at_most`.
    pub fn poll_once(&mut self, at_most: Duration) {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let mut buffer = std::mem::take(&mut self.buffer);
        if let Err(error) = self.poll.poll(&mut events, Some(at_most)) {
            assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{error}");
        }
        for event in &events {
            match event.token() {
                WAKE => self.drain_joined(),
                Token(n) if self.list[n].stage == Stage::Connecting => self.send_handshake(n),
                Token(n) => self.read(n, &mut buffer, event.is_read_closed()),
            }
        }
        self.buffer = buffer;
        self.events = events;
        if !self.events.is_empty() {
            std::thread::sleep(NAP);
        }
    }

    fn send_handshake(&mut self, n: usize) {
        let handshake = self.target.handshake(n, self.list[n].room as usize);
        let viewer = &mut self.list[n];
        let Some(stream) = &mut viewer.stream else { return };
        if stream.write(&handshake).is_ok() && self.poll.registry().reregister(stream, Token(n), Interest::READABLE).is_ok() {
            viewer.stage = Stage::Upgrading;
        } else {
            self.mark_closed(n);
        }
    }

    fn drain_joined(&mut self) {
        let Some(joiner) = &self.joiner else { return };
        let joined: Vec<_> = joiner.joined.try_iter().collect();
        for one in joined {
            let viewer = &self.list[one.viewer];
            if viewer.visit == one.visit && viewer.stage == Stage::Joining {
                if one.succeeded { self.mark_joined(one.viewer) } else { self.mark_closed(one.viewer) }
            }
        }
    }

    fn read(&mut self, n: usize, buffer: &mut [u8], has_ended: bool) {
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
        let viewer = &mut self.list[n];
        if let Some(message) = Message::find(payload) {
            return self.tally.see(viewer.room, &mut viewer.position, message, now);
        }
        match self.target.kind {
            Kind::Roomcast | Kind::Chat if viewer.stage == Stage::Introducing => {
                if let Some(client_id) = client_id(payload) {
                    viewer.stage = Stage::Joining;
                    let arrival = Arrival { viewer: n, visit: viewer.visit, room: viewer.room as usize, client_id };
                    self.joiner.as_ref().expect("roomcast has one").join(arrival);
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

    fn mark_joined(&mut self, n: usize) {
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

    fn mark_closed(&mut self, n: usize) {
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
    fn write_frame(&mut self, n: usize, opcode: u8, payload: &[u8]) {
        if let Some(stream) = &mut self.list[n].stream {
            let _ = stream.write(&frame::from_client(opcode, payload));
        }
    }
}

fn client_id(payload: &[u8]) -> Option<String> {
    let init: serde_json::Value = serde_json::from_slice(payload).ok()?;
    (init["type"] == "init").then(|| init["client_id"].as_str().map(Into::into))?
}
