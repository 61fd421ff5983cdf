//! A page's view of a room: the messages that it holds, changed by pushes. However old the view is, `bind` with its rev makes it equal
//! to the view of a page that opens now.

use super::{Room, act, say};
use crate::support::{Person, Socket};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The messages and the state of room 1 in a page.
#[derive(Clone, Default, Debug)]
pub struct View {
    pub epoch: String,
    pub seq: u64,
    pub rev: u64,
    pub messages: BTreeMap<u64, Value>,
    pub state: Value,
    /// A gap or a change asked for the window to be read again.
    pub must_reread: bool,
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

impl View {
    /// Binds the socket with the view's positions and takes the answer over. Returns it.
    pub async fn bind(&mut self, person: &Person, socket: &Socket) -> Value {
        let (since, rev) = (self.seq.to_string(), self.rev.to_string());
        let positions = [("since", since.as_str()), ("epoch", self.epoch.as_str()), ("rev", rev.as_str())];
        let answer = person.bind(socket, if self.epoch.is_empty() { &[] } else { &positions }).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let body = answer.body;
        if self.epoch.is_empty() || body["stale"] == true || body["gap"] == true {
            if !self.epoch.is_empty() {
                // The page reads its window again.
                self.epoch.clear();
                return Box::pin(self.bind(person, socket)).await;
            }
            self.messages.clear();
            self.rev = number(&body["rev"]);
            self.must_reread = false;
        }
        self.epoch = body["epoch"].as_str().unwrap().to_owned();
        for message in body["messages"].as_array().unwrap() {
            self.messages.insert(number(&message["seq"]), message.clone());
        }
        for change in body["changes"].as_array().unwrap() {
            self.apply(change);
        }
        assert_eq!(number(&body["rev"]), self.rev, "the changes lead to the newest rev: {body}");
        (self.seq, self.state) = (number(&body["seq"]), body["state"].clone());
        body
    }

    /// Applies a push.
    pub fn apply(&mut self, push: &Value) {
        match push["type"].as_str().unwrap_or_default() {
            "message" => {
                self.seq = self.seq.max(number(&push["seq"]));
                self.messages.insert(number(&push["seq"]), push.clone());
            }
            "changed" | "room" => {
                let rev = number(&push["rev"]);
                assert!(rev <= self.rev + 1, "a change is missing before {push}: the view has {}", self.rev);
                if rev == self.rev + 1 {
                    self.rev = rev;
                    self.change(push);
                }
            }
            "gap" => self.must_reread = true,
            _ => {}
        }
    }

    fn change(&mut self, push: &Value) {
        if push["type"] == "room" {
            self.state = push["state"].clone();
            return;
        }
        for entry in push["removed"].as_array().into_iter().flatten() {
            let (from, to) = match entry.as_array() {
                Some(range) => (number(&range[0]), number(&range[1])),
                None => (number(entry), number(entry)),
            };
            self.messages.range_mut(from..=to).for_each(|(_, message)| bury(message, push));
        }
        if let Some(purged) = push["purged"].as_object() {
            let range = number(&purged["from"])..=number(&purged["upto"]);
            let theirs = self.messages.range_mut(range).filter(|(_, message)| message["user"] == purged["user"]);
            theirs.for_each(|(_, message)| bury(message, push));
        }
        for message in push["restored"].as_array().into_iter().flatten() {
            if let Some(held) = self.messages.get_mut(&number(&message["seq"])) {
                *held = message.clone();
            }
        }
        self.must_reread |= push["reread"] == true;
    }

    /// All that the view shows, as text.
    pub fn text(&self) -> String {
        format!("{:?} {}", self.messages, self.state)
    }
}

/// Makes a tombstone of a message that is none yet.
fn bury(message: &mut Value, change: &Value) {
    let fields = message.as_object_mut().unwrap();
    if fields.contains_key("removed") {
        return;
    }
    for field in ["text", "message", "nickname"] {
        fields.insert(field.into(), json!(""));
    }
    fields.remove("mentions");
    fields.insert("removed".into(), json!({"why": change["why"], "rev": change["rev"]}));
}

/// Without the nickname of the answered message: a page draws it from that message, where it holds it.
fn without_parent(mut message: Value) -> Value {
    if let Some(re) = message["re"].as_object_mut() {
        re.remove("nickname");
    }
    message
}

#[derive(Clone, Debug)]
enum Step {
    Say(usize),
    Reply(usize, u64),
    Remove(u64),
    Retract(usize, u64),
    Purge(usize),
    Undo(usize),
    Pin(u64),
    Mode(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..3usize).prop_map(Step::Say),
        1 => (0..3usize, 0..20u64).prop_map(|(person, back)| Step::Reply(person, back)),
        3 => (0..20u64).prop_map(Step::Remove),
        1 => (0..3usize, 0..20u64).prop_map(|(person, back)| Step::Retract(person, back)),
        1 => (0..3usize).prop_map(Step::Purge),
        3 => (0..8usize).prop_map(Step::Undo),
        1 => (0..20u64).prop_map(Step::Pin),
        1 => (0..3u64).prop_map(Step::Mode),
    ]
}

