//! How many are in a room: told to it at most once a second, and only when it changed.

use crate::domain::push::Push;
use crate::server::gateway::{Frame, Gateway, Group, Publication};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(1);

pub async fn announce(gateway: Gateway, closing: CancellationToken) {
    let mut told: HashMap<Group, u32> = HashMap::new();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = closing.cancelled() => return,
        }
        for (group, count) in gateway.take_changed_groups() {
            // A group that a foreign back end made under another name is no room of ours.
            let Ok(room) = group.as_str().parse() else { continue };
            let before = if count == 0 { told.remove(&group) } else { told.insert(group.clone(), count) };
            if before != Some(count) {
                let online = Frame::text(Push::Online { room, count }.to_json().as_bytes());
                gateway.send_to_group(&group, &Publication::v1(online));
            }
        }
    }
}
