//! Random acts of removal against a model: no read has a removed text, and an undo brings back exactly the rows of its act.

use super::moderation::{act, purge, removal, room, texts};
use super::{add_rooms, message, seqs};
use crate::support::Place;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use roomcast::domain::id::Seq;
use roomcast::server::storage::Store;
use roomcast::server::storage::moderation::{ActQueries, PurgeRow, PurgeState};
use std::ops::RangeInclusive;
use tokio::runtime::Runtime;
use uuid::Uuid;

const PEOPLE: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Step {
    /// Messages of these people.
    Send(Vec<usize>),
    /// Removes these messages, as far as there are so many.
    Remove(Vec<u64>),
    /// Marks a person's messages.
    Purge { person: usize, from: u64, upto: u64 },
    /// Blanks some rows of the oldest open mark.
    Blank(u32),
    /// Takes an act back.
    Undo(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec(0..PEOPLE.len(), 1..6).prop_map(Step::Send),
        3 => prop::collection::vec(1..20_u64, 1..5).prop_map(Step::Remove),
        2 => (0..PEOPLE.len(), 1..20_u64, 0..10_u64).prop_map(|(person, from, more)| Step::Purge { person, from, upto: from + more }),
        3 => (1..4_u32).prop_map(Step::Blank),
        3 => any::<prop::sample::Index>().prop_map(Step::Undo),
    ]
}

/// A message: its author, the act that blanked its row, and the marks over it are known apart.
struct Row {
    person: usize,
    removed_by: Option<usize>,
}

struct Act {
    id: Uuid,
    purge: Option<PurgeRow>,
    is_undone: bool,
}

#[derive(Default)]
struct Model {
    rows: Vec<Row>,
    acts: Vec<Act>,
}

impl Model {
    fn next_rev(&self) -> u64 {
        self.acts.len() as u64 + 1
    }

    /// The open marks over a message.
    fn is_marked(&self, seq: u64) -> bool {
        let person = PEOPLE[self.rows[seq as usize - 1].person];
        self.acts.iter().filter_map(|act| act.purge.as_ref()).any(|purge| {
            let is_in = (purge.from.0..=purge.upto.0).contains(&seq);
            purge.state == PurgeState::Blanking && purge.uid.as_str() == person && is_in
        })
    }

    fn texts(&self) -> Vec<String> {
        let text = |(row, seq): (&Row, u64)| {
            if row.removed_by.is_some() || self.is_marked(seq) { String::new() } else { seq.to_string() }
        };
        self.rows.iter().zip(1..).map(text).collect()
    }
}

async fn take(store: &Store, id: &str, model: &mut Model, step: Step) {
    match step {
        Step::Send(people) => send(store, id, model, people).await,
        Step::Remove(wanted) => remove(store, id, model, wanted).await,
        Step::Purge { person, from, upto } => mark(store, id, model, person, from..=upto).await,
        Step::Blank(limit) => blank(store, id, model, limit).await,
        Step::Undo(index) => undo(store, id, model, index).await,
    }
    assert_eq!(texts(store, id).await, model.texts());
}

async fn send(store: &Store, id: &str, model: &mut Model, people: Vec<usize>) {
    let first = model.rows.len() as u64 + 1;
    let batch = people.iter().zip(first..).map(|(person, seq)| message(id, PEOPLE[*person], &seq.to_string(), None));
    seqs(&store.append(batch.collect(), 0).await.unwrap());
    model.rows.extend(people.into_iter().map(|person| Row { person, removed_by: None }));
}

async fn remove(store: &Store, id: &str, model: &mut Model, wanted: Vec<u64>) {
    let (action, number) = (Uuid::now_v7(), model.acts.len());
    let mut expected: Vec<u64> = wanted.iter().copied().filter(|seq| *seq <= model.rows.len() as u64).collect();
    expected.retain(|seq| model.rows[*seq as usize - 1].removed_by.is_none() && !model.is_marked(*seq));
    expected.sort_unstable();
    expected.dedup();
    let mut removing = act(store, id).await;
    let wanted: Vec<_> = wanted.into_iter().map(Seq).collect();
    let removed = removing.remove(removal(action, model.next_rev()), &wanted).await.unwrap();
    removing.commit().await.unwrap();
    assert_eq!(removed.iter().map(|seq| seq.0).collect::<Vec<_>>(), expected);
    expected.iter().for_each(|seq| model.rows[*seq as usize - 1].removed_by = Some(number));
    model.acts.push(Act { id: action, purge: None, is_undone: false });
}

