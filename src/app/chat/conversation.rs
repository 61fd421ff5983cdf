//! State of the panel as signals: the timeline, the outgoing message, the connection. Also the changes of that state; the
//! socket and the markup are elsewhere.

use crate::domain::{
    draft::Rules,
    id::{RoomId, Seq, Uid},
    message::Message,
    push::Push,
    refusal::Refusal,
    reply::{BindReply, HistoryReply},
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
    /// No socket comes through, and requests do: the page fetches new messages now and then, and shows that.
    Polling,
    /// Closed by the server with a code that forbids reconnecting.
    Ended,
}

/// One of the person's own messages between the send button and the list.
#[derive(Clone, PartialEq, Debug)]
pub struct Outgoing {
    /// The cleaned text.
    pub text: String,
    /// Key of this attempt: repetitions under it are stored once.
    pub nonce: String,
    /// How far it is.
    pub state: OutgoingState,
}

/// State of an outgoing message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutgoingState {
    /// A request with it is on its way.
    Sending,
    /// No request got through. It is sent again when the network is back.
    Unsent,
    /// Accepted, and shown to moderators first.
    Held,
    /// Stored under this seq. It leaves when the timeline holds that seq.
    Accepted(Seq),
}

impl Outgoing {
    /// Returns true if the message is stored, so that the list gets it.
    fn is_accepted(&self) -> bool {
        matches!(self.state, OutgoingState::Accepted(_))
    }

    /// Returns the class that the line has beside `line--mine`.
    pub fn state_class(&self) -> &'static str {
        match self.state {
            OutgoingState::Sending => " line--pending",
            OutgoingState::Unsent => " line--unsent",
            OutgoingState::Held => " line--held",
            OutgoingState::Accepted(_) => "",
        }
    }
}

/// Why the page has no person any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionEnd {
    /// The page was opened without a session.
    None,
    /// The session ended elsewhere.
    SignedOut,
    /// The server does not know the guest any more.
    Expired,
    /// The browser took no cookie, so joining had no effect.
    NoCookies,
}

/// Most accepted messages that wait for the list.
const MAX_OUTGOING: usize = 50;

/// State of one panel. Cheap to copy; all copies are one state.
#[derive(Clone, Copy)]
pub struct Conversation {
    /// The room's messages.
    pub timeline: RwSignal<Timeline>,
    /// People online.
    pub online: RwSignal<u32>,
    /// State of the socket.
    pub connection: RwSignal<ConnectionState>,
    /// The person; `None` for a reader.
    pub you: RwSignal<Option<Person>>,
    /// Why there is no person.
    pub session_end: RwSignal<SessionEnd>,
    /// True once the server confirmed the session of `you`.
    pub session_proven: StoredValue<bool>,
    /// The nickname that the page's last person had.
    pub last_nickname: StoredValue<String>,
    /// Grows when the socket should be bound again, for another person.
    pub rebind: RwSignal<u32>,
    /// True if an unsent message should be sent now.
    pub retry: RwSignal<bool>,
    /// Nonce of the unsent message that the person deleted last.
    pub deleted: StoredValue<String>,
    /// The own messages that the list does not hold yet, oldest first; at most one of them is open.
    pub outgoing: RwSignal<Vec<Outgoing>>,
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
    here: String,
    rules: Rules,
    is_closed: bool,
}

impl Conversation {
    /// Creates the state from the data of the page, whose address is `here`.
    pub fn new(snapshot: Snapshot, you: Option<Person>, here: String) -> Self {
        let Snapshot { card, rules, closed, epoch, seq, oldest, messages, .. } = snapshot;
        let mut timeline = Timeline::new(epoch, seq, messages);
        timeline.note_oldest(oldest);
        Self {
            timeline: RwSignal::new(timeline),
            online: RwSignal::new(card.online),
            connection: RwSignal::new(ConnectionState::Connecting),
            session_proven: StoredValue::new(you.is_some()),
            last_nickname: StoredValue::new(String::new()),
            rebind: RwSignal::new(0),
            deleted: StoredValue::new(String::new()),
            retry: RwSignal::new(false),
            you: RwSignal::new(you),
            session_end: RwSignal::new(SessionEnd::None),
            outgoing: RwSignal::new(Vec::new()),
            notice: RwSignal::new(None),
            following: RwSignal::new(true),
            unseen: RwSignal::new(0),
            context: StoredValue::new(RoomContext { room: card.room, here, rules, is_closed: closed }),
            pending: StoredValue::new(Vec::new()),
        }
    }

    /// Returns the room's id.
    pub fn room(self) -> RoomId {
        self.context.with_value(|context| context.room.clone())
    }

