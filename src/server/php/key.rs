//! The keys of PHP's arrays: a text that is a whole number as PHP would write it is that number.

/// One key. `42` and `"42"` are the same key, `"007"` is another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Key<'a> {
    Int(i64),
    Text(&'a [u8]),
}

impl<'a> Key<'a> {
    pub fn of(text: &'a [u8]) -> Self {
        canonical(text).map_or(Self::Text(text), Self::Int)
    }
}

/// `0`, `-5`, `42`: no sign but a minus, no leading zero, no `-0`, and it fits.
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
    fn whole_numbers_as_php_writes_them_are_numbers() {
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
