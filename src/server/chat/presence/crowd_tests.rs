//! The union over the nodes: equal to that of the sets where all are listed, near it where one is sketched.

use super::*;
use crate::server::gateway::PeopleKey;
use proptest::prelude::*;

/// A connection: a uid, a visitor, on a node.
type Member = (usize, Option<u64>, Option<u64>);

fn spread(n: u64) -> u64 {
    PeopleKey::new(&[1; 16]).hash(&crate::server::gateway::Uid::new(n.to_string()))
}

/// The people of each of the nodes, from its connections.
fn nodes(members: &[Member]) -> Vec<People> {
    let mut nodes: Vec<People> = (0..4).map(|_| People::default()).collect();
    for (node, uid, visitor) in members {
        let people = &mut nodes[*node];
        match (uid, visitor) {
            (Some(uid), visitor) => {
                people.uids.insert(spread(*uid));
                people.with_uid.extend(visitor.map(|visitor| spread(visitor + 1_000_000)));
            }
            (None, Some(visitor)) => _ = people.without_uid.insert(spread(visitor + 1_000_000)),
            (None, None) => people.nobody += 1,
        }
    }
    nodes
}

/// As if one node had all connections.
fn on_one_node(members: &[Member]) -> u32 {
    let here: Vec<_> = members.iter().map(|(_, uid, visitor)| (0, *uid, *visitor)).collect();
    nodes(&here)[0].count()
}

fn over_the_wire(crowd: &Crowd) -> Crowd {
    serde_json::from_str(&serde_json::to_string(crowd).unwrap()).unwrap()
}

fn told(members: &[Member]) -> Vec<Crowd> {
    nodes(members).into_iter().map(|people| over_the_wire(&people.into())).collect()
}

proptest! {
    #[test]
    fn listed_people_are_counted_as_on_one_node(
        members in prop::collection::vec((0..4usize, prop::option::of(0..40u64), prop::option::of(0..40u64)), 0..400),
    ) {
        prop_assert_eq!(union(told(&members).iter()), on_one_node(&members));
    }
}

#[test]
fn sketched_people_are_counted_with_an_error_below_5_percent() {
    for (first, shared, few) in [(0, 0, 0), (1_000_000, 5_000, 500), (2_000_000, 12_500, 1), (3_000_000, 25_000, 300)] {
        // Two large nodes that share people, and a small one whose people are listed, all of them at the others as well.
        let mut members: Vec<Member> = (0..25_000).map(|n| (0, Some(first + n), None)).collect();
        members.extend((0..25_000).map(|n| (1, Some(first + 25_000 - shared + n), None)));
        members.extend((0..few).map(|n| (2, Some(first + n * 50), None)));
        members.extend((0..7).map(|_| (3, None, None)));
        let (counted, exact) = (union(told(&members).iter()), on_one_node(&members));
        let error = (f64::from(counted) - f64::from(exact)).abs() / f64::from(exact);
        assert!(error < 0.05, "{counted} for {exact}");
    }
}

#[test]
fn one_node_alone_has_its_exact_number() {
    let members: Vec<Member> =
        (0..50_000).map(|n| (2, Some(n), Some(n))).chain([(2, None, None), (2, None, Some(60_000))]).collect();
    assert_eq!(union(told(&members).iter()), 50_002);
}

#[test]
fn people_are_listed_up_to_1024() {
    for (people, is_listed) in [(1024, true), (1025, false)] {
        let members: Vec<Member> = (0..people).map(|n| (0, Some(n), None)).collect();
        assert_eq!(told(&members)[0].sketch.is_none(), is_listed, "{people}");
    }
}

#[test]
fn the_same_people_have_the_same_crowd_and_a_bounded_size() {
    let members: Vec<Member> = (0..50_000).map(|n| (0, Some(n), Some(n))).collect();
    let backwards: Vec<Member> = members.iter().rev().copied().collect();
    assert_eq!(told(&members)[0], told(&backwards)[0]);
    let listed: Vec<Member> =
        (0..1024).map(|n| (0, Some(n), Some(n))).chain((0..1024).map(|n| (0, Some(n), Some(n + 5000)))).collect();
    for (members, bytes) in [(members, 4_300), (listed, 33_000)] {
        let text = serde_json::to_string(&told(&members)[0]).unwrap();
        assert!(text.len() < bytes, "{}", text.len());
    }
}

#[test]
fn staff_is_named_beside_a_sketch() {
    let mut people = nodes(&(0..2000).map(|n| (0, Some(n), None)).collect::<Vec<_>>()).remove(0);
    people.staff = vec![spread(5), spread(5), spread(9)];
    let crowd = over_the_wire(&people.into());
    assert!(crowd.has(spread(5)) && crowd.has(spread(9)) && !crowd.has(spread(6)));
    assert_eq!(crowd.uids.0.len(), 2);
}

#[test]
fn unknown_fields_are_passed_over_and_bad_ones_refused() {
    let crowd: Crowd = serde_json::from_str(r#"{"count":3,"nobody":3,"colour":"red"}"#).unwrap();
    assert_eq!(crowd.count, 3);
    for bad in [r#"{"uids":"AAAA"}"#, r#"{"uids":"?"}"#, r#"{"sketch":"AAAA"}"#, r#"{"count":-1}"#] {
        assert!(serde_json::from_str::<Crowd>(bad).is_err(), "{bad}");
    }
}
