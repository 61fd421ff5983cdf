//! The table of the nodes that live, as their hellos tell it. Pure: the time is handed in, in milliseconds of this process's clock.

use super::lag::Lag;
use super::wire::{Hello, State};
use super::{Incarnation, Node, NodeName};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A node that is silent for longer is gone.
pub(super) const SILENT_MS: u64 = 3_500;
/// Time for which a node that is gone is remembered.
const REMEMBERED_MS: u64 = 30_000;
/// Time after a node fell silent, and after a reconnect, in which it may yet be heard.
const UNSETTLED_MS: u64 = 2_000;

#[derive(Debug)]
pub(super) struct Members {
    me: NodeName,
    live: BTreeMap<NodeName, Member>,
    former: HashMap<NodeName, Former>,
    /// Since when NATS is there; `None` while it is away.
    up_since: Option<u64>,
}

#[derive(Debug)]
struct Member {
    node: Node,
    heard: u64,
    lag: Lag,
    /// The run before this one, whose late hellos count for nothing.
    before: Option<Incarnation>,
}

/// A node that is gone.
#[derive(Debug)]
struct Former {
    incarnation: Incarnation,
    since: u64,
    /// Whether it said so. It is not heard again then.
    said_so: bool,
    /// Tells the age of what it sent before, and is heard late.
    lag: Lag,
}

/// The effect of a hello.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    None,
    /// A node is new, or another run of it.
    New,
    /// A node serves or leaves now.
    Other,
    /// A node is gone.
    Gone,
}

impl Members {
    pub(super) fn new(me: NodeName) -> Self {
        Self { me, live: BTreeMap::new(), former: HashMap::new(), up_since: None }
    }

    /// Takes a hello into account.
    pub(super) fn hear(&mut self, hello: Hello, now: u64) -> Change {
        let Hello { name, incarnation, process, at, version, state, connections } = hello;
        if name == self.me || self.has_ended(name, incarnation) {
            return Change::None;
        }
        if state == State::Gone {
            let is_member = self.live.get(&name).is_some_and(|member| member.node.incarnation == incarnation);
            return if is_member { self.remove(name, now, true) } else { Change::None };
        }
        let node = Node { name, incarnation, version, is_leaving: state == State::Leaving, connections };
        let former = self.former.remove(&name).filter(|former| former.incarnation == incarnation);
        match self.live.get_mut(&name) {
            Some(member) if member.node.incarnation == incarnation => {
                member.lag.hear(process, at, now);
                let is_other = (member.node.is_leaving, &member.node.version) != (node.is_leaving, &node.version);
                (member.node, member.heard) = (node, now);
                if is_other { Change::Other } else { Change::None }
            }
            known => {
                let before = known.map(|member| member.node.incarnation);
                let mut lag = former.map_or_else(|| Lag::new(process, at, now), |former| former.lag);
                lag.hear(process, at, now);
                let member = Member { node, heard: now, lag, before };
                self.live.insert(name, member);
                Change::New
            }
        }
    }

    /// Whether this run of a node was replaced, or said that it is gone.
    fn has_ended(&self, name: NodeName, incarnation: Incarnation) -> bool {
        let is_before = self.live.get(&name).is_some_and(|member| member.before == Some(incarnation));
        is_before || self.former.get(&name).is_some_and(|former| former.said_so && former.incarnation == incarnation)
    }

    /// Removes the nodes that are silent, and returns them.
    pub(super) fn sweep(&mut self, now: u64) -> Vec<NodeName> {
        let is_silent = |member: &&Member| now > member.heard + SILENT_MS;
        let silent: Vec<_> = self.live.values().filter(is_silent).map(|member| member.node.name).collect();
        silent.iter().for_each(|name| _ = self.remove(*name, now, false));
        let up_since = self.up_since;
        self.former.retain(|_, former| up_since.is_none_or(|up| now <= up.max(former.since) + REMEMBERED_MS));
        silent
    }

    fn remove(&mut self, name: NodeName, now: u64, said_so: bool) -> Change {
        let Some(member) = self.live.remove(&name) else { return Change::None };
        let Member { node, lag, .. } = member;
        self.former.insert(name, Former { incarnation: node.incarnation, since: now, said_so, lag });
        Change::Gone
    }

    /// Notes whether NATS is there.
    pub(super) fn link(&mut self, is_up: bool, now: u64) {
        self.up_since = if is_up { self.up_since.or(Some(now)) } else { None };
    }

    /// The other live nodes, by name.
    pub(super) fn others(&self) -> Vec<Node> {
        self.live.values().map(|member| member.node.clone()).collect()
    }

    /// The nodes to ask: those that live, and those that fell silent while NATS was away, until they had the time to be heard again.
    pub(super) fn asked(&self, now: u64) -> BTreeSet<NodeName> {
        let is_unsettled = self.up_since.is_none_or(|since| now <= since + UNSETTLED_MS);
        let former = self.former.iter().filter(|(_, former)| is_unsettled && !former.said_so).map(|(name, _)| *name);
        self.live.keys().copied().chain(former).collect()
    }

    /// Whether a node lives, as far as it can be known: one that fell silent may only be out of hearing.
    pub(super) fn is_member(&self, name: NodeName, now: u64) -> bool {
        self.live.contains_key(&name) || self.former.get(&name).is_some_and(|former| self.may_live(former, now))
    }

    fn may_live(&self, former: &Former, now: u64) -> bool {
        !former.said_so && self.up_since.is_none_or(|since| now <= since.max(former.since) + UNSETTLED_MS)
    }

