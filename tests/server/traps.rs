//! The traps of moderation in which other chats were caught, against the real binary: removed text that comes back, restraints that are
//! raced or not told, a staff channel that others reach. Each test names its trap.

mod act_undo;
mod chat_send;
mod gone;
mod guests;
mod log;
mod races;
mod slow;
mod staff_channel;
mod told;
mod view;
mod words;

use crate::support::{Answer, Person, Server, Socket};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

const KEY: &str = "a key of the configuration";
/// A word that stands in a message to be removed, and nowhere else.
const SECRET: &str = "zqxremovedzqx";

/// A server with room 1, its host and a moderator. Nobody waits for a cooldown.
struct Room {
    server: Server,
    /// The owner of the site, who hosts room 1.
    host: Person,
    moderator: Person,
}

impl Room {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[&str]) -> Self {
        let api_key = format!("gateway.api_key={KEY}");
        let mut all = vec!["chat.cooldown_ms=0", "limits.request_burst=100000", "limits.request_a_minute=1000000", &api_key];
        all.extend(settings);
        let server = Server::with(&all);
        let host = server.owner().await;
        let moderator = account(&server, "helper", "巡查").await;
        act(&host, "role", &[("user", &moderator.uid), ("role", "moderator")]).await;
        Self { server, host, moderator }
    }

    /// A reader of `roomcast.v1` in room 1.
    async fn reader(&self) -> Socket {
        self.server.visitor().open_bound(Some("roomcast.v1")).await
    }

    /// Calls the API with the key of the configuration.
    async fn api(&self, method: &str, params: Value) -> Answer {
        let request = reqwest::Client::new().post(format!("{}/gateway/api/{method}", self.server.base));
        let request = request.bearer_auth(KEY).header("content-type", "application/json").body(params.to_string());
        crate::support::read(request.send().await.unwrap()).await
    }
}

/// Registers an account.
async fn account(server: &Server, name: &str, nickname: &str) -> Person {
    let mut person = server.visitor();
    let form = [("name", name), ("password", "correct horse"), ("nickname", nickname)];
    let answer = person.post("/session/register", &form).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    person.uid = answer.body["uid"].as_str().unwrap().to_owned();
    person
}

/// Posts an act in room 1, whatever is answered.
async fn try_act(person: &Person, verb: &str, fields: &[(&str, &str)]) -> Answer {
    let mut form = vec![("room", "1")];
    form.extend(fields);
    person.post(&format!("/gateway/mod/{verb}"), &form).await
}

/// Does an act in room 1, and returns the answer.
async fn act(person: &Person, verb: &str, fields: &[(&str, &str)]) -> Value {
    let answer = try_act(person, verb, fields).await;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!(true)), "{verb} {fields:?}: {}", answer.body);
    answer.body
}

/// Sends a message to room 1 and returns its seq.
async fn say(person: &Person, text: &str) -> u64 {
    let answer = person.send(text).await;
    assert_eq!(answer.status, 200, "{text}: {}", answer.body);
    answer.body["seq"].as_u64().unwrap()
}

/// A page of history before a seq, as texts and numbers.
async fn history(person: &Person, before: u64, limit: u64) -> Vec<Value> {
    let form = [("room", "1"), ("before", &before.to_string()), ("limit", &limit.to_string())];
    let answer = person.post("/gateway/history", &form).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["messages"].as_array().unwrap().clone()
}

/// The code of a refusal with its status.
fn refusal(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default())
}

/// The pushes that a socket has got, up to a message with the text `last`, which is the last one.
async fn pushes_until(socket: &mut Socket, last: &str) -> Vec<Value> {
    let mut pushes = Vec::new();
    loop {
        let push = socket.push().await;
        if push["text"] == last {
            return pushes;
        }
        pushes.push(push);
    }
}

/// Whether a push of that type comes within a moment. Only to show that something does not come.
async fn comes(socket: &mut Socket, kind: &str, within: Duration) -> bool {
    timeout(within, socket.push_of(kind)).await.is_ok()
}
