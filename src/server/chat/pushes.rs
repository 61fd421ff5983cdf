//! The pushes of a room, in the order of its commits: messages, changes, the room's state, and what persons and the staff are told.
//! Each is encoded once, for any number of receivers.

use super::order::{Item, Kind, Skipped};
use super::staff_pushes::StaffPushes;
use crate::domain::{
    change::{Changed, Restraint, Rev, RoomState, Seqs},
    id::{RoomId, Seq, Uid},
    message::Message,
    push::Push,
};
use crate::server::{
    gateway::{Except, Frame, Gateway, Group, Publication},
    moderation::{Outcome, Told},
    storage::Store,
};
use serde::Serialize;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Open reports that are read to count those of a message.
const MAX_REPORTS: u32 = 500;

/// A push that leaves after its commit.
pub(super) enum RoomPush {
    /// A message.
    Message(Message),
    /// Messages were removed or restored. With the room's newest message at that time.
    Changed(Changed, Seq),
    /// The room's state, with the same.
    State(RoomId, Rev, RoomState, Seq),
    /// To all connections of a person.
    You(Box<You>),
    /// To the staff.
    Staff(RoomId, Option<Uuid>, Told),
    /// The connections of a person leave the staff.
    Revoked(RoomId, Uid),
    /// Those of a person join it.
    Granted(RoomId, Uid),
    /// A change was not pushed: pages bind again.
    Gap(RoomId, Rev),
}

/// The restraint and the warning of a person that are in force.
#[derive(Clone)]
pub(super) struct You {
    pub(super) room: RoomId,
    pub(super) uid: Uid,
    pub(super) restraint: Option<Restraint>,
    pub(super) warning: Option<Restraint>,
}

impl From<Message> for RoomPush {
    fn from(message: Message) -> Self {
        Self::Message(message)
    }
}

impl RoomPush {
    /// The pushes of an act in a room: its changes in the order of their revs, then those to persons.
    pub(super) fn of_act(room: &RoomId, outcome: Outcome) -> Vec<Self> {
        let Outcome { reply, head, changed, state, you, revoked, granted, told, has_batches: _ } = outcome;
        let you = you.map(|(uid, restraint, warning)| {
            let room = room.clone();
            Self::You(Box::new(You { room, uid, restraint, warning }))
        });
        // A former moderator is told nothing more.
        let revoked = revoked.map(|uid| Self::Revoked(room.clone(), uid));
        let granted = granted.map(|uid| Self::Granted(room.clone(), uid));
        let changed = changed.map(|changed| Self::Changed(changed, head));
        let state = state.map(|(rev, state)| Self::State(room.clone(), rev, state, head));
        let told = told.map(|told| Self::Staff(room.clone(), reply.action, told));
        let pushes = [changed, state, you, revoked, granted, told];
        pushes.into_iter().flatten().collect()
    }

    /// The pushes of an act that is found long after its commit: its changes may be too late for their place, so pages are told of a gap.
    pub(super) fn of_lost_act(room: &RoomId, mut outcome: Outcome) -> Vec<Self> {
        let changed = outcome.changed.take().map(|changed| changed.rev);
        let rev = changed.max(outcome.state.take().map(|(rev, _)| rev));
        let gap = rev.map(|rev| Self::Gap(room.clone(), rev));
        gap.into_iter().chain(Self::of_act(room, outcome)).collect()
    }
}

/// Sends pushes to the connections of this node.
#[derive(Clone)]
pub(super) struct Pusher {
    pub(super) gateway: Gateway,
    pub(super) store: Store,
    pub(super) staff: StaffPushes,
    /// Whether connections without a subprotocol get `changed`.
    pub(super) plain_changes: bool,
}

impl Pusher {
    /// Sends the batches of a lane, until its queue is closed and empty.
    pub(super) async fn run(self, mut batches: mpsc::Receiver<Vec<RoomPush>>) {
        while let Some(batch) = batches.recv().await {
            for push in batch {
                self.send(push).await;
            }
        }
    }

