//! The texts that the log keeps apart from its rows, and the traces of an erased person in the records of others.

use super::moderation::{act, action, add_account, all, now, purge, restraint, room, uid};
use super::{Opened, add_rooms, contract, message, now_ms, seqs, set_host};
use roomcast::domain::{
    change::{RestraintKind, Rev},
    id::Seq,
    refusal::Refusal,
};
use roomcast::server::config::ModerationSettings;
use roomcast::server::moderation::{
    Act, ActKind, Actor, Failure, Flaw, Outcome, Rules, TITLE_AFTER, TITLE_BEFORE, carry_out, locate, verify,
};
use roomcast::server::storage::moderation::{ActQueries, ActionRow, ChainHead};
use roomcast::server::storage::{NewMessage, Store};
use sha2::{Digest, Sha256};
use uuid::Uuid;

contract!(
    a_title_is_kept_apart_from_its_row,
    a_title_goes_with_its_time_and_with_its_person,
    a_row_that_is_no_act_and_another_head_are_named,
    an_erased_person_leaves_no_trace_in_the_records_of_others,
    a_case_and_an_act_are_located_while_another_act_is_under_way,
);

/// An act of the host in room 1.
fn by_host(kind: ActKind) -> Act {
    Act { actor: Actor::Person(uid("host")), room: Some(room("1")), nonce: None, reason: String::new(), kind }
}

async fn try_act(store: &Store, kind: ActKind) -> Result<Outcome, Refusal> {
    let mut tx = act(store, "1").await;
    let rules = Rules::from(&ModerationSettings::default());
    match carry_out(&mut tx, &by_host(kind), Uuid::now_v7(), &rules).await {
        Ok(outcome) => {
            tx.commit().await.unwrap();
            Ok(outcome)
        }
        Err(Failure::Refused(refusal)) => Err(refusal),
        Err(Failure::Store(error)) => panic!("{error}"),
    }
}

/// Sets the title, and returns the act.
async fn entitle(store: &Store, title: &str) -> Uuid {
    try_act(store, ActKind::Title(title.into())).await.unwrap().reply.action.unwrap()
}

async fn title(store: &Store) -> String {
    now(store, "1").await.record.title
}

async fn hosted_room(store: &Store) {
    add_rooms(store, &["1"]).await;
    add_account(store, "host").await;
    set_host(store, &room("1"), &uid("host")).await;
}

/// The flaws of the log.
async fn flaws(store: &Store) -> Vec<Flaw> {
    verify(store, &[]).await.unwrap().bad.iter().map(|bad| bad.flaw).collect()
}

