//! Owns the private listener: what the exchange's backend may ask of the enclave. Inner network and token only, never the public side.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, Request, State as With};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::auth::OwnToken;
use super::errors::Refused;
use super::told::{self, Told};
use super::{arrived, asked, query};
use crate::enclave::wire::tls::{self, Guests};
use crate::enclave::{Clock, Enclave, EnclaveFault};
use crate::withdrawal::{Seconds, VaspId};

/// Longest body that is read, in bytes.
pub const BODY_LEN_MAX: usize = 64 * 1024;
/// Most requests at work at the same time; more are told to come again.
const REQUESTS_MAX: usize = 256;
/// Longer than the longest wait for another VASP.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Where the listener is and whom it lets in.
pub struct Standing {
    /// The listener.
    pub listener: TcpListener,
    /// Who may connect, and how long an unused connection is kept.
    pub guests: Guests,
    /// The certificate; plain http without one.
    pub tls: Option<Arc<ServerConfig>>,
    /// What callers must show.
    pub token: OwnToken,
    /// The names of the VASPs, from the trust file.
    pub names: BTreeMap<VaspId, String>,
    /// The clock.
    pub now: Clock,
}

struct Desk {
    enclave: Arc<Enclave>,
    token: OwnToken,
    names: BTreeMap<VaspId, String>,
    places: Semaphore,
    now: Clock,
    since: Seconds,
}

/// Serves until told to stop, then lets open requests finish for a while.
pub async fn serve(enclave: Arc<Enclave>, standing: Standing, stop: CancellationToken) {
    let Standing { listener, guests, tls, token, names, now } = standing;
    let (places, since) = (Semaphore::new(REQUESTS_MAX), now());
    let desk = Arc::new(Desk { enclave, token, names, places, now, since });
    tls::serve_guests(guests, listener, tls, router(desk), stop).await;
}

fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/v1/vasps", get(vasps))
        .route("/v1/vasps/self", get(own))
        .route("/v1/verifications", post(user_order).get(search))
        .route("/v1/verifications/account", post(account_order))
        .route("/v1/verifications/tx", post(tx_report))
        .route("/v1/verifications/error", post(error_report))
        .route("/v1/verifications/tx/inquiry", post(inquiry))
        .route("/v1/verifications/{uuid}", get(verification))
        .route("/v1/deposits", post(deposit_seen).get(deposits))
        .route("/v1/deposits/{id}", get(deposit))
        .fallback(async || Refused::no_path())
        .method_not_allowed_fallback(async || Refused::no_method())
        .layer(from_fn_with_state(desk.clone(), let_in))
        // Outside the fence: whoever looks after the process holds no token.
        .route("/health", get(health))
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .with_state(desk)
}

/// The token, a place, and an end in time.
async fn let_in(With(desk): With<Arc<Desk>>, request: Request, next: Next) -> Response {
    if !desk.token.admits(request.headers()) {
        tracing::warn!("a request without the private listener's token was turned away");
        return Refused::unauthorized().into_response();
    }
    let Ok(_place) = desk.places.try_acquire() else { return Refused::busy().into_response() };
    let answer = tokio::time::timeout(ANSWER_TIME, next.run(request)).await;
    answer.unwrap_or_else(|_| Refused::late().into_response())
}

async fn health(With(desk): With<Arc<Desk>>) -> Response {
    let health = desk.enclave.health().await;
    let status = if health.database { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |well| if well { "UP" } else { "DOWN" };
    let body = serde_json::json!({
        "status": word(health.database), "relay": word(health.relay && health.registered), "waiting": health.waiting,
    });
    (status, axum::Json(body)).into_response()
}

type Answer = Result<Told, Refused>;
type Sent = Result<Bytes, BytesRejection>;

fn body(sent: Sent) -> Result<Bytes, Refused> {
    sent.map_err(|no| match no.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refused::too_large(),
        _ => Refused::new(StatusCode::BAD_REQUEST, "INVALID-PARAMETER", "the body broke off"),
    })
}

