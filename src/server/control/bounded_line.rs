//! Reads lines up to a limit. A longer line is skipped whole.

use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Bytes of a line that is too long, read at once.
const SKIPPED_BYTES: u64 = 64 * 1024;

/// A line of [`read_line`].
#[derive(PartialEq, Eq, Debug)]
pub(super) enum BoundedLine {
    /// A whole line.
    Line(String),
    /// The line was longer than the limit, and all of it is skipped.
    TooLong,
    /// The end of the stream.
    End,
}

/// Reads a line of `limit` bytes at most. Of a longer one every byte up to its line feed is skipped, so that its rest is not taken
/// for another line.
pub(super) async fn read_line(stream: &mut (impl AsyncBufRead + Unpin), limit: u64) -> io::Result<BoundedLine> {
    let mut line = Vec::new();
    if (&mut *stream).take(limit).read_until(b'\n', &mut line).await? == 0 {
        return Ok(BoundedLine::End);
    }
    if line.ends_with(b"\n") || (line.len() as u64) < limit {
        return String::from_utf8(line).map(BoundedLine::Line).map_err(io::Error::other);
    }
    loop {
        line.clear();
        let skipped = (&mut *stream).take(SKIPPED_BYTES).read_until(b'\n', &mut line).await?;
        if skipped == 0 || line.ends_with(b"\n") {
            return Ok(BoundedLine::TooLong);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::BufReader;

    #[tokio::test]
    async fn f11_a_line_that_is_too_long_is_skipped_whole() {
        let long = "y".repeat(3 * SKIPPED_BYTES as usize);
        let text = format!("one\n12345678\n123456789\n{long}\ntwo\nend");
        let mut stream = BufReader::new(text.as_bytes());
        let mut read = async || read_line(&mut stream, 9).await.unwrap();
        let line = |text: &str| BoundedLine::Line(text.into());
        assert_eq!((read().await, read().await), (line("one\n"), line("12345678\n")));
        assert_eq!((read().await, read().await), (BoundedLine::TooLong, BoundedLine::TooLong));
        assert_eq!((read().await, read().await, read().await), (line("two\n"), line("end"), BoundedLine::End));
    }
}
