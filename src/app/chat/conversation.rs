//! State of the panel as signals: the timeline, the outgoing message, the connection. Also the changes of that state; the
//! socket and the markup are elsewhere.

use super::changes::Standing;
use super::history::reread;
use super::outgoing::Outgoing;
use crate::domain::{
    change::Rev,
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
    /// The room's state and the person's standing in it.
    pub standing: RwSignal<Standing>,
    /// True from the moment changes were missed until the next answer of `bind`.
    pub is_behind: StoredValue<bool>,
    /// True while the window is read again.
    pub is_rereading: StoredValue<bool>,
    context: StoredValue<RoomContext>,
    /// Pushed messages that are not shown yet; one flush per animation frame shows them all.
    pending: StoredValue<Vec<Message>>,
}

/// Values that do not change during the life of the panel.
struct RoomContext {
    room: RoomId,
    here: String,
    rules: Rules,
}

impl Conversation {
    /// Creates the state from the data of the page, whose address is `here`.
    pub fn new(snapshot: Snapshot, you: Option<Person>, here: String) -> Self {
        let Snapshot { card, rules, epoch, seq, oldest, messages, rev, state, rank, restraint, warning } = snapshot;
        let mut timeline = Timeline::new(epoch, seq, messages).at_rev(rev);
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
            standing: RwSignal::new(Standing { state, state_rev: rev, rank, restraint, warning }),
            is_behind: StoredValue::new(false),
            is_rereading: StoredValue::new(false),
            context: StoredValue::new(RoomContext { room: card.room, here, rules }),
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
            Push::Gap { to, rev, .. } => {
                if let Some(to) = to {
                    self.timeline.update(|timeline| timeline.note_skipped(to));
                }
                if rev.is_some() {
                    self.catch_up();
                }
                false
            }
            Push::Online { count, .. } => {
                self.online.set(count);
                false
            }
            Push::Changed(changed) => {
                self.apply_change(changed);
                false
            }
            Push::Room { rev, state, .. } => {
                self.apply_state(rev, state);
                false
            }
            Push::You { restraint, warning, .. } => {
                self.standing.update(|standing| (standing.restraint, standing.warning) = (restraint, warning));
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
        } else if self.unseen.get_untracked() != 0 {
            self.unseen.set(0);
        }
        self.clear_delivered_outgoing();
        false
    }

    /// Counts the pushed messages of others that are not shown, while a moderator holds the list.
    pub fn count_held(self) {
        let is_others = |message: &&Message| !self.is_mine(&message.user);
        let held = self.pending.with_value(|pending| pending.iter().filter(is_others).count()) as u32;
        if self.following.get_untracked() && self.unseen.get_untracked() != held {
            self.unseen.set(held);
        }
    }

    /// Applies the reply of a `bind` that was sent with `since`.
    pub fn apply_bind(self, since: Seq, mut bound: BindReply) {
        let before = self.timeline.with_untracked(Timeline::newest);
        let newest = bound.seq;
        self.match_outgoing(&bound.messages);
        self.apply_standing(&mut bound);
        if self.timeline.try_update(|timeline| timeline.apply_bind(since, bound)) == Some(true) {
            self.drop_accepted();
        }
        if !self.following.get_untracked() {
            self.unseen.update(|unseen| *unseen += newest.0.saturating_sub(before.0) as u32);
        }
        self.clear_delivered_outgoing();
        reread(self);
    }

    /// Applies the newest messages of the history. Seqs between them and the known ones become a gap. Starts over if the
    /// room's newest seq fell: its database began anew.
    pub fn apply_poll(self, reply: HistoryReply, read_at: Rev) {
        while self.flush() {}
        let known = self.timeline.with_untracked(Timeline::newest);
        // A room that keeps no message has `oldest` one above its newest seq; 0 is that of an older server.
        let newest =
            reply.messages.last().map(|message| message.seq).or((reply.oldest != Seq(0)).then(|| reply.oldest.previous()));
        if newest.is_some_and(|newest| newest < known) {
            self.timeline.update(|timeline| timeline.start_over(reply));
            return self.drop_accepted();
        }
        let (new, old) = reply.messages.into_iter().partition(|message| message.seq > known);
        self.timeline.update(|timeline| {
            timeline.note_oldest(reply.oldest);
            timeline.refresh(old, read_at);
        });
        self.pending.set_value(new);
        while self.flush() {}
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
