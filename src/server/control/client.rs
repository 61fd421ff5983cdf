//! The client's side of the control socket, used by the command line and by a successor.

use super::protocol::{FILE, Request, Response};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Longer than a reload may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(90);

/// One request to the server that runs on a data folder.
pub struct ControlClient(BufReader<UnixStream>);

impl ControlClient {
    /// Connects and sends `request`.
    ///
    /// # Errors
    /// `NotFound` or `ConnectionRefused`: no server runs on this data folder.
    pub async fn request(data_dir: &Path, request: &Request) -> io::Result<Self> {
        let mut stream = BufReader::new(UnixStream::connect(data_dir.join(FILE)).await?);
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        stream.write_all(line.as_bytes()).await?;
        Ok(Self(stream))
    }

    /// Reads the response.
    ///
    /// # Errors
    /// `UnexpectedEof`: the server closed the connection, `TimedOut`: no response within 90 s, `InvalidData`: not a response.
    pub async fn response(&mut self) -> io::Result<Response> {
        let mut line = String::new();
        if tokio::time::timeout(RESPONSE_TIMEOUT, self.0.read_line(&mut line)).await?? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Returns one more line. A server that sends none in time, or is gone, is no error.
    pub(super) async fn next_line(&mut self, within: Duration) -> String {
        let mut line = String::new();
        let _ = tokio::time::timeout(within, self.0.read_line(&mut line)).await;
        line
    }

    /// Waits until the server closes the connection, which it does when it exits.
    pub async fn wait_for_exit(mut self) {
        let mut discarded = [0; 64];
        while matches!(self.0.read(&mut discarded).await, Ok(1..)) {}
    }

    /// Writes further lines, each with its line feed. Used by a successor after [`Response::TakeoverGranted`].
    ///
    /// # Errors
    /// The server closed the connection.
    pub async fn write_line(&mut self, line: &str) -> io::Result<()> {
        self.0.write_all(line.as_bytes()).await
    }
}
