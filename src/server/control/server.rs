//! The server's side of the control socket.

use super::acts::CommandAct;
use super::bounded_line::{BoundedLine, read_line};
use super::nodes::ControlReach;
use super::protocol::{FILE, Request, Response, RoomAct, Status};
use super::takeover::{Reloader, SUCCESSOR_START_TIMEOUT};
use crate::domain::{
    id::{RoomId, Uid},
    lang::Lang,
    push::CloseCode,
    refusal::Refusal,
    reply::ActReply,
};
use crate::server::accounts::Accounts;
use crate::server::gateway::{Relayed, SocketOwner};
use crate::server::kicks::Whose;
use crate::server::moderation::{Act, Actor};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest request, in bytes: a reason of 500 characters, each of them escaped, and 100 messages.
const MAX_REQUEST_BYTES: u64 = 16 * 1024;
/// Longest line with a relayed publish, in bytes: in base64, PHP's largest packet (10 MiB) as the plain frame, and a v1 frame
/// of up to twice that size, because JSON escapes quotes. A longer line (control characters take six bytes) is skipped.
const MAX_RELAYED_BYTES: u64 = 40 * 1024 * 1024;
/// A client must send its request within this, and read its response within as long again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Delay after a failed `accept`, so that a lasting error does not spin.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// A command of the control socket, or of a signal, to the task that accepts HTTP connections.
pub enum ServerCommand {
    /// Stop accepting, drain every connection, exit.
    Shutdown {
        /// Drain over `web.drain_slowly_ms` instead of `web.drain_within_ms`.
        gracefully: bool,
    },
    /// Stop accepting, finish the requests in flight, unlock the data folder; then wait for the outcome of the takeover.
    Pause {
        /// Sent when the data folder is unlocked.
        paused: oneshot::Sender<()>,
        /// The successor puts another database in place: nothing may read the present one meanwhile.
        restores: bool,
        /// A value: the successor serves, so shut down gracefully. Closed without one: the successor failed, so resume.
        taken_over: oneshot::Receiver<()>,
    },
}

/// An act of the operator on a room, for the task that carries such acts out.
pub struct RoomCommand {
    /// The room.
    pub room: RoomId,
    /// The act.
    pub act: RoomAct,
    /// Receives the number of sockets that were in a deleted room, or the refusal.
    pub done: oneshot::Sender<Result<usize, Refusal>>,
}

/// An act of moderation, for the task that carries such acts out.
pub struct ActCommand {
    /// The act.
    pub act: Act,
    /// Receives the result.
    pub done: oneshot::Sender<Result<ActReply, Refusal>>,
}

/// The tasks that carry commands out.
pub struct CommandQueues {
    /// The task that accepts HTTP connections.
    pub server: mpsc::Sender<ServerCommand>,
    /// The task that acts on rooms.
    pub rooms: mpsc::Sender<RoomCommand>,
    /// The task that carries out acts of moderation.
    pub acts: mpsc::Sender<ActCommand>,
}

/// The control socket's server. A clone shares its state; there is one clone per connection.
#[derive(Clone)]
pub struct ControlServer(Arc<Inner>);

struct Inner {
    reach: ControlReach,
    accounts: Accounts,
    queues: CommandQueues,
    reloader: Reloader,
    address: String,
    data_dir: PathBuf,
    started: Instant,
    shutdown: CancellationToken,
}

impl ControlServer {
    /// Creates the server; [`ControlServer::serve`] opens the socket. `address` is shown by `roomcast status`; `shutdown` is
    /// cancelled when the shutdown starts.
    pub fn new(
        reach: ControlReach,
        accounts: Accounts,
        queues: CommandQueues,
        reloader: Reloader,
        address: String,
        data_dir: &Path,
        shutdown: CancellationToken,
    ) -> Self {
        let (data_dir, started) = (data_dir.to_owned(), Instant::now());
        reach.answer();
        Self(Arc::new(Inner { reach, accounts, queues, reloader, address, data_dir, started, shutdown }))
    }

