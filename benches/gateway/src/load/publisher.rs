//! Publishes at a set rate whatever the server does, with a bounded number in flight. A message that has to wait for a free
//! connection stays due when it was due: lateness counts, as it would for the people who wait for it.

use crate::clock;
use crate::complain::complain;
use crate::message::Message;
use crate::target::Target;
use gateway_bench::http;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;

#[derive(Clone, Copy)]
pub struct Plan {
    pub epoch: u32,
    pub rooms: usize,
    /// Messages a second; the rooms take turns.
    pub rate: f64,
    pub seconds: f64,
    pub size: usize,
    /// When the first message is due.
    pub begin: u64,
    /// This long after the last one was due, what is not out stays unsent. In ns.
    pub give_up_after: u64,
}

impl Plan {
    pub fn messages(&self) -> u64 {
        (self.rate * self.seconds).round().max(1.0) as u64
    }

    /// When the last second is over.
    pub fn end(&self) -> u64 {
        self.begin + (self.seconds * 1e9) as u64
    }
}

/// By room and sequence number: when it was sent and when answered, in ns. `u64::MAX`: never answered.
#[derive(Default)]
pub struct Published {
    pub sent: Vec<Vec<u64>>,
    pub answered: Vec<Vec<u64>>,
    /// Refused, or the connection broke.
    pub failed: u64,
    /// Never sent, since time was up.
    pub unsent: u64,
}

struct Connection {
    stream: TcpStream,
    said: Vec<u8>,
    /// Room and sequence number of what is in flight.
    busy: Option<(usize, usize)>,
}

pub struct Publisher {
    target: Arc<Target>,
    in_flight: usize,
}

impl Publisher {
    pub fn new(target: &Arc<Target>, in_flight: usize) -> Self {
        Self { target: target.clone(), in_flight }
    }

    pub fn run(&self, plan: &Plan) -> io::Result<Published> {
        // New ones each time: servers close what is silent for long.
        let mut connections = (0..self.in_flight).map(|_| self.connect()).collect::<io::Result<Vec<_>>>()?;
        // The one used last is used next; so at a low rate it is one connection, as it would be.
        let mut idle: Vec<usize> = (0..self.in_flight).rev().collect();
        let mut published =
            Published { sent: vec![vec![]; plan.rooms], answered: vec![vec![]; plan.rooms], ..Published::default() };
        let total = plan.messages();
        let mut next = 0;
        let due = |n: u64| plan.begin + (n as f64 / plan.rate * 1e9) as u64;
        while next < total || idle.len() < self.in_flight {
            let now = clock::now();
            if now > plan.end() + plan.give_up_after {
                published.unsent = total - next;
                break;
            }
            while next < total
                && due(next) <= clock::now()
                && let Some(at) = idle.pop()
            {
                let room = (next % plan.rooms as u64) as usize;
                let seq = published.sent[room].len();
                let message = Message { epoch: plan.epoch, room: room as u32, seq: seq as u32, due: due(next) };
                let request = self.target.publish(at, room, &message.write(plan.size));
                published.sent[room].push(clock::now());
                published.answered[room].push(u64::MAX);
                next += 1;
                if connections[at].stream.write_all(&request).is_ok() {
                    connections[at].busy = Some((room, seq));
                } else {
                    published.failed += 1;
                    connections[at] = self.connect()?;
                    idle.push(at);
                }
            }
            let wait = if next < total && !idle.is_empty() { due(next).saturating_sub(clock::now()) } else { 100 * clock::MS };
            for at in ready(&connections, wait)? {
                match connections[at].hear(&self.target) {
                    Heard::Nothing => continue,
                    Heard::Accepted((room, seq)) => published.answered[room][seq] = clock::now(),
                    Heard::Refused => published.failed += 1,
                    Heard::Ended => {
                        let was_busy = connections[at].busy.is_some();
                        published.failed += u64::from(was_busy);
                        connections[at] = self.connect()?;
                        if !was_busy {
                            continue;
                        }
                    }
                }
                idle.push(at);
            }
        }
        Ok(published)
    }

    fn connect(&self) -> io::Result<Connection> {
        let stream = http::open(self.target.addr)?;
        stream.set_nonblocking(true)?;
        Ok(Connection { stream, said: vec![], busy: None })
    }
}

enum Heard {
    Nothing,
    Accepted((usize, usize)),
    Refused,
    Ended,
}

impl Connection {
    fn hear(&mut self, target: &Target) -> Heard {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(length) if length > 0 => self.said.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing,
            _ => return Heard::Ended,
        }
        let Some(answer) = http::read(&self.said) else { return Heard::Nothing };
        let accepted = target.accepted(&answer);
        if !accepted {
            complain("publish", &format!("{} {}", answer.status(), String::from_utf8_lossy(answer.body)));
        }
        self.said.clear();
        match self.busy.take() {
            Some(which) if accepted => Heard::Accepted(which),
            Some(_) => Heard::Refused,
            // Said unasked: a server that closes says why.
            None => Heard::Ended,
        }
    }
}

/// Which connections have something to read, after at most `wait` ns. poll(2) waits to the microsecond, epoll's to the
/// millisecond.
fn ready(connections: &[Connection], wait: u64) -> io::Result<Vec<usize>> {
    let mut all: Vec<libc::pollfd> = connections
        .iter()
        .map(|connection| libc::pollfd { fd: connection.stream.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    let wait = libc::timespec { tv_sec: (wait / clock::SECOND) as _, tv_nsec: (wait % clock::SECOND) as _ };
    // SAFETY: the array and its length belong together, the descriptors live as long as `connections`.
    let count = unsafe { libc::ppoll(all.as_mut_ptr(), all.len() as _, &wait, std::ptr::null()) };
    if count < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
        return Err(io::Error::last_os_error());
    }
    Ok((0..all.len()).filter(|at| all[*at].revents != 0).collect())
}
