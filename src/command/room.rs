//! `roomcast room`: rooms, in the database of a running or stopped server.

use super::{Outcome, find_account, record, refusal_text};
use clap::Subcommand;
use roomcast::domain::{id::RoomId, name, room::MAX_SLOW_MS, text::escape_controls};
use roomcast::server::{
    clock::Clock,
    config::Config,
    security_log::{Act, Event},
    storage::Store,
};

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
}

impl RoomCommand {
    /// Runs the subcommand.
    pub(crate) async fn run(self, config: &Config) -> Outcome {
        let store = Store::open_unlocked(&config.storage).await?;
        let now = Clock::system().now_ms();
        match self {
            Self::List => {
                for row in store.rooms(u32::MAX).await? {
                    let host = row.host_nickname.unwrap_or_default();
                    println!("{}\t{}\t{}", row.room, escape_controls(&row.title), escape_controls(&host));
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
                record(config, &[Event::by_command(Act::RoomChanged).room(room.as_str())]);
            }
            Self::Host { room, name } => {
                let uid = find_account(&store, &name).await?.person.uid;
                require_room(&room, store.set_room_host(&room, &uid).await?)?;
                record(config, &[Event::by_command(Act::RoomChanged).room(room.as_str()).uid(&uid).account(&name)]);
            }
            Self::Slow { room, seconds } => {
                require_room(&room, store.set_room_slow_mode(&room, seconds * 1000).await?)?;
                record(config, &[Event::by_command(Act::RoomChanged).room(room.as_str())]);
            }
        }
        store.close().await;
        Ok(())
    }
}

/// The error that there is no such room, if the update changed no row.
fn require_room(room: &RoomId, changed: bool) -> Outcome {
    if changed { Ok(()) } else { Err(format!("no room {room}").into()) }
}
