//! The gate before every method: who calls, may they, is there room, and until when.
//!
//! It looks at the connection's certificate and the path, never at a message.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::body::StreamBody;
use super::incoming::Peer;
use super::roles::{HEALTH_CHECK, Method, Shape, method};
use super::{Clock, Limits, errors};
use crate::desk::{Caller, DeskError};
use crate::withdrawal::Code;

/// What is kept of a caller's deadline, at most, so that the answer arrives before the caller stops listening.
const HEADROOM_MAX: Duration = Duration::from_millis(50);

/// The gate.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    clock: Clock,
    limits: Limits,
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    drain: CancellationToken,
}

/// What the gate found of a call that may go on.
struct Pass {
    caller: Arc<Caller>,
    method: &'static Method,
    place: OwnedSemaphorePermit,
}

impl Gate {
    /// A gate that lets nobody in once `drain` is cancelled.
    pub fn new(clock: Clock, limits: Limits, drain: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            clock,
            limits,
            calls: Arc::new(Semaphore::new(limits.calls_max)),
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            drain,
        }))
    }

    /// How many calls are at work.
    pub fn calls_at_work(&self) -> usize {
        self.0.limits.calls_max.saturating_sub(self.0.calls.available_permits())
    }
}

impl Inner {
    fn admit(&self, peer: Option<&Peer>, path: &str) -> Result<Pass, DeskError> {
        let caller = self.identify(peer)?;
        let method = method(path).filter(|method| method.allows(caller.role)).ok_or_else(|| {
            let shown: String = path.chars().take(120).collect();
            let detail = format!("the role {} may not call `{shown}`", caller.role);
            DeskError::nothing_happened(Code::RoleNotAllowed, detail)
        })?;
        if self.drain.is_cancelled() && method.path != HEALTH_CHECK {
            return Err(DeskError::nothing_happened(Code::ShuttingDown, "no new calls are taken"));
        }
        Ok(Pass { caller, method, place: self.place(method.shape)? })
    }

    /// Expiry is looked at for each call: a connection can outlive the certificate it was opened with.
    fn identify(&self, peer: Option<&Peer>) -> Result<Arc<Caller>, DeskError> {
        let no = |detail: String| DeskError::nothing_happened(Code::Unauthenticated, detail);
        let peer = peer.ok_or_else(|| no("the connection shows no certificate".into()))?;
        let caller = peer.caller.as_ref().map_err(|why| no(why.to_string()))?;
        if caller.not_after < (self.clock)() {
            return Err(no(format!("the certificate of {caller} expired at {}", caller.not_after)));
        }
        Ok(Arc::clone(caller))
    }

    fn place(&self, shape: Shape) -> Result<OwnedSemaphorePermit, DeskError> {
        let (queue, what, limit) = match shape {
            Shape::Call => (&self.calls, "calls are at work", self.limits.calls_max),
            Shape::Stream => (&self.streams, "streams are open", self.limits.streams_max),
        };
        Arc::clone(queue).try_acquire_owned().map_err(|_| {
            DeskError::nothing_happened(Code::QueueFull, format!("{limit} {what}, which is the limit"))
        })
    }

    async fn call<F>(&self, pass: Pass, named: Option<Duration>, inner: F) -> Response<Body>
    where
        F: Future<Output = Result<Response<Body>, Infallible>>,
    {
        let time = named.map_or(self.limits.deadline, |named| named.min(self.limits.deadline));
        let Ok(answered) = tokio::time::timeout(time, inner).await else {
            let detail = format!("no answer within {} ms", time.as_millis());
            return refuse(DeskError::may_have_happened(Code::DeadlineExceeded, detail));
        };
        let response = match answered {
            Ok(response) => self.in_our_words(response),
            Err(never) => match never {},
        };
        match pass.method.shape {
            Shape::Call => response,
            Shape::Stream => {
                response.map(|body| Body::new(StreamBody::new(body, pass.place, self.drain.clone(), named)))
            }
        }
    }

    fn in_our_words(&self, response: Response<Body>) -> Response<Body> {
        let status = Status::from_header_map(response.headers());
        let ours = status.and_then(|status| errors::ours(&status, self.limits.message_bytes_max));
        ours.map_or(response, Status::into_http)
    }
}

fn refuse(error: DeskError) -> Response<Body> {
    Status::from(error).into_http()
}

/// The caller's deadline (`grpc-timeout`), less some headroom. What cannot be read counts as not named.
fn named_deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    let time = match unit {
        "H" => Duration::from_secs(count.checked_mul(3600)?),
        "M" => Duration::from_secs(count.checked_mul(60)?),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    };
    Some(time.saturating_sub(HEADROOM_MAX.min(time / 10)))
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: self.clone(), inner }
    }
}

