//! Owns what must be at hand before anything is asked: a key of the other VASP, believed, and a uuid of the relay.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use axum::http::Method;

use crate::enclave::EnclaveFault;
use crate::enclave::asking::round::Miss;
use crate::enclave::room::{CALL_TIME, Room};
use crate::enclave::wire::client::CallFault;
use crate::enclave::wire::key::{KeyType, SignedKey};
use crate::enclave::wire::letter::is_uuid;
use crate::enclave::wire::seal::PublicKey;
use crate::enclave::wire::{KeyAsked, UuidsAsked, UuidsGiven};
use crate::withdrawal::VaspId;

const UUIDS_AHEAD: usize = 64;
/// With fewer than these at hand more are fetched, before anybody has to wait for them.
const UUIDS_LEFT_MIN: usize = 32;

/// The counterparty's key from the cache, while it is young. Its signature is checked all the same.
pub(in crate::enclave) async fn cached_key(
    room: &Room,
    vasp: VaspId,
    purpose: (KeyType, &str),
) -> Result<Option<PublicKey>, EnclaveFault> {
    let identity = room.peers.get(&vasp).ok_or(EnclaveFault::VaspUnknown(vasp))?;
    let now = (room.now)();
    let Some((key, at)) = room.db.peer_key(vasp, purpose).await? else { return Ok(None) };
    let young = now.since(at).is_some_and(|age| age < room.limits.key_ttl_s);
    Ok(key.verify(identity, vasp, purpose, &room.limits.suites, now).ok().filter(|_| young))
}

/// The counterparty's key: from the cache, otherwise asked for.
pub(in crate::enclave) async fn peer_key(
    room: &Room,
    vasp: VaspId,
    purpose: (KeyType, &str),
) -> Result<PublicKey, Miss> {
    let identity = room.peers.get(&vasp).ok_or(EnclaveFault::VaspUnknown(vasp))?;
    let now = (room.now)();
    if let Some(public) = cached_key(room, vasp, purpose).await? {
        return Ok(public);
    }
    let asked = KeyAsked {
        from: room.vasp.to_string(),
        to: vasp.to_string(),
        key_type: purpose.0.as_str().to_owned(),
        identifier: purpose.1.to_owned(),
        suites: room.limits.suites.iter().map(|suite| suite.as_str().to_owned()).collect(),
    };
    let key: SignedKey = room.relay(Method::POST, "/v1/keys", CALL_TIME, &asked).await?;
    let public = key.verify(identity, vasp, purpose, &room.limits.suites, now)?;
    if purpose.0 != KeyType::PerVerification {
        room.db.peer_key_put(vasp, purpose, &key, now).await?;
    }
    Ok(public)
}

pub(in crate::enclave) async fn fresh_uuid(room: &Room) -> Result<String, Miss> {
    if let Some(uuid) = uuid_at_hand(room) {
        return Ok(uuid);
    }
    fetch_uuids(room).await?;
    uuid_at_hand(room).ok_or(Miss::Reply("the relay gave no uuid"))
}

async fn fetch_uuids(room: &Room) -> Result<(), CallFault> {
    let given: UuidsGiven =
        room.relay(Method::POST, "/v1/uuids", CALL_TIME, &UuidsAsked { count: UUIDS_AHEAD }).await?;
    let good = given.uuids.into_iter().filter(|uuid| is_uuid(uuid)).take(UUIDS_AHEAD);
    room.uuids.lock().unwrap_or_else(PoisonError::into_inner).extend(good);
    Ok(())
}

/// Fetches uuids in the background where few are left, once at a time. Where none are, whoever needs one fetches it.
pub(in crate::enclave) fn fetch_ahead(room: &Arc<Room>) {
    let left = room.uuids.lock().unwrap_or_else(PoisonError::into_inner).len();
    if !(1..UUIDS_LEFT_MIN).contains(&left) || room.fetching.swap(true, Ordering::Relaxed) {
        return;
    }
    let room = room.clone();
    tokio::spawn(async move {
        if let Err(fault) = fetch_uuids(&room).await {
            tracing::debug!(%fault, "the relay gave no uuids ahead");
        }
        room.fetching.store(false, Ordering::Relaxed);
    });
}

pub(in crate::enclave) fn uuid_at_hand(room: &Room) -> Option<String> {
    room.uuids.lock().unwrap_or_else(PoisonError::into_inner).pop()
}
