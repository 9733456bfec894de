//! Owns the public listener: what the relay may ask of this enclave. Lets nobody else in, and answers with codes only.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, OriginalUri, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;

use super::beneficiary;
use super::room::Room;
use super::wire::signed::Denied;
use super::wire::{BODY_LEN_MAX, Failure, KeyAsked, Parcel};

/// The routes of `docs/relay.md`, "what an enclave serves".
pub(super) fn router(room: Arc<Room>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/v1/inbound/keys", post(keys))
        .route("/v1/inbound/verifications", post(verifications))
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .with_state(room)
}

async fn health(State(room): State<Arc<Room>>) -> StatusCode {
    if room.db.is_well().await { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn keys(
    State(room): State<Arc<Room>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked: KeyAsked = match admit(&room, &method, uri.path(), &headers, &body) {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    match beneficiary::give_key(&room, &asked).await {
        Ok(key) => Json(key).into_response(),
        Err(error) => failure(StatusCode::UNPROCESSABLE_ENTITY, error),
    }
}

async fn verifications(
    State(room): State<Arc<Room>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let parcel: Parcel = match admit(&room, &method, uri.path(), &headers, &body) {
        Ok(parcel) => parcel,
        Err(answer) => return answer,
    };
    let Ok(_place) = room.inbound_places.try_acquire() else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "busy");
    };
    Json(beneficiary::receive(&room, &parcel).await).into_response()
}

fn admit<T: DeserializeOwned>(
    room: &Room,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<T, Response> {
    let admitted = room.gate.admit(method.as_str(), path, headers, body);
    admitted.map_err(|denied| {
        tracing::warn!(%denied, path, "a request that is not the relay's was turned away");
        let status =
            if denied == Denied::Busy { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::UNAUTHORIZED };
        failure(status, &denied.to_string())
    })?;
    serde_json::from_slice(body).map_err(|_| failure(StatusCode::BAD_REQUEST, "malformed"))
}

fn failure(status: StatusCode, error: &str) -> Response {
    (status, Json(Failure { error: error.to_owned() })).into_response()
}
