//! The judging inside `append` under moderation: restraints, ranks, the mode for accounts. And the lists that the staff reads.

use super::moderation::{HOUR_MS, act, add_account, purge, removal, restraint, room, say, seqs_of, uid};
use super::{Opened, add_rooms, contract, message, now_ms, seqs, set_closed, set_host, set_slow_mode};
use roomcast::domain::change::RestraintKind::{Ban, Timeout, Warning};
use roomcast::domain::{change::RestraintKind, id::Seq, message::Role, rank::Rank};
use roomcast::server::storage::moderation::{ActQueries, GrantedRole, NoteRow, RestraintRow};
use roomcast::server::storage::{Appended, NewMessage, SetModes, Store};
use uuid::Uuid;

contract!(
    a_restrained_person_sends_nothing_where_it_holds,
    the_first_restraint_is_told,
    a_restraint_ends_by_time_and_by_hand,
    a_restraint_is_judged_after_a_repeat_and_before_the_modes,
    a_new_guest_shares_the_restraint_of_the_network,
    guests_send_nothing_in_a_room_for_accounts,
    a_message_has_the_role_of_the_moment,
    slow_mode_is_not_for_guests_of_honour,
    the_staff_reads_persons_notes_and_restraints,
);

async fn put(store: &Store, id: &str, rows: &[&RestraintRow]) {
    let mut act = act(store, id).await;
    for row in rows {
        act.put_restraint(row).await.unwrap();
    }
    act.commit().await.unwrap();
}

/// The answer to one message in a word or two.
async fn send(store: &Store, new: NewMessage) -> String {
    match store.append(vec![new], 0).await.unwrap().remove(0) {
        Appended::Stored(_) => "stored".into(),
        Appended::Repeated { .. } => "repeated".into(),
        Appended::Restrained(restraint) => format!("{} {}", restraint.kind.as_str(), restraint.reason),
        Appended::RoomClosed => "closed".into(),
        Appended::AccountsOnly => "accounts".into(),
        Appended::TooFast { .. } => "too fast".into(),
        Appended::NoSuchRoom => "no room".into(),
    }
}

async fn say_in(store: &Store, id: &str, user: &str) -> String {
    send(store, message(id, user, "x", None)).await
}

async fn a_restrained_person_sends_nothing_where_it_holds(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "2"]).await;
    let until = Some(now_ms() + HOUR_MS);
    for (user, kind, until) in [("ban", Ban, None), ("timeout", Timeout, until), ("warning", Warning, None)] {
        let row = restraint(Some("1"), user, kind, until);
        put(store, "1", &[&row]).await;
        let appended = store.append(vec![message("1", user, "x", None), message("1", "other", "x", None)], 0).await.unwrap();
        let [Appended::Restrained(told), Appended::Stored(_)] = &appended[..] else { panic!("{appended:?}") };
        assert_eq!((told.kind, told.until, told.case, &told.reason), (kind, until, row.id, &row.reason));
        assert_eq!(say_in(store, "2", user).await, "stored", "another room");
    }
    let mut on_site = store.begin_act_on_site(&uid("everywhere"), now_ms()).await.unwrap();
    on_site.put_restraint(&restraint(None, "everywhere", Ban, None)).await.unwrap();
    on_site.commit().await.unwrap();
    for id in ["1", "2"] {
        assert_eq!(say_in(store, id, "everywhere").await, "ban the reason of everywhere");
    }
    assert_eq!(store.seq_range(&room("1")).await.unwrap().newest, Seq(3), "a refused message takes no seq");
}

