//! The back end's part in a roomcast viewer's arrival: told a client id, it joins it to its room. Threads of their own, since
//! a request waits for its answer and the viewers must not.

use crate::complain::complain;
use crate::target::{Kind, Target, call, group};
use gateway_bench::http;
use mio::Waker;
use serde_json::Value;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// A viewer that has its client id.
pub struct Arrival {
    pub viewer: usize,
    /// Which of the viewer's connections: it may have come again since.
    pub visit: u32,
    pub room: usize,
    pub client_id: String,
}

pub struct Joined {
    pub viewer: usize,
    pub visit: u32,
    pub worked: bool,
}

/// What a viewer gets beside its room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extras {
    None,
    /// A uid, a session and a second group: what an application usually knows of a connection.
    Bound,
}

pub struct Joiner {
    arrivals: Sender<Arrival>,
    pub joined: Receiver<Joined>,
}

impl Joiner {
    /// `waker` is woken when there is something in `joined`.
    pub fn start(target: Arc<Target>, batch: usize, extras: Extras, waker: Arc<Waker>) -> Self {
        let (arrivals, come) = channel();
        let (done, joined) = channel();
        let come = Arc::new(Mutex::new(come));
        // The API takes many in one request, the page's own way one at a time: as many at once as there are guests.
        let threads = if target.kind == Kind::Chat { 16 } else { 2 };
        for _ in 0..threads {
            let work =
                Work { target: target.clone(), batch, extras, come: come.clone(), done: done.clone(), waker: waker.clone() };
            std::thread::spawn(move || work.run());
        }
        Self { arrivals, joined }
    }

    pub fn join(&self, arrival: Arrival) {
        self.arrivals.send(arrival).expect("the joiner works as long as it is wanted");
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
    /// Until nobody can arrive any more.
    fn run(self) {
        let mut client = http::Client::new(self.target.addr);
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
                Kind::Chat => self.target.bind(arrived[0].viewer, &arrived[0].client_id),
                _ => self.target.batch(&arrived.iter().flat_map(|arrival| self.calls(arrival)).collect::<Vec<_>>()),
            };
            let worked = match client.ask(&request) {
                Ok(answer) => self.worked(&answer, arrived.len()),
                Err(error) => Err(error.to_string()),
            };
            let worked = worked.unwrap_or_else(|reason| {
                complain("join", &reason);
                vec![false; arrived.len()]
            });
            for (Arrival { viewer, visit, .. }, worked) in arrived.iter().zip(worked) {
                if self.done.send(Joined { viewer: *viewer, visit: *visit, worked }).is_err() {
                    return;
                }
            }
            if self.waker.wake().is_err() {
                return;
            }
        }
    }

    /// For each of those that arrived: did all of its calls work? They are answered in their order.
    fn worked(&self, answer: &http::Answer, arrived: usize) -> Result<Vec<bool>, String> {
        let said = || format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
        if answer.status != 200 {
            return Err(said());
        }
        if self.target.kind == Kind::Chat {
            return Ok(vec![true; arrived]);
        }
        let body: Value = serde_json::from_slice(&answer.body).map_err(|_| said())?;
        let results = body["results"].as_array().filter(|results| results.len() >= arrived).ok_or_else(said)?;
        // False is no failure to the API, only nobody online by that name.
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
