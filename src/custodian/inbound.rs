//! The listener for a custodian that calls: an answer is put into the inbox, whole and synced, and then said to be taken. It
//! decides nothing and gives nothing out; who has no token, or comes from another address, writes nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State as With};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rustls::ServerConfig;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::inbox::{Inbox, Taken};
use crate::bitcoin::custody::ANSWER_LEN_MAX;
use crate::enclave::allow::AllowList;
use crate::enclave::exchange::auth::OwnToken;
use crate::enclave::wire::tls::{self, Guests};
use crate::withdrawal::ReservationId;

/// Where answers are called in; the reservation's id follows.
const PATH: &str = "/custody/answers/";
/// Most answers that are read or written at the same time.
const AT_ONCE_MAX: usize = 8;
/// Most connections; one address has a quarter of them.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection is kept that is not used.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long the file system may take to make it durable.
const WRITE_TIME: Duration = Duration::from_secs(20);

/// Where the listener is, and whom it lets in.
pub struct Standing {
    /// The listener.
    pub listener: TcpListener,
    /// Its own certificate.
    pub tls: Arc<ServerConfig>,
    /// What the custodian must show.
    pub token: OwnToken,
    /// The custodian's addresses.
    pub allow: AllowList,
}

struct Desk {
    inbox: Arc<Inbox>,
    token: OwnToken,
    places: Arc<Semaphore>,
}

/// Serves until told to stop, then lets open calls finish for a while.
pub async fn serve(inbox: Arc<Inbox>, standing: Standing, stop: CancellationToken) {
    let Standing { listener, tls, token, allow } = standing;
    let desk = Arc::new(Desk { inbox, token, places: Arc::new(Semaphore::new(AT_ONCE_MAX)) });
    let guests = Guests { allow: Some(allow), keepalive: KEEPALIVE, connections: CONNECTIONS_MAX };
    let router = Router::new().fallback(hear).layer(DefaultBodyLimit::max(ANSWER_LEN_MAX)).with_state(desk);
    tls::serve_guests(guests, listener, Some(tls), router, stop).await;
}

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Token,
    Path,
    Method,
    Awaited,
    TooLarge,
    BrokenOff,
    Early,
    Full,
    Busy,
    Disk,
}

impl Refused {
    /// The status, a stable code, and the cure.
    const fn told(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Token => {
                (StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "send Authorization: Bearer and the token")
            }
            Self::Path => {
                (StatusCode::NOT_FOUND, "NO_SUCH_PATH", "post to /custody/answers/ and the reservation's id")
            }
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "NO_SUCH_METHOD", "use POST"),
            Self::Awaited => (
                StatusCode::NOT_FOUND,
                "NOT_AWAITED",
                "nobody waits for this reservation: it is over, or never was",
            ),
            Self::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", "send a PSBT of at most 262144 bytes")
            }
            Self::BrokenOff => (StatusCode::BAD_REQUEST, "BROKEN_OFF", "send the whole body in ten seconds"),
            Self::Early => (StatusCode::SERVICE_UNAVAILABLE, "NOT_READY", "call again in a second"),
            Self::Full => {
                (StatusCode::SERVICE_UNAVAILABLE, "FULL", "call again when answers have been judged")
            }
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "BUSY", "call again in a second"),
            Self::Disk => (StatusCode::SERVICE_UNAVAILABLE, "NOT_WRITTEN", "call again with the same bytes"),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, code, cure) = self.told();
        (status, axum::Json(json!({ "code": code, "cure": cure }))).into_response()
    }
}

async fn hear(With(desk): With<Arc<Desk>>, request: Request) -> Response {
    match taken(&desk, request).await {
        Ok(id) => {
            info!(reservation = %id, "the custodian has called an answer in");
            StatusCode::ACCEPTED.into_response()
        }
        Err(refused) => {
            let (_, code, _) = refused.told();
            warn!(code, "a call to the custodian's listener was turned away");
            refused.into_response()
        }
    }
}

/// The token before all else: without it no byte of the body is read.
async fn taken(desk: &Desk, request: Request) -> Result<ReservationId, Refused> {
    if !desk.token.admits(request.headers()) {
        return Err(Refused::Token);
    }
    let id = reservation(&request)?;
    let place = desk.places.clone().try_acquire_owned().map_err(|_| Refused::Busy)?;
    let bytes = body(request).await?;
    let inbox = desk.inbox.clone();
    // The place is held for as long as the file system is at work, whether or not the caller waits.
    let write = tokio::task::spawn_blocking(move || {
        let taken = inbox.take(id, &bytes);
        drop(place);
        taken
    });
    let Ok(Ok(written)) = tokio::time::timeout(WRITE_TIME, write).await else { return Err(Refused::Disk) };
    match written {
        Ok(Taken::Durable) => Ok(id),
        Ok(Taken::NotAwaited) => {
            warn!(reservation = %id, "an answer was called in for what nobody waits for; it is not kept");
            Err(Refused::Awaited)
        }
        Ok(Taken::TooEarly) => Err(Refused::Early),
        Ok(Taken::Full) => {
            warn!(reservation = %id, "the inbox of called-in answers is full");
            Err(Refused::Full)
        }
        Err(fault) => {
            warn!(reservation = %id, "an answer that was called in could not be written: {fault}");
            Err(Refused::Disk)
        }
    }
}

/// The very path, as it was sent: nothing decoded, nothing behind it.
fn reservation(request: &Request) -> Result<ReservationId, Refused> {
    let sent = request.uri().path_and_query().ok_or(Refused::Path)?.as_str();
    let id = sent.strip_prefix(PATH).and_then(|id| ReservationId::parse(id).ok()).ok_or(Refused::Path)?;
    if request.method() == Method::POST { Ok(id) } else { Err(Refused::Method) }
}

async fn body(request: Request) -> Result<Bytes, Refused> {
    match tokio::time::timeout(BODY_TIME, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(no)) if no.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Refused::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Refused::BrokenOff),
    }
}
