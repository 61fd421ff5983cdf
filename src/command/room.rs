//! `roomcast room`: rooms, in the database of a running or stopped server.

use super::{Outcome, find_account, record, refusal_text};
use clap::Subcommand;
use roomcast::domain::{id::RoomId, name, room::MAX_SLOW_MS, text::escape_controls};
use roomcast::server::{
    clock::Clock,
    config::Config,
    control::{ControlClient, Request, Response, RoomAct},
    security_log::{Act, Event},
    storage::Store,
};
use std::io::{ErrorKind, IsTerminal};

/// Rows that are deleted in one transaction.
const ROWS_PER_BATCH: u32 = 500;

/// Subcommands of `roomcast room`.
#[derive(Subcommand)]
pub(crate) enum RoomCommand {
    /// List the rooms: id, title, host
    List,
    /// Create a room and print its id
    Add {
        /// Title of the room
        title: String,
        /// Id of the room: 1 to 64 of letters, digits, _ and - [default: the next free number]
        #[arg(long)]
        id: Option<RoomId>,
        /// Account name of the host
        #[arg(long)]
        host: Option<String>,
    },
    /// Change the title of a room
    Title {
        /// Id of the room
        room: RoomId,
        /// The new title
        title: String,
    },
    /// Change the host of a room
    Host {
        /// Id of the room
        room: RoomId,
        /// Account name of the new host
        name: String,
    },
    /// Set the slow mode of a room; it holds at once
    Slow {
        /// Id of the room
        room: RoomId,
        /// Seconds between two messages of one person, at most 21600 (6 hours); 0 is off
        #[arg(value_parser = clap::value_parser!(u64).range(0..=MAX_SLOW_MS / 1000))]
        seconds: u64,
    },
    /// Close a room: it takes no messages, leaves the lobby and stays readable
    Close {
        /// Id of the room
        room: RoomId,
    },
    /// Open a closed room
    Open {
        /// Id of the room
        room: RoomId,
    },
    /// Delete a room and its messages for good; asks for the room's id again
    Delete {
        /// Id of the room
        room: RoomId,
        /// Delete without asking
        #[arg(long)]
        yes: bool,
    },
}

impl RoomCommand {
    /// Runs the subcommand.
    pub(crate) async fn run(self, config: &Config) -> Outcome {
        match self {
            Self::Close { room } => act_on_room(config, room, RoomAct::Close).await,
            Self::Open { room } => act_on_room(config, room, RoomAct::Open).await,
            Self::Delete { room, yes } => {
                if !yes {
                    confirm(&room)?;
                }
                act_on_room(config, room, RoomAct::Delete).await
            }
            command => command.run_on_database(config).await,
        }
    }

    async fn run_on_database(self, config: &Config) -> Outcome {
        let store = Store::open_unlocked(&config.storage).await?;
        let now = Clock::system().now_ms();
        match self {
            Self::List => {
                for row in store.rooms(u32::MAX).await? {
                    let (host, state) = (row.host_nickname.unwrap_or_default(), if row.is_closed { "\tclosed" } else { "" });
                    println!("{}\t{}\t{}{state}", row.room, escape_controls(&row.title), escape_controls(&host));
                }
            }
            Self::Add { title, id, host } => {
                let title = name::title(&title).map_err(refusal_text)?;
                let host = match host {
                    Some(name) => Some(find_account(&store, &name).await?.person.uid),
                    None => None,
                };
                let room = match id {
                    None => store.open_room(&title, host.as_ref(), now).await?,
                    Some(id) if store.add_room(&id, &title, host.as_ref(), now).await? => id,
                    Some(id) => return Err(format!("room {id} already exists").into()),
                };
                println!("{room}");
                record(config, &[Event::by_command(Act::RoomAdded).room(room.as_str())]);
            }
            Self::Title { room, title } => {
                let title = name::title(&title).map_err(refusal_text)?;
                require_room(&room, store.set_room_title(&room, &title).await?)?;
                tell_server(config, &room).await;
                record(config, &[Event::by_command(Act::RoomChanged).room(room.as_str())]);
            }
            Self::Host { room, name } => {
                let uid = find_account(&store, &name).await?.person.uid;
                require_room(&room, store.set_room_host(&room, &uid).await?)?;
                tell_server(config, &room).await;
                record(config, &[Event::by_command(Act::RoomChanged).room(room.as_str()).uid(&uid).account(&name)]);
            }
            Self::Slow { room, seconds } => {
                require_room(&room, store.set_room_slow_mode(&room, seconds * 1000).await?)?;
                tell_server(config, &room).await;
                record(config, &[Event::by_command(Act::RoomChanged).room(room.as_str())]);
            }
            Self::Close { .. } | Self::Open { .. } | Self::Delete { .. } => {}
        }
        store.close().await;
        Ok(())
    }
}

/// The error that there is no such room, if the update changed no row.
fn require_room(room: &RoomId, changed: bool) -> Outcome {
    if changed { Ok(()) } else { Err(format!("no room {room}").into()) }
}

/// Tells the running server that the row of a room changed. Without an answer it reads the row again within 2 seconds.
async fn tell_server(config: &Config, room: &RoomId) {
    let request = Request::Room { room: room.clone(), act: RoomAct::Changed };
    if let Ok(mut client) = ControlClient::request(&config.storage.data_dir, &request).await {
        let _ = client.response().await;
    }
}

/// Asks the running server to act, so that it holds at once; without one, acts on the database.
async fn act_on_room(config: &Config, room: RoomId, act: RoomAct) -> Outcome {
    let sockets = match ControlClient::request(&config.storage.data_dir, &Request::Room { room: room.clone(), act }).await {
        Ok(mut client) => match client.response().await? {
            Response::RoomDone { sockets } => sockets,
            Response::Failed { reason } => return Err(reason.into()),
            other => return Err(format!("unexpected response: {other:?}").into()),
        },
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            let store = Store::open_unlocked(&config.storage).await?;
            let done = act_on_database(&store, &room, act).await;
            store.close().await;
            done?;
            0
        }
        Err(error) => return Err(error.into()),
    };
    let recorded = match act {
        RoomAct::Close => Act::RoomClosed,
        RoomAct::Open | RoomAct::Changed => Act::RoomChanged,
        RoomAct::Delete => Act::RoomDeleted,
    };
    record(config, &[Event::by_command(recorded).room(room.as_str())]);
    match act {
        RoomAct::Close => println!("room {room} closed"),
        RoomAct::Open => println!("room {room} opened"),
        RoomAct::Changed => {}
        RoomAct::Delete => println!("room {room} deleted, {sockets} sockets left it"),
    }
    Ok(())
}

async fn act_on_database(store: &Store, room: &RoomId, act: RoomAct) -> Outcome {
    let now = Clock::system().now_ms();
    match act {
        RoomAct::Close => require_room(room, store.close_room(room, now).await?),
        RoomAct::Open => require_room(room, store.reopen_room(room).await?),
        RoomAct::Changed => Ok(()),
        RoomAct::Delete => {
            require_room(room, store.delete_room(room, now).await?)?;
            while store.sweep_deleted_rooms(ROWS_PER_BATCH).await? > 0 {}
            store.scrub().await?;
            Ok(())
        }
    }
}

/// Returns an error unless the operator types the room's id.
fn confirm(room: &RoomId) -> Outcome {
    if !std::io::stdin().is_terminal() {
        return Err("this deletes the room and its messages for good: add --yes".into());
    }
    eprint!("This deletes room {room} and its messages for good. Type its id: ");
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    if typed.trim() == room.as_str() { Ok(()) } else { Err("nothing was deleted".into()) }
}
