//! The parser of `unserialize`. It never panics, and its memory is proportional to the text.

use super::Key;
use super::document::{MAX_DEPTH, Node, NodeId};
use std::collections::HashMap;

/// Reads one value. Every method returns `None` if the text at `at` is not of the expected form.
pub(super) struct Parser<'a> {
    text: &'a [u8],
    /// The offset of the next byte.
    pub at: usize,
    /// The values read so far.
    pub nodes: Vec<Node<'a>>,
    /// Per node: whether a reference points to it.
    pub referenced: Vec<bool>,
    /// The values that `R:` and `r:` count: each value in the order of reading, except `R:` itself.
    numbered: Vec<NodeId>,
}

impl<'a> Parser<'a> {
    /// A reader at the start of the text.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, nodes: Vec::new(), referenced: Vec::new(), numbered: Vec::new() }
    }

    /// Reads a value and all values in it, and returns its node. `depth` counts the arrays and objects around it.
    pub(super) fn value(&mut self, depth: usize) -> Option<NodeId> {
        let start = self.at;
        let kind = self.byte()?;
        let id = NodeId::try_from(self.nodes.len()).ok()?;
        // An object may be referred to while it is being read.
        self.nodes.push(if matches!(kind, b'O' | b'C' | b'E') { Node::Opaque(b"") } else { Node::Null });
        self.referenced.push(false);
        if kind != b'R' {
            self.numbered.push(id);
        }
        if kind == b'N' {
            self.expect_byte(b";")?;
            return Some(id);
        }
        self.expect_byte(b":")?;
        let node = match kind {
            b'b' | b'i' | b'd' | b's' => self.scalar(kind)?,
            b'a' => Node::Array(each_once(self.entries(depth, Self::key)?)),
            b'O' => {
                let class = self.quoted()?;
                self.expect_byte(b":")?;
                Node::Object { class, properties: self.entries(depth, Self::name)? }
            }
            b'C' | b'E' => self.opaque(kind, start)?,
            b'R' | b'r' => self.reference(kind, id)?,
            _ => return None,
        };
        self.nodes[id as usize] = node;
        Some(id)
    }

    /// A boolean, an integer, a float or a string, behind `b:`, `i:`, `d:` or `s:`.
    fn scalar(&mut self, kind: u8) -> Option<Node<'a>> {
        if kind == b's' {
            let text = self.quoted()?;
            self.expect_byte(b";")?;
            return Some(Node::Text(text));
        }
        let text = self.until(b';')?;
        match (kind, text) {
            (b'b', b"0") => Some(Node::Bool(false)),
            (b'b', b"1") => Some(Node::Bool(true)),
            (b'i', text) => integer(text).map(Node::Int),
            (b'd', text) => float(text).map(Node::Float),
            _ => None,
        }
    }

    /// `2:{`, as many keys and values, and `}`.
    fn entries(&mut self, depth: usize, key: fn(&mut Self) -> Option<Key<'a>>) -> Option<Vec<(Key<'a>, NodeId)>> {
        let count = self.length(b":")?;
        self.expect_byte(b"{")?;
        if depth >= MAX_DEPTH {
            return None;
        }
        // `count` is not trusted: memory is allocated per entry that is read.
        let mut entries = Vec::new();
        for _ in 0..count {
            let key = key(self)?;
            entries.push((key, self.value(depth + 1)?));
        }
        self.expect_byte(b"}")?;
        Some(entries)
    }

    /// An enumeration's case, or an object with a serialization of its own: its text from `start` on.
    fn opaque(&mut self, kind: u8, start: usize) -> Option<Node<'a>> {
        self.quoted()?;
        if kind == b'E' {
            self.expect_byte(b";")?;
        } else {
            self.expect_byte(b":")?;
            let len = self.length(b":")?;
            self.expect_byte(b"{")?;
            self.take(len)?;
            self.expect_byte(b"}")?;
        }
        Some(Node::Opaque(&self.text[start..self.at]))
    }

    /// The number of a value before, behind `R:` or `r:`.
    fn reference(&mut self, kind: u8, id: NodeId) -> Option<Node<'a>> {
        let number = self.length(b";")?;
        let named = *self.numbered.get(number.checked_sub(1)?)?;
        let target = match self.nodes[named as usize] {
            Node::Reference(to) | Node::SameObject(to) => to,
            _ => named,
        };
        if target == id {
            return None;
        }
        if kind == b'R' {
            self.referenced[named as usize] = true;
            return Some(Node::Reference(target));
        }
        // `r:` is for objects only.
        let is_object = matches!(self.nodes[target as usize], Node::Object { .. } | Node::Opaque(_));
        is_object.then_some(Node::SameObject(target))
    }

    /// The key of an array: a text that is a number counts as one.
    fn key(&mut self) -> Option<Key<'a>> {
        Some(match self.name()? {
            Key::Text(text) => Key::of(text),
            number => number,
        })
    }

    /// The name of a property: a text stays a text.
    fn name(&mut self) -> Option<Key<'a>> {
        let kind = self.byte()?;
        self.expect_byte(b":")?;
        match kind {
            b'i' => Some(Key::Int(integer(self.until(b';')?)?)),
            b's' => {
                let text = self.quoted()?;
                self.expect_byte(b";")?;
                Some(Key::Text(text))
            }
            _ => None,
        }
    }

    /// `3:"abc"`
    fn quoted(&mut self) -> Option<&'a [u8]> {
        let len = self.length(b":")?;
        self.expect_byte(b"\"")?;
        let text = self.take(len)?;
        self.expect_byte(b"\"")?;
        Some(text)
    }

    fn length(&mut self, end: &[u8; 1]) -> Option<usize> {
        let digits = self.until(end[0])?;
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
    }

    /// The text before `end`, which is skipped. Numbers are short, so the search is bounded.
    fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        const LONGEST: usize = 400;
        let rest = &self.text[self.at..];
        let len = rest.iter().take(LONGEST).position(|byte| *byte == end)?;
        self.at += len + 1;
        Some(&rest[..len])
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.text.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(bytes)
    }

    fn expect_byte(&mut self, byte: &[u8; 1]) -> Option<()> {
        (self.take(1)? == byte).then_some(())
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }
}

