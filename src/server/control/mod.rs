//! Another door: the operator's, on this machine. A Unix socket in the data folder that only the server's own user may
//! open; a line of JSON in, lines of JSON out.

mod successor;

pub use successor::{Heritage, Succession, SuccessionError};

use crate::domain::{id::Uid, push::CloseCode};
use crate::server::gateway::{ConnectionLine, Gateway, Relayed, ShardLine};
use serde::{Deserialize, Serialize};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use successor::{Predecessor, SERVES_WITHIN};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const FILE: &str = "roomcast.sock";
/// A request is a line of a few words.
const MAX_REQUEST: u64 = 4096;
/// A publish in both dialects, in base64, with names: PHP's largest packet twice.
const MAX_RELAYED: u64 = 40 * 1024 * 1024;
const ASKED_WITHIN: Duration = Duration::from_secs(10);
/// Longer than a reload may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(90);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    Status,
    /// At most so many of each shard.
    Connections {
        limit: usize,
    },
    /// A person's sessions were ended: their sockets go with them.
    SignOut {
        uid: Uid,
    },
    /// `slowly`: everyone gets the time to come back elsewhere.
    Stop {
        slowly: bool,
    },
    /// Starts the successor; answered when it serves.
    Reload,
    /// The successor's own: it is ready to serve, and asks to be let.
    TakeOver,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub uptime_s: f64,
    pub address: String,
    pub data_dir: PathBuf,
    /// Connections, and handshakes on their way to become one.
    pub connections: usize,
    pub leaving: bool,
    pub shards: Vec<ShardLine>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    Status(Status),
    Connections {
        connections: Vec<ConnectionLine>,
    },
    Closed {
        sockets: usize,
    },
    /// It leaves; the socket is closed when it is gone.
    Leaving {
        pid: u32,
    },
    Reloaded {
        pid: u32,
    },
    /// Nobody else serves any more.
    Yours,
    NotDone {
        why: String,
    },
}

/// What the door asks of whoever serves.
pub enum Order {
    Leave {
        slowly: bool,
    },
    /// Finish what is in flight and accept nothing; then `paused` is answered, and `succeeded` tells how it went on: leave,
    /// or serve again.
    Pause {
        paused: oneshot::Sender<()>,
        succeeded: oneshot::Receiver<()>,
    },
}

/// The door as it is open.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    gateway: Gateway,
    orders: mpsc::Sender<Order>,
    heritage: Heritage,
    predecessor: Predecessor,
    address: String,
    data_dir: PathBuf,
    began: Instant,
    leaving: CancellationToken,
}

impl Control {
    pub fn new(
        gateway: Gateway,
        orders: mpsc::Sender<Order>,
        heritage: Heritage,
        address: String,
        data_dir: &Path,
        leaving: CancellationToken,
    ) -> Self {
        let (data_dir, predecessor, began) = (data_dir.to_owned(), Predecessor::default(), Instant::now());
        Self(Arc::new(Inner { gateway, orders, heritage, predecessor, address, data_dir, began, leaving }))
    }

    /// Answers until `closed`; the socket file is ours from now on.
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
                Ok((stream, _)) => _ = requests.spawn(self.clone().attend(stream)),
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
    async fn attend(self, stream: UnixStream) {
        if let Err(error) = self.answer(stream).await {
            tracing::debug!(%error, "a control connection");
        }
    }

