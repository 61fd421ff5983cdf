//! One of the two threads: its sockets by room, and direct writes to them.

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

const WAKE: Token = Token(usize::MAX);

/// A command of the front thread.
pub enum Command {
    Take { stream: TcpStream, room: Arc<str> },
    Push { frame: Arc<[u8]>, room: Arc<str> },
}

/// The front thread's handle; commands are executed in FIFO order.
#[derive(Clone)]
pub struct Shard {
    commands: Arc<Mutex<Vec<Command>>>,
    waker: Arc<Waker>,
}

impl Shard {
    pub fn post(&self, command: Command) {
        let was_empty = {
            let mut commands = self.commands.lock().expect("no panic");
            commands.push(command);
            commands.len() == 1
        };
        if was_empty {
            self.waker.wake().expect("an eventfd");
        }
    }
}

pub fn start() -> io::Result<Shard> {
    let poll = Poll::new()?;
    let shard = Shard { commands: Arc::default(), waker: Arc::new(Waker::new(poll.registry(), WAKE)?) };
    let commands = shard.commands.clone();
    std::thread::spawn(move || Sockets { poll, list: vec![], free: vec![], rooms: HashMap::new() }.serve(&commands));
    Ok(shard)
}

struct Socket {
    stream: TcpStream,
    room: Arc<str>,
    /// Unsent bytes, written before anything else. The buffer is unbounded; nothing is discarded.
    #[expect(clippy::box_collection, reason = "one pointer per socket, since few have a rest")]
    rest: Option<Box<Vec<u8>>>,
}

struct Sockets {
    poll: Poll,
    list: Vec<Option<Socket>>,
    free: Vec<u32>,
    rooms: HashMap<Arc<str>, Vec<u32>>,
}

impl Sockets {
    fn serve(mut self, commands: &Mutex<Vec<Command>>) {
        let mut events = Events::with_capacity(1024);
        loop {
            if let Err(error) = self.poll.poll(&mut events, None) {
                assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{error}");
            }
            for event in &events {
                if event.token() != WAKE {
                    self.handle_event(event.token().0, event.is_readable(), event.is_writable());
                }
            }
            let taken = std::mem::take(&mut *commands.lock().expect("no panic"));
            for command in taken {
                match command {
                    Command::Take { stream, room } => self.take(stream, room),
                    Command::Push { frame, room } => self.push(&frame, &room),
                }
            }
        }
    }

    fn take(&mut self, mut stream: TcpStream, room: Arc<str>) {
        let at = self.free.pop().unwrap_or_else(|| {
            self.list.push(None);
            self.list.len() as u32 - 1
        });
        if self.poll.registry().register(&mut stream, Token(at as usize), Interest::READABLE | Interest::WRITABLE).is_ok() {
            self.rooms.entry(room.clone()).or_default().push(at);
            self.list[at as usize] = Some(Socket { stream, room, rest: None });
        } else {
            self.free.push(at);
        }
    }

    fn push(&mut self, frame: &[u8], room: &str) {
        for at in self.rooms.get(room).into_iter().flatten() {
            if let Some(socket) = &mut self.list[*at as usize] {
                // A failed socket becomes readable next.
                let _ = socket.write(frame);
            }
        }
    }

    fn handle_event(&mut self, at: usize, readable: bool, writable: bool) {
        let Some(socket) = self.list.get_mut(at).and_then(Option::as_mut) else { return };
        let mut alive = true;
        if writable && let Some(rest) = socket.rest.take() {
            alive = socket.write(&rest).is_ok();
        }
        if alive && readable {
            alive = socket.read();
        }
        if !alive && let Some(gone) = self.list[at].take() {
            self.free.push(at as u32);
            if let Some(members) = self.rooms.get_mut(&gone.room) {
                members.retain(|member| *member != at as u32);
            }
        }
    }
}

impl Socket {
    fn write(&mut self, mut frame: &[u8]) -> io::Result<()> {
        if let Some(rest) = &mut self.rest {
            rest.extend_from_slice(frame);
            return Ok(());
        }
        while !frame.is_empty() {
            match self.stream.write(frame) {
                Ok(length) => frame = &frame[length..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.rest = Some(Box::new(frame.to_vec()));
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Discards input. Returns false if the viewer sent a close frame or is gone.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 256];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(_) if buffer[0] == 0x88 => {
                    let _ = self.stream.write(&[0x88, 0]);
                    return false;
                }
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }
}
