//! Answers of several nodes, and the order of a batch.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json, value::to_raw_value};
use std::collections::BTreeSet;

fn merged(by: Merge, answers: &[Value]) -> Value {
    let answers: Vec<_> = answers.iter().map(|answer| to_raw_value(answer).unwrap()).collect();
    let answers: Vec<&RawValue> = answers.iter().map(AsRef::as_ref).collect();
    serde_json::to_value(by.merge(&answers).unwrap()).unwrap()
}

#[test]
fn numbers_are_added_and_lists_joined_in_the_order_of_the_nodes() {
    assert_eq!(merged(Merge::Sum, &[json!(2), json!(0), json!(40)]), 42);
    assert_eq!(merged(Merge::List, &[json!(["b"]), json!([]), json!(["a", "b"])]), json!(["b", "a", "b"]));
    assert_eq!(merged(Merge::Union, &[json!(["b", "a"]), json!(["c", "a"])]), json!(["b", "a", "c"]));
    assert_eq!(merged(Merge::Any, &[json!(false), json!(true)]), true);
    assert_eq!(merged(Merge::Any, &[json!(false), json!(false)]), false);
}

#[test]
fn objects_are_merged_by_key() {
    let delivered = |to, queued, slow| json!({"to": to, "queued": queued, "slow": slow});
    assert_eq!(merged(Merge::Each(&Merge::Sum), &[delivered(300, 2, 0), delivered(12, 0, 1)]), delivered(312, 2, 1));
    let lists = [json!({"1": ["a"], "2": []}), json!({"1": ["b"], "3": ["c"]})];
    assert_eq!(merged(Merge::Each(&Merge::List), &lists), json!({"1": ["a", "b"], "2": [], "3": ["c"]}));
    assert_eq!(
        merged(Merge::Each(&Merge::Any), &[json!({"u": false, "v": true}), json!({"u": true, "v": false})]),
        json!({"u": true, "v": true})
    );
    assert_eq!(
        merged(Merge::Each(&Merge::First), &[json!({"c1": {"a": 1}}), json!({"c2": {}})]),
        json!({"c1": {"a": 1}, "c2": {}})
    );
}

#[test]
fn a_uid_on_two_nodes_counts_once() {
    assert_eq!(merged(Merge::Count { of: "getAllUidList", by: &Merge::Union }, &[json!(["ming", "hong"]), json!(["ming"])]), 2);
    let groups = [json!({"1": ["ming"], "2": []}), json!({"1": ["ming", "hong"]})];
    assert_eq!(merged(Merge::Count { of: "x", by: &Merge::Each(&Merge::Union) }, &groups), json!({"1": 2, "2": 0}));
}

#[test]
fn one_answer_is_itself_and_a_wrong_one_is_an_error() {
    let session = json!({"7f0000010b5400000001": {"name": "阿明", "n": 1.0, "list": [1, {"x": null}]}});
    assert_eq!(merged(Merge::Each(&Merge::First), std::slice::from_ref(&session)), session);
    for (by, wrong) in
        [(Merge::Sum, json!("1")), (Merge::Sum, json!(-1)), (Merge::List, json!({})), (Merge::Each(&Merge::Sum), json!([1]))]
    {
        let wrong = to_raw_value(&wrong).unwrap();
        assert!(by.merge(&[&wrong]).is_err(), "{by:?} {wrong}");
    }
}

#[test]
fn a_yes_decides_and_nothing_else_does() {
    assert!(Merge::Any.is_decided_by("true"));
    assert!(!Merge::Any.is_decided_by("false") && !Merge::Sum.is_decided_by("1"));
}

#[test]
fn calls_to_all_wait_for_calls_to_one_node_and_the_other_way_round() {
    use Way::{All, Here, Long, Node};
    let check = |ways: &[Way], expected: &[(usize, usize)]| {
        let parts: Vec<_> = parts(ways).iter().map(|part| (part.start, part.end)).collect();
        assert_eq!(parts, expected, "{ways:?}");
    };
    check(&[], &[(0, 0)]);
    check(&[Here, Here], &[(0, 2)]);
    check(&[Node, Node, Here, Node], &[(0, 4)]);
    check(&[All, Here, All], &[(0, 3)]);
    check(&[Here, Node, All, Here, Node], &[(0, 2), (2, 4), (4, 5)]);
    check(&[All, Long, Long, Here, All, All], &[(0, 1), (1, 2), (2, 4), (4, 6)]);
}

proptest! {
    #[test]
    fn the_union_has_each_value_once(lists in prop::collection::vec(prop::collection::vec("[a-d\"\\\\é]{0,2}", 0..6), 0..4)) {
        let all: BTreeSet<&String> = lists.iter().flatten().collect();
        let union = merged(Merge::Union, &lists.iter().map(|list| json!(list)).collect::<Vec<_>>());
        let got: Vec<&str> = union.as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
        prop_assert_eq!(got.len(), all.len());
        prop_assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), all.into_iter().map(String::as_str).collect());
    }

    #[test]
    fn parts_keep_every_call_in_its_order(ways in prop::collection::vec(prop::sample::select(vec![Way::Here, Way::Node, Way::All, Way::Long]), 0..20)) {
        let parts = parts(&ways);
        let all: Vec<usize> = parts.iter().cloned().flatten().collect();
        prop_assert_eq!(all, (0..ways.len()).collect::<Vec<_>>());
        for part in parts {
            let of_part = &ways[part];
            let others: Vec<_> = of_part.iter().filter(|way| **way != Way::Here).collect();
            prop_assert!(others.windows(2).all(|pair| pair[0] == pair[1] && *pair[0] != Way::Long), "{of_part:?}");
        }
    }
}
