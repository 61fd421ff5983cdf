//! Random commands to a gateway, and a model of the pushes that each client should receive.

use super::{Client, DEADLINE, connect, frame, gateway, text, to};
use crate::support::eventually;
use roomcast::domain::id::ClientId;
use roomcast::domain::push::CloseCode;
use roomcast::server::config::GatewaySettings as Settings;
use roomcast::server::gateway::{Dialect, Except, Gateway, Group, GroupChange, Selection, Uid};
use std::collections::{BTreeMap, BTreeSet};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A random generator with a seed, so that every run is the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % sides
    }
}

/// The state a client should have, and the pushes it should receive, in order.
#[derive(Default)]
pub struct Expected {
    groups: BTreeSet<usize>,
    uid: Option<usize>,
    pub pushes: Vec<String>,
}

/// Random commands to a gateway, and a model of their effects.
pub struct Run {
    pub gateway: Gateway,
    dice: Dice,
    pub model: BTreeMap<Key, Expected>,
    /// Per client, the pushes it received until its connection ended.
    pub readers: BTreeMap<Key, JoinHandle<Vec<String>>>,
    /// Per client, ends its reader and drops its connection.
    droppers: BTreeMap<Key, oneshot::Sender<()>>,
    pub kicked: usize,
}

const GROUPS: usize = 20;
const UIDS: usize = 300;

fn group(n: usize) -> Group {
    Group::new(format!("g{n}"))
}

fn uid(n: usize) -> Uid {
    Uid::new(format!("u{n}"))
}

impl Run {
    pub async fn with_clients(count: usize) -> Self {
        let (gateway, dice) = (gateway(Settings::default()), Dice(7));
        let (model, readers, droppers) = Default::default();
        let mut run = Self { gateway, dice, model, readers, droppers, kicked: 0 };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for place in 0..count {
            let dialect = if place % 2 == 0 { Dialect::Plain } else { Dialect::V1 };
            run.add(connect(&run.gateway, &listener, dialect).await);
        }
        run
    }

    fn add(&mut self, Client { id, mut stream }: Client) {
        let (dropper, mut dropped) = oneshot::channel::<()>();
        let reader = tokio::spawn(async move {
            let mut got = Vec::new();
            loop {
                tokio::select! {
                    biased;
                    next = frame(&mut stream) => match next {
                        Some(push) => got.push(push),
                        None => return got,
                    },
                    _ = &mut dropped => return got,
                }
            }
        });
        self.readers.insert(Key(id), reader);
        self.droppers.insert(Key(id), dropper);
        self.model.insert(Key(id), Expected::default());
    }

    fn pick(&mut self) -> Key {
        *self.model.keys().nth(self.dice.roll(self.model.len())).unwrap()
    }

    fn expected(&mut self, client: Key) -> &mut Expected {
        self.model.get_mut(&client).unwrap()
    }

    pub async fn step(&mut self, step: usize) {
        match self.dice.roll(100) {
            0..40 => self.join_group().await,
            40..50 => self.leave_group().await,
            50..65 => self.bind_uid().await,
            65..80 => self.send_to_groups(format!("groups {step}")).await,
            80..88 => self.send_to_uid(format!("uid {step}")).await,
            88..94 => self.send_to_client(format!("client {step}")).await,
            94 => self.send_to_all(format!("all {step}")).await,
            95 | 96 => self.kick().await,
            97 => self.ungroup().await,
            _ => self.drop_connection().await,
        }
    }

    async fn join_group(&mut self) {
        let (client, n) = (self.pick(), self.dice.roll(GROUPS));
        let is_new = self.expected(client).groups.insert(n);
        assert_eq!(self.gateway.join_group(client.0, group(n)).await, group_change(is_new));
    }

    async fn leave_group(&mut self) {
        let (client, n) = (self.pick(), self.dice.roll(GROUPS));
        let was_member = self.expected(client).groups.remove(&n);
        assert_eq!(self.gateway.leave_group(client.0, group(n)).await, group_change(was_member));
    }

