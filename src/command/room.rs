//! `roomcast room`: rooms, in the database of a running or stopped server.

use super::operator_act::carry_out;
use super::person::find_person;
use super::{Outcome, find_account, record, refusal_text};
use clap::Subcommand;
use roomcast::domain::{id::RoomId, name, rank::Rank, room::MAX_SLOW_MS, text::escape_controls};
use roomcast::server::{
    clock::Clock,
    config::Config,
    control::{CommandAct, ControlClient, Request, Response, RoomAct},
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
    /// List the moderators and VIPs of a room: role, nickname, uid; or add and remove one
    Mods {
        /// Id of the room
        room: RoomId,
        #[command(subcommand)]
        change: Option<ModsChange>,
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

/// Changes of a room's moderators and VIPs.
#[derive(Subcommand)]
pub(crate) enum ModsChange {
    /// Make an account a moderator
    Add {
        /// Account name, `uid:` and a uid, or the nickname of a recent message in the room
        name: String,
        /// Make it a VIP instead: a guest of honour, whom slow mode does not concern
        #[arg(long)]
        vip: bool,
    },
    /// Take the role back
    Remove {
        /// The person
        name: String,
    },
}

impl RoomCommand {
    /// Runs the subcommand.
    pub(crate) async fn run(self, config: &Config) -> Outcome {
        match self {
            Self::Delete { room, yes } => {
                if !yes {
                    confirm(&room)?;
                }
                delete_room(config, room).await
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
                carry_out(config, &store, Some(&room), "", CommandAct::Title { title }).await?;
                record(config, &[Event::by_command(Act::RoomChanged).room(room.as_str())]);
            }
            Self::Host { room, name } => {
                let uid = find_account(&store, &name).await?.person.uid;
                carry_out(config, &store, Some(&room), "", CommandAct::Host { user: uid.clone() }).await?;
                record(config, &[Event::by_command(Act::RoomChanged).room(room.as_str()).uid(&uid).account(&name)]);
            }
            Self::Slow { room, seconds } => {
                let act = CommandAct::Mode { slow_ms: Some(seconds * 1000), closed: None, accounts: None };
                carry_out(config, &store, Some(&room), "", act).await?;
                record(config, &[Event::by_command(Act::RoomChanged).room(room.as_str())]);
            }
            Self::Close { room } => {
                let act = CommandAct::Mode { slow_ms: None, closed: Some(true), accounts: None };
                carry_out(config, &store, Some(&room), "", act).await?;
                println!("room {room} closed");
                record(config, &[Event::by_command(Act::RoomClosed).room(room.as_str())]);
            }
            Self::Open { room } => {
                let act = CommandAct::Mode { slow_ms: None, closed: Some(false), accounts: None };
                carry_out(config, &store, Some(&room), "", act).await?;
                println!("room {room} opened");
                record(config, &[Event::by_command(Act::RoomChanged).room(room.as_str())]);
            }
            Self::Mods { room, change } => change_mods(config, &store, &room, change).await?,
            Self::Delete { .. } => {}
        }
        store.close().await;
        Ok(())
    }
}

/// The error that there is no such room, if the update changed no row.
fn require_room(room: &RoomId, changed: bool) -> Outcome {
    if changed { Ok(()) } else { Err(format!("no room {room}").into()) }
}

/// Lists the moderators and VIPs of a room, or changes one.
async fn change_mods(config: &Config, store: &Store, room: &RoomId, change: Option<ModsChange>) -> Outcome {
    let (name, role) = match change {
        None => return list_mods(store, room).await,
        Some(ModsChange::Add { name, vip }) => (name, Some(if vip { Rank::Vip } else { Rank::Moderator })),
        Some(ModsChange::Remove { name }) => (name, None),
    };
    let user = find_person(store, Some(room), &name).await?;
    carry_out(config, store, Some(room), "", CommandAct::Role { user: user.clone(), role }).await?;
    let word = match role {
        Some(Rank::Vip) => "is a VIP",
        Some(_) => "is a moderator",
        None => "has no role",
    };
    println!("{} {word} in room {room}", escape_controls(&name));
    record(config, &[Event::by_command(Act::Moderated).verb("role").room(room.as_str()).uid(&user)]);
    Ok(())
}

async fn list_mods(store: &Store, room: &RoomId) -> Outcome {
    require_room(room, store.room(room).await?.is_some())?;
    for granted in store.granted(room).await? {
        let (role, nickname) = (granted.role.as_str(), escape_controls(&granted.nickname));
        println!("{role}\t{nickname}\tuid:{}", escape_controls(granted.uid.as_str()));
    }
    Ok(())
}

/// Asks the running server to delete the room, so that it holds at once; without one, deletes it in the database.
async fn delete_room(config: &Config, room: RoomId) -> Outcome {
    let request = Request::Room { room: room.clone(), act: RoomAct::Delete };
    let sockets = match ControlClient::request(&config.storage.data_dir, &request).await {
        Ok(mut client) => match client.response().await? {
            Response::RoomDone { sockets } => sockets,
            Response::Failed { reason } => return Err(reason.into()),
            other => return Err(format!("unexpected response: {other:?}").into()),
        },
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            let store = Store::open_unlocked(&config.storage).await?;
            let done = delete_from_database(&store, &room).await;
            store.close().await;
            done?;
            0
        }
        Err(error) => return Err(error.into()),
    };
    record(config, &[Event::by_command(Act::RoomDeleted).room(room.as_str())]);
    println!("room {room} deleted, {sockets} sockets left it");
    Ok(())
}

async fn delete_from_database(store: &Store, room: &RoomId) -> Outcome {
    require_room(room, store.delete_room(room, Clock::system().now_ms()).await?)?;
    while store.sweep_deleted_rooms(ROWS_PER_BATCH).await? > 0 {}
    store.scrub().await?;
    Ok(())
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
