//! Owns what is written to the exchange's backend and what is believed of its answers: the five calls of the VASP API.
//!
//! Spellings and members of older pages are read; a result is believed only if the whole answer is what was asked for.

use serde::Serialize;
use zeroize::Zeroizing;

use super::fields::Fields;
use super::line::LineFault;
use crate::enclave::answer::{Decision, Reason};
use crate::enclave::ivms::{Beneficiary, PAYLOAD_LEN_MAX};
use crate::enclave::{AssetInfo, Question, Transfer, TransferStatus, Verdict};
use crate::withdrawal::Seconds;

const VERSION: &str = "1.0";
/// Longest `message`, in characters; the network's tables hold no more.
const MESSAGE_LEN_MAX: usize = 1024;
/// Longest transaction id or output index, in characters.
const TX_HASH_LEN_MAX: usize = 128;
/// Longest code, in characters.
const CODE_LEN_MAX: usize = 64;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountHead<'a> {
    originating_vasp_id: String,
    symbol: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    network: &'a str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserHead<'a> {
    verification_uuid: &'a str,
    asset_info: AssetHead<'a>,
    required_beneficiary_info: String,
    originating_vasp_id: String,
    version: &'static str,
}

/// What the originator said of the transfer; or, where it said nothing, what the request itself says: no worth is made up.
#[derive(Serialize)]
#[serde(untagged)]
enum AssetHead<'a> {
    Told(&'a AssetInfo),
    #[serde(rename_all = "camelCase")]
    Known {
        symbol: &'a str,
        network: &'a str,
        amount: String,
        is_exceeding_threshold: bool,
    },
}

/// The decimals of an asset the enclave knows by its ticker.
const fn decimals(symbol: &str) -> u32 {
    // Bitcoin is the only asset of this version; whoever adds one adds it here.
    let _ = symbol;
    8
}

/// The body of Verify User Account.
pub(super) fn account_question(question: &Question<'_>) -> Result<Zeroizing<String>, LineFault> {
    let head = AccountHead {
        originating_vasp_id: question.originating_vasp.to_string(),
        symbol: question.symbol,
        network: question.network,
        version: VERSION,
    };
    let beneficiary = match question.payload {
        Some(payload) => payload.beneficiary_canonical(),
        None => {
            let account = serde_json::to_string(question.destination).map_err(|_| UNWRITABLE)?;
            Zeroizing::new(format!("{{\"accountNumber\":[{account}]}}"))
        }
    };
    with_member(&head, &["\"ivms101\":{\"beneficiary\":", &beneficiary, "}"])
}

/// The body of Verify User.
pub(super) fn user_question(question: &Question<'_>) -> Result<Zeroizing<String>, LineFault> {
    let payload = question.payload.ok_or(UNWRITABLE)?;
    let asset_info = match question.asset_info {
        Some(told) => AssetHead::Told(told),
        None => AssetHead::Known {
            symbol: question.symbol,
            network: question.network,
            amount: question.amount.in_coin(decimals(question.symbol)),
            is_exceeding_threshold: true,
        },
    };
    let is_legal = payload.beneficiaries().first().is_some_and(|person| person.is_legal);
    let required = match (question.required, is_legal) {
        ([], true) => "ACCOUNT_NUMBER,LEGAL_PERSON_NAME,CORPORATE_REPRESENTATIVE_NAME".to_owned(),
        ([], false) => "ACCOUNT_NUMBER,NATURAL_PERSON_NAME".to_owned(),
        (codes, _) => codes.join(","),
    };
    let head = UserHead {
        verification_uuid: question.uuid,
        asset_info,
        required_beneficiary_info: required,
        originating_vasp_id: question.originating_vasp.to_string(),
        version: VERSION,
    };
    with_member(&head, &["\"ivms101\":", &payload.canonical()])
}

/// The body of Check Transaction Status.
pub(super) fn transaction_question(uuid: &str) -> Result<Zeroizing<String>, LineFault> {
    let body = serde_json::json!({ "verificationUuid": uuid });
    Ok(Zeroizing::new(body.to_string()))
}

/// The body of Callback; `data` is JSON already.
pub(super) fn callback(kind: &str, data: &str) -> Result<Zeroizing<String>, LineFault> {
    with_member(&serde_json::json!({ "callbackType": kind }), &["\"data\":", data])
}

const UNWRITABLE: LineFault = LineFault::Malformed("the question cannot be written");

/// An object with one more member, whose JSON is at hand. The room is made beforehand: a text that grows leaves copies behind.
pub(in crate::enclave) fn with_member(
    head: &impl Serialize,
    member: &[&str],
) -> Result<Zeroizing<String>, LineFault> {
    let head = serde_json::to_string(head).map_err(|_| UNWRITABLE)?;
    let head = head.strip_suffix('}').ok_or(UNWRITABLE)?;
    let len = member.iter().map(|part| part.len()).sum::<usize>();
    let mut whole = Zeroizing::new(String::with_capacity(head.len() + len + 2));
    whole.push_str(head);
    whole.push(',');
    member.iter().for_each(|part| whole.push_str(part));
    whole.push('}');
    Ok(whole)
}

