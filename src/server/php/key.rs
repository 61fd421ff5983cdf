//! The keys of PHP's arrays. A text that is an integer in PHP's own notation is an integer key.

/// A key. `42` and `"42"` are the same key, `"007"` is another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Key<'a> {
    /// An integer.
    Int(i64),
    /// Any other text, as bytes.
    Text(&'a [u8]),
}

impl<'a> Key<'a> {
    /// Returns the key for a text.
    pub fn of(text: &'a [u8]) -> Self {
        canonical(text).map_or(Self::Text(text), Self::Int)
    }
}

/// Parses `0`, `-5` or `42`: no plus sign, no leading zero, no `-0`, and within the range of an integer.
fn canonical(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let leads_well = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    std::str::from_utf8(text).ok().filter(|_| leads_well)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_as_php_writes_them_are_integer_keys() {
        for (text, number) in
            [("0", 0), ("-5", -5), ("42", 42), ("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN)]
        {
            assert_eq!(Key::of(text.as_bytes()), Key::Int(number));
        }
        for text in ["", "-", "-0", "007", "+1", " 1", "1 ", "1.5", "1e3", "9223372036854775808", "-9223372036854775809", "房间"]
        {
            assert_eq!(Key::of(text.as_bytes()), Key::Text(text.as_bytes()));
        }
    }
}
