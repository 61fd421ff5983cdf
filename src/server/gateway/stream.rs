//! The byte stream of a connection after the HTTP upgrade: non-blocking, TCP or TLS.

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

/// The stream interface of a shard; tests implement it with an in-memory stream.
pub(super) trait Stream: Read + Write {
    /// Shuts down the write half; the peer can read up to EOF.
    fn shut(&mut self) -> io::Result<()>;
}

/// A stream as the HTTP server releases it.
pub enum RawStream {
    /// Without TLS, or with TLS ended by a proxy.
    Plain(std::net::TcpStream),
    /// With the state of the TLS session that rustls keeps.
    Encrypted(std::net::TcpStream, Box<ServerConnection>),
}

pub(super) enum Socket {
    Plain(TcpStream),
    Encrypted(Box<Encrypted>),
}

pub(super) struct Encrypted {
    tcp: TcpStream,
    tls: ServerConnection,
}

impl From<RawStream> for Socket {
    fn from(stream: RawStream) -> Self {
        match stream {
            RawStream::Plain(tcp) => Self::Plain(TcpStream::from_std(tcp)),
            RawStream::Encrypted(tcp, tls) => Self::Encrypted(Box::new(Encrypted { tcp: TcpStream::from_std(tcp), tls: *tls })),
        }
    }
}

impl Socket {
    /// Edge-triggered, both ways, once for its whole life.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.tcp(), token, Interest::READABLE | Interest::WRITABLE)
    }

    fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Encrypted(encrypted) => &mut encrypted.tcp,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(into),
            Self::Encrypted(encrypted) => encrypted.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => match slices {
                [one] => tcp.write(one),
                many => tcp.write_vectored(many),
            },
            Self::Encrypted(encrypted) => encrypted.write(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Encrypted(encrypted) => encrypted.flush(),
        }
    }
}

impl Stream for Socket {
    fn shut(&mut self) -> io::Result<()> {
        if let Self::Encrypted(encrypted) = self {
            encrypted.tls.send_close_notify();
            let _ = encrypted.flush();
        }
        self.tcp().shutdown(Shutdown::Write)
    }
}

impl Encrypted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            let ended = self.tls.read_tls(&mut self.tcp)? == 0;
            self.tls.process_new_packets().map_err(io::Error::other)?;
            // A reply of the TLS protocol, such as to a key update.
            let _ = self.flush();
            if ended {
                return Ok(0);
            }
        }
    }

    /// Writes until the slices or rustls' buffer are exhausted; returns the bytes accepted. A full buffer is `WouldBlock`.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        loop {
            let sent = self.flush();
            let mut skip = written;
            let mut now = 0;
            for slice in slices {
                let cut = skip.min(slice.len());
                skip -= cut;
                if cut < slice.len() {
                    let count = self.tls.writer().write(&slice[cut..])?;
                    now += count;
                    if count < slice.len() - cut {
                        break;
                    }
                }
            }
            written += now;
            match sent {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ if now == 0 && written == 0 && !slices.iter().all(|slice| slice.is_empty()) => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                _ if now == 0 || sent.is_err() => return Ok(written),
                _ => {}
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }
}