    /// The age of a node's message in milliseconds. `None`: nothing is known about its clock.
    pub(super) fn age(&self, name: NodeName, process: u32, theirs: u64, now: u64) -> Option<u64> {
        let live = self.live.get(&name).map(|member| &member.lag);
        live.or_else(|| self.former.get(&name).map(|former| &former.lag))?.age(process, theirs, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::SocketAddrV4;

    fn name(last: u8) -> NodeName {
        SocketAddrV4::new([10, 0, 0, last].into(), 2900).into()
    }

    fn hello(node: u8, incarnation: u64, state: State) -> Hello {
        let (name, incarnation) = (name(node), Incarnation(incarnation));
        Hello { name, incarnation, process: 1, at: 0, version: "1".into(), state, connections: 0 }
    }

    #[test]
    fn a_node_is_gone_when_it_is_silent_or_says_so() {
        let mut members = Members::new(name(0));
        members.link(true, 0);
        assert_eq!(members.hear(hello(0, 1, State::Serving), 0), Change::None);
        assert_eq!(members.hear(hello(1, 1, State::Serving), 10_000), Change::New);
        assert_eq!(members.hear(hello(2, 1, State::Serving), 10_000), Change::New);
        assert_eq!(members.hear(hello(2, 1, State::Leaving), 10_000), Change::Other);
        assert_eq!(members.others().iter().map(|node| node.is_leaving).collect::<Vec<_>>(), [false, true]);
        assert_eq!(members.hear(hello(2, 1, State::Gone), 10_000), Change::Gone);
        assert!(!members.is_member(name(2), 10_000));
        assert_eq!(members.hear(hello(2, 1, State::Serving), 10_100), Change::None, "a late hello");
        assert_eq!(members.hear(hello(2, 2, State::Serving), 10_100), Change::New, "another run");
        assert_eq!(members.sweep(13_500), []);
        assert_eq!(members.sweep(13_501), [name(1)]);
        assert!(members.is_member(name(1), 15_501) && !members.is_member(name(1), 15_502));
        assert!(!members.is_member(name(9), 13_501));
    }

    #[test]
    fn another_run_replaces_the_one_before() {
        let mut members = Members::new(name(0));
        assert_eq!(members.hear(hello(1, 1, State::Serving), 0), Change::New);
        assert_eq!(members.hear(hello(1, 2, State::Serving), 0), Change::New);
        assert_eq!(members.hear(hello(1, 1, State::Serving), 1), Change::None);
        assert_eq!(members.hear(hello(1, 1, State::Gone), 1), Change::None);
        assert_eq!(members.others()[0].incarnation, Incarnation(2));
    }

    #[test]
    fn a_cut_from_nats_makes_no_node_unknown() {
        let mut members = Members::new(name(0));
        members.link(true, 0);
        members.hear(hello(1, 1, State::Serving), 5_000);
        members.link(false, 6_000);
        assert_eq!((members.sweep(10_000), members.others().len()), (vec![name(1)], 0));
        assert_eq!(members.sweep(900_000), []);
        assert!(members.is_member(name(1), 900_000) && members.asked(900_000) == [name(1)].into());
        members.link(true, 900_000);
        assert!(members.is_member(name(1), 902_000) && members.asked(902_000) == [name(1)].into());
        assert!(!members.is_member(name(1), 902_001) && members.asked(902_001).is_empty());
    }

    #[test]
    fn after_a_sleep_the_age_of_an_old_message_is_known() {
        let mut members = Members::new(name(0));
        members.link(true, 0);
        let told = |at| Hello { at, ..hello(1, 1, State::Serving) };
        members.hear(told(50), 1_000);
        // This process sleeps for 30 s, and reads afterwards what came meanwhile.
        assert_eq!(members.sweep(31_000), [name(1)]);
        assert_eq!(members.age(name(1), 1, 1_050, 31_000), Some(29_000));
        members.hear(told(1_050), 31_000);
        assert_eq!(members.age(name(1), 1, 1_060, 31_000), Some(28_990));
    }

    proptest! {
        /// After any hellos a live node was heard within 3.5 s, and no run that ended is heard again after its successor.
        #[test]
        fn the_table_holds_what_was_heard(steps in prop::collection::vec((1_u8..4, 1_u64..4, 0_u8..8, 0_u64..2_000), 1..200)) {
            let (mut members, mut now) = (Members::new(name(0)), 0);
            let mut heard: HashMap<NodeName, u64> = HashMap::new();
            for (node, incarnation, kind, wait) in steps {
                now += wait;
                members.sweep(now);
                let state = match kind { 0 => State::Gone, 1 => State::Leaving, _ => State::Serving };
                let before = members.others();
                let change = members.hear(hello(node, incarnation, state), now);
                let live = |nodes: &[Node]| nodes.iter().find(|other| other.name == name(node)).map(|node| node.incarnation);
                let (was, is) = (live(&before), live(&members.others()));
                match change {
                    Change::New => prop_assert!(was != is && is == Some(Incarnation(incarnation))),
                    Change::Gone => prop_assert!(was == Some(Incarnation(incarnation)) && is.is_none()),
                    Change::Other | Change::None => prop_assert_eq!(was, is),
                }
                if is == Some(Incarnation(incarnation)) {
                    heard.insert(name(node), now);
                }
                for other in members.others() {
                    prop_assert!(now <= heard[&other.name] + SILENT_MS);
                    prop_assert!(members.is_member(other.name, now));
                }
            }
        }
    }
}
