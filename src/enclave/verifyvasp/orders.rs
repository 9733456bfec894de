//! Owns our side of a verification: one for each request, written down before it is begun. Where nobody knows whether it was begun, it
//! is looked for before it is begun again; until it is found, nothing is cleared.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::adapter::{Office, away, hex};
use super::server::Miss;
use super::transfer::{SALT_LEN, body_of, iso, report};
use crate::enclave::answer::Reason;
use crate::enclave::asking::originator::CURE;
use crate::enclave::database::{OrderRow, OrderState, Telling};
use crate::enclave::ivms::Payload;
use crate::enclave::room::entropy;
use crate::enclave::screen::Screening;
use crate::enclave::{EnclaveFault, VerifyAsk, VerifyReply};
use crate::evidence::parse_report;
use crate::withdrawal::{Code, Invalid, Seconds, VaspId};

/// How often a result is asked for while somebody waits.
const POLL: Duration = Duration::from_millis(250);
/// How often a verification is looked for that may have been begun.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How long after the call a verification that cannot be found was never begun, in seconds: longer than an enclave server takes to
/// write one down, whose own calls end after five.
const BEGUN_S: u64 = 60;
/// How much earlier than by our clock the enclave server may have written it down, in seconds.
const CLOCKS_S: u64 = 3_600;
/// The shortest time between two questions about the same request, in seconds.
const RENEW_AGAIN_S: u64 = 10;

/// See [`crate::enclave::Door::verify`].
pub(super) async fn verify(office: &Office, mut ask: VerifyAsk) -> Result<VerifyReply, EnclaveFault> {
    let given = ask.payload.take().map(Zeroizing::new);
    if ask.check()? != office.server.names().own() {
        let cure = "name the asset that this enclave server is for";
        return Err(Invalid::new(
            Code::AssetUnknown,
            "asset",
            "is another one than the enclave server's",
            cure,
        )
        .into());
    }
    office.check_vasp(ask.beneficiary_vasp)?;
    let now = (office.now)();
    let payload = given.map(|bytes| Payload::parse(&bytes, now)).transpose()?;
    let until = Instant::now() + office.answer_wait;
    let turn = office.turn(&ask.request_digest);
    let Ok(_turn) = timeout_at(until, turn.lock()).await else { return Ok(VerifyReply::Pending) };
    let (mut order, is_new) = kept(office, &ask, payload.as_ref(), now).await?;
    if is_listed(office, &order).await? {
        return Ok(VerifyReply::Listed);
    }
    let is_old = is_old(&order, ask.fresh_since.map(|since| since.min(now)), now);
    if is_new {
        office.db.order_put(&order).await?;
    } else if is_old {
        begin_anew(office, &ask, &mut order, now).await?;
    }
    let has_waited = order.state != OrderState::Settled;
    let reply = until_settled(office, &mut order, until).await?;
    // The lists may have changed while the result was waited for.
    let is_given = has_waited && order.state == OrderState::Settled;
    if is_given && is_listed(office, &order).await? { Ok(VerifyReply::Listed) } else { Ok(reply) }
}

/// Whether a sanctions list, as it stands now, names anybody of an order. Where that cannot be found out, nobody is asked.
async fn is_listed(office: &Office, order: &OrderRow) -> Result<bool, EnclaveFault> {
    match office.screen_order(order).await {
        Screening::Clear => Ok(false),
        listed @ (Screening::AddressListed | Screening::NameListed) => {
            tracing::warn!(request = order.digest, ?listed, "a withdrawal met a sanctions list");
            Ok(true)
        }
        Screening::Unknown => Err(EnclaveFault::Unscreened),
    }
}

/// The order of that digest: the one written down before if it was about the same, otherwise a new one, not written down yet; and
/// whether it is.
async fn kept(
    office: &Office,
    ask: &VerifyAsk,
    payload: Option<&Payload>,
    now: Seconds,
) -> Result<(OrderRow, bool), EnclaveFault> {
    let found = office.db.order(&ask.request_digest).await?;
    let print = payload.map(|payload| hex(&office.db.vault().fingerprint(&payload.canonical())));
    match (found, print) {
        (Some(order), None) => Ok((order, false)),
        (Some(order), Some(print)) if order.fingerprint == print => Ok((order, false)),
        (Some(_), Some(_)) => Err(EnclaveFault::Conflict),
        (None, _) => Ok((laid_out(office, ask, payload, now)?, true)),
    }
}

