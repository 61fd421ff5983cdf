//! `append` of three servers to one database while its sessions are killed at random.

use super::message;
use crate::support::Place;
use futures_util::future::join_all;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use roomcast::server::storage::{Appended, StorageError, Store};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

const TASKS: u64 = 8;
const STORES: usize = 3;
const BATCHES: usize = 60;
const KILLS: u32 = 150;
const COOLDOWN_MS: u64 = 40;
const ROOMS: [&str; 3] = ["1", "2", "3"];
const USERS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// An attempt and its answer.
struct Tried {
    key: (String, String, String),
    id: Uuid,
    answer: Result<Appended, StorageError>,
}

/// Nonces that somebody used, with room and user.
type Used = Arc<Mutex<Vec<(&'static str, &'static str, String)>>>;

async fn send_batches(store: Store, seed: u64, used: Used) -> Vec<Tried> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut tried = Vec::new();
    for _ in 0..BATCHES {
        let count = random.random_range(1..8);
        let batch: Vec<_> = (0..count)
            .map(|_| {
                let mut used = used.lock().unwrap();
                let is_again = random.random_bool(0.3);
                let again = used.choose(&mut random).filter(|_| is_again).cloned();
                let (room, user, nonce) = again.unwrap_or_else(|| {
                    let new =
                        (*ROOMS.choose(&mut random).unwrap(), *USERS.choose(&mut random).unwrap(), Uuid::new_v4().to_string());
                    used.push(new.clone());
                    new
                });
                message(room, user, Some(&nonce), super::NOW)
            })
            .collect();
        let keys: Vec<_> = batch
            .iter()
            .map(|new| ((new.room.to_string(), new.user.to_string(), new.nonce.as_ref().unwrap().to_string()), new.id))
            .collect();
        let answers = match store.append(batch, COOLDOWN_MS).await {
            Ok(appended) => appended.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error); keys.len()],
        };
        tried.extend(keys.into_iter().zip(answers).map(|((key, id), answer)| Tried { key, id, answer }));
    }
    tried
}

/// Kills a random session of the stores again and again, until the stores are done.
async fn kill_sessions(place: &Place, done: &AtomicBool) -> u32 {
    let kill = "SELECT coalesce(sum(pg_terminate_backend(pid)::int), 0) FROM (SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'roomcast' AND query LIKE '%append_2%' ORDER BY random() LIMIT 1) AS one";
    let mut killed = 0;
    while !done.load(Ordering::Relaxed) && killed < KILLS {
        killed += place.count(kill).await as u32;
        // The statement blocks its task, which also waits for the sends.
        tokio::task::yield_now().await;
    }
    killed
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_sessions_lose_no_message_double_none_and_leave_no_hole() {
    let Some(place) = Place::postgres() else { return };
    let settings = roomcast::server::config::StorageSettings { busy_within_ms: 10_000, ..place.settings() };
    let first = Store::open(&settings).await.unwrap();
    for room in ROOMS {
        first.add_room(&room.parse().unwrap(), room, None, 0).await.unwrap();
    }
    let stores = join_all((0..STORES).map(|_| async { Store::open_unlocked(&settings).await.unwrap() })).await;
    let (used, done) = (Used::default(), AtomicBool::new(false));
    let tasks = (0..TASKS).map(|seed| tokio::spawn(send_batches(stores[seed as usize % STORES].clone(), seed, used.clone())));
    let sends = async {
        let tried = join_all(tasks).await;
        done.store(true, Ordering::Relaxed);
        tried.into_iter().flat_map(Result::unwrap).collect::<Vec<_>>()
    };
    let (tried, killed) = tokio::join!(sends, kill_sessions(&place, &done));
    let log = place.database.as_ref().unwrap().postgres.log();
    let amid = log.matches("terminating connection due to administrator command").count();
    println!("{} attempts, {killed} sessions killed, {amid} at work", tried.len());
    assert!(killed > 10 && amid > 10, "{killed} sessions were killed, {amid} at work");
    check(&place, &tried).await;
}

/// Compares the answers with the rows.
async fn check(place: &Place, tried: &[Tried]) {
    let columns = "SELECT room || '|' || seq || '|' || id || '|' || uid || '|' || nonce || '|' || at FROM roomcast.messages ORDER BY room, seq";
    let rows: Vec<Vec<String>> =
        place.sql_of_each("", columns).await.iter().map(|row| row.split('|').map(str::to_owned).collect()).collect();
    let (mut newest, mut last) = (HashMap::<&str, u64>::new(), HashMap::<(&str, &str), u64>::new());
    let mut by_key = BTreeMap::new();
    for row in &rows {
        let [room, seq, id, user, nonce, at] = &row[..] else { panic!("{row:?}") };
        let (seq, at): (u64, u64) = (seq.parse().unwrap(), at.parse().unwrap());
        let before = newest.insert(room, seq).unwrap_or_default();
        assert_eq!(seq, before + 1, "room {room} has a hole or a double");
        if let Some(before) = last.insert((room, user), at) {
            assert!(at >= before + COOLDOWN_MS, "{user} in {room}: {} ms apart", at - before);
        }
        let key = (room.clone(), user.clone(), nonce.clone());
        assert!(by_key.insert(key, (id.parse::<Uuid>().unwrap(), seq)).is_none(), "a nonce is stored twice");
    }
    let ids: BTreeSet<Uuid> = by_key.values().map(|(id, _)| *id).collect();
    let mut counts = BTreeMap::<&str, u32>::new();
    for Tried { key, id, answer } in tried {
        let row = by_key.get(key);
        let kind = match answer {
            Ok(Appended::Stored(message)) => {
                assert_eq!(row, Some(&(*id, message.seq.0)), "stored under another seq");
                "stored"
            }
            Ok(Appended::Repeated { id: first, seq }) => {
                assert_eq!(row, Some(&(*first, seq.0)), "a repeat has the first message's seq");
                "repeated"
            }
            Ok(Appended::TooFast { .. }) | Err(StorageError::Busy(_)) => {
                assert!(!ids.contains(id), "{answer:?}, and it is stored");
                "refused"
            }
            Err(StorageError::Uncertain(_)) => "uncertain",
            other => panic!("{other:?}"),
        };
        *counts.entry(kind).or_default() += 1;
    }
    println!("{counts:?}");
    assert!(counts["stored"] > 100 && counts["repeated"] > 20 && counts["refused"] > 20, "{counts:?}");
    assert_eq!(ids.len() as u32, counts["stored"] + lost_answers(tried, &ids), "somebody stored what nobody sent");
}

/// The stored messages whose answer was not that they are stored.
fn lost_answers(tried: &[Tried], ids: &BTreeSet<Uuid>) -> u32 {
    tried.iter().filter(|tried| tried.answer.is_err() && ids.contains(&tried.id)).count() as u32
}
