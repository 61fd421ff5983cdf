//! Thousands of viewers on one thread: they come, are joined, count what they see, and leave. One read for each time the
//! kernel says that there is something, so that this costs less than what sends it.

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
/// One local address has some 28,000 ports to call from.
const PER_ADDRESS: usize = 20_000;
/// After a look at who has something. A client asleep in epoll is woken by nearly every write on loopback, at the server's
/// expense: up to 1 us of 9. Latencies hold up to this much of it.
const NAP: Duration = Duration::from_micros(200);
/// A stuck viewer's receive buffer in bytes; the kernel makes of it the least it has.
const STUCK_BUFFER: usize = 2_048;
/// Bytes of its segments. With loopback's 64 KiB the server's kernel would hold over a megabyte for it before the server
/// noticed; with an Ethernet's it is less than a hundred kilobytes, as in life.
const STUCK_SEGMENT: u32 = 1_448;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Away,
    Connecting,
    Upgrading,
    /// The handshake is done; the server has still to say who we are (roomcast) or that we are in (Socket.IO).
    Introducing,
    /// The joiner is at it.
    Joining,
    Joined,
    /// Goodbye is said and not yet answered.
    Leaving,
}

struct Viewer {
    stream: Option<TcpStream>,
    stage: Stage,
    /// Counts its connections, so that what was meant for an earlier one is known.
    visit: u32,
    room: u32,
    /// PHP's number for it, once it is in.
    connection: u32,
    /// Messages of its room seen in this epoch.
    position: u32,
    /// The beginning of a frame whose end has not come.
    partial: Vec<u8>,
    /// Never reads once it is joined.
    stuck: bool,
}

pub enum News {
    Joined(usize),
    /// It said goodbye and had its answer.
    Left(usize),
    /// It never got in, or the server closed it.
    Lost(usize),
}

pub struct Viewers {
    target: Arc<Target>,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    list: Vec<Viewer>,
    joiner: Option<Joiner>,
    /// What happened since the scenario last looked.
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

    /// By which the inner protocol names it.
    pub fn connection(&self, n: usize) -> u32 {
        self.list[n].connection
    }

    /// One in `every` will be stuck from its next connection on.
    pub fn set_stuck(&mut self, every: usize) {
        for viewer in self.list.iter_mut().step_by(every) {
            viewer.stuck = true;
        }
    }

    /// Counts anew. Only what belongs to `epoch` is counted from here on.
    pub fn begin(&mut self, epoch: u32, rooms: usize) {
        self.tally = Tally::new(epoch, rooms);
        for viewer in &mut self.list {
            viewer.position = 0;
            if viewer.stage == Stage::Joined && !viewer.stuck {
                self.tally.readers[viewer.room as usize] += 1;
            }
        }
    }

