//! Replies in PHP's `serialize`, read as far as is needed.

/// To IS_ONLINE; and of a count, that it is one.
pub const ONE: &[u8] = b"i:1;";

/// All counts of a batch together. Its groups' names are no numbers, so that what is a number is a count.
pub fn sum(reply: &[u8]) -> u64 {
    reply
        .split(|byte| *byte == b';')
        .filter_map(|part| std::str::from_utf8(part.strip_prefix(b"i:")?).ok()?.parse::<u64>().ok())
        .sum()
}

/// It is `wanted`, or why not.
pub fn expect(wanted: &[u8], reply: &[u8]) -> Result<(), String> {
    if reply == wanted {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&reply[..reply.len().min(100)]);
    Err(format!("a reply is {said} in place of {}", String::from_utf8_lossy(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up() {
        assert_eq!(sum(br#"a:3:{s:5:"one-0";i:1000;s:5:"one-1";i:234;s:5:"one-2";i:0;}"#), 1_234);
        assert_eq!(sum(b"a:0:{}"), 0);
        assert!(expect(ONE, b"i:0;").is_err());
    }
}
