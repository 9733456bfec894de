//! Owns the relay's listener: what members may ask. Every request is signed; every answer is a message of `docs/relay.md` or a code.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, OriginalUri, Path, Query, State as With};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use ed25519_dalek::SigningKey;
use rustls::RootCertStore;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::config::{Config, ConfigFault, is_endpoint};
use super::deliver::Courier;
use super::mark::Marker;
use super::state::{Mood, State};
use crate::enclave::Clock;
use crate::enclave::wire::client::{CallFault, Client};
use crate::enclave::wire::key::SignedKey;
use crate::enclave::wire::signed::{Denied, Gate, Sender};
use crate::enclave::wire::tls::{self, Identity};
use crate::enclave::wire::{
    BODY_LEN_MAX, Endpoint, Failure, Fate, KeyAsked, Parcel, UUIDS_MAX, UuidsAsked, UuidsGiven, Vasp,
    WAIT_MS_MAX,
};

const NAME: &str = "relay";

/// The relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RelayFault {
    /// Its configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigFault),
    /// Its certificate or key cannot be used.
    #[error("the relay's certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// Its client cannot be set up.
    #[error(transparent)]
    Client(#[from] CallFault),
}

/// What the relay is and whom it believes.
pub struct Standing {
    /// Its Ed25519 key; the enclaves pin its public half.
    pub key: SigningKey,
    /// The certificate of its listener.
    pub tls: Identity,
    /// The roots that the enclaves' certificates must lead to.
    pub roots: RootCertStore,
    /// The clock.
    pub now: Clock,
}

struct Desk {
    gate: Gate,
    state: Arc<State>,
    courier: Arc<Courier>,
    now: Clock,
}

/// Serves until `shutdown` is cancelled; open requests may finish for a while. What it carried is then gone: enclaves send it again.
pub async fn serve(
    config: Config,
    standing: Standing,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), RelayFault> {
    let gate = Gate::new(NAME.to_owned(), config.keys()?, standing.now.clone());
    let tls = tls::server_config(standing.tls)?;
    let marker = Marker::new(standing.key.as_bytes());
    let sender = Sender::new(NAME.to_owned(), standing.key, standing.now.clone());
    let state = Arc::new(State::new(config, marker));
    let client = Client::new(standing.roots, sender)?;
    let courier = Arc::new(Courier { state: state.clone(), client, now: standing.now.clone() });
    let watching = courier.clone();
    let watching = shutdown.clone().run_until_cancelled_owned(async move { watching.watch().await });
    let watching = tokio::spawn(watching);
    let desk = Arc::new(Desk { gate, state, courier, now: standing.now });
    tls::serve(listener, tls, router(desk), shutdown).await;
    let _ = watching.await;
    Ok(())
}

fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/health", get(|| async { StatusCode::OK }))
        .route("/v1/endpoint", put(endpoint))
        .route("/v1/vasps", get(vasps))
        .route("/v1/uuids", post(uuids))
        .route("/v1/keys", post(keys))
        .route("/v1/verifications", post(verifications))
        .route("/v1/verifications/{uuid}", delete(done))
        .route("/v1/reports", post(reports))
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .with_state(desk)
}

type Failed = (StatusCode, Json<Failure>);

/// One admitted request.
struct Admitted<T> {
    from: String,
    message: T,
}