/// A new order. The network verifies persons only, and wants to know what the transfer is worth.
fn laid_out(
    office: &Office,
    ask: &VerifyAsk,
    payload: Option<&Payload>,
    now: Seconds,
) -> Result<OrderRow, EnclaveFault> {
    let no = |code, problem| EnclaveFault::Invalid(Invalid::new(code, "payload", problem, CURE));
    let payload =
        payload.ok_or_else(|| no(Code::FieldMissing, "is needed: this network verifies persons"))?;
    payload.demand_order(true)?;
    if payload.account() != ask.destination {
        return Err(no(Code::IvmsMalformed, "names another account than the destination"));
    }
    let value = ask.value.ok_or(EnclaveFault::Unvalued)?;
    let canonical = payload.canonical();
    let salt = entropy::<SALT_LEN>()?;
    let mut personal = Zeroizing::new(Vec::with_capacity(SALT_LEN + canonical.len()));
    personal.extend_from_slice(&*salt);
    personal.extend_from_slice(canonical.as_bytes());
    Ok(OrderRow {
        digest: ask.request_digest.clone(),
        fingerprint: hex(&office.db.vault().fingerprint(&canonical)),
        vasp: ask.beneficiary_vasp.0,
        destination: ask.destination.clone(),
        amount: ask.amount.to_string(),
        krw: value.0.to_string(),
        trade_ms: office.next_trade_ms(),
        state: OrderState::New,
        uuid: None,
        asked_at: now.0,
        sent_at: 0,
        expires_at: now.plus(office.expiry_s).0,
        report: None,
        telling: None,
        personal,
    })
}

/// Whether the kept yes or no was given too long ago, and was not asked for just now. Of what was told already nothing is asked again.
fn is_old(order: &OrderRow, since: Option<Seconds>, now: Seconds) -> bool {
    let given_at =
        order.report.as_deref().and_then(|text| parse_report(text).ok()).map(|r| r.said.answered_at);
    let settled = now.since(Seconds(order.asked_at)).is_some_and(|age| age >= RENEW_AGAIN_S);
    let is_over = order.telling.is_some();
    order.state == OrderState::Settled
        && settled
        && !is_over
        && given_at.is_some_and(|at| since.is_some_and(|s| at < s))
}

/// Lets a settled order begin again, under a new verification. The old report stays until the new one has come; the network is told
/// that of the old verification no transfer comes, or it would hold two for one.
async fn begin_anew(
    office: &Office,
    ask: &VerifyAsk,
    order: &mut OrderRow,
    now: Seconds,
) -> Result<(), EnclaveFault> {
    order.krw = ask.value.ok_or(EnclaveFault::Unvalued)?.0.to_string();
    order.trade_ms = office.next_trade_ms();
    order.state = OrderState::New;
    order.asked_at = now.0;
    order.expires_at = now.plus(office.expiry_s).0;
    let former = order.uuid.take().ok_or(EnclaveFault::Unknown)?;
    let telling = Telling::Error(Reason::UndefinedError.as_str().to_owned());
    office.db.order_put_telling(order, (&former, &telling), now).await?;
    office.told.notify_one();
    Ok(())
}

/// Takes an order as far as it goes within the time.
async fn until_settled(
    office: &Office,
    order: &mut OrderRow,
    until: Instant,
) -> Result<VerifyReply, EnclaveFault> {
    loop {
        let pause = match order.state {
            OrderState::Settled => {
                let report_text = order.report.clone().ok_or(EnclaveFault::Unknown)?;
                return Ok(VerifyReply::Reported { report_text });
            }
            OrderState::Expired => return Ok(VerifyReply::Expired),
            _ if (office.now)().0 > order.expires_at => {
                order.state = OrderState::Expired;
                office.db.order_put(order).await?;
                continue;
            }
            OrderState::New => begin(office, order).await?,
            OrderState::Asking => find(office, order).await?,
            OrderState::Waiting => hear(office, order).await?,
        };
        let Some(pause) = pause else { continue };
        if Instant::now() + pause >= until {
            sleep_until(until).await;
            return Ok(VerifyReply::Pending);
        }
        // A callback of the enclave server cuts the waiting short.
        let _ = tokio::time::timeout(pause, office.rung.notified()).await;
    }
}