/// Removes repeated keys: the last value stays, in the place of the first.
fn each_once<'a>(entries: Vec<(Key<'a>, NodeId)>) -> Vec<(Key<'a>, NodeId)> {
    if entries.iter().enumerate().all(|(at, (key, _))| *key == Key::Int(at as i64)) {
        return entries;
    }
    let (mut places, mut once) = (HashMap::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
    for (key, id) in entries {
        let at = *places.entry(key).or_insert(once.len());
        match once.get_mut(at) {
            Some((_, present)) => *present = id,
            None => once.push((key, id)),
        }
    }
    once
}

/// A sign and digits. A number that does not fit becomes the largest or smallest that does.
fn integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse()
        .or_else(|_| {
            let digits = text.trim_start_matches(['+', '-']);
            let is_number = text.len() - digits.len() <= 1 && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            is_number.then_some(if text.starts_with('-') { i64::MIN } else { i64::MAX }).ok_or(())
        })
        .ok()
}

fn float(text: &[u8]) -> Option<f64> {
    match text {
        b"NAN" => Some(f64::NAN),
        b"INF" => Some(f64::INFINITY),
        b"-INF" => Some(f64::NEG_INFINITY),
        // Rust accepts further words: `inf`, `infinity`, `nan`.
        _ if text.iter().any(|byte| byte.is_ascii_alphabetic() && !byte.eq_ignore_ascii_case(&b'e')) => None,
        _ => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Document;
    use super::*;

    fn is_read(text: &str) -> bool {
        Document::read(text.as_bytes()).is_ok()
    }

    #[test]
    fn values_that_php_reads_are_read() {
        for text in [
            "N;",
            "b:0;",
            "b:1;",
            "i:-7;",
            "i:+5;",
            "d:1.5;",
            "d:.5;",
            "d:1e5;",
            "d:-INF;",
            "s:0:\"\";",
            "s:3:\"a\"b\";",
            "a:0:{}",
            "a:0:{}x",
            "a:2:{i:0;R:1;i:1;N;}",
            "O:8:\"stdClass\":1:{s:1:\"x\";r:1;}",
            "C:1:\"C\":5:{a}:;\"}",
            "E:6:\"Suit:H\";",
            "a:2:{i:0;a:0:{}i:1;R:2;}",
            "i:99999999999999999999;",
        ] {
            assert!(is_read(text), "{text}");
        }
    }

    #[test]
    fn values_that_php_rejects_are_rejected() {
        for text in [
            "",
            "N",
            "b:2;",
            "b:01;",
            "i:;",
            "i:-;",
            "i:--5;",
            "i:1",
            "d:;",
            "d:nan;",
            "s:2:\"a\";",
            "s:1:\"ab\";",
            "s:1:\"a\"x;",
            "a:1:{i:0;N;",
            "a:1:{}",
            "a:1:{d:1;N;}",
            "a:-1:{}",
            "R:1;",
            "a:1:{i:0;R:2;}",
            "a:1:{i:0;R:9;}",
            "a:2:{i:0;i:1;i:1;r:2;}",
            "s:99999999999999999999:\"a\";",
            "a:999999999:{",
            "O:1:\"A\":1:{i:0;N;",
            "x:1;",
        ] {
            assert!(!is_read(text), "{text}");
        }
        let nested = |depth| "a:1:{i:0;".repeat(depth) + "N;" + &"}".repeat(depth);
        assert!(is_read(&nested(MAX_DEPTH)) && !is_read(&nested(MAX_DEPTH + 1)));
    }

    #[test]
    fn numeric_keys_are_numbers_and_the_last_of_two_stays_in_the_place_of_the_first() {
        let document = Document::read(b"a:3:{s:1:\"5\";i:1;s:2:\"05\";i:2;i:5;i:3;}").unwrap();
        let Node::Array(entries) = document.root() else { panic!() };
        let entries: Vec<_> = entries.iter().map(|(key, id)| (*key, document.at(*id))).collect();
        assert!(matches!(entries[..], [(Key::Int(5), Node::Int(3)), (Key::Text(b"05"), Node::Int(2))]), "{entries:?}");
    }
}
