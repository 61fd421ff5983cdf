//! The default command: opens the listeners, starts the services from the bottom floor up, serves until shutdown, and
//! closes everything in the opposite order. It knows both the pages (`app`) and the server, as `main.rs` does.

mod announce;
mod listeners;
mod rooms;
mod signals;

use crate::Outcome;
use announce::announce;
use futures_util::TryFutureExt;
use listeners::NodeListeners;
use roomcast::app::{App, shell};
use roomcast::server::{
    accounts::{Accounts, ApiKeys},
    chat::Chat,
    clock::Clock,
    config::Config,
    control::{CommandQueues, ControlServer, Reloader, ServerCommand, Takeover},
    gateway::Gateway,
    gatewayworker::{GatewayWorkerServer, Listeners as PhpListeners},
    security_log::SecurityLog,
    storage::{self, DataDirLock, Store},
    web::{self, AppState, LogGuard, Services, Tls},
};
use rooms::act_on_rooms;
use signals::shutdown_on_signal;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Commands (stop, takeover) that may be queued for the accept loop.
const MAX_QUEUED_COMMANDS: usize = 4;
/// Title of the room that a new installation starts with.
const FIRST_ROOM_TITLE: &str = "直播间 1 · Room 1";
/// Longest wait for PHP's connections at shutdown. They close last, because BusinessWorkers must still receive the
/// disconnect events of all clients.
const PHP_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the server until SIGTERM, SIGINT, `roomcast stop` or a completed reload.
///
/// Returns an error if a port, the data folder, the certificate or the configuration cannot be used.
pub(crate) async fn serve(mut config: Config) -> Outcome {
    let _log = start_process(&config)?;
    let metrics = web::init_metrics()?;
    let tls = Tls::new(&config.web)?;
    let listeners = NodeListeners::open(&mut config)?;
    let gateway = Gateway::start(config.gateway.clone())?;
    let address = listeners.site.local_addr()?;
    // An inherited listener may have another address than the configured one.
    config.check_address(address)?;
    let (takeover, data_dir) = take_data_dir(&config).await?;

    let clock = Clock::system();
    let store = open_store(&config, data_dir.clone(), &clock).await?;
    let security_log = open_security_log(&config, &clock)?;
    let chat = Chat::start(config.chat.clone(), &config.limits, store.clone(), gateway.clone(), clock.clone());
    let (accepting, is_accepting) = watch::channel(true);
    let services = Services {
        accounts: Accounts::new(store.clone(), clock.clone(), security_log.clone()),
        security_log: security_log.clone(),
        old_cookie_names: web::OldCookieNames::load(&store, clock.clone(), &config.web).await?,
        api_keys: ApiKeys::new(store.clone(), clock, &config.gateway.api_key),
        config,
        data_dir,
        store: store.clone(),
        gateway,
        chat: chat.clone(),
        metrics,
        tls,
        accepting,
        shutdown: CancellationToken::new(),
    };
    announce(&services, address, listeners.php.as_ref()).await?;

    let closed = CancellationToken::new();
    let (command_sender, commands) = mpsc::channel(MAX_QUEUED_COMMANDS);
    let control = tokio::spawn(control(&services, &listeners, address, &command_sender)?.serve(closed.clone()));
    tokio::spawn(shutdown_on_signal(command_sender)?);
    let state = AppState::new(services);
    let options = state.config.leptos.clone();
    let router = web::router(state.clone(), App, move |root| shell(options.clone(), root));
    if let Some(takeover) = takeover {
        // From here on, publishes are also relayed to the connections that the old process still holds.
        takeover.confirm(&state.gateway).await?;
    }
    let php = listeners.php.and_then(|php| spawn_php_server(&state, php, address.port(), is_accepting, closed.clone()));

    let outcome = web::serve(TcpListener::from_std(listeners.site)?, state, router, commands).await;
    if outcome.requests_cut_off {
        tracing::warn!("requests aborted at shutdown: they took longer than web.drain_within_ms");
    }
    chat.close().await;
    store.close().await;
    security_log.close();
    closed.cancel();
    let _ = control.await;
    wait_for_php(php).await;
    tracing::info!("closed");
    Ok(())
}

