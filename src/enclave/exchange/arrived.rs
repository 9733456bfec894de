//! Owns `/v1/deposits`, which is ours and not the network's: reading coins that the backend has seen, and telling what they belong to.

use serde::Serialize;

use super::asked::{NETWORK_LEN_MAX, NUMBER_LEN_MAX, SYMBOL_LEN_MAX, decimal, plain, tx};
use super::errors::Refused;
use super::fields::{Fields, Flaw, Wrong};
use super::told::Told;
use crate::enclave::{Deposit, DepositInquiry, DepositSeen};
use crate::withdrawal::Seconds;

/// Room for a deposit with many inquiries.
const ROOM: usize = 16 * 1024;

/// `POST /v1/deposits`. Without a time it was seen now.
pub(super) fn seen(bytes: &[u8], now: Seconds) -> Result<DepositSeen, Wrong> {
    let mut body = Fields::parse(bytes)?;
    let symbol = plain(&mut body, "symbol", SYMBOL_LEN_MAX)?;
    let network = body.text(&["network"], NETWORK_LEN_MAX)?.map(|text| text.as_str().to_owned());
    let (tx_hash, vout) = tx(&mut body)?;
    let address = plain(&mut body, "address", NUMBER_LEN_MAX)?;
    let amount = decimal(&mut body, "amount")?;
    let received_at = match body.text(&["receivedAt"], NUMBER_LEN_MAX)? {
        None => now,
        Some(text) => time(text.as_str(), now)?,
    };
    body.end()?;
    Ok(DepositSeen { symbol, network, tx_hash, vout, address, amount, received_at })
}

fn time(text: &str, now: Seconds) -> Result<Seconds, Wrong> {
    let no = |problem| Wrong::new("receivedAt", Flaw::Malformed, problem);
    let at = text.parse::<jiff::Timestamp>().ok().and_then(|at| u64::try_from(at.as_second()).ok());
    let at = at.ok_or_else(|| no("is no time with its zone (ISO 8601)"))?;
    // A clock may be a little ahead of ours.
    if at > now.0.saturating_add(300) { Err(no("lies in the future")) } else { Ok(Seconds(at)) }
}

/// The number of a deposit as it stands in a path.
pub(super) fn id_of_path(text: &str) -> Result<u64, Wrong> {
    text.parse().map_err(|_| Wrong::new("depositId", Flaw::Malformed, "is not a whole number"))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InquiryBody<'a> {
    verification_uuid: &'a str,
    originating_vasp_id: String,
    transaction_status: Option<&'static str>,
    tx_hash: Option<&'a str>,
    vout: Option<&'a str>,
    asked_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DepositBody<'a> {
    deposit_id: u64,
    state: &'static str,
    reason: Option<&'static str>,
    verification_uuid: Option<&'a str>,
    candidates: &'a [String],
    is_open: bool,
    inquiries: Vec<InquiryBody<'a>>,
    symbol: &'a str,
    network: Option<&'a str>,
    tx_hash: &'a str,
    vout: Option<&'a str>,
    address: &'a str,
    amount: &'a str,
    received_at: String,
    created_at: String,
    settled_at: Option<String>,
}

impl<'a> From<&'a DepositInquiry> for InquiryBody<'a> {
    fn from(one: &'a DepositInquiry) -> Self {
        Self {
            verification_uuid: &one.uuid,
            originating_vasp_id: one.vasp.to_string(),
            transaction_status: one.status.map(|status| status.as_str()),
            tx_hash: one.tx_hash.as_deref(),
            vout: one.vout.as_deref(),
            asked_at: one.asked_at.to_string(),
        }
    }
}

impl<'a> From<&'a Deposit> for DepositBody<'a> {
    fn from(deposit: &'a Deposit) -> Self {
        let seen = &deposit.seen;
        Self {
            deposit_id: deposit.id,
            state: deposit.state.as_str(),
            reason: deposit.reason.map(|reason| reason.as_str()),
            verification_uuid: deposit.uuid.as_deref(),
            candidates: &deposit.candidates,
            is_open: deposit.is_open,
            inquiries: deposit.inquiries.iter().map(InquiryBody::from).collect(),
            symbol: &seen.symbol,
            network: seen.network.as_deref(),
            tx_hash: &seen.tx_hash,
            vout: seen.vout.as_deref(),
            address: &seen.address,
            amount: &seen.amount,
            received_at: seen.received_at.to_string(),
            created_at: deposit.created_at.to_string(),
            settled_at: deposit.settled_at.map(|at| at.to_string()),
        }
    }
}

/// One deposit.
pub(super) fn told(deposit: &Deposit) -> Result<Told, Refused> {
    Told::write(&DepositBody::from(deposit), ROOM)
}

/// Several of them.
pub(super) fn all_told(deposits: &[Deposit]) -> Result<Told, Refused> {
    let all: Vec<_> = deposits.iter().map(DepositBody::from).collect();
    Told::write(&serde_json::json!({ "deposits": all }), ROOM)
}
