//! Owns reading what the exchange's backend asks: bodies and queries of the documented API, older spellings included.

use zeroize::Zeroizing;

use super::fields::{Fields, Flaw, Wrong};
use crate::enclave::answer::Decision;
use crate::enclave::ivms::{PAYLOAD_LEN_MAX, Payload, REQUIRED_CODES};
use crate::enclave::wire::letter::is_uuid;
use crate::enclave::{AccountOrder, AssetInfo, ErrorReport, KeyType, UserOrder};
use crate::withdrawal::{Code, Invalid, Seconds, VaspId};

/// Longest texts, in characters: what the network's tables hold.
pub(super) const SYMBOL_LEN_MAX: usize = 16;
pub(super) const NETWORK_LEN_MAX: usize = 128;
pub(super) const NUMBER_LEN_MAX: usize = 128;
const DECIMAL_LEN_MAX: usize = 64;
const REASON_LEN_MAX: usize = 256;
const MESSAGE_LEN_MAX: usize = 1024;
/// All codes of `requiredBeneficiaryInfo` together are shorter.
const REQUIRED_LEN_MAX: usize = 1024;
const UUID_LEN: usize = 36;

/// A report of a transaction.
pub(super) struct TxReport {
    pub(super) uuid: String,
    pub(super) tx_hash: String,
    pub(super) vout: Option<String>,
}

/// `POST /v1/verifications`.
pub(super) fn user_order(bytes: &[u8], now: Seconds) -> Result<UserOrder, Wrong> {
    let mut body = Fields::parse(bytes)?;
    let key_type = key_type(&mut body)?;
    let beneficiary_vasp = vasp(&mut body)?;
    let asset_info = asset_info(body.object(&["assetInfo"])?)?;
    let required = required(&mut body)?;
    let payload = payload(body.object(&["payload"])?, now)?;
    body.end()?;
    payload.demand_order(asset_info.is_exceeding_threshold).map_err(ivms)?;
    Ok(UserOrder { key_type, beneficiary_vasp, asset_info, required, payload: bytes_of(&payload)? })
}

/// `POST /v1/verifications/account`.
pub(super) fn account_order(bytes: &[u8], now: Seconds) -> Result<AccountOrder, Wrong> {
    let mut body = Fields::parse(bytes)?;
    let key_type = key_type(&mut body)?;
    let beneficiary_vasp = vasp(&mut body)?;
    let symbol = plain(&mut body, "symbol", SYMBOL_LEN_MAX)?;
    let network = body.text(&["network"], NETWORK_LEN_MAX)?.map(|text| text.as_str().to_owned());
    let payload = payload(body.object(&["payload"])?, now)?;
    body.end()?;
    Ok(AccountOrder { key_type, beneficiary_vasp, symbol, network, payload: bytes_of(&payload)? })
}

/// `POST /v1/verifications/tx`.
pub(super) fn tx_report(bytes: &[u8]) -> Result<TxReport, Wrong> {
    let mut body = Fields::parse(bytes)?;
    let uuid = uuid(&mut body)?;
    let (tx_hash, vout) = tx(&mut body)?;
    body.end()?;
    Ok(TxReport { uuid, tx_hash, vout })
}

/// A transaction and its output.
pub(super) fn tx(body: &mut Fields) -> Result<(String, Option<String>), Wrong> {
    let tx_hash = plain(body, "txHash", NUMBER_LEN_MAX)?;
    if !tx_hash.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Wrong::new("txHash", Flaw::Malformed, "is not printable ASCII without blanks"));
    }
    let vout = body.text_or_number(&["vout"], NUMBER_LEN_MAX)?.map(|text| text.as_str().to_owned());
    if vout.as_ref().is_some_and(|vout| !vout.bytes().all(|b| b.is_ascii_digit())) {
        return Err(Wrong::new("vout", Flaw::Malformed, "is not a whole number"));
    }
    Ok((tx_hash, vout))
}

/// `POST /v1/verifications/error`.
pub(super) fn error_report(bytes: &[u8]) -> Result<(String, ErrorReport), Wrong> {
    let mut body = Fields::parse(bytes)?;
    let uuid = uuid(&mut body)?;
    let result = match plain(&mut body, "result", REASON_LEN_MAX)?.as_str() {
        "VERIFIED" => Decision::Verified,
        "DENIED" | "UNKNOWN" => Decision::Denied,
        "ERROR" | "PENDING" | "TRANSFER_ERROR" => Decision::Error,
        _ => return Err(Wrong::new("result", Flaw::Malformed, "is none of VERIFIED, DENIED, ERROR")),
    };
    let reason = plain(&mut body, "reason", REASON_LEN_MAX)?;
    let message = body.text(&["message"], MESSAGE_LEN_MAX)?.map(|text| text.as_str().to_owned());
    body.end()?;
    Ok((uuid, ErrorReport { result, reason, message }))
}

/// `POST /v1/verifications/tx/inquiry`.
pub(super) fn inquiry(bytes: &[u8]) -> Result<String, Wrong> {
    let mut body = Fields::parse(bytes)?;
    let uuid = uuid(&mut body)?;
    body.end()?;
    Ok(uuid)
}

/// A uuid as it stands in a path.
pub(super) fn uuid_of_path(text: &str) -> Result<String, Wrong> {
    checked_uuid(text.to_owned())
}

fn uuid(body: &mut Fields) -> Result<String, Wrong> {
    let uuid = body.needed(&["verificationUuid", "verificationId"], UUID_LEN)?;
    checked_uuid(uuid.as_str().to_owned())
}

