//! Tests of [`Timeline`]: single cases, then any interleaving of events.

use crate::domain::{
    change::Rev,
    id::{Epoch, Seq},
    message::{Message, Role},
    reply::{BindReply, HistoryReply},
    timeline::{TRIM_AT, Timeline, TimelineItem},
};
use proptest::prelude::*;

fn message(seq: u64) -> Message {
    Message {
        room: "1".parse().unwrap(),
        seq: Seq(seq),
        id: uuid::Uuid::from_u128(seq as u128),
        user: "u".parse().unwrap(),
        nickname: "u".into(),
        role: Role::Viewer,
        text: seq.to_string(),
        at: seq * 1000,
        re: None,
        mentions: vec![],
        removed: None,
    }
}

fn messages(range: std::ops::RangeInclusive<u64>) -> Vec<Message> {
    range.map(message).collect()
}

fn epoch(name: &str) -> Epoch {
    name.parse().unwrap()
}

fn bind_reply(name: &str, seq: u64, messages: Vec<Message>, gap: bool) -> BindReply {
    let code = "u".parse().ok();
    BindReply {
        code,
        status: true,
        message: String::new(),
        epoch: epoch(name),
        seq: Seq(seq),
        oldest: Seq(1),
        messages,
        gap,
        you: None,
        rev: Default::default(),
        state: None,
        changes: vec![],
        stale: false,
        rank: None,
        restraint: None,
        warning: None,
    }
}

fn held(timeline: &Timeline) -> Vec<u64> {
    let seq = |item| if let TimelineItem::Message(message) = item { Some(message.seq.0) } else { None };
    timeline.items(|_| 0).into_iter().filter_map(seq).collect()
}

fn gaps(timeline: &Timeline) -> Vec<(u64, u64)> {
    let gap = |item| if let TimelineItem::Gap { from, to } = item { Some((from.0, to.0)) } else { None };
    timeline.items(|_| 0).into_iter().filter_map(gap).collect()
}

#[test]
fn missing_seqs_are_gaps_until_they_are_filled() {
    let mut timeline = Timeline::new(epoch("a"), Seq(3), messages(2..=3));
    assert_eq!(gaps(&timeline), []);
    timeline.apply_pushed(vec![message(6)]);
    timeline.note_skipped(Seq(8));
    assert_eq!(gaps(&timeline), [(4, 5), (7, 8)]);
    timeline.fill_gap(messages(4..=8), Rev(0));
    assert_eq!((held(&timeline), gaps(&timeline)), ((2..=8).collect(), vec![]));
}

#[test]
fn another_epoch_or_a_shorter_history_replaces_the_window() {
    let mut timeline = Timeline::new(epoch("a"), Seq(9), messages(1..=9));
    assert!(timeline.apply_bind(Seq(9), bind_reply("b", 2, messages(1..=2), true)));
    assert_eq!((held(&timeline), timeline.newest()), (vec![1, 2], Seq(2)));
    assert!(timeline.apply_bind(Seq(2), bind_reply("b", 1, messages(1..=1), true)));
    assert_eq!((held(&timeline), timeline.newest()), (vec![1], Seq(1)));
    assert!(!timeline.apply_bind(Seq(1), bind_reply("b", 2, messages(2..=2), false)));
    timeline.start_over(HistoryReply { messages: messages(1..=1), oldest: Seq(1) });
    assert_eq!((held(&timeline), timeline.newest()), (vec![1], Seq(1)));
}

#[test]
fn each_day_has_one_separator_in_order() {
    let timeline = Timeline::new(epoch("a"), Seq(4), messages(1..=4));
    let items = timeline.items(|at| (at / 2000) as i64);
    let days: Vec<_> =
        items.iter().filter_map(|item| if let TimelineItem::Day(day) = item { Some(*day) } else { None }).collect();
    assert_eq!(days, [0, 1, 2]);
    assert_eq!(items[0], TimelineItem::Day(0));
}

#[test]
fn p32_the_time_follows_each_silence_of_five_minutes_within_a_day() {
    let mut timeline = Timeline::new(epoch("a"), Seq(0), vec![]);
    let minutes = [0, 4, 9, 13, 60];
    timeline.apply_pushed(minutes.iter().zip(1..).map(|(minute, seq)| Message { at: minute * 60_000, ..message(seq) }).collect());
    let marks = |items: Vec<TimelineItem>| -> Vec<TimelineItem> {
        items.into_iter().filter(|item| !matches!(item, TimelineItem::Message(_))).collect()
    };
    let time = |minute: u64| TimelineItem::Time(minute * 60_000);
    assert_eq!(marks(timeline.items(|_| 0)), [TimelineItem::Day(0), time(9), time(60)]);
    // A new day says enough.
    assert_eq!(marks(timeline.items(|at| (at / 3_600_000) as i64)), [TimelineItem::Day(0), time(9), TimelineItem::Day(1)]);
}

