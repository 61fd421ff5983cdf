//! Removal of messages: tombstones, marks of purges, the undoing, erasure.

use super::moderation::{HOUR_MS, act, add_account, all, now, purge, removal, restraint, room, say, seqs_of, texts, uid};
use super::{Opened, add_rooms, contract, message, now_ms, seqs, set_host};
use roomcast::domain::{
    change::{Pinned, Removed, RestraintKind, Rev, Why},
    id::{Seq, Uid},
    message::ReplyTo,
};
use roomcast::server::storage::moderation::{ActQueries, ActTransaction, PurgeRow, PurgeState, ReportRow};
use roomcast::server::storage::{Appended, NewMessage, Store};
use uuid::Uuid;

contract!(
    a_removed_text_is_in_no_read_and_comes_back_exactly,
    a_message_is_removed_once_and_restored_by_its_own_act,
    the_mark_of_a_purge_counts_in_every_read_before_its_rows_are_blanked,
    a_purge_that_is_taken_back_meanwhile_shows_the_rest_at_once,
    pin_and_reports_end_with_their_message,
    an_answer_names_the_author_of_a_message_that_is_kept,
    an_erased_text_does_not_come_back,
    a_person_is_erased_from_the_messages,
    the_range_of_a_person_is_by_time,
);

async fn a_removed_text_is_in_no_read_and_comes_back_exactly(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    say(store, "1", &["a", "b"]).await;
    let answer = NewMessage { re: Some(Seq(1)), mentions: vec![uid("a"), uid("b")], ..message("1", "a", "3", Some("n")) };
    seqs(&store.append(vec![answer, message("1", "c", "4", None)], 0).await.unwrap());
    let before = all(store, "1").await;
    assert_eq!(before[2].re, Some(ReplyTo { seq: Seq(1), nickname: "a".into() }));
    assert_eq!(before[2].mentions, [uid("a"), uid("b")]);
    let action = Uuid::now_v7();
    let mut removing = act(store, "1").await;
    assert_eq!(removing.remove(removal(action, 1), &seqs_of([3, 1, 9, 3])).await.unwrap(), seqs_of([1, 3]));
    let stored = removing.message(Seq(3)).await.unwrap().unwrap();
    assert_eq!((stored.action, stored.message.text.as_str()), (Some(action), ""));
    assert_eq!(removing.message(Seq(4)).await.unwrap().unwrap().action, None);
    assert_eq!(removing.message(Seq(9)).await.unwrap(), None);
    removing.commit().await.unwrap();
    assert_eq!(texts(store, "1").await, ["", "2", "", "4"]);
    let after = all(store, "1").await;
    assert_eq!(after[2].removed, Some(Removed { why: Why::Moderator, rev: Rev(1) }));
    assert_eq!(after[2].re, Some(ReplyTo { seq: Seq(1), nickname: String::new() }), "the answer stays, the name does not");
    assert_eq!((&after[0].user, after[0].at, after[0].id), (&before[0].user, before[0].at, before[0].id));
    assert_eq!(store.messages_at(&room("1"), &seqs_of([4, 3, 7])).await.unwrap(), after[2..]);
    let of_staff = store.with_texts(&room("1"), Seq(0), Seq(4), 9).await.unwrap();
    let kept: Vec<_> = of_staff.iter().map(|one| one.removed.clone().unwrap_or_default()).collect();
    assert_eq!(kept, [("a", "1"), ("", ""), ("a", "3")].map(|(name, text)| (name.to_owned(), text.to_owned())));
    assert_eq!(of_staff[0].message, after[0], "the tombstone itself");
    assert_eq!(store.sent_before(&uid("a"), &"n".parse().unwrap(), &room("1")).await.unwrap(), Some((before[2].id, Seq(3))));
    let mut undoing = act(store, "1").await;
    assert_eq!(undoing.restorable(action).await.unwrap(), 2);
    assert_eq!(undoing.restore(action, 1).await.unwrap(), before[..1]);
    assert_eq!(undoing.restore(action, 9).await.unwrap(), before[2..3]);
    assert_eq!((undoing.restore(action, 9).await.unwrap(), undoing.restorable(action).await.unwrap()), (vec![], 0));
    undoing.commit().await.unwrap();
    assert_eq!(all(store, "1").await, before);
}

