//! The way of a log line to standard error: a bounded queue, and one thread that writes it.
//!
//! A thread that logs never waits for the reader of the log. A line that does not fit into the queue is dropped and counted,
//! and a line says how many there were when the reader is back.

use crate::domain::text::escape_controls;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Bytes of lines that may be queued; each line counts [`LINE_BYTES`] more.
const MAX_QUEUED_BYTES: usize = 4 * 1024 * 1024;
const LINE_BYTES: usize = 64;
/// Longest wait for a reader at the end of the process, and for one that does not take a line of [`write_bounded`].
const WRITE_TIMEOUT: Duration = Duration::from_millis(500);

/// A queue of lines. Cheap to clone; all clones are one queue.
#[derive(Clone)]
pub(super) struct LogSink(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    /// Notified when a line is queued, and when one is written.
    changed: Condvar,
    /// Escapes control characters within a line. JSON has none.
    is_text: bool,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// Bytes of the queued lines, and of the line that is being written.
    bytes: usize,
    /// Lines dropped since the last report.
    dropped: u64,
    is_closed: bool,
}

impl LogSink {
    /// Starts the thread that writes to `output`. It calls `report` with the number of dropped lines, once half of the queue is
    /// free again. With `is_text`, control characters within a line are escaped. Fails if the thread cannot be started.
    pub(super) fn start(output: impl Write + Send + 'static, is_text: bool, report: fn(u64)) -> io::Result<Self> {
        let sink = Self(Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new(), is_text }));
        let writer = sink.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || writer.run(output, report))?;
        Ok(sink)
    }

    /// Writes the lines until the queue is closed and empty.
    fn run(&self, mut output: impl Write, report: fn(u64)) {
        while let Some(line) = self.next_line() {
            // A closed pipe or a full disk loses the line: there is no other place to report it.
            let _ = output.write_all(&line);
            let mut queue = self.queue();
            queue.bytes -= cost(&line);
            let dropped = if queue.bytes <= MAX_QUEUED_BYTES / 2 { std::mem::take(&mut queue.dropped) } else { 0 };
            drop(queue);
            self.0.changed.notify_all();
            if dropped > 0 {
                report(dropped);
            }
        }
    }

    fn next_line(&self) -> Option<Vec<u8>> {
        let is_waiting = |queue: &mut Queue| queue.lines.is_empty() && !queue.is_closed;
        self.0.changed.wait_while(self.queue(), is_waiting).unwrap_or_else(PoisonError::into_inner).lines.pop_front()
    }

    fn push(&self, line: Vec<u8>) {
        let mut queue = self.queue();
        if queue.bytes + cost(&line) > MAX_QUEUED_BYTES {
            queue.dropped += 1;
            drop(queue);
            return metrics::counter!("roomcast_log_lines_dropped_total").increment(1);
        }
        queue.bytes += cost(&line);
        queue.lines.push_back(line);
        drop(queue);
        self.0.changed.notify_all();
    }

    /// Ends the thread once every queued line is written.
    fn close(&self) {
        self.queue().is_closed = true;
        self.0.changed.notify_all();
    }

    /// Waits until every queued line is written, `timeout` at most.
    fn flush_within(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut queue = self.queue();
        while queue.bytes > 0 {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return };
            queue = self.0.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(line: &[u8]) -> usize {
    line.len() + LINE_BYTES
}

/// The formatter writes each line with one call.
impl Write for LogSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(if self.0.is_text { one_line(line) } else { line.to_vec() });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Escapes the control characters of a line, except its line feed and the colours: the formatter has escaped every other ESC.
fn one_line(line: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(line);
    let mut escaped = String::with_capacity(text.len());
    for (index, part) in text.trim_end_matches('\n').split('\x1b').enumerate() {
        if index > 0 {
            escaped.push('\x1b');
        }
        escaped.push_str(&escape_controls(part));
    }
    escaped.push('\n');
    escaped.into_bytes()
}

/// Writes the queued lines when it is dropped, within 500 ms: a reader that does not read must not keep the process.
pub struct LogGuard(pub(super) LogSink);

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.0.close();
        self.0.flush_within(WRITE_TIMEOUT);
    }
}

/// Writes to standard output or standard error and waits for it, 500 ms at most: a full pipe that nobody reads must hold
/// nothing up. Errors are ignored.
pub fn write_bounded(mut output: impl Write + Send + 'static, text: String) {
    let (done, is_done) = mpsc::channel();
    let write = move || {
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("print".into()).spawn(write).is_ok() {
        let _ = is_done.recv_timeout(WRITE_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A reader that takes no line until it is opened.
    #[derive(Clone, Default)]
    struct Pipe(Arc<(Mutex<Reader>, Condvar)>);

    #[derive(Default)]
    struct Reader {
        is_open: bool,
        read: Vec<u8>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.1.wait_while(self.0.0.lock().unwrap(), |reader| !reader.is_open).unwrap();
            state.read.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn f6_a_reader_that_stops_holds_no_line_up_and_is_told_what_it_missed() {
        static REPORTED: AtomicU64 = AtomicU64::new(0);
        let pipe = Pipe::default();
        let mut sink = LogSink::start(pipe.clone(), false, |dropped| _ = REPORTED.fetch_add(dropped, Ordering::SeqCst)).unwrap();
        let line = vec![b'x'; 1023].into_iter().chain([b'\n']).collect::<Vec<_>>();
        for _ in 0..10_000 {
            sink.write_all(&line).unwrap();
        }
        let kept = MAX_QUEUED_BYTES / cost(&line);
        assert!(sink.queue().bytes <= MAX_QUEUED_BYTES && sink.queue().dropped == 10_000 - kept as u64);
        // The end of the process does not wait for it either.
        sink.flush_within(Duration::from_millis(1));
        pipe.0.0.lock().unwrap().is_open = true;
        pipe.0.1.notify_all();
        sink.flush_within(Duration::from_secs(20));
        assert_eq!(pipe.0.0.lock().unwrap().read.len(), kept * line.len());
        assert_eq!(REPORTED.load(Ordering::SeqCst), 10_000 - kept as u64);
    }

    #[test]
    fn f27_a_line_of_text_is_one_line_without_foreign_control_characters() {
        let line = one_line("\x1b[32m INFO\x1b[0m a\nb\r\u{202e}c\u{9b}\n".as_bytes());
        let expected = "\x1b[32m INFO\x1b[0m a\\nb\\r\\u{202e}c\\u{9b}\n";
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }
}
