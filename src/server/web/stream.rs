//! A connection's stream as it arrives, plain or encrypted, and as it leaves HTTP.

use crate::server::gateway::Raw;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

pub type Arriving = Either<TcpStream, TlsStream<TcpStream>>;

/// Out of this runtime, for a shard's own.
pub fn raw(arriving: Arriving) -> std::io::Result<Raw> {
    Ok(match arriving {
        Either::Left(tcp) => Raw::Plain(tcp.into_std()?),
        Either::Right(encrypted) => {
            let (tcp, tls) = encrypted.into_inner();
            Raw::Encrypted(tcp.into_std()?, Box::new(tls))
        }
    })
}