async fn a_message_is_removed_once_and_restored_by_its_own_act(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "2"]).await;
    say(store, "1", &["a", "a", "b"]).await;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let mut act_1 = act(store, "1").await;
    assert_eq!(act_1.remove(removal(first, 1), &seqs_of([1])).await.unwrap(), seqs_of([1]));
    assert_eq!(act_1.remove(removal(second, 2), &seqs_of([1, 2])).await.unwrap(), seqs_of([2]));
    act_1.commit().await.unwrap();
    let mut elsewhere = act(store, "2").await;
    assert_eq!((elsewhere.restore(first, 9).await.unwrap(), elsewhere.restorable(first).await.unwrap()), (vec![], 0));
    drop(elsewhere);
    let mut undoing = act(store, "1").await;
    assert_eq!(undoing.restore(second, 9).await.unwrap().len(), 1);
    undoing.commit().await.unwrap();
    assert_eq!(texts(store, "1").await, ["", "2", "3"], "the other act's row stays removed");
}

async fn put(store: &Store, row: &PurgeRow) {
    let mut act = act(store, "1").await;
    act.put_purge(row).await.unwrap();
    act.commit().await.unwrap();
}

/// Blanks at most `limit` rows, as the task does: the number of rows.
async fn blank(store: &Store, row: &PurgeRow, limit: u32) -> u64 {
    let mut act = act(store, "1").await;
    let blanked = act.blank_next(row, limit).await.unwrap();
    act.commit().await.unwrap();
    blanked
}

async fn the_mark_of_a_purge_counts_in_every_read_before_its_rows_are_blanked(opened: &mut Opened) {
    let store = &opened.store;
    add_rooms(store, &["1"]).await;
    store.put_nickname(&uid("u"), "u", 0).await.unwrap();
    let new = |user: &str, n: u64| message("1", user, &n.to_string(), (n == 4).then_some("n"));
    let batch = (1..=8).map(|n| new(if n == 3 { "v" } else { "u" }, n)).collect();
    seqs(&store.append(batch, 0).await.unwrap());
    seqs(&store.append(vec![NewMessage { re: Some(Seq(2)), ..message("1", "v", "9", None) }], 0).await.unwrap());
    let before = all(store, "1").await;
    // Another act removed one of them before.
    let (earlier, action) = (Uuid::now_v7(), Uuid::now_v7());
    let mut removing = act(store, "1").await;
    removing.remove(removal(earlier, 1), &seqs_of([5])).await.unwrap();
    removing.commit().await.unwrap();
    let row = purge(action, "u", 1, 7, 2);
    put(store, &row).await;
    let expected = ["", "", "3", "", "", "", "", "8", "9"];
    let check = async || {
        assert_eq!(texts(store, "1").await, expected);
        let shown = all(store, "1").await;
        let revs: Vec<_> = shown.iter().map(|message| message.removed.map_or(0, |removed| removed.rev.0)).collect();
        assert_eq!(revs, [2, 2, 0, 2, 1, 2, 2, 0, 0]);
        assert_eq!(shown[8].re, Some(ReplyTo { seq: Seq(2), nickname: String::new() }));
        assert_eq!(store.messages_at(&room("1"), &seqs_of([2, 8])).await.unwrap(), [shown[1].clone(), shown[7].clone()]);
        let history = store.person_history(&room("1"), &uid("u"), now_ms()).await.unwrap().unwrap();
        assert_eq!((history.messages, history.removed), (7, 6));
        let of_person = store.messages_of(&room("1"), &uid("u"), Some(Seq(8)), 2).await.unwrap();
        let kept: Vec<_> = of_person.iter().map(|one| (one.message.seq.0, one.removed.clone().unwrap().1)).collect();
        assert_eq!(kept, [(7, "7".to_owned()), (6, "6".to_owned())]);
        let mut reading = act(store, "1").await;
        let stored = reading.message(Seq(7)).await.unwrap().unwrap();
        assert_eq!((stored.message, stored.action), (shown[6].clone(), Some(action)));
        assert_eq!(reading.remove(removal(Uuid::now_v7(), 3), &seqs_of([1, 7])).await.unwrap(), [], "they are removed");
    };
    check().await;
    let appended = store.append(vec![NewMessage { re: Some(Seq(1)), ..message("1", "w", "10", None) }], 0).await.unwrap();
    let Appended::Stored(answer) = &appended[0] else { panic!("{appended:?}") };
    assert_eq!(answer.re, Some(ReplyTo { seq: Seq(1), nickname: String::new() }), "an answer to a marked message has no name");
    opened.place.sql("DELETE FROM {}messages WHERE seq = 10").await;
    let kept_in_rows = "SELECT count(*) FROM {}messages WHERE uid = 'u' AND text <> ''";
    assert_eq!(store.open_purges().await.unwrap(), std::slice::from_ref(&row));
    for (blanked, left) in [(2, 4), (1, 3), (2, 1)] {
        assert_eq!((blank(store, &row, 2).await, opened.place.count(kept_in_rows).await), (blanked, left));
        check().await;
    }
    assert_eq!((blank(store, &row, 2).await, store.open_purges().await.unwrap()), (0, vec![]));
    let mut undoing = act(store, "1").await;
    assert_eq!(undoing.purge(action).await.unwrap().unwrap().state, PurgeState::Done);
    assert_eq!(undoing.restorable(action).await.unwrap(), 5);
    let mut restored = undoing.restore(action, 3).await.unwrap();
    restored.extend(undoing.restore(action, 3).await.unwrap());
    undoing.commit().await.unwrap();
    assert_eq!(restored.iter().map(|message| message.seq.0).collect::<Vec<_>>(), [1, 2, 4, 6, 7]);
    let mut expected = before;
    let after = all(store, "1").await;
    expected[4] = after[4].clone();
    assert_eq!((after[4].removed.unwrap().rev, &after), (Rev(1), &expected));
}