#[test]
fn a_detached_window_catches_up_page_by_page_or_at_once() {
    let mut timeline = Timeline::new(epoch("a"), Seq(600), messages(401..=600));
    timeline.add_older(messages(351..=400), Rev(0));
    assert!(!timeline.is_detached());
    timeline.add_older(messages(301..=350), Rev(0));
    assert_eq!((timeline.is_detached(), timeline.newest_held()), (true, Some(Seq(500))));
    timeline.apply_pushed(messages(601..=602));
    assert_eq!((timeline.len(), timeline.newest(), gaps(&timeline).len()), (200, Seq(602), 0));
    let mut jumped = timeline.clone();
    jumped.reset_to_latest(messages(553..=602), Rev(0));
    assert_eq!((held(&jumped), jumped.is_detached()), ((553..=602).collect(), false));
    timeline.add_newer(messages(501..=550), Rev(0));
    assert!(timeline.is_detached());
    timeline.add_newer(messages(551..=602), Rev(0));
    assert_eq!((timeline.is_detached(), timeline.len(), timeline.newest_held()), (false, 200, Some(Seq(602))));
}

/// An event that changes a page's timeline, in a room whose history is 1..=N.
#[derive(Clone, Debug)]
enum Event {
    Pushed(u64),
    Skipped(u64),
    BoundSince(u64),
    History { before: u64, limit: u64 },
}

fn events(total: u64) -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (1..=total).prop_map(Event::Pushed),
        1 => (1..=total).prop_map(Event::Skipped),
        2 => (0..=total).prop_map(Event::BoundSince),
        2 => (1..=total, 1..30u64).prop_map(|(before, limit)| Event::History { before, limit }),
    ];
    prop::collection::vec(event, 0..120)
}

proptest! {
    /// After every event the window is ordered, and window and gaps together are the room's history up to the newest known
    /// seq. When the gaps are filled, the list is the whole history.
    #[test]
    fn any_interleaving_of_events_ends_in_the_same_list((total, start, events) in (1u64..150).prop_flat_map(|total| (Just(total), 0..=total, events(total)))) {
        let mut timeline = Timeline::new(epoch("a"), Seq(start), messages(start.saturating_sub(49).max(1)..=start));
        for event in events {
            match event {
                Event::Pushed(seq) => timeline.apply_pushed(vec![message(seq)]),
                Event::Skipped(to) => timeline.note_skipped(Seq(to)),
                Event::BoundSince(since) => { timeline.apply_bind(Seq(since), bind_reply("a", total, messages(since + 1..=total), false)); }
                Event::History { before, limit } => timeline.fill_gap(messages(before.saturating_sub(limit).max(1)..=before - 1), Rev(0)),
            }
            let held = held(&timeline);
            prop_assert!(held.windows(2).all(|pair| pair[0] < pair[1]));
            let mut covered: Vec<u64> = gaps(&timeline).into_iter().flat_map(|(from, to)| from..=to).collect();
            covered.extend(&held);
            covered.sort();
            let first = timeline.oldest_held().map_or(1, |seq| seq.0);
            prop_assert_eq!(covered, (first..=timeline.newest().0).collect::<Vec<_>>());
        }
        let since = timeline.newest();
        timeline.apply_bind(since, bind_reply("a", total, messages(since.0 + 1..=total), false));
        for (from, to) in gaps(&timeline) {
            timeline.fill_gap(messages(from..=to), Rev(0));
        }
        timeline.add_older(messages(1..=timeline.oldest_held().unwrap().0 - 1), Rev(0));
        prop_assert_eq!(held(&timeline), (1..=total).collect::<Vec<_>>());
        prop_assert_eq!(gaps(&timeline), vec![]);
    }

    /// The window stays bounded after any number of steps; unless it is detached, it ends with the newest message.
    #[test]
    fn the_window_stays_bounded(steps in prop::collection::vec((0..3u8, 1..60u64), 1..80)) {
        let (mut timeline, mut newest) = (Timeline::new(epoch("a"), Seq(0), vec![]), 0);
        for (step, count) in steps {
            match step {
                0 => {
                    if timeline.needs_trim() { timeline.trim(); }
                    timeline.apply_pushed(messages(newest + 1..=newest + count));
                    newest += count;
                }
                1 => if let Some(Seq(oldest)) = timeline.oldest_held() {
                    timeline.add_older(messages(oldest.saturating_sub(count).max(1)..=oldest - 1), Rev(0));
                },
                _ => if timeline.is_detached() && let Some(Seq(last)) = timeline.newest_held() {
                    timeline.add_newer(messages(last + 1..=(last + count).min(newest)), Rev(0));
                },
            }
            prop_assert!(timeline.len() <= TRIM_AT + 60);
            prop_assert!(timeline.is_detached() || timeline.newest_held() == (newest > 0).then_some(Seq(newest)));
            prop_assert_eq!(gaps(&timeline), vec![]);
        }
    }
}

#[test]
fn f3_removed_messages_are_no_gap() {
    let mut timeline = Timeline::new(epoch("a"), Seq(9), messages(3..=5));
    assert_eq!(gaps(&timeline), [(6, 9)]);
    timeline.note_oldest(Seq(8));
    assert_eq!((gaps(&timeline), timeline.oldest()), (vec![(8, 9)], Seq(8)));
    timeline.fill_gap(messages(8..=9), Rev(0));
    assert_eq!((held(&timeline), gaps(&timeline)), (vec![3, 4, 5, 8, 9], vec![]));
    // Nothing is kept: one above the newest.
    let mut empty = Timeline::new(epoch("a"), Seq(9), vec![]);
    empty.note_oldest(Seq(10));
    assert_eq!(gaps(&empty), []);
    // It does not fall, but for another numbering.
    empty.note_oldest(Seq(1));
    assert_eq!(empty.oldest(), Seq(10));
    empty.apply_bind(Seq(9), bind_reply("b", 2, messages(1..=2), true));
    assert_eq!(empty.oldest(), Seq(1));
}