    async fn ungroup(&mut self) {
        let n = self.dice.roll(GROUPS);
        let left = self.model.values_mut().filter_map(|expected| expected.groups.remove(&n).then_some(())).count();
        assert_eq!(self.gateway.ungroup(group(n)).await, left);
    }

    async fn bind_uid(&mut self) {
        let (client, n) = (self.pick(), self.dice.roll(UIDS));
        assert!(self.gateway.bind_uid(client.0, uid(n)).await);
        self.expected(client).uid = Some(n);
    }

    /// To two groups, one client excluded. A client in both receives the push twice.
    async fn send_to_groups(&mut self, push: String) {
        let (one, other, except) = (self.dice.roll(GROUPS), self.dice.roll(GROUPS), self.pick());
        let mut count = 0;
        for (_, expected) in self.model.iter_mut().filter(|(client, _)| **client != except) {
            let times = [one, other].iter().filter(|n| expected.groups.contains(n)).count();
            expected.pushes.extend(std::iter::repeat_n(push.clone(), times));
            count += times;
        }
        let except = Except { clients: [except.0].into(), ..Except::default() };
        let sent = self.gateway.send_to_group(vec![group(one), group(other)], except, text(&push)).await;
        assert_eq!(sent.delivered().await, to(count), "{push}");
    }

    async fn send_to_uid(&mut self, push: String) {
        let n = self.dice.roll(UIDS);
        let mut count = 0;
        for expected in self.model.values_mut().filter(|expected| expected.uid == Some(n)) {
            expected.pushes.push(push.clone());
            count += 1;
        }
        let sent = self.gateway.send_to_uid(vec![uid(n)], Except::default(), text(&push)).await;
        assert_eq!(sent.delivered().await, to(count));
    }

    async fn send_to_client(&mut self, push: String) {
        let client = self.pick();
        self.expected(client).pushes.push(push.clone());
        assert_eq!(self.gateway.send_to_client(client.0, text(&push)).await.delivered().await, to(1));
    }

    async fn send_to_all(&mut self, push: String) {
        for expected in self.model.values_mut() {
            expected.pushes.push(push.clone());
        }
        let sent = self.gateway.send_to_all(None, Except::default(), text(&push)).await;
        assert_eq!(sent.delivered().await, to(self.model.len()));
    }

    async fn kick(&mut self) {
        let client = self.pick();
        let expected = self.model.remove(&client).unwrap();
        assert!(self.gateway.close_client(client.0, Some(text("farewell")), CloseCode::KICKED.into()).await);
        let got = timeout(DEADLINE, self.readers.remove(&client).unwrap()).await.unwrap().unwrap();
        assert_eq!(got, [expected.pushes, vec!["farewell".into()]].concat());
        self.kicked += 1;
    }

    /// The client drops its connection, while pushes to it may be on their way.
    async fn drop_connection(&mut self) {
        let client = self.pick();
        let expected = self.model.remove(&client).unwrap();
        drop(self.droppers.remove(&client));
        let got = self.readers.remove(&client).unwrap().await.unwrap();
        assert!(expected.pushes.starts_with(&got), "the received pushes are the first of the expected ones");
        eventually("the client is offline", async || !self.gateway.is_online(client.0).await).await;
    }

    /// Compares the uids and groups of the gateway with those of the model.
    pub async fn check_totals(&self) {
        let uids: BTreeSet<_> = self.model.values().filter_map(|expected| expected.uid).collect();
        assert_eq!(self.gateway.uids(Selection::All).await.len(), uids.len());
        let members = |n| self.model.values().filter(|expected| expected.groups.contains(&n)).count();
        let groups: BTreeMap<_, _> = (0..GROUPS).map(|n| (group(n), members(n))).filter(|(_, count)| *count > 0).collect();
        assert_eq!(self.gateway.groups().await.into_iter().collect::<BTreeMap<_, _>>(), groups);
    }
}

/// A client id as the key of an ordered map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key(ClientId);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.connection.cmp(&other.0.connection)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn group_change(has_changed: bool) -> GroupChange {
    if has_changed { GroupChange::Changed } else { GroupChange::Unchanged }
}
