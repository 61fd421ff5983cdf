//! The task that follows the news of other nodes and of commands: every 2 s, after each write of this node, and when another node says
//! that there are some. So an ended session has no socket anywhere after 2.5 s, whatever happens to the messages between the nodes.

use super::state::AppState;
use crate::domain::push::CloseCode;
use crate::server::bus::{Subject, Subscription};
use crate::server::gateway::SocketOwner;
use crate::server::storage::{News, NewsPage, Result, SessionHash};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Longest time between two reads.
const READ_EVERY: Duration = Duration::from_secs(2);
/// Pause before a read, so that writes in a row cause one.
const GATHERED_FOR: Duration = Duration::from_millis(20);
/// News of one read.
const PAGE: u32 = 500;
/// Sessions that one query looks up.
const SESSIONS_PER_QUERY: usize = 500;
/// The subject of the wake-up, which has no content.
const WAKE_UP: &str = "news";

/// Follows the news until the process ends, if there can be other nodes: also during the shutdown, while sockets are drained.
pub(super) async fn follow_news(state: AppState) {
    if !state.cluster.is_alone() {
        Reader { state, last: None, settled: 0, fails: false }.run().await;
    }
}

struct Reader {
    state: AppState,
    /// The id of the last news that were followed. `None`: everything is to be asked for.
    last: Option<u64>,
    /// The id of the last unknown news for which everything was settled.
    settled: u64,
    /// Whether the last read failed, so that a lasting failure is logged once.
    fails: bool,
}

impl Reader {
    async fn run(mut self) {
        let Some(written) = self.state.store.written() else { return };
        let mut wake_ups = match self.state.cluster.bus() {
            Some(bus) => Some(bus.subscribe(WAKE_UP.into()).await),
            None => None,
        };
        let mut tick = interval(READ_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_own = tokio::select! {
                _ = tick.tick() => false,
                () = written.notified() => true,
                () = next(&mut wake_ups) => false,
            };
            if is_own {
                sleep(GATHERED_FOR).await;
            }
            let read = self.read_all().await;
            if read.as_ref().is_ok_and(|has_read| *has_read) && is_own {
                self.wake_others();
            }
            self.log(read.map(|_| ()));
        }
    }

    /// Reads to the newest news, and returns whether there were some. After an error the next read begins with the one that failed.
    async fn read_all(&mut self) -> Result<bool> {
        let mut has_read = false;
        loop {
            let last = match self.last {
                Some(last) => last,
                None => self.ask_for_everything().await?,
            };
            let NewsPage { news, has_more, is_cut } = self.state.store.news_after(last, PAGE).await?;
            if is_cut {
                tracing::warn!("news of other nodes are missing: the store is asked about everything that this node holds");
                metrics::counter!("roomcast_news_settled_total", "why" => "missing").increment(1);
                // The ids of another database may begin anew.
                (self.last, self.settled) = (None, 0);
                continue;
            }
            has_read |= !news.is_empty();
            self.end_sessions(&news).await;
            self.settle_unknown(&news).await?;
            for (id, news) in news {
                let known = if news == News::Unknown { "unknown" } else { "followed" };
                let outcome = if passes_over(self.follow(news).await, id)? { "passed_over" } else { known };
                metrics::counter!("roomcast_news_total", "outcome" => outcome).increment(1);
                self.last = Some(id);
            }
            if !has_more && self.last.is_some() {
                return Ok(has_read);
            }
        }
    }

    /// Settles everything once for the news of a page that this version does not know, also if the page is read again.
    async fn settle_unknown(&mut self, news: &[(u64, News)]) -> Result<()> {
        let unknown = news.iter().rev().find(|(_, news)| *news == News::Unknown).map_or(0, |(id, _)| *id);
        if unknown > self.settled {
            metrics::counter!("roomcast_news_settled_total", "why" => "unknown").increment(1);
            self.settle_everything().await?;
            self.settled = unknown;
        }
        Ok(())
    }

    /// Ends the sessions of a page together, before everything else.
    async fn end_sessions(&self, news: &[(u64, News)]) {
        let ended =
            news.iter().filter_map(|(_, news)| if let News::SessionEnded(session) = news { Some(*session) } else { None });
        self.sessions_ended(ended.collect()).await;
    }

    /// The copies go first: a socket that is bound after that finds that its session ended.
    async fn sessions_ended(&self, ended: Vec<SessionHash>) {
        self.state.accounts.forget_sessions(&ended);
        self.state.gateway.close_owners(ended.into_iter().map(SocketOwner), CloseCode::SIGNED_OUT).await;
    }

    /// Follows one of the news. Does nothing for ended sessions and unknown news, which [`Reader::read_all`] has handled.
    async fn follow(&self, news: News) -> Result<()> {
        let (accounts, api_keys, chat) = (&self.state.accounts, &self.state.api_keys, &self.state.chat);
        match news {
            News::SessionEnded(_) | News::Unknown => {}
            News::PersonChanged(sessions) => accounts.forget_sessions(&sessions),
            News::RoomChanged { room, is_deleted, hosts } => {
                accounts.forget_hosts();
                chat.room_changed(&room, is_deleted, &hosts).await?;
            }
            News::RoleChanged(room, uid) => chat.role_changed(&room, &uid).await?,
            News::Restrained(room, uid) => chat.restrained(room.as_ref(), &uid).await?,
            News::KeysChanged => api_keys.forget(),
            News::PurgeBegun(room, action) => chat.purge_begun(&room, action),
        }
        Ok(())
    }

    /// Drops all copies, and asks the store about the owners of all sockets. Returns the id after which news are read.
    async fn ask_for_everything(&mut self) -> Result<u64> {
        let newest = self.state.store.newest_news().await?;
        self.settle_everything().await?;
        self.last = Some(newest);
        Ok(newest)
    }

    async fn settle_everything(&self) -> Result<()> {
        self.state.accounts.forget_all();
        self.state.api_keys.forget();
        let owners: Vec<SessionHash> = self.state.gateway.owners().await.into_iter().map(|owner| owner.0).collect();
        for owners in owners.chunks(SESSIONS_PER_QUERY) {
            let ended = self.state.store.ended_among(owners).await?;
            self.sessions_ended(ended).await;
        }
        self.state.chat.settle_everything().await
    }

    /// Says to the other nodes that there are news: they read them now, and not within 2 s.
    fn wake_others(&self) {
        if let Some(bus) = self.state.cluster.bus() {
            bus.publish(&Subject::from(WAKE_UP), Bytes::new());
        }
    }

    fn log(&mut self, read: Result<()>) {
        if self.state.shutdown.is_cancelled() {
            return;
        }
        let failed = read.is_err();
        match read {
            Ok(()) if self.fails => tracing::info!("news of other nodes are read again"),
            Err(error) if !self.fails => tracing::warn!(%error, "news of other nodes cannot be read, which is tried again"),
            _ => {}
        }
        self.fails = failed;
    }
}

/// Whether news are passed over: they met an error that a later try meets again, which is logged. Another error is returned.
fn passes_over(followed: Result<()>, id: u64) -> Result<bool> {
    match followed {
        Ok(()) => Ok(false),
        Err(error) if error.may_pass() => Err(error),
        Err(error) => {
            tracing::warn!(%error, id, "news cannot be followed and are passed over");
            Ok(true)
        }
    }
}

/// Waits for the next wake-up; for ever without a bus, or after its end.
async fn next(wake_ups: &mut Option<Subscription>) {
    if let Some(messages) = wake_ups
        && messages.next().await.is_some()
    {
        return;
    }
    *wake_ups = None;
    std::future::pending().await
}
