//! Where a method is carried out, and how the answers of several nodes become one. Pure: the nodes are asked elsewhere.

use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

/// The nodes that carry a method out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// This one: the store has the answer, or its change reaches the others by itself.
    Here,
    /// The node of the parameter `client_id`.
    Client,
    /// All nodes; their answers are merged.
    Everyone(Merge),
}

/// How the answers of the nodes become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Merge {
    /// Numbers are added.
    Sum,
    /// True if one is true.
    Any,
    /// Lists are joined.
    List,
    /// Lists are joined; of equal values the first is kept.
    Union,
    /// The first answer is taken: no two nodes have one.
    First,
    /// Objects: the values under one key are merged.
    Each(&'static Self),
    /// The nodes are asked for lists by another method, and the merged lists are counted: what two nodes have counts once.
    Count {
        /// The method that returns the lists, with the same parameters.
        of: &'static str,
        /// How its answers are merged.
        by: &'static Self,
    },
}

impl Merge {
    /// Whether no further answer can change the result.
    pub(super) fn is_decided_by(self, answer: &str) -> bool {
        self == Self::Any && answer == "true"
    }

    /// Merges answers in their order. Fails if one has another form.
    pub(super) fn merge<'a>(self, answers: &[&'a RawValue]) -> serde_json::Result<Merged<'a>> {
        Ok(match self {
            Self::Sum => Merged::Number(parsed::<u64>(answers)?.into_iter().sum()),
            Self::Any => Merged::Flag(parsed::<bool>(answers)?.contains(&true)),
            Self::First => answers.first().map_or(Merged::List(Vec::new()), |first| Merged::Raw(first)),
            Self::List => Merged::List(parsed::<Vec<&RawValue>>(answers)?.concat()),
            Self::Union => {
                let (mut all, mut seen) = (parsed::<Vec<&RawValue>>(answers)?.concat(), HashSet::new());
                // All nodes write a value as the same text.
                all.retain(|value| seen.insert(value.get()));
                Merged::List(all)
            }
            Self::Each(by) => {
                let mut keys = BTreeMap::<String, Vec<&RawValue>>::new();
                for (key, value) in parsed::<BTreeMap<String, &RawValue>>(answers)?.into_iter().flatten() {
                    keys.entry(key).or_default().push(value);
                }
                let merged = keys.into_iter().map(|(key, values)| Ok((key, by.merge(&values)?)));
                Merged::Object(merged.collect::<serde_json::Result<_>>()?)
            }
            Self::Count { by, .. } => by.merge(answers)?.counted(),
        })
    }
}

fn parsed<'a, T: serde::Deserialize<'a>>(answers: &[&'a RawValue]) -> serde_json::Result<Vec<T>> {
    answers.iter().map(|answer| serde_json::from_str(answer.get())).collect()
}

/// The merged answer. It borrows the texts of the answers.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Merged<'a> {
    /// A sum, or a count.
    Number(u64),
    /// Whether one was true.
    Flag(bool),
    /// Values of lists.
    List(Vec<&'a RawValue>),
    /// Merged values by key.
    Object(BTreeMap<String, Self>),
    /// A value as its node wrote it.
    Raw(&'a RawValue),
}

impl Merged<'_> {
    /// Puts the length of each list in its place.
    fn counted(self) -> Self {
        match self {
            Self::List(values) => Self::Number(values.len() as u64),
            Self::Object(values) => Self::Object(values.into_iter().map(|(key, value)| (key, value.counted())).collect()),
            other => other,
        }
    }
}

/// The way of one call of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// It stays on this node.
    Here,
    /// To one other node.
    Node,
    /// To all nodes.
    All,
    /// To one node or all, in several messages: later calls may overtake it.
    Long,
}

/// Divides the calls of a batch, so that each part starts when the one before has ended. Calls to one node and calls to all may overtake
/// each other on their way: a part has those of one kind only, or a single long one.
pub(super) fn parts(ways: &[Way]) -> Vec<Range<usize>> {
    let (mut parts, mut start, mut kind) = (Vec::new(), 0, Way::Here);
    for (place, way) in ways.iter().enumerate().filter(|(_, way)| **way != Way::Here) {
        if kind != Way::Here && (kind != *way || kind == Way::Long) {
            parts.push(start..place);
            start = place;
        }
        kind = *way;
    }
    parts.push(start..ways.len());
    parts
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
