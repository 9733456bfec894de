//! Owns the listener for the enclave server: its documented calls (the VASP API), passed on to the exchange's backend as they came, with
//! the backend's own token, and answered with the backend's own words. Only a whole 200 in its time is passed back.
//!
//! What is asked about transfers that the signer made is answered here: the backend never heard of their verifications.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State as With};
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rustls::ServerConfig;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::adapter::{Adapter, Office};
use crate::enclave::TransferStatus;
use crate::enclave::database::Telling;
use crate::enclave::exchange::auth::OwnToken;
use crate::enclave::exchange::client::{Places, SHORT_TIME, USER_TIME};
use crate::enclave::exchange::line::{Line, Place};
use crate::enclave::wire::tls::{self, Guests};

/// Longest body that is passed on, in bytes.
const BODY_LEN_MAX: usize = 64 * 1024;
/// Most calls at the same time.
const CALLS_MAX: usize = 256;

/// Where the listener is, whom it lets in, and whom it passes calls on to.
pub struct Standing {
    /// The listener.
    pub listener: TcpListener,
    /// Who may connect, and how long an unused connection is kept.
    pub guests: Guests,
    /// The certificate; plain http without one.
    pub tls: Option<Arc<ServerConfig>>,
    /// What the enclave server must show (`VEGA_VERIFICATION_AUTHORIZATION_TOKEN` there).
    pub token: OwnToken,
    /// The way to the backend.
    pub line: Line,
    /// Where the backend takes which call.
    pub places: Places,
}

struct Desk {
    office: Arc<Office>,
    token: OwnToken,
    line: Line,
    places: Places,
    seats: Semaphore,
}

/// Serves until told to stop, then lets open calls finish for a while.
pub fn serve(
    adapter: &Adapter,
    standing: Standing,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let Standing { listener, guests, tls, token, line, places } = standing;
    let desk = Desk { office: adapter.office(), token, line, places, seats: Semaphore::new(CALLS_MAX) };
    tls::serve_guests(guests, listener, tls, router(Arc::new(desk)), stop)
}

fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/verification/user", post(user))
        .route("/verification/account", post(account))
        .route("/verification/transaction", post(transaction))
        .route("/verification/callback", post(callback))
        .fallback(async || no(StatusCode::NOT_FOUND, "NOT-FOUND"))
        .layer(from_fn_with_state(desk.clone(), let_in))
        .route("/health", get(async || json_of(&json!({ "status": "UP" }))))
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .with_state(desk)
}

async fn let_in(With(desk): With<Arc<Desk>>, request: Request, next: Next) -> Response {
    if !desk.token.admits(request.headers()) {
        tracing::warn!("a call without the enclave server's token was turned away");
        return no(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    }
    let Ok(_seat) = desk.seats.try_acquire() else { return no(StatusCode::SERVICE_UNAVAILABLE, "BUSY") };
    next.run(request).await
}

type Sent = Result<Bytes, BytesRejection>;

async fn user(With(desk): With<Arc<Desk>>, sent: Sent) -> Response {
    desk.pass("user", &desk.places.user, sent, USER_TIME).await
}

async fn account(With(desk): With<Arc<Desk>>, sent: Sent) -> Response {
    desk.pass("account", &desk.places.account, sent, SHORT_TIME).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    verification_uuid: String,
}

async fn transaction(With(desk): With<Arc<Desk>>, sent: Sent) -> Response {
    let asked: Option<Asked> = sent.as_ref().ok().and_then(|body| serde_json::from_slice(body).ok());
    if let Some(asked) = asked {
        match desk.office.db.telling_of(&asked.verification_uuid).await {
            Ok(Some(telling)) => return json_of(&status_of(&asked.verification_uuid, telling.as_ref())),
            Ok(None) => {}
            Err(fault) => {
                tracing::error!(%fault, "the adapter's database does not answer");
                return no(StatusCode::SERVICE_UNAVAILABLE, "DATABASE-UNAVAILABLE");
            }
        }
    }
    desk.pass("transaction", &desk.places.transaction, sent, SHORT_TIME).await
}

async fn callback(With(desk): With<Arc<Desk>>, sent: Sent) -> Response {
    // Nothing in it is believed: whoever waits for a result asks for it now.
    desk.office.rung.notify_waiters();
    match &desk.places.callback {
        Some(place) => desk.pass("callback", place, sent, SHORT_TIME).await,
        None => json_of(&json!({ "result": true })),
    }
}

/// How far a transfer of the signer's has come, as the network asks for it.
fn status_of(uuid: &str, telling: Option<&Telling>) -> serde_json::Value {
    match telling {
        None => json!({ "verificationUuid": uuid, "transactionStatus": TransferStatus::Pending.as_str() }),
        Some(Telling::Tx { tx_hash, vout }) => json!({
            "verificationUuid": uuid, "transactionStatus": TransferStatus::Processing.as_str(),
            "txHash": tx_hash, "vout": vout.to_string(),
        }),
        Some(Telling::Error(_)) => {
            json!({ "verificationUuid": uuid, "transactionStatus": TransferStatus::Canceled.as_str() })
        }
    }
}

impl Desk {
    /// Passes a call on, and the answer back; neither is looked into.
    async fn pass(&self, call: &'static str, place: &Place, sent: Sent, time: Duration) -> Response {
        let body = match sent {
            Ok(body) => body,
            Err(bad) => return no(bad.status(), "INVALID-PARAMETER"),
        };
        let Ok(text) = std::str::from_utf8(&body) else {
            return no(StatusCode::BAD_REQUEST, "INVALID-PARAMETER");
        };
        match self.line.post(place, Zeroizing::new(text.to_owned()), time).await {
            Ok(answer) => ([(CONTENT_TYPE, "application/json")], Bytes::from_owner(answer)).into_response(),
            Err(fault) => {
                tracing::warn!(call, %fault, "the backend gave no usable answer to the enclave server");
                no(StatusCode::BAD_GATEWAY, "BACKEND-UNAVAILABLE")
            }
        }
    }
}

fn json_of(value: &serde_json::Value) -> Response {
    axum::Json(value).into_response()
}

fn no(status: StatusCode, code: &'static str) -> Response {
    (status, axum::Json(json!({ "code": code, "message": "see docs/travel-rule.md" }))).into_response()
}
