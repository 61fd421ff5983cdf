//! A connection to the inner address: commands are told, questions asked, and replies come in the order of the questions.

use gateway_bench::http;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server that takes nothing or says nothing for this long is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Closed when it is dropped, as PHP does after each call.
pub struct Client {
    stream: BufReader<TcpStream>,
    reply: Vec<u8>,
}

impl Client {
    pub fn open(addr: SocketAddr) -> Result<Self, String> {
        let open = || -> io::Result<TcpStream> {
            let stream = http::open(addr)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        Ok(Self { stream: BufReader::new(open().map_err(|error| because("connect", &error))?), reply: vec![] })
    }

    /// Commands, of which the server says nothing; or questions whose replies are heard later.
    pub fn tell(&mut self, packets: &[u8]) -> Result<(), String> {
        self.stream.get_mut().write_all(packets).map_err(|error| because("write", &error))
    }

    /// The next reply, in PHP's `serialize`.
    pub fn hear(&mut self) -> Result<&[u8], String> {
        let mut read = || {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length)?;
            self.reply.resize(u32::from_be_bytes(length) as usize, 0);
            self.stream.read_exact(&mut self.reply)
        };
        read().map_err(|error| because("reply", &error))?;
        Ok(&self.reply)
    }

    /// More has come than was heard.
    pub fn has_more(&self) -> bool {
        !self.stream.buffer().is_empty()
    }

    pub fn ask(&mut self, question: &[u8]) -> Result<&[u8], String> {
        self.tell(question)?;
        self.hear()
    }
}

fn because(what: &str, error: &io::Error) -> String {
    format!("inner protocol, {what}: {error}")
}
