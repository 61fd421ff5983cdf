//! `serialize`: appends values to a text.

use super::{Key, float};

/// A text that values are appended to. After [`Serializer::array`] follow its entries, then [`Serializer::end`].
pub struct Serializer {
    text: Vec<u8>,
    max_bytes: usize,
    is_cut: bool,
}

impl Default for Serializer {
    /// A text without a bound.
    fn default() -> Self {
        Self::bounded(usize::MAX)
    }
}

impl Serializer {
    /// A text of `max_bytes` at most. Once a value did not fit, nothing is appended any more.
    pub fn bounded(max_bytes: usize) -> Self {
        Self { text: Vec::new(), max_bytes, is_cut: false }
    }

    /// Returns the text; `None` if a value did not fit into its bound.
    pub fn finish(self) -> Option<Vec<u8>> {
        (!self.is_cut).then_some(self.text)
    }

    /// Returns the text, which is incomplete if it was bounded.
    pub fn into_bytes(self) -> Vec<u8> {
        self.text
    }

    /// Bytes of the text.
    pub fn written(&self) -> usize {
        self.text.len()
    }

    /// Appends a null.
    pub fn null(&mut self) {
        self.raw(b"N;");
    }

    /// Appends a boolean.
    pub fn bool(&mut self, value: bool) {
        self.raw(if value { b"b:1;" } else { b"b:0;" });
    }

    /// Appends an integer.
    pub fn int(&mut self, value: i64) {
        self.raw(b"i:");
        self.number(value);
        self.raw(b";");
    }

    /// Appends a float.
    pub fn float(&mut self, value: f64) {
        let mut text = b"d:".to_vec();
        float::write(value, 'E', &mut text);
        text.push(b';');
        self.raw(&text);
    }

    /// Appends a string, of any bytes.
    pub fn text(&mut self, bytes: &[u8]) {
        self.raw(b"s:");
        self.quoted(bytes);
        self.raw(b";");
    }

    /// Appends the key of an array or the name of a property.
    pub fn key(&mut self, key: Key<'_>) {
        match key {
            Key::Int(number) => self.int(number),
            Key::Text(text) => self.text(text),
        }
    }

    /// Starts an array. The caller appends `len` keys with their values, then [`Serializer::end`].
    pub fn array(&mut self, len: usize) {
        self.raw(b"a:");
        self.number(len as i64);
        self.raw(b":{");
    }

    /// Starts an object. The caller appends `len` names with their values, then [`Serializer::end`].
    pub fn object(&mut self, class: &[u8], len: usize) {
        self.raw(b"O:");
        self.quoted(class);
        self.raw(b":");
        self.number(len as i64);
        self.raw(b":{");
    }

    /// Ends an array or an object.
    pub fn end(&mut self) {
        self.raw(b"}");
    }

    /// Appends an array of integers with the keys 0, 1, 2 and so on.
    pub fn list(&mut self, values: impl ExactSizeIterator<Item = i64>) {
        self.array(values.len());
        for (at, value) in values.enumerate() {
            self.int(at as i64);
            self.int(value);
        }
        self.end();
    }

    /// Appends a reference to the value with this number in the order of writing: `R` for a reference, `r` for the same object.
    pub fn reference(&mut self, kind: u8, number: usize) {
        self.raw(&[kind, b':']);
        self.number(number as i64);
        self.raw(b";");
    }

    /// Appends text that is serialized already.
    pub fn raw(&mut self, text: &[u8]) {
        self.is_cut |= self.text.len().saturating_add(text.len()) > self.max_bytes;
        if !self.is_cut {
            self.text.extend_from_slice(text);
        }
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