async fn a_purge_that_is_taken_back_meanwhile_shows_the_rest_at_once(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    say(store, "1", &["u", "u", "u", "v", "u"]).await;
    let row = purge(Uuid::now_v7(), "u", 1, 5, 1);
    put(store, &row).await;
    assert_eq!(blank(store, &row, 2).await, 2);
    assert_eq!(texts(store, "1").await, ["", "", "", "4", ""]);
    let mut undoing = act(store, "1").await;
    let stored = undoing.purge(row.action).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.next), (PurgeState::Blanking, Seq(3)));
    undoing.put_purge(&PurgeRow { state: PurgeState::Restoring, ..stored }).await.unwrap();
    undoing.commit().await.unwrap();
    assert_eq!(texts(store, "1").await, ["", "", "3", "4", "5"]);
    assert_eq!(blank(store, &row, 2).await, 0, "the task that still has the mark blanks nothing");
    assert_eq!(store.open_purges().await.unwrap().len(), 1);
    let mut undoing = act(store, "1").await;
    assert_eq!(undoing.restore(row.action, 9).await.unwrap().len(), 2);
    undoing.put_purge(&PurgeRow { state: PurgeState::Done, ..row }).await.unwrap();
    undoing.commit().await.unwrap();
    assert_eq!(texts(store, "1").await, ["1", "2", "3", "4", "5"]);
    assert_eq!(store.open_purges().await.unwrap(), []);
}

