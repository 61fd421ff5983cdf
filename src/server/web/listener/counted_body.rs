//! The body of a response that counts as a request in progress until it is written or given up.

use super::http_limits::InProgress;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body and the request that it answers. hyper drops it when the last of it is in the connection's write buffer.
pub(super) struct CountedBody {
    body: Body,
    _in_progress: InProgress,
}

impl CountedBody {
    /// Wraps the body of the response to a request.
    pub(super) fn new(body: Body, in_progress: InProgress) -> Self {
        Self { body, _in_progress: in_progress }
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
