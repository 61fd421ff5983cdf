//! Tests of removals in a [`Timeline`]: single cases, then any order, repetition and loss of a room's changes.

use crate::domain::{
    change::{Changed, Purged, Removed, Rev, Seqs, Why},
    id::{Epoch, Seq, Uid},
    message::{Message, Role},
    push::Push,
    reply::BindReply,
    timeline::{Follow, Timeline, TimelineItem},
};
use proptest::prelude::*;

fn epoch() -> Epoch {
    "e".parse().unwrap()
}

fn user(seq: u64) -> Uid {
    format!("u{}", seq % 3).parse().unwrap()
}

fn message(seq: u64) -> Message {
    Message {
        room: "1".parse().unwrap(),
        seq: Seq(seq),
        id: uuid::Uuid::from_u128(seq as u128),
        user: user(seq),
        nickname: "u".into(),
        role: Role::Viewer,
        text: format!("text {seq}"),
        at: seq * 1000,
        re: None,
        mentions: vec![],
        removed: None,
    }
}

fn change(rev: u64) -> Changed {
    Changed {
        room: "1".parse().unwrap(),
        rev: Rev(rev),
        at: 0,
        why: Why::Moderator,
        removed: vec![],
        purged: None,
        restored: vec![],
        reread: false,
    }
}

fn removal(rev: u64, seqs: &[u64]) -> Changed {
    Changed { removed: Seqs::of(seqs.iter().copied().map(Seq)), ..change(rev) }
}

fn bound(seq: u64, rev: u64, messages: Vec<Message>, changes: Vec<Changed>, stale: bool) -> BindReply {
    BindReply {
        code: None,
        status: true,
        message: String::new(),
        epoch: epoch(),
        seq: Seq(seq),
        oldest: Seq(1),
        messages,
        you: None,
        gap: false,
        rev: Rev(rev),
        state: None,
        changes: changes.into_iter().map(Push::Changed).collect(),
        stale,
        rank: None,
        restraint: None,
        warning: None,
    }
}

fn held(timeline: &Timeline) -> Vec<Message> {
    let message = |item| if let TimelineItem::Message(message) = item { Some(message) } else { None };
    timeline.items(|_| 0).into_iter().filter_map(message).collect()
}

/// The seqs of the messages on the list that have a text.
fn shown(timeline: &Timeline) -> Vec<u64> {
    held(timeline).into_iter().filter(|message| !message.text.is_empty()).map(|message| message.seq.0).collect()
}

fn timeline_of(seqs: std::ops::RangeInclusive<u64>) -> Timeline {
    Timeline::new(epoch(), Seq(*seqs.end()), seqs.map(message).collect())
}

#[test]
fn a_removed_message_keeps_its_place_without_its_text() {
    let mut timeline = timeline_of(1..=9);
    assert_eq!(timeline.apply_change(removal(1, &[2, 3, 7])), Follow::Next);
    assert_eq!(held(&timeline).len(), 9);
    assert_eq!(shown(&timeline), [1, 4, 5, 6, 8, 9]);
    let tombstone = &held(&timeline)[1];
    assert_eq!((tombstone.removed, &*tombstone.nickname), (Some(Removed { why: Why::Moderator, rev: Rev(1) }), ""));
    let purged = Some(Purged { user: user(1), from: Seq(1), upto: Seq(4) });
    timeline.apply_change(Changed { purged, ..change(2) });
    assert_eq!(shown(&timeline), [5, 6, 8, 9]);
    timeline.apply_change(Changed { restored: vec![message(1), message(4)], why: Why::Undo, ..change(3) });
    assert_eq!((shown(&timeline), timeline.rev()), (vec![1, 4, 5, 6, 8, 9], Rev(3)));
}

