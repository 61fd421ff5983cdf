//! `serialize`: values written one after the other into bytes.

use super::{Key, float};

/// Writes values; an array's entries follow its head, and its end follows them.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Bytes so far.
    pub fn written(&self) -> usize {
        self.0.len()
    }

    pub fn null(&mut self) {
        self.raw(b"N;");
    }

    pub fn bool(&mut self, value: bool) {
        self.raw(if value { b"b:1;" } else { b"b:0;" });
    }

    pub fn int(&mut self, value: i64) {
        self.raw(b"i:");
        self.number(value);
        self.raw(b";");
    }

    pub fn float(&mut self, value: f64) {
        self.raw(b"d:");
        float::write(value, 'E', &mut self.0);
        self.raw(b";");
    }

    pub fn text(&mut self, bytes: &[u8]) {
        self.raw(b"s:");
        self.quoted(bytes);
        self.raw(b";");
    }

    pub fn key(&mut self, key: Key<'_>) {
        match key {
            Key::Int(number) => self.int(number),
            Key::Text(text) => self.text(text),
        }
    }

    /// `len` entries follow, each a key and a value, and then [`Writer::end`].
    pub fn array(&mut self, len: usize) {
        self.raw(b"a:");
        self.number(len as i64);
        self.raw(b":{");
    }

    /// The same of an object's properties.
    pub fn object(&mut self, class: &[u8], len: usize) {
        self.raw(b"O:");
        self.quoted(class);
        self.raw(b":");
        self.number(len as i64);
        self.raw(b":{");
    }

    pub fn end(&mut self) {
        self.raw(b"}");
    }

    /// 0, 1, 2 … and these values.
    pub fn list(&mut self, values: impl ExactSizeIterator<Item = i64>) {
        self.array(values.len());
        for (place, value) in values.enumerate() {
            self.int(place as i64);
            self.int(value);
        }
        self.end();
    }

    /// The value with this number in the order of writing, again: `R` as a reference, `r` as the same object.
    pub fn again(&mut self, kind: u8, number: usize) {
        self.raw(&[kind, b':']);
        self.number(number as i64);
        self.raw(b";");
    }

    /// What is `serialize`'s text already.
    pub fn raw(&mut self, text: &[u8]) {
        self.0.extend_from_slice(text);
    }

    fn quoted(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as i64);
        self.raw(b":\"");
        self.raw(bytes);
        self.raw(b"\"");
    }

    fn number(&mut self, value: i64) {
        self.raw(itoa::Buffer::new().format(value).as_bytes());
    }
}
