//! Replies in PHP's `serialize` format, parsed as far as the benchmark needs.

/// The reply "online" to IS_ONLINE; also the count 1.
pub const ONE: &[u8] = b"i:1;";

/// Returns the sum of the counts in a batch reply. The group names are not numbers, so every number is a count.
pub fn sum(reply: &[u8]) -> u64 {
    reply
        .split(|byte| *byte == b';')
        .filter_map(|part| std::str::from_utf8(part.strip_prefix(b"i:")?).ok()?.parse::<u64>().ok())
        .sum()
}

/// # Errors
/// `reply` differs from `wanted`.
pub fn expect(wanted: &[u8], reply: &[u8]) -> Result<(), String> {
    if reply == wanted {
        return Ok(());
    }
    let got = String::from_utf8_lossy(&reply[..reply.len().min(100)]);
    Err(format!("reply {got}, expected {}", String::from_utf8_lossy(wanted)))
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
