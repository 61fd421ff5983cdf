//! Publishes at a fixed rate, independent of the server's speed, with a bounded number of requests in flight. A message that
//! waits for a free connection keeps its due time: the wait counts as latency.

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
    /// Messages per second; rooms alternate.
    pub rate: f64,
    pub seconds: f64,
    pub size: usize,
    /// Due time of the first message.
    pub begin: u64,
    /// This long after the last due time, the remaining messages are not sent. In ns.
    pub give_up_after: u64,
}

impl Plan {
    pub fn messages(&self) -> u64 {
        (self.rate * self.seconds).round().max(1.0) as u64
    }

    /// Returns the end of the schedule.
    pub fn end(&self) -> u64 {
        self.begin + (self.seconds * 1e9) as u64
    }
}

/// Times of sending and of the response in ns, by room and sequence number. `u64::MAX`: no response.
#[derive(Default)]
pub struct Published {
    pub sent: Vec<Vec<u64>>,
    pub answered: Vec<Vec<u64>>,
    /// Requests that were refused or whose connection failed.
    pub failed: u64,
    /// Messages not sent before the deadline.
    pub unsent: u64,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// Room and sequence number of the message in flight.
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
        // New connections for each step: servers close idle ones.
        let mut connections = (0..self.in_flight).map(|at| self.connect(at)).collect::<io::Result<Vec<_>>>()?;
        // A stack: at a low rate, all requests use one connection, as those of a real back end would.
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
                    connections[at] = self.connect(at)?;
                    idle.push(at);
                }
            }
            let wait = if next < total && !idle.is_empty() { due(next).saturating_sub(clock::now()) } else { 100 * clock::MS };
            for at in ready(&connections, wait)? {
                match connections[at].read(&self.target) {
                    ReadOutcome::Incomplete => continue,
                    ReadOutcome::Accepted((room, seq)) => published.answered[room][seq] = clock::now(),
                    ReadOutcome::Refused => published.failed += 1,
                    ReadOutcome::Closed => {
                        let was_busy = connections[at].busy.is_some();
                        published.failed += u64::from(was_busy);
                        connections[at] = self.connect(at)?;
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

    fn connect(&self, publisher: usize) -> io::Result<Connection> {
        let stream = http::open(self.target.publisher_addr(publisher))?;
        stream.set_nonblocking(true)?;
        Ok(Connection { stream, received: vec![], busy: None })
    }
}

enum ReadOutcome {
    Incomplete,
    Accepted((usize, usize)),
    Refused,
    Closed,
}

impl Connection {
    fn read(&mut self, target: &Target) -> ReadOutcome {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(length) if length > 0 => self.received.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return ReadOutcome::Incomplete,
            _ => return ReadOutcome::Closed,
        }
        let Some(answer) = http::read(&self.received) else { return ReadOutcome::Incomplete };
        let accepted = target.accepted(&answer);
        if !accepted {
            complain("publish", &format!("{} {}", answer.status(), String::from_utf8_lossy(answer.body)));
        }
        self.received.clear();
        match self.busy.take() {
            Some(which) if accepted => ReadOutcome::Accepted(which),
            Some(_) => ReadOutcome::Refused,
            // A response without a request: the server announces why it closes.
            None => ReadOutcome::Closed,
        }
    }
}

/// Returns the readable connections, after at most `wait` ns. ppoll(2) has a resolution of nanoseconds, epoll_wait(2) of
/// milliseconds.
fn ready(connections: &[Connection], wait: u64) -> io::Result<Vec<usize>> {
    let mut all: Vec<libc::pollfd> = connections
        .iter()
        .map(|connection| libc::pollfd { fd: connection.stream.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    let wait = libc::timespec { tv_sec: (wait / clock::SECOND) as _, tv_nsec: (wait % clock::SECOND) as _ };
    // SAFETY: the length is that of the array, and `connections` keeps the descriptors open.
    let count = unsafe { libc::ppoll(all.as_mut_ptr(), all.len() as _, &wait, std::ptr::null()) };
    if count < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
        return Err(io::Error::last_os_error());
    }
    Ok((0..all.len()).filter(|at| all[*at].revents != 0).collect())
}
