//! Reload: this process hands its listeners and the data folder to a fresh process of the same program.
//!
//! ```text
//! running process                                   successor
//! Reloader::reload    spawns it with the listeners  InheritedListeners::from_env
//!                                                   opens everything but the data folder
//! ServerCommand::Pause  <-- take_over ------------  Takeover::request
//! finishes requests in flight, unlocks the folder
//!                       --- TakeoverGranted ----->  opens the data folder
//! drains its sockets    <-- serving --------------  Takeover::confirm
//!                       --- state of the order -->  in a cluster: alone hears the other nodes, and goes on
//! publishes locally     <-- every publish --------
//! ```
//!
//! A restore is a reload whose successor puts another database in place before it opens the data folder.
//!
//! New connections wait in the listeners' kernel backlog meanwhile; none is refused.

use super::client::ControlClient;
use super::protocol::{Request, Response};
use crate::server::cluster::Incarnation;
use crate::server::gateway::Gateway;
use command_fds::{CommandFdExt, FdMapping};
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, Notify};

/// Environment variable that tells a process to take over from the running one.
const TAKE_OVER: &str = "ROOMCAST_SUCCEEDS";
/// Environment variable that names the copy of a backup which this process puts in the place of the database.
const RESTORE: &str = "ROOMCAST_RESTORES";
/// First inherited file descriptor (the convention of systemd's socket activation).
const FIRST_FD: i32 = 3;
/// Time in which the old process leaves the cluster's bus.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Start-up deadline of a successor; afterwards it is killed and this process keeps serving.
pub(super) const SUCCESSOR_START_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a reload failed. The running process keeps serving, unless it cannot lock the data folder again.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// Another `roomcast reload` has not finished yet.
    #[error("another reload is in progress")]
    InProgress,
    /// The program could not be executed.
    #[error("the new process could not be started: {0}")]
    NotStarted(#[source] io::Error),
    /// The successor exited before it served.
    #[error("the new process exited ({0}); this process keeps serving. The log has its error")]
    Exited(std::process::ExitStatus),
    /// The successor did not serve before the deadline and was killed.
    #[error("the new process did not serve within {} s; this process keeps serving", SUCCESSOR_START_TIMEOUT.as_secs())]
    TimedOut,
    /// The running process declined, for example because it is shutting down.
    #[error("the running process declined the takeover: {0}")]
    Declined(String),
    /// The control socket failed.
    #[error("the running process could not be reached: {0}")]
    Io(#[from] io::Error),
}

/// Starts successors of this process, one at a time.
///
/// Program path and arguments are recorded at start-up: an upgrade replaces the file at that path, and the successor runs
/// the new one.
pub struct Reloader {
    program: PathBuf,
    arguments: Vec<OsString>,
    listeners: Vec<OwnedFd>,
    taken_over: Notify,
    /// Held for the duration of a reload, by the task that runs it.
    in_progress: Mutex<()>,
    /// Whether the reload in progress is a restore.
    restores: AtomicBool,
}

impl Reloader {
    /// Duplicates `listeners`, in the order that [`InheritedListeners`] expects: site, inner port, Register.
    ///
    /// # Errors
    /// The path of the running program is unknown, or no file descriptor is left.
    pub fn new(listeners: &[&TcpListener]) -> io::Result<Self> {
        let listeners = listeners.iter().map(|listener| Ok(listener.try_clone()?.into())).collect::<io::Result<_>>()?;
        Ok(Self {
            program: std::env::current_exe()?,
            arguments: std::env::args_os().skip(1).collect(),
            listeners,
            taken_over: Notify::new(),
            in_progress: Mutex::new(()),
            restores: AtomicBool::new(false),
        })
    }

    /// Starts a successor and returns its process id when it serves. It puts the copy of a backup with the name `restores` in the
    /// place of the database.
    pub(super) async fn reload(&self, restores: Option<&str>) -> Result<u32, TakeoverError> {
        let _in_progress = self.in_progress.try_lock().map_err(|_| TakeoverError::InProgress)?;
        self.restores.store(restores.is_some(), Ordering::SeqCst);
        let mut child = self.spawn(restores).map_err(TakeoverError::NotStarted)?;
        let pid = child.id().unwrap_or_default();
        tracing::info!(pid, "successor started");
        tokio::select! {
            () = self.taken_over.notified() => Ok(pid),
            exited = child.wait() => Err(TakeoverError::Exited(exited?)),
            () = tokio::time::sleep(SUCCESSOR_START_TIMEOUT) => {
                child.kill().await?;
                Err(TakeoverError::TimedOut)
            }
        }
    }

    /// Whether the successor in progress puts another database in place.
    pub(super) fn restores(&self) -> bool {
        self.restores.load(Ordering::SeqCst)
    }

    /// Called when the successor reports that it serves; completes [`Reloader::reload`].
    pub(super) fn confirm_takeover(&self) {
        self.taken_over.notify_one();
    }

    fn spawn(&self, restores: Option<&str>) -> io::Result<Child> {
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.arguments).env_remove("LISTEN_PID").env(TAKE_OVER, "1");
        match restores {
            Some(staged) => command.env(RESTORE, staged),
            // This process may have been a restore's successor itself.
            None => command.env_remove(RESTORE),
        };
        command.env("LISTEN_FDS", self.listeners.len().to_string());
        let mapping = |(listener, child_fd): (&OwnedFd, _)| Ok(FdMapping { parent_fd: listener.try_clone()?, child_fd });
        let mappings = self.listeners.iter().zip(FIRST_FD..).map(mapping).collect::<io::Result<_>>()?;
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        Command::from(command).spawn()
    }
}