#[test]
fn trap_1_a_message_that_arrives_after_its_removal_has_no_text() {
    let mut timeline = timeline_of(1..=3);
    timeline.apply_change(removal(1, &[5]));
    timeline.apply_change(Changed { purged: Some(Purged { user: user(6), from: Seq(1), upto: Seq(8) }), ..change(2) });
    timeline.apply_pushed((4..=9).map(message).collect());
    assert_eq!(shown(&timeline), [1, 2, 4, 7, 8, 9]);
    // The same from a page of the history that was asked for before.
    let mut timeline = timeline_of(4..=9);
    timeline.apply_change(removal(1, &[2]));
    timeline.add_older((1..=3).map(message).collect(), Rev(0));
    assert_eq!(shown(&timeline), [1, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_tombstone_of_the_history_takes_the_place_of_a_text() {
    let mut timeline = timeline_of(1..=3);
    timeline.fill_gap(vec![message(2).into_tombstone(Removed { why: Why::Author, rev: Rev(4) })], Rev(0));
    assert_eq!(shown(&timeline), [1, 3]);
    // And an older reading does not bring it back.
    timeline.fill_gap(vec![message(2)], Rev(0));
    assert_eq!(shown(&timeline), [1, 3]);
}

#[test]
fn a_change_that_is_skipped_to_is_applied_and_the_next_bind_brings_the_others() {
    let mut timeline = timeline_of(1..=5);
    assert_eq!(timeline.apply_change(removal(3, &[4])), Follow::Skipped);
    assert_eq!((shown(&timeline), timeline.rev()), (vec![1, 2, 3, 5], Rev(0)));
    let changes = vec![removal(1, &[1]), removal(2, &[2]), removal(3, &[4])];
    timeline.apply_bind(Seq(5), bound(5, 3, vec![], changes, false));
    assert_eq!((shown(&timeline), timeline.rev()), (vec![3, 5], Rev(3)));
    assert_eq!(timeline.apply_change(removal(2, &[3])), Follow::Known);
    assert_eq!(shown(&timeline), [3, 5]);
}

#[test]
fn without_all_changes_the_window_is_read_again() {
    let mut timeline = timeline_of(1..=5);
    timeline.apply_bind(Seq(5), bound(6, 700, vec![message(6)], vec![], true));
    assert!(timeline.is_stale() && timeline.rev() == Rev(700));
    assert!(!timeline.takes(Rev(699)));
    let read =
        |seq: u64| if seq == 2 { message(2).into_tombstone(Removed { why: Why::Site, rev: Rev(9) }) } else { message(seq) };
    assert_eq!(timeline.reread((4..=6).map(read).collect(), Rev(700)), Some(Seq(4)));
    assert!(timeline.is_stale());
    assert_eq!(timeline.reread((1..=3).map(read).collect(), Rev(700)), None);
    assert!(!timeline.is_stale());
    assert_eq!(shown(&timeline), [1, 3, 4, 5, 6]);
}

#[test]
fn a_push_from_before_the_window_became_stale_leaves_a_gap() {
    let mut timeline = timeline_of(1..=5);
    timeline.note_skipped(Seq(7));
    timeline.apply_bind(Seq(7), bound(7, 700, vec![], vec![], true));
    // It may have been removed by one of the changes that are not known.
    timeline.apply_pushed(vec![message(6), message(8)]);
    assert_eq!(shown(&timeline), [1, 2, 3, 4, 5, 8]);
}

#[test]
fn removals_that_are_remembered_are_bounded() {
    let mut timeline = timeline_of(1..=1);
    for rev in 1..=600 {
        timeline.apply_change(removal(rev, &[rev + 1000]));
    }
    assert!(!timeline.is_removed(Seq(1088), &user(0)) && timeline.is_removed(Seq(1089), &user(0)));
}

/// A room, and what is on its way from it to one page.
struct Room {
    rows: Vec<Message>,
    /// The seqs that each removal took.
    removals: Vec<Vec<u64>>,
    log: Vec<Changed>,
    pushes: Vec<Push>,
    histories: Vec<(Rev, Vec<Message>)>,
    binds: Vec<(Seq, BindReply)>,
}

#[derive(Clone, Debug)]
enum Event {
    Send,
    Remove(u64, u64),
    Purge(u64),
    Undo { by_reread: bool },
    Deliver { which: usize, stays: bool },
    Lose(usize),
    AskHistory { before: u64, limit: u64 },
    AnswerHistory(usize),
    AskBind { stale: bool },
    AnswerBind(usize),
    Reread,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Send),
        3 => (1..40u64, 0..3u64).prop_map(|(from, more)| Event::Remove(from, more)),
        1 => (0..3u64).prop_map(Event::Purge),
        2 => any::<bool>().prop_map(|by_reread| Event::Undo { by_reread }),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(which, stays)| Event::Deliver { which, stays }),
        1 => any::<usize>().prop_map(Event::Lose),
        2 => (1..40u64, 1..9u64).prop_map(|(before, limit)| Event::AskHistory { before, limit }),
        2 => any::<usize>().prop_map(Event::AnswerHistory),
        1 => any::<bool>().prop_map(|stale| Event::AskBind { stale }),
        1 => any::<usize>().prop_map(Event::AnswerBind),
        1 => Just(Event::Reread),
    ]
}