    /// Everybody is in when this returns, at most `connecting` of them on the way at any time.
    pub fn arrive(&mut self, connecting: usize) -> Result<(), String> {
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
            self.turn(Duration::from_millis(100));
            for news in std::mem::take(&mut self.news) {
                // Who was in already and is lost was not on the way.
                underway = underway.saturating_sub(1);
                if let News::Left(n) | News::Lost(n) = news {
                    away.push(n);
                }
            }
            if clock::now() > deadline || self.failures > most_failures {
                return Err(format!("only {} of {} viewers came in, {} failures", self.joined, self.list.len(), self.failures));
            }
        }
        Ok(())
    }

    /// Without a word, all at once.
    pub fn drop_all(&mut self) {
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
                // Loopback is mostly connected by now.
                let greeted = stream.write(&self.target.handshake(n, self.list[n].room as usize)).is_ok();
                let (stage, interest) =
                    if greeted { (Stage::Upgrading, Interest::READABLE) } else { (Stage::Connecting, Interest::WRITABLE) };
                self.poll.registry().register(&mut stream, Token(n), interest).expect("a fresh descriptor");
                self.list[n].stream = Some(stream);
                self.list[n].stage = stage;
            }
            Err(error) => {
                complain("connect", &error.to_string());
                self.gone(n);
            }
        }
    }

    fn connect(&self, n: usize, stuck: bool) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // Closing leaves no port in TIME_WAIT.
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

    /// As a browser leaves: a close frame, its answer, the end.
    pub fn leave(&mut self, n: usize) {
        self.joined -= usize::from(self.list[n].stage == Stage::Joined);
        self.list[n].stage = Stage::Leaving;
        self.say(n, frame::CLOSE, &1000u16.to_be_bytes());
    }

    /// Hears everyone who has something to hear, waiting `at_most` for it.
    pub fn turn(&mut self, at_most: Duration) {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let mut buffer = std::mem::take(&mut self.buffer);
        if let Err(error) = self.poll.poll(&mut events, Some(at_most)) {
            assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{error}");
        }
        for event in &events {
            match event.token() {
                WAKE => self.take_joined(),
                Token(n) if self.list[n].stage == Stage::Connecting => self.greet(n),
                Token(n) => self.hear(n, &mut buffer, event.is_read_closed()),
            }
        }
        self.buffer = buffer;
        self.events = events;
        if !self.events.is_empty() {
            std::thread::sleep(NAP);
        }
    }

    fn greet(&mut self, n: usize) {
        let words = self.target.handshake(n, self.list[n].room as usize);
        let viewer = &mut self.list[n];
        let Some(stream) = &mut viewer.stream else { return };
        if stream.write(&words).is_ok() && self.poll.registry().reregister(stream, Token(n), Interest::READABLE).is_ok() {
            viewer.stage = Stage::Upgrading;
        } else {
            self.gone(n);
        }
    }

    fn take_joined(&mut self) {
        let Some(joiner) = &self.joiner else { return };
        let joined: Vec<_> = joiner.joined.try_iter().collect();
        for one in joined {
            let viewer = &self.list[one.viewer];
            if viewer.visit == one.visit && viewer.stage == Stage::Joining {
                if one.worked { self.is_in(one.viewer) } else { self.gone(one.viewer) }
            }
        }
    }

    fn hear(&mut self, n: usize, buffer: &mut [u8], has_ended: bool) {
        loop {
            let viewer = &mut self.list[n];
            let Some(stream) = &mut viewer.stream else { return };
            let kept = viewer.partial.len();
            let length = match stream.read(&mut buffer[kept..]) {
                Ok(length) if length > 0 => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => return self.gone(n),
            };
            buffer[..kept].copy_from_slice(&viewer.partial);
            viewer.partial.clear();
            let filled = kept + length;
            let used = self.digest(n, &buffer[..filled]);
            self.list[n].partial.extend_from_slice(&buffer[used..filled]);
            // A read that did not fill the buffer has emptied the socket (epoll(7)).
            if filled < buffer.len() && !has_ended {
                return;
            }
        }
    }

    /// How many bytes were understood. What is left is the beginning of something.
    fn digest(&mut self, n: usize, bytes: &[u8]) -> usize {
        let mut used = 0;
        if self.list[n].stage == Stage::Upgrading {
            let Some(length) = http::head_length(bytes) else { return 0 };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                complain("handshake", &String::from_utf8_lossy(&bytes[..length]));
                self.gone(n);
                return bytes.len();
            }
            used = length;
            match self.target.kind {
                Kind::Plain | Kind::Nchan => self.is_in(n),
                Kind::Roomcast | Kind::Chat | Kind::Php | Kind::SocketIo => self.list[n].stage = Stage::Introducing,
            }
        }
        let now = clock::now();
        while let Some(frame) = frame::read(&bytes[used..]) {
            used += frame.length;
            match frame.opcode {
                frame::PING => self.say(n, frame::PONG, frame.payload),
                frame::CLOSE => {
                    self.gone(n);
                    return bytes.len();
                }
                _ => self.told(n, frame.payload, now),
            }
        }
        used
    }

    fn told(&mut self, n: usize, payload: &[u8], now: u64) {
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
                    self.is_in(n);
                }
            }
            // Engine.IO 4: open, then Socket.IO's own connect; a ping is answered.
            Kind::SocketIo => match payload {
                [b'0', ..] => self.say(n, frame::TEXT, b"40"),
                [b'4', b'0', ..] => self.is_in(n),
                b"2" => self.say(n, frame::TEXT, b"3"),
                _ => {}
            },
            _ => {}
        }
    }

    fn is_in(&mut self, n: usize) {
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

    fn gone(&mut self, n: usize) {
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

    /// Short words into a socket that has room; if it has none, it is as good as gone and shows so when read.
    fn say(&mut self, n: usize, opcode: u8, payload: &[u8]) {
        if let Some(stream) = &mut self.list[n].stream {
            let _ = stream.write(&frame::from_client(opcode, payload));
        }
    }
}

fn client_id(payload: &[u8]) -> Option<String> {
    let init: serde_json::Value = serde_json::from_slice(payload).ok()?;
    (init["type"] == "init").then(|| init["client_id"].as_str().map(Into::into))?
}
