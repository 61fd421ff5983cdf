//! Another door: the operator's, on this machine. A Unix socket in the data folder that only the server's own user may
//! open; a line of JSON in, lines of JSON out.

use super::protocol::{FILE, Request, Response, Status};
use super::takeover::{Reloader, SUCCESSOR_START_TIMEOUT};
use crate::domain::push::CloseCode;
use crate::server::gateway::{Gateway, Relayed};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A request is a line of a few words.
const MAX_REQUEST_BYTES: u64 = 4096;
/// A publish in both dialects, in base64, with names: PHP's largest packet twice.
const MAX_RELAYED_BYTES: u64 = 40 * 1024 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What the door asks of whoever serves.
pub enum ServerCommand {
    Shutdown {
        gracefully: bool,
    },
    /// Finish what is in flight and accept nothing; then `paused` is answered, and `taken_over` tells how it went on: leave,
    /// or serve again.
    Pause {
        paused: oneshot::Sender<()>,
        taken_over: oneshot::Receiver<()>,
    },
}

/// The door as it is open.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    gateway: Gateway,
    commands: mpsc::Sender<ServerCommand>,
    reloader: Reloader,
    address: String,
    data_dir: PathBuf,
    started: Instant,
    draining: CancellationToken,
}

impl Control {
    pub fn new(
        gateway: Gateway,
        commands: mpsc::Sender<ServerCommand>,
        reloader: Reloader,
        address: String,
        data_dir: &Path,
        draining: CancellationToken,
    ) -> Self {
        let (data_dir, started) = (data_dir.to_owned(), Instant::now());
        Self(Arc::new(Inner { gateway, commands, reloader, address, data_dir, started, draining }))
    }

    /// Responses until `closed`; the socket file is ours from now on.
    pub async fn serve(self, closed: CancellationToken) {
        if let Err(error) = self.try_serve(closed).await {
            tracing::error!(%error, "the control socket does not work: no status, stop or reload from the command line");
        }
    }

    async fn try_serve(self, closed: CancellationToken) -> io::Result<()> {
        let path = self.0.data_dir.join(FILE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let ours = std::fs::metadata(&path)?;
        let requests = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = closed.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => _ = requests.spawn(self.clone().serve_connection(stream)),
                Err(error) => {
                    tracing::warn!(%error, "the control socket");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        // A successor has put its own in this place.
        use std::os::unix::fs::MetadataExt;
        if std::fs::metadata(&path).is_ok_and(|now| now.ino() == ours.ino()) {
            let _ = std::fs::remove_file(&path);
        }
        Ok(())
    }

    /// One request a connection.
    async fn serve_connection(self, stream: UnixStream) {
        if let Err(error) = self.handle_request(stream).await {
            tracing::debug!(%error, "a control connection");
        }
    }

    async fn handle_request(&self, stream: UnixStream) -> io::Result<()> {
        // The file's permissions say the same; between its making and them there is a moment.
        let (peer, us) = (stream.peer_cred()?.uid(), std::fs::metadata(&self.0.data_dir).map(|folder| uid_of(&folder))?);
        if peer != 0 && peer != us {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let mut bounded = (&mut stream).take(MAX_REQUEST_BYTES);
        tokio::time::timeout(REQUEST_TIMEOUT, bounded.read_line(&mut line)).await??;
        let response = match serde_json::from_str(&line) {
            Ok(Request::Status) => Response::Status(self.status().await),
            Ok(Request::Connections { limit }) => {
                Response::Connections { connections: self.0.gateway.connection_lines(limit).await }
            }
            Ok(Request::SignOut { uid }) => {
                let sockets = self.0.gateway.close_uid((&uid).into(), None, CloseCode::SIGNED_OUT.into()).await;
                Response::Closed { sockets }
            }
            Ok(Request::Stop { gracefully }) => {
                write_response(&mut stream, &Response::Stopping { pid: std::process::id() }).await?;
                let _ = self.0.commands.send(ServerCommand::Shutdown { gracefully }).await;
                // Held open until the process ends, which is what the other side waits for.
                std::future::pending::<()>().await;
                return Ok(());
            }
            Ok(Request::Reload) => match self.0.reloader.reload().await {
                Ok(pid) => Response::Reloaded { pid },
                Err(error) => Response::Failed { reason: error.to_string() },
            },
            Ok(Request::TakeOver) => return self.grant_takeover(&mut stream).await,
            Err(error) => Response::Failed { reason: error.to_string() },
        };
        write_response(&mut stream, &response).await
    }

    /// The successor's request: nothing is accepted any more, what was is done; it may serve. When it says that it does, we
    /// leave; if it falls silent, we serve again.
    async fn grant_takeover(&self, stream: &mut BufReader<UnixStream>) -> io::Result<()> {
        let ((paused, is_paused), (confirm, taken_over)) = (oneshot::channel(), oneshot::channel());
        if self.0.commands.send(ServerCommand::Pause { paused, taken_over }).await.is_err() || is_paused.await.is_err() {
            return write_response(stream, &Response::Failed { reason: "the node is leaving already".into() }).await;
        }
        write_response(stream, &Response::TakeoverGranted).await?;
        let mut line = String::new();
        let mut bounded = stream.take(MAX_REQUEST_BYTES);
        let read = tokio::time::timeout(SUCCESSOR_START_TIMEOUT, bounded.read_line(&mut line)).await;
        if matches!(read, Ok(Ok(1..))) {
            self.0.reloader.confirm_takeover();
            let _ = confirm.send(());
            return self.relay(stream).await;
        }
        // Dropped unsent otherwise: serve again.
        Ok(())
    }

    /// What the successor pushes, for those who are still here; until either process ends.
    async fn relay(&self, stream: &mut BufReader<UnixStream>) -> io::Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            if stream.take(MAX_RELAYED_BYTES).read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match Relayed::from_line(&line) {
                Ok(relayed) => self.0.gateway.publish_relayed(relayed).await,
                Err(error) => tracing::warn!(%error, "a publish of the successor cannot be read"),
            }
        }
    }

    async fn status(&self) -> Status {
        let Inner { gateway, address, data_dir, started, draining, .. } = &*self.0;
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime_s: started.elapsed().as_secs_f64(),
            address: address.clone(),
            data_dir: data_dir.clone(),
            connections: gateway.connection_count(),
            draining: draining.is_cancelled(),
            shards: gateway.shard_lines().await,
        }
    }
}

fn uid_of(folder: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt;
    folder.uid()
}

async fn write_response(stream: &mut BufReader<UnixStream>, response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_string(response)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await?;
    stream.flush().await
}