/// Has the verification begun. It is written down first that it may have been.
async fn begin(office: &Office, order: &mut OrderRow) -> Result<Option<Duration>, EnclaveFault> {
    if !office.is_up(VaspId(order.vasp)).await? {
        return Ok(Some(LOOK_AGAIN));
    }
    let body = body_of(office, order)?;
    order.state = OrderState::Asking;
    order.sent_at = (office.now)().0;
    office.db.order_put(order).await?;
    let begun = office.server.order(body).await;
    match begun {
        Ok(uuid) => waits(office, order, uuid).await,
        Err(Miss::Unknown(why)) => {
            tracing::warn!(request = order.digest, why, "nobody knows whether a verification was begun");
            Ok(Some(LOOK_AGAIN))
        }
        Err(miss @ (Miss::NotSent | Miss::Refused(..))) => {
            order.state = OrderState::New;
            office.db.order_put(order).await?;
            Err(refused(&miss))
        }
    }
}

/// A definite no. What is wrong with the order itself is for good; everything else is tried again.
fn refused(miss: &Miss) -> EnclaveFault {
    match miss {
        Miss::Refused(400 | 413 | 415 | 422, code) => {
            let problem = format!("is refused by the enclave server: {code}");
            Invalid::new(Code::FieldMalformed, "payload", problem, CURE).into()
        }
        miss => away(miss),
    }
}

async fn waits(office: &Office, order: &mut OrderRow, uuid: Uuid) -> Result<Option<Duration>, EnclaveFault> {
    order.state = OrderState::Waiting;
    order.uuid = Some(uuid.hyphenated().to_string());
    office.db.order_put(order).await?;
    Ok(None)
}

/// Looks for a verification that may have been begun: the one with this order's moment of valuing.
pub(super) async fn find(office: &Office, order: &mut OrderRow) -> Result<Option<Duration>, EnclaveFault> {
    let from = iso(i64::try_from(order.sent_at.saturating_sub(CLOCKS_S)).unwrap_or(0).saturating_mul(1_000));
    let vasp = order.vasp.to_string();
    let sent = match office.server.sent(&vasp, &order.destination, &from).await {
        Ok(sent) => sent,
        Err(miss) => {
            tracing::warn!(request = order.digest, %miss, "a verification cannot be looked for");
            return Ok(Some(LOOK_AGAIN));
        }
    };
    let mut ours = sent.iter().filter(|item| item.trade_ms() == Some(order.trade_ms));
    match (ours.next(), ours.next()) {
        (Some(item), None) => match item.uuid() {
            Ok(uuid) => waits(office, order, uuid).await,
            Err(_) => Ok(Some(LOOK_AGAIN)),
        },
        (Some(_), Some(_)) => {
            tracing::error!(request = order.digest, "two verifications were begun for one request");
            Ok(Some(LOOK_AGAIN))
        }
        (None, _) if (office.now)().0 > order.sent_at.saturating_add(BEGUN_S) => {
            order.state = OrderState::New;
            office.db.order_put(order).await?;
            Ok(None)
        }
        (None, _) => Ok(Some(LOOK_AGAIN)),
    }
}

/// Asks how a verification stands.
async fn hear(office: &Office, order: &mut OrderRow) -> Result<Option<Duration>, EnclaveFault> {
    let uuid = order.uuid.as_deref().and_then(|uuid| Uuid::try_parse(uuid).ok());
    let uuid = uuid.ok_or(EnclaveFault::Unknown)?;
    match office.server.said(uuid).await {
        Ok(said) => match report(office, order, &said)? {
            Some(text) => {
                order.report = Some(text);
                order.state = OrderState::Settled;
                office.db.order_put(order).await?;
                Ok(None)
            }
            None => Ok(Some(POLL)),
        },
        Err(miss) => {
            tracing::warn!(%uuid, %miss, "the enclave server does not say how a verification stands");
            Ok(Some(LOOK_AGAIN))
        }
    }
}
