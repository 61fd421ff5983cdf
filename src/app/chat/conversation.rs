//! What the panel knows: the timeline, one's own line on its way, the connection's state. Signals, and the few moves that
//! change them; no socket and no markup here.

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

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionState {
    /// The page has just come: nothing to say yet.
    Connecting,
    Connected,
    /// Gone for longer than a moment, being mended.
    Lost,
    /// The server said not to come back.
    Ended,
}

/// One's own message between the send button and the list.
#[derive(Clone, PartialEq, Debug)]
pub struct Outgoing {
    pub text: String,
    /// Its number, once accepted; it leaves here when the timeline holds it.
    pub seq: Option<Seq>,
}

#[derive(Clone, Copy)]
pub struct Conversation {
    pub timeline: RwSignal<Timeline>,
    pub online: RwSignal<u32>,
    pub connection: RwSignal<ConnectionState>,
    pub outgoing: RwSignal<Option<Outgoing>>,
    /// What the system says about the last attempt.
    pub notice: RwSignal<Option<Refusal>>,
    /// The reader is at the bottom and wants to stay there.
    pub following: RwSignal<bool>,
    /// Messages that came while the reader was not.
    pub unseen: RwSignal<u32>,
    context: StoredValue<RoomContext>,
    /// Pushed and not yet shown: shown together, once a frame.
    pending: StoredValue<Vec<Message>>,
}

struct RoomContext {
    room: RoomId,
    you: Option<Person>,
    rules: Rules,
}

impl Conversation {
    pub fn new(snapshot: Snapshot, you: Option<Person>) -> Self {
        let Snapshot { card, rules, epoch, seq, messages, .. } = snapshot;
        Self {
            timeline: RwSignal::new(Timeline::new(epoch, seq, messages)),
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

    pub fn room(self) -> RoomId {
        self.context.with_value(|context| context.room.clone())
    }

    pub fn rules(self) -> Rules {
        self.context.with_value(|context| context.rules)
    }

    pub fn nickname(self) -> String {
        self.context.with_value(|context| context.you.as_ref().map(|you| you.nickname.clone())).unwrap_or_default()
    }

    pub fn is_mine(self, user: &Uid) -> bool {
        self.context.with_value(|context| context.you.as_ref().is_some_and(|you| you.uid == *user))
    }

    /// True: something waits to be shown in the next frame.
    pub fn receive(self, push: Push) -> bool {
        match push {
            Push::Message(message) => {
                self.pending.update_value(|pending| {
                    // A tab asleep keeps what it could show; the rest is a gap until it is fetched.
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

    /// Shows what arrived. True: there is more to do in the next frame.
    pub fn flush(self) -> bool {
        let following = self.following.get_untracked();
        let mut trimmed = false;
        // Cutting and adding in one flush would move every row of the list.
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

    /// `bind` answered to `since`.
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

    /// A push may be quicker than the answer to the send that caused it: then the line on its way has come already.
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

    /// One's own line is in the list: the one on its way is no longer.
    pub fn clear_delivered_outgoing(self) {
        let seq = self.outgoing.with_untracked(|outgoing| outgoing.as_ref().and_then(|outgoing| outgoing.seq));
        if seq.is_some_and(|seq| self.timeline.with_untracked(|timeline| timeline.contains(seq))) {
            self.outgoing.set(None);
        }
    }

    /// The reader went up to read.
    pub fn stop_following(self) {
        if self.following.get_untracked() {
            self.following.set(false);
        }
    }

    /// The reader is at the bottom again.
    pub fn follow(self) {
        if !self.following.get_untracked() {
            self.following.set(true);
        }
        if self.unseen.get_untracked() != 0 {
            self.unseen.set(0);
        }
    }
}
