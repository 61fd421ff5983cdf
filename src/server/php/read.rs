//! `unserialize`: a text read into a [`Document`], whose strings are the text's own bytes.

use super::Key;
use std::collections::HashMap;
use std::fmt;

/// Arrays within arrays, as deep as `json_encode` goes; PHP itself reads deeper.
pub const MAX_DEPTH: usize = 512;

/// A place in a document.
pub type NodeId = u32;

#[derive(Debug)]
pub enum Node<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a [u8]),
    /// No key twice.
    Array(Vec<(Key<'a>, NodeId)>),
    Object {
        class: &'a [u8],
        /// Names as they stand there: those of private and protected properties begin with a NUL.
        properties: Vec<(Key<'a>, NodeId)>,
    },
    /// An enumeration's case (`E:`), or an object in words of its own (`C:`): its whole text.
    Opaque(&'a [u8]),
    /// `R:`: another name for a value.
    Reference(NodeId),
    /// `r:`: the same object once more.
    SameObject(NodeId),
}

/// A value and everything in it. The root is at place 0.
#[derive(Debug)]
pub struct Document<'a> {
    nodes: Vec<Node<'a>>,
    /// Whether a `Reference` is made to what stands here, so that it is one of several names itself.
    referenced: Vec<bool>,
}

/// The text is no value; where it ceased to be one, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnserializeError {
    pub at: usize,
}

impl fmt::Display for UnserializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no serialized value: byte {}", self.at)
    }
}

impl std::error::Error for UnserializeError {}

impl<'a> Document<'a> {
    /// What follows the first value is not looked at, as PHP does it.
    pub fn read(text: &'a [u8]) -> Result<Self, UnserializeError> {
        let mut reader = Reader { text, at: 0, nodes: Vec::new(), referenced: Vec::new(), numbered: Vec::new() };
        match reader.value(0) {
            Some(_) => Ok(Self { nodes: reader.nodes, referenced: reader.referenced }),
            None => Err(UnserializeError { at: reader.at }),
        }
    }

