//! The clients of a run: senders, readers that move, a moderator. Each notes its acts and the pushes it got, by the clock of the run.

use super::{Ban, Change, Ended, Line, Outcome, Seen, Send, Socket};
use futures_util::StreamExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Client;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::{Message as Frame, client::IntoClientRequest};
use tokio_util::sync::CancellationToken;

/// Time for an answer: longer than the server's own limits, so that most failures are answers.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// Time for which a send is repeated under its nonce.
const REPEAT_FOR: Duration = Duration::from_secs(8);
/// Pause of a client after a failure.
const BACK_OFF: Duration = Duration::from_millis(200);

/// The run as its clients know it. Clones share it.
#[derive(Clone)]
pub struct Run {
    /// The addresses of the nodes, `http://…`.
    pub nodes: Arc<[String]>,
    pub begun: Instant,
    /// Cancelled when senders and the moderator are to end.
    pub quiet: CancellationToken,
    /// Cancelled when readers are to end.
    pub over: CancellationToken,
    pub noted: Arc<Mutex<Noted>>,
    http: Client,
}

/// The notes of the clients.
#[derive(Default)]
pub struct Noted {
    pub sends: Vec<Send>,
    pub texts: HashMap<String, String>,
    pub sockets: Vec<Socket>,
    pub bans: Vec<Ban>,
    pub ended: Vec<Ended>,
}

/// A person with a session.
#[derive(Clone)]
pub struct Person {
    pub uid: String,
    pub cookie: String,
}

impl Run {
    pub fn new(nodes: Vec<String>) -> Self {
        let http = Client::builder().timeout(ANSWER_WITHIN).pool_max_idle_per_host(0).build().unwrap();
        let (quiet, over) = (CancellationToken::new(), CancellationToken::new());
        Self { nodes: nodes.into(), begun: Instant::now(), quiet, over, noted: Arc::default(), http }
    }

