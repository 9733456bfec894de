//! Owns telling the network what became of verified transfers: it is written down, and told until the enclave server has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use super::adapter::{Office, TURN_TIME};
use super::server::Miss;
use crate::enclave::EnclaveFault;
use crate::enclave::answer::Decision;
use crate::enclave::database::{OrderRow, OrderState, Telling};
use crate::enclave::door::{Tell, TellAsk};
use crate::evidence::parse_report;

/// How often is looked for what is to be told.
const TICK: Duration = Duration::from_secs(1);
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// How long something is tried to be told, in seconds.
const TELL_S_MAX: u64 = 86_400;
/// How much is told in one go.
const AT_ONCE: u32 = 64;

/// Writes down what is to be told of one transfer. The same again changes nothing.
pub(super) async fn tell_of(office: &Office, ask: &TellAsk) -> Result<(), EnclaveFault> {
    let turn = office.turn(&ask.request_digest);
    let _turn = timeout(TURN_TIME, turn.lock())
        .await
        .map_err(|_| EnclaveFault::away("another question about the same withdrawal is not answered"))?;
    let mut order = office.db.order(&ask.request_digest).await?.ok_or(EnclaveFault::Unknown)?;
    let telling = match &ask.tell {
        Tell::Tx { tx_hash, vout, .. } => Telling::Tx { tx_hash: tx_hash.clone(), vout: *vout },
        Tell::Error(reason) => Telling::Error(reason.as_str().to_owned()),
    };
    if order.telling.as_ref() == Some(&telling) {
        return Ok(());
    }
    if order.state != OrderState::Settled || !is_verified(&order) {
        return Err(EnclaveFault::State("it is not verified"));
    }
    match (&order.telling, &telling) {
        (Some(Telling::Error(_)), _) => return Err(EnclaveFault::State("it is not verified")),
        (Some(Telling::Tx { tx_hash: told, .. }), Telling::Tx { .. }) if !replaces(&ask.tell, told) => {
            return Err(EnclaveFault::State("another transaction was reported"));
        }
        (Some(Telling::Tx { .. }), _) | (None, _) => {}
    }
    order.telling = Some(telling);
    order.untold = true;
    order.tell_at = (office.now)().0;
    office.db.order_put(&order).await?;
    office.told.notify_one();
    Ok(())
}

fn replaces(tell: &Tell, told: &str) -> bool {
    matches!(tell, Tell::Tx { replaces, .. } if replaces.iter().any(|old| old == told))
}

fn is_verified(order: &OrderRow) -> bool {
    let report = order.report.as_deref().and_then(|text| parse_report(text).ok());
    report.is_some_and(|report| report.said.result == Decision::Verified)
}

/// Tells what is to be told, for ever.
pub(super) async fn work(office: Arc<Office>) {
    let mut tried: HashMap<String, (Instant, Duration)> = HashMap::new();
    loop {
        match office.db.orders_untold(AT_ONCE).await {
            Ok(orders) => {
                tried.retain(|digest, _| orders.iter().any(|order| order.digest == *digest));
                for order in orders {
                    let due = tried.get(&order.digest).is_none_or(|(at, pause)| at.elapsed() >= *pause);
                    if due && !tell(&office, &order.digest).await {
                        let pause =
                            tried.get(&order.digest).map_or(TICK, |(_, pause)| pause.saturating_mul(2));
                        tried.insert(order.digest, (Instant::now(), pause.min(PAUSE_MAX)));
                    }
                }
            }
            Err(fault) => tracing::error!(%fault, "the adapter's database does not answer"),
        }
        let _ = timeout(TICK, office.told.notified()).await;
    }
}

/// Tells one; whether it need not be told again.
async fn tell(office: &Office, digest: &str) -> bool {
    let turn = office.turn(digest);
    let Ok(_turn) = timeout(TURN_TIME, turn.lock()).await else { return false };
    let Ok(Some(mut order)) = office.db.order(digest).await else { return false };
    let (Some(telling), true) = (order.telling.clone(), order.untold) else { return true };
    let uuid = order.uuid.as_deref().and_then(|uuid| Uuid::try_parse(uuid).ok());
    let told = match uuid {
        Some(uuid) => say(office, uuid, &telling).await,
        None => Ok(false),
    };
    let late = (office.now)().0 > order.tell_at.saturating_add(TELL_S_MAX);
    match told {
        Ok(true) => {}
        Ok(false) | Err(_) if late => {
            tracing::error!(
                uuid = order.uuid,
                "the enclave server did not take a report for a day; it is given up"
            );
        }
        Ok(false) => return false,
        Err(miss) => {
            tracing::warn!(uuid = order.uuid, %miss, "the enclave server did not take a report; it is tried again");
            return false;
        }
    }
    order.untold = false;
    match office.db.order_put(&order).await {
        Ok(()) => true,
        Err(fault) => {
            tracing::error!(%fault, "the adapter's database does not answer");
            false
        }
    }
}

/// Says it, unless it is known there already: an answer may have been lost.
async fn say(office: &Office, uuid: Uuid, telling: &Telling) -> Result<bool, Miss> {
    let item = office.server.item(uuid).await?;
    let name = uuid.hyphenated().to_string();
    match telling {
        Telling::Tx { tx_hash, .. } if item.tx_hash() == Some(tx_hash) => Ok(true),
        Telling::Tx { tx_hash, vout } => {
            let body = json!({ "verificationUuid": name, "txHash": tx_hash, "vout": vout.to_string() });
            office.server.report("/v1/verifications/tx", &body).await
        }
        Telling::Error(_) if is_error(office, &item) => Ok(true),
        Telling::Error(reason) => {
            let body = json!({ "verificationUuid": name, "result": "ERROR", "reason": reason });
            office.server.report("/v1/verifications/error", &body).await
        }
    }
}

fn is_error(office: &Office, item: &super::said::Item) -> bool {
    item.read(office.server.url(), office.server.names())
        .is_ok_and(|said| said.result == Some(Decision::Error))
}
