//! Handing the node over to a fresh process: the old one starts it with the listening socket, lets it prepare, finishes what
//! is in flight, and gives way. Attempts to connect wait in the system's queue meanwhile; none is refused.

use super::{Answer, Asked, Request};
use crate::server::gateway::Gateway;
use command_fds::{CommandFdExt, FdMapping};
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, Notify};

/// In a successor's environment.
const SUCCEEDS: &str = "ROOMCAST_SUCCEEDS";
/// The first descriptor a process inherits (the convention of systemd's socket activation).
const FIRST_FD: i32 = 3;
/// A successor that does not serve within this is given up.
pub const SERVES_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum SuccessionError {
    #[error("another reload is under way")]
    UnderWay,
    #[error("the new process could not be started: {0}")]
    NotStarted(#[source] io::Error),
    #[error("the new process ended ({0}); this one serves on. Its own words are in the log")]
    Ended(std::process::ExitStatus),
    #[error("the new process did not serve within {} s; this one serves on", SERVES_WITHIN.as_secs())]
    TooLate,
    #[error("the old process does not give way: {0}")]
    NotGiven(String),
    #[error("the old process cannot be asked: {0}")]
    Io(#[from] io::Error),
}

/// What a process is started with, kept from our own start: the file at this path may be another by now.
pub struct Heritage {
    program: PathBuf,
    arguments: Vec<OsString>,
    listeners: Vec<OwnedFd>,
}

impl Heritage {
    /// The listeners in the order in which [`Succession::inherited`] numbers them.
    pub fn new(listeners: &[&TcpListener]) -> io::Result<Self> {
        let listeners = listeners.iter().map(|listener| Ok(listener.try_clone()?.into())).collect::<io::Result<_>>()?;
        Ok(Self { program: std::env::current_exe()?, arguments: std::env::args_os().skip(1).collect(), listeners })
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.arguments).env_remove("LISTEN_PID").env(SUCCEEDS, "1");
        command.env("LISTEN_FDS", self.listeners.len().to_string());
        let mapping = |(listener, child_fd): (&OwnedFd, _)| Ok(FdMapping { parent_fd: listener.try_clone()?, child_fd });
        let mappings = self.listeners.iter().zip(FIRST_FD..).map(mapping).collect::<io::Result<_>>()?;
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        Command::from(command).spawn()
    }
}

/// The old process's side.
#[derive(Default)]
pub struct Predecessor {
    succeeded: Notify,
    /// One reload at a time; held while it goes on, by a task that waits for nothing else.
    under_way: Mutex<()>,
}

impl Predecessor {
    /// Resolves when the successor serves; its process id.
    pub async fn hand_over(&self, heritage: &Heritage) -> Result<u32, SuccessionError> {
        let _under_way = self.under_way.try_lock().map_err(|_| SuccessionError::UnderWay)?;
        let mut child = heritage.start().map_err(SuccessionError::NotStarted)?;
        let pid = child.id().unwrap_or_default();
        tracing::info!(pid, "a successor was started");
        tokio::select! {
            () = self.succeeded.notified() => Ok(pid),
            ended = child.wait() => Err(SuccessionError::Ended(ended?)),
            () = tokio::time::sleep(SERVES_WITHIN) => {
                child.kill().await?;
                Err(SuccessionError::TooLate)
            }
        }
    }

    pub fn succeeded(&self) {
        self.succeeded.notify_one();
    }
}

/// The new process's side: asked for when everything but the data folder is ready.
pub struct Succession(Asked);

impl Succession {
    /// The listening sockets handed over, by an old process or by systemd: the site's, then PHP's inner port and Register.
    /// To be asked once: what was told of them in the environment is gone then.
    pub fn inherited() -> io::Result<[Option<TcpListener>; 3]> {
        let mut handed = listenfd::ListenFd::from_env();
        let mut take = |number| if number < handed.len() { handed.take_tcp_listener(number) } else { Ok(None) };
        Ok([take(0)?, take(1)?, take(2)?])
    }

    /// Waits until the old process has given way, if there is one.
    pub async fn take_over(data_dir: &Path) -> Result<Option<Self>, SuccessionError> {
        if std::env::var_os(SUCCEEDS).is_none() {
            return Ok(None);
        }
        let mut asked = Asked::ask(data_dir, &Request::TakeOver).await?;
        match asked.answer().await? {
            Answer::Yours => Ok(Some(Self(asked))),
            Answer::NotDone { why } => Err(SuccessionError::NotGiven(why)),
            other => Err(SuccessionError::NotGiven(format!("{other:?}"))),
        }
    }

    /// The old process may leave. Until its people have, it is told what is pushed here.
    pub async fn serving(mut self, gateway: &Gateway) -> Result<(), SuccessionError> {
        let mut publishes = gateway.relay();
        self.0.say("serving\n").await?;
        tokio::spawn(async move {
            while let Some((relayed, _share)) = publishes.recv().await {
                let Ok(line) = relayed.to_line() else { continue };
                // It is gone, and everyone with it.
                if self.0.say(&line).await.is_err() {
                    return;
                }
            }
        });
        Ok(())
    }
}
