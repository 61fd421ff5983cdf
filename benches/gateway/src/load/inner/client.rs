//! A connection to the inner port. Commands have no reply; replies to queries arrive in the order of the queries.

use gateway_bench::http;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Timeout of a read or a write.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Closes the connection on drop, as PHP does after each call.
pub struct Client {
    stream: BufReader<TcpStream>,
    reply: Vec<u8>,
}

impl Client {
    pub fn open(addr: SocketAddr) -> Result<Self, String> {
        let open = || -> io::Result<TcpStream> {
            let stream = http::open(addr)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            Ok(stream)
        };
        Ok(Self { stream: BufReader::new(open().map_err(|error| because("connect", &error))?), reply: vec![] })
    }

    /// Sends commands, or queries whose replies are read later.
    pub fn send(&mut self, packets: &[u8]) -> Result<(), String> {
        self.stream.get_mut().write_all(packets).map_err(|error| because("write", &error))
    }

    /// Reads the next reply, in PHP's `serialize` format.
    pub fn receive(&mut self) -> Result<&[u8], String> {
        let mut read = || {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length)?;
            self.reply.resize(u32::from_be_bytes(length) as usize, 0);
            self.stream.read_exact(&mut self.reply)
        };
        read().map_err(|error| because("reply", &error))?;
        Ok(&self.reply)
    }

    /// Returns whether the next reply is already buffered.
    pub fn has_more(&self) -> bool {
        !self.stream.buffer().is_empty()
    }

    pub fn query(&mut self, query: &[u8]) -> Result<&[u8], String> {
        self.send(query)?;
        self.receive()
    }
}

fn because(what: &str, error: &io::Error) -> String {
    format!("inner protocol, {what}: {error}")
}
