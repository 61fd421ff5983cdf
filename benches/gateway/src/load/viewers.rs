//! Thousands of viewers on one thread: they connect, join, count messages and leave. One read per readiness event, so that the
//! client costs less than the server.

mod page;
mod traffic;

use crate::arguments::Arguments;
use crate::changes::Changes;
use crate::clock;
use crate::complain::complain;
use crate::joiner::{Extras, Joined, Joiner};
use crate::tally::Tally;
use crate::target::{Kind, Target};
use gateway_bench::frame;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use page::Page;
use socket2::{Domain, Socket, Type};
use std::io::{self, Write};
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
    /// The pages behind the viewers; empty in scenarios that do without.
    pages: Vec<Page>,
    /// Changes since the scenario last took them.
    pub news: Vec<News>,
    pub joined: usize,
    /// Connections that failed or that the server closed.
    pub failures: u64,
    /// Binds of open connections, because a message was missing.
    pub rebinds: u64,
    pub tally: Tally,
    /// The changes of a room that the scenario waits for.
    pub changes: Option<Changes>,
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
            pages: vec![],
            news: vec![],
            joined: 0,
            failures: 0,
            rebinds: 0,
            tally: Tally::default(),
            changes: None,
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
        match socket.connect(&self.target.viewer_addr(n).into()) {
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
        for Joined { viewer: n, visit, succeeded, answer } in joined {
            let viewer = &self.list[n];
            if viewer.visit != visit || viewer.stage != Stage::Joining {
                continue;
            }
            let answer = answer.filter(|_| !self.pages.is_empty());
            if !succeeded {
                self.mark_closed(n);
            } else if answer.is_none_or(|answer| self.apply(n, answer, clock::now())) {
                self.mark_joined(n);
            }
        }
    }
}
