//! Facts of SQLite alone: shared transactions, and the data folder's lock.

use super::{Opened, add_rooms, guest, message, seqs};
use crate::support::Place;
use futures_util::future::join_all;
use roomcast::server::storage::Store;

/// The number of write batches that the database contains.
async fn commits(store: &Store) -> u64 {
    String::from_utf8(store.fact("commits").await.unwrap().unwrap()).unwrap().parse().unwrap()
}

#[tokio::test]
async fn f14_guests_share_the_transactions_of_messages() {
    let Opened { store, .. } = &Opened::at(Place::sqlite()).await;
    add_rooms(store, &["1"]).await;
    guest(store, 1000).await.unwrap();
    assert_eq!(commits(store).await, 1, "a lone guest waits for nobody");
    let guests = join_all((0..600).map(|n| guest(store, n)));
    let (guests, appended) = tokio::join!(guests, store.append(vec![message("1", "u", "a", None)], 0));
    assert!(guests.into_iter().all(|guest| guest.is_ok()));
    assert_eq!(seqs(&appended.unwrap()), [(true, 1)]);
    assert!(commits(store).await < 60, "{} commits for 600 guests", commits(store).await);
}

#[tokio::test]
async fn one_server_at_a_time_has_the_data_folder() {
    let opened = Opened::at(Place::sqlite()).await;
    assert!(Store::open(&opened.place.settings()).await.is_err());
    assert!(Store::open_unlocked(&opened.place.settings()).await.is_ok(), "a command runs beside it");
    opened.store.close().await;
    drop(opened.store);
    // A process that another test is starting may hold the lock until it has begun.
    let is_open = async || Store::open(&opened.place.settings()).await.is_ok();
    crate::support::eventually("the data folder is free", is_open).await;
}
