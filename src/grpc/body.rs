//! The body of a stream: keeps its place while it is open, and ends with a word when the service drains or time is up.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::HeaderMap;
use hyper::body::{Body as HttpBody, Bytes, Frame};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::body::Body;

use crate::desk::DeskError;
use crate::withdrawal::Code;

/// A stream's body with its place among the open streams.
pub struct StreamBody {
    inner: Body,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    deadline: Option<Pin<Box<Sleep>>>,
    place: Option<OwnedSemaphorePermit>,
}

impl StreamBody {
    /// Wraps a body. Without a deadline it stays open until either side ends it.
    pub fn new(
        inner: Body,
        place: OwnedSemaphorePermit,
        drain: CancellationToken,
        deadline: Option<Duration>,
    ) -> Self {
        let deadline = deadline.map(|time| Box::pin(sleep(time)));
        Self { inner, drain: Box::pin(drain.cancelled_owned()), deadline, place: Some(place) }
    }

    /// Why the stream ends now although more may come.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<DeskError> {
        if self.drain.as_mut().poll(cx).is_ready() {
            let detail = "the service is stopping; go on from the last cursor";
            return Poll::Ready(DeskError::nothing_happened(Code::ShuttingDown, detail));
        }
        match &mut self.deadline {
            Some(deadline) => {
                ready!(deadline.as_mut().poll(cx));
                Poll::Ready(DeskError::may_have_happened(
                    Code::DeadlineExceeded,
                    "the stream's deadline passed",
                ))
            }
            None => Poll::Pending,
        }
    }

    fn end(&mut self, why: DeskError) -> Result<Frame<Bytes>, Status> {
        self.place = None;
        self.inner = Body::empty();
        let mut trailers = HeaderMap::new();
        Status::from(why).add_header(&mut trailers)?;
        Ok(Frame::trailers(trailers))
    }
}

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.place.is_none() {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(None) => {
                self.place = None;
                Poll::Ready(None)
            }
            Poll::Ready(frame) => Poll::Ready(frame),
            Poll::Pending => {
                let why = ready!(self.poll_end(cx));
                Poll::Ready(Some(self.end(why)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.place.is_none() || self.inner.is_end_stream()
    }
}