async fn the_first_restraint_is_told(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    let row = |of, kind, hours: Option<u64>, reason: &str| RestraintRow {
        reason: reason.into(),
        ..restraint(of, "u", kind, hours.map(|hours| now_ms() + hours * HOUR_MS))
    };
    // Each is told before those that were there.
    for (of, kind, hours, reason) in [
        (Some("1"), Warning, None, "w"),
        (Some("1"), Timeout, Some(1), "t1"),
        (None, Timeout, Some(3), "t3"),
        (Some("1"), Timeout, Some(5), "t5"),
        (None, Ban, Some(1), "b1"),
        (Some("1"), Ban, None, "b"),
    ] {
        put(store, "1", &[&row(of, kind, hours, reason)]).await;
        assert_eq!(say_in(store, "1", "u").await, format!("{} {reason}", kind.as_str()));
    }
    let told = store.restraints_of(&room("1"), &uid("u"), now_ms()).await.unwrap();
    assert_eq!(told.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["b", "b1", "t5", "t3", "t1", "w"]);
    let mut acting = act(store, "1").await;
    assert_eq!(acting.restraints_of(&uid("u"), true).await.unwrap(), told);
    let of_room = acting.restraints_of(&uid("u"), false).await.unwrap();
    assert_eq!(of_room.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["b", "t5", "t1", "w"]);
    drop(acting);
    let mut on_site = store.begin_act_on_site(&uid("u"), now_ms()).await.unwrap();
    let of_site = on_site.restraints_of(&uid("u"), false).await.unwrap();
    assert_eq!(of_site.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["b1", "t3"]);
}

async fn a_restraint_ends_by_time_and_by_hand(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    put(store, "1", &[&restraint(Some("1"), "past", Timeout, Some(now_ms() - 1)), &restraint(None, "past", Ban, Some(1))]).await;
    assert_eq!(say_in(store, "1", "past").await, "stored");
    assert_eq!(store.restraints_of(&room("1"), &uid("past"), now_ms()).await.unwrap(), []);
    let ban = restraint(Some("1"), "u", Ban, None);
    put(store, "1", &[&ban]).await;
    let mut lifting = act(store, "1").await;
    assert_eq!(lifting.restraint(ban.id).await.unwrap(), Some(ban.clone()));
    lifting.lift(ban.id, now_ms()).await.unwrap();
    assert!(lifting.restraint(ban.id).await.unwrap().unwrap().lifted_at.is_some());
    lifting.commit().await.unwrap();
    assert_eq!(say_in(store, "1", "u").await, "stored");
    let mut undoing = act(store, "1").await;
    undoing.restrain_again(ban.id).await.unwrap();
    assert_eq!(undoing.restraint(ban.id).await.unwrap(), Some(ban));
    assert_eq!(undoing.restraint(Uuid::now_v7()).await.unwrap(), None);
    undoing.commit().await.unwrap();
    assert_eq!(say_in(store, "1", "u").await, "ban the reason of u");
}

async fn a_restraint_is_judged_after_a_repeat_and_before_the_modes(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    let once = || message("1", "u", "x", Some("n"));
    assert_eq!(send(store, once()).await, "stored");
    let mut acting = act(store, "1").await;
    acting.put_restraint(&restraint(Some("1"), "u", Timeout, Some(now_ms() + HOUR_MS))).await.unwrap();
    acting.set_modes(SetModes { slow_ms: Some(60_000), closed: Some(true), accounts: Some(true) }, false).await.unwrap();
    acting.commit().await.unwrap();
    assert_eq!(send(store, once()).await, "repeated");
    assert_eq!(say_in(store, "nowhere", "u").await, "no room");
    assert_eq!(say_in(store, "1", "u").await, "timeout the reason of u");
    assert_eq!(say_in(store, "1", "v").await, "closed");
    set_closed(store, &room("1"), false).await;
    assert_eq!(say_in(store, "1", "v").await, "accounts");
    let with_account = || NewMessage { has_account: true, ..message("1", "v", "x", None) };
    assert_eq!(send(store, with_account()).await, "stored");
    assert_eq!(send(store, with_account()).await, "too fast");
}