fn checked_uuid(uuid: String) -> Result<String, Wrong> {
    let uuid = uuid.to_ascii_lowercase();
    if is_uuid(&uuid) {
        return Ok(uuid);
    }
    Err(Wrong::new("verificationUuid", Flaw::Malformed, "is not a version 4 uuid"))
}

/// The network's default is the one key for everything; `PerEoa` is an older word for the key of an address.
fn key_type(body: &mut Fields) -> Result<KeyType, Wrong> {
    match body.text(&["keyType"], REASON_LEN_MAX)? {
        None => Ok(KeyType::PerVasp),
        Some(text) if text.as_str() == "PerEoa" => Ok(KeyType::PerAddress),
        Some(text) => KeyType::parse(text.as_str()).ok_or_else(|| {
            Wrong::new("keyType", Flaw::Malformed, "is none of PerVasp, PerAddress, PerVerification")
        }),
    }
}

fn vasp(body: &mut Fields) -> Result<VaspId, Wrong> {
    let text = body.needed(&["beneficiaryVaspId"], NUMBER_LEN_MAX)?;
    VaspId::parse(text.as_str()).map_err(|_| {
        Wrong::new("beneficiaryVaspId", Flaw::Malformed, "is not a decimal number of up to 64 bits in a text")
    })
}

pub(super) fn plain(body: &mut Fields, name: &'static str, max: usize) -> Result<String, Wrong> {
    Ok(body.needed(&[name], max)?.as_str().to_owned())
}

fn asset_info(mut fields: Fields) -> Result<AssetInfo, Wrong> {
    let symbol = plain(&mut fields, "symbol", SYMBOL_LEN_MAX)?;
    let network = fields.text(&["network"], NETWORK_LEN_MAX)?.map(|text| text.as_str().to_owned());
    let amount = decimal(&mut fields, "amount")?;
    if amount.bytes().all(|b| matches!(b, b'0' | b'.')) {
        return Err(Wrong::new("assetInfo.amount", Flaw::Malformed, "is zero"));
    }
    let is_exceeding_threshold = fields.truth(&["isExceedingThreshold"])?;
    let trade_price = decimal(&mut fields, "tradePrice")?;
    let trade_currency = plain(&mut fields, "tradeCurrency", NUMBER_LEN_MAX)?;
    if trade_currency.len() != 3 || !trade_currency.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(Wrong::new(
            "assetInfo.tradeCurrency",
            Flaw::Malformed,
            "is not three capital letters (ISO 4217)",
        ));
    }
    let at = fields.needed(&["tradeISODatetime", "tradeISODateTime"], NUMBER_LEN_MAX)?.as_str().to_owned();
    if !is_utc(&at) {
        return Err(Wrong::new(
            "assetInfo.tradeISODatetime",
            Flaw::Malformed,
            "is not a time in UTC (ISO 8601, with Z)",
        ));
    }
    fields.end()?;
    Ok(AssetInfo {
        symbol,
        network,
        amount,
        is_exceeding_threshold,
        trade_price,
        trade_currency,
        trade_iso_datetime: at,
    })
}

fn is_utc(text: &str) -> bool {
    (text.ends_with('Z') || text.ends_with("+00:00")) && text.parse::<jiff::Timestamp>().is_ok()
}

/// Digits with at most one point among them, as they are passed on: nothing is rounded.
pub(super) fn decimal(fields: &mut Fields, name: &'static str) -> Result<String, Wrong> {
    let text = plain(fields, name, DECIMAL_LEN_MAX)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0')) {
        return Ok(text);
    }
    Err(Wrong::new(fields.path(name), Flaw::Malformed, "is not a decimal number in a text, such as `0.0015`"))
}

fn required(body: &mut Fields) -> Result<Vec<String>, Wrong> {
    let text = body.needed(&["requiredBeneficiaryInfo"], REQUIRED_LEN_MAX)?;
    let mut codes: Vec<String> = Vec::new();
    for (n, code) in text.as_str().split(',').map(str::trim).enumerate() {
        if !REQUIRED_CODES.contains(&code) {
            let problem = format!("entry number {} is no code of this list", n + 1);
            return Err(Wrong::new("requiredBeneficiaryInfo", Flaw::Malformed, problem));
        }
        if codes.iter().all(|known| known != code) {
            codes.push(code.to_owned());
        }
    }
    Ok(codes)
}

fn payload(mut fields: Fields, now: Seconds) -> Result<Payload, Wrong> {
    if fields.needed(&["version"], REASON_LEN_MAX)?.as_str() != "1.0" {
        return Err(Wrong::new("payload.version", Flaw::Malformed, "is not 1.0"));
    }
    let missing = || Wrong::new("payload.ivms101", Flaw::Missing, "is missing");
    let persons = fields.take(&["ivms101"])?.ok_or_else(missing)?;
    fields.end()?;
    Payload::of(persons, now).map_err(ivms)
}

/// The element is named within the problem; its value never is.
fn ivms(no: Invalid) -> Wrong {
    let flaw = if no.code == Code::FieldTooLong { Flaw::TooLong } else { Flaw::Malformed };
    Wrong::new("payload.ivms101", flaw, format!("{}; {}", no.problem, no.cure))
}

fn bytes_of(payload: &Payload) -> Result<Zeroizing<Vec<u8>>, Wrong> {
    let canonical = payload.canonical();
    if canonical.len() > PAYLOAD_LEN_MAX {
        let problem = format!("is {} bytes long, the limit is {PAYLOAD_LEN_MAX}", canonical.len());
        return Err(Wrong::new("payload.ivms101", Flaw::TooLong, problem));
    }
    Ok(Zeroizing::new(canonical.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests;
