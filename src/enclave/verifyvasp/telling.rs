//! Owns telling the network what became of verified transfers: it is written down, and told until the enclave server has it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use super::adapter::{Office, TURN_TIME};
use super::orders;
use super::server::{Miss, NO_CODE};
use crate::enclave::EnclaveFault;
use crate::enclave::answer::Decision;
use crate::enclave::database::{DatabaseFault, DueTelling, OrderRow, OrderState, Telling};
use crate::enclave::door::{Tell, TellAsk};
use crate::evidence::{RouteAnswer, parse_report};

/// How often is looked for what is to be told.
const TICK: Duration = Duration::from_secs(1);
/// The longest pause between two tries, in seconds.
const PAUSE_S_MAX: u64 = 600;
/// How long something is tried to be told, in seconds.
const TELL_S_MAX: u64 = 86_400;
/// How long where the enclave server refuses it in its own words, in seconds: it may only just have written the verification down.
const REFUSED_S_MAX: u64 = 600;
/// How much is told in one go.
const AT_ONCE: u32 = 64;

/// Writes down what is to be told of one transfer. The same again changes nothing. A verified one that is being verified anew can end.
pub(super) async fn tell_of(office: &Office, ask: &TellAsk) -> Result<(), EnclaveFault> {
    let turn = office.turn(&ask.request_digest);
    let _turn = timeout(TURN_TIME, turn.lock())
        .await
        .map_err(|_| EnclaveFault::away("another question about the same withdrawal is not answered"))?;
    let order = office.db.order(&ask.request_digest).await?.ok_or(EnclaveFault::Unknown)?;
    let telling = match &ask.tell {
        Tell::Tx { tx_hash, vout, .. } => Telling::Tx { tx_hash: tx_hash.clone(), vout: *vout },
        Tell::Error(reason) => Telling::Error(reason.as_str().to_owned()),
    };
    if order.telling.as_ref() == Some(&telling) {
        return Ok(());
    }
    match (order.state, &telling) {
        _ if !is_verified(&order) => return Err(EnclaveFault::State("it is not verified")),
        (OrderState::Settled, _) => {}
        (_, Telling::Error(_)) => return give_up(office, order, telling).await,
        (_, Telling::Tx { .. }) => return Err(EnclaveFault::State("it is not verified")),
    }
    match (&order.telling, &telling) {
        (Some(Telling::Error(_)), _) => return Err(EnclaveFault::State("it is not verified")),
        (Some(Telling::Tx { tx_hash: told, .. }), Telling::Tx { .. }) if !replaces(&ask.tell, told) => {
            return Err(EnclaveFault::State("another transaction was reported"));
        }
        (Some(Telling::Tx { .. }), _) | (None, _) => {}
    }
    put(office, order, telling).await
}

/// Ends what was verified and is being verified anew. What was begun is told once it has its result; what was not, never begins.
async fn give_up(office: &Office, mut order: OrderRow, telling: Telling) -> Result<(), EnclaveFault> {
    if order.state == OrderState::Asking {
        orders::find(office, &mut order).await?;
    }
    match order.state {
        OrderState::Asking => {
            return Err(EnclaveFault::away("nobody knows whether it is being verified anew"));
        }
        OrderState::New => order.state = OrderState::Expired,
        OrderState::Waiting | OrderState::Settled | OrderState::Expired => {}
    }
    put(office, order, telling).await
}

/// Writes down what became of an order, and that its verification, if there is one, is to be told.
async fn put(office: &Office, mut order: OrderRow, telling: Telling) -> Result<(), EnclaveFault> {
    order.telling = Some(telling.clone());
    match order.uuid.clone() {
        Some(uuid) => office.db.order_put_telling(&order, (&uuid, &telling), (office.now)()).await?,
        None => office.db.order_put(&order).await?,
    }
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
    loop {
        if let Err(fault) = tell_due(&office).await {
            tracing::error!(%fault, "the adapter's database does not answer");
        }
        let _ = timeout(TICK, office.told.notified()).await;
    }
}

async fn tell_due(office: &Office) -> Result<(), DatabaseFault> {
    for due in office.db.tellings_due((office.now)(), AT_ONCE).await? {
        let told = match Uuid::try_parse(&due.uuid) {
            Ok(uuid) => say(office, uuid, &due.telling).await,
            Err(_) => Err(Miss::Unknown("it has no uuid")),
        };
        told_or_again(office, &due, told).await?;
    }
    Ok(())
}

/// Writes down that it need not be told again, or when it is: after as long as it has waited already, up to a bound.
async fn told_or_again(
    office: &Office,
    due: &DueTelling,
    told: Result<bool, Miss>,
) -> Result<(), DatabaseFault> {
    let now = (office.now)();
    let age = now.since(due.since).unwrap_or_default();
    match told {
        Ok(true) => return office.db.telling_done(due).await,
        told if age > time_of(&told) => {
            tracing::error!(
                uuid = due.uuid,
                ?told,
                "the enclave server did not take a report for too long; it is given up"
            );
            return office.db.telling_done(due).await;
        }
        Ok(false) => {}
        Err(miss) => {
            tracing::warn!(uuid = due.uuid, %miss, "the enclave server did not take a report; it is tried again");
        }
    }
    office.db.telling_put_off(due, now.plus(age.clamp(1, PAUSE_S_MAX))).await
}

/// How long something is tried to be told, in seconds.
fn time_of(told: &Result<bool, Miss>) -> u64 {
    match told {
        Err(Miss::Refused(400 | 404 | 413 | 415 | 422, code)) if code != NO_CODE => REFUSED_S_MAX,
        Ok(_) | Err(_) => TELL_S_MAX,
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
        Telling::Error(reason) => match item.read(office.server.url(), office.server.names()) {
            // It may still be verified.
            Ok(RouteAnswer { result: None, .. }) => Ok(false),
            Ok(RouteAnswer { result: Some(Decision::Denied | Decision::Error), .. }) => Ok(true),
            Ok(_) | Err(_) => {
                let body = json!({ "verificationUuid": name, "result": "ERROR", "reason": reason });
                office.server.report("/v1/verifications/error", &body).await
            }
        },
    }
}
