//! The person's own messages between the send button and the list.

use super::conversation::Conversation;
use crate::domain::{id::Seq, message::Message};
use leptos::prelude::*;

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
    pub fn is_accepted(&self) -> bool {
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

/// Most accepted messages that wait for the list.
const MAX_OUTGOING: usize = 50;

impl Conversation {
    /// Removes the accepted messages: their seqs are of another epoch.
    pub fn drop_accepted(self) {
        self.outgoing.update(|outgoing| outgoing.retain(|outgoing| !outgoing.is_accepted()));
    }

    /// Assigns the seq to the outgoing message if its push arrives before the response to `send`, or after moderators held it.
    pub fn match_outgoing(self, messages: &[Message]) {
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

    /// Removes the outgoing messages that the timeline holds, or knows to be removed.
    pub fn clear_delivered_outgoing(self) {
        let is_delivered = |outgoing: &Outgoing| match outgoing.state {
            OutgoingState::Accepted(seq) => self.timeline.with_untracked(|timeline| {
                timeline.contains(seq) || self.uid().is_some_and(|uid| timeline.is_removed(seq, &uid))
            }),
            _ => false,
        };
        if self.outgoing.with_untracked(|outgoing| outgoing.iter().any(is_delivered)) {
            self.outgoing.update(|outgoing| outgoing.retain(|message| !is_delivered(message)));
        }
    }
}