async fn pin_and_reports_end_with_their_message(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    say(store, "1", &["u", "v", "u"]).await;
    let report = |seq: u64, of: &str| ReportRow {
        room: room("1"),
        seq: Seq(seq),
        by: uid("w"),
        uid: uid(of),
        reason: "spam".into(),
        at: now_ms(),
    };
    let open = async || store.open_reports(&room("1"), 9).await.unwrap().iter().map(|one| one.seq.0).collect::<Vec<_>>();
    let mut acting = act(store, "1").await;
    for (seq, of) in [(1, "u"), (2, "v"), (3, "u")] {
        assert!(acting.put_report(&report(seq, of)).await.unwrap());
        assert!(!acting.put_report(&report(seq, of)).await.unwrap(), "once");
    }
    assert_eq!(acting.reports_by(&uid("w"), now_ms() - HOUR_MS).await.unwrap(), 3);
    assert_eq!(acting.reports_by(&uid("w"), now_ms() + HOUR_MS).await.unwrap(), 0);
    acting.set_pin(Some(Pinned { seq: Seq(1), until: None })).await.unwrap();
    acting.commit().await.unwrap();
    assert_eq!(open().await, [1, 2, 3]);
    let mut acting = act(store, "1").await;
    acting.remove(removal(Uuid::now_v7(), 1), &seqs_of([2])).await.unwrap();
    acting.commit().await.unwrap();
    assert_eq!((open().await, now(store, "1").await.record.pinned.map(|pin| pin.seq)), (vec![1, 3], Some(Seq(1))));
    put(store, &purge(Uuid::now_v7(), "u", 1, 2, 2)).await;
    assert_eq!((open().await, now(store, "1").await.record.pinned), (vec![3], None));
    let mut acting = act(store, "1").await;
    acting.settle_reports(Seq(3)).await.unwrap();
    acting.commit().await.unwrap();
    assert_eq!(open().await, Vec::<u64>::new());
}

async fn an_answer_names_the_author_of_a_message_that_is_kept(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "2"]).await;
    say(store, "1", &["a", "b"]).await;
    let mut removing = act(store, "1").await;
    removing.remove(removal(Uuid::now_v7(), 1), &seqs_of([2])).await.unwrap();
    removing.commit().await.unwrap();
    let answer = |to: u64, id: &str| NewMessage { re: Some(Seq(to)), ..message(id, "c", "x", None) };
    let batch =
        vec![answer(1, "1"), answer(2, "1"), answer(3, "1"), answer(99, "1"), answer(1, "2"), message("1", "c", "x", None)];
    let appended = store.append(batch, 0).await.unwrap();
    let name = |one: &Appended| match one {
        Appended::Stored(message) => message.re.as_ref().map(|re| (re.seq.0, re.nickname.clone())),
        other => panic!("{other:?}"),
    };
    let named: Vec<_> = appended.iter().map(name).collect();
    let expected = [Some((1, "a")), Some((2, "")), None, None, None, None];
    assert_eq!(named, expected.map(|re| re.map(|(seq, name)| (seq, name.to_owned()))));
    let stored = all(store, "1").await;
    assert_eq!(
        stored[2..].iter().map(|one| one.re.as_ref().map(|re| re.seq.0)).collect::<Vec<_>>(),
        [Some(1), Some(2), None, None, None]
    );
}

async fn an_erased_text_does_not_come_back(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    say(store, "1", &["a", "a", "u"]).await;
    let action = Uuid::now_v7();
    let mut acting = act(store, "1").await;
    acting.remove(removal(action, 1), &seqs_of([1, 2])).await.unwrap();
    assert!(acting.erase_text(Seq(1)).await.unwrap());
    assert!(!acting.erase_text(Seq(1)).await.unwrap(), "it is gone");
    assert!(!acting.erase_text(Seq(3)).await.unwrap(), "it is not removed");
    acting.put_purge(&purge(Uuid::now_v7(), "u", 3, 3, 2)).await.unwrap();
    assert!(acting.erase_text(Seq(3)).await.unwrap(), "removed by a mark");
    assert_eq!(acting.restore(action, 9).await.unwrap().len(), 1);
    acting.commit().await.unwrap();
    assert_eq!(texts(store, "1").await, ["", "2", ""]);
    let of_staff = store.with_texts(&room("1"), Seq(0), Seq(9), 9).await.unwrap();
    assert!(of_staff.iter().all(|one| one.removed.is_none()), "{of_staff:?}");
}

