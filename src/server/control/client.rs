//! The side that asks: the command line, and the successor.

use super::protocol::{FILE, Request, Response};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Longer than a reload may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(90);

/// A request to the node that serves from a data folder.
pub struct ControlClient(BufReader<UnixStream>);

impl ControlClient {
    pub async fn request(data_dir: &Path, request: &Request) -> io::Result<Self> {
        let mut stream = BufReader::new(UnixStream::connect(data_dir.join(FILE)).await?);
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        stream.write_all(line.as_bytes()).await?;
        Ok(Self(stream))
    }

    pub async fn response(&mut self) -> io::Result<Response> {
        let mut line = String::new();
        if tokio::time::timeout(RESPONSE_TIMEOUT, self.0.read_line(&mut line)).await?? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Until the node is gone.
    pub async fn wait_for_exit(mut self) {
        let mut rest = [0; 64];
        while matches!(self.0.read(&mut rest).await, Ok(1..)) {}
    }

    /// Anything more to say, whole lines.
    pub async fn write_line(&mut self, line: &str) -> io::Result<()> {
        self.0.write_all(line.as_bytes()).await
    }
}