impl Room {
    fn new(seqs: u64) -> Self {
        let rows = (1..=seqs).map(message).collect();
        Self { rows, removals: vec![], log: vec![], pushes: vec![], histories: vec![], binds: vec![] }
    }

    fn next_rev(&self) -> u64 {
        self.log.len() as u64 + 1
    }

    fn log(&mut self, changed: Changed) {
        self.pushes.push(Push::Changed(changed.clone()));
        self.log.push(changed);
    }

    /// Removes those of the seqs that have a text.
    fn take(&mut self, seqs: impl Iterator<Item = u64>) -> Vec<u64> {
        let mark = Removed { why: Why::Moderator, rev: Rev(self.next_rev()) };
        let mut taken = vec![];
        for seq in seqs {
            let Some(row) = self.rows.get_mut(seq as usize - 1).filter(|row| row.removed.is_none()) else { continue };
            *row = row.clone().into_tombstone(mark);
            taken.push(seq);
        }
        if !taken.is_empty() {
            self.removals.push(taken.clone());
        }
        taken
    }

    fn history(&self, before: u64, limit: u64) -> Vec<Message> {
        let end = (before - 1).min(self.rows.len() as u64) as usize;
        self.rows[end.saturating_sub(limit as usize)..end].to_vec()
    }

    fn bind(&self, timeline: &Timeline, stale: bool) -> (Seq, BindReply) {
        let (since, rev) = (timeline.newest(), timeline.rev());
        let changes = if stale { vec![] } else { self.log[rev.0 as usize..].to_vec() };
        let messages = self.rows[(since.0 as usize).min(self.rows.len())..].to_vec();
        (since, bound(self.rows.len() as u64, self.log.len() as u64, messages, changes, stale))
    }