async fn a_person_is_erased_from_the_messages(opened: &mut Opened) {
    let store = &opened.store;
    add_rooms(store, &["1", "2"]).await;
    add_account(store, "u").await;
    set_host(store, &room("2"), &uid("u")).await;
    let mine = |text: &str, nonce| message("1", "u", text, nonce);
    seqs(
        &store
            .append(vec![mine("1", Some("n")), message("1", "v", "2", None), mine("3", None), mine("4", None)], 0)
            .await
            .unwrap(),
    );
    let mut acting = act(store, "1").await;
    acting.remove(removal(Uuid::now_v7(), 1), &seqs_of([3])).await.unwrap();
    let erasing = removal(Uuid::now_v7(), 2);
    let erased = acting.erase_messages_of(&uid("u"), erasing, 2).await.unwrap();
    assert_eq!(erased, seqs_of([1, 3]));
    assert_eq!(acting.erase_messages_of(&uid("u"), erasing, 2).await.unwrap(), seqs_of([4]));
    assert_eq!(acting.erase_messages_of(&uid("u"), erasing, 2).await.unwrap(), []);
    acting.put_restraint(&restraint(Some("1"), "u", RestraintKind::Ban, None)).await.unwrap();
    acting.put_action_text(Uuid::now_v7(), "reason", Some(&uid("u")), "about u", &[1], u64::MAX).await.unwrap();
    acting.commit().await.unwrap();
    assert_eq!(texts(store, "1").await, ["", "2", "", ""]);
    let after = all(store, "1").await;
    assert_eq!(after.iter().map(|one| one.user == Uid::nobody()).collect::<Vec<_>>(), [true, false, true, true]);
    assert_eq!(after.iter().map(|one| one.removed.map_or(0, |removed| removed.rev.0)).collect::<Vec<_>>(), [2, 0, 1, 2]);
    let traces = "(SELECT count(*) FROM {}messages WHERE uid = 'u') + (SELECT count(*) FROM {}removed_texts)
        + (SELECT count(*) FROM {}messages WHERE nonce = 'n')";
    assert_eq!(opened.place.count(traces).await, 0);
    assert!(!store.forget_person(&uid("u")).await.unwrap(), "a host");
    assert!(!store.forget_person(&uid("nobody")).await.unwrap());
    add_account(store, "another").await;
    set_host(store, &room("2"), &uid("another")).await;
    assert!(store.forget_person(&uid("u")).await.unwrap());
    assert!(store.person_by_account("u").await.unwrap().is_none());
    let kept = "(SELECT count(*) FROM {}action_texts) + (SELECT count(*) FROM {}restraints WHERE reason <> '')";
    assert_eq!(opened.place.count(kept).await, 0);
    assert_eq!(store.restraints_of(&room("1"), &uid("u"), now_ms()).await.unwrap().len(), 1, "the ban stays");
}

async fn the_range_of_a_person_is_by_time(opened: &mut Opened) {
    let store = &opened.store;
    add_rooms(store, &["1"]).await;
    say(store, "1", &["u", "v", "u", "u"]).await;
    for (seq, at) in [(1, 100), (2, 200), (3, 300), (4, 400)] {
        opened.place.sql(&format!("UPDATE {{}}messages SET at = {at} WHERE seq = {seq}")).await;
    }
    let mut acting = act(store, "1").await;
    let range = async |acting: &mut ActTransaction, user: &str, since: u64| {
        acting.range_of(&uid(user), since).await.unwrap().map(|(from, upto)| (from.0, upto.0))
    };
    assert_eq!(range(&mut acting, "u", 0).await, Some((1, 4)));
    assert_eq!(range(&mut acting, "u", 101).await, Some((3, 4)));
    assert_eq!(range(&mut acting, "u", 300).await, Some((3, 4)));
    assert_eq!(range(&mut acting, "u", 401).await, None);
    assert_eq!(range(&mut acting, "nobody", 0).await, None);
    assert!(acting.now().await.unwrap() >= now_ms() - HOUR_MS);
}
