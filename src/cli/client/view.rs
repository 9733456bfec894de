//! How a withdrawal is printed: for people and for programs.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::cli::answer::{Answer, Facts};
use crate::cli::problem::{Exit, Problem};
use crate::desk::WithdrawalView;
use crate::wire::v1;
use crate::withdrawal::{Amount, Asset, Finding, Outcome, evm_address};

/// Reads a withdrawal as the service sent it.
pub fn read(wire: v1::Withdrawal) -> Result<WithdrawalView, Problem> {
    Ok(WithdrawalView::try_from(wire)?)
}

/// An amount as people read it; of a token, whose decimals nobody here knows, in base units.
pub fn coin(amount: Amount, asset: Asset) -> String {
    asset.denomination().map_or_else(|| format!("{amount} base units"), |known| known.words(amount))
}

/// One word for what is said of it.
pub const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Moving => "moving",
        Outcome::Held(_) => "held",
        Outcome::Refused(_) => "refused",
        Outcome::Released => "released",
    }
}

/// How a command ends that asked for it: held and refused are a no.
pub const fn exit(outcome: &Outcome) -> Exit {
    match outcome {
        Outcome::Moving | Outcome::Released => Exit::Ok,
        Outcome::Held(_) | Outcome::Refused(_) => Exit::No,
    }
}

/// Why it is held or refused.
pub fn findings(outcome: &Outcome) -> &[Finding] {
    match outcome {
        Outcome::Moving | Outcome::Released => &[],
        Outcome::Held(findings) | Outcome::Refused(findings) => findings,
    }
}

/// For programs.
pub fn document(view: &WithdrawalView) -> Value {
    let request = &view.request;
    let findings = findings(&view.outcome)
        .iter()
        .map(|f| json!({ "code": f.code.as_str(), "detail": f.detail, "cure": f.code.cure() }));
    let prevouts = view.prevouts.iter().map(|p| {
        json!({ "txid": p.txid, "vout": p.vout, "value_sat": p.value.to_string(), "script_pubkey_hex": HEXLOWER.encode(&p.script_pubkey) })
    });
    json!({
        "withdrawal": view.id.to_string(),
        "organisation": request.organisation.as_str(),
        "request_id": request.request_id.as_str(),
        "customer_ref": request.customer_ref.as_str(),
        "asset": request.asset.to_string(),
        "destination": request.destination,
        "amount": request.amount.to_string(),
        "fee_max": request.fee_max.to_string(),
        "beneficiary_vasp": request.beneficiary_vasp.to_string(),
        "asked_at": request.asked_at.0,
        "stage": view.stage.as_str(),
        "outcome": word(&view.outcome),
        "code": self::findings(&view.outcome).first().map(|f| f.code.as_str()),
        "findings": findings.collect::<Vec<_>>(),
        "txid": view.txid,
        "tx_hex": (!view.raw_transaction.is_empty()).then(|| HEXLOWER.encode(&view.raw_transaction)),
        "safe": view.safe.map(|place| json!({ "chain": place.chain.to_string(),
            "address": evm_address::spell(place.safe), "nonce": place.nonce })),
        "prevouts": prevouts.collect::<Vec<_>>(),
        "fee_sat": view.fee.map(|fee| fee.to_string()),
        "log_index": view.log_index,
        "created_at": view.created_at.0,
        "updated_at": view.updated_at.0,
        "void_receipt": view.void_receipt.as_ref().map(|receipt| json!({ "text": receipt.text,
            "key_id": receipt.key_id, "signature": HEXLOWER.encode(&receipt.signature) })),
    })
}

/// For people.
pub fn text(view: &WithdrawalView) -> String {
    text_with(view, "of the co-signer, not checked here; `countersign cancel` checks it")
}

/// The same where the co-signer's receipt, if there is one, was found to hold.
pub fn text_checked(view: &WithdrawalView) -> String {
    text_with(view, "of the co-signer; it holds: it never signs this withdrawal")
}

fn text_with(view: &WithdrawalView, receipt: &str) -> String {
    let request = &view.request;
    let both = |amount: Amount| format!("{} ({amount})", coin(amount, request.asset));
    let mut facts = Facts::new()
        .line("withdrawal", view.id)
        .line("request", format!("{} / {}", request.organisation, request.request_id))
        .line("customer", &request.customer_ref)
        .line("network", request.asset.chain())
        .line("amount", both(request.amount))
        .line("destination", &request.destination)
        .line("beneficiary VASP", request.beneficiary_vasp)
        .line("stage", view.stage.as_str())
        .line("outcome", word(&view.outcome));
    for finding in findings(&view.outcome) {
        facts = facts.line("because", format!("{} {}", finding.code, finding.detail).trim_end());
        facts = facts.line("what to do", finding.code.cure());
    }
    let raw = (!view.raw_transaction.is_empty()).then(|| HEXLOWER.encode(&view.raw_transaction));
    facts
        .maybe("txid", view.txid.as_ref())
        .maybe("fee", view.fee.map(|fee| format!("{} ({fee})", coin(fee, request.asset.fee_asset()))))
        .maybe(
            "safe",
            view.safe.map(|place| format!("{} on {}", evm_address::spell(place.safe), place.chain)),
        )
        .maybe("safe nonce", view.safe.map(|place| place.nonce))
        .maybe(if view.safe.is_some() { "call data" } else { "transaction" }, raw)
        .maybe("receipt", view.void_receipt.as_ref().map(|_| receipt))
        .line("log index", view.log_index)
        .line("updated", view.updated_at)
        .text()
}

/// The answer of a command that ends with one withdrawal.
pub fn answer(wire: v1::Withdrawal) -> Result<Answer, Problem> {
    let view = read(wire)?;
    Ok(Answer { exit: exit(&view.outcome), json: document(&view), text: text(&view) })
}

/// The same for a command whose doing is the yes: an approval of what is still held is no failure.
pub fn done(wire: v1::Withdrawal) -> Result<Answer, Problem> {
    Ok(Answer { exit: Exit::Ok, ..answer(wire)? })
}
