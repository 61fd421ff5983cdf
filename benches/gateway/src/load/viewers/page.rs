//! The page behind a viewer, as Roomcast's own page is: it knows the newest message of its room that it holds, and a bind returns
//! those after it. A message that an answer and a push both have counts once. A push that comes before the answer waits for it.

use super::{Stage, Viewers};
use crate::bind::{Answer, Since};
use crate::changes::number_after;
use crate::joiner::Arrival;
use crate::message::Message;

#[derive(Clone, Default)]
pub(super) struct Page {
    client_id: String,
    since: Since,
    /// Seq of the last push of this connection; 0 before the first.
    pushed: u64,
    /// Pushes that wait for an answer.
    held: Vec<(u64, Message)>,
    /// A message is missing, so the page binds again.
    is_behind: bool,
}

impl Viewers {
    /// Gives each viewer a page. They ask for the dialect `roomcast.v1`, which has seqs.
    pub fn have_pages(&mut self) {
        self.pages = vec![Page::default(); self.list.len()];
    }

    /// Binds a connection whose client id has come.
    pub(super) fn arrive(&mut self, n: usize, client_id: String) {
        let since = match self.pages.get_mut(n) {
            Some(page) => {
                *page = Page { client_id: client_id.clone(), since: std::mem::take(&mut page.since), ..Page::default() };
                page.since.clone()
            }
            None => Since::default(),
        };
        self.bind(n, client_id, since);
    }

    fn bind(&mut self, n: usize, client_id: String, since: Since) {
        let viewer = &mut self.list[n];
        viewer.stage = Stage::Joining;
        let arrival = Arrival { viewer: n, visit: viewer.visit, room: viewer.room as usize, client_id, since };
        self.joiner.as_ref().expect("roomcast has one").join(arrival);
    }

    /// Takes a pushed message. A connection gets each once, and in order.
    pub(super) fn receive(&mut self, n: usize, payload: &[u8], message: Message, now: u64) {
        let Some(seq) = number_after(payload, br#""seq":"#) else { return };
        let page = &mut self.pages[n];
        if seq <= page.pushed {
            self.tally.faults.doubled += 1;
            return;
        }
        page.pushed = seq;
        if self.list[n].stage == Stage::Joined {
            self.take(n, seq, message, now);
            self.catch_up(n);
        } else {
            page.held.push((seq, message));
        }
    }

    /// The server skipped pushes for this connection.
    pub(super) fn note_gap(&mut self, n: usize) {
        self.pages[n].is_behind = true;
        if self.list[n].stage == Stage::Joined {
            self.catch_up(n);
        }
    }

    /// Applies an answer, and the pushes that waited for it. Returns whether the page holds everything now; else it binds again.
    pub(super) fn apply(&mut self, n: usize, answer: Answer, now: u64) -> bool {
        let page = &mut self.pages[n];
        let (held, is_first) = (std::mem::take(&mut page.held), page.since.epoch.is_empty());
        page.is_behind = false;
        if is_first || answer.gap {
            // Messages before the first answer are of an earlier page. Those of a gap are lost.
            page.since.newest = answer.messages.first().filter(|_| !is_first).map_or(answer.now.newest, |(first, _)| first - 1);
        }
        for (seq, message) in answer.messages {
            self.take(n, seq, message, now);
        }
        let page = &mut self.pages[n];
        page.since = Since { newest: page.since.newest.max(answer.now.newest), ..answer.now };
        for (seq, message) in held {
            self.take(n, seq, message, now);
        }
        self.catch_up(n)
    }

    fn take(&mut self, n: usize, seq: u64, message: Message, now: u64) {
        let page = &mut self.pages[n];
        if seq > page.since.newest + 1 {
            page.is_behind = true;
            page.held.push((seq, message));
        } else if seq > page.since.newest {
            page.since.newest = seq;
            let viewer = &mut self.list[n];
            self.tally.see((viewer.room, self.target.is_remote(n)), &mut viewer.position, message, now);
        }
    }

    /// Binds again if a message is missing. Returns whether none is.
    fn catch_up(&mut self, n: usize) -> bool {
        let page = &self.pages[n];
        if page.is_behind {
            self.rebinds += 1;
            self.joined -= usize::from(self.list[n].stage == Stage::Joined);
            self.bind(n, page.client_id.clone(), page.since.clone());
        }
        !self.pages[n].is_behind
    }
}