    pub fn root(&self) -> &Node<'a> {
        self.at(0)
    }

    /// What is at a place, through references.
    pub fn at(&self, place: NodeId) -> &Node<'a> {
        &self.nodes[self.target(place) as usize]
    }

    pub(super) fn here(&self, place: NodeId) -> &Node<'a> {
        &self.nodes[place as usize]
    }

    /// The place where the value itself stands. Names are of values, never of names.
    pub(super) fn target(&self, place: NodeId) -> NodeId {
        match self.nodes[place as usize] {
            Node::Reference(to) | Node::SameObject(to) => to,
            _ => place,
        }
    }

    /// Is this one of several names of one value?
    pub(super) fn is_shared(&self, place: NodeId) -> bool {
        matches!(self.here(place), Node::Reference(_)) || self.referenced[place as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    nodes: Vec<Node<'a>>,
    referenced: Vec<bool>,
    /// What `R:` and `r:` count: every value in the order of reading, but not `R:` itself.
    numbered: Vec<NodeId>,
}

/// `None` everywhere: the text is no value at `at`.
impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<NodeId> {
        let kind = self.byte()?;
        let place = NodeId::try_from(self.nodes.len()).ok()?;
        // An object is known as one while it is being read.
        self.nodes.push(if matches!(kind, b'O' | b'C' | b'E') { Node::Opaque(b"") } else { Node::Null });
        self.referenced.push(false);
        if kind != b'R' {
            self.numbered.push(place);
        }
        if kind == b'N' {
            self.word(b";")?;
            return Some(place);
        }
        let began = self.at - 1;
        self.word(b":")?;
        let node = match kind {
            b'b' => match self.until(b';')? {
                b"0" => Node::Bool(false),
                b"1" => Node::Bool(true),
                _ => return None,
            },
            b'i' => Node::Int(integer(self.until(b';')?)?),
            b'd' => Node::Float(float(self.until(b';')?)?),
            b's' => {
                let text = self.quoted()?;
                self.word(b";")?;
                Node::Text(text)
            }
            b'a' => {
                let mut entries = Vec::new();
                for _ in 0..self.open(depth)? {
                    let key = self.key()?;
                    entries.push((key, self.value(depth + 1)?));
                }
                self.word(b"}")?;
                Node::Array(each_once(entries))
            }
            b'O' => {
                let class = self.quoted()?;
                self.word(b":")?;
                let mut properties = Vec::new();
                for _ in 0..self.open(depth)? {
                    let key = self.name()?;
                    properties.push((key, self.value(depth + 1)?));
                }
                self.word(b"}")?;
                Node::Object { class, properties }
            }
            b'C' => {
                self.quoted()?;
                self.word(b":")?;
                let len = self.length(b":")?;
                self.word(b"{")?;
                self.take(len)?;
                self.word(b"}")?;
                Node::Opaque(&self.text[began..self.at])
            }
            b'E' => {
                self.quoted()?;
                self.word(b";")?;
                Node::Opaque(&self.text[began..self.at])
            }
            b'R' | b'r' => {
                let number = self.length(b";")?;
                let named = *self.numbered.get(number.checked_sub(1)?)?;
                let meant = match self.nodes[named as usize] {
                    Node::Reference(to) | Node::SameObject(to) => to,
                    _ => named,
                };
                // Nothing is itself; and only objects are the same once more.
                let is_object = matches!(self.nodes[meant as usize], Node::Object { .. } | Node::Opaque(_));
                if meant == place || (kind == b'r' && !is_object) {
                    return None;
                }
                if kind == b'R' {
                    self.referenced[named as usize] = true;
                    Node::Reference(meant)
                } else {
                    Node::SameObject(meant)
                }
            }
            _ => return None,
        };
        self.nodes[place as usize] = node;
        Some(place)
    }

    /// An array's key: a text that is a number counts as one.
    fn key(&mut self) -> Option<Key<'a>> {
        Some(match self.name()? {
            Key::Text(text) => Key::of(text),
            number => number,
        })
    }

    fn name(&mut self) -> Option<Key<'a>> {
        let kind = self.byte()?;
        self.word(b":")?;
        match kind {
            b'i' => Some(Key::Int(integer(self.until(b';')?)?)),
            b's' => {
                let text = self.quoted()?;
                self.word(b";")?;
                Some(Key::Text(text))
            }
            _ => None,
        }
    }

    /// The head of what has entries: how many. The number is only believed as they come.
    fn open(&mut self, depth: usize) -> Option<usize> {
        let count = self.length(b":")?;
        self.word(b"{")?;
        (depth < MAX_DEPTH).then_some(count)
    }

    /// `3:"abc"`
    fn quoted(&mut self) -> Option<&'a [u8]> {
        let len = self.length(b":")?;
        self.word(b"\"")?;
        let text = self.take(len)?;
        self.word(b"\"")?;
        Some(text)
    }

    fn length(&mut self, end: &[u8; 1]) -> Option<usize> {
        let digits = self.until(end[0])?;
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
    }

    /// Up to `end`, which is passed. Numbers are short: nothing is searched far.
    fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        const LONGEST: usize = 400;
        let rest = &self.text[self.at..];
        let len = rest.iter().take(LONGEST).position(|byte| *byte == end)?;
        self.at += len + 1;
        Some(&rest[..len])
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.text.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }

    fn word(&mut self, word: &[u8; 1]) -> Option<()> {
        (self.take(1)? == word).then_some(())
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }
}

/// Of two values under one key the last stays, in the place of the first.
fn each_once<'a>(entries: Vec<(Key<'a>, NodeId)>) -> Vec<(Key<'a>, NodeId)> {
    if entries.iter().enumerate().all(|(at, (key, _))| *key == Key::Int(at as i64)) {
        return entries;
    }
    let (mut places, mut once) = (HashMap::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
    for (key, place) in entries {
        let at = *places.entry(key).or_insert(once.len());
        match once.get_mut(at) {
            Some((_, present)) => *present = place,
            None => once.push((key, place)),
        }
    }
    once
}

/// A sign and digits; what is too large is the largest there is.
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
        // Rust reads more words than these: `inf`, `infinity`, `nan`.
        _ if text.iter().any(|byte| byte.is_ascii_alphabetic() && !byte.eq_ignore_ascii_case(&b'e')) => None,
        _ => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_read(text: &str) -> bool {
        Document::read(text.as_bytes()).is_ok()
    }

    #[test]
    fn what_php_reads_is_read() {
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
    fn what_php_does_not_read_is_not() {
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
    fn keys_that_are_numbers_are_numbers_and_the_last_of_two_stays_in_the_place_of_the_first() {
        let document = Document::read(b"a:3:{s:1:\"5\";i:1;s:2:\"05\";i:2;i:5;i:3;}").unwrap();
        let Node::Array(entries) = document.root() else { panic!() };
        let entries: Vec<_> = entries.iter().map(|(key, place)| (*key, document.at(*place))).collect();
        assert!(matches!(entries[..], [(Key::Int(5), Node::Int(3)), (Key::Text(b"05"), Node::Int(2))]), "{entries:?}");
    }
}