async fn mark(store: &Store, id: &str, model: &mut Model, person: usize, seqs: RangeInclusive<u64>) {
    let upto = (*seqs.end()).min(model.rows.len() as u64);
    let row = PurgeRow { room: room(id), ..purge(Uuid::now_v7(), PEOPLE[person], *seqs.start(), upto, model.next_rev()) };
    let mut purging = act(store, id).await;
    purging.put_purge(&row).await.unwrap();
    purging.commit().await.unwrap();
    model.acts.push(Act { id: row.action, purge: Some(row), is_undone: false });
}

async fn blank(store: &Store, id: &str, model: &mut Model, limit: u32) {
    let open = |act: &Act| act.purge.as_ref().is_some_and(|purge| purge.state == PurgeState::Blanking);
    let Some(number) = model.acts.iter().position(open) else { return };
    let row = model.acts[number].purge.clone().unwrap();
    let mut blanking = act(store, id).await;
    let blanked = blanking.blank_next(&row, limit).await.unwrap();
    let stored = blanking.purge(row.action).await.unwrap().unwrap();
    blanking.commit().await.unwrap();
    // A batch looks at `limit` messages of the person, removed ones among them.
    let of_mark = (row.next.0..=row.upto.0).filter(|seq| PEOPLE[model.rows[*seq as usize - 1].person] == row.uid.as_str());
    let looked_at: Vec<_> = of_mark.take(limit as usize).collect();
    let is_left = |seq: &u64| model.rows[*seq as usize - 1].removed_by.is_none();
    let expected: Vec<_> = looked_at.iter().copied().filter(is_left).collect();
    assert_eq!(blanked, expected.len() as u64);
    expected.iter().for_each(|seq| model.rows[*seq as usize - 1].removed_by = Some(number));
    let is_over = looked_at.len() < limit as usize;
    assert_eq!(stored.state, if is_over { PurgeState::Done } else { PurgeState::Blanking });
    model.acts[number].purge = Some(stored);
}

async fn undo(store: &Store, id: &str, model: &mut Model, index: prop::sample::Index) {
    if model.acts.is_empty() {
        return;
    }
    let number = index.index(model.acts.len());
    let undone = &mut model.acts[number];
    if std::mem::replace(&mut undone.is_undone, true) {
        return;
    }
    let mut undoing = act(store, id).await;
    if let Some(purge) = &mut undone.purge {
        purge.state = PurgeState::Done;
        undoing.put_purge(purge).await.unwrap();
    }
    let restored = undoing.restore(undone.id, 500).await.unwrap();
    undoing.commit().await.unwrap();
    let expected: Vec<_> =
        model.rows.iter().zip(1..).filter(|(row, _)| row.removed_by == Some(number)).map(|(_, seq)| seq).collect();
    assert_eq!(restored.iter().map(|message| message.seq.0).collect::<Vec<u64>>(), expected);
    expected.iter().for_each(|seq| model.rows[*seq as usize - 1].removed_by = None);
    let shown: Vec<_> = restored.into_iter().map(|message| message.text).collect();
    let all = model.texts();
    assert_eq!(shown, expected.iter().map(|seq| all[*seq as usize - 1].clone()).collect::<Vec<_>>());
}

fn check(place: &Place, cases: u32) {
    let runtime = Runtime::new().unwrap();
    let store = runtime.block_on(async { Store::open(&place.settings()).await.unwrap() });
    let case = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() });
    let checked = runner.run(&prop::collection::vec(step(), 1..30), |steps| {
        case.set(case.get() + 1);
        let id = case.get().to_string();
        runtime.block_on(async {
            add_rooms(&store, &[&id]).await;
            let mut model = Model::default();
            for step in steps {
                take(&store, &id, &mut model, step).await;
            }
        });
        Ok(())
    });
    checked.unwrap();
    runtime.block_on(store.close());
}

#[test]
fn sqlite_removes_and_restores_as_the_model() {
    check(&Place::sqlite(), 60);
}

#[test]
fn postgres_removes_and_restores_as_the_model() {
    if let Some(place) = Place::postgres() {
        check(&place, 25);
    }
}
