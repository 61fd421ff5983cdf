//! Publishes for another process's people: while one hands over to the next, what is pushed at the new reaches those who are
//! still with the old. Bounded; what does not fit is dropped and counted, never waited for.

use super::frame::{Frame, Position, Publication};
use super::publish::{Except, Target};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Publishes that may wait for the other process, and their bytes.
const MAX_WAITING: usize = 1024;
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// A publish as it is handed on: encoded once, here.
#[derive(Clone, Debug)]
pub struct Relayed {
    pub target: Target,
    pub except: Except,
    pub publication: Publication,
}

#[derive(Default)]
pub struct Relay(Mutex<Option<Other>>);

/// The other process.
struct Other {
    to: mpsc::Sender<(Relayed, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
}

impl Relay {
    /// From now on publishes are handed on, until the receiver is dropped; each holds its share of what may wait.
    pub fn begin(&self) -> mpsc::Receiver<(Relayed, OwnedSemaphorePermit)> {
        let (to, receiver) = mpsc::channel(MAX_WAITING);
        let other = Other { to, room: Arc::new(Semaphore::new(MAX_WAITING_BYTES)) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(other);
        receiver
    }

    pub fn hand_on(&self, target: &Target, except: &Except, publication: &Publication) {
        let mut relay = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Other { to, room }) = relay.as_ref() else { return };
        let bytes = (publication.weight() + target.weight() + except.weight()).min(MAX_WAITING_BYTES) as u32;
        let Ok(share) = room.clone().try_acquire_many_owned(bytes) else {
            return metrics::counter!("roomcast_relay_dropped_total").increment(1);
        };
        let relayed = Relayed { target: target.clone(), except: except.clone(), publication: publication.clone() };
        match to.try_send((relayed, share)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => metrics::counter!("roomcast_relay_dropped_total").increment(1),
            Err(TrySendError::Closed(_)) => *relay = None,
        }
    }
}

/// On the wire between two processes of one binary, or of its neighbours in time.
mod wire {
    use super::{Except, Frame, Position, Publication, Relayed, Target};
    use crate::domain::id::{ClientId, Seq};
    use crate::server::gateway::{Group, Uid};
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    enum To {
        All,
        Clients(Vec<ClientId>),
        Uids(Vec<String>),
        Groups(Vec<String>),
    }

    #[derive(Serialize, Deserialize)]
    struct Encoded {
        bytes: String,
        position: Option<(String, Seq)>,
    }

    #[derive(Serialize, Deserialize)]
    pub struct Line {
        to: To,
        except_clients: Vec<ClientId>,
        except_uids: Vec<String>,
        plain: Option<Encoded>,
        v1: Option<Encoded>,
    }

    /// A name that is no text cannot be said in a line: whoever has such a one is passed over.
    fn texts<'a>(names: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
        names.filter_map(|name| String::from_utf8(name.to_vec()).ok()).collect()
    }

    fn encoded(frame: Frame) -> Encoded {
        let position = frame.position.map(|Position { group, seq }| (group.as_text().into_owned(), seq));
        Encoded { bytes: BASE64_STANDARD.encode(&frame.bytes), position }
    }

    fn decoded(Encoded { bytes, position }: Encoded) -> Option<Frame> {
        let frame = Frame::raw(BASE64_STANDARD.decode(bytes).ok()?.into());
        Some(match position {
            Some((group, seq)) => frame.at(Group::new(group), seq),
            None => frame,
        })
    }

    impl From<Relayed> for Line {
        fn from(Relayed { target, except, publication }: Relayed) -> Self {
            let to = match target {
                Target::All => To::All,
                Target::Clients(clients) => To::Clients(clients),
                Target::Uids(uids) => To::Uids(texts(uids.iter().map(Uid::as_bytes))),
                Target::Groups(groups) => To::Groups(texts(groups.iter().map(Group::as_bytes))),
            };
            let (except_clients, except_uids) =
                (except.clients.into_iter().collect(), texts(except.uids.iter().map(Uid::as_bytes)));
            Self { to, except_clients, except_uids, plain: publication.plain.map(encoded), v1: publication.v1.map(encoded) }
        }
    }

    impl From<Line> for Relayed {
        fn from(line: Line) -> Self {
            let target = match line.to {
                To::All => Target::All,
                To::Clients(clients) => Target::Clients(clients),
                To::Uids(uids) => Target::Uids(uids.iter().map(Uid::new).collect()),
                To::Groups(groups) => Target::Groups(groups.iter().map(Group::new).collect()),
            };
            let except_uids = line.except_uids.iter().map(Uid::new).collect();
            let except = Except { clients: line.except_clients.into_iter().collect(), uids: except_uids };
            let publication = Publication { plain: line.plain.and_then(decoded), v1: line.v1.and_then(decoded) };
            Self { target, except, publication }
        }
    }
}

impl Relayed {
    /// One line, with its end.
    pub fn to_line(self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(&wire::Line::from(self))? + "\n")
    }

    pub fn from_line(line: &str) -> serde_json::Result<Self> {
        Ok(serde_json::from_str::<wire::Line>(line)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Group;
    use super::*;
    use crate::domain::id::Seq;

    #[test]
    fn a_publish_travels_whole() {
        let frame = Frame::text("大家好".as_bytes()).at(Group::new("1"), Seq(7));
        let relayed = Relayed {
            target: Target::Groups(vec![Group::new("1")]),
            except: Except { uids: [super::super::Uid::new("ming")].into(), ..Except::default() },
            publication: Publication { plain: None, v1: Some(frame.clone()) },
        };
        let back = Relayed::from_line(&relayed.clone().to_line().unwrap()).unwrap();
        assert_eq!((back.target, back.except), (relayed.target, relayed.except));
        let v1 = back.publication.v1.unwrap();
        assert_eq!((v1.bytes, v1.position, back.publication.plain.is_none()), (frame.bytes, frame.position, true));
    }

    #[test]
    fn nobody_waits_for_the_other_process() {
        let relay = Relay::default();
        let publication = Publication::both(Frame::text(b"x"));
        relay.hand_on(&Target::All, &Except::default(), &publication);
        let mut other = relay.begin();
        for _ in 0..MAX_WAITING + 10 {
            relay.hand_on(&Target::All, &Except::default(), &publication);
        }
        assert_eq!(std::iter::from_fn(|| other.try_recv().ok()).count(), MAX_WAITING);
        drop(other);
        relay.hand_on(&Target::All, &Except::default(), &publication);
        assert!(relay.0.lock().unwrap().is_none());
    }
}
