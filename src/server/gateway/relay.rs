//! After a reload, forwards the publishes of this process to the old process, for the connections that it still drains.
//! Bounded; a publish that does not fit is dropped and counted, and a publisher never waits.

use super::frame::{Frame, Publication};
use super::publish::{Except, Target};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Publishes that may be queued for the old process, and their bytes.
const MAX_QUEUED: usize = 1024;
const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// A publish to forward; its frames are already encoded.
#[derive(Clone, Debug)]
pub struct Relayed {
    /// The receivers.
    pub target: Target,
    /// The excluded connections.
    pub except: Except,
    /// The frames.
    pub publication: Publication,
}

/// The connection to the old process, while it drains.
#[derive(Default)]
pub(super) struct Relay(Mutex<Option<OldProcess>>);

struct OldProcess {
    queue: mpsc::Sender<(Relayed, OwnedSemaphorePermit)>,
    queue_budget: Arc<Semaphore>,
}

impl Relay {
    /// Starts forwarding, until the receiver is dropped. Each publish comes with its share of the queue's byte budget.
    pub(super) fn attach(&self) -> mpsc::Receiver<(Relayed, OwnedSemaphorePermit)> {
        let (queue, receiver) = mpsc::channel(MAX_QUEUED);
        let old = OldProcess { queue, queue_budget: Arc::new(Semaphore::new(MAX_QUEUED_BYTES)) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(old);
        receiver
    }

    /// Whether there is an old process.
    pub(super) fn is_attached(&self) -> bool {
        let relay = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        relay.as_ref().is_some_and(|old| !old.queue.is_closed())
    }

    /// Queues a publish for the old process, if there is one.
    pub(super) fn forward(&self, target: &Target, except: &Except, publication: &Publication) {
        let mut relay = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(OldProcess { queue, queue_budget }) = relay.as_ref() else { return };
        let bytes = (publication.weight() + target.weight() + except.weight()).min(MAX_QUEUED_BYTES) as u32;
        let Ok(permit) = queue_budget.clone().try_acquire_many_owned(bytes) else {
            return metrics::counter!("roomcast_relay_dropped_total").increment(1);
        };
        let relayed = Relayed { target: target.clone(), except: except.clone(), publication: publication.clone() };
        match queue.try_send((relayed, permit)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => metrics::counter!("roomcast_relay_dropped_total").increment(1),
            Err(TrySendError::Closed(_)) => *relay = None,
        }
    }
}

/// The line format between two processes, which may be of neighbouring versions: fields may be added, not changed.
mod wire {
    use super::{Except, Frame, Publication, Relayed, Target};
    use crate::domain::{
        change::Rev,
        id::{ClientId, Seq},
    };
    use crate::server::gateway::{Group, Number, Uid};
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
        /// Position among the changes of a group; an older process ignores it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        change: Option<(String, Rev)>,
    }

    #[derive(Serialize, Deserialize)]
    pub struct Line {
        to: To,
        except_clients: Vec<ClientId>,
        except_uids: Vec<String>,
        plain: Option<Encoded>,
        v1: Option<Encoded>,
    }

    /// Names as text. A name that is not UTF-8 is skipped: JSON cannot carry it.
    fn texts<'a>(names: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
        names.filter_map(|name| String::from_utf8(name.to_vec()).ok()).collect()
    }

    fn encoded(frame: Frame) -> Encoded {
        let group = |group: Group| group.as_text().into_owned();
        let (position, change) = match frame.position.map(|position| (group(position.group), position.number)) {
            Some((group, Number::Seq(seq) | Number::Seqs(_, seq))) => (Some((group, seq)), None),
            Some((group, Number::Rev(rev))) => (None, Some((group, rev))),
            None => (None, None),
        };
        Encoded { bytes: BASE64_STANDARD.encode(&frame.bytes), position, change }
    }

    fn decoded(Encoded { bytes, position, change }: Encoded) -> Option<Frame> {
        let frame = Frame::raw(BASE64_STANDARD.decode(bytes).ok()?.into());
        Some(match (position, change) {
            (Some((group, seq)), _) => frame.at(Group::new(group), seq),
            (None, Some((group, rev))) => frame.at_rev(Group::new(group), rev),
            (None, None) => frame,
        })
    }

    impl From<Relayed> for Line {
        fn from(Relayed { target, except, publication }: Relayed) -> Self {
            let to = match target {
                Target::All => To::All,
                Target::Clients(clients) => To::Clients(clients),
                Target::Uids(uids) => To::Uids(texts(uids.iter().map(Uid::as_bytes))),
                Target::Groups(groups) => To::Groups(texts(groups.iter().map(Group::as_bytes))),
                // Never relayed: the old process would not learn of a moderator that is revoked.
                Target::Staff(_) => To::Clients(Vec::new()),
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
    /// Whether its frames have a place in the numbering of a group.
    pub fn is_numbered(&self) -> bool {
        [&self.publication.plain, &self.publication.v1].into_iter().flatten().any(|frame| frame.position.is_some())
    }

    /// Encodes the publish as one line of JSON, with its newline.
    pub fn to_line(self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(&wire::Line::from(self))? + "\n")
    }

    /// Decodes a line.
    pub fn from_line(line: &str) -> serde_json::Result<Self> {
        Ok(serde_json::from_str::<wire::Line>(line)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Group;
    use super::*;
    use crate::domain::{change::Rev, id::Seq};
    use bytes::Bytes;

    #[test]
    fn a_publish_survives_the_line_format() {
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
    fn a_change_survives_the_line_format() {
        let frame = Frame::text(b"{}").at_rev(Group::new("1"), Rev(9));
        let relayed = Relayed { target: Target::All, except: Except::default(), publication: Publication::v1(frame.clone()) };
        let back = Relayed::from_line(&relayed.to_line().unwrap()).unwrap();
        assert!(back.is_numbered() && back.publication.plain.is_none());
        assert_eq!(back.publication.v1.unwrap().position, frame.position);
        // A process of the version before this one wrote no `change`.
        let before = r#"{"to":"All","except_clients":[],"except_uids":[],"plain":null,"v1":{"bytes":"gQA=","position":["1",4]}}"#;
        let before = Relayed::from_line(before).unwrap().publication.v1.unwrap();
        assert_eq!(before.position, Frame::raw(Bytes::new()).at(Group::new("1"), Seq(4)).position);
    }

    #[test]
    fn publishes_beyond_the_limit_are_dropped_without_waiting() {
        let relay = Relay::default();
        let publication = Publication::both(Frame::text(b"x"));
        relay.forward(&Target::All, &Except::default(), &publication);
        let mut old = relay.attach();
        for _ in 0..MAX_QUEUED + 10 {
            relay.forward(&Target::All, &Except::default(), &publication);
        }
        assert_eq!(std::iter::from_fn(|| old.try_recv().ok()).count(), MAX_QUEUED);
        drop(old);
        relay.forward(&Target::All, &Except::default(), &publication);
        assert!(relay.0.lock().unwrap().is_none());
    }
}
