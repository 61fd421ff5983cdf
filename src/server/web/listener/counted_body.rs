//! The body of a response that counts as a request in progress until it is written or given up.

use super::http_limits::InProgress;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Longest part of a body that hyper gets at once, in bytes: with a buffer of this size it takes the next when this one left it.
const MAX_FRAME_BYTES: usize = 16 * 1024;

/// A body and the request that it answers. hyper drops it when the last frame is in the connection's write buffer, so a file,
/// which is one frame, is cut into several: the request of a slow reader stays in progress until the last 16 KiB.
pub(super) struct CountedBody {
    body: Body,
    /// The rest of the body's last frame.
    rest: Bytes,
    _in_progress: InProgress,
}

impl CountedBody {
    /// Wraps the body of the response to a request.
    pub(super) fn new(body: Body, in_progress: InProgress) -> Self {
        Self { body, rest: Bytes::new(), _in_progress: in_progress }
    }

    fn next_part(&mut self) -> Frame<Bytes> {
        Frame::data(self.rest.split_to(self.rest.len().min(MAX_FRAME_BYTES)))
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.next_part())));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) => {
                self.rest = data;
                self.next_part()
            }
            Err(trailers) => trailers,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        match hint.exact() {
            Some(bytes) => hint.set_exact(bytes + rest),
            None => {
                if let Some(upper) = hint.upper() {
                    hint.set_upper(upper + rest);
                }
                hint.set_lower(hint.lower() + rest);
            }
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::super::http_limits::{HttpLimit, HttpLimits, HttpPermit};
    use super::*;
    use crate::server::config::WebSettings;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const FILE_BYTES: usize = 400_000;
    const DEADLINE: Duration = Duration::from_secs(20);

    fn in_progress(permit: &Arc<HttpPermit>) -> InProgress {
        let in_progress = permit.request();
        in_progress.writes(Instant::now());
        in_progress
    }

    /// The pipe holds 4 KiB, so the server writes as fast as the client reads.
    #[tokio::test]
    async fn f2_a_response_that_is_read_slowly_is_a_request_in_progress() {
        let web = WebSettings { max_http_connections: 1, max_http_per_address: 1, ..WebSettings::default() };
        let limits = HttpLimits::new(&web);
        let permit = Arc::new(limits.accept([203, 0, 113, 1].into(), Instant::now()).unwrap());
        let (mut client, server) = tokio::io::duplex(4096);
        let of_server = permit.clone();
        let service = service_fn(move |_| {
            let body = CountedBody::new(Body::from(vec![7; FILE_BYTES]), in_progress(&of_server));
            async { Ok::<_, Infallible>(hyper::Response::new(body)) }
        });
        let serve = http1::Builder::new().max_buf_size(MAX_FRAME_BYTES).serve_connection(TokioIo::new(server), service);
        tokio::spawn(serve);
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        assert!(String::from_utf8_lossy(&head).contains(&format!("content-length: {FILE_BYTES}")), "the length is told");
        let other = || limits.accept([203, 0, 113, 2].into(), Instant::now());
        let mut part = vec![0; FILE_BYTES / 2];
        tokio::time::timeout(DEADLINE, client.read_exact(&mut part)).await.unwrap().unwrap();
        assert_eq!(other().err(), Some(HttpLimit::Node), "half of it is read");
        tokio::time::timeout(DEADLINE, client.read_exact(&mut part)).await.unwrap().unwrap();
        assert!(part.iter().all(|byte| *byte == 7));
        tokio::time::timeout(DEADLINE, async {
            while other().is_err() {
                tokio::task::yield_now().await
            }
        })
        .await
        .unwrap();
    }
}