    /// The delivery report is dropped: the next push is posted while the shards write this one.
    pub(super) async fn send(&self, push: RoomPush) {
        match push {
            RoomPush::Message(message) => {
                let (room, seq) = (message.room.clone(), message.seq);
                self.numbered(&room, Kind::Message, seq.0, frame(&Push::Message(message))).await;
            }
            RoomPush::Changed(changed, _) => {
                let (room, rev) = (changed.room.clone(), changed.rev);
                self.numbered(&room, Kind::Changed, rev.0, frame(&Push::Changed(changed))).await;
            }
            RoomPush::State(room, rev, state, _) => {
                let push = Push::Room { room: room.clone(), rev, state };
                self.numbered(&room, Kind::State, rev.0, frame(&push)).await;
            }
            RoomPush::You(you) => {
                let You { room, uid, restraint, warning } = *you;
                let push = Publication::v1(frame(&Push::You { room, restraint, warning }));
                drop(self.gateway.send_to_uid(vec![(&uid).into()], Except::default(), push).await);
            }
            RoomPush::Revoked(room, uid) => {
                self.gateway.leave_staff((&uid).into(), Group::new(room.as_str())).await;
            }
            RoomPush::Granted(room, uid) => {
                self.gateway.join_staff_of_uid((&uid).into(), Group::new(room.as_str())).await;
            }
            RoomPush::Gap(room, rev) => {
                let group = Group::new(room.as_str());
                let frame = frame(&Push::Gap { room, from: None, to: None, rev: Some(rev) }).at_rev(group.clone(), rev);
                self.to_group(group, Publication::v1(frame)).await;
            }
            RoomPush::Staff(room, action, told) => self.to_staff(&room, action, told).await,
        }
    }

    /// Pushes a numbered push of a room, as it came out of the order of rooms.
    pub(super) async fn deliver(&self, room: &RoomId, item: Item) {
        self.numbered(room, item.kind, item.number, Frame::text(&item.json)).await;
    }

    /// Tells the members of a room of a gap. A page without a subprotocol sees it by the seqs.
    pub(super) async fn skip(&self, room: &RoomId, skipped: Skipped) {
        let (group, room) = (Group::new(room.as_str()), room.clone());
        let frame = match skipped {
            Skipped::Messages(from, to) => {
                let gap = Push::Gap { room, from: Some(from), to: Some(to), rev: None };
                frame(&gap).over(group.clone(), from, to)
            }
            Skipped::Changes(_, rev) => {
                let gap = Push::Gap { room, from: None, to: None, rev: Some(rev) };
                frame(&gap).at_rev(group.clone(), rev)
            }
        };
        self.to_group(group, Publication::v1(frame)).await;
    }

    async fn numbered(&self, room: &RoomId, kind: Kind, number: u64, frame: Frame) {
        let group = Group::new(room.as_str());
        let publication = match kind {
            Kind::Message => Publication::both(frame.at(group.clone(), Seq(number))),
            Kind::Changed => {
                let frame = frame.at_rev(group.clone(), Rev(number));
                Publication { plain: self.plain_changes.then(|| frame.clone()), v1: Some(frame) }
            }
            Kind::State => Publication::v1(frame.at_rev(group.clone(), Rev(number))),
        };
        self.to_group(group, publication).await;
    }

    async fn to_group(&self, group: Group, publication: Publication) {
        drop(self.gateway.send_to_group(vec![group], Except::default(), publication).await);
    }

    async fn to_staff(&self, room: &RoomId, action: Option<Uuid>, told: Told) {
        let push = match told {
            Told::Action { at, actor, verb, target, seqs } => StaffPush::Action { room, action, at, actor, verb, target, seqs },
            Told::Report { seq, reason } => {
                let open = self.store.open_reports(room, MAX_REPORTS).await.unwrap_or_default();
                let count = open.iter().filter(|report| report.seq == seq).count().max(1);
                StaffPush::Report { room, seq, reason, count }
            }
        };
        // Serialization fails only for maps whose keys are not strings; a push has none.
        let json = serde_json::to_string(&push).unwrap_or_default();
        self.staff.send(room, json.into()).await;
    }
}

fn frame(push: &Push) -> Frame {
    Frame::text(push.to_json().as_bytes())
}

/// The pushes to the staff.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum StaffPush<'a> {
    Action {
        room: &'a RoomId,
        action: Option<Uuid>,
        at: u64,
        actor: String,
        verb: &'static str,
        target: Option<String>,
        seqs: Vec<Seqs>,
    },
    Report {
        room: &'a RoomId,
        seq: Seq,
        reason: String,
        count: usize,
    },
}