    async fn answer(&self, stream: UnixStream) -> io::Result<()> {
        // The file's permissions say the same; between its making and them there is a moment.
        let (peer, us) = (stream.peer_cred()?.uid(), std::fs::metadata(&self.0.data_dir).map(|folder| uid_of(&folder))?);
        if peer != 0 && peer != us {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let mut bounded = (&mut stream).take(MAX_REQUEST);
        tokio::time::timeout(ASKED_WITHIN, bounded.read_line(&mut line)).await??;
        let answer = match serde_json::from_str(&line) {
            Ok(Request::Status) => Answer::Status(self.status().await),
            Ok(Request::Connections { limit }) => {
                Answer::Connections { connections: self.0.gateway.connection_lines(limit).await }
            }
            Ok(Request::SignOut { uid }) => {
                let sockets = self.0.gateway.close_uid((&uid).into(), None, CloseCode::SIGNED_OUT.into()).await;
                Answer::Closed { sockets }
            }
            Ok(Request::Stop { slowly }) => {
                tell(&mut stream, &Answer::Leaving { pid: std::process::id() }).await?;
                let _ = self.0.orders.send(Order::Leave { slowly }).await;
                // Held open until the process ends, which is what the other side waits for.
                std::future::pending::<()>().await;
                return Ok(());
            }
            Ok(Request::Reload) => match self.0.predecessor.hand_over(&self.0.heritage).await {
                Ok(pid) => Answer::Reloaded { pid },
                Err(error) => Answer::NotDone { why: error.to_string() },
            },
            Ok(Request::TakeOver) => return self.give_way(&mut stream).await,
            Err(error) => Answer::NotDone { why: error.to_string() },
        };
        tell(&mut stream, &answer).await
    }

    /// The successor's request: nothing is accepted any more, what was is done; it may serve. When it says that it does, we
    /// leave; if it falls silent, we serve again.
    async fn give_way(&self, stream: &mut BufReader<UnixStream>) -> io::Result<()> {
        let ((paused, is_paused), (succeeded, outcome)) = (oneshot::channel(), oneshot::channel());
        if self.0.orders.send(Order::Pause { paused, succeeded: outcome }).await.is_err() || is_paused.await.is_err() {
            return tell(stream, &Answer::NotDone { why: "the node is leaving already".into() }).await;
        }
        tell(stream, &Answer::Yours).await?;
        let mut line = String::new();
        let mut bounded = stream.take(MAX_REQUEST);
        let read = tokio::time::timeout(SERVES_WITHIN, bounded.read_line(&mut line)).await;
        if matches!(read, Ok(Ok(1..))) {
            self.0.predecessor.succeeded();
            let _ = succeeded.send(());
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
            if stream.take(MAX_RELAYED).read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match Relayed::from_line(&line) {
                Ok(relayed) => self.0.gateway.publish_relayed(relayed).await,
                Err(error) => tracing::warn!(%error, "a publish of the successor cannot be read"),
            }
        }
    }

    async fn status(&self) -> Status {
        let Inner { gateway, address, data_dir, began, leaving, .. } = &*self.0;
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime_s: began.elapsed().as_secs_f64(),
            address: address.clone(),
            data_dir: data_dir.clone(),
            connections: gateway.connection_count(),
            leaving: leaving.is_cancelled(),
            shards: gateway.shard_lines().await,
        }
    }
}

fn uid_of(folder: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt;
    folder.uid()
}

async fn tell(stream: &mut BufReader<UnixStream>, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_string(answer)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await?;
    stream.flush().await
}

/// A request to the node that serves from a data folder.
pub struct Asked(BufReader<UnixStream>);

impl Asked {
    pub async fn ask(data_dir: &Path, request: &Request) -> io::Result<Self> {
        let mut stream = BufReader::new(UnixStream::connect(data_dir.join(FILE)).await?);
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        stream.write_all(line.as_bytes()).await?;
        Ok(Self(stream))
    }

    pub async fn answer(&mut self) -> io::Result<Answer> {
        let mut line = String::new();
        if tokio::time::timeout(ANSWERED_WITHIN, self.0.read_line(&mut line)).await?? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Until the node is gone.
    pub async fn ended(mut self) {
        let mut rest = [0; 64];
        while matches!(self.0.read(&mut rest).await, Ok(1..)) {}
    }

    /// Anything more to say, whole lines.
    pub async fn say(&mut self, words: &str) -> io::Result<()> {
        self.0.write_all(words.as_bytes()).await
    }
}