async fn a_new_guest_shares_the_restraint_of_the_network(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "2"]).await;
    let (hash, other) = ([7; 12], [8; 12]);
    for (id, user, hash) in [("1", "g", hash), ("1", "g", hash), ("2", "g", other), ("1", "h", other)] {
        store.note_network(&room(id), &uid(user), hash, now_ms()).await.unwrap();
    }
    let ban = restraint(Some("1"), "g", Ban, None);
    let until = now_ms() + HOUR_MS;
    let mut acting = act(store, "1").await;
    acting.put_restraint(&ban).await.unwrap();
    assert_eq!(acting.restrain_networks(&uid("g"), ban.id, until).await.unwrap(), [hash]);
    acting.commit().await.unwrap();
    let new = |id: &str, networks: &[[u8; 12]]| NewMessage { networks: networks.to_vec(), ..message(id, "new", "x", None) };
    let appended = store.append(vec![new("1", &[other, hash])], 0).await.unwrap();
    let [Appended::Restrained(told)] = &appended[..] else { panic!("{appended:?}") };
    // The reason was given to another person.
    assert_eq!((told.kind, told.until, told.case, told.reason.as_str()), (Ban, Some(until), ban.id, ""));
    for (id, networks) in [("1", vec![]), ("1", vec![other]), ("2", vec![hash])] {
        assert_eq!(send(store, new(id, &networks)).await, "stored", "{id} {networks:?}");
    }
    store.put_nickname(&uid("new"), "n", 0).await.unwrap();
    store.note_network(&room("1"), &uid("new"), hash, now_ms()).await.unwrap();
    let shares = async || store.person_history(&room("1"), &uid("new"), now_ms()).await.unwrap().unwrap().shares_network;
    assert!(shares().await);
    let mut lifting = act(store, "1").await;
    lifting.lift(ban.id, now_ms()).await.unwrap();
    lifting.commit().await.unwrap();
    assert_eq!((send(store, new("1", &[hash])).await, shares().await), ("stored".into(), false));
    let mut acting = act(store, "1").await;
    acting.restrain_again(ban.id).await.unwrap();
    acting.restrain_networks(&uid("g"), ban.id, now_ms() - 1).await.unwrap();
    acting.commit().await.unwrap();
    assert_eq!(send(store, new("1", &[hash])).await, "stored", "the network's is over");
    // A hash is of one room: on the site it is that of each room.
    let everywhere = restraint(None, "g", Ban, None);
    let mut on_site = store.begin_act_on_site(&uid("g"), now_ms()).await.unwrap();
    on_site.put_restraint(&everywhere).await.unwrap();
    assert_eq!(on_site.restrain_networks(&uid("g"), everywhere.id, until).await.unwrap().len(), 2);
    on_site.commit().await.unwrap();
    assert_eq!((send(store, new("2", &[other])).await, send(store, new("1", &[hash])).await), ("ban ".into(), "ban ".into()));
    assert_eq!(send(store, new("2", &[hash])).await, "stored");
}

/// A room with a host, an owner, a moderator, a guest of honour and viewers. Guests have no account.
async fn crowd(store: &Store) {
    for name in ["owner", "host", "moderator", "vip", "viewer"] {
        add_account(store, name).await;
    }
    for guest in ["guest", "guest-vip"] {
        store.put_nickname(&uid(guest), guest, 5).await.unwrap();
    }
    store.add_room(&room("1"), "1", Some(&uid("host")), 0).await.unwrap();
    add_rooms(store, &["2"]).await;
    store.set_fact("owner_link", &[7; 32]).await.unwrap();
    assert!(store.claim_ownership(&uid("owner"), &[7; 32]).await.unwrap());
    let mut act = act(store, "1").await;
    for (name, role) in [
        ("moderator", GrantedRole::Moderator),
        ("vip", GrantedRole::Vip),
        ("guest-vip", GrantedRole::Vip),
        ("viewer", GrantedRole::Vip),
    ] {
        act.set_role(&uid(name), Some(role), "host").await.unwrap();
    }
    act.set_role(&uid("viewer"), None, "host").await.unwrap();
    act.commit().await.unwrap();
}

fn of(user: &str, id: &str) -> NewMessage {
    NewMessage { has_account: !user.starts_with("guest"), is_bot: user == "bot", ..message(id, user, "x", None) }
}

