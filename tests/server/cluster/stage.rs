//! A room on several nodes: people who send at each, and screens that note each numbered push with its time.

use crate::operating::KEY;
use crate::support::cluster::Cluster;
use crate::support::{Person, Server, eventually, read};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Frame;

pub const SETTINGS: [&str; 4] = [KEY, "chat.cooldown_ms=0", "chat.first_message_ms=0", "limits.per_ip=off"];
/// Time within which a message is on every screen.
pub const SOON: Duration = Duration::from_millis(1_500);

/// A page in room 1, and the numbered pushes that it got, with their times.
pub struct Screen {
    pub node: String,
    pub seen: Arc<Mutex<Vec<(Instant, Value)>>>,
    reading: JoinHandle<()>,
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Screen {
    pub async fn open(node: &Server) -> Self {
        let mut socket = node.visitor().open_bound(Some("roomcast.v1")).await;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        let reading = tokio::spawn(async move {
            while let Some(Ok(frame)) = socket.stream.next().await {
                let Frame::Text(text) = frame else { continue };
                let push: Value = serde_json::from_str(&text).unwrap();
                if ["message", "changed", "room", "gap"].contains(&push["type"].as_str().unwrap()) {
                    noted.lock().unwrap().push((Instant::now(), push));
                }
            }
        });
        Self { node: node.base.clone(), seen, reading }
    }

    /// The pushes of a type, with their numbers.
    pub fn of(&self, kind: &str, number: &str) -> Vec<(u64, Instant, Value)> {
        let seen = self.seen.lock().unwrap();
        let pushes = seen.iter().filter(|(_, push)| push["type"] == kind);
        pushes.map(|(at, push)| (push[number].as_u64().unwrap_or_default(), *at, push.clone())).collect()
    }

    pub async fn has(&self, kind: &str, number: &str, last: u64) {
        eventually(&format!("{kind} {last} at {}", self.node), async || {
            self.of(kind, number).last().is_some_and(|(number, ..)| *number >= last)
        })
        .await;
    }

    /// Checks that it got these messages, each once, in order, soon after they were accepted, and nothing between.
    pub async fn got(&self, sent: &[(u64, Instant)]) {
        let (first, last) = (sent.first().unwrap().0, sent.last().unwrap().0);
        self.has("message", "seq", last).await;
        let got: Vec<_> = self.of("message", "seq").into_iter().filter(|(seq, ..)| (first..=last).contains(seq)).collect();
        let seqs: Vec<u64> = got.iter().map(|(seq, ..)| *seq).collect();
        assert_eq!(seqs, (first..=last).collect::<Vec<_>>(), "at {}", self.node);
        assert_eq!(self.of("gap", "from").len(), 0, "at {}", self.node);
        for (seq, accepted) in sent {
            let at = got[usize::try_from(seq - first).unwrap()].1;
            let late = at.saturating_duration_since(*accepted);
            assert!(late < SOON, "message {seq} came to {} after {late:?}", self.node);
        }
    }
}

/// A cluster with a person and a screen at each node.
pub async fn stage(nodes: usize) -> Option<(Cluster, Vec<Person>, Vec<Screen>)> {
    let cluster = Cluster::with(nodes, &SETTINGS).await?;
    let (mut people, mut screens) = (Vec::new(), Vec::new());
    for (number, node) in cluster.nodes.iter().enumerate() {
        people.push(node.guest(&format!("p{number}")).await);
        screens.push(Screen::open(node).await);
    }
    Some((cluster, people, screens))
}

/// Sends at each node in turn, and returns the seqs and when each was accepted, by seq.
pub async fn talk(people: &[Person], rounds: usize) -> Vec<(u64, Instant)> {
    let mut sent = Vec::new();
    for round in 0..rounds {
        for person in people {
            let answer = person.send(&format!("{round} of {}", person.uid)).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            sent.push((answer.body["seq"].as_u64().unwrap(), Instant::now()));
        }
    }
    sent.sort_unstable();
    sent
}

/// Sends at all nodes at the same time.
pub async fn talk_at_once(people: &[Person], rounds: usize) -> Vec<(u64, Instant)> {
    let talks = people.iter().map(|person| talk(std::slice::from_ref(person), rounds));
    let mut sent: Vec<_> = futures_util::future::join_all(talks).await.into_iter().flatten().collect();
    sent.sort_unstable();
    sent
}

pub async fn all_got(screens: &[Screen], sent: &[(u64, Instant)]) {
    for screen in screens {
        screen.got(sent).await;
    }
}

/// Calls the API of a node.
pub async fn call(node: &Server, method: &str, params: Value) -> Value {
    let request = node.visitor().request("POST", &format!("/gateway/api/{method}")).bearer_auth("secret");
    let answer = read(request.json(&params).send().await.unwrap()).await;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!(true)), "{method}: {}", answer.body);
    answer.body["result"].clone()
}