    /// Returns the address of the page around the panel, as a path of this site.
    pub fn here(self) -> String {
        self.context.with_value(|context| context.here.clone())
    }

    /// Returns the room's limits on messages.
    pub fn rules(self) -> Rules {
        self.context.with_value(|context| context.rules)
    }

    /// Returns true if the room took no messages when the page was loaded.
    pub fn is_closed(self) -> bool {
        self.context.with_value(|context| context.is_closed)
    }

    /// Returns the person's nickname; empty without a session.
    pub fn nickname(self) -> String {
        self.you.with_untracked(|you| you.as_ref().map(|you| you.nickname.clone())).unwrap_or_default()
    }

    /// Returns the person's uid.
    pub fn uid(self) -> Option<Uid> {
        self.you.with_untracked(|you| you.as_ref().map(|you| you.uid.clone()))
    }

    /// Returns true if `user` is the person.
    pub fn is_mine(self, user: &Uid) -> bool {
        self.you.with_untracked(|you| you.as_ref().is_some_and(|you| you.uid == *user))
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
        if self.timeline.try_update(|timeline| timeline.apply_bind(since, bound)) == Some(true) {
            self.drop_accepted();
        }
        if !self.following.get_untracked() {
            self.unseen.update(|unseen| *unseen += newest.0.saturating_sub(before.0) as u32);
        }
        self.clear_delivered_outgoing();
    }

    /// Applies the newest messages of the history. Seqs between them and the known ones become a gap. Starts over if the
    /// room's newest seq fell: its database began anew.
    pub fn apply_poll(self, reply: HistoryReply) {
        while self.flush() {}
        let known = self.timeline.with_untracked(Timeline::newest);
        // A room that keeps no message has `oldest` one above its newest seq; 0 is that of an older server.
        let newest =
            reply.messages.last().map(|message| message.seq).or((reply.oldest != Seq(0)).then(|| reply.oldest.previous()));
        if newest.is_some_and(|newest| newest < known) {
            self.timeline.update(|timeline| timeline.start_over(reply));
            return self.drop_accepted();
        }
        self.timeline.update(|timeline| timeline.note_oldest(reply.oldest));
        self.pending.set_value(reply.messages.into_iter().filter(|message| message.seq > known).collect());
        while self.flush() {}
    }

    /// Removes the accepted messages: their seqs are of another epoch.
    fn drop_accepted(self) {
        self.outgoing.update(|outgoing| outgoing.retain(|outgoing| !outgoing.is_accepted()));
    }

    /// Assigns the seq to the outgoing message if its push arrives before the response to `send`, or after moderators held it.
    fn match_outgoing(self, messages: &[Message]) {
        let found = self.outgoing.with_untracked(|outgoing| {
            outgoing.iter().filter(|outgoing| !outgoing.is_accepted()).find_map(|waiting| {
                let message = messages.iter().find(|message| message.text == waiting.text && self.is_mine(&message.user))?;
                Some((waiting.nonce.clone(), message.seq))
            })
        });
        if let Some((nonce, seq)) = found {
            self.set_outgoing(&nonce, OutgoingState::Accepted(seq));
        }
    }

    /// Adds an outgoing message. The oldest accepted one leaves if there are too many.
    pub fn add_outgoing(self, message: Outgoing) {
        self.outgoing.update(|outgoing| {
            if outgoing.len() == MAX_OUTGOING {
                outgoing.remove(0);
            }
            outgoing.push(message);
        });
    }

    /// Changes the state of the outgoing message of a nonce, if it is there and not accepted.
    pub fn set_outgoing(self, nonce: &str, state: OutgoingState) {
        self.outgoing.update(|outgoing| {
            if let Some(message) = outgoing.iter_mut().find(|message| message.nonce == nonce && !message.is_accepted()) {
                message.state = state;
            }
        });
    }

    /// Removes the outgoing message of a nonce.
    pub fn remove_outgoing(self, nonce: &str) {
        self.outgoing.update(|outgoing| outgoing.retain(|message| message.nonce != nonce));
    }

    /// Removes the outgoing messages that the timeline holds.
    pub fn clear_delivered_outgoing(self) {
        let is_delivered = |outgoing: &Outgoing| match outgoing.state {
            OutgoingState::Accepted(seq) => self.timeline.with_untracked(|timeline| timeline.contains(seq)),
            _ => false,
        };
        if self.outgoing.with_untracked(|outgoing| outgoing.iter().any(is_delivered)) {
            self.outgoing.update(|outgoing| outgoing.retain(|message| !is_delivered(message)));
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
