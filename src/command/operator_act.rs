//! Acts of moderation of the command line: by the running server, which pushes them at once; without one, in the database.

use roomcast::domain::{id::RoomId, lang::Lang, refusal::Refusal, reply::ActReply};
use roomcast::server::{
    clock::Clock,
    config::Config,
    control::{CommandAct, ControlClient, Request, Response},
    moderation::{self, Act, Actor, Rules},
    storage::Store,
};
use std::error::Error;
use std::io::ErrorKind;

/// Carries an act out and returns its result. Fails if a server runs and does not confirm it.
pub(super) async fn carry_out(
    config: &Config,
    store: &Store,
    room: Option<&RoomId>,
    reason: &str,
    act: CommandAct,
) -> Result<ActReply, Box<dyn Error>> {
    let request = Request::Act { room: room.cloned(), reason: reason.to_owned(), act: act.clone() };
    match ControlClient::request(&config.storage.data_dir, &request).await {
        Ok(mut client) => match client.response().await? {
            Response::Acted { reply } => Ok(reply),
            Response::Failed { reason } => Err(reason.into()),
            other => Err(format!("unexpected response: {other:?}").into()),
        },
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            let act = Act { actor: Actor::Cli, room: room.cloned(), nonce: None, reason: reason.to_owned(), kind: act.into() };
            perform(config, store, act).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Carries an act out in the database, with the batches that a server would do between sends.
async fn perform(config: &Config, store: &Store, mut act: Act) -> Result<ActReply, Box<dyn Error>> {
    let (rules, clock) = (Rules::from(&config.moderation), Clock::system());
    let place = moderation::locate(store, &mut act).await.map_err(Refusal::from);
    let subject = place.map_err(|refusal| text_of(refusal, act.room.as_ref()))?;
    let outcome = moderation::perform(store, &act, subject.as_ref(), &rules, clock.now_ms()).await;
    let outcome = outcome.map_err(|not_done| text_of(not_done.into(), act.room.as_ref()))?;
    for purge in if outcome.has_batches { store.open_purges().await? } else { Vec::new() } {
        loop {
            let mut batch = store.begin_act(&purge.room, clock.now_ms()).await?;
            let has_more = moderation::next_batch(&mut batch, purge.action).await?.has_more;
            batch.commit().await?;
            if !has_more {
                break;
            }
        }
    }
    Ok(outcome.reply)
}

fn text_of(refusal: Refusal, room: Option<&RoomId>) -> String {
    match (refusal, room) {
        (Refusal::NoSuchRoom, Some(room)) => format!("no room {room}"),
        (refusal, _) => refusal.message(Lang::En),
    }
}
