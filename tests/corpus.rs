//! Replays the fuzzers' corpus, which holds their seeds and their findings: no panic, and memory in proportion to the input.
//! `make fuzz` searches for more.

#![expect(unreachable_pub, reason = "a test program exports nothing")]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../fuzz/checks/packets.rs"]
mod packets;
#[path = "../fuzz/checks/register_line.rs"]
mod register_line;
#[path = "../fuzz/checks/unserialize.rs"]
mod unserialize;

use std::path::Path;

/// Bytes allocated at once, per byte of input.
const PER_BYTE: usize = 100;
/// Bytes allowed for any input: references can expand a short text.
const AT_LEAST: usize = 64 * 1024;

fn check(bytes: &[u8], target: fn(&[u8])) {
    let held = allocation_counter::measure(|| target(bytes)).bytes_max as usize;
    let allowed = AT_LEAST + PER_BYTE * bytes.len();
    assert!(held <= allowed, "{held} bytes for {} of {}", bytes.len(), bytes[..bytes.len().min(200)].escape_ascii());
}

fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files: Vec<_> = folder.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 20, "{name}: the corpus is missing");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        check(&bytes, target);
        // Cut at each byte, and with one bit of each byte changed.
        for at in 0..bytes.len().min(400) {
            check(&bytes[..at], target);
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            check(&other, target);
        }
    }
}

#[test]
fn the_corpus_is_accepted_or_rejected_with_memory_in_proportion() {
    replay("packet", packets::check);
    replay("register_line", register_line::check);
    replay("unserialize", unserialize::check);
    // Lengths that are not true.
    for text in ["a:99999999999999:{", "s:99999999999999:\"", "O:3:\"A\":999999999:{", "C:1:\"C\":99999999999:{"] {
        check(text.as_bytes(), unserialize::check);
    }
    // A large array.
    let many = (0..20_000).map(|n| format!("i:{};N;", n * 7 % 20_011)).collect::<String>();
    check(format!("a:20000:{{{many}}}").as_bytes(), unserialize::check);
    // Many references to a long value, and an update of each of them.
    let names: String = (1..500).map(|n| format!("i:{n};R:2;")).collect();
    let updates: String = (0..500).map(|n| format!("i:{n};a:1:{{i:0;N;}}")).collect();
    let before = format!("a:500:{{i:0;a:1:{{s:1:\"x\";s:9000:\"{}\";}}{names}}}", "x".repeat(9000));
    check(format!("{before}a:500:{{{updates}}}").as_bytes(), unserialize::check);
    let deep = "a:1:{i:0;".repeat(100_000);
    check(deep.as_bytes(), unserialize::check);
}
