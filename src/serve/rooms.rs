//! Carries out the operator's acts on rooms and acts of moderation, which arrive through the control socket.

use roomcast::server::chat::Chat;
use roomcast::server::control::{ActCommand, RoomAct, RoomCommand};
use tokio::sync::mpsc;

/// Acts that may be queued; then the control socket waits.
const MAX_QUEUED_ACTS: usize = 4;

/// Returns the queue of a task that carries acts out, one after the other, until the control socket is closed.
pub(super) fn act_on_rooms(chat: Chat) -> mpsc::Sender<RoomCommand> {
    let (sender, mut commands) = mpsc::channel(MAX_QUEUED_ACTS);
    tokio::spawn(async move {
        while let Some(RoomCommand { room, act, done }) = commands.recv().await {
            let outcome = match act {
                RoomAct::Close => chat.close_room(&room).await.map(|()| 0),
                RoomAct::Open => chat.reopen_room(&room).await.map(|()| 0),
                RoomAct::Delete => chat.delete_room(&room).await,
            };
            // The operator may be gone; the act holds all the same.
            let _ = done.send(outcome);
        }
    });
    sender
}

/// Returns the queue of a task that carries acts of moderation out, one after the other, until the control socket is closed.
pub(super) fn moderate(chat: Chat) -> mpsc::Sender<ActCommand> {
    let (sender, mut commands) = mpsc::channel(MAX_QUEUED_ACTS);
    tokio::spawn(async move {
        while let Some(ActCommand { act, done }) = commands.recv().await {
            let _ = done.send(chat.act(act).await);
        }
    });
    sender
}
