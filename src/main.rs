//! The roof: the command line, the configuration, the floors raised one on the other, the pages handed to the door, served,
//! drained. One of the two places that see both halves of the program.

mod command;

use clap::Parser;
use command::{Cli, Command};
use futures_util::TryFutureExt;
use roomcast::app::{App, shell};
use roomcast::domain::room::FIRST_ROOM;
use roomcast::server::{
    accounts::{Accounts, ApiKeys},
    chat::Chat,
    clock::Clock,
    config::{Config, GatewaySettings, Switch},
    control::{Control, InheritedListeners, Reloader, ServerCommand, Takeover},
    gateway::Gateway,
    gatewayworker::{GatewayWorkerServer, Listeners},
    storage::Store,
    web,
};
use socket2::{Domain, Socket, Type};
use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Orders that may wait; each is about the whole node.
const MAX_QUEUED_COMMANDS: usize = 4;
/// Connections that may wait to be accepted; the system's own bound (net.core.somaxconn) is often lower.
const LISTEN_BACKLOG: i32 = 16_384;

type Outcome = Result<(), Box<dyn Error>>;

/// What the first room of a new installation is called.
const FIRST_ROOM_TITLE: &str = "直播间 1 · Room 1";
/// The floors below the door close within this after it; together under the 8 s that an operator waits.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
/// PHP's door closes when everyone was seen off, since its workers are told of that.
const PHP_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let cli = Cli::parse();
    // What is not text is no variable of ours.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let outcome = Config::load(&cli.flags(), &environment).map_err(Box::from).and_then(|config| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let outcome = runtime.block_on(async {
            match cli.command.unwrap_or(Command::Serve) {
                Command::Serve => serve(config).await,
                Command::Status { watch } => command::node::status(&config, watch).await,
                Command::Connections { limit } => command::node::connections(&config, limit).await,
                Command::Stop { gracefully } => command::node::stop(&config, gracefully).await,
                Command::Reload => command::node::reload(&config).await,
                Command::Push(push) => push.run(&config),
                Command::Key { command } => command.run(&config).await,
                Command::User { command } => command.run(&config).await,
                Command::Room { command } => command.run(&config).await,
            }
        });
        runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("roomcast: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(mut config: Config) -> Outcome {
    web::init_tracing();
    // Ten thousand viewers are ten thousand file descriptors.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    if !web::has_site() {
        tracing::warn!("this binary carries no site: pages come without style and script; `make build` builds a whole one");
    }
    let metrics = web::init_metrics()?;
    let clock = Clock::system();
    let tls = web::Tls::new(&config.web)?;
    let InheritedListeners { site, inner, register } = InheritedListeners::from_env()?;
    let listener = listener(config.leptos.site_addr, site)?;
    let php_listeners = open_php_listeners(&config.gateway, [inner, register])?;
    if let Some(Listeners { inner, .. }) = &php_listeners
        && config.gateway.lan_addr.port() == 0
    {
        config.gateway.lan_addr.set_port(inner.local_addr()?.port());
    }
    let gateway = Gateway::start(config.gateway.clone())?;
    // The listener may be an inherited one.
    config.check_address(listener.local_addr()?)?;
    // From here on an old process, if there is one, has given way.
    let takeover = Takeover::request(&config.storage.data_dir).await?;
    let store = Store::open(&config.storage).await?;
    if store.rooms(1).await?.is_empty() {
        store.add_room(&FIRST_ROOM.parse()?, FIRST_ROOM_TITLE, None, clock.now_ms()).await?;
    }
    let accounts = Accounts::new(store.clone(), clock.clone());
    let chat = Chat::start(config.chat.clone(), store.clone(), gateway.clone(), clock.clone()).await?;
    let api_keys = ApiKeys::new(store.clone(), clock, &config.gateway.api_key);

    let address = listener.local_addr()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = if config.web.public_url.is_empty() { format!("{scheme}://{address}") } else { config.web.public_url.clone() };
    print_line(format_args!("Roomcast serves {url}  (listening on {address}, data in {})", config.storage.data_dir.display()));
    if let Some(link) = accounts.owner_link().await? {
        print_line(format_args!("No owner yet: make the owner's account, once, at {url}/sign-in?owner={}", link.reveal()));
    }
    if let Some(Listeners { register, .. }) = &php_listeners {
        let (register, inner) = (register.local_addr()?, config.gateway.lan_addr);
        print_line(format_args!("PHP finds this node at {register}  (inner address {inner})"));
    }
    print_line(format_args!("Open it in a browser; Ctrl+C stops it."));

    let (shutdown, closed) = (CancellationToken::new(), CancellationToken::new());
    let (command_sender, commands) = mpsc::channel(MAX_QUEUED_COMMANDS);
    let mut reload_listeners = vec![&listener];
    reload_listeners.extend(php_listeners.iter().flat_map(|Listeners { inner, register }| [inner, register]));
    let reloader = Reloader::new(&reload_listeners)?;
    let data_dir = config.storage.data_dir.clone();
    let control =
        Control::new(gateway.clone(), command_sender.clone(), reloader, address.to_string(), &data_dir, shutdown.clone());
    let control = tokio::spawn(control.serve(closed.clone()));
    tokio::spawn(shutdown_on_signal(command_sender)?);

    let (accepting, is_accepting) = watch::channel(true);
    let options = config.leptos.clone();
    let services = web::Services {
        config,
        store: store.clone(),
        gateway,
        accounts,
        api_keys,
        chat: chat.clone(),
        metrics,
        tls,
        accepting,
        shutdown,
    };
    let state = web::AppState::new(services);
    let router = web::router(state.clone(), App, move |root| shell(options.clone(), root));
    if let Some(takeover) = takeover {
        takeover.confirm(&state.gateway).await?;
    }
    // From here on what is pushed is handed on to those who are still with the process before this one.
    let door = php_listeners.and_then(|listeners| {
        let (door, happens) = GatewayWorkerServer::new(&state.config.gateway, state.gateway.clone(), address.port())?;
        let served = door.serve(happens, listeners, is_accepting, closed.clone());
        Some(tokio::spawn(served.inspect_err(|error| tracing::error!(%error, "PHP's door could not open"))))
    });
    let outcome = web::serve(TcpListener::from_std(listener)?, state, router, commands).await;
    if outcome.requests_cut_off {
        tracing::warn!("some requests were cut off: they took longer than web.drain_within_ms");
    }
    chat.close().await;
    store.close().await;
    closed.cancel();
    let _ = control.await;
    if let Some(door) = door
        && tokio::time::timeout(PHP_SHUTDOWN_TIMEOUT, door).await.is_err()
    {
        tracing::warn!("some of PHP's connections were cut off: they took what they had asked for too slowly");
    }
    tracing::info!("closed");
    Ok(())
}

