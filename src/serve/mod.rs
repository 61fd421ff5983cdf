//! The default command: opens the listeners, starts the services from the bottom floor up, serves until shutdown, and
//! closes everything in the opposite order. It knows both the pages (`app`) and the server, as `main.rs` does.

mod announce;
mod gateways;
mod listeners;
mod nodes;
mod rooms;
mod signals;

use crate::Outcome;
use announce::announce;
use futures_util::TryFutureExt;
use gateways::other_gateways;
use listeners::NodeListeners;
use roomcast::app::{App, shell};
use roomcast::server::{
    accounts::{Accounts, ApiKeys},
    chat::Chat,
    clock::Clock,
    cluster::Cluster,
    config::Config,
    control::{CommandQueues, ControlReach, ControlServer, Reloader, ServerCommand, Takeover},
    gateway::Gateway,
    gatewayworker::{GatewayWorkerServer, Listeners as PhpListeners},
    kicks::Kicks,
    security_log::SecurityLog,
    storage::{self, DataDirLock, Store},
    web::{self, AppState, LogGuard, Services, Tls},
};
use rooms::{act_on_rooms, moderate};
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
    let (metrics, tls) = (web::init_metrics()?, Tls::new(&config.web)?);
    let listeners = NodeListeners::open(&mut config)?;
    let gateway = Gateway::start(config.gateway.clone())?;
    let address = listeners.site.local_addr()?;
    // An inherited listener may have another address than the configured one.
    config.check_address(address)?;
    let (takeover, data_dir) = take_data_dir(&config).await?;

    let clock = Clock::system();
    let store = open_store(&config, data_dir.clone(), &clock).await?;
    let security_log = open_security_log(&config, &clock)?;
    let cluster = nodes::join(&config, &store, &gateway, takeover.as_ref()).await?;
    let (accepting, is_accepting) = watch::channel(true);
    let services = Services {
        accounts: Accounts::new(store.clone(), clock.clone(), security_log.clone()),
        security_log,
        chat: start_chat(&config, &store, &gateway, &cluster, &clock),
        old_cookie_names: web::OldCookieNames::load(&store, clock.clone(), &config.web).await?,
        api_keys: ApiKeys::new(store.clone(), clock, &config.gateway.api_key),
        kicks: Kicks::start(gateway.clone(), cluster.clone()),
        config,
        data_dir,
        store,
        gateway,
        cluster,
        metrics,
        tls,
        accepting,
        shutdown: CancellationToken::new(),
    };

    let closed = CancellationToken::new();
    let (command_sender, commands) = mpsc::channel(MAX_QUEUED_COMMANDS);
    let control = tokio::spawn(control(&services, &listeners, address, &command_sender)?.serve(closed.clone()));
    tokio::spawn(shutdown_on_signal(command_sender.clone())?);
    tokio::spawn(nodes::follow(services.cluster.clone(), command_sender, services.shutdown.clone()));
    // After the signals: it says that Ctrl+C stops the server.
    announce(&services, address, listeners.php.as_ref()).await?;
    let state = AppState::new(services);
    let options = state.config.leptos.clone();
    let router = web::router(state.clone(), App, move |root| shell(options.clone(), root));
    begin_to_serve(&state, takeover).await?;
    let php = listeners.php.and_then(|php| spawn_php_server(&state, php, address.port(), is_accepting, closed.clone()));

    let outcome = web::serve(TcpListener::from_std(listeners.site)?, state.clone(), router, commands).await;
    if outcome.requests_cut_off {
        tracing::warn!("requests aborted at shutdown: they took longer than web.drain_within_ms");
    }
    close(state).await;
    closed.cancel();
    let _ = control.await;
    wait_for_php(php).await;
    tracing::info!("closed");
    Ok(())
}

/// Takes over from the process before, after a reload, and tells the other nodes that this one serves.
async fn begin_to_serve(services: &Services, takeover: Option<Takeover>) -> Outcome {
    if let Some(takeover) = takeover {
        // From here on, publishes are also relayed to the connections that the old process still holds.
        let state = takeover.confirm(&services.gateway).await?;
        services.chat.go_on(&state).await;
    }
    services.cluster.announce();
    Ok(())
}

/// Closes the services from the top floor down. The other nodes hear of it before the database is closed.
async fn close(services: AppState) {
    services.chat.close().await;
    services.cluster.leave().await;
    services.store.close().await;
    services.security_log.close();
}

/// Waits until PHP's connections are closed, for [`PHP_SHUTDOWN_TIMEOUT`] at most.
async fn wait_for_php(php: Option<JoinHandle<io::Result<()>>>) {
    if let Some(php) = php
        && tokio::time::timeout(PHP_SHUTDOWN_TIMEOUT, php).await.is_err()
    {
        tracing::warn!(timeout = ?PHP_SHUTDOWN_TIMEOUT, "PHP connections aborted at shutdown: they did not read their replies in time");
    }
}

fn start_chat(config: &Config, store: &Store, gateway: &Gateway, cluster: &Cluster, clock: &Clock) -> Chat {
    let settings = (config.chat.clone(), &config.moderation);
    Chat::start(settings, &config.limits, store.clone(), gateway.clone(), cluster.clone(), clock.clone())
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

/// Opens the store, logs the notices, and opens the first room of a new installation.
async fn open_store(config: &Config, data_dir: DataDirLock, clock: &Clock) -> Result<Store, Box<dyn Error>> {
    data_dir.notices().iter().for_each(|notice| tracing::warn!("{notice}"));
    let store = match config.cluster.nats.is_empty() {
        true => Store::open_locked(&config.storage, data_dir).await?,
        false => Store::open_in_cluster(&config.storage, data_dir).await?,
    };
    store.notices().iter().for_each(|notice| tracing::warn!("{notice}"));
    store.open_first_room(FIRST_ROOM_TITLE, clock.now_ms()).await?;
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
    let reach =
        ControlReach { gateway: services.gateway.clone(), cluster: services.cluster.clone(), kicks: services.kicks.clone() };
    let (accounts, shutdown) = (services.accounts.clone(), services.shutdown.clone());
    let queues = CommandQueues {
        server: commands.clone(),
        rooms: act_on_rooms(services.chat.clone()),
        acts: moderate(services.chat.clone()),
    };
    Ok(ControlServer::new(reach, accounts, queues, reloader, address.to_string(), data_dir, shutdown))
}

/// Starts the PHP gateway protocol in a task that ends after `closed`. `None`: the gateway has a subscriber already.
fn spawn_php_server(
    state: &AppState,
    listeners: PhpListeners,
    gateway_port: u16,
    is_accepting: watch::Receiver<bool>,
    closed: CancellationToken,
) -> Option<JoinHandle<io::Result<()>>> {
    let nodes = other_gateways(&state.cluster, closed.clone());
    let (server, events) = GatewayWorkerServer::new(&state.config.gateway, state.gateway.clone(), nodes, gateway_port)?;
    let served = server.serve(events, listeners, is_accepting, closed);
    Some(tokio::spawn(served.inspect_err(|error| tracing::error!(%error, "could not serve the PHP gateway protocol"))))
}
