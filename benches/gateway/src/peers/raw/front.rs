//! Accepts connections, upgrades viewers, serves publish requests. A viewer's socket moves to a shard, a publisher's stays.

use crate::shard::{Command, Shard};
use gateway_bench::{frame, http};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::sync::Arc;

const LISTENER: Token = Token(usize::MAX);

struct Pending {
    stream: TcpStream,
    received: Vec<u8>,
}

pub fn serve(shards: Vec<Shard>) -> io::Result<()> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("an address").into())?;
    // The longest backlog that Linux grants by default: all viewers may connect at once.
    socket.listen(4096)?;
    let mut listener = TcpListener::from_std(socket.into());
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);

    let mut pending: Vec<Option<Pending>> = vec![];
    let mut free: Vec<usize> = vec![];
    let mut turn = 0;
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let _ = stream.set_nodelay(true);
                    let at = free.pop().unwrap_or_else(|| {
                        pending.push(None);
                        pending.len() - 1
                    });
                    poll.registry().register(&mut stream, Token(at), Interest::READABLE)?;
                    pending[at] = Some(Pending { stream, received: vec![] });
                }
                continue;
            }
            let at = event.token().0;
            let Some(connection) = &mut pending[at] else { continue };
            match connection.serve(&shards) {
                ReadOutcome::Keep => continue,
                ReadOutcome::Closed => pending[at] = None,
                ReadOutcome::Viewer(room) => {
                    let mut stream = pending[at].take().expect("just served").stream;
                    poll.registry().deregister(&mut stream)?;
                    turn += 1;
                    // mio allows one registry per stream, so wrap the descriptor in a new stream.
                    // SAFETY: into_raw_fd releases the descriptor, so the new stream is its only owner.
                    let stream = unsafe { TcpStream::from_raw_fd(stream.into_raw_fd()) };
                    shards[turn % shards.len()].post(Command::Take { stream, room });
                }
            }
            free.push(at);
        }
    }
}

enum ReadOutcome {
    Keep,
    Closed,
    Viewer(Arc<str>),
}

impl Pending {
    fn serve(&mut self, shards: &[Shard]) -> ReadOutcome {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return ReadOutcome::Closed,
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return ReadOutcome::Closed,
            }
        }
        while let Some(request) = http::read(&self.received) {
            let target = request.head.split(' ').nth(1).unwrap_or_default();
            let room: Arc<str> = target.split_once("room=").map_or("", |(_, room)| room).into();
            let length = request.length;
            if target.starts_with("/ws") {
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                    frame::ACCEPT
                );
                return if self.stream.write_all(answer.as_bytes()).is_ok() {
                    ReadOutcome::Viewer(room)
                } else {
                    ReadOutcome::Closed
                };
            }
            let pushed: Arc<[u8]> = frame::from_server(frame::TEXT, request.body).into();
            for shard in shards {
                shard.post(Command::Push { frame: pushed.clone(), room: room.clone() });
            }
            if self.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return ReadOutcome::Closed;
            }
            self.received.drain(..length);
        }
        ReadOutcome::Keep
    }
}