/// Listening sockets that the parent process (a running Roomcast, or systemd) passed to this one.
#[derive(Debug)]
pub struct InheritedListeners {
    /// The site's HTTP listener.
    pub site: Option<TcpListener>,
    /// The listener of PHP's inner protocol.
    pub inner: Option<TcpListener>,
    /// The listener of GatewayWorker's Register.
    pub register: Option<TcpListener>,
}

impl InheritedListeners {
    /// Takes the sockets that `LISTEN_FDS` announces, and removes the variable: a second call returns none.
    ///
    /// # Errors
    /// A descriptor is not a listening TCP socket.
    pub fn from_env() -> io::Result<Self> {
        let mut fds = listenfd::ListenFd::from_env();
        let mut take = |index| if index < fds.len() { fds.take_tcp_listener(index) } else { Ok(None) };
        Ok(Self { site: take(0)?, inner: take(1)?, register: take(2)? })
    }
}

/// The successor's side of a reload, once the running process has released the data folder.
pub struct Takeover {
    old: ControlClient,
    incarnation: Option<Incarnation>,
    restores: Option<String>,
}

impl Takeover {
    /// Waits until the running process has paused. Returns `None` if this process was not started by a reload.
    ///
    /// # Errors
    /// The running process declines, or its control socket does not answer.
    pub async fn request(data_dir: &Path) -> Result<Option<Self>, TakeoverError> {
        if std::env::var_os(TAKE_OVER).is_none() {
            return Ok(None);
        }
        let mut client = ControlClient::request(data_dir, &Request::TakeOver).await?;
        match client.response().await? {
            Response::TakeoverGranted { incarnation } => {
                Ok(Some(Self { old: client, incarnation, restores: std::env::var(RESTORE).ok() }))
            }
            Response::Failed { reason } => Err(TakeoverError::Declined(reason)),
            other => Err(TakeoverError::Declined(format!("{other:?}"))),
        }
    }

    /// Returns the name of the copy of a backup that this process is to put in the place of the database.
    pub fn restores(&self) -> Option<&str> {
        self.restores.as_deref()
    }

    /// Returns the node's run in its cluster.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation
    }

    /// Reports that this process serves: the old one starts to drain, and leaves the cluster's bus. Until the old one's last socket is closed, a task forwards
    /// every publish of `gateway` to it; after a restore only those without a number, since its pages show another history. Returns
    /// the state of the old process's pushes, as [`Cluster::hand_over`](crate::server::cluster::Cluster::hand_over) returned it there.
    ///
    /// # Errors
    /// The old process is gone.
    pub async fn confirm(mut self, gateway: &Gateway) -> Result<String, TakeoverError> {
        let mut publishes = gateway.relay();
        self.old.write_line("serving\n").await?;
        // In a cluster this process alone hears the other nodes from here on.
        let state = match self.incarnation {
            Some(_) => self.old.next_line(LEAVE_TIMEOUT).await,
            None => String::new(),
        };
        tokio::spawn(async move {
            while let Some((relayed, _permit)) = publishes.recv().await {
                if self.restores.is_some() && relayed.is_numbered() {
                    continue;
                }
                let Ok(line) = relayed.to_line() else { continue };
                // The old process has exited; it has no sockets left to publish to.
                if self.old.write_line(&line).await.is_err() {
                    return;
                }
            }
        });
        Ok(state)
    }
}