/// Reads the answer of Verify User Account.
pub(super) fn account_answer(bytes: &[u8]) -> Result<Verdict, LineFault> {
    let mut fields = Fields::parse(bytes).map_err(|_| no("body"))?;
    let result = needed(&mut fields, &["accountVerificationResult", "result"], CODE_LEN_MAX)?;
    let reason = optional(&mut fields, &["reason"], CODE_LEN_MAX)?;
    let message = message(&mut fields);
    let reason = match (result.as_str(), reason.as_deref()) {
        ("VERIFIED", None) => Some("OK".to_owned()),
        (_, reason) => reason.map(str::to_owned),
    };
    verdict(&result, reason.as_deref(), message, None)
}

/// Reads the answer of Verify User. A yes without the beneficiary is no answer.
pub(super) fn user_answer(bytes: &[u8], now: Seconds) -> Result<Verdict, LineFault> {
    let mut fields = Fields::parse(bytes).map_err(|_| no("body"))?;
    let result = needed(&mut fields, &["result", "verificationResult"], CODE_LEN_MAX)?;
    let reason = optional(&mut fields, &["reason"], CODE_LEN_MAX)?;
    let message = message(&mut fields);
    if optional(&mut fields, &["version"], CODE_LEN_MAX)?.is_some_and(|version| version != VERSION) {
        return Err(no("version"));
    }
    if result != "VERIFIED" {
        return verdict(&result, reason.as_deref(), message, None);
    }
    let mut ivms = fields.object(&["ivms101"]).map_err(|_| no("ivms101"))?;
    let beneficiary = ivms.take(&["beneficiary"]).ok().flatten().ok_or(no("ivms101.beneficiary"))?;
    let beneficiary = Beneficiary::of(beneficiary, now).map_err(|_| no("ivms101.beneficiary"))?;
    if beneficiary.canonical().len() > PAYLOAD_LEN_MAX || beneficiary.persons().is_empty() {
        return Err(no("ivms101.beneficiary.beneficiaryPersons"));
    }
    verdict(&result, reason.as_deref(), message, Some(beneficiary))
}

/// Reads the answer of Check Transaction Status.
pub(super) fn transaction_answer(bytes: &[u8], uuid: &str) -> Result<Transfer, LineFault> {
    let mut fields = Fields::parse(bytes).map_err(|_| no("body"))?;
    if needed(&mut fields, &["verificationUuid", "verificationId"], CODE_LEN_MAX)? != uuid {
        return Err(LineFault::Malformed("`verificationUuid` is another verification's"));
    }
    let status = needed(&mut fields, &["transactionStatus"], CODE_LEN_MAX)?;
    let status = TransferStatus::parse(&status);
    let tx_hash = optional(&mut fields, &["txHash"], TX_HASH_LEN_MAX)?;
    if tx_hash.as_ref().is_some_and(|hash| !hash.bytes().all(|b| b.is_ascii_graphic())) {
        return Err(no("txHash"));
    }
    let vout = fields.text_or_number(&["vout"], TX_HASH_LEN_MAX).map_err(|_| no("vout"))?;
    Ok(Transfer {
        status: status.ok_or(no("transactionStatus"))?,
        tx_hash,
        vout: vout.map(|vout| vout.as_str().to_owned()),
    })
}

/// Old results are read, new ones given; a word that is none of them is no answer.
fn verdict(
    result: &str,
    reason: Option<&str>,
    message: Option<String>,
    beneficiary: Option<Beneficiary>,
) -> Result<Verdict, LineFault> {
    let reason = reason.map(|reason| reason_of(reason).unwrap_or(Reason::UndefinedError));
    let (decision, reason) = match result {
        "VERIFIED" => (Decision::Verified, reason.ok_or(no("reason"))?),
        "DENIED" => (Decision::Denied, reason.unwrap_or(Reason::UndefinedError)),
        "UNKNOWN" => (Decision::Denied, reason.unwrap_or(Reason::UnknownAddress)),
        "ERROR" | "PENDING" | "WAIT" | "TRANSFER_ERROR" => {
            (Decision::Error, reason.filter(|r| *r != Reason::Ok).unwrap_or(Reason::UndefinedError))
        }
        _ => return Err(no("result")),
    };
    if (decision == Decision::Verified) != (reason == Reason::Ok) {
        return Err(LineFault::Malformed("`result` and `reason` contradict each other"));
    }
    Ok(Verdict { decision, reason, message, beneficiary })
}

/// The reasons a beneficiary may give; what only the originator's own enclave says is not one of them.
fn reason_of(text: &str) -> Option<Reason> {
    let ours = [Reason::BeneficiaryAccountNotMatched, Reason::RequestTimeout];
    Reason::parse(text).filter(|reason| !ours.contains(reason))
}

/// A message explains and decides nothing: one that cannot be passed on is left out.
fn message(fields: &mut Fields) -> Option<String> {
    let message = fields.text(&["message"], MESSAGE_LEN_MAX).unwrap_or_default();
    message.map(|text| text.as_str().to_owned())
}

fn needed(fields: &mut Fields, names: &[&'static str], max: usize) -> Result<String, LineFault> {
    optional(fields, names, max)?.ok_or(no(names.first().copied().unwrap_or_default()))
}

fn optional(fields: &mut Fields, names: &[&'static str], max: usize) -> Result<Option<String>, LineFault> {
    let text = fields.text(names, max).map_err(|_| no(names.first().copied().unwrap_or_default()))?;
    Ok(text.map(|text| text.as_str().to_owned()))
}

const fn no(field: &'static str) -> LineFault {
    LineFault::Malformed(field)
}

#[cfg(test)]
mod tests;