async fn guests_send_nothing_in_a_room_for_accounts(Opened { store, .. }: &mut Opened) {
    crowd(store).await;
    let mut acting = act(store, "1").await;
    acting.set_modes(SetModes { slow_ms: None, closed: None, accounts: Some(true) }, false).await.unwrap();
    acting.commit().await.unwrap();
    for (user, expected) in [
        ("guest", "accounts"),
        // Without an account a role counts for nothing.
        ("guest-vip", "accounts"),
        ("viewer", "stored"),
        ("vip", "stored"),
        ("host", "stored"),
        ("bot", "stored"),
    ] {
        assert_eq!(send(store, of(user, "1")).await, expected, "{user}");
    }
    assert_eq!(send(store, of("guest", "2")).await, "stored", "another room");
    store.put_nickname(&uid("guest-host"), "n", 5).await.unwrap();
    set_host(store, &room("1"), &uid("guest-host")).await;
    assert_eq!(send(store, of("guest-host", "1")).await, "stored", "its host");
}

async fn a_message_has_the_role_of_the_moment(Opened { store, .. }: &mut Opened) {
    crowd(store).await;
    let expected = [
        ("owner", Role::Moderator, Rank::Owner),
        ("host", Role::Host, Rank::Host),
        ("moderator", Role::Moderator, Rank::Moderator),
        ("vip", Role::Vip, Rank::Vip),
        ("viewer", Role::Viewer, Rank::Viewer),
        ("guest", Role::Viewer, Rank::Guest),
        ("guest-vip", Role::Viewer, Rank::Guest),
    ];
    let batch = expected.map(|(user, ..)| of(user, "1")).to_vec();
    let appended = store.append(batch, 0).await.unwrap();
    let roles = |appended: &[Appended]| -> Vec<Role> {
        appended
            .iter()
            .map(|one| match one {
                Appended::Stored(message) => message.role,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(roles(&appended), expected.map(|(_, role, _)| role));
    let stored = store.messages_between(&room("1"), Seq(0), None, 20).await.unwrap();
    assert_eq!(stored.iter().map(|message| message.role).collect::<Vec<_>>(), expected.map(|(_, role, _)| role));
    for (user, _, rank) in expected {
        assert_eq!(store.standing(&room("1"), &uid(user)).await.unwrap().unwrap().rank(), rank, "{user}");
    }
    let asked: Vec<_> = expected.iter().map(|(user, ..)| uid(user)).chain([uid("nobody")]).collect();
    let mut at_once = store.standings(&room("1"), &asked).await.unwrap();
    at_once.sort_by_key(|(uid, _)| asked.iter().position(|one| one == uid));
    let ranks: Vec<_> = at_once.iter().map(|(uid, standing)| (uid.as_str(), standing.rank())).collect();
    assert_eq!(ranks, expected.map(|(user, _, rank)| (user, rank)), "at once, and nobody unknown");
    let batch = ["bot", "moderator", "owner"].map(|user| of(user, if user == "bot" { "1" } else { "2" })).to_vec();
    assert_eq!(roles(&store.append(batch, 0).await.unwrap()), [Role::Bot, Role::Viewer, Role::Host], "the owner hosts room 2");
    assert_eq!(store.standing(&room("1"), &uid("nobody")).await.unwrap(), None);
    let granted = store.granted(&room("1")).await.unwrap();
    let granted: Vec<_> = granted.iter().map(|one| (one.uid.as_str(), one.role)).collect();
    assert_eq!(granted, [("moderator", GrantedRole::Moderator), ("guest-vip", GrantedRole::Vip), ("vip", GrantedRole::Vip)]);
}

async fn slow_mode_is_not_for_guests_of_honour(Opened { store, .. }: &mut Opened) {
    crowd(store).await;
    set_slow_mode(store, &room("1"), 60_000).await;
    for (user, again) in [
        ("guest", "too fast"),
        ("guest-vip", "too fast"),
        ("viewer", "too fast"),
        ("vip", "stored"),
        ("moderator", "stored"),
        ("host", "stored"),
        ("owner", "stored"),
        ("bot", "too fast"),
    ] {
        assert_eq!(send(store, of(user, "1")).await, "stored");
        assert_eq!(send(store, of(user, "1")).await, again, "{user}");
    }
    let appended = store.append(vec![of("vip", "1")], 60_000).await.unwrap();
    assert!(matches!(appended[0], Appended::TooFast { .. }), "the site's cooldown is for all");
}

async fn the_staff_reads_persons_notes_and_restraints(opened: &mut Opened) {
    let store = &opened.store;
    crowd(store).await;
    let note = |text: &str, at: u64| NoteRow {
        id: Uuid::now_v7(),
        room: room("1"),
        uid: uid("viewer"),
        by: "host".into(),
        at,
        text: text.into(),
        until: now_ms() + HOUR_MS,
    };
    let (first, second) = (note("first", 5), note("second", 6));
    let mut acting = act(store, "1").await;
    acting.put_note(&first).await.unwrap();
    acting.put_note(&second).await.unwrap();
    acting.commit().await.unwrap();
    assert_eq!(store.notes_of(&room("1"), &uid("viewer"), 9).await.unwrap(), [second.clone(), first.clone()]);
    assert_eq!(store.notes_of(&room("1"), &uid("viewer"), 1).await.unwrap(), [second]);
    assert_eq!(store.notes_of(&room("2"), &uid("viewer"), 9).await.unwrap(), []);
    let mut acting = act(store, "2").await;
    assert!(!acting.remove_note(first.id).await.unwrap(), "of another room");
    drop(acting);
    let mut acting = act(store, "1").await;
    assert!(acting.remove_note(first.id).await.unwrap() && !acting.remove_note(first.id).await.unwrap());
    acting.commit().await.unwrap();
    let ended = restraint(Some("1"), "viewer", Timeout, Some(now_ms() - 1));
    let kinds =
        [(Some("1"), Ban, None), (Some("2"), Ban, None), (None, Timeout, Some(now_ms() + HOUR_MS)), (Some("1"), Warning, None)];
    let rows = kinds.map(|(of, kind, until): (Option<&str>, RestraintKind, Option<u64>)| restraint(of, "viewer", kind, until));
    put(store, "1", &[&ended, &rows[0], &rows[1], &rows[2], &rows[3]]).await;
    let listed = async |of: Option<&str>| {
        let listed = store.restraints_in(of.map(room).as_ref(), now_ms(), 9).await.unwrap();
        let mut listed: Vec<_> = listed.into_iter().map(|(row, nickname)| (row.kind, nickname)).collect();
        listed.sort();
        listed
    };
    assert_eq!(listed(Some("1")).await, [(Ban, "viewer".to_owned()), (Warning, "viewer".to_owned())]);
    assert_eq!(listed(None).await, [(Timeout, "viewer".to_owned())]);
    say(store, "1", &["guest", "guest", "guest"]).await;
    store.put_nickname(&uid("guest"), "renamed", 5).await.unwrap();
    seqs(&store.append(vec![NewMessage { nickname: "renamed".into(), ..message("1", "guest", "x", None) }], 0).await.unwrap());
    let mut acting = act(store, "1").await;
    acting.remove(removal(Uuid::now_v7(), 1), &seqs_of([2])).await.unwrap();
    acting.put_purge(&purge(Uuid::now_v7(), "guest", 3, 3, 2)).await.unwrap();
    acting.commit().await.unwrap();
    let history = store.person_history(&room("1"), &uid("guest"), now_ms()).await.unwrap().unwrap();
    assert_eq!((history.messages, history.removed, history.restraints), (4, 2, 0));
    assert_eq!(history.nicknames, ["renamed", "guest"]);
    assert!(history.seen.is_some_and(|(first, last)| first <= last));
    let of_viewer = store.person_history(&room("1"), &uid("viewer"), now_ms()).await.unwrap().unwrap();
    assert_eq!((of_viewer.messages, of_viewer.seen, of_viewer.restraints), (0, None, 2), "warnings are not counted");
    assert_eq!(store.person_history(&room("1"), &uid("nobody"), now_ms()).await.unwrap(), None);
    assert_eq!(store.rooms_of_person(&uid("viewer")).await.unwrap(), [room("1"), room("2")]);
    assert_eq!(store.rooms_of_person(&uid("guest")).await.unwrap(), [room("1")]);
    assert_eq!(store.rooms_of_person(&uid("nobody")).await.unwrap(), []);
}
