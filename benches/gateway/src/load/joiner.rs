//! The back end of Roomcast's viewers: joins each client id to its room through the API. Runs on threads of its own, since it
//! waits for responses and the viewers' thread must not.

use crate::bind::{Answer, Since};
use crate::complain::complain;
use crate::target::{Kind, Target, call, group};
use gateway_bench::http;
use mio::Waker;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// A viewer that has received its client id.
pub struct Arrival {
    pub viewer: usize,
    /// Number of the viewer's connection; a result for an earlier connection is ignored.
    pub visit: u32,
    pub room: usize,
    pub client_id: String,
    /// The position of its page.
    pub since: Since,
}

pub struct Joined {
    pub viewer: usize,
    pub visit: u32,
    pub succeeded: bool,
    /// The answer of `bind`; in the chat only.
    pub answer: Option<Answer>,
}

/// State of a viewer in addition to its room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extras {
    None,
    /// A uid, a session and a second group, as in a usual application.
    Bound,
}

pub struct Joiner {
    arrivals: Sender<Arrival>,
    pub joined: Receiver<Joined>,
}

impl Joiner {
    /// Starts the threads. `waker` is called after a result was sent to `joined`.
    pub fn start(target: Arc<Target>, batch: usize, extras: Extras, waker: Arc<Waker>) -> Self {
        let (arrivals, come) = channel();
        let (done, joined) = channel();
        let come = Arc::new(Mutex::new(come));
        // The API takes a batch per request; a page binds one connection per request, so use more threads.
        let threads = if target.kind == Kind::Chat { 16 } else { 2 };
        for _ in 0..threads {
            let work =
                Work { target: target.clone(), batch, extras, come: come.clone(), done: done.clone(), waker: waker.clone() };
            std::thread::spawn(move || work.run());
        }
        Self { arrivals, joined }
    }

    pub fn join(&self, arrival: Arrival) {
        self.arrivals.send(arrival).expect("the joiner's threads run as long as the viewers");
    }
}

struct Work {
    target: Arc<Target>,
    batch: usize,
    extras: Extras,
    come: Arc<Mutex<Receiver<Arrival>>>,
    done: Sender<Joined>,
    waker: Arc<Waker>,
}

impl Work {
    /// Runs until the sender of arrivals is dropped.
    fn run(self) {
        // A page binds at the node of its socket; the back end joins all at the first node.
        let mut clients = HashMap::new();
        loop {
            let arrived = {
                let come = self.come.lock().expect("no panic");
                let Ok(first) = come.recv() else { return };
                let calls_each = if self.extras == Extras::Bound { 4 } else { 1 };
                let at_most = if self.target.kind == Kind::Chat { 1 } else { (self.batch / calls_each).max(1) };
                let mut arrived = vec![first];
                arrived.extend(come.try_iter().take(at_most - 1));
                arrived
            };
            let request = match self.target.kind {
                Kind::Chat => self.target.bind(&arrived[0]),
                _ => self.target.batch(&arrived.iter().flat_map(|arrival| self.calls(arrival)).collect::<Vec<_>>()),
            };
            let addr = if self.target.kind == Kind::Chat { self.target.viewer_addr(arrived[0].viewer) } else { self.target.addr };
            let client = clients.entry(addr).or_insert_with(|| http::Client::new(addr));
            let answer = client.request(&request).map_err(|error| error.to_string());
            let mut bound =
                answer.as_ref().ok().filter(|_| self.target.kind == Kind::Chat).and_then(|answer| Answer::read(&answer.body));
            let succeeded = answer.and_then(|answer| self.succeeded(&answer, arrived.len()));
            let succeeded = succeeded.unwrap_or_else(|reason| {
                complain("join", &reason);
                vec![false; arrived.len()]
            });
            for (Arrival { viewer, visit, .. }, succeeded) in arrived.iter().zip(succeeded) {
                // In the chat there is one arrival.
                if self.done.send(Joined { viewer: *viewer, visit: *visit, succeeded, answer: bound.take() }).is_err() {
                    return;
                }
            }
            if self.waker.wake().is_err() {
                return;
            }
        }
    }

    /// Returns for each arrival whether all of its calls succeeded. Results have the order of the calls.
    fn succeeded(&self, answer: &http::Answer, arrived: usize) -> Result<Vec<bool>, String> {
        let response = || format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
        if answer.status != 200 {
            return Err(response());
        }
        if self.target.kind == Kind::Chat {
            return Ok(vec![true; arrived]);
        }
        let body: Value = serde_json::from_slice(&answer.body).map_err(|_| response())?;
        let results = body["results"].as_array().filter(|results| results.len() >= arrived).ok_or_else(response)?;
        // A result of false means that the client is offline.
        let done = |result: &Value| result["status"] == true && result["result"] != false;
        Ok(results.chunks(results.len() / arrived).map(|calls| calls.iter().all(done)).collect())
    }

    fn calls(&self, arrival: &Arrival) -> Vec<String> {
        let Arrival { viewer, room, client_id, .. } = arrival;
        let client = format!(r#""client_id":"{client_id}""#);
        let join = call("joinGroup", &format!(r#"{client},"group":"{}""#, group(*room)));
        if self.extras == Extras::None {
            return vec![join];
        }
        vec![
            call("bindUid", &format!(r#"{client},"uid":"u{viewer}""#)),
            call("setSession", &format!(r#"{client},"session":{{"name":"x"}}"#)),
            join,
            call("joinGroup", &format!(r#"{client},"group":"everyone""#)),
        ]
    }
}
