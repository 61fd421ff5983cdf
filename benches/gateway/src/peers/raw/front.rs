//! Accepts, shakes hands, takes publishes. A viewer's socket leaves to a shard, a publisher's stays.

use crate::shard::{Order, Shard};
use gateway_bench::{frame, http};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::sync::Arc;

const LISTENER: Token = Token(usize::MAX);

struct Guest {
    stream: TcpStream,
    said: Vec<u8>,
}

pub fn serve(shards: Vec<Shard>) -> io::Result<()> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("an address").into())?;
    // As long as Linux grants: all viewers may come at once.
    socket.listen(4096)?;
    let mut listener = TcpListener::from_std(socket.into());
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);

    let mut guests: Vec<Option<Guest>> = vec![];
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
                        guests.push(None);
                        guests.len() - 1
                    });
                    poll.registry().register(&mut stream, Token(at), Interest::READABLE)?;
                    guests[at] = Some(Guest { stream, said: vec![] });
                }
                continue;
            }
            let at = event.token().0;
            let Some(guest) = &mut guests[at] else { continue };
            match guest.hear(&shards) {
                Heard::Stays => continue,
                Heard::Gone => guests[at] = None,
                Heard::Viewer(room) => {
                    let mut stream = guests[at].take().expect("just heard").stream;
                    poll.registry().deregister(&mut stream)?;
                    turn += 1;
                    // mio forbids a second registry for one stream: a new owner for the same descriptor.
                    // SAFETY: into_raw_fd gives the descriptor up, so this is its only owner.
                    let stream = unsafe { TcpStream::from_raw_fd(stream.into_raw_fd()) };
                    shards[turn % shards.len()].give(Order::Take { stream, room });
                }
            }
            free.push(at);
        }
    }
}

enum Heard {
    Stays,
    Gone,
    Viewer(Arc<str>),
}

impl Guest {
    fn hear(&mut self, shards: &[Shard]) -> Heard {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Heard::Gone,
                Ok(length) => self.said.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Heard::Gone,
            }
        }
        while let Some(request) = http::read(&self.said) {
            let target = request.head.split(' ').nth(1).unwrap_or_default();
            let room: Arc<str> = target.split_once("room=").map_or("", |(_, room)| room).into();
            let length = request.length;
            if target.starts_with("/ws") {
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                    frame::ACCEPT
                );
                return if self.stream.write_all(answer.as_bytes()).is_ok() { Heard::Viewer(room) } else { Heard::Gone };
            }
            let pushed: Arc<[u8]> = frame::from_server(frame::TEXT, request.body).into();
            for shard in shards {
                shard.give(Order::Push { frame: pushed.clone(), room: room.clone() });
            }
            if self.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return Heard::Gone;
            }
            self.said.drain(..length);
        }
        Heard::Stays
    }
}