/// In a task of its own: a caller that hangs up leaves nothing half done.
async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, EnclaveFault>> + Send + 'static,
) -> Result<T, Refused> {
    match tokio::spawn(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Refused::internal()),
    }
}

async fn vasps(With(desk): With<Arc<Desk>>, RawQuery(query): RawQuery) -> Answer {
    let listed = match query::is_own_network(&query.unwrap_or_default())? {
        true => desk.enclave.vasps().await,
        false => Vec::new(),
    };
    told::vasps(&listed, |vasp| desk.names.get(&vasp).cloned(), desk.since)
}

async fn own(With(desk): With<Arc<Desk>>) -> Answer {
    told::own(desk.enclave.vasp())
}

async fn user_order(With(desk): With<Arc<Desk>>, sent: Sent) -> Answer {
    let order = asked::user_order(&body(sent)?, (desk.now)())?;
    let enclave = desk.enclave.clone();
    told::ordered(&whole(async move { enclave.order_user(order).await }).await?)
}

async fn account_order(With(desk): With<Arc<Desk>>, sent: Sent) -> Answer {
    let order = asked::account_order(&body(sent)?, (desk.now)())?;
    let enclave = desk.enclave.clone();
    told::account(&whole(async move { enclave.order_account(order).await }).await?)
}

async fn search(With(desk): With<Arc<Desk>>, RawQuery(query): RawQuery) -> Answer {
    told::page(&desk.enclave.search(&query::search(&query.unwrap_or_default())?).await?)
}

async fn verification(With(desk): With<Arc<Desk>>, Path(uuid): Path<String>) -> Answer {
    let record = desk.enclave.verification(&asked::uuid_of_path(&uuid)?).await?;
    told::record(&record.ok_or_else(Refused::not_found)?)
}

async fn tx_report(With(desk): With<Arc<Desk>>, sent: Sent) -> Answer {
    let report = asked::tx_report(&body(sent)?)?;
    let enclave = desk.enclave.clone();
    let work = async move { enclave.report_tx(&report.uuid, &report.tx_hash, report.vout.as_deref()).await };
    whole(work).await?;
    told::taken()
}

async fn error_report(With(desk): With<Arc<Desk>>, sent: Sent) -> Answer {
    let (uuid, report) = asked::error_report(&body(sent)?)?;
    let enclave = desk.enclave.clone();
    whole(async move { enclave.report_error(&uuid, &report).await }).await?;
    told::taken()
}

async fn deposit_seen(With(desk): With<Arc<Desk>>, sent: Sent) -> Answer {
    let seen = arrived::seen(&body(sent)?, (desk.now)())?;
    let enclave = desk.enclave.clone();
    let work = async move {
        match enclave.deposit_seen(seen).await {
            Err(EnclaveFault::Conflict) => Ok(None),
            handed_in => handed_in.map(Some),
        }
    };
    arrived::told(&whole(work).await?.ok_or_else(Refused::other_deposit)?)
}

async fn deposits(With(desk): With<Arc<Desk>>, RawQuery(query): RawQuery) -> Answer {
    arrived::all_told(&desk.enclave.deposits(&query::deposits(&query.unwrap_or_default())?).await?)
}

async fn deposit(With(desk): With<Arc<Desk>>, Path(id): Path<String>) -> Answer {
    let found = desk.enclave.deposit(arrived::id_of_path(&id)?).await?;
    arrived::told(&found.ok_or_else(Refused::no_deposit)?)
}

async fn inquiry(With(desk): With<Arc<Desk>>, sent: Sent) -> Answer {
    let uuid = asked::inquiry(&body(sent)?)?;
    let (enclave, of) = (desk.enclave.clone(), uuid.clone());
    let transfer = whole(async move { enclave.inquire(&of).await }).await?;
    told::transfer(&uuid, &transfer)
}