/// A service behind the gate.
#[derive(Clone)]
pub struct Gated<S> {
    gate: Gate,
    inner: S,
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let gate = Arc::clone(&self.gate.0);
        // The service that was polled ready is the one to call; its clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let pass = match gate.admit(request.extensions().get::<Peer>(), request.uri().path()) {
                Ok(pass) => pass,
                Err(no) => return Ok(refuse(no)),
            };
            let named = named_deadline(request.headers());
            request.extensions_mut().insert(Arc::clone(&pass.caller));
            Ok(gate.call(pass, named, inner.call(request)).await)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::desk::Role;
    use crate::withdrawal::Seconds;

    fn gate(now: u64, limits: Limits) -> Gate {
        Gate::new(Arc::new(move || Seconds(now)), limits, CancellationToken::new())
    }

    fn peer(role: Role) -> Peer {
        Peer { caller: Ok(Arc::new(Caller { role, name: "x".into(), not_after: Seconds(100) })) }
    }

    const CREATE: &str = "/countersign.v1.WithdrawalService/CreateWithdrawal";

    fn code(gate: &Gate, peer: Option<&Peer>, path: &str) -> Option<Code> {
        gate.0.admit(peer, path).err().map(|error| error.code())
    }

    #[test]
    fn a_certificate_that_expires_while_connected_is_refused_from_that_second_on() {
        let exchange = peer(Role::Exchange);
        assert_eq!(code(&gate(100, Limits::default()), Some(&exchange), CREATE), None);
        assert_eq!(code(&gate(101, Limits::default()), Some(&exchange), CREATE), Some(Code::Unauthenticated));
    }

    #[test]
    fn without_a_certificate_or_a_role_nobody_is_let_in() {
        let gate = gate(1, Limits::default());
        assert_eq!(code(&gate, None, CREATE), Some(Code::Unauthenticated));
        let nobody = Peer { caller: Err("it names no role".into()) };
        assert_eq!(code(&gate, Some(&nobody), CREATE), Some(Code::Unauthenticated));
    }

    #[test]
    fn every_role_is_refused_every_method_that_the_table_does_not_give_it() {
        let gate = gate(1, Limits::default());
        for role in Role::ALL {
            for row in super::super::roles::METHODS {
                let expected = (!row.allows(role)).then_some(Code::RoleNotAllowed);
                assert_eq!(code(&gate, Some(&peer(role)), row.path), expected, "{role} {}", row.path);
            }
            assert_eq!(code(&gate, Some(&peer(role)), "/x.Y/Z"), Some(Code::RoleNotAllowed));
        }
    }

    #[test]
    fn calls_and_streams_have_places_of_their_own() {
        let gate = gate(1, Limits { calls_max: 1, streams_max: 1, ..Limits::default() });
        let auditor = peer(Role::Auditor);
        let first = gate.0.admit(Some(&auditor), "/countersign.v1.AuditService/GetCheckpoint");
        assert_eq!(gate.calls_at_work(), 1);
        assert_eq!(
            code(&gate, Some(&auditor), "/countersign.v1.AuditService/GetCheckpoint"),
            Some(Code::QueueFull)
        );
        assert_eq!(code(&gate, Some(&auditor), "/countersign.v1.AuditService/ListEntries"), None);
        drop(first);
        assert_eq!(code(&gate, Some(&auditor), "/countersign.v1.AuditService/GetCheckpoint"), None);
    }

    #[test]
    fn while_draining_only_the_health_check_is_answered() {
        let gate = gate(1, Limits::default());
        gate.0.drain.cancel();
        assert_eq!(code(&gate, Some(&peer(Role::Exchange)), CREATE), Some(Code::ShuttingDown));
        assert_eq!(code(&gate, Some(&peer(Role::Exchange)), HEALTH_CHECK), None);
    }

    #[test]
    fn a_named_deadline_is_read_as_the_grpc_protocol_writes_it() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            named_deadline(&headers)
        };
        assert_eq!(read("1S"), Some(Duration::from_millis(950)));
        assert_eq!(read("100m"), Some(Duration::from_millis(90)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600) - HEADROOM_MAX));
        for wrong in ["S", "", "1", "-1S", "123456789S", "1x", "1.5S"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    /// What the gate answers with a deadline of 20 ms named, before a service that never does.
    async fn answer_of_a_service_that_never_answers(path: &str) -> Status {
        let never = tower::service_fn(|_: Request<Body>| std::future::pending());
        let mut request =
            Request::builder().uri(path).header("grpc-timeout", "20m").body(Body::empty()).unwrap();
        request.extensions_mut().insert(peer(Role::Exchange));
        let response = gate(1, Limits::default()).layer(never).call(request).await.unwrap();
        Status::from_header_map(response.headers()).unwrap()
    }

    #[tokio::test]
    async fn a_call_ends_at_the_deadline_that_the_caller_named() {
        for path in [CREATE, "/countersign.v1.WithdrawalService/WatchWithdrawals"] {
            let status = answer_of_a_service_that_never_answers(path).await;
            assert_eq!(status.code(), tonic::Code::DeadlineExceeded, "{path}");
            assert!(status.message().contains("18 ms"), "{status}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_is_open_ends_at_the_deadline_that_the_caller_named() {
        let endless = futures_util::stream::pending::<Result<hyper::body::Bytes, Status>>();
        let endless = axum::body::Body::from_stream(endless);
        let gate = gate(1, Limits { streams_max: 1, ..Limits::default() });
        let place = Arc::clone(&gate.0.streams).try_acquire_owned().unwrap();
        let drain = CancellationToken::new();
        let mut body =
            Box::pin(StreamBody::new(Body::new(endless), place, drain, Some(Duration::from_millis(10))));
        let mut next =
            async || std::future::poll_fn(|cx| hyper::body::Body::poll_frame(body.as_mut(), cx)).await;
        let trailers = next().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(Status::from_header_map(&trailers).unwrap().code(), tonic::Code::DeadlineExceeded);
        assert!(next().await.is_none());
        assert_eq!(gate.0.streams.available_permits(), 1);
    }
}