/// Whoever started us may have stopped listening: that is no reason not to serve.
fn print_line(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Where PHP comes in. A second node on a machine, which was not told other addresses, goes without.
fn open_php_listeners(
    settings: &GatewaySettings,
    inherited: [Option<std::net::TcpListener>; 2],
) -> Result<Option<Listeners>, Box<dyn Error>> {
    if settings.php == Switch::Off {
        return Ok(None);
    }
    let GatewaySettings { lan_addr, lan_listen, register_addr, .. } = settings;
    if lan_addr.ip().is_unspecified() {
        tracing::warn!(
            "gateway.lan_addr is told to PHP, which cannot call {}: say this machine's address there, and where to listen in \
             gateway.lan_listen",
            lan_addr.ip()
        );
    }
    let [inner, register] = inherited;
    let opened = listener_at(lan_listen.unwrap_or(SocketAddr::V4(*lan_addr)), inner)
        .and_then(|inner| Ok(Listeners { inner, register: listener_at(*register_addr, register)? }));
    let defaults = GatewaySettings::default();
    match opened {
        Ok(listeners) => Ok(Some(listeners)),
        Err(error) if (*lan_addr, *register_addr) == (defaults.lan_addr, defaults.register_addr) => {
            tracing::warn!(
                %error,
                "PHP cannot call this node: set gateway.lan_addr and gateway.register_addr to addresses that are free, or \
                 gateway.php to \"off\""
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The one handed to us, or one of our own. A crowd that comes at once waits in its queue, as long as the system allows.
fn listener(address: SocketAddr, inherited: Option<std::net::TcpListener>) -> Result<std::net::TcpListener, Box<dyn Error>> {
    let listener = match inherited {
        Some(inherited) => inherited,
        None => {
            let bind = || {
                let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
                socket.set_reuse_address(true)?;
                socket.bind(&address.into())?;
                socket.listen(LISTEN_BACKLOG)?;
                Ok(socket.into())
            };
            bind().map_err(|error: std::io::Error| format!("{address}: {error}"))?
        }
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The same where the address counts: it is told to others, and may have been changed.
fn listener_at(address: SocketAddr, inherited: Option<std::net::TcpListener>) -> Result<std::net::TcpListener, Box<dyn Error>> {
    let is_meant = |listener: &std::net::TcpListener| {
        listener.local_addr().is_ok_and(|has| has.ip() == address.ip() && [has.port(), 0].contains(&address.port()))
    };
    listener(address, inherited.filter(is_meant))
}

/// SIGTERM or SIGINT; caught from here on, not only when it is awaited.
fn shutdown_on_signal(commands: mpsc::Sender<ServerCommand>) -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if commands.send(ServerCommand::Shutdown { gracefully: false }).await.is_err() {
                return;
            }
        }
    })
}