/// Waits until PHP's connections are closed, for [`PHP_SHUTDOWN_TIMEOUT`] at most.
async fn wait_for_php(php: Option<JoinHandle<io::Result<()>>>) {
    if let Some(php) = php
        && tokio::time::timeout(PHP_SHUTDOWN_TIMEOUT, php).await.is_err()
    {
        tracing::warn!(timeout = ?PHP_SHUTDOWN_TIMEOUT, "PHP connections aborted at shutdown: they did not read their replies in time");
    }
}

/// Opens the security log. The error names the data folder.
fn open_security_log(config: &Config, clock: &Clock) -> Result<SecurityLog, String> {
    let folder = config.storage.data_dir.display();
    SecurityLog::open(&config.storage, clock.clone())
        .map_err(|error| format!("security.log in {folder} cannot be written: {error}"))
}

/// Starts logging, raises the limit of open files, and logs a warning for each condition under which the server works badly.
/// Returns the guard that writes the last log lines.
fn start_process(config: &Config) -> io::Result<LogGuard> {
    let log = web::init_tracing()?;
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    // Every connection is a file descriptor.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
    if !web::has_site() {
        tracing::warn!("no site files in this binary: pages come without style and script; build it with `make build`");
    }
    Ok(log)
}

/// Locks the data folder, for whichever store. In a reload, it waits until the running process has paused and released it.
async fn take_data_dir(config: &Config) -> Result<(Option<Takeover>, DataDirLock), Box<dyn Error>> {
    let takeover = Takeover::request(&config.storage.data_dir).await?;
    let data_dir = DataDirLock::acquire(&config.storage.data_dir)?;
    storage::settle_restore(&config.storage, &data_dir, takeover.as_ref().and_then(Takeover::restores)).await?;
    Ok((takeover, data_dir))
}

/// Opens the store, logs the notices, and opens the first room of a new installation. One whose operator deleted all rooms
/// stays without any.
async fn open_store(config: &Config, data_dir: DataDirLock, clock: &Clock) -> Result<Store, Box<dyn Error>> {
    data_dir.notices().iter().for_each(|notice| tracing::warn!("{notice}"));
    let store = Store::open_locked(&config.storage, data_dir).await?;
    store.notices().iter().for_each(|notice| tracing::warn!("{notice}"));
    if store.rooms(1).await?.is_empty() && !store.has_numbered_rooms().await? {
        store.open_room(FIRST_ROOM_TITLE, None, clock.now_ms()).await?;
    }
    Ok(store)
}

/// The control socket's server, with copies of the listeners for the process that a reload starts.
fn control(
    services: &Services,
    listeners: &NodeListeners,
    address: SocketAddr,
    commands: &mpsc::Sender<ServerCommand>,
) -> io::Result<ControlServer> {
    let reloader = Reloader::new(&listeners.all())?;
    let data_dir = &services.config.storage.data_dir;
    let (gateway, accounts, shutdown) = (services.gateway.clone(), services.accounts.clone(), services.shutdown.clone());
    let queues = CommandQueues { server: commands.clone(), rooms: act_on_rooms(services.chat.clone()) };
    Ok(ControlServer::new(gateway, accounts, queues, reloader, address.to_string(), data_dir, shutdown))
}

/// Starts the PHP gateway protocol in a task that ends after `closed`. `None`: the gateway has a subscriber already.
fn spawn_php_server(
    state: &AppState,
    listeners: PhpListeners,
    gateway_port: u16,
    is_accepting: watch::Receiver<bool>,
    closed: CancellationToken,
) -> Option<JoinHandle<io::Result<()>>> {
    let (server, events) = GatewayWorkerServer::new(&state.config.gateway, state.gateway.clone(), gateway_port)?;
    let served = server.serve(events, listeners, is_accepting, closed);
    Some(tokio::spawn(served.inspect_err(|error| tracing::error!(%error, "could not serve the PHP gateway protocol"))))
}
