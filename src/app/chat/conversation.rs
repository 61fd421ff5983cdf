//! State of the panel as signals: the timeline, the outgoing message, the connection. Also the changes of that state; the
//! socket and the markup are elsewhere.

use crate::domain::{
    draft::Rules,
    id::{RoomId, Seq, Uid},
    message::Message,
    push::Push,
    refusal::Refusal,
    reply::BindReply,
    room::{Person, Snapshot},
    timeline::{TRIM_AT, Timeline},
};
use leptos::prelude::*;

/// State of the socket, as the page shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionState {
    /// Not connected, for so short a time that the page does not show it.
    Connecting,
    /// Open and bound.
    Connected,
    /// Lost; the page is reconnecting and shows that.
    Lost,
    /// Closed by the server with a code that forbids reconnecting.
    Ended,
}

/// The person's own message between the send button and the list.
#[derive(Clone, PartialEq, Debug)]
pub struct Outgoing {
    /// The cleaned text.
    pub text: String,
    /// Its seq once it is accepted. The message is removed from here when the timeline holds that seq.
    pub seq: Option<Seq>,
}

/// State of one panel. Cheap to copy; all copies are one state.
#[derive(Clone, Copy)]
pub struct Conversation {
    /// The room's messages.
    pub timeline: RwSignal<Timeline>,
    /// People online.
    pub online: RwSignal<u32>,
    /// State of the socket.
    pub connection: RwSignal<ConnectionState>,
    /// The message that is being sent.
    pub outgoing: RwSignal<Option<Outgoing>>,
    /// The refusal of the last attempt.
    pub notice: RwSignal<Option<Refusal>>,
    /// True while the reader is at the bottom, so that the list shows new messages.
    pub following: RwSignal<bool>,
    /// Messages that arrived while `following` was false.
    pub unseen: RwSignal<u32>,
    context: StoredValue<RoomContext>,
    /// Pushed messages that are not shown yet; one flush per animation frame shows them all.
    pending: StoredValue<Vec<Message>>,
}

/// Values that do not change during the life of the panel.
struct RoomContext {
    room: RoomId,
    you: Option<Person>,
    rules: Rules,
}

impl Conversation {
    /// Creates the state from the data of the page.
    pub fn new(snapshot: Snapshot, you: Option<Person>) -> Self {
        let Snapshot { card, rules, epoch, seq, oldest, messages, .. } = snapshot;
        let mut timeline = Timeline::new(epoch, seq, messages);
        timeline.note_oldest(oldest);
        Self {
            timeline: RwSignal::new(timeline),
            online: RwSignal::new(card.online),
            connection: RwSignal::new(ConnectionState::Connecting),
            outgoing: RwSignal::new(None),
            notice: RwSignal::new(None),
            following: RwSignal::new(true),
            unseen: RwSignal::new(0),
            context: StoredValue::new(RoomContext { room: card.room, you, rules }),
            pending: StoredValue::new(Vec::new()),
        }
    }

    /// Returns the room's id.
    pub fn room(self) -> RoomId {
        self.context.with_value(|context| context.room.clone())
    }

    /// Returns the room's limits on messages.
    pub fn rules(self) -> Rules {
        self.context.with_value(|context| context.rules)
    }

    /// Returns the person's nickname; empty without a session.
    pub fn nickname(self) -> String {
        self.context.with_value(|context| context.you.as_ref().map(|you| you.nickname.clone())).unwrap_or_default()
    }

    /// Returns true if `user` is the person.
    pub fn is_mine(self, user: &Uid) -> bool {
        self.context.with_value(|context| context.you.as_ref().is_some_and(|you| you.uid == *user))
    }

    /// Applies a push. Returns true if a message waits for the next flush.
    pub fn receive(self, push: Push) -> bool {
        match push {
            Push::Message(message) => {
                self.pending.update_value(|pending| {
                    // A hidden tab keeps as many messages as the window can hold; older ones become a gap.
                    if pending.len() >= TRIM_AT {
                        pending.remove(0);
                    }
                    pending.push(message);
                });
                true
            }
            Push::Gap { to, .. } => {
                self.timeline.update(|timeline| timeline.note_skipped(to));
                false
            }
            Push::Online { count, .. } => {
                self.online.set(count);
                false
            }
            Push::Init { .. } | Push::Bye { .. } | Push::Data => false,
        }
    }

    /// Adds the pushed messages to the timeline. Returns true if another flush is needed in the next frame.
    pub fn flush(self) -> bool {
        let following = self.following.get_untracked();
        let mut trimmed = false;
        // Trimming and adding in one flush would move every row of the list.
        if following && self.timeline.with_untracked(Timeline::needs_trim) {
            self.timeline.update(Timeline::trim);
            trimmed = true;
        }
        if trimmed {
            return self.pending.with_value(|pending| !pending.is_empty());
        }
        let messages = self.pending.try_update_value(std::mem::take).unwrap_or_default();
        if messages.is_empty() {
            return false;
        }
        self.match_outgoing(&messages);
        let others = messages.iter().filter(|message| !self.is_mine(&message.user)).count() as u32;
        self.timeline.update(|timeline| {
            if !following && timeline.len() + messages.len() > TRIM_AT {
                timeline.detach();
            }
            timeline.apply_pushed(messages);
        });
        if !following {
            self.unseen.update(|unseen| *unseen += others);
        }
        self.clear_delivered_outgoing();
        false
    }

    /// Applies the reply of a `bind` that was sent with `since`.
    pub fn apply_bind(self, since: Seq, bound: BindReply) {
        let before = self.timeline.with_untracked(Timeline::newest);
        let newest = bound.seq;
        self.match_outgoing(&bound.messages);
        self.timeline.update(|timeline| timeline.apply_bind(since, bound));
        if !self.following.get_untracked() {
            self.unseen.update(|unseen| *unseen += newest.0.saturating_sub(before.0) as u32);
        }
        self.clear_delivered_outgoing();
    }

    /// Assigns the seq to the outgoing message if its push arrives before the response to `send`.
    fn match_outgoing(self, messages: &[Message]) {
        let Some(text) = self.outgoing.with_untracked(|outgoing| {
            outgoing.as_ref().filter(|outgoing| outgoing.seq.is_none()).map(|outgoing| outgoing.text.clone())
        }) else {
            return;
        };
        if let Some(message) = messages.iter().find(|message| message.text == text && self.is_mine(&message.user)) {
            self.outgoing.set(Some(Outgoing { text, seq: Some(message.seq) }));
        }
    }

    /// Removes the outgoing message once the timeline holds it.
    pub fn clear_delivered_outgoing(self) {
        let seq = self.outgoing.with_untracked(|outgoing| outgoing.as_ref().and_then(|outgoing| outgoing.seq));
        if seq.is_some_and(|seq| self.timeline.with_untracked(|timeline| timeline.contains(seq))) {
            self.outgoing.set(None);
        }
    }

    /// Stops following: the reader scrolled up.
    pub fn stop_following(self) {
        if self.following.get_untracked() {
            self.following.set(false);
        }
    }

    /// Follows again: the reader is at the bottom.
    pub fn follow(self) {
        if !self.following.get_untracked() {
            self.following.set(true);
        }
        if self.unseen.get_untracked() != 0 {
            self.unseen.set(0);
        }
    }
}