/// The people, and what they did so far.
struct Scene {
    room: Room,
    people: [Person; 3],
    newest: u64,
    actions: Vec<String>,
}

impl Scene {
    async fn play(&mut self, step: &Step) {
        let back = |back: u64| self.newest.saturating_sub(back).max(1).to_string();
        let moderator = &self.room.moderator;
        let answer = match step {
            Step::Say(person) => {
                self.newest = say(&self.people[*person], &format!("line {}", self.newest + 1)).await;
                return;
            }
            Step::Reply(person, at) => {
                let form = [("room", "1"), ("message", "a reply"), ("re", &back(*at))];
                let answer = self.people[*person].post("/gateway/send", &form).await;
                self.newest = answer.body["seq"].as_u64().unwrap_or(self.newest);
                return;
            }
            Step::Remove(at) => super::try_act(moderator, "remove", &[("seq", &back(*at))]).await,
            Step::Retract(person, at) => {
                self.people[*person].post("/gateway/retract", &[("room", "1"), ("seq", &back(*at))]).await
            }
            Step::Purge(person) => {
                super::try_act(moderator, "purge", &[("user", &self.people[*person].uid), ("seconds", "0")]).await
            }
            Step::Undo(at) => match self.actions.iter().rev().nth(*at) {
                Some(action) => super::try_act(moderator, "undo", &[("action", action)]).await,
                None => return,
            },
            Step::Pin(at) => super::try_act(moderator, "pin", &[("seq", &back(*at))]).await,
            Step::Mode(n) => super::try_act(moderator, "mode", &[("slow_ms", &n.to_string())]).await,
        };
        assert!(answer.status.as_u16() < 500, "{step:?}: {}", answer.body);
        self.actions.extend(answer.body["action"].as_str().map(str::to_owned));
    }
}

/// Trap 1, and the consistency of `bind`: views of every age, one that sleeps and one that follows the pushes, end as a fresh one.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_any_age_that_binds_equals_a_fresh_one() {
    let strategy = prop::collection::vec(step(), 60);
    for seed in 0..4u8 {
        let rng = TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &[seed; 32]);
        let steps = strategy.new_tree(&mut TestRunner::new_with_rng(Config::default(), rng)).unwrap().current();
        let room = Room::start().await;
        let people = [room.server.guest("一").await, room.server.guest("二").await, room.server.guest("三").await];
        let mut scene = Scene { room, people, newest: 0, actions: vec![] };
        let visitor = scene.room.server.visitor();
        let mut following = visitor.open(Some("roomcast.v1")).await;
        let mut follower = View::default();
        follower.bind(&visitor, &following).await;
        let mut ages = vec![follower.clone()];
        for (n, step) in steps.iter().enumerate() {
            scene.play(step).await;
            if n % 10 == 9 {
                let mut view = View::default();
                view.bind(&visitor, &visitor.open(Some("roomcast.v1")).await).await;
                ages.push(view);
            }
        }
        let last = say(&scene.room.host, "the last line").await;
        while follower.seq < last {
            follower.apply(&following.push().await);
        }
        let mut fresh = View::default();
        fresh.bind(&visitor, &following).await;
        if follower.must_reread {
            follower.epoch.clear();
            follower.bind(&visitor, &following).await;
        }
        ages.push(follower);
        for mut view in ages {
            let age = (view.seq, view.rev);
            view.bind(&visitor, &following).await;
            if view.must_reread {
                view.epoch.clear();
                view.bind(&visitor, &following).await;
            }
            for (seq, message) in &fresh.messages {
                let held = view.messages.get(seq).cloned().map(without_parent);
                let message = without_parent(message.clone());
                assert!(
                    held.as_ref() == Some(&message),
                    "seed {seed}, a view of {age:?}, message {seq}: {held:?}, fresh {message}"
                );
            }
            assert_eq!((view.rev, &view.state), (fresh.rev, &fresh.state), "seed {seed}, a view of {age:?}");
        }
    }
}

/// The undo of each kind of act restores exactly what the act removed.
#[tokio::test]
async fn an_undo_restores_what_its_act_removed_and_nothing_else() {
    let room = Room::start().await;
    let (one, other) = (room.server.guest("一").await, room.server.guest("二").await);
    for n in 0..6 {
        say(if n % 2 == 0 { &one } else { &other }, &format!("line {n}")).await;
    }
    act(&room.moderator, "remove", &[("seq", "3")]).await;
    let before = super::history(&other, 100, 50).await;
    let undo = async |action: &Value| act(&room.moderator, "undo", &[("action", action.as_str().unwrap())]).await;
    let acts = [
        act(&room.moderator, "purge", &[("user", &one.uid), ("seconds", "0")]).await,
        act(&room.moderator, "remove", &[("seq", "2,4,6")]).await,
    ];
    for removed in acts.iter().rev() {
        undo(&removed["action"]).await;
    }
    let after = super::history(&other, 100, 50).await;
    assert_eq!(after, before, "message 3 stays removed");
    let again = super::try_act(&room.moderator, "undo", &[("action", acts[0]["action"].as_str().unwrap())]).await;
    assert_eq!(super::refusal(&again), (409, "already_decided"));
}
