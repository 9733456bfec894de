//! Owns the public listener: what the relay may ask of this enclave. Lets nobody else in, and answers with codes only.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, OriginalUri, State as With};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use tokio::sync::SemaphorePermit;

use super::{beneficiary, told};
use crate::enclave::room::Room;
use crate::enclave::wire::key::SignedKey;
use crate::enclave::wire::signed::Denied;
use crate::enclave::wire::{BODY_LEN_MAX, Failure, Fate, KeyAsked, Parcel};

/// The routes of `docs/relay.md`, "what an enclave serves".
pub(in crate::enclave) fn router(room: Arc<Room>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/v1/inbound/keys", post(keys))
        .route("/v1/inbound/verifications", post(verifications))
        .route("/v1/inbound/reports", post(reports))
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .with_state(room)
}

async fn health(With(room): With<Arc<Room>>) -> StatusCode {
    if room.db.is_well().await { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

type Failed = (StatusCode, Json<Failure>);

type Asked = (Method, OriginalUri, HeaderMap, Bytes);

async fn keys(With(room): With<Arc<Room>>, asked: Asked) -> Result<Json<SignedKey>, Failed> {
    let (asked, _place): (KeyAsked, _) = let_in(&room, &asked)?;
    let key = beneficiary::give_key(&room, &asked).await;
    key.map(Json).map_err(|error| failure(StatusCode::UNPROCESSABLE_ENTITY, error))
}

async fn verifications(With(room): With<Arc<Room>>, asked: Asked) -> Result<Json<Fate>, Failed> {
    let (parcel, _place): (Parcel, _) = let_in(&room, &asked)?;
    Ok(Json(beneficiary::receive(&room, &parcel).await))
}

async fn reports(With(room): With<Arc<Room>>, asked: Asked) -> Result<Json<Fate>, Failed> {
    let (parcel, _place): (Parcel, _) = let_in(&room, &asked)?;
    Ok(Json(told::receive(&room, &parcel).await))
}

/// What the relay asks, and one of the bounded places for it.
fn let_in<'a, T: DeserializeOwned>(
    room: &'a Room,
    (method, OriginalUri(uri), headers, body): &Asked,
) -> Result<(T, SemaphorePermit<'a>), Failed> {
    Ok((admit(room, method, uri.path(), headers, body)?, place(room)?))
}

/// One of the bounded places for what the relay brings.
fn place(room: &Room) -> Result<SemaphorePermit<'_>, Failed> {
    room.inbound_places.try_acquire().map_err(|_| failure(StatusCode::SERVICE_UNAVAILABLE, "busy"))
}

fn admit<T: DeserializeOwned>(
    room: &Room,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<T, Failed> {
    let admitted = room.gate.admit(method.as_str(), path, headers, body);
    admitted.map_err(|denied| {
        tracing::warn!(%denied, path, "a request that is not the relay's was turned away");
        let status =
            if denied == Denied::Busy { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::UNAUTHORIZED };
        failure(status, &denied.to_string())
    })?;
    serde_json::from_slice(body).map_err(|_| failure(StatusCode::BAD_REQUEST, "malformed"))
}

fn failure(status: StatusCode, error: &str) -> Failed {
    (status, Json(Failure { error: error.to_owned() }))
}