    fn happen(&mut self, event: Event, timeline: &mut Timeline) {
        let rev = self.next_rev();
        match event {
            Event::Send => {
                let new = message(self.rows.len() as u64 + 1);
                self.pushes.push(Push::Message(new.clone()));
                self.rows.push(new);
            }
            Event::Remove(from, more) => {
                let upto = (from + more).min(self.rows.len() as u64);
                let taken = self.take(from..=upto);
                if !taken.is_empty() {
                    self.log(removal(rev, &taken));
                }
            }
            Event::Purge(of) => {
                let upto = self.rows.len() as u64;
                self.take((1..=upto).filter(|seq| user(*seq) == user(of)));
                self.log(Changed { purged: Some(Purged { user: user(of), from: Seq(1), upto: Seq(upto) }), ..change(rev) });
            }
            Event::Undo { by_reread } => {
                let Some(taken) = self.removals.pop() else { return };
                for seq in &taken {
                    self.rows[*seq as usize - 1] = message(*seq);
                }
                let restored = if by_reread { vec![] } else { taken.into_iter().map(message).collect() };
                self.log(Changed { restored, reread: by_reread, why: Why::Undo, ..change(rev) });
            }
            Event::Deliver { which, stays } if !self.pushes.is_empty() => {
                let which = which % self.pushes.len();
                let push = if stays { self.pushes[which].clone() } else { self.pushes.remove(which) };
                match push {
                    Push::Message(message) => timeline.apply_pushed(vec![message]),
                    Push::Changed(changed) => drop(timeline.apply_change(changed)),
                    other => panic!("no push of this model: {other:?}"),
                }
            }
            Event::Lose(which) if !self.pushes.is_empty() => drop(self.pushes.remove(which % self.pushes.len())),
            Event::AskHistory { before, limit } => self.histories.push((timeline.rev(), self.history(before, limit))),
            Event::AnswerHistory(which) if !self.histories.is_empty() => {
                let (read_at, messages) = self.histories.remove(which % self.histories.len());
                if timeline.takes(read_at) {
                    timeline.fill_gap(messages, read_at);
                }
            }
            // A page awaits the answer before it binds again.
            Event::AskBind { stale } if self.binds.is_empty() => self.binds.push(self.bind(timeline, stale)),
            Event::AnswerBind(which) if !self.binds.is_empty() => {
                let (since, bound) = self.binds.remove(which % self.binds.len());
                timeline.apply_bind(since, bound);
            }
            Event::Reread => self.reread(timeline),
            _ => {}
        }
    }

    fn reread(&self, timeline: &mut Timeline) {
        let mut before = timeline.newest_held().map(Seq::next);
        while let Some(Seq(end)) = before.filter(|_| timeline.is_stale()) {
            before = timeline.reread(self.history(end, 5), timeline.rev());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Changes, messages, history and replies of `bind` arrive in any order, and some are lost or doubled: a last `bind`
    /// makes the list that of the room. No text is on the list after the page was told its removal, unless the room has it again.
    #[test]
    fn trap_1_any_order_of_changes_ends_in_the_rooms_list(start in 1..30u64, events in prop::collection::vec(event(), 0..80)) {
        let mut room = Room::new(start);
        let mut timeline = timeline_of(start.saturating_sub(9).max(1)..=start);
        for event in events {
            room.happen(event, &mut timeline);
            for message in held(&timeline).into_iter().filter(|message| message.removed.is_none()) {
                let is_told = |changed: &&Changed| changed.rev <= timeline.rev() && changed.removed.iter().any(|seqs| seqs.from <= message.seq && message.seq <= seqs.to);
                let is_restored = room.rows[message.seq.0 as usize - 1].removed.is_none();
                let last = room.log.iter().filter(is_told).map(|changed| changed.rev).max();
                let undone = last.is_some_and(|last| room.log.iter().any(|changed| changed.rev > last && changed.why == Why::Undo));
                prop_assert!(last.is_none() || is_restored || undone || timeline.is_stale(), "{} is on the list", message.seq);
            }
        }
        let (since, last) = room.bind(&timeline, false);
        timeline.apply_bind(since, last);
        room.reread(&mut timeline);
        let same = |messages: Vec<Message>| -> Vec<_> {
            messages.into_iter().map(|message| (message.seq, message.text, message.removed.is_some())).collect()
        };
        let list = held(&timeline);
        let rooms = list.iter().map(|message| room.rows[message.seq.0 as usize - 1].clone()).collect();
        prop_assert_eq!(same(list), same(rooms));
        timeline.fill_gap(room.history(room.rows.len() as u64 + 1, 1000), timeline.rev());
        prop_assert_eq!(same(held(&timeline)), same(room.rows));
    }
}
