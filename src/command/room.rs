//! `roomcast room`: rooms, beside a running server.

use super::{Outcome, find_account, refusal_text};
use clap::Subcommand;
use roomcast::domain::{id::RoomId, name};
use roomcast::server::{clock::Clock, config::Config, storage::Store};

#[derive(Subcommand)]
pub enum RoomCommand {
    /// Every room: id, title, host
    List,
    /// A new room, under the next free number or a name of your own
    Add {
        title: String,
        #[arg(long)]
        id: Option<RoomId>,
        /// Account name of the host
        #[arg(long)]
        host: Option<String>,
    },
    /// Another title
    Title { room: RoomId, title: String },
    /// Another host, by account name
    Host { room: RoomId, name: String },
}

impl RoomCommand {
    pub async fn run(self, config: &Config) -> Outcome {
        let store = Store::open_unlocked(&config.storage).await?;
        let now = Clock::system().now_ms();
        match self {
            Self::List => {
                for row in store.rooms(u32::MAX).await? {
                    println!("{}\t{}\t{}", row.room, row.title, row.host_nickname.unwrap_or_default());
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
                    Some(id) => return Err(format!("there is a room {id} already").into()),
                };
                println!("{room}");
            }
            Self::Title { room, title } => {
                let title = name::title(&title).map_err(refusal_text)?;
                known(&room, store.set_room_title(&room, &title).await?)?;
            }
            Self::Host { room, name } => {
                let uid = find_account(&store, &name).await?.person.uid;
                known(&room, store.set_room_host(&room, &uid).await?)?;
            }
        }
        store.close().await;
        Ok(())
    }
}

fn known(room: &RoomId, changed: bool) -> Outcome {
    if changed { Ok(()) } else { Err(format!("there is no room {room}").into()) }
}
