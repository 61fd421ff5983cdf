//! One connection's task: the only owner of its stream. Writes what the outbox holds, reads and drops what comes up,
//! pings, and closes for a reason.

use super::Frame;
use super::incoming::{Event, Incoming};
use super::outbox::Outbox;
use crate::domain::push::CloseCode;
use crate::server::config::Gateway as Settings;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Frames that leave in one write.
const FRAMES_A_WRITE: usize = 64;
/// How long a closing connection may still take what is queued, and answer the close frame.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

pub struct Connection<S> {
    stream: S,
    outbox: Arc<Outbox>,
    settings: Settings,
    deadline: CancellationToken,
}

/// Why serving ended.
enum End {
    /// The stream is gone.
    Gone,
    /// The peer closed: answer with its own code.
    Theirs(Option<CloseCode>),
    Ours(CloseCode),
}

impl<S: AsyncRead + AsyncWrite + Send + 'static> Connection<S> {
    pub fn new(stream: S, outbox: Arc<Outbox>, settings: Settings, deadline: CancellationToken) -> Self {
        Self { stream, outbox, settings, deadline }
    }

    pub async fn serve(self) {
        let (reader, writer) = tokio::io::split(self.stream);
        let mut writer = Writer { stream: writer, unsent: VecDeque::new(), outbox: self.outbox };
        let mut incoming = Incoming::default();
        let mut reader = reader;
        let end = tokio::select! {
            end = converse(&mut reader, &mut writer, &mut incoming, &self.settings) => end,
            () = self.deadline.cancelled() => End::Ours(CloseCode::GOING_AWAY),
        };
        metrics::counter!("roomcast_client_frames_dropped_total").increment(incoming.dropped_frames);
        let goodbye = async {
            match end {
                End::Gone => {}
                End::Theirs(None) => writer.finish(Frame::close_without_code()).await,
                End::Theirs(Some(code)) => writer.finish(Frame::close(CloseCode(code.0))).await,
                End::Ours(code) => {
                    metrics::counter!("roomcast_sockets_closed_by_us_total", "reason" => code.reason()).increment(1);
                    writer.finish(Frame::close(code)).await;
                    // The peer's answer, or its end: closing first would let unread bytes reset the connection, and the
                    // close frame with it.
                    let mut scratch = [0; 256];
                    while matches!(reader.read(&mut scratch).await, Ok(count) if count > 0) {}
                }
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(CLOSE_WITHIN, goodbye) => {}
            () = self.deadline.cancelled() => {}
        }
    }
}

/// Both directions until something ends them. The select holds no lock and no unfinished write: a cancelled vectored
/// write has written nothing.
async fn converse<S: AsyncRead + AsyncWrite>(
    reader: &mut ReadHalf<S>,
    writer: &mut Writer<S>,
    incoming: &mut Incoming,
    settings: &Settings,
) -> End {
    let started = Instant::now();
    let outbox = writer.outbox.clone();
    let [ping_every, pong_within, slow_after] =
        [settings.ping_every_ms, settings.pong_within_ms, settings.slow_after_ms].map(Duration::from_millis);
    let mut scratch = [0; 256];
    let mut alive_at = started;
    let mut pinged_at: Option<Instant> = None;
    let mut progress_at = started;
    loop {
        if writer.unsent.is_empty() {
            progress_at = Instant::now();
            writer.take();
        }
        if writer.unsent.is_empty()
            && let Some(code) = outbox.close_code()
        {
            return End::Ours(code);
        }
        let writing = !writer.unsent.is_empty();
        let next_look = match (writing, pinged_at) {
            (true, _) => progress_at + slow_after,
            (false, Some(pinged_at)) => pinged_at + pong_within,
            (false, None) => alive_at + ping_every,
        };
        tokio::select! {
            read = reader.read(&mut scratch) => {
                let Ok(count @ 1..) = read else { return End::Gone };
                alive_at = Instant::now();
                pinged_at = None;
                let mut closed = None;
                let now_ms = started.elapsed().as_millis() as u64;
                let fed = incoming.feed(&scratch[..count], now_ms, |event| match event {
                    Event::Ping(payload) => { outbox.push(Frame::pong(&payload)); }
                    Event::Pong => {}
                    Event::Closed(code) => { closed.get_or_insert(code); }
                });
                match (closed, fed) {
                    (Some(code), _) => return End::Theirs(code),
                    (None, Err(code)) => return End::Ours(code),
                    (None, Ok(())) => {}
                }
            }
            wrote = writer.write(), if writing => match wrote {
                Ok(()) => progress_at = Instant::now(),
                Err(_) => return End::Gone,
            },
            () = outbox.changed(), if !writing => {}
            () = tokio::time::sleep_until(next_look) => match (writing, pinged_at) {
                (true, _) => return End::Ours(CloseCode::SLOW),
                (false, Some(_)) => return End::Ours(CloseCode::SILENT),
                (false, None) => {
                    pinged_at = Some(Instant::now());
                    outbox.push(Frame::ping());
                }
            },
        }
    }
}

struct Writer<S> {
    stream: WriteHalf<S>,
    /// Taken from the outbox and not wholly written; the first may be cut.
    unsent: VecDeque<Bytes>,
    outbox: Arc<Outbox>,
}

impl<S: AsyncRead + AsyncWrite> Writer<S> {
    fn take(&mut self) {
        self.outbox.take(&mut self.unsent, FRAMES_A_WRITE);
        if self.unsent.is_empty() {
            // An idle connection keeps no buffer.
            self.unsent = VecDeque::new();
        }
    }

    /// One vectored write of what is unsent.
    async fn write(&mut self) -> std::io::Result<()> {
        let mut slices = [IoSlice::new(&[]); FRAMES_A_WRITE];
        let count = self.unsent.len().min(FRAMES_A_WRITE);
        for (slice, bytes) in slices.iter_mut().zip(&self.unsent) {
            *slice = IoSlice::new(bytes);
        }
        let written = self.stream.write_vectored(&slices[..count]).await?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        self.outbox.wrote(written);
        metrics::counter!("roomcast_push_bytes_total").increment(written as u64);
        let mut left = written;
        while let Some(first) = self.unsent.front_mut() {
            if left < first.len() {
                let _ = first.split_to(left);
                break;
            }
            left -= first.len();
            self.unsent.pop_front();
        }
        Ok(())
    }

    /// What was begun, then the close frame. A frame cut in the middle must be finished or the close would be part of it.
    async fn finish(&mut self, close: Frame) {
        self.unsent.push_back(close.bytes);
        while !self.unsent.is_empty() {
            if self.write().await.is_err() {
                return;
            }
        }
        let _ = self.stream.flush().await;
        let _ = self.stream.shutdown().await;
    }
}
