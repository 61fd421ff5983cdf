//! A new epoch of every room, after a fail-over of the database: it may lack the last messages, so seqs may be given a second time.
//! Open pages must not take such a message for one that they hold.

use super::Chat;
use crate::domain::{
    id::{ClientId, RoomId},
    push::{CloseCode, Push},
};
use crate::server::gateway::{ConnectionView, Frame, Kick, Publication, Selection};
use futures_util::future::join_all;
use std::collections::HashSet;
use std::time::Duration;

/// Time over which the sockets of rooms are closed, and the turns in it.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);
const TURNS: u32 = 50;
/// Groups that one query looks up among the rooms.
const ROOMS_PER_QUERY: usize = 1000;
/// The delay that `bye` asks for, in milliseconds: the turns spread the pages already.
const RECONNECT_MS: std::ops::Range<u64> = 100..400;

impl Chat {
    /// Forgets what this node keeps of rooms, and closes the sockets in them with 1012, in turns, so that their pages bind again and
    /// get the new epoch. Sockets of other groups stay.
    pub async fn begin_new_epoch(&self) {
        self.forget_rooms();
        self.search.forget();
        self.tails.forget_all();
        if let Some(order) = &self.order {
            order.forget_all().await;
        }
        tokio::select! {
            () = self.send_members_away() => {}
            () = self.closing.cancelled() => {}
        }
    }

    async fn send_members_away(&self) {
        let members = self.members().await;
        tracing::warn!(sockets = members.len(), "rooms begin a new epoch: the sockets in them are closed in turns");
        let per_turn = members.len().div_ceil(TURNS as usize).max(1);
        for turn in members.chunks(per_turn) {
            join_all(turn.iter().map(|client| self.send_away(*client))).await;
            tokio::time::sleep(CLOSED_WITHIN / TURNS).await;
        }
    }

    /// The connections in a room. A group that only looks like a room is a back end's.
    async fn members(&self) -> Vec<ClientId> {
        let in_groups = |client, member: ConnectionView<'_>| {
            let rooms = member.groups().filter_map(|group| group.as_text().parse::<RoomId>().ok());
            (client, rooms.collect::<Vec<_>>())
        };
        let members = self.gateway.select(Selection::All, in_groups).await;
        let named: HashSet<_> = members.iter().flat_map(|(_, rooms)| rooms).cloned().collect();
        let named: Vec<_> = named.into_iter().collect();
        let mut rooms = HashSet::new();
        for asked in named.chunks(ROOMS_PER_QUERY) {
            let asked: HashSet<_> = asked.iter().cloned().collect();
            match self.store.room_settings(asked.clone()).await {
                Ok(found) => rooms.extend(found.into_keys()),
                // The store cannot tell: the sockets are closed, some of them perhaps in vain.
                Err(_) => rooms.extend(asked),
            }
        }
        let in_rooms = members.into_iter().filter(|(_, named)| named.iter().any(|room| rooms.contains(room)));
        in_rooms.map(|(client, _)| client).collect()
    }

    async fn send_away(&self, client: ClientId) {
        let bye = Push::Bye { reconnect_after_ms: rand::random_range(RECONNECT_MS) };
        let farewell = Publication::v1(Frame::text(bye.to_json().as_bytes()));
        let kick = Kick { code: CloseCode::NEW_EPOCH, reason: "new epoch".into(), silent_on_plain: false };
        self.gateway.close_client(client, Some(farewell), kick).await;
    }
}