    /// Milliseconds since the start.
    pub fn now(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    fn note(&self, note: impl FnOnce(&mut Noted)) {
        note(&mut self.noted.lock().unwrap());
    }

    fn any_node(&self, rng: &mut StdRng) -> &str {
        &self.nodes[rng.random_range(0..self.nodes.len())]
    }

    /// Posts a form. `None`: no answer, or none in time.
    async fn post(&self, node: &str, path: &str, cookie: &str, form: &[(&str, &str)]) -> Option<Value> {
        let request = self.http.post(format!("{node}{path}")).header("cookie", cookie).form(form);
        let answer = request.send().await.ok()?;
        answer.json().await.ok()
    }

    /// Sends until `quiet`, each message at nodes drawn anew until it has a final answer.
    pub async fn send_on(self, person: Person, room: &'static str, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut count = 0;
        while !self.quiet.is_cancelled() {
            count += 1;
            let nonce = format!("{}-{room}-{count}", person.uid);
            let text = format!("{room} {seed} {count}");
            self.note(|noted| _ = noted.texts.insert(nonce.clone(), text.clone()));
            let begun = self.now();
            let (outcome, pause) = self.send(&person, room, &nonce, &text, &mut rng).await;
            let send = Send { room: room.into(), user: person.uid.clone(), nonce, begun, answered: self.now(), outcome };
            self.note(|noted| noted.sends.push(send));
            sleep(pause).await;
        }
    }

    /// Returns the outcome and the pause that it asks for. An attempt without a certain answer makes a later refusal uncertain.
    async fn send(&self, person: &Person, room: &str, nonce: &str, text: &str, rng: &mut StdRng) -> (Outcome, Duration) {
        let (begun, mut is_certain) = (Instant::now(), true);
        loop {
            let form = [("room", room), ("message", text), ("nonce", nonce)];
            let answer = self.post(self.any_node(rng), "/gateway/send", &person.cookie, &form).await;
            let answer = answer.unwrap_or_default();
            if let (Some(seq), Some(id)) = (answer["seq"].as_u64(), answer["id"].as_str()) {
                return (Outcome::Stored { seq, id: id.into() }, Duration::from_millis(rng.random_range(300..900)));
            }
            let code = answer["code"].as_str().unwrap_or("uncertain");
            is_certain &= !matches!(code, "uncertain" | "internal");
            let is_final = !matches!(code, "uncertain" | "busy" | "internal");
            if is_final || begun.elapsed() > REPEAT_FOR {
                let wait = answer["retry_after_ms"].as_u64().unwrap_or(200);
                let outcome = if is_certain { Outcome::Refused(code.into()) } else { Outcome::Unknown };
                return (outcome, Duration::from_millis(wait));
            }
            sleep(BACK_OFF).await;
        }
    }

    /// Reads a room until `over`, on sockets at nodes drawn anew. One that moves leaves each socket after 4 to 9 s.
    pub async fn read_on(self, reader: usize, room: &'static str, person: Option<Person>, moves: bool, seed: u64) {
        let mut page = Page { run: self, reader, room, person, since: None, epoch: String::new(), rev: None };
        let mut rng = StdRng::seed_from_u64(seed);
        while !page.run.over.is_cancelled() {
            let life = if moves { Duration::from_millis(rng.random_range(4_000..9_000)) } else { Duration::from_secs(3_600) };
            let over = page.run.over.clone();
            let _ = page.one_socket(&mut rng, Instant::now() + life, &over).await;
            if !page.run.over.is_cancelled() {
                sleep(BACK_OFF).await;
            }
        }
    }

    /// Removes messages and bans people, each at a node drawn anew, until `quiet`.
    pub async fn moderate_on(self, moderator: Person, room: &'static str, victims: Vec<Person>, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut victims = victims.into_iter();
        for turn in 1_u32.. {
            tokio::select! {
                () = self.quiet.cancelled() => return,
                () = sleep(Duration::from_millis(700)) => {}
            }
            if turn.is_multiple_of(12)
                && let Some(victim) = victims.next()
            {
                let nonce = format!("ban{turn}");
                let form = [("room", room), ("user", &victim.uid), ("reason", "test"), ("nonce", &nonce)];
                self.act("/gateway/mod/ban", &moderator, &form, &mut rng).await;
                let answered_at = self.now();
                self.note(|noted| noted.bans.push(Ban { room: room.into(), user: victim.uid, answered_at }));
                continue;
            }
            let newest = self.noted.lock().unwrap().sends.iter().rev().find_map(|send| match send.outcome {
                Outcome::Stored { seq, .. } if send.room == room => Some(seq),
                _ => None,
            });
            let Some(newest) = newest else { continue };
            let (seq, nonce) = ((newest - rng.random_range(0..newest.min(5))).to_string(), format!("remove{turn}"));
            let form = [("room", room), ("seq", &seq), ("reason", "test"), ("nonce", &nonce)];
            self.act("/gateway/mod/remove", &moderator, &form, &mut rng).await;
        }
    }

    /// Repeats an act under its nonce until it is answered for good.
    async fn act(&self, path: &str, moderator: &Person, form: &[(&str, &str)], rng: &mut StdRng) {
        let begun = Instant::now();
        loop {
            let answer = self.post(self.any_node(rng), path, &moderator.cookie, form).await.unwrap_or_default();
            let code = answer["code"].as_str().unwrap_or(if answer["status"] == true { "done" } else { "uncertain" });
            if !matches!(code, "uncertain" | "busy" | "internal" | "too_fast") {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{path} is not answered: {answer}");
            sleep(BACK_OFF).await;
        }
    }

    /// Signs a person out at a node drawn anew.
    pub async fn sign_out(&self, person: &Person, rng: &mut StdRng) {
        self.act("/session/logout", person, &[], rng).await;
        let ended = Ended { user: person.uid.clone(), answered_at: self.now() };
        self.note(|noted| noted.ended.push(ended));
    }
}

/// A page in a room: its newest seq and rev, over all of its sockets.
struct Page {
    run: Run,
    reader: usize,
    room: &'static str,
    person: Option<Person>,
    since: Option<u64>,
    epoch: String,
    rev: Option<u64>,
}

impl Page {
    /// Opens a socket, binds it by way of any node, and reads until it ends, or until `until`. The pushes are noted.
    async fn one_socket(&mut self, rng: &mut StdRng, until: Instant, over: &CancellationToken) -> Option<()> {
        let node = self.run.any_node(rng).to_owned();
        let url = format!("{}/ws", node.replace("http", "ws"));
        let mut request = url.into_client_request().ok()?;
        request.headers_mut().insert("sec-websocket-protocol", "roomcast.v1".parse().ok()?);
        let cookie =
            self.person.as_ref().map_or_else(|| format!("roomcast_visitor=test{}", self.reader), |one| one.cookie.clone());
        request.headers_mut().insert("cookie", cookie.parse().ok()?);
        let opened = timeout(ANSWER_WITHIN, tokio_tungstenite::connect_async(request)).await;
        let (mut stream, _) = opened.ok()?.ok()?;
        let user = self.person.as_ref().map(|one| one.uid.clone());
        let mut socket = Socket { reader: self.reader, room: self.room.into(), node, user, seen: vec![], closed_at: None };
        let (mut client, mut is_stale) = (String::new(), true);
        let mut binding = None;
        let is_open = loop {
            if is_stale && binding.is_none() && !client.is_empty() {
                is_stale = false;
                binding = Some(Box::pin(self.bind(&client, &cookie, rng)));
            }
            tokio::select! {
                frame = stream.next() => match frame {
                    Some(Ok(Frame::Text(text))) => {
                        let push: Value = serde_json::from_str(&text).ok()?;
                        if push["type"] == "init" {
                            client = push["client_id"].as_str()?.to_owned();
                        } else if let Some(seen) = seen(&push, self.run.now()) {
                            is_stale |= matches!(seen, Seen::Gap { .. });
                            socket.seen.push(seen);
                        }
                    }
                    Some(Ok(Frame::Close(_)) | Err(_)) | None => break false,
                    Some(Ok(_)) => {}
                },
                answer = async { binding.as_mut().unwrap().await }, if binding.is_some() => {
                    binding = None;
                    match answer {
                        Some(bound) => socket.seen.push(bound),
                        None => is_stale = true,
                    }
                }
                () = sleep(until.saturating_duration_since(Instant::now())) => break false,
                () = over.cancelled() => break true,
            }
        };
        drop(binding);
        self.keep(&socket);
        socket.closed_at = (!is_open).then(|| self.run.now());
        self.run.note(|noted| noted.sockets.push(socket));
        Some(())
    }

    /// Posts `bind` to any node. `None`: it is to be tried again, after a pause.
    fn bind(&self, client: &str, cookie: &str, rng: &mut StdRng) -> impl Future<Output = Option<Seen>> + use<> {
        let (run, node) = (self.run.clone(), self.run.any_node(rng).to_owned());
        let (client, cookie, epoch, room) = (client.to_owned(), cookie.to_owned(), self.epoch.clone(), self.room);
        let (since, rev) = (self.since.map(|seq| seq.to_string()), self.rev.map(|rev| rev.to_string()));
        async move {
            let begun = run.now();
            let mut form = vec![("client_id", client.as_str()), ("room", room)];
            if let (Some(since), Some(rev)) = (&since, &rev) {
                form.extend([("since", since.as_str()), ("rev", rev.as_str()), ("epoch", epoch.as_str())]);
            }
            let answer = run.post(&node, "/gateway/bind", &cookie, &form).await.unwrap_or_default();
            if answer["status"] != true {
                sleep(BACK_OFF).await;
                return None;
            }
            Some(Seen::Bound {
                begun,
                at: run.now(),
                epoch: answer["epoch"].as_str()?.to_owned(),
                seq: answer["seq"].as_u64()?,
                gap: answer["gap"] == true,
                rev: answer["rev"].as_u64()?,
                lines: answer["messages"].as_array()?.iter().filter_map(line).collect(),
                changes: answer["changes"].as_array()?.iter().filter_map(change).collect(),
            })
        }
    }

    /// Keeps the newest seq without a hole before it, and the newest rev, for the next socket.
    fn keep(&mut self, socket: &Socket) {
        for seen in &socket.seen {
            match seen {
                Seen::Bound { epoch, seq, rev, .. } => {
                    self.epoch.clone_from(epoch);
                    (self.since, self.rev) = (self.since.max(Some(*seq)), self.rev.max(Some(*rev)));
                }
                Seen::Message { line, .. } if self.since.is_some_and(|since| line.seq == since + 1) => {
                    self.since = Some(line.seq)
                }
                Seen::Change { change, .. } if self.rev.is_some_and(|rev| change.rev == rev + 1) => self.rev = Some(change.rev),
                Seen::Message { .. } | Seen::Change { .. } | Seen::Gap { .. } => {}
            }
        }
    }
}

fn line(message: &Value) -> Option<Line> {
    Some(Line {
        seq: message["seq"].as_u64()?,
        id: message["id"].as_str()?.to_owned(),
        text: message["text"].as_str()?.to_owned(),
        is_removed: message.get("removed").is_some(),
    })
}

fn change(push: &Value) -> Option<Change> {
    let span = |span: &Value| match span {
        Value::Array(ends) => Some((ends.first()?.as_u64()?, ends.last()?.as_u64()?)),
        seq => Some((seq.as_u64()?, seq.as_u64()?)),
    };
    let list = |name: &str| push[name].as_array().cloned().unwrap_or_default();
    Some(Change {
        rev: push["rev"].as_u64()?,
        removed: list("removed").iter().filter_map(span).collect(),
        restored: list("restored").iter().filter_map(line).collect(),
    })
}

fn seen(push: &Value, at: u64) -> Option<Seen> {
    match push["type"].as_str()? {
        "message" => Some(Seen::Message { at, line: line(push)? }),
        "changed" | "room" => Some(Seen::Change { at, change: change(push)? }),
        "gap" => {
            let range = push["from"].as_u64().zip(push["to"].as_u64());
            Some(Seen::Gap { at, range, rev: push["rev"].as_u64() })
        }
        _ => None,
    }
}