    /// Serves requests until `closed` is cancelled. Replaces a socket file left by a process that was killed, and removes
    /// its own at the end. If the socket cannot be opened, logs the error and returns: the site works without it.
    pub async fn serve(self, closed: CancellationToken) {
        if let Err(error) = self.try_serve(closed).await {
            tracing::error!(%error, "control socket unavailable: roomcast status, stop and reload do not work");
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
        let created = std::fs::metadata(&path)?;
        let requests = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = closed.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => _ = requests.spawn(self.clone().serve_connection(stream)),
                Err(error) => {
                    tracing::warn!(%error, "control socket: accept failed");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
        // After a reload the path holds the successor's socket, which must stay.
        if std::fs::metadata(&path).is_ok_and(|now| now.ino() == created.ino()) {
            let _ = std::fs::remove_file(&path);
        }
        Ok(())
    }

    /// Serves the one request of a connection.
    async fn serve_connection(self, stream: UnixStream) {
        if let Err(error) = self.handle_request(stream).await {
            tracing::debug!(%error, "control connection closed");
        }
    }

    async fn handle_request(&self, stream: UnixStream) -> io::Result<()> {
        // The file's mode forbids other users, but only from `set_permissions` on, a moment after `bind`.
        let (peer, owner) = (stream.peer_cred()?.uid(), std::fs::metadata(&self.0.data_dir)?.uid());
        if peer != 0 && peer != owner {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let mut bounded = (&mut stream).take(MAX_REQUEST_BYTES);
        tokio::time::timeout(REQUEST_TIMEOUT, bounded.read_line(&mut line)).await??;
        let response = match serde_json::from_str(&line) {
            Ok(Request::Status) => Response::Status(self.status().await),
            Ok(Request::Connections { limit, node }) => self.0.reach.connections(limit, node).await,
            Ok(Request::SignOut { uid }) => self.sign_out(&uid).await,
            Ok(Request::Room { room, act }) => self.act_on_room(room, act).await,
            Ok(Request::Act { room, reason, act }) => self.act(room, reason, act).await,
            Ok(Request::Stop { gracefully }) => {
                write_response(&mut stream, &Response::Stopping { pid: std::process::id() }).await?;
                let _ = self.0.queues.server.send(ServerCommand::Shutdown { gracefully }).await;
                // The client waits for EOF: the connection stays open until the process exits.
                std::future::pending::<()>().await;
                return Ok(());
            }
            Ok(Request::Reload) => self.reload(None).await,
            Ok(Request::Restore { staged }) => self.reload(Some(&staged)).await,
            Ok(Request::TakeOver) => return self.grant_takeover(&mut stream).await,
            Err(error) => Response::Failed { reason: error.to_string() },
        };
        write_response(&mut stream, &response).await
    }

    /// Starts a successor; one that `restores` puts this copy of a backup in the place of the database.
    async fn reload(&self, restores: Option<&str>) -> Response {
        match self.0.reloader.reload(restores).await {
            Ok(pid) => Response::Reloaded { pid },
            Err(error) => Response::Failed { reason: error.to_string() },
        }
    }

    /// Ends the sessions of a person, and after that closes their sockets on all nodes: those that they opened, and those of the uid.
    async fn sign_out(&self, uid: &Uid) -> Response {
        let Inner { reach, accounts, .. } = &*self.0;
        let ended = match accounts.sign_out(uid).await {
            Ok(ended) => ended,
            Err(error) => return Response::Failed { reason: error.to_string() },
        };
        let whose = Whose { uid: Some(uid.clone()), owners: ended.iter().copied().map(SocketOwner).collect() };
        let sockets = reach.kicks.close(whose, CloseCode::SIGNED_OUT).await;
        Response::Closed { sockets, sessions: ended.len() }
    }

    async fn act_on_room(&self, room: RoomId, act: RoomAct) -> Response {
        let (done, is_done) = oneshot::channel();
        let outcome = match self.0.queues.rooms.send(RoomCommand { room: room.clone(), act, done }).await {
            Ok(()) => is_done.await.ok(),
            Err(_) => None,
        };
        match outcome {
            Some(Ok(sockets)) => Response::RoomDone { sockets },
            Some(Err(Refusal::NoSuchRoom)) => Response::Failed { reason: format!("no room {room}") },
            Some(Err(refusal)) => Response::Failed { reason: refusal.to_string() },
            None => Response::Failed { reason: "the server is shutting down".into() },
        }
    }

    async fn act(&self, room: Option<RoomId>, reason: String, act: CommandAct) -> Response {
        let (done, is_done) = oneshot::channel();
        let act = Act { actor: Actor::Cli, room: room.clone(), nonce: None, reason, kind: act.into() };
        let outcome = match self.0.queues.acts.send(ActCommand { act, done }).await {
            Ok(()) => is_done.await.ok(),
            Err(_) => None,
        };
        match (outcome, room) {
            (Some(Ok(reply)), _) => Response::Acted { reply },
            (Some(Err(Refusal::NoSuchRoom)), Some(room)) => Response::Failed { reason: format!("no room {room}") },
            (Some(Err(refusal)), _) => Response::Failed { reason: refusal.message(Lang::En) },
            (None, _) => Response::Failed { reason: "the server is shutting down".into() },
        }
    }

    /// Pauses this process and lets the successor serve. If it confirms in time, this process shuts down and publishes the
    /// successor's messages to its remaining sockets; otherwise `confirm` is dropped and this process resumes.
    async fn grant_takeover(&self, stream: &mut BufReader<UnixStream>) -> io::Result<()> {
        let ((paused, is_paused), (confirm, taken_over)) = (oneshot::channel(), oneshot::channel());
        let pause = ServerCommand::Pause { paused, restores: self.0.reloader.restores(), taken_over };
        if self.0.queues.server.send(pause).await.is_err() || is_paused.await.is_err() {
            return write_response(
                stream,
                &Response::Failed { reason: "the server is shutting down, or its database is in use".into() },
            )
            .await;
        }
        write_response(stream, &Response::TakeoverGranted { incarnation: self.0.reach.cluster.incarnation() }).await?;
        let mut line = String::new();
        let mut bounded = (&mut *stream).take(MAX_REQUEST_BYTES);
        let read = tokio::time::timeout(SUCCESSOR_START_TIMEOUT, bounded.read_line(&mut line)).await;
        if matches!(read, Ok(Ok(1..))) {
            self.0.reloader.confirm_takeover();
            let cluster = &self.0.reach.cluster;
            if cluster.is_alone() {
                let _ = confirm.send(());
            } else {
                // Messages of other nodes reach this process through the successor. Before the shutdown, which would take the node away.
                let state = cluster.hand_over().await;
                let _ = confirm.send(());
                stream.write_all(&[&state[..], b"\n"].concat()).await?;
                stream.flush().await?;
            }
            return self.publish_relayed(stream).await;
        }
        Ok(())
    }

    /// Publishes every message of the successor to this process's remaining sockets, until either process exits. A line over
    /// [`MAX_RELAYED_BYTES`] is skipped whole.
    async fn publish_relayed(&self, stream: &mut BufReader<UnixStream>) -> io::Result<()> {
        loop {
            let line = match read_line(stream, MAX_RELAYED_BYTES).await? {
                BoundedLine::Line(line) => line,
                BoundedLine::TooLong => {
                    tracing::warn!(limit = MAX_RELAYED_BYTES, "a publish of the successor is not relayed: it is too long");
                    continue;
                }
                BoundedLine::End => return Ok(()),
            };
            match Relayed::from_line(&line) {
                Ok(relayed) => self.0.reach.gateway.publish_relayed(relayed).await,
                Err(error) => tracing::warn!(%error, "could not decode a publish of the successor"),
            }
        }
    }

    async fn status(&self) -> Status {
        let Inner { reach, address, data_dir, started, shutdown, .. } = &*self.0;
        let (gateway, draining) = (&reach.gateway, shutdown.is_cancelled());
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime_s: started.elapsed().as_secs_f64(),
            address: address.clone(),
            data_dir: data_dir.clone(),
            connections: gateway.connection_count(),
            draining,
            shards: gateway.shard_statuses().await,
            nodes: reach.nodes(draining),
        }
    }
}

async fn write_response(stream: &mut BufReader<UnixStream>, response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_string(response)?;
    line.push('\n');
    let write = async {
        stream.write_all(line.as_bytes()).await?;
        stream.flush().await
    };
    tokio::time::timeout(REQUEST_TIMEOUT, write).await?
}
