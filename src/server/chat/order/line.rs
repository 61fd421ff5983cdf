//! One of the two numberings of a room: the next number, and the pushes that came before their turn.

use super::item::Item;
use std::collections::BTreeMap;

/// A numbering. It is placed when its next number is known.
#[derive(Default)]
pub(super) struct Line {
    next: Option<u64>,
    /// The first number since it was placed.
    start: u64,
    /// The highest number that is known to exist.
    known: u64,
    held: BTreeMap<u64, Item>,
}

impl Line {
    /// Places it after a number, or before the first one that is held. Does nothing if it is placed.
    pub(super) fn place(&mut self, after: u64) {
        if self.next.is_none() {
            let first = self.held.first_key_value().map_or(after + 1, |(first, _)| (after + 1).min(*first));
            (self.next, self.start) = (Some(first), first);
            self.known = self.known.max(after);
        }
    }

    /// Whether a reader whose window ends with this number misses nothing that was passed before the line was placed.
    pub(super) fn covers(&self, newest: u64) -> bool {
        self.next.is_none() || newest + 1 >= self.start
    }

    /// The number before the next.
    pub(super) fn last(&self) -> Option<u64> {
        self.next.map(|next| next - 1)
    }

    /// Whether a number was passed: delivered, or told as skipped.
    pub(super) fn has_passed(&self, number: u64) -> bool {
        self.next.is_some_and(|next| number < next)
    }

    /// Numbers that are known to exist and were not passed.
    pub(super) fn behind(&self) -> u64 {
        self.next.map_or(0, |next| (self.known + 1).saturating_sub(next))
    }

    /// Notes that a number exists.
    pub(super) fn know(&mut self, number: u64) {
        self.known = self.known.max(number);
    }

    /// Takes an item: returns it if it is the next one, holds an early one, and drops a late one. The flag says whether it is new.
    pub(super) fn take(&mut self, item: Item) -> (Option<Item>, bool) {
        self.know(item.number);
        if self.next == Some(item.number) && self.held.is_empty() {
            self.next = Some(item.number + 1);
            return (Some(item), true);
        }
        if self.has_passed(item.number) || self.held.contains_key(&item.number) {
            return (None, false);
        }
        self.held.insert(item.number, item);
        (None, true)
    }

    /// Holds an item, also the next one: it waits for more than its number.
    pub(super) fn hold(&mut self, item: Item) -> bool {
        self.know(item.number);
        let is_new = !self.has_passed(item.number) && !self.held.contains_key(&item.number);
        if is_new {
            self.held.insert(item.number, item);
        }
        is_new
    }

    /// Takes the next item out of the hold, if it is there and `may` it.
    pub(super) fn pop(&mut self, may: impl FnOnce(&Item) -> bool) -> Option<Item> {
        let first = self.held.first_entry()?;
        if Some(*first.key()) != self.next || !may(first.get()) {
            return None;
        }
        let item = first.remove();
        self.next = Some(item.number + 1);
        Some(item)
    }

    /// The first item that is held.
    pub(super) fn first(&self) -> Option<&Item> {
        self.held.first_key_value().map(|(_, item)| item)
    }

    /// The highest number that is held; 0 without one.
    pub(super) fn highest(&self) -> u64 {
        self.held.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// Passes the numbers below `number`, as far as none of them is held. Returns the first and the last of them.
    pub(super) fn skip_to(&mut self, number: u64) -> Option<(u64, u64)> {
        let next = self.next?;
        let to = self.held.first_key_value().map_or(number, |(first, _)| number.min(*first));
        if to <= next {
            return None;
        }
        self.next = Some(to);
        Some((next, to - 1))
    }

    /// Drops the item with the highest number.
    pub(super) fn drop_highest(&mut self) -> Option<Item> {
        self.held.pop_last().map(|(_, item)| item)
    }

    /// Drops the items between two numbers, the first excluded: the store has none. The other items alone are then known to exist beyond it.
    pub(super) fn drop_false(&mut self, newest: u64, upto: u64) -> Vec<Item> {
        let numbers: Vec<u64> = match newest < upto {
            true => self.held.range(newest + 1..=upto).map(|(number, _)| *number).collect(),
            false => Vec::new(),
        };
        let dropped: Vec<Item> = numbers.iter().filter_map(|number| self.held.remove(number)).collect();
        if !dropped.is_empty() {
            self.known = newest.max(self.highest());
        }
        dropped
    }

    /// The number of items that are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
}
