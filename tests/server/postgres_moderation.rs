//! Acts of moderation on PostgreSQL: their place among the sends of several servers, and what a broken connection leaves of them.

use crate::postgres_open::{open, settings};
use crate::postgres_store::{WAITS, room, uid};
use crate::storage::now_ms;
use crate::support::eventually;
use crate::support::postgres::{Database, Postgres};
use crate::support::proxy::{Link, Proxy};
use futures_util::future::join_all;
use roomcast::domain::id::{RoomId, Seq, Uid};
use roomcast::domain::rank::Verb;
use roomcast::server::config::{ModerationSettings, StorageSettings as Settings};
use roomcast::server::moderation::{Act, ActKind, Actor, Outcome, Rules, carry_out, verify};
use roomcast::server::storage::moderation::{ActQueries, ActTransaction};
use roomcast::server::storage::{Appended, NewMessage, SetModes, StorageError, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use uuid::Uuid;

const SENDERS: usize = 64;
/// Sends of a sender that is never refused.
const MAX_SENDS: usize = 1000;
const ROUNDS: usize = 6;

fn message(room: &str, user: &Uid) -> NewMessage {
    NewMessage {
        room: room.parse().unwrap(),
        id: Uuid::now_v7(),
        user: user.clone(),
        nickname: "N".into(),
        text: "t".into(),
        at: now_ms(),
        nonce: None,
        has_account: false,
        re: None,
        mentions: vec![],
        networks: vec![],
        is_bot: false,
    }
}

fn act(room: Option<&str>, nonce: Option<&str>, kind: ActKind) -> Act {
    let (room, nonce) = (room.map(|room| room.parse().unwrap()), nonce.map(|nonce| nonce.parse().unwrap()));
    Act { actor: Actor::Cli, room, nonce, reason: "spam".into(), kind }
}

/// Carries an act out in a transaction that is not committed yet.
async fn begun(store: &Store, act: &Act) -> (ActTransaction, Outcome) {
    let mut tx = match (&act.room, &act.kind) {
        (Some(room), _) => store.begin_act(room, now_ms()).await.unwrap(),
        (None, ActKind::Ban(uid)) => store.begin_act_on_site(uid, now_ms()).await.unwrap(),
        other => panic!("{other:?}"),
    };
    let rules = Rules::from(&ModerationSettings::default());
    let outcome = carry_out(&mut tx, act, Uuid::now_v7(), &rules).await.unwrap();
    (tx, outcome)
}

async fn done(store: &Store, act: &Act) -> Outcome {
    let (tx, outcome) = begun(store, act).await;
    tx.commit().await.unwrap();
    outcome
}

/// A server and three other processes on one database, with people and rooms.
async fn crowd(database: &Database, people: usize) -> (Vec<TempDir>, Vec<Store>) {
    let (folder, first) = open(database).await;
    let (mut folders, mut stores) = (vec![folder], vec![first]);
    for _ in 0..3 {
        let folder = TempDir::new().unwrap();
        let patient = Settings { busy_within_ms: 20_000, ..settings(&folder, &database.url()) };
        stores.push(Store::open_unlocked(&patient).await.unwrap());
        folders.push(folder);
    }
    for id in ["1", "2"] {
        stores[0].add_room(&room(id), id, None, 1).await.unwrap();
    }
    for n in 0..people {
        stores[0].put_nickname(&uid(&format!("p{n}")), "N", 1).await.unwrap();
    }
    (folders, stores)
}

/// Senders of one person through the three processes, half of them in each room. A sender goes on until it is refused; one in a room
/// without a ban ends when `is_over` says so.
async fn flood(stores: &[Store], person: &Uid, is_over: &Arc<AtomicBool>) -> Vec<Appended> {
    let senders = (0..SENDERS).map(|n| {
        let (store, is_over) = (stores[1 + n % 3].clone(), is_over.clone());
        let new = message(if n % 2 == 0 { "1" } else { "2" }, person);
        tokio::spawn(async move {
            let mut answers = vec![];
            while answers.len() < MAX_SENDS {
                let over = is_over.load(Ordering::Acquire);
                let answer = store.append(vec![NewMessage { id: Uuid::now_v7(), ..new.clone() }], 0).await.unwrap().remove(0);
                let is_stored = matches!(answer, Appended::Stored(_));
                answers.push(answer);
                if over || !is_stored {
                    break;
                }
            }
            answers
        })
    });
    join_all(senders).await.into_iter().flat_map(Result::unwrap).collect()
}

/// The newest seq of a person in each room.
fn newest(database: &Database, person: &Uid) -> String {
    database.sql(&format!(
        "SELECT string_agg(room || ':' || seq, ' ' ORDER BY room) FROM (SELECT room, max(seq) AS seq FROM roomcast.messages
        WHERE uid = '{person}' GROUP BY room) AS newest"
    ))
}

fn is_restrained(answer: &Appended) -> bool {
    matches!(answer, Appended::Restrained(_))
}