impl Desk {
    fn admit<T: DeserializeOwned>(
        &self,
        method: &Method,
        uri: &OriginalUri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Admitted<T>, Failed> {
        let path = uri.0.path_and_query().map_or("", |p| p.as_str());
        let from = self.gate.admit(method.as_str(), path, headers, body).map_err(|denied| {
            let busy = denied == Denied::Busy;
            let status = if busy { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::UNAUTHORIZED };
            failure(status, &denied.to_string())
        })?;
        let body = if body.is_empty() { b"null" } else { body };
        let message =
            serde_json::from_slice(body).map_err(|_| failure(StatusCode::BAD_REQUEST, "malformed"))?;
        Ok(Admitted { from, message })
    }
}

type Asked = (Method, OriginalUri, HeaderMap, Bytes);

impl Desk {
    /// A member's own parcel to another member.
    fn admit_parcel(&self, (method, uri, headers, body): Asked) -> Result<Parcel, Failed> {
        let Admitted { from, message: parcel } = self.admit::<Parcel>(&method, &uri, &headers, &body)?;
        if parcel.from != from || !self.state.is_member(&parcel.to) {
            return Err(failure(StatusCode::UNPROCESSABLE_ENTITY, "vasp_unknown"));
        }
        Ok(parcel)
    }
}

async fn endpoint(
    With(desk): With<Arc<Desk>>,
    (method, uri, headers, body): Asked,
) -> Result<Json<Value>, Failed> {
    let admitted: Admitted<Endpoint> = desk.admit(&method, &uri, &headers, &body)?;
    if !is_endpoint(&admitted.message.endpoint) {
        return Err(failure(StatusCode::BAD_REQUEST, "malformed"));
    }
    let registered = desk.state.register(&admitted.from, &admitted.message.endpoint);
    registered.map(|()| Json(Value::Null)).map_err(|error| failure(StatusCode::FORBIDDEN, error))
}

async fn vasps(
    With(desk): With<Arc<Desk>>,
    (method, uri, headers, body): Asked,
) -> Result<Json<Vec<Vasp>>, Failed> {
    let _: Admitted<Value> = desk.admit(&method, &uri, &headers, &body)?;
    let line = |(vasp, mood): (String, Mood)| Vasp { vasp, health: mood.as_str().to_owned() };
    Ok(Json(desk.state.members().into_iter().map(line).collect()))
}

async fn uuids(
    With(desk): With<Arc<Desk>>,
    (method, uri, headers, body): Asked,
) -> Result<Json<UuidsGiven>, Failed> {
    let admitted: Admitted<UuidsAsked> = desk.admit(&method, &uri, &headers, &body)?;
    if !(1..=UUIDS_MAX).contains(&admitted.message.count) {
        return Err(failure(StatusCode::BAD_REQUEST, "malformed"));
    }
    Ok(Json(UuidsGiven { uuids: desk.state.give_uuids(&admitted.from, admitted.message.count) }))
}

async fn keys(
    With(desk): With<Arc<Desk>>,
    (method, uri, headers, body): Asked,
) -> Result<Json<SignedKey>, Failed> {
    let admitted: Admitted<KeyAsked> = desk.admit(&method, &uri, &headers, &body)?;
    let asked = admitted.message;
    if asked.from != admitted.from || !desk.state.is_member(&asked.to) {
        return Err(failure(StatusCode::UNPROCESSABLE_ENTITY, "vasp_unknown"));
    }
    match desk.courier.call::<_, SignedKey>(&asked.to, "/v1/inbound/keys", &asked).await {
        Ok(key) => Ok(Json(key)),
        Err(CallFault::Refused { error, .. }) => Err(failure(StatusCode::UNPROCESSABLE_ENTITY, &error)),
        Err(_) => Err(failure(StatusCode::BAD_GATEWAY, "unreachable")),
    }
}

#[derive(Deserialize)]
struct Patience {
    #[serde(default)]
    wait_ms: u64,
}

async fn verifications(
    With(desk): With<Arc<Desk>>,
    Query(patience): Query<Patience>,
    asked: Asked,
) -> Result<Json<Fate>, Failed> {
    let parcel = desk.admit_parcel(asked)?;
    let at_once = parcel.kind == "account";
    let (carried, is_new) = desk.state.take_in(parcel, (desk.now)()).map_err(|error| match error {
        "busy" => failure(StatusCode::SERVICE_UNAVAILABLE, error),
        _ => failure(StatusCode::CONFLICT, error),
    })?;
    if at_once {
        return Ok(Json(desk.courier.bring(&carried).await));
    }
    if is_new {
        let (courier, carried) = (desk.courier.clone(), carried.clone());
        tokio::spawn(async move { courier.carry(carried).await });
    }
    let mut fate = carried.fate.subscribe();
    let wait = Duration::from_millis(patience.wait_ms.min(WAIT_MS_MAX));
    let _ = tokio::time::timeout(wait, fate.wait_for(|fate| !matches!(fate, Fate::Waiting))).await;
    Ok(Json(fate.borrow().clone()))
}

/// Hands a report or an inquiry through while its sender waits; keeps nothing of it.
async fn reports(With(desk): With<Arc<Desk>>, asked: Asked) -> Result<Json<Fate>, Failed> {
    let parcel = desk.admit_parcel(asked)?;
    // The uuid is the originating VASP's: it reports, and is inquired of.
    let owner = match parcel.kind.as_str() {
        "report" => &parcel.from,
        "inquiry" => &parcel.to,
        _ => return Err(failure(StatusCode::BAD_REQUEST, "malformed")),
    };
    if !desk.state.is_uuid_of(owner, &parcel.uuid) {
        return Err(failure(StatusCode::CONFLICT, "uuid_unknown"));
    }
    match desk.courier.call::<_, Fate>(&parcel.to, "/v1/inbound/reports", &parcel).await {
        Ok(fate) => Ok(Json(fate)),
        Err(CallFault::Refused { status: 503, .. }) => Ok(Json(Fate::Waiting)),
        Err(_) => Err(failure(StatusCode::BAD_GATEWAY, "unreachable")),
    }
}

async fn done(
    With(desk): With<Arc<Desk>>,
    Path(uuid): Path<String>,
    (method, uri, headers, body): Asked,
) -> Result<Json<Value>, Failed> {
    let admitted: Admitted<Value> = desk.admit(&method, &uri, &headers, &body)?;
    desk.state.drop_parcel(&admitted.from, &uuid);
    Ok(Json(Value::Null))
}

fn failure(status: StatusCode, error: &str) -> Failed {
    (status, Json(Failure { error: error.to_owned() }))
}
