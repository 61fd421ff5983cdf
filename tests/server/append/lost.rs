//! Answers of PostgreSQL that are lost on the way, at a proxy: a message is stored once, and only what is certainly not stored is busy.

use super::message;
use crate::support::postgres::Database;
use crate::support::proxy::{Link, Proxy};
use crate::support::{DEADLINE, Place, eventually};
use roomcast::domain::id::Seq;
use roomcast::server::storage::{Appended, NewMessage, StorageError, Store};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A store behind a proxy, with one room and one used connection.
struct Behind {
    place: Place,
    proxy: Proxy,
    store: Store,
}

impl Behind {
    /// `None` if PostgreSQL is passed over.
    async fn new(busy_within_ms: u64) -> Option<Self> {
        let place = Place::postgres()?;
        let store = Store::open(&place.settings()).await.unwrap();
        assert!(store.add_room(&"1".parse().unwrap(), "one", None, 0).await.unwrap());
        store.close().await;
        let database = place.database.as_ref().unwrap();
        let proxy = Proxy::to(database.postgres.address());
        let store = open(&place, database, &proxy, busy_within_ms).await;
        assert!(matches!(store.append(vec![new("u", "first")], 0).await.unwrap()[..], [Appended::Stored(_)]));
        Some(Self { place, proxy, store })
    }

    fn append(&self, new: NewMessage) -> JoinHandle<Result<Vec<Appended>, StorageError>> {
        let store = self.store.clone();
        tokio::spawn(async move { timeout(DEADLINE, store.append(vec![new], 3_600_000)).await.expect("no answer at all") })
    }

    async fn stored(&self, nonce: &str) -> i64 {
        self.place.count(&format!("SELECT count(*) FROM roomcast.messages WHERE nonce = '{nonce}'")).await
    }

    /// The calls that wait for a lock.
    async fn waiting(&self) -> i64 {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        self.place.count(waiting).await
    }
}

/// Without a keeper, whose lock belongs to one server.
async fn open(place: &Place, database: &Database, proxy: &Proxy, busy_within_ms: u64) -> Store {
    let url = database.url_at(proxy.address);
    let settings = roomcast::server::config::StorageSettings { url: url.as_str().into(), busy_within_ms, ..place.settings() };
    Store::open_unlocked(&settings).await.unwrap()
}

fn new(user: &str, nonce: &str) -> NewMessage {
    message("1", user, Some(nonce), super::NOW)
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again() {
    let Some(behind) = Behind::new(10_000).await else { return };
    behind.proxy.set(Link::HalfOpen);
    let sent = new("v", "n");
    let answer = behind.append(sent.clone());
    eventually("it is stored", async || behind.stored("n").await == 1).await;
    assert!(!answer.is_finished());
    behind.proxy.reset();
    let answer = answer.await.unwrap().unwrap();
    let [Appended::Stored(stored)] = &answer[..] else { panic!("its own first call is not a repeat of its sender: {answer:?}") };
    assert_eq!((stored.id, stored.seq, stored.text.as_str()), (sent.id, Seq(2), "v"));
    assert_eq!(behind.stored("n").await, 1);
}

#[tokio::test]
async fn a_repeat_waits_for_a_first_call_that_still_runs() {
    let Some(behind) = Behind::new(10_000).await else { return };
    let lock = behind.place.lock().await;
    let sent = new("v", "n");
    let answer = behind.append(sent.clone());
    eventually("the first call waits", async || behind.waiting().await == 1).await;
    behind.proxy.reset();
    eventually("so does the second", async || behind.waiting().await == 2).await;
    lock.release().await;
    let answer = answer.await.unwrap().unwrap();
    assert!(matches!(&answer[..], [Appended::Stored(stored)] if stored.id == sent.id && stored.seq == Seq(2)), "{answer:?}");
    assert_eq!(behind.stored("n").await, 1);
}

#[tokio::test]
async fn without_any_answer_it_is_uncertain_and_the_nonce_tells_later() {
    let Some(behind) = Behind::new(300).await else { return };
    for (link, user, is_stored) in [(Link::HalfOpen, "v", true), (Link::BlackHole, "w", false)] {
        behind.proxy.set(link);
        let since = Instant::now();
        let answer = behind.append(new(user, user)).await.unwrap();
        assert!(matches!(answer, Err(StorageError::Uncertain(_))), "{answer:?}");
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        behind.proxy.reset();
        let again = behind.append(new(user, user)).await.unwrap().unwrap();
        assert_eq!(matches!(again[..], [Appended::Repeated { .. }]), is_stored, "{again:?}");
        assert_eq!(behind.stored(user).await, 1);
    }
}

#[tokio::test]
async fn what_was_never_sent_is_busy() {
    let Some(behind) = Behind::new(300).await else { return };
    let database = behind.place.database.as_ref().unwrap();
    let fresh = open(&behind.place, database, &behind.proxy, 300).await;
    behind.proxy.set(Link::Cut);
    for _ in 0..3 {
        let answer = fresh.append(vec![new("v", "n")], 0).await;
        assert!(matches!(answer, Err(StorageError::Busy(_))), "{answer:?}");
    }
    behind.proxy.set(Link::Forward);
    assert_eq!(behind.stored("n").await, 0);
    assert!(matches!(fresh.append(vec![new("v", "n")], 0).await.unwrap()[..], [Appended::Stored(_)]));
}

#[tokio::test]
async fn after_a_lost_answer_a_server_that_is_gone_leaves_it_uncertain() {
    let Some(behind) = Behind::new(1500).await else { return };
    behind.proxy.set(Link::HalfOpen);
    let answer = behind.append(new("v", "n"));
    eventually("it is stored", async || behind.stored("n").await == 1).await;
    behind.proxy.set(Link::Cut);
    let answer = answer.await.unwrap();
    assert!(matches!(answer, Err(StorageError::Uncertain(_))), "busy would say that nothing is stored: {answer:?}");
}