async fn a_title_is_kept_apart_from_its_row(opened: &mut Opened) {
    let store = &opened.store;
    hosted_room(store).await;
    let first = entitle(store, "a secret title").await;
    let same = try_act(store, ActKind::Title("a secret title".into())).await.unwrap();
    assert!(same.state.is_none() && same.reply.state.is_some(), "pages are told nothing of the same title: {same:?}");
    let second = entitle(store, "another secret").await;
    assert_eq!(try_act(store, ActKind::Undo(first)).await.unwrap_err(), Refusal::AlreadyDecided, "a later title is there");
    assert_eq!(try_act(store, ActKind::Undo(same.reply.action.unwrap())).await.unwrap_err(), Refusal::AlreadyDecided);
    try_act(store, ActKind::Undo(second)).await.unwrap();
    assert_eq!(title(store).await, "a secret title");
    let rows = store.actions_after("1", 0, 9).await.unwrap();
    assert_eq!(rows.len(), 4);
    for row in &rows {
        assert!(!row.body.contains("secret") && row.body.matches("title_hash").count() == 2, "{}", row.body);
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let texts = store.action_texts(&ids).await.unwrap();
    let undone: Vec<_> = texts.iter().filter(|(id, ..)| *id == rows[3].id).map(|(_, kind, text, _)| (&**kind, &**text)).collect();
    assert_eq!(undone, [(TITLE_AFTER, "a secret title"), (TITLE_BEFORE, "another secret")]);
    assert_eq!(flaws(store).await, []);
    for kind in [TITLE_BEFORE, TITLE_AFTER] {
        let set = |to: &str| format!("UPDATE {{}}action_texts SET kind = '{to}' WHERE kind = '{kind}' AND text LIKE 'another%'");
        opened.place.sql(&set("other")).await;
        assert_eq!(flaws(&opened.store).await, [Flaw::Text], "{kind}");
        opened.place.sql(&format!("UPDATE {{}}action_texts SET kind = '{kind}' WHERE kind = 'other'")).await;
        let change =
            |from: &str, to: &str| format!("UPDATE {{}}action_texts SET text = '{to}' WHERE kind = '{kind}' AND text = '{from}'");
        opened.place.sql(&change("another secret", "forged")).await;
        assert_eq!(flaws(&opened.store).await, [Flaw::Text], "{kind}");
        opened.place.sql(&change("forged", "another secret")).await;
    }
    assert_eq!(flaws(&opened.store).await, []);
}

async fn a_title_goes_with_its_time_and_with_its_person(opened: &mut Opened) {
    const YEAR_MS: u64 = 366 * 24 * 3_600_000;
    let store = &opened.store;
    hosted_room(store).await;
    let first = entitle(store, "a secret title").await;
    while store.sweep_moderation(now_ms() + YEAR_MS, 100).await.unwrap() > 0 {}
    assert_eq!(opened.place.count("SELECT count(*) FROM {}action_texts").await, 0);
    assert_eq!(try_act(store, ActKind::Undo(first)).await.unwrap_err(), Refusal::TooLate);
    assert_eq!((title(store).await.as_str(), flaws(store).await), ("a secret title", vec![]));
    entitle(store, "another secret").await;
    add_account(store, "next").await;
    set_host(store, &room("1"), &uid("next")).await;
    assert!(store.forget_person(&uid("host")).await.unwrap());
    assert_eq!(opened.place.count("SELECT count(*) FROM {}action_texts").await, 0);
    assert_eq!(flaws(&opened.store).await, []);
}

/// A chain can be hashed anew with any body in it; a head that was printed before tells.
async fn a_row_that_is_no_act_and_another_head_are_named(Opened { store, .. }: &mut Opened) {
    hosted_room(store).await;
    entitle(store, "a title").await;
    let head = store.chain_heads().await.unwrap().remove(0);
    let printed = |hash| ChainHead { hash, ..head.clone() };
    assert_eq!(verify(store, &[printed(head.hash)]).await.unwrap().bad, []);
    let bad = verify(store, &[printed([7; 32])]).await.unwrap().bad.remove(0);
    assert_eq!((bad.n, bad.flaw), (1, Flaw::PrintedHead));
    let body = "no act".to_owned();
    let hash = Sha256::new().chain_update(head.hash).chain_update(&body).finalize().into();
    let mut acting = act(store, "1").await;
    acting.put_action(&ActionRow { body, hash, ..action("1", 2, "host", None) }).await.unwrap();
    acting.commit().await.unwrap();
    let bad = verify(store, &[]).await.unwrap().bad.remove(0);
    assert_eq!((bad.n, bad.flaw), (2, Flaw::Body));
}

async fn an_erased_person_leaves_no_trace_in_the_records_of_others(opened: &mut Opened) {
    // A uid of a back end may have any character.
    let erased = r#"a "quoted\ uid's"#;
    let store = &opened.store;
    add_rooms(store, &["1", "2"]).await;
    let mentioning = |id: &str, mentions: &[&str]| {
        let mentions = mentions.iter().map(|user| uid(user)).collect();
        NewMessage { mentions, ..message(id, "v", "x", None) }
    };
    let batch = vec![mentioning("1", &["w", erased]), mentioning("1", &[erased]), mentioning("2", &[erased, "w"])];
    seqs(&store.append(batch, 0).await.unwrap());
    let mut acting = act(store, "1").await;
    let user = serde_json::to_string(erased).unwrap();
    acting.add_change(&format!(r#"{{"type":"changed","why":"moderator","purged":[{user},1,2]}}"#)).await.unwrap();
    acting.add_change(r#"{"type":"changed","why":"moderator","purged":["v",1,2]}"#).await.unwrap();
    acting.put_purge(&purge(Uuid::now_v7(), erased, 1, 2, 1)).await.unwrap();
    acting.put_purge(&purge(Uuid::now_v7(), "other", 1, 2, 2)).await.unwrap();
    acting.commit().await.unwrap();
    assert_eq!(store.rooms_of_person(&uid(erased)).await.unwrap(), [room("1"), room("2")]);
    let mut erasing = act(store, "1").await;
    let mut rows = Vec::new();
    for _ in 0..3 {
        rows.push(erasing.erase_traces_of(&uid(erased), 1).await.unwrap());
    }
    erasing.commit().await.unwrap();
    assert_eq!(rows, [3, 1, 0], "purge, change and a mention; a mention; nothing");
    let mentions: Vec<_> = all(store, "1").await.into_iter().map(|message| message.mentions).collect();
    assert_eq!(mentions, [vec![uid("w")], vec![]]);
    assert_eq!(all(store, "2").await[0].mentions, [uid(erased), uid("w")], "another room");
    assert_eq!(store.rooms_of_person(&uid(erased)).await.unwrap(), [room("2")]);
    let changes = store.room_now(&room("1"), Some(Rev(0)), 9).await.unwrap().unwrap().changes;
    let bodies: Vec<serde_json::Value> = changes.iter().map(|change| serde_json::from_str(&change.body).unwrap()).collect();
    assert_eq!(bodies[0], serde_json::json!({"type": "changed", "why": "moderator", "reread": true}));
    assert_eq!(bodies[1]["purged"][0], "v", "that of another person stays");
    assert_eq!(opened.place.count("SELECT count(*) FROM {}purges").await, 1);
}

async fn a_case_and_an_act_are_located_while_another_act_is_under_way(Opened { store, .. }: &mut Opened) {
    hosted_room(store).await;
    let done = entitle(store, "a title").await;
    let (here, on_site) = (restraint(Some("1"), "u", RestraintKind::Ban, None), restraint(None, "u", RestraintKind::Ban, None));
    let mut acting = act(store, "1").await;
    acting.put_restraint(&here).await.unwrap();
    acting.put_restraint(&on_site).await.unwrap();
    acting.commit().await.unwrap();
    // One under way in the room, and on PostgreSQL one on the site.
    let under_way = match store {
        Store::Sqlite(_) => act(store, "1").await,
        Store::Postgres(_) => store.begin_act_on_site(&"-".parse().unwrap(), now_ms()).await.unwrap(),
    };
    let found = async |kind: ActKind| {
        let mut act = Act { room: None, ..by_host(kind) };
        let located = tokio::time::timeout(crate::support::DEADLINE, locate(store, &mut act)).await.expect("it waits");
        (act.room, located.unwrap())
    };
    assert_eq!(found(ActKind::Undo(done)).await, (Some(room("1")), None));
    assert_eq!(found(ActKind::Lift(here.id)).await, (Some(room("1")), None));
    assert_eq!(found(ActKind::Acknowledge(on_site.id)).await, (None, Some(uid("u"))));
    let mut unknown = Act { room: None, ..by_host(ActKind::Lift(Uuid::now_v7())) };
    assert!(matches!(locate(store, &mut unknown).await, Err(Failure::Refused(Refusal::Malformed { .. }))));
    drop(under_way);
    assert_eq!(now(store, "1").await.record.newest, Seq(0));
}
