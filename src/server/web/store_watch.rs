//! The task that tells the operator how the store is: the gauge `roomcast_store_up`, and a line of the log for each change. After a
//! fail-over it lets the rooms begin a new epoch.

use super::health::store_answers;
use super::state::AppState;
use crate::server::storage::{StoreState, StoreStatus};
use std::mem::discriminant;
use std::time::Duration;
use tokio::sync::watch;

/// Time between two looks at a database that tells no changes by itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches the store until shutdown.
pub(super) async fn watch_store(state: AppState) {
    let watching = async {
        match state.store.status() {
            Some(status) => follow(&state, status).await,
            None => look(&state).await,
        }
    };
    tokio::select! {
        () = watching => {}
        () = state.shutdown.cancelled() => {}
    }
}

/// Reads the database in the data folder again and again; the read sets the gauge.
async fn look(state: &AppState) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    while !state.shutdown.is_cancelled() {
        tick.tick().await;
        store_answers(state).await;
    }
}

/// Follows what the store sees of its database, until the store is closed.
async fn follow(state: &AppState, mut status: watch::Receiver<StoreStatus>) {
    let mut before = status.borrow_and_update().clone();
    set_gauge(&before);
    while status.changed().await.is_ok() {
        let now = status.borrow_and_update().clone();
        set_gauge(&now);
        if discriminant(&now.state) != discriminant(&before.state) {
            log(&now.state);
        }
        let timelines = before.timeline.as_ref().zip(now.timeline.as_ref());
        if let Some((old, new)) = timelines.filter(|(old, new)| old != new) {
            tracing::warn!(old, new, "the database has another timeline: a standby was promoted, or a backup was put back");
            let chat = state.chat.clone();
            tokio::spawn(async move { chat.begin_new_epoch().await });
        }
        before = StoreStatus { timeline: now.timeline.or(before.timeline), ..now };
    }
}

fn set_gauge(status: &StoreStatus) {
    metrics::gauge!("roomcast_store_up").set(f64::from(u8::from(status.state == StoreState::Serving)));
}

fn log(state: &StoreState) {
    match state {
        StoreState::Serving | StoreState::Stopped => tracing::info!("the database: {state}"),
        StoreState::Away(_) | StoreState::ReadOnly => tracing::warn!("the database: {state}"),
        StoreState::Taken => tracing::error!("the database: {state}"),
    }
}
