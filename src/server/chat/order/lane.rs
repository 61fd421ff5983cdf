//! The pushes of a lane's commits, where there are other nodes: at once to the bus, and to the order of this node.

use super::epochs::Epochs;
use super::item::{Item, Kind};
use super::wire::encode;
use crate::domain::{
    id::{Epoch, RoomId},
    push::Push,
};
use crate::server::bus::{Bus, Subject};
use crate::server::chat::pushes::{Pusher, RoomPush};
use crate::server::cluster::Incarnation;
use std::collections::HashMap;
use tokio::sync::mpsc;

/// The numbered pushes of a batch, by room, each room's in the order of its commits.
pub(super) type Numbered = Vec<(RoomId, Vec<Item>)>;

/// The push task of a lane.
#[derive(Clone)]
pub(in crate::server::chat) struct LanePushes {
    pub(super) bus: Bus,
    pub(super) incarnation: Incarnation,
    pub(super) epochs: Epochs,
    pub(super) own: mpsc::Sender<Numbered>,
    pub(super) pusher: Pusher,
}

impl LanePushes {
    /// Passes the batches on, until the lane's queue is closed and empty.
    pub(in crate::server::chat) async fn run(self, mut batches: mpsc::Receiver<Vec<RoomPush>>) {
        while let Some(batch) = batches.recv().await {
            let (numbered, others) = split(batch);
            let mut later = Vec::new();
            for (room, items) in &numbered {
                match self.epochs.get(room) {
                    Some(epoch) => self.publish(room, &epoch, items),
                    None => later.push((room.clone(), items.iter().map(without_message).collect::<Vec<_>>())),
                }
            }
            if self.own.send(numbered).await.is_err() {
                tracing::error!("the order of the rooms has ended: pages receive stored messages only when they bind again");
            }
            for push in others {
                self.pusher.send(push).await;
            }
            for (room, items) in later {
                if let Some(epoch) = self.epochs.read(&self.pusher.store, &room).await {
                    self.publish(&room, &epoch, &items);
                }
            }
        }
    }

    fn publish(&self, room: &RoomId, epoch: &Epoch, items: &[Item]) {
        let subject = Subject::messages(room);
        encode(self.incarnation, epoch, items).into_iter().for_each(|message| self.bus.publish(&subject, message));
    }
}

fn without_message(item: &Item) -> Item {
    Item { json: item.json.clone(), message: None, ..*item }
}

/// Encodes the numbered pushes of a batch, and returns the others beside them.
fn split(batch: Vec<RoomPush>) -> (Numbered, Vec<RoomPush>) {
    let (mut numbered, mut others): (Numbered, _) = (Vec::new(), Vec::new());
    let mut places: HashMap<RoomId, usize> = HashMap::new();
    for push in batch {
        let (room, item) = match push {
            RoomPush::Message(message) => (message.room.clone(), Item::from(message)),
            RoomPush::Changed(changed, head) => {
                let (room, rev) = (changed.room.clone(), changed.rev);
                (room, Item::of_change(Kind::Changed, rev, head, &Push::Changed(changed)))
            }
            RoomPush::State(room, rev, state, head) => {
                (room.clone(), Item::of_change(Kind::State, rev, head, &Push::Room { room, rev, state }))
            }
            // The look at the heads finds a change that no push told.
            RoomPush::Gap(..) => continue,
            RoomPush::You(_) | RoomPush::Staff(..) | RoomPush::Revoked(..) | RoomPush::Granted(..) => {
                others.push(push);
                continue;
            }
        };
        let place = *places.entry(room.clone()).or_insert(numbered.len());
        match numbered.get_mut(place) {
            Some((_, items)) => items.push(item),
            None => numbered.push((room, vec![item])),
        }
    }
    (numbered, others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::change::{Changed, Rev, Why};
    use crate::domain::id::{Seq, Uid};

    #[test]
    fn the_pushes_of_a_room_stay_together_and_in_order() {
        let room = |name: &str| name.parse::<RoomId>().unwrap();
        let changed = |name: &str, rev| Changed {
            room: room(name),
            rev: Rev(rev),
            at: 1,
            why: Why::Moderator,
            removed: vec![],
            purged: None,
            restored: vec![],
            reread: true,
        };
        let batch = vec![
            RoomPush::Changed(changed("a", 1), Seq(7)),
            RoomPush::Changed(changed("b", 4), Seq(8)),
            RoomPush::Revoked(room("a"), Uid::nobody()),
            RoomPush::Changed(changed("a", 2), Seq(9)),
        ];
        let (numbered, others) = split(batch);
        let numbers: Vec<_> = numbered
            .iter()
            .map(|(room, items)| (room.as_str(), items.iter().map(|item| (item.number, item.head.0)).collect::<Vec<_>>()))
            .collect();
        assert_eq!(numbers, [("a", vec![(1, 7), (2, 9)]), ("b", vec![(4, 8)])]);
        assert!(matches!(others[..], [RoomPush::Revoked(..)]));
    }
}