/// The seqs of a flood in a room, the highest of them.
fn last_in(answers: &[Appended], in_room: &str) -> Option<Seq> {
    let seqs = answers.iter().filter_map(|answer| match answer {
        Appended::Stored(message) if message.room == room(in_room) => Some(message.seq),
        _ => None,
    });
    seqs.max()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_has_a_seq_after_the_place_of_a_ban_in_the_room() {
    let Some(database) = Postgres::shared() else { return };
    let (_folders, stores) = crowd(&database, ROUNDS).await;
    for round in 0..ROUNDS {
        let person = uid(&format!("p{round}"));
        let is_over = Arc::new(AtomicBool::new(false));
        let ban = async {
            let begins = async || newest(&database, &person).contains("1:");
            eventually("the sends have begun", begins).await;
            let mut tx = stores[0].begin_act(&room("1"), now_ms()).await.unwrap();
            let place = tx.room().await.unwrap().unwrap().newest;
            let ban = act(Some("1"), None, ActKind::Ban(person.clone()));
            carry_out(&mut tx, &ban, Uuid::now_v7(), &Rules::from(&ModerationSettings::default())).await.unwrap();
            tx.commit().await.unwrap();
            is_over.store(true, Ordering::Release);
            place
        };
        let (answers, place) = tokio::join!(flood(&stores, &person, &is_over), ban);
        assert!(last_in(&answers, "1") <= Some(place), "round {round}: the ban's place is {place}");
        let restrained = answers.iter().filter(|answer| is_restrained(answer)).count();
        assert_eq!(restrained, SENDERS / 2, "round {round}: every sender in the room, and none in the other, which knows no ban");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_committed_after_the_commit_of_a_ban_on_the_site() {
    let Some(database) = Postgres::shared() else { return };
    let (_folders, stores) = crowd(&database, ROUNDS).await;
    for round in 0..ROUNDS {
        let person = uid(&format!("p{round}"));
        let ban = async {
            let begins = async || !newest(&database, &person).is_empty();
            eventually("the sends have begun", begins).await;
            done(&stores[0], &act(None, None, ActKind::Ban(person.clone()))).await;
            newest(&database, &person)
        };
        let is_over = Arc::default();
        let (answers, committed) = tokio::join!(flood(&stores, &person, &is_over), ban);
        assert_eq!(newest(&database, &person), committed, "round {round}");
        assert_eq!(answers.iter().filter(|answer| is_restrained(answer)).count(), SENDERS, "round {round}");
    }
}

/// A send that has read the restraints already holds the person's lock: the ban waits for its commit.
#[tokio::test]
async fn a_ban_on_the_site_waits_for_a_send_that_was_judged_before() {
    let Some(database) = Postgres::shared() else { return };
    let (_folders, stores) = crowd(&database, 1).await;
    let person = uid("p0");
    let mut sender = <sqlx::PgConnection as sqlx::Connection>::connect(&database.url()).await.unwrap();
    let mut sending = sqlx::Connection::begin(&mut sender).await.unwrap();
    let send = "SELECT count(*) FROM roomcast.append_2(0, ARRAY['1'], ARRAY['p0'], ARRAY['n'], ARRAY[gen_random_uuid()], ARRAY['N'], \
        ARRAY['t'], ARRAY[false], ARRAY[false], ARRAY[0::bigint], ARRAY[''], ARRAY[''])";
    sqlx::query(send).execute(&mut *sending).await.unwrap();
    let commit = async {
        eventually("the ban waits", async || database.sql(WAITS) == "1").await;
        assert_eq!(database.sql("SELECT count(*) FROM roomcast.restraints"), "0");
        sending.commit().await.unwrap();
    };
    let ban = act(None, None, ActKind::Ban(person));
    let (_, ()) = tokio::join!(done(&stores[1], &ban), commit);
    assert_eq!(database.sql("SELECT count(*) FROM roomcast.messages"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_at_once_number_their_changes_without_holes_and_keep_the_chains_whole() {
    const ACTS: usize = 60;
    let Some(database) = Postgres::shared() else { return };
    let (_folders, stores) = crowd(&database, ACTS).await;
    let acts = (0..ACTS).map(|n| {
        let store = stores[n % 4].clone();
        let person = uid(&format!("p{n}"));
        let modes = SetModes { slow_ms: Some(1000 * (n as u64 + 1)), closed: None, accounts: None };
        tokio::spawn(async move {
            done(&store, &act(Some("1"), None, ActKind::Mode(modes))).await;
            done(&store, &act(None, None, ActKind::Ban(person))).await;
        })
    });
    join_all(acts).await.into_iter().for_each(Result::unwrap);
    let changes = database.sql("SELECT count(*), min(rev), max(rev) FROM roomcast.changes WHERE room = '1'");
    assert_eq!(changes, format!("{ACTS}|1|{ACTS}"), "dense");
    assert_eq!(database.sql("SELECT rev FROM roomcast.heads WHERE room = '1'"), ACTS.to_string());
    let verified = verify(&stores[0], &[]).await.unwrap();
    assert!(verified.bad.is_empty(), "{verified:?}");
    let heads: Vec<_> = verified.whole.iter().map(|head| (head.chain.as_str(), head.n)).collect();
    assert_eq!(heads, [("*", ACTS as u64), ("1", ACTS as u64)]);
}

/// The rows that an act leaves.
const LEFT: &str = "SELECT (SELECT count(*) FROM roomcast.restraints), (SELECT count(*) FROM roomcast.actions), \
    (SELECT count(*) FROM roomcast.chains), (SELECT count(*) FROM roomcast.changes), (SELECT sum(rev) FROM roomcast.heads)";

#[tokio::test]
async fn a_session_that_is_killed_before_its_commit_leaves_nothing_of_the_act() {
    let Some(database) = Postgres::shared() else { return };
    let (_folders, stores) = crowd(&database, 1).await;
    let ban = act(Some("1"), None, ActKind::Ban(uid("p0")));
    let (tx, _) = begun(&stores[0], &ban).await;
    let kill = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity \
        WHERE datname = current_database() AND state = 'idle in transaction'";
    assert_eq!(database.sql(kill), "1");
    let committed = tx.commit().await;
    assert!(matches!(committed, Err(StorageError::Uncertain(_))), "{committed:?}");
    assert_eq!(database.sql(LEFT), "0|0|0|0|0");
    let again = stores[0].append(vec![message("1", &uid("p0"))], 0).await;
    assert!(matches!(again.unwrap().remove(0), Appended::Stored(_)));
    eventually("acts go on", async || stores[0].begin_act(&room("1"), 1).await.is_ok()).await;
    done(&stores[0], &ban).await;
}

#[tokio::test]
async fn a_lost_answer_of_a_commit_is_uncertain_and_the_nonce_finds_the_act() {
    let Some(database) = Postgres::shared() else { return };
    let proxy = Proxy::to(database.postgres.address());
    let folder = TempDir::new().unwrap();
    let store = Store::open(&settings(&folder, &database.url_at(proxy.address))).await.unwrap();
    store.add_room(&room("1"), "t", None, 1).await.unwrap();
    store.put_nickname(&uid("p0"), "N", 1).await.unwrap();
    let ban = act(Some("1"), Some("n1"), ActKind::Ban(uid("p0")));
    let (tx, outcome) = begun(&store, &ban).await;
    proxy.set(Link::HalfOpen);
    let committed = tx.commit().await;
    assert!(matches!(committed, Err(StorageError::Uncertain(_))), "{committed:?}");
    eventually("it is committed all the same", async || database.sql("SELECT count(*) FROM roomcast.actions") == "1").await;
    proxy.reset();
    eventually("acts go on", async || store.begin_act(&room("1"), 1).await.is_ok()).await;
    let again = done(&store, &ban).await;
    assert_eq!((again.reply.action, again.reply.case), (outcome.reply.action, outcome.reply.case));
    assert_eq!(database.sql("SELECT count(*), min(verb) FROM roomcast.actions"), format!("1|{}", Verb::Ban.as_str()));
}

#[tokio::test]
async fn an_act_that_is_dropped_gives_its_connection_back_without_a_trace() {
    let Some(database) = Postgres::shared() else { return };
    let (_folders, stores) = crowd(&database, 1).await;
    let ban = act(Some("1"), None, ActKind::Ban(uid("p0")));
    let sessions = "SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND application_name = 'roomcast'";
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'";
    drop(begun(&stores[0], &ban).await);
    eventually("it is rolled back", async || database.sql(idle) == "0").await;
    let before = database.sql(sessions);
    for _ in 0..10 {
        drop(begun(&stores[0], &ban).await);
        let sent = stores[0].append(vec![message("1", &uid("p0"))], 0).await.unwrap().remove(0);
        assert!(matches!(sent, Appended::Stored(_)), "{sent:?}");
    }
    eventually("all are rolled back", async || database.sql(idle) == "0").await;
    assert_eq!(database.sql(LEFT), "0|0|0|0|0");
    let after = database.sql(sessions);
    let is_there = |pid| after.split(',').any(|other| other == pid);
    assert!(before.split(',').all(is_there), "connections are used again: {before} {after}");
    // A query that is given up leaves an answer on its connection: that one is closed.
    let mut is_given_up = false;
    for _ in 0..100 {
        let mut tx = stores[0].begin_act(&room("1"), 1).await.unwrap();
        // On a busy machine the answer may be there at the first look.
        is_given_up = futures_util::poll!(std::pin::pin!(tx.room())).is_pending();
        if is_given_up {
            break;
        }
    }
    assert!(is_given_up);
    eventually("the room is free", async || database.sql(idle) == "0").await;
    assert_eq!(rev_of(&stores[0], &room("1")).await, 0);
}

async fn rev_of(store: &Store, room: &RoomId) -> u64 {
    store.room_now(room, None, 10).await.unwrap().unwrap().record.rev.0
}
