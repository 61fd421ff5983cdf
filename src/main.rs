//! The roof: the command line, the configuration, the floors raised one on the other, the pages handed to the door, served,
//! drained. One of the two places that see both halves of the program.

mod command;

use clap::Parser;
use command::{Command, Line};
use roomcast::app::{App, shell};
use roomcast::domain::room::FIRST_ROOM;
use roomcast::server::{
    accounts::{Accounts, ApiKeys},
    chat::Chat,
    clock::Clock,
    config::Config,
    gateway::Gateway,
    storage::Store,
    web,
};
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

type Outcome = Result<(), Box<dyn Error>>;

/// What the first room of a new installation is called.
const FIRST_TITLE: &str = "直播间 1 · Room 1";
/// The floors below the door close within this after it; together under the 8 s that an operator waits.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let line = Line::parse();
    // What is not text is no variable of ours.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let outcome = Config::load(&line.flags(), &environment).map_err(Box::from).and_then(|config| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let outcome = runtime.block_on(async {
            match line.command.unwrap_or(Command::Serve) {
                Command::Serve => serve(config).await,
                Command::User { command } => command.run(&config).await,
                Command::Room { command } => command.run(&config).await,
            }
        });
        runtime.shutdown_timeout(CLOSE_WITHIN);
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

async fn serve(config: Config) -> Outcome {
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
    let store = Store::open(&config.storage).await?;
    if store.rooms(1).await?.is_empty() {
        store.add_room(&FIRST_ROOM.parse()?, FIRST_TITLE, None, clock.now_ms()).await?;
    }
    let accounts = Accounts::new(store.clone(), clock.clone());
    let gateway = Gateway::start(config.gateway.clone())?;
    let chat = Chat::start(config.chat.clone(), store.clone(), gateway.clone(), clock.clone()).await?;

    let listener =
        TcpListener::bind(config.leptos.site_addr).await.map_err(|error| format!("{}: {error}", config.leptos.site_addr))?;
    let address = listener.local_addr()?;
    let url = if config.web.public_url.is_empty() { format!("http://{address}") } else { config.web.public_url.clone() };
    println!("Roomcast serves {url}  (listening on {address}, data in {})", config.storage.data_dir.display());
    if let Some(link) = accounts.owner_link().await? {
        println!("No owner yet: make the owner's account, once, at {url}/sign-in?owner={}", link.reveal());
    }
    println!("Open it in a browser; Ctrl+C stops it.");

    let options = config.leptos.clone();
    let api_keys = ApiKeys::new(store.clone(), clock, &config.gateway.api_key);
    let site = web::Site::new(config, store.clone(), gateway, accounts, chat.clone(), api_keys, metrics);
    let router = web::router(site.clone(), App, move |root| shell(options.clone(), root));
    let served = web::serve(listener, site, router, asked_to_leave()?).await;
    if served.unfinished {
        tracing::warn!("some requests were cut off: they took longer than web.drain_within_ms");
    }
    chat.close().await;
    store.close().await;
    tracing::info!("closed");
    Ok(())
}

/// SIGTERM or SIGINT; caught from here on, not only when it is awaited.
fn asked_to_leave() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
